"""What a token whose signature is proven may say, and what not: here the client may know."""

import json
import time

import pytest

from clinic import MAX_LIFETIME, SKEW, by_name
from gateway import BASE, INVALID_TOKEN

READ = "/fhir/Patient/ann"


@pytest.mark.parametrize("claims", [
    {"aud": BASE}, {"aud": ["https://other.example", BASE]}, {"aud": "urn:second-name"},
    {"nbf": 0}, {"patient": "Patient/ann"}, {"scope": ["patient/*.rs", "openid"]},
    {"extra": {"a": [None, 1.5]}},
], ids=str)
def test_claims_may_have_each_form_that_they_may_have(door, clinic, claims):
    door.allowed(door.get(READ, clinic.read(**claims)))


def _times(**offsets):
    """Claims with these times from now; whole seconds, so never late."""
    return lambda: {name: int(time.time()) + offset for name, offset in offsets.items()}


PROVEN = {
    "token_type_refused": {
        "typ missing": ({}, {"typ": None}), "typ empty": ({}, {"typ": ""}),
        "typ of a logout token": ({}, {"typ": "logout+jwt"}), "typ of DPoP": ({}, {"typ": "dpop+jwt"}),
        "typ with another prefix": ({}, {"typ": "text/at+jwt"}), "typ with a blank": ({}, {"typ": "JWT "}),
    },
    "token_is_id_token": {name: ({name: "x"}, {}) for name in ["nonce", "at_hash", "c_hash"]},
    "token_claim_missing": {
        **{f"no {name}": ({name: None}, {}) for name in ["exp", "iat", "aud", "sub", "jti"]},
    },
    "token_claim_invalid": {
        **{f"{name} {value!r:.30}": ({name: value}, {})
           for name in ["exp", "iat", "nbf"]
           for value in [1.5, 1790000000.0, "1790000000", -1, 2**53, 2**64, True, [1], {}]},
        **{f"aud {value!r}": ({"aud": value}, {})
           for value in [1, True, {}, "", [1], [BASE, 1], [""], [[BASE]]]},
        **{f"{name} {value!r}": ({name: value}, {})
           for name in ["sub", "jti", "client_id", "fhirUser"] for value in ["", 1, ["x"]]},
        "patient a number": ({"patient": 1}, {}), "patient a list": ({"patient": ["ann"]}, {}),
        "scope a number": ({"scope": 1}, {}), "scope an object": ({"scope": {}}, {}),
        "scopes with blanks": ({"scope": ["patient/*.rs system/*.cruds"]}, {}),
    },
    "token_patient_invalid": {f"patient {value!r:.30}": ({"patient": value}, {}) for value in [
        "", "ann/../bob", "ann,bob", "Patient/", "Patient/ann/_history/1", "patient/ann",
        "https://a/Patient/ann",
        "a" * 65, "ann bob", "ann&x=1", "..", "änn"]},
    "token_audience": {f"aud {value!r}": ({"aud": value}, {}) for value in [
        "https://other.example", f"{BASE}/", BASE[:-1], f"{BASE}?x", BASE.upper(), [],
        ["https://other.example"], f"{BASE} urn:second-name", "app-1"]},
    "token_lifetime_invalid": {
        "exp is iat": (_times(exp=10, iat=10), {}), "exp before iat": (_times(exp=10, iat=11), {})},
    "token_lifetime_too_long": {
        "one second more": (_times(iat=0, exp=MAX_LIFETIME + 1), {}),
        "for ever": ({"exp": 2**53 - 1}, {}), "since ever": ({"iat": 0}, {})},
    "token_expired": {
        "at the edge": (_times(iat=-300, exp=-SKEW), {}), "long ago": (_times(iat=-9300, exp=-9000), {}),
        "in 1970": ({"exp": 1, "iat": 0}, {})},
    "token_not_yet_valid": {
        "beyond the skew": (_times(nbf=SKEW + 15), {}), "far": ({"nbf": 2**53 - 1}, {})},
    "token_issued_in_future": {"beyond the skew": (_times(iat=SKEW + 15, exp=SKEW + 300), {})},
    "token_binding_unchecked": {
        "bound to a key": ({"cnf": {"jkt": "x"}}, {}),
        "bound to a certificate": ({"cnf": {"x5t#S256": "x"}}, {}),
        "bound to nothing": ({"cnf": {}}, {}), "bound to null": (lambda: {"cnf": _NULL}, {})},
}
_NULL = object()


def _made(clinic, claims, header):
    claims = claims() if callable(claims) else claims
    if _NULL not in claims.values():
        return clinic.read(header=header, **claims)
    name, = claims
    return clinic.raw(payload=clinic.claims_text(f'"{name}":null'))


@pytest.mark.parametrize("made, code", by_name(PROVEN))
def test_a_proven_token_is_refused_for_what_it_says(door, clinic, made, code):
    response = door.get(READ, _made(clinic, *made))
    door.refused(response, 401, code, INVALID_TOKEN)


@pytest.mark.parametrize("name", ["exp", "iat", "sub", "jti", "aud"])
def test_a_claim_that_is_null_is_no_claim(door, clinic, name):
    claims = json.dumps({**clinic.claims(), name: None}).encode()
    door.refused(door.get(READ, clinic.raw(payload=claims)), 401, "token_claim_invalid", INVALID_TOKEN)


@pytest.mark.parametrize("claims", [
    _times(iat=-300, exp=15 - SKEW), _times(nbf=SKEW), _times(iat=SKEW, exp=SKEW + 100),
    _times(iat=0, exp=MAX_LIFETIME)], ids=["exp", "nbf", "iat", "lifetime"])
def test_within_the_skew_and_the_lifetime_a_token_is_taken(door, clinic, claims):
    door.allowed(door.get(READ, clinic.read(**claims())))


def test_a_cached_token_is_refused_once_it_has_expired(door, laboratory):
    now = int(time.time())
    token = laboratory.token("patient/*.rs", patient="ann", iat=now - 10, exp=now + 1)
    for response in door.get_everywhere(READ, token):
        door.allowed(response)
    time.sleep(max(0.0, now + 2 - time.time()))  # with the skew
    for response in door.get_everywhere(READ, token):
        door.refused(response, 401, "token_expired", INVALID_TOKEN)
