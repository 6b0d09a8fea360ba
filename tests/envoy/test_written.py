"""What is written: bodies that two readers could take differently, references to others, patches, and
what the FHIR server answers to a write."""

import gzip
import json

import pytest

from hostile import (
    CHUNKED, FHIR_JSON, FOREIGN, JSON_PATCH, MARK, OUTCOME, OWN, chunked, found_by, holds, observation, ok,
    passed, shows, turned_back)
from test_writes import MINE, PATCH, SCOPE, write

TEXT = json.dumps(OWN)


def short(value):
    """A name for a parameter."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 50 else f"{text[:20]}…{text[-25:]}"


def put(gateway, issuer, body, *headers):
    return gateway.send("PUT", f"/fhir/{MINE}", issuer.patient(), headers, body)


# Formats.

@pytest.mark.parametrize("headers, body, status, code", [
    ([("content-type", "application/fhir+xml")], b"<Observation/>", 415, "body_media_type"),
    ([("content-type", "application/fhir+turtle")], b"a:b", 415, "body_media_type"),
    ([("content-type", "text/plain")], TEXT, 415, "body_media_type"),
    ([("content-type", "application/fhir+ndjson")], TEXT, 415, "body_media_type"),
    ([("content-type", "multipart/form-data; boundary=x")], TEXT, 415, "body_media_type"),
    ([("content-type", "application/x-www-form-urlencoded")], TEXT, 415, "fhir_media_type"),
    ([("content-type", "application/fhir+json; charset=utf-16")], TEXT.encode("utf-16"), 415, "body_media_type"),
    ([("content-type", "application/fhir+json; fhirVersion=3.0")], TEXT, 415, "body_media_type"),
    ([("content-type", "application/fhir+json; boundary=x")], TEXT, 415, "body_media_type"),
    ([], TEXT, 415, "body_media_type"),
    ([FHIR_JSON, FHIR_JSON], TEXT, 400, "fhir_content_duplicate"),
    ([FHIR_JSON, ("content-type", "application/fhir+xml")], TEXT, 400, "fhir_content_duplicate"),
    ([("content-type", "application/fhir+json, application/fhir+xml")], TEXT, 400, "fhir_content_duplicate"),
    ([FHIR_JSON, ("content-encoding", "gzip")], gzip.compress(TEXT.encode()), 415, "body_encoding"),
    ([FHIR_JSON, ("content-encoding", "identity"), ("content-encoding", "br")], TEXT, 415, "body_encoding"),
    ([FHIR_JSON, ("content-range", "bytes 0-9/99")], TEXT, 400, "body_partial"),
], ids=short)
def test_a_body_in_another_format_than_plain_json_is_not_written(
        gateway, issuer, headers, body, status, code):
    holds(gateway, OWN)
    body = body if isinstance(body, bytes) else body.encode()
    gateway.refused(put(gateway, issuer, body, *headers), status, code)


UNREADABLE = "body_unreadable"


@pytest.mark.parametrize("body, code", [
    (b"", "body_missing"),
    (gzip.compress(TEXT.encode()), UNREADABLE),
    (TEXT.encode("utf-16"), UNREADABLE),
    (b"\xef\xbb\xbf" + TEXT.encode(), UNREADABLE),
    (TEXT.encode() + b"\xff", UNREADABLE),
    (TEXT[:-1].encode(), UNREADABLE),
    (TEXT.encode() + json.dumps(FOREIGN).encode(), UNREADABLE),
    (TEXT.encode()[:-1] + b', "subject": {"reference": "Patient/ben"}}', UNREADABLE),
    (TEXT.encode()[:-1] + b', "s\\u0075bject": {"reference": "Patient/ben"}}', UNREADABLE),
    (TEXT.encode()[:-1] + b', "resourceType": "Patient"}', UNREADABLE),
    (TEXT.encode()[:-1] + b', "note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", UNREADABLE),
    (TEXT.replace('"Ann"', '"\\ud800"').encode(), UNREADABLE),
    (TEXT.encode()[:-1] + b', "Subject": {"reference": "Patient/ben"}}', "body_member"),
    (TEXT.encode()[:-1] + b', "subject ": {"reference": "Patient/ben"}}', "body_member"),
    (TEXT.encode()[:-1] + b', "code": {"text": "", "TEXT": ""}}', UNREADABLE),
    (TEXT.encode()[:-1] + b', "@type": "x"}', "body_member"),
    (b"[" + TEXT.encode() + b"]", "body_type"),
    (b"null", "body_type"),
    (json.dumps({**OWN, "resourceType": "Condition"}).encode(), "body_type"),
    (json.dumps({**OWN, "resourceType": "observation"}).encode(), "body_type"),
    (json.dumps({"resourceType": "Bundle", "entry": [{"resource": OWN}]}).encode(), "body_type"),
    (json.dumps({**OWN, "id": "ben-1"}).encode(), "body_id"),
    (json.dumps({**OWN, "id": "ann-10"}).encode(), "body_id"),
    (json.dumps({**OWN, "id": ["ann-1"]}).encode(), "body_id"),
    (json.dumps({name: value for name, value in OWN.items() if name != "id"}).encode(), "body_id"),
], ids=short)
def test_a_body_that_two_readers_could_take_differently_is_not_written(gateway, issuer, body, code):
    holds(gateway, OWN)
    gateway.refused(put(gateway, issuer, body, FHIR_JSON), 400, code)


# Who is named.

HERE = "https://api.clinic.example/fhir"


@pytest.mark.parametrize("subject, code", [
    ({"reference": "Patient/ann"}, None),
    ({"reference": "Patient/ann/_history/1"}, None),
    ({"reference": f"{HERE}/Patient/ann"}, None),
    ({"reference": "Patient/ann", "identifier": {"value": "7"}}, None),
    ({"reference": "Patient/ben"}, "write_not_member"),
    ({"reference": "Patient/ann2"}, "write_not_member"),
    ({"reference": "Patient/an"}, "write_not_member"),
    ({"reference": "Patient/ANN"}, "write_not_member"),
    ({"reference": "patient/ann"}, "write_not_member"),
    ({"reference": "Patient/ann/"}, "write_not_member"),
    ({"reference": "/Patient/ann"}, "write_not_member"),
    ({"reference": "Patient/ann?x=1"}, "write_not_member"),
    ({"reference": "Patient/ann#x"}, "write_not_member"),
    ({"reference": "Patient/ben/../ann"}, "write_not_member"),
    ({"reference": "Patient?identifier=ann"}, "write_not_member"),
    ({"reference": "https://other.example/fhir/Patient/ann"}, "write_not_member"),
    ({"reference": "http://api.clinic.example/fhir/Patient/ann"}, "write_not_member"),
    ({"reference": f"{HERE}2/Patient/ann"}, "write_not_member"),
    ({"reference": "urn:uuid:5a1c6f6e-0000-4000-8000-000000000000"}, "write_not_member"),
    ({"reference": "#ann"}, "write_not_member"),
    ({"reference": "Group/ann"}, "write_not_member"),
    ({"reference": ["Patient/ann"]}, "write_not_member"),
    ({"type": "Patient", "identifier": {"value": "ann"}}, "write_not_member"),
    ({"display": "Ann"}, "write_not_member"),
    ([{"reference": "Patient/ann"}], "write_not_member"),
    ("Patient/ann", "write_not_member"),
], ids=short)
def test_a_subject_is_the_patient_to_the_letter(gateway, issuer, subject, code):
    holds(gateway, OWN)
    response = write(gateway, "PUT", MINE, issuer.patient(), {**OWN, "subject": subject})
    if code:
        gateway.refused(response, 403, code)
    else:
        passed(gateway, response, probes=[MINE])


BEN = {"reference": "Patient/ben"}


@pytest.mark.parametrize("more", [
    {"performer": [BEN]}, {"focus": [{"reference": "Device/1"}, BEN]},
    {"performer": [{"reference": "Patient/ben/_history/1"}]},
    {"performer": [{"reference": f"{HERE}/Patient/ben"}]},
    {"performer": [{"reference": "https://other.example/Patient/ann"}]},
    {"performer": [{"reference": "Patient?identifier=x"}]},
    {"encounter": {"reference": "Encounter?identifier=x"}},
    {"contained": [observation("c", "ben")]},
    {"contained": [{"resourceType": "RelatedPerson", "id": "r", "patient": BEN}]},
    {"extension": [{"url": "http://x", "valueReference": BEN}]},
    {"modifierExtension": [{"url": "http://x", "extension": [{"url": "y", "valueReference": BEN}]}]},
    {"_status": {"extension": [{"url": "http://x", "valueReference": BEN}]}},
], ids=short)
def test_nobody_else_is_named_anywhere(gateway, issuer, more):
    holds(gateway, OWN)
    token = issuer.patient()
    for method, target in (("PUT", MINE), ("POST", "Observation")):
        gateway.refused(write(gateway, method, target, token, {**OWN, **more}), 403, "write_other_patient")


# Patches.

def operation(op, path, **more):
    return {"op": op, "path": path, **more}


MEMBERSHIP, POINTER, OPERATION = "patch_membership", "patch_pointer", "patch_operation"


@pytest.mark.parametrize("operations, status, code", [
    ([operation("replace", "/subject", value=BEN)], 403, MEMBERSHIP),
    ([operation("replace", "/subject/reference", value="Patient/ben")], 403, MEMBERSHIP),
    ([operation("add", "/subject/reference", value="Patient/ann")], 403, MEMBERSHIP),
    ([operation("remove", "/subject")], 403, MEMBERSHIP),
    ([operation("add", "/_subject", value={})], 403, MEMBERSHIP),
    ([operation("replace", "/subject/identifier", value={"value": "ben"})], 403, MEMBERSHIP),
    ([operation("test", "/subject/reference", value="Patient/ann")], 403, MEMBERSHIP),
    ([operation("move", "/subject", **{"from": "/focus/0"})], 403, MEMBERSHIP),
    ([operation("move", "/focus/0", **{"from": "/subject"})], 403, MEMBERSHIP),
    ([operation("copy", "/focus/-", **{"from": "/subject"})], 403, MEMBERSHIP),
    ([operation("replace", "/status", value="final"), operation("replace", "/subject", value=BEN)], 403,
     MEMBERSHIP),
    ([operation("replace", "", value=OWN)], 403, "patch_whole"),
    ([operation("replace", "/id", value="ben-1")], 403, "patch_identity"),
    ([operation("replace", "/resourceType", value="Patient")], 403, "patch_identity"),
    ([operation("copy", "/performer/0/reference", **{"from": "/code/text"})], 403, "patch_rename"),
    ([operation("add", "/performer/-", value=BEN)], 403, "write_other_patient"),
    ([operation("add", "/performer/0/reference", value="Patient/ben")], 403, "write_other_patient"),
    ([operation("add", "/contained", value=[observation("c", "ben")])], 403, "write_other_patient"),
    ([operation("add", "/extension/-", value={"url": "x", "valueReference": BEN})], 403, "write_other_patient"),
    ([operation("replace", "subject", value=BEN)], 400, POINTER),
    ([operation("replace", "/Subject", value=BEN)], 400, POINTER),
    ([operation("replace", "/suBject", value=BEN)], 403, MEMBERSHIP),
    ([operation("replace", "/sub~2ject", value=BEN)], 400, POINTER),
    ([operation("replace", "/~0subject", value=BEN)], 400, POINTER),
    ([operation("replace", "/subject~1reference", value="Patient/ben")], 400, POINTER),
    ([operation("replace", "//subject", value=BEN)], 400, POINTER),
    ([operation("replace", "/%73ubject", value=BEN)], 400, POINTER),
    ([operation("replace", "/performer/01", value=BEN)], 400, POINTER),
    ([operation("frobnicate", "/status")], 400, OPERATION),
    ([operation("Replace", "/status", value="final")], 400, OPERATION),
    ([operation("replace", "/status")], 400, OPERATION),
    ([operation("remove", "/note", value=1)], 400, OPERATION),
    ([{**operation("replace", "/status", value="final"), "extra": 1}], 400, OPERATION),
    (operation("replace", "/status", value="final"), 400, "patch_document"),
    ([[]], 400, "patch_document"),
], ids=short)
def test_a_patch_leaves_alone_whose_the_resource_is(gateway, issuer, operations, status, code):
    holds(gateway, OWN)
    response = write(gateway, "PATCH", MINE, issuer.patient(), json.dumps(operations).encode())
    gateway.refused(response, status, code)
    response = write(gateway, "PATCH", "Observation?code=1", issuer.patient(), json.dumps(operations).encode())
    gateway.refused(response, status, code)


@pytest.mark.parametrize("media_type", [
    "application/fhir+json", "application/fhir+xml", "application/xml-patch+xml", "application/merge-patch+json",
    "application/json", "text/plain", "application/json-patch+json; charset=utf-16"])
def test_only_a_json_patch_is_judged(gateway, issuer, media_type):
    holds(gateway, OWN)
    headers = [("content-type", media_type)]
    response = gateway.send("PATCH", f"/fhir/{MINE}", issuer.patient(), headers, PATCH)
    gateway.refused(response, 403, "patch_format")
    response = gateway.send("PATCH", f"/fhir/{MINE}", issuer.patient(), body=PATCH)
    gateway.refused(response, 403, "patch_format")


@pytest.mark.parametrize("body, code", [
    (b'[{"op": "remove", "path": "/note", "path": "/subject"}]', "body_unreadable"),
    (b'[{"op": "remove", "path": "/note", "Path": "/subject"}]', "body_member"),
    (PATCH + PATCH, "body_unreadable"), (b"\xef\xbb\xbf" + PATCH, "body_unreadable"), (b"", "body_missing"),
], ids=repr)
def test_a_patch_reads_in_one_way(gateway, issuer, body, code):
    response = gateway.send("PATCH", f"/fhir/{MINE}", issuer.patient(), [JSON_PATCH], body)
    gateway.refused(response, 400, code)


def test_a_patch_that_tests_what_is_stored_needs_reading(gateway, issuer):
    holds(gateway, OWN)
    body = json.dumps([operation("test", "/code/text", value="Ann")]).encode()
    for target, probes in ((MINE, [MINE]), ("Observation?code=1", [found_by("code=1")])):
        response = write(gateway, "PATCH", target, issuer.patient(scope="patient/Observation.us"), body)
        gateway.refused(response, 403, "scope_insufficient", challenge=SCOPE)
        response = write(gateway, "PATCH", target, issuer.patient(scope="patient/Observation.rus"), body)
        gateway.allowed(response, probes=probes)


# What the FHIR server answers.

def answered(gateway, issuer, method, answer, scope="patient/*.cruds"):
    holds(gateway, OWN, written=answer)
    documents = {"PUT": OWN, "POST": OWN, "PATCH": PATCH, "DELETE": None}
    target = "Observation" if method == "POST" else MINE
    response = write(gateway, method, target, issuer.patient(scope=scope), documents[method])
    return response, [] if method == "POST" else [MINE]


METHODS = ["POST", "PUT", "PATCH", "DELETE"]
PLACE = [("location", f"{HERE}/Observation/ben-1/_history/{MARK}"), ("etag", f'W/"{MARK}"'),
         ("content-location", f"/{MARK}"), ("last-modified", "Sun, 01 Mar 2026 10:00:00 GMT")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("resource", [
    FOREIGN, {"resourceType": "Patient", "id": "ben", "name": [{"family": MARK}]},
    {**OWN, "resourceType": "Condition", "note": MARK}, {**OWN, "contained": [FOREIGN]},
    {**OWN, "extra": FOREIGN}, {**OUTCOME, "contained": [FOREIGN]},
    {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": FOREIGN}]},
], ids=["ben's", "ben", "another type", "contained", "within", "in an outcome", "in a Bundle"])
def test_an_answer_with_somebody_elses_resource_shows_nothing_of_it(
        gateway, issuer, method, status, resource):
    response, probes = answered(gateway, issuer, method, ok(resource, *PLACE, status=status))
    _, record = passed(gateway, response, probes=probes, status=status, removed=1)
    outcome = response.json()
    assert (outcome["resourceType"], outcome["issue"][0]["code"]) == ("OperationOutcome", "suppressed")
    assert {name for name, _ in response.headers} & {name for name, _ in PLACE} == set()


def test_what_may_be_created_and_not_read_is_not_shown(gateway, issuer):
    response, _ = answered(gateway, issuer, "POST", ok(OWN, status=201), "patient/Observation.c")
    passed(gateway, response, status=201, removed=1)
    assert response.json()["issue"][0]["code"] == "suppressed"
    assert not shows(response, "ann-1")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("answer", [
    ok(OWN, ("etag", 'W/"4"')), ok(OUTCOME), chunked(OWN), chunked(OWN, b"x-checksum: 1\r\n"),
    ok(OWN, status=201), (204, [("etag", 'W/"4"')], b""), (201, [("location", "/x")], b""), ok(OUTCOME, status=404),
    ok(OUTCOME, status=409), ok(OUTCOME, status=412), ok(OUTCOME, status=422), (500, [], b""),
], ids=["own", "outcome", "chunks", "trailers", "created", "no content", "minimal", "404", "409", "412", "422",
        "500"])
def test_an_answer_that_shows_nothing_foreign_comes_as_it_is(gateway, issuer, method, answer):
    response, probes = answered(gateway, issuer, method, answer)
    status, headers, body = answer
    gateway.allowed(response, probes=probes, status=status)
    assert set(headers) - {CHUNKED} <= set(response.headers)
    assert response.json() in (OWN, OUTCOME) if body else response.body == b""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("answer, status, code", [
    ((303, [("location", f"/{MARK}")], b""), 502, "answer_status"),
    ((307, [("location", f"https://evil.example/{MARK}")], b""), 502, "answer_status"),
    ((304, [("etag", f'"{MARK}"')], b""), 502, "answer_status"),
    (ok(OWN, ("content-range", "bytes 0-9/99"), status=206), 502, "answer_status"),
    (ok(gzip.compress(json.dumps(FOREIGN).encode()), ("content-encoding", "gzip")), 502, "answer_encoding"),
    (ok(json.dumps(FOREIGN).encode()[:-9]), 502, "answer_unreadable"),
    (ok(json.dumps(OWN).encode()[:-1] + b', "subject": {"reference": "Patient/ben"}}'), 502, "answer_unreadable"),
    ((200, [("content-type", "application/fhir+xml")], MARK.encode()), 406, "answer_format"),
    ((201, [("content-type", "text/html")], MARK.encode()), 406, "answer_format"),
    ((500, [("content-type", "text/html")], MARK.encode()), 502, "answer_error_body"),
    (ok(FOREIGN, status=409), 502, "answer_error_body"),
    (ok({**OUTCOME, "contained": [FOREIGN]}, status=412), 502, "answer_error_body"),
], ids=["303", "307", "304", "206", "gzip", "cut off", "subject twice", "XML", "HTML", "500", "409", "412"])
def test_an_answer_that_can_not_be_judged_does_not_pass(gateway, issuer, method, answer, status, code):
    response, probes = answered(gateway, issuer, method, answer)
    turned_back(gateway, response, status, code, probes=probes)


def test_an_answer_in_another_format_is_not_asked_for(gateway, issuer):
    holds(gateway, OWN)
    response = write(gateway, "POST", "Observation", issuer.patient(), OWN, ("accept", "application/fhir+xml"))
    gateway.refused(response, 406, "format_unjudged")
    response = write(gateway, "PUT", f"{MINE}?_format=xml", issuer.patient(), OWN)
    gateway.refused(response, 406, "format_unjudged", probes=[MINE])


def test_what_to_return_is_the_clients_choice_and_when_is_not(gateway, issuer):
    holds(gateway, OWN)
    for asked, sent in (("return=minimal", "return=minimal"), ("respond-async", None),
                        ("respond-async, return=representation", "return=representation")):
        response = write(gateway, "POST", "Observation", issuer.patient(), OWN, ("prefer", asked))
        assert passed(gateway, response)[0].header("prefer") == sent
