"""What a client can do with the body of a search, and with bodies where none belongs."""

import pytest

from gateway import INVALID_REQUEST, REALM, narrowed
from lab.http import Client, message

READ = "/fhir/Patient/ann"
SEARCH = "/fhir/Observation/_search"
FORM = ("content-type", "application/x-www-form-urlencoded")
CHUNKED = ("transfer-encoding", "chunked")
MAX_FORM = 64 * 1024


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    'application/x-www-form-urlencoded;charset="UTF-8"'])
def test_a_form_is_judged_and_narrowed(gateway, issuer, content_type):
    headers = [("content-type", content_type)]
    response = gateway.send("POST", SEARCH, issuer.patient(), headers, b"code=8867-4")
    got, record = gateway.allowed(response)
    narrowed(got, b"code=8867-4")
    assert [one["name"] for one in record["what"]["parameters"]] == ["code"]


@pytest.mark.parametrize("headers, status, code", [
    ([("content-type", "application/fhir+json")], 415, "fhir_media_type"),
    ([("content-type", "multipart/form-data; boundary=x")], 415, "fhir_media_type"),
    ([("content-type", "text/plain")], 415, "fhir_media_type"),
    ([], 415, "fhir_media_type"),
    ([FORM, FORM], 400, "fhir_content_duplicate"),
    ([FORM, ("content-type", "application/fhir+json")], 400, "fhir_content_duplicate"),
    ([("content-type", f"{FORM[1]}; charset=utf-16")], 415, "fhir_form_encoding"),
    ([("content-type", f"{FORM[1]}; charset=ibm037")], 415, "fhir_form_encoding"),
    ([FORM, ("content-encoding", "gzip")], 415, "fhir_form_encoding"),
    ([FORM, ("content-encoding", "identity"), ("content-encoding", "gzip")], 415, "fhir_form_encoding"),
], ids=["json", "multipart", "text", "none", "twice", "two types", "utf-16", "ebcdic", "gzip",
        "gzip second"])
def test_a_search_body_that_is_not_a_plain_form_is_refused(gateway, issuer, headers, status, code):
    response = gateway.send("POST", SEARCH, issuer.patient(), headers, b"code=8867-4")
    gateway.refused(response, status, code)


@pytest.mark.parametrize("body, status, code", [
    (b"subject=Patient/bob", 403, "search_other_patient"),
    (b"patient=ann&patient=bob", 403, "search_other_patient"),
    (b"_revinclude=Provenance", 400, "search_include_invalid"),
    (b"code=%zz", 400, "parameter_escape"),
    (b"code=a;patient=bob", 400, "parameter_character"),
    (b"code=\xff", 400, "parameter_character"),
    (b"code=a\r\nb", 400, "parameter_character"),
    (b"{\"code\":1}", 400, "parameter_name"),
    (b"&".join([b"a=1"] * 1001), 400, "parameters_too_many"),
], ids=["other patient", "two patients", "include", "escape", "semicolon", "not UTF-8", "line",
        "json", "1001"])
def test_the_criteria_of_a_form_are_judged(gateway, issuer, body, status, code):
    response = gateway.send("POST", SEARCH, issuer.patient(), [FORM], body)
    gateway.refused(response, status, code)


@pytest.mark.parametrize("method, target", [
    ("GET", "/fhir/Observation"), ("GET", READ), ("HEAD", READ), ("DELETE", "/fhir/Observation?code=1")])
def test_a_body_where_none_belongs_is_refused(gateway, issuer, method, target):
    """Some servers read parameters from it, and others take it for the next request."""
    body = b"_revinclude=Provenance:target"
    for content_type in (FORM, ("content-type", "application/fhir+json")):
        headers = [content_type, ("content-length", str(len(body)))]
        response = gateway.send(method, target, issuer.clinician(), headers, body)
        gateway.refused(response, 400, "body_unexpected", method=method)


def test_a_form_is_not_announced_where_none_belongs(gateway, issuer):
    response = gateway.send("GET", READ, issuer.clinician(), [FORM])
    gateway.refused(response, 415, "fhir_media_type")


def test_an_empty_form_is_narrowed_in_the_query(gateway, issuer):
    for headers in ([], [FORM]):
        got, _ = gateway.allowed(gateway.send("POST", SEARCH, issuer.patient(), headers))
        assert (got.target, got.body) == (f"{SEARCH}?patient=Patient%2Fann", b"")


def chunks(body, size, trailers=b""):
    """The body in chunks of this size."""
    parts = (body[at:at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("trailers", [b"", b"x-checksum: 1\r\n"], ids=["", "with trailers"])
def test_a_chunked_form_is_judged_whole(gateway, issuer, size, trailers):
    body = b"code=8867-4&date=ge2026"
    response = gateway.send(
        "POST", SEARCH, issuer.patient(), [FORM, CHUNKED], chunks(body, size, trailers))
    got, _ = gateway.allowed(response)
    narrowed(got, body)
    body += b"&patient=bob"
    response = gateway.send(
        "POST", SEARCH, issuer.patient(), [FORM, CHUNKED], chunks(body, size, trailers))
    gateway.refused(response, 403, "search_other_patient")


def test_a_form_that_comes_piece_by_piece_is_judged_whole(gateway, issuer, upstream):
    token, body = issuer.patient(), b"code=8867-4&subject=Patient/"

    def talk(patient):
        def slowly(client, request_id):
            head = message("POST", SEARCH, client.port, [
                ("x-request-id", request_id), FORM, ("content-length", str(len(body) + 3))], token=token)
            with Client(client.port) as other:
                other.begin(head)
                for at in range(0, len(body), 4):
                    other.more(body[at:at + 4])
                assert upstream.requests == [], "before the end of the form"
                return other.end(patient)
        return slowly

    got, _ = gateway.allowed(gateway.exchange(talk(b"ann"), token))
    assert got.body.startswith(body + b"ann")
    upstream.clear()
    gateway.refused(gateway.exchange(talk(b"bob"), token), 403, "search_other_patient")


def test_a_form_is_read_up_to_its_limit(gateway, issuer):
    token = issuer.patient()
    longest = b"code=" + b"1" * (MAX_FORM - 5)
    got, _ = gateway.allowed(gateway.send("POST", SEARCH, token, [FORM], longest))
    narrowed(got, longest)
    for headers, body in [
            ([FORM], longest + b"1"),
            ([FORM, CHUNKED], chunks(longest + b"1", 5000)),
            ([FORM], longest * 80)]:  # more than Envoy would hold
        response = gateway.exchange(_despite_reset("POST", SEARCH, token, headers, body), token)
        gateway.refused(response, 413, "form_too_long")


def _despite_reset(method, target, token, headers, body):
    """Sends a body of which the rest may be turned away, and reads the answer."""
    def talk(client, request_id):
        data = message(method, target, client.port, [("x-request-id", request_id), *headers], body, token)
        with Client(client.port) as other:
            other.begin(data)
            return other.end()
    return talk


def test_without_a_token_a_form_is_not_even_awaited(gateway):
    def talk(client, request_id):
        head = message("POST", SEARCH, client.port, [
            ("x-request-id", request_id), FORM, ("content-length", "1000")])
        with Client(client.port) as other:
            other.begin(head)
            return other.end()
    gateway.refused(gateway.exchange(talk), 401, "token_missing", challenge=REALM)


def test_expect_100_continue_is_answered_by_envoy_and_judged_by_phiward(gateway, issuer):
    headers = [FORM, ("expect", "100-continue")]
    got, _ = gateway.allowed(gateway.send("POST", SEARCH, issuer.patient(), headers, b"code=1"))
    narrowed(got, b"code=1")
    assert got.header("expect") is None
    response = gateway.send("POST", SEARCH, headers=headers, body=b"code=1")
    gateway.refused(response, 401, "token_missing", challenge=REALM)


@pytest.mark.parametrize("headers, status", [
    ([CHUNKED, ("content-length", "4")], 400),
    ([("content-length", "4"), ("content-length", "6")], 400),
    ([("transfer-encoding", "xchunked")], 501),
    ([("transfer-encoding", "chunked, identity")], 501),
    ([("content-length", "-1")], 400),
], ids=["two lengths", "two different lengths", "unknown coding", "two codings", "negative length"])
def test_a_body_of_doubtful_length_reaches_nobody(gateway, issuer, headers, status):
    smuggled = b"0\r\n\r\nGET /fhir/Patient/bob HTTP/1.1\r\nhost: a\r\n\r\n"
    gateway.stopped_by_envoy(
        lambda: gateway.send("POST", SEARCH, issuer.patient(), [FORM, *headers], smuggled), status)


@pytest.mark.parametrize("name, code", [
    ("access_token", "token_in_form"), ("Access_Token", "token_in_form"), ("id_token", "token_in_form"),
    ("_method", "method_override")])
def test_a_form_carries_criteria_only(gateway, issuer, name, code):
    token = issuer.patient()
    body = f"code=1&{name}={'DELETE' if name == '_method' else token}"
    response = gateway.send("POST", SEARCH, token, [FORM], body.encode())
    challenge = INVALID_REQUEST if code == "token_in_form" else None
    gateway.refused(response, 400, code, challenge=challenge)


def test_a_token_in_a_form_alone_is_no_token(gateway, issuer):
    body = f"access_token={issuer.patient()}".encode()
    response = gateway.send("POST", SEARCH, headers=[FORM], body=body)
    gateway.refused(response, 401, "token_missing", challenge=REALM)
