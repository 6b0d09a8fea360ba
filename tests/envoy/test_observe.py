"""Mode `observe`: everything is decided and written down, nothing is refused or narrowed."""

import socket
import time

import pytest

from lab import tokens
from lab.http import message
from test_policy import FORM, JSON, name


@pytest.fixture(scope="module")
def observing(listen, configuration, issuer):
    """Envoy's own checks are off, so that what phiward would refuse arrives at it."""
    return settled(listen("observe", observe(configuration()), hardened=False), issuer)


def observe(configuration, **changes):
    return {**configuration, **changes, "mode": "observe"}


def settled(gateway, issuer):
    """Waits until the filter has its keys and its list, which only the audit record tells."""
    deadline = time.monotonic() + 15
    while any(record(gateway, answer)["would"] != "allow" for answer in
              gateway.on_every_worker("/fhir/Patient/ann", issuer.patient())):
        assert time.monotonic() < deadline, "the filter did not get ready"
    gateway.upstream.clear()
    return gateway


def record(gateway, response):
    return gateway.envoy.audit(response.header("x-request-id"))


def observed(gateway, response, reason, would="deny"):
    """Proves that the request went through, and what would have become of it. Returns what the FHIR
    server got and the audit record."""
    assert response.status == 200, response
    line = record(gateway, response)
    assert line["decision"] == "allow"
    assert line["observe"] is True
    assert (line["would"], line["reason"]) == (would, reason)
    assert line["outcome"]["status"] == 200
    (got,) = gateway.upstream.with_id(response.header("x-request-id"))
    return got, line


WOULD_BE_REFUSED = [
    ("GET", "/fhir/Patient/ann", None, "token_missing"),
    ("GET", "/fhir/Patient/ann", "garbage", "token_shape"),
    ("GET", "/fhir/Patient/ann", "unsigned", "token_algorithm_refused"),
    ("GET", "/fhir/Patient/ann", "expired", "token_expired"),
    ("GET", "/fhir/Patient/ann", "foreign", "token_audience"),
    ("GET", "/fhir/Patient/ann?access_token=x", "patient", "token_in_query"),
    ("GET", "/fhir/Patient/ben", "patient", "compartment_other_patient"),
    ("HEAD", "/fhir/Observation/1", "patient", "head_unjudged"),
    ("GET", "/fhir/Observation/1?_format=xml", "patient", "format_unjudged"),
    ("GET", "/fhir/Group/1", "patient", "search_subject_unknown"),
    ("GET", "/fhir/Observation?patient=ben", "patient", "search_other_patient"),
    ("GET", "/fhir/Observation?_list=1&x=a%20b+c", "patient", "search_list_unjudged"),
    ("GET", "/fhir/Observation", "scopeless", "scope_insufficient"),
    ("POST", "/fhir/Observation", "patient", "write_not_member"),
    ("PUT", "/fhir/Patient/ann", "patient", "body_type"),
    ("DELETE", "/fhir/Patient/ben", "patient", "compartment_other_patient"),
    ("POST", "/fhir", "clinician", "body_type"),
    ("GET", "/fhir/Patient/ann/$meta", "clinician", "operation_not_listed"),
    ("GET", "/fhir//Patient/ann", "patient", "target_empty_segment"),
    ("GET", "/fhir/Patient/ann/../ben", "patient", "target_dot_segment"),
    ("GET", "/fhir/Patient;v=1/ann", "patient", "target_semicolon"),
    ("GET", "/fhir/Patient%2fann", "patient", "target_encoded_delimiter"),
    ("GET", "/fhir/patient/ann", "patient", "fhir_type_unknown"),
    ("GET", "/other", "patient", "fhir_outside_base"),
    ("GET", "/fhir/Observation?a=%zz", "patient", "parameter_escape"),
    ("PUT", "/fhir/Observation", "clinician", "fhir_criteria_missing"),
    ("OPTIONS", "/fhir/Observation", "clinician", "fhir_method"),
    ("POST", "/fhir/Observation/_search patient=ben", "patient", "search_other_patient"),
    ("POST", "/fhir/Observation/_search access_token=x", "patient", "token_in_form"),
    ("POST", "/fhir/Observation/_search %zz", "patient", "parameter_escape"),
]


def token_of(issuer, who):
    special = {
        None: lambda: None,
        "garbage": lambda: "not-a-token",
        "unsigned": lambda: tokens.unsigned(
            issuer.claims(scope="patient/*.rs", patient="ann"), kid="rsa-1"),
        "expired": lambda: issuer.patient(now=int(time.time()) - 4000, lifetime=300),
        "foreign": lambda: issuer.patient(aud="https://other.example"),
        "scopeless": lambda: issuer.patient(scope="openid"),
    }
    return special[who]() if who in special else getattr(issuer, who)()


@pytest.mark.parametrize("method, target, who, reason", WOULD_BE_REFUSED, ids=[
    name(f"{reason} {method} {target}") for method, target, _, reason in WOULD_BE_REFUSED])
def test_what_would_be_refused_goes_through_as_it_came(observing, issuer, method, target, who, reason):
    target, _, form = target.partition(" ")
    headers = [("prefer", "respond-async"), ("x-phiward-patient", "ben"), ("x-kept", "1")]
    body = form.encode()
    if method in ("POST", "PUT"):
        headers += FORM if form else JSON
        body = body or b'{"resourceType": "Observation"}'
    token = token_of(issuer, who)
    response = observing.send(method, target, token, headers=headers, body=body)
    got, _ = observed(observing, response, reason)
    assert (got.method, got.target, got.body) == (method, target, body)
    assert got.header("authorization") == (f"Bearer {token}" if token else None)
    assert got.header("prefer") == "respond-async"
    assert got.header("x-kept") == "1"
    assert got.header("x-phiward-patient") is None


@pytest.mark.parametrize("method, target, body", [
    ("GET", "/fhir/Observation?code=1", b""),
    ("POST", "/fhir/Observation/_search", b"code=1"),
    ("GET", "/fhir/Patient", b""),
], ids=str)
def test_what_would_be_narrowed_is_not(observing, issuer, method, target, body):
    token = issuer.patient()
    response = observing.send(method, target, token, headers=FORM if body else (), body=body)
    got, line = observed(observing, response, "allowed", would="allow")
    assert (got.target, got.body) == (target, body)
    assert got.header("prefer") is None
    assert line["narrowed"] == ["_id=ann" if "/Patient" in target else "patient=Patient/ann"]


@pytest.mark.parametrize("target", ["/fhir/Observation/ben-1", "/fhir/Observation"])
def test_what_would_be_held_is_not(observing, issuer, target):
    """Answers are not judged: longer ones than Envoy can hold go through."""
    body = b'"Patient/ben"' + b" " * (9 * 2 ** 20)
    observing.upstream.reply = lambda _: (200, [("content-encoding", "x")], body)
    headers = [("accept", "application/fhir+json, */*"), ("if-none-match", '"1"'), ("range", "bytes=0-9")]
    response = observing.get(target, issuer.patient(), headers=headers)
    got, line = observed(observing, response, "allowed", would="allow")
    assert response.body == body
    assert set(headers) <= set(got.headers)
    assert "removed" not in line


def test_what_would_be_allowed_is_marked_too(observing, issuer):
    token = issuer.clinician()
    got, line = observed(
        observing, observing.get("/fhir/Patient/ann", token), "allowed", would="allow")
    assert got.header("authorization") == f"Bearer {token}"
    assert line["who"]["user"] == "Practitioner/dr-grey"


def test_public_documents_are_public(observing):
    observed(observing, observing.get("/fhir/metadata"), "allowed", would="allow")


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1, 1_000_000])
def test_a_long_form_arrives_whole(observing, issuer, size):
    form = b"_content=" + b"x" * (size - 9)
    response = observing.send("POST", "/fhir/Observation/_search", issuer.patient(), headers=FORM,
                              body=form)
    refused = size > 64 * 1024
    got, _ = observed(observing, response, "form_too_long" if refused else "allowed",
                      would="deny" if refused else "allow")
    assert got.body == form


def test_identity_is_not_told(listen, configuration, issuer):
    """Headers that say whom phiward let in would be believed."""
    changed = observe(configuration(), forward={"headers": ["subject", "patient"]})
    gateway = listen("observe-identity", changed, hardened=False)
    for target in ("/fhir/Patient/ann", "/fhir/Patient/ben"):
        response = gateway.get(target, issuer.patient())
        (got,) = gateway.upstream.with_id(response.header("x-request-id"))
        assert not [name for name, _ in got.headers if name.startswith("x-phiward")]


def test_the_lock_lets_through_what_is_observed(listen, configuration, issuer):
    """As shipped: with the RBAC filter behind phiward."""
    gateway = settled(listen("observe-shipped", observe(configuration())), issuer)
    observed(gateway, gateway.get("/fhir/Patient/ben", issuer.patient()), "compartment_other_patient")
    observed(gateway, gateway.get("/fhir/Patient/ben"), "token_missing")


def test_without_keys_and_lists_requests_go_through(listen, configuration, issuer):
    """A first rollout whose clusters are not right yet."""
    changed = observe(configuration())
    changed["issuers"][0]["jwks"]["cluster"] = "no-such-cluster"
    gateway = listen("observe-keyless", changed, ready=False, hardened=False)
    observed(gateway, gateway.get("/fhir/Patient/ann", issuer.patient()), "keys_unavailable", "error")
    changed = observe(configuration())
    changed["revocation"]["cluster"] = "no-such-cluster"
    gateway = listen("observe-listless", changed, ready=False, hardened=False)
    deadline = time.monotonic() + 5
    while record(gateway, response := gateway.get("/fhir/Patient/ann", issuer.patient()))[
            "reason"] == "keys_unavailable":
        assert time.monotonic() < deadline
    observed(gateway, response, "revocation_unavailable", "error")


def test_a_form_that_never_came_was_not_let_through(observing, issuer):
    request_id = f"observe-form-{time.time_ns()}"
    head = message("POST", "/fhir/Observation/_search", observing.client.port,
                   [*FORM, ("x-request-id", request_id), ("content-length", "20")], b"",
                   issuer.patient())
    with socket.create_connection(("127.0.0.1", observing.client.port)) as connection:
        connection.sendall(head + b"code=")
        time.sleep(0.1)
    line = observing.envoy.audit(request_id)
    assert (line["decision"], line["reason"]) == ("error", "request_not_decided")
    assert "observe" not in line
    assert observing.upstream.requests == []
