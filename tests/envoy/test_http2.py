"""The same over HTTP/2, and what only HTTP/2 can carry."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import INVALID_REQUEST, INVALID_TOKEN, REALM, cases, narrowed
from lab import http2
from lab.http import NoResponse

READ = "/fhir/Patient/ann"
SEARCH = "/fhir/Observation/_search"
FORM = ("content-type", "application/x-www-form-urlencoded")


@pytest.fixture
def h2(gateway):
    return gateway.over(http2.Client(gateway.client.port))


def test_http2_is_judged_as_http1(h2, issuer):
    got, _ = h2.allowed(h2.get(READ, issuer.patient()))
    assert got.target == READ
    h2.refused(h2.get(READ), 401, "token_missing", challenge=REALM)
    h2.refused(h2.get("/fhir/Patient/bob", issuer.patient()), 403, "compartment_other_patient")


@pytest.mark.parametrize("target, code", cases(
    target_empty_segment=[b"/fhir//Patient/ann"],
    target_encoded_delimiter=[b"/fhir/Patient%2fann"],
    target_character=[b"/fhir/Patient/\xff", b"/fhir/Patient/ann?name=\xc3\xa9"],
))
def test_a_target_that_only_http2_can_carry_is_refused(h2, issuer, target, code):
    h2.refused(h2.get(target, issuer.patient()), 400, "target_ambiguous", audit=code)


@pytest.mark.parametrize("method", ["get", "BREW"])
def test_a_method_that_only_http2_can_carry_is_refused(h2, issuer, method):
    response = h2.send(method, READ, issuer.patient())
    h2.refused(response, 405, "request_method_unknown")


def test_two_tokens_over_http2_are_refused(h2, issuer):
    token = issuer.patient()
    headers = [("authorization", f"Bearer {token}")] * 2
    h2.refused(h2.get(READ, headers=headers), 400, "token_duplicate", INVALID_REQUEST)


@pytest.mark.parametrize("value, code", [
    ("Bearer {} ", "token_unreadable"), ("Bearer  {}", "token_unreadable")])
def test_spaces_that_only_http2_keeps_are_refused(h2, issuer, value, code):
    response = h2.get(READ, headers=[("authorization", value.format(issuer.patient()))])
    h2.refused(response, 401, "token_invalid", INVALID_TOKEN, audit=code)


def test_a_host_header_beside_the_authority_goes_no_further(h2, issuer):
    got, _ = h2.allowed(h2.get(READ, issuer.patient(), headers=[("host", "other.example")]))
    assert got.header("host") == f"127.0.0.1:{h2.client.port}"


@pytest.mark.parametrize("trailers", [[], [("x-checksum", "1")]], ids=["", "with trailers"])
@pytest.mark.parametrize("frames", [
    [b"code=8867-4"], [b"code", b"=88", b"", b"67-4"]], ids=["", "in frames"])
def test_a_form_over_http2_is_judged_whole(h2, issuer, frames, trailers):
    token = issuer.patient()
    got, _ = h2.allowed(h2.send("POST", SEARCH, token, [FORM], frames, trailers=trailers))
    narrowed(got, b"code=8867-4")
    other = [*frames, b"&patient=bob"]
    response = h2.send("POST", SEARCH, token, [FORM], other, trailers=trailers)
    h2.refused(response, 403, "search_other_patient")


def test_a_search_with_trailers_and_no_form_is_narrowed(h2, issuer):
    response = h2.send("POST", SEARCH, issuer.patient(), [FORM], trailers=[("x-checksum", "1")])
    got, _ = h2.allowed(response)
    assert (got.target, got.body) == (f"{SEARCH}?patient=Patient%2Fann", b"")


def test_a_head_that_is_not_http2_reaches_nobody(h2, issuer, upstream):
    """All at once: Envoy takes a second to close such a connection."""
    token = issuer.patient()

    def is_dropped(headers):
        try:
            h2.client.request("GET", READ, headers, token=token)
        except NoResponse:
            return True

    with ThreadPoolExecutor() as pool:
        dropped = dict(zip(NOT_HTTP2, pool.map(is_dropped, NOT_HTTP2.values())))
    assert all(dropped.values()), dropped
    assert upstream.requests == []


NOT_HTTP2 = {
    "two paths": [(":path", "/fhir/metadata"), (":path", READ)],
    "an unknown pseudo header": [(":unknown", "x")],
    "a star": [(":path", "*")],
    "no slash": [(":path", "fhir")],
    "a space": [(":path", "/fhir/Patient/a nn")],
    "absolute": [(":path", "http://a/fhir/Patient/ann")],
    "upper case": [("Authorization", "Bearer x")],
    "NUL": [("x-a", "a\0b")],
    "a line": [("x-a", "a\r\nx-b: c")],
    "chunked": [("transfer-encoding", "chunked")],
}
