"""What a client can do with the request head. Envoy's own checks are off where phiward's are tested
(`gateway`), on where both are (`shipped`)."""

import json

import pytest

from gateway import INVALID_REQUEST, INVALID_TOKEN, REALM, cases, fresh_id
from lab.http import Client, message

READ = "/fhir/Patient/ann"
SEARCH = "/fhir/Observation/_search"
FORM = ("content-type", "application/x-www-form-urlencoded")
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
MAX_TARGET = 8 * 1024


# Targets.

TARGETS = cases(
    target_empty_segment=["//fhir/Patient/ann", "/fhir//Patient/ann", "/fhir/Patient//ann",
                          "/fhir/Patient/ann//", "///"],
    target_dot_segment=["/fhir/./Patient/ann", "/fhir/x/../Patient/ann", "/fhir/../fhir/Patient/ann",
                        "/fhir/Patient/ann/..", "/fhir/Patient/ann/.", "/../fhir/Patient/ann",
                        "/fhir/%2e%2e/fhir/Patient/ann", "/fhir/.%2E/fhir/Patient/ann",
                        "/fhir/%2E/Patient/ann", "/fhir/Patient/ann%2e"],
    target_encoded_delimiter=["/fhir/Patient%2fann", "/fhir/Patient%2Fann", "/fhir/Patient%5cann",
                              "/fhir/Patient%5Cann", "/fhir/Patient/%25", "/fhir/%252e%252e/fhir",
                              "/fhir/Patient/ann%3bx=1", "/fhir/Patient/ann%3F_history",
                              "/fhir/Patient/ann%23x"],
    target_encoded_control=["/fhir/Patient/ann%00", "/fhir/Patient/ann%0a", "/fhir/Patient/ann%0D",
                            "/fhir/Patient/ann%09", "/fhir/Patient/ann%7f", "/%1F"],
    target_backslash=["/fhir\\Patient\\ann", "/fhir/Patient/..\\ann", "/fhir/Patient?name=a\\b"],
    target_semicolon=["/fhir/Patient;a=b/ann", "/fhir/Patient/ann;jsessionid=1", "/fhir/..;/fhir/Patient",
                      "/fhir/Patient/bob;/../ann", "/fhir/Patient?name=a;b"],
    target_escape=["/fhir/Patient/%", "/fhir/Patient/%4", "/fhir/Patient/%zz", "/fhir/Patient/%u0061nn",
                   "/fhir/Patient/% 41nn".replace(" ", "+")],
    target_encoded_unreserved=["/fhir/%50atient/ann", "/fhir/Patient/%61nn", "/fhir/Patient/a%2dnn",
                               "/fhir/Patient/a%7Enn", "/f%68ir/Patient/ann"],
    target_not_utf8=["/fhir/Patient/%ff", "/fhir/Patient/%c0%ae%c0%ae", "/fhir/Patient/%c0%afx",
                     "/fhir/Patient/%ed%a0%80"],
)


@pytest.mark.parametrize("target, code", TARGETS)
def test_a_target_that_two_parsers_could_read_differently_is_refused(gateway, issuer, target, code):
    response = gateway.get(target, issuer.clinician())
    gateway.refused(response, 400, "target_ambiguous", audit=code)


@pytest.mark.parametrize("target, code", cases(
    parameter_escape=["?name=%", "?name=%4", "?name=%zz", "?na%me=x"],
    parameter_not_utf8=["?name=%ff", "?name=%c0%af"],
    parameter_control=["?name=a%00b", "?name=a%0d%0ab", "?name=%7f"],
    parameter_name=["?=x", "?na%20me=x", "?name%5B%5D=x", "?na+me=x", "?n%C3%A4me=x"],
    parameters_too_many=["?" + "&".join(["a=1"] * 1001)],
    method_override=["?_method=DELETE", "?name=x&_METHOD=DELETE", "?_%6dethod=PUT"],
))
def test_a_query_that_two_parsers_could_read_differently_is_refused(gateway, issuer, target, code):
    response = gateway.get(f"/fhir/Patient{target}", issuer.clinician())
    gateway.refused(response, 400, code)


def test_a_target_is_read_up_to_its_limit(gateway, issuer):
    longest = READ + "?_format=" + "a" * (MAX_TARGET - len(READ) - len("?_format="))
    token = issuer.clinician()
    gateway.allowed(gateway.get(longest, token))
    gateway.refused(gateway.get(longest + "a", token), 414, "target_too_long")


@pytest.mark.parametrize("target", [
    b"/fhir/Patient/ann#x", b"fhir/Patient/ann", b"*", b"/fhir/Patient/a\x01nn", b"/fhir/Patient/\xff",
    b"/fhir/Patient/a nn", b"ftp://127.0.0.1/fhir/Patient/ann", b"http://"],
    ids=lambda target: target.decode("latin-1"))
def test_what_envoy_can_not_read_reaches_nobody(gateway, issuer, target):
    gateway.stopped_by_envoy(lambda: gateway.get(target, issuer.clinician()), 400)


def test_an_absolute_target_is_judged_as_the_path_and_host_that_it_names(gateway, issuer):
    """Envoy drops the `host` header then (RFC 9112 section 3.2.2): one host is left, for phiward
    and the FHIR server alike."""
    token = issuer.clinician()
    got, _ = gateway.allowed(gateway.get("http://other.example/fhir/Patient/ann", token))
    assert (got.target, got.header("host")) == (READ, "other.example")
    response = gateway.get("http://other.example//fhir/Patient/ann", token)
    gateway.refused(response, 400, "target_ambiguous", audit="target_empty_segment")


@pytest.mark.parametrize("target", ["/fhir//Patient/ann", "/fhir/x/../Patient/ann", "//fhir/./Patient/ann"])
def test_what_envoy_normalises_is_judged_and_forwarded_normalised(shipped, issuer, target):
    got, _ = shipped.allowed(shipped.get(target, issuer.patient()))
    assert got.target == READ
    response = shipped.get(target.replace("ann", "bob"), issuer.patient())
    shipped.refused(response, 403, "compartment_other_patient", challenge=None)


@pytest.mark.parametrize("target", [
    "/fhir/Patient%2fann", "/fhir/Patient%5Cann", "/fhir/Patient/ann%00", "/fhir/..%2fPatient/ann"])
def test_the_shipped_envoy_stops_encoded_slashes_first(shipped, issuer, target):
    shipped.stopped_by_envoy(lambda: shipped.get(target, issuer.clinician()), 400)


# Paths, types, methods.

@pytest.mark.parametrize("target, code", cases(
    fhir_outside_base=["/", "/other", "/fhirx/Patient/ann", "/FHIR/Patient/ann", "/Patient/ann",
                       "/fhir.bak/Patient/ann"],
    fhir_type_unknown=["/fhir/patient/ann", "/fhir/PATIENT/ann", "/fhir/Patients/ann", "/fhir/fhir/Patient",
                       "/fhir/Resource", "/fhir/pati%C3%A9nt/ann", "/fhir/Patient%20/ann"],
    fhir_path_unknown=["/fhir/Patient/ann/_history/1/x", "/fhir/Patient/ann/_unknown",
                       "/fhir/Patient/ann/Observation/o1"],
    fhir_compartment_unknown=["/fhir/Patient/ann/Patients", "/fhir/Medication/m1/Observation"],
))
def test_a_path_that_is_not_part_of_the_api_is_not_found(gateway, issuer, target, code):
    gateway.refused(gateway.get(target, issuer.clinician()), 404, code)


@pytest.mark.parametrize("target, code", cases(
    fhir_trailing_slash=["/fhir/Patient/", "/fhir/Patient/ann/", "/fhir/metadata/"],
    fhir_id_invalid=["/fhir/Patient/a_b", "/fhir/Patient/" + "a" * 65, "/fhir/Patient/ann%20",
                     "/fhir/Patient/ann/_history/a_b", "/fhir/Patient/*"],
    fhir_operation_name=["/fhir/$", "/fhir/Patient/$", "/fhir/Patient/ann/$a*b"],
))
def test_a_malformed_path_is_refused(gateway, issuer, target, code):
    gateway.refused(gateway.get(target, issuer.clinician()), 400, code)


@pytest.mark.parametrize("method, target, allow", [
    ("PUT", "/fhir/metadata", "GET, HEAD"),
    ("GET", SEARCH, "POST"),
    ("GET", "/fhir/_search", "POST"),
    ("POST", READ, "GET, HEAD, PUT, PATCH, DELETE"),
    ("DELETE", f"{READ}/_history", "GET, HEAD"),
    ("PUT", "/fhir", "GET, HEAD, POST, DELETE"),
    ("PATCH", "/fhir/Patient/$match", "GET, HEAD, POST"),
    ("OPTIONS", READ, "GET, HEAD, PUT, PATCH, DELETE"),
])
def test_a_method_that_the_path_does_not_take_is_refused(gateway, issuer, method, target, allow):
    response = gateway.send(method, target, issuer.clinician())
    gateway.refused(response, 405, "fhir_method")
    assert response.header("allow") == allow


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "MKCOL", "PURGE", "LINK"])
def test_a_method_that_the_api_does_not_know_is_refused(gateway, issuer, method):
    response = gateway.send(method, READ, issuer.clinician())
    gateway.refused(response, 405, "request_method_unknown")
    assert response.header("allow") == METHODS


@pytest.mark.parametrize("method", ["get", "Get", "BREW", "CONNECT"])
def test_a_method_that_envoy_does_not_know_reaches_nobody(gateway, issuer, method):
    gateway.stopped_by_envoy(lambda: gateway.send(method, READ, issuer.clinician()), 400)


@pytest.mark.parametrize("name", [
    "x-http-method-override", "X-HTTP-Method", "x-method-override", "x_http_method_override"])
def test_a_header_that_replaces_the_method_goes_no_further(gateway, issuer, name):
    got, _ = gateway.allowed(gateway.get(READ, issuer.patient(), headers=[(name, "DELETE")] * 2))
    assert got.method == "GET"
    assert not [field for field, _ in got.headers if "method" in field], got.headers


def test_head_is_judged_as_get(gateway, issuer):
    allowed = gateway.send("HEAD", READ, issuer.patient())
    got, _ = gateway.allowed(allowed)
    assert (got.method, allowed.body) == ("HEAD", b"")
    refused = gateway.send("HEAD", "/fhir/Patient/bob", issuer.patient())
    gateway.refused(refused, 403, "compartment_other_patient", method="HEAD")


PREFLIGHT = [("origin", "https://app.example"), ("access-control-request-method", "GET")]


def test_a_preflight_needs_no_token(gateway):
    got, record = gateway.allowed(gateway.send("OPTIONS", READ, headers=PREFLIGHT))
    assert (got.method, record["what"]["interaction"]) == ("OPTIONS", "public")


@pytest.mark.parametrize("target, headers, status, code", [
    (READ, PREFLIGHT[:1], 405, "fhir_method"),
    (READ, PREFLIGHT[1:], 405, "fhir_method"),
    (READ, [*PREFLIGHT, ("authorization", "Bearer x")], 405, "fhir_method"),
    (READ, [PREFLIGHT[0], ("access-control-request-method", "BREW")], 405, "fhir_method"),
    (SEARCH, PREFLIGHT, 405, "fhir_method"),
    ("/fhir/Patients", PREFLIGHT, 404, "fhir_type_unknown"),
    ("/other", PREFLIGHT, 404, "fhir_outside_base"),
], ids=["no method", "no origin", "with a token", "unknown method", "method that the path does not take",
        "unknown type", "outside the API"])
def test_what_is_no_preflight_of_this_api_is_refused(gateway, target, headers, status, code):
    gateway.refused(gateway.send("OPTIONS", target, headers=headers), status, code)


# Two tokens, tokens in the wrong place.

@pytest.mark.parametrize("spoil", [
    lambda good: [("authorization", good), ("authorization", good)],
    lambda good: [("authorization", good), ("Authorization", "Bearer other")],
    lambda good: [("authorization", "Basic YTpi"), ("authorization", good)],
    lambda good: [("authorization", f"{good}, Bearer other")],
    lambda good: [("authorization", f"{good},")],
    lambda good: [("authorization", f",{good}")],
], ids=["the same twice", "two tokens", "basic first", "joined", "comma behind", "comma before"])
def test_two_credentials_are_refused(gateway, issuer, spoil):
    token = issuer.patient()
    response = gateway.send("GET", READ, headers=spoil(f"Bearer {token}"))
    gateway.refused(response, 400, "token_duplicate", challenge=INVALID_REQUEST)


@pytest.mark.parametrize("name", [
    "access_token", "ACCESS_TOKEN", "bearer_token", "id_token", "%61ccess_token", "access%5Ftoken"])
@pytest.mark.parametrize("with_header", [False, True], ids=["alone", "beside the header"])
def test_a_token_in_the_query_is_refused(gateway, issuer, name, with_header):
    token = issuer.patient()
    response = gateway.get(f"{READ}?{name}={token}", token if with_header else None)
    record = gateway.refused(response, 400, "token_in_query", challenge=INVALID_REQUEST)
    assert token not in str(record)


def test_a_token_in_a_cookie_is_no_token(gateway, issuer):
    token = issuer.patient()
    cookie = [("cookie", f"access_token={token}; Authorization=Bearer {token}")]
    gateway.refused(gateway.get(READ, headers=cookie), 401, "token_missing", challenge=REALM)


# Hosts and bytes that are not UTF-8.

@pytest.mark.parametrize("hosts, code", [
    (["a.example", "b.example"], "request_authority_invalid"),
    (["a.example", "a.example"], "request_authority_invalid"),
    (["user@a.example"], "request_authority_invalid"),
    (["a.example,b.example"], "request_authority_invalid"),
    ([""], "request_head_incomplete"),
], ids=["two", "the same twice", "with a user", "joined", "empty"])
def test_a_host_that_is_not_one_host_is_refused(gateway, issuer, hosts, code):
    response = gateway.get(READ, issuer.patient(), headers=[("host", host) for host in hosts])
    gateway.refused(response, 400, code)


@pytest.mark.parametrize("host", [b"a/b", b"a b", b"a\xffb", b"a?b"], ids=repr)
def test_a_host_that_envoy_can_not_read_reaches_nobody(gateway, issuer, host):
    gateway.stopped_by_envoy(
        lambda: gateway.get(READ, issuer.patient(), headers=[("host", host)]), 400)


@pytest.mark.parametrize("value", [
    b"Bearer \xff\xfe", b"Bearer a\xc3\xa9.b.c", b"Bearer \xc0\x80"], ids=repr)
def test_a_token_that_is_not_utf8_is_refused(gateway, value):
    response = gateway.get(READ, headers=[("authorization", value)])
    gateway.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_unreadable")


def test_a_scheme_that_is_not_utf8_is_refused(gateway):
    response = gateway.get(READ, headers=[("authorization", b"\xff\xfe")])
    gateway.refused(response, 401, "token_scheme_unsupported", challenge=REALM)


def test_header_values_that_are_not_utf8_do_no_harm(gateway, issuer):
    token = issuer.clinician()
    names = ["x-anything", "user-agent", "accept", "cookie", "origin", "x-phiward-subject", "content-type",
             "prefer", "x-forwarded-for"]
    for name in names:
        response = gateway.get(READ, token, headers=[(name, b"\xff\xfe\x80")])
        got, _ = gateway.allowed(response)
        if name == "x-anything":
            assert got.header(name) == "\xff\xfe\x80"
    response = gateway.get(READ, token, headers=[("if-none-exist", b"\xff\xfe\x80")])
    gateway.refused(response, 400, "parameter_character")


def test_a_request_id_that_is_not_utf8_is_audited_readably_and_not_repeated(gateway, envoy, upstream):
    request_id = fresh_id()
    response = gateway.client.request("GET", READ, [("x-request-id", request_id.encode() + b"\xff")])
    assert (response.status, response.reason) == (401, "token_missing")
    assert "diagnostics" not in response.json()["issue"][0]
    assert envoy.audit(request_id + "\ufffd")["reason"] == "token_missing"
    assert upstream.requests == []


@pytest.mark.parametrize("nasty", ['"},"decision":"allow', "a b", "x" * 2000, "\\u0000", "<script>"])
def test_a_request_id_can_not_forge_a_record_or_an_answer(gateway, envoy, nasty):
    request_id = fresh_id() + nasty
    response = gateway.client.request("GET", READ, [("x-request-id", request_id)])
    assert (response.status, response.reason) == (401, "token_missing")
    assert json.loads(response.body)["issue"][0].get("diagnostics", request_id).endswith(nasty)
    audited = request_id if len(nasty) < 100 else request_id[:256] + "\u2026"
    record = envoy.audit(audited)
    assert (record["decision"], record["reason"]) == ("deny", "token_missing")


@pytest.mark.parametrize("targets, reasons", [
    ([READ, "/fhir/Patient/bob"], ["allowed", "compartment_other_patient"]),
    (["/fhir/Patient/bob", READ, READ], ["compartment_other_patient", "allowed", "allowed"]),
    ([READ, "/fhir//Patient/ann"], ["allowed", "target_empty_segment"]),
], ids=["refused last", "refused first", "malformed last"])
def test_pipelined_requests_are_judged_one_by_one(gateway, issuer, envoy, upstream, targets, reasons):
    ids = [fresh_id() for _ in targets]
    token = issuer.patient()
    with Client(gateway.client.port) as client:
        client.begin(b"".join(
            message("GET", target, client.port, [("x-request-id", one)], token=token)
            for one, target in zip(ids, targets)))
        answers = [client.end() for _ in ids]
    assert [answer.header("x-request-id") for answer in answers] == ids
    assert [envoy.audit(one)["reason"] for one in ids] == reasons
    allowed = [one for one, reason in zip(ids, reasons) if reason == "allowed"]
    assert [seen.header("x-request-id") for seen in upstream.requests] == allowed
