"""Every way to get past the signature: forged, borrowed, malformed. The client learns `token_invalid`
and nothing more; the audit record has the code."""

import json
import string
import time
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clinic import ALGORITHMS, MAX_TOKEN, by_name
from gateway import INVALID_REQUEST, INVALID_TOKEN, REALM
from lab.servers import Server
from lab.tokens import Key, b64, hs256, jwks, unsigned, with_claims

READ = "/fhir/Patient/ann"


# What is taken.

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_verifies(door, clinic, algorithm):
    """RS* and ES* by Envoy's own cryptography, PS* and EdDSA in the VM."""
    token = clinic.read(clinic.key(algorithm))
    door.allowed(door.get(READ, token))
    forged = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBA")
    response = door.get(READ, forged)
    door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_signature_invalid")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_a_key_without_alg_serves_every_algorithm_of_its_type(door, clinic, algorithm):
    door.allowed(door.get(READ, _signed_as(clinic, "any-rsa", algorithm)))


def _signed_as(clinic, kid, algorithm, header=None):
    """A token whose signature is of this algorithm."""
    claims = clinic.claims(scope="patient/*.rs", patient="ann")
    return clinic.key(kid).sign(claims, algorithm=algorithm, **(header or {}))


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "jwt", "application/at+jwt", "Application/AT+JWT"])
def test_the_types_of_access_tokens_are_taken(door, clinic, typ):
    door.allowed(door.get(READ, clinic.read(header={"typ": typ})))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "  Bearer "])
@pytest.mark.parametrize("behind", ["", "  ", "\t"], ids=["", "blanks", "tab"])
def test_the_scheme_has_any_case_and_http1_trims_around_it(door, clinic, scheme, behind):
    door.allowed(door.get(READ, headers=[("authorization", scheme + clinic.read() + behind)]))


def test_a_token_is_read_up_to_16_kib(door, clinic):
    def of_length(length):
        # Both parts in base64url: some length is only reached by adding to both.
        for more in range(4):
            spare = length - len(clinic.read(header={"x": "x" * more}, note="", jti="j"))
            token = clinic.read(header={"x": "x" * more}, note="x" * (spare * 3 // 4), jti="j")
            if len(token) == length:
                return token

    door.allowed(door.get(READ, of_length(MAX_TOKEN)))
    response = door.get(READ, of_length(MAX_TOKEN + 1))
    door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_too_large")


# What is no bearer token.

@pytest.mark.parametrize("value", [
    "Basic YW5uOnNlY3JldA==", "DPoP {}", "Token {}", "Bearer\t{}", "Bearer", "Bearer:{}", "{}", "JWT {}",
    "Negotiate x", '"Bearer" {}'])
def test_another_scheme_is_refused(door, clinic, value):
    response = door.get(READ, headers=[("authorization", value.format(clinic.read()))])
    if value == "Bearer":
        door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_unreadable")
    else:
        door.refused(response, 401, "token_scheme_unsupported", challenge=REALM)


@pytest.mark.parametrize("value", [
    "Bearer  {}", "Bearer \t{}", "Bearer {} x", "Bearer =", "Bearer {0} {0}", "Bearer {}\t.",
    "Bearer {}\"", "Bearer {}=x", "Bearer {}!", "Bearer realm={}", "Bearer <{}>", "Bearer {}%20"])
def test_anything_but_one_token_behind_the_scheme_is_refused(door, clinic, value):
    response = door.get(READ, headers=[("authorization", value.format(clinic.read()))])
    door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_unreadable")


# What is refused before the signature is proven.

def _form(form):
    """A good token's parts in another form."""
    names = ("head", "claims", "signature")
    return lambda clinic: form.format(**dict(zip(names, clinic.read().split("."))))


def _signature(change):
    """A good token with its signature's text changed."""
    def make(clinic):
        signed, _, signature = clinic.read().rpartition(".")
        return f"{signed}.{change(signature)}"
    return make


def _spare(part, bits):
    """The part with these spare bits in its last character."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) | bits]


def _head(text):
    """A good token with this header, signed all the same."""
    return lambda clinic: clinic.raw(header=text)


def _payload(text):
    """A token with this payload, signed all the same."""
    return lambda clinic: clinic.raw(payload=text)


def _header(**header):
    return lambda clinic: clinic.read(header=header)


def _claims(member):
    """A token with this member behind good claims."""
    return lambda clinic: clinic.raw(payload=clinic.claims_text(member))


def _of(kid, algorithm=None, **header):
    """A token under this key, signed with the algorithm that it names, or that it should."""
    return lambda clinic: _signed_as(clinic, kid, algorithm or clinic.key(kid).algorithm, header)


def _es256_signature(change):
    """A token under ES256 with its numbers r and s in another form."""
    def make(clinic):
        text, _, signature = clinic.read(clinic.key("ES256")).rpartition(".")
        raw = _bytes(signature)
        return f"{text}.{b64(change(raw[:32], raw[32:]))}"
    return make


def _bytes(part):
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _rewritten(clinic):
    """The same claims, with a blank before them."""
    head, claims, signature = clinic.read().split(".")
    return f"{head}.{b64(b' ' + _bytes(claims))}.{signature}"


def _public(clinic, encoding, form):
    return clinic.key("RS256").public().public_bytes(encoding, form)


def _hs256(secret):
    return lambda clinic: hs256(
        clinic.claims(scope="patient/*.rs", patient="ann"), secret(clinic), kid="rs256")


def _unsigned(algorithm):
    return lambda clinic: unsigned(
        clinic.claims(scope="patient/*.rs", patient="ann"), algorithm, kid="rs256")


ZERO, ORDER = bytes(32), bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")

UNPROVEN = {
    "token_shape": {
        "opaque": lambda clinic: "4f3c2e1d-opaque",
        "one part": _form("{head}"),
        "two parts": _form("{head}.{claims}"),
        "four parts": _form("{head}.{claims}.{signature}.{signature}"),
        "six parts": _form("{head}.a.b.c.{claims}.{signature}"),
    },
    "token_encrypted": {
        "five parts": _form("{head}.{signature}.{head}.{claims}.{signature}"),
        "five parts, empty": lambda clinic: "....",
    },
    "token_encoding": {
        "padding": _form("{head}.{claims}.{signature}=="),
        "one padding": _form("{head}.{claims}.{signature}="),
        "a spare bit": _signature(lambda text: _spare(text, 1)),
        "spare bits": _signature(lambda text: _spare(text, 15)),
        "plus": _signature(lambda text: f"+{text[1:]}"),
        "slash": _signature(lambda text: f"/{text[1:]}"),
        "tilde": _form("{head}.~{claims}.{signature}"),
        "length of one more": _form("{head}.{claims}.AAAAA"),
        "header cut": _form("AAAAA.{claims}.{signature}"),
    },
    "token_header_too_large": {
        "kid of 5 KB": _header(kid="k" * 5000),
        "x5c of 8 KB": _header(x5c=["M" * 8000]),
    },
    "token_header_unreadable": {
        "empty": _form(".{claims}.{signature}"),
        "all empty": lambda clinic: "..",
        "not JSON": _head(b"alg=RS256"),
        "a list": _head(b'["RS256"]'),
        "two algs": _head(b'{"alg":"RS256","kid":"rs256","typ":"JWT","alg":"none"}'),
        "two algs, one escaped": _head(b'{"alg":"RS256","kid":"rs256","typ":"JWT","\\u0061lg":"none"}'),
        "two kids": _head(b'{"alg":"RS256","kid":"x","kid":"rs256","typ":"JWT"}'),
        "something behind": _head(b'{"alg":"RS256","kid":"rs256","typ":"JWT"} {}'),
        "byte order mark": _head(b'\xef\xbb\xbf{"alg":"RS256","kid":"rs256","typ":"JWT"}'),
        "not UTF-8": _head(b'{"alg":"RS256","kid":"rs256","typ":"JWT","x":"\xff"}'),
        "kid null": _head(b'{"alg":"RS256","kid":null,"typ":"JWT"}'),
        "deep": _head(b'{"x":' + b"[" * 2000),
        "alg a number": _header(alg=256),
        "alg a list": _header(alg=["RS256"]),
        "kid a number": _header(kid=1),
        "kid a list": _header(kid=["rs256"]),
        "kid an object": _header(kid={"$ne": ""}),
        "typ a number": _header(typ=1),
    },
    "token_header_critical": {
        "crit of exp": _header(crit=["exp"]),
        "crit empty": _header(crit=[]),
        "crit of b64": _header(crit=["b64"], b64=False),
    },
    "token_payload_unencoded": {"b64 false": _header(b64=False), "b64 true": _header(b64=True)},
    "token_payload_compressed": {"zip": _header(zip="DEF")},
    "token_claims_unreadable": {
        "empty": _payload(b" "),
        "a list": _payload(b"[]"),
        "text": _payload(b'"claims"'),
        "cut": _payload(b'{"iss":"https://all.clinic.example"'),
        "two subs": _claims('"sub":"root"'),
        "two scopes, one escaped": _claims('"\\u0073cope":"system/*.cruds"'),
        "two members deep inside": _claims('"a":[{"b":1,"b":2}]'),
        "not UTF-8": _payload(b'{"iss":"https://all.clinic.example","a":"\xff"}'),
        "NaN": _claims('"a":NaN'),
        "out of range": _claims('"a":1e999'),
        "deep": _payload(b'{"a":' + b"[" * 11000),
        "deep objects": _payload(b'{"a":' * 2200),
    },
    "token_issuer_missing": {
        "none": lambda clinic: clinic.read(iss=None),
        "a list": lambda clinic: clinic.read(iss=[clinic.name]),
        "a number": lambda clinic: clinic.read(iss=1),
    },
    "token_issuer_unknown": {
        "other": lambda clinic: clinic.read(iss="https://evil.example"),
        "empty": lambda clinic: clinic.read(iss=""),
        "slash behind": lambda clinic: clinic.read(iss=f"{clinic.name}/"),
        "another case": lambda clinic: clinic.read(iss=clinic.name.upper()),
        "blank behind": lambda clinic: clinic.read(iss=f"{clinic.name} "),
        "prefix": lambda clinic: clinic.read(iss=clinic.name[:-1]),
        "longer": lambda clinic: clinic.read(iss=f"{clinic.name}.evil.example"),
    },
    "token_algorithm_refused": {
        **{f"alg {name!r}, no signature": _unsigned(name) for name in ["none", "None", "NONE", "nOnE", ""]},
        "alg none, signed": _header(alg="none"),
        "alg missing": _header(alg=None),
        "HS256 with the public key in PEM": _hs256(
            lambda clinic: _public(clinic, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        "HS256 with the public key in DER": _hs256(
            lambda clinic: _public(clinic, Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        "HS256 with the public key in PKCS#1": _hs256(
            lambda clinic: _public(clinic, Encoding.PEM, PublicFormat.PKCS1)),
        "HS256 with the JWK": _hs256(lambda clinic: json.dumps(clinic.key("RS256").jwk()).encode()),
        "HS256 with the modulus": _hs256(lambda clinic: clinic.key("RS256").jwk()["n"].encode()),
        "HS256 with nothing": _hs256(lambda clinic: b""),
        **{f"alg {name!r}": _header(alg=name) for name in [
            "rs256", "RS256 ", "RS1", "RSA-OAEP", "ES256K", "dir"]},
    },
    "token_key_unnamed": {"no kid": _header(kid=None)},
    "token_key_unknown": {
        **{f"kid {kid[:40]!r}": _header(kid=kid) for kid in [
            "", "unknown", "RS256", "rs256 ", "rs25", "rs2567", "../../../../dev/null", "/etc/passwd",
            "file:///etc/hostname", "rs256\0", "rs256' OR '1'='1", "x' UNION SELECT 'key'; --", "*", "0",
            "keys/0", "laboratory", "k" * 3000, "ｒs256"]},
        "kid a URL": lambda clinic: clinic.read(header={"kid": "http://127.0.0.1:1/jwks"}),
    },
    "token_key_mismatch": {
        "PS256 under a key of RS256": _of("rs256", "PS256"),
        "RS256 under a key of PS256": _of("ps256", "RS256"),
        "RS512 under a key of RS256": _of("rs256", "RS512"),
        "ES384 under P-256": _of("es256", alg="ES384"),
        "ES256 under P-384": _of("es384", alg="ES256"),
        "ES512 under P-384": _of("es384", alg="ES512"),
        "ES256 under RSA": _of("any-rsa", "RS256", alg="ES256"),
        "RS256 under P-256": _of("es256", alg="RS256"),
        "RS256 under Ed25519": _of("eddsa", alg="RS256"),
        "EdDSA under RSA": _of("any-rsa", "RS256", alg="EdDSA"),
        "EdDSA under P-256": _of("es256", alg="EdDSA"),
    },
    "token_signature_invalid": {
        "empty": _form("{head}.{claims}."),
        "one byte": _form("{head}.{claims}.AA"),
        "cut": _signature(lambda text: b64(_bytes(text)[:-1])),
        "longer": _signature(lambda text: b64(_bytes(text) + b"xx")),
        "zero before": _signature(lambda text: b64(bytes(1) + _bytes(text))),
        "zeros": _signature(lambda text: b64(bytes(256))),
        "of another token": lambda clinic: ".".join(
            [*clinic.read(sub="root").split(".")[:2], clinic.read().split(".")[2]]),
        "other claims": lambda clinic: with_claims(clinic.read(), patient="bob"),
        "longer life": lambda clinic: with_claims(clinic.read(), exp=int(time.time()) + 590),
        "other header": lambda clinic: ".".join(
            [b64(b'{"alg":"RS256","kid":"rs256","typ":"JWT"}'), *clinic.read().split(".")[1:]]),
        "the same claims written otherwise": _rewritten,
        "of a stranger's key": lambda clinic: clinic.read(Key("RS256", "rs256")),
        "of a stranger's P-256": lambda clinic: clinic.read(Key("ES256", "es256")),
        "of a stranger's Ed25519": lambda clinic: clinic.read(Key("EdDSA", "eddsa")),
        "of the clinic's other key": lambda clinic: clinic.read(clinic.key("RS256"), {"kid": "any-rsa"}),
        "PSS said to be PKCS#1": _of("any-rsa", "PS256", alg="RS256"),
        "PKCS#1 said to be PSS": _of("any-rsa", "RS256", alg="PS256"),
        "SHA-256 said to be SHA-384": _of("any-rsa", "RS256", alg="RS384"),
        "ECDSA, r and s zero": _es256_signature(lambda r, s: ZERO + ZERO),
        "ECDSA, r zero": _es256_signature(lambda r, s: ZERO + s),
        "ECDSA, s zero": _es256_signature(lambda r, s: r + ZERO),
        "ECDSA, r and s the order": _es256_signature(lambda r, s: ORDER + ORDER),
        "ECDSA, s and r": _es256_signature(lambda r, s: s + r),
        "ECDSA in DER": _es256_signature(
            lambda r, s: encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))),
        "ECDSA with a zero before each": _es256_signature(lambda r, s: bytes(1) + r + bytes(1) + s),
        "ECDSA, empty": _es256_signature(lambda r, s: b""),
    },
}


@pytest.mark.parametrize("make, code", by_name(UNPROVEN))
def test_a_token_that_is_not_proven_is_refused_without_saying_why(door, clinic, make, code):
    token = make(clinic)
    response = door.get(READ, token)
    record = door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit=code)
    assert "who" not in record, "nothing of an unproven token is believed"
    assert response.json()["issue"][0]["details"]["text"] == "the access token is not valid"


@pytest.mark.parametrize("header", [
    lambda url, key: {"jku": f"{url}/jwks"},
    lambda url, key: {"x5u": f"{url}/cert.pem"},
    lambda url, key: {"jwk": key.jwk()},
    lambda url, key: {"x5c": [b64(b"certificate")], "x5t": "AAAA"},
    lambda url, key: {"jku": f"{url}/jwks", "jwk": key.jwk(), "kid": f"{url}/jwks"},
    lambda url, key: {"iss": f"{url}", "jku": f"{url}/jwks", "kid": None},
], ids=["jku", "x5u", "jwk", "x5c", "all with kid as URL", "no kid"])
def test_a_key_that_the_token_brings_is_never_used(door, clinic, header):
    stranger = Key("RS256", "rs256")
    with _KeyServer(stranger) as server:
        token = clinic.read(stranger, header(server.url, stranger))
        response = door.get(READ, token)
        assert (response.status, response.reason) == (401, "token_invalid")
        assert door.envoy.audit(response.header("x-request-id"))["reason"] in (
            "token_signature_invalid", "token_key_unknown", "token_key_unnamed")
        assert server.requests == [] and door.upstream.requests == []


class _KeyServer(Server):
    """Would give the stranger's key to whoever asks."""

    def __init__(self, key):
        self.key, self.requests = key, []
        super().__init__()

    def answer(self, request):
        self.requests.append(request)
        return 200, [("content-type", "application/json")], json.dumps(jwks(self.key)).encode()


def test_each_issuer_has_its_own_keys(door, clinic, laboratory):
    """Both have a key `rs256`."""
    of_laboratory, of_clinic = laboratory.keys[0], clinic.key("RS256")
    door.allowed(door.get(READ, laboratory.token("patient/*.rs", patient="ann")))
    door.allowed(door.get(READ, clinic.read()))
    for token in (clinic.read(of_laboratory),
                  laboratory.token("patient/*.rs", of_clinic, patient="ann")):
        response = door.get(READ, token)
        door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_signature_invalid")
    response = door.get(READ, clinic.read(laboratory.keys[1]))
    door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_key_unknown")


def test_an_algorithm_of_another_issuer_is_refused(door, laboratory):
    """The second issuer has the default list: without PS*."""
    token = laboratory.keys[0].sign(laboratory.claims(scope="patient/*.rs"), algorithm="PS256")
    response = door.get(READ, token)
    door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_algorithm_refused")


def test_a_token_that_was_just_refused_or_taken_changes_nothing_for_the_next(door, clinic):
    """Good and bad by turns over one connection: nothing of one is left for the other."""
    good, bad = clinic.read(), with_claims(clinic.read(), patient="bob")
    for _ in range(5):
        door.allowed(door.get(READ, good))
        response = door.get(READ, bad)
        door.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_signature_invalid")
        door.refused(door.get(READ), 401, "token_missing", REALM)
    both = [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {bad}")]
    door.refused(door.get(READ, headers=both), 400, "token_duplicate", INVALID_REQUEST)
