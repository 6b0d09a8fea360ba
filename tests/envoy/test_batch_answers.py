"""What of the answer to a batch or transaction reaches who is confined: each entry is judged as the
answer to what was asked at its place, and refused in its place."""

import gzip
import json

import pytest

from hostile import (
    ANN, BEN, FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, answers, bundle, chunked, holds, observation, ok,
    passed, resource, shows, turned_back)
from lab import http2
from test_batches import NEW, READ, entry, send
from test_written import short
from test_writes import MINE

SEARCH = entry("GET", "Observation?code=1")
CREATE = entry("POST", "Observation", NEW)


def said(resource=None, status="200 OK", **more):
    """An entry of an answer."""
    made = {"response": {"status": status, **more}}
    return {"resource": resource, **made} if resource else made


def found(*resources, **more):
    return bundle(*({"resource": one} for one in resources), **more)


def answered(gateway, token, asked, entries, kind="batch-response", **more):
    answers(gateway, *ok(bundle(*entries, kind=kind, **more)))
    return send(gateway, token, *asked)


def refused_entry(entry, status, code):
    """Proves that an entry tells that it was refused, and nothing more."""
    assert set(entry) == {"response"} and set(entry["response"]) == {"status", "outcome"}, entry
    assert entry["response"]["status"].startswith(str(status)), entry
    coding = entry["response"]["outcome"]["issue"][0]["details"]["coding"]
    assert [one["code"] for one in coding] == [code], entry


# Whole answers.

def test_an_answer_that_is_the_patients_comes_byte_for_byte(gateway, issuer):
    entries = [said(OWN, etag='W/"3"'), said(found(OWN)),
               said(OWN, "201 Created", location="Observation/7"),
               said(status="204 No Content"), said(status="404 Not Found", outcome=OUTCOME)]
    asked = [READ, SEARCH, CREATE, entry("POST", "Observation", NEW), SEARCH]
    for kind in ("batch-response", "transaction-response"):
        response = answered(gateway, issuer.patient(), asked, entries, kind)
        passed(gateway, response, removed=None)
        assert response.json() == bundle(*entries, kind=kind)


@pytest.mark.parametrize("answer, status, code", [
    (ok(bundle(said(OWN), kind="batch-response")), 502, "answer_batch_entries"),
    (ok(bundle(*[said(OWN)] * 3, kind="batch-response")), 502, "answer_batch_entries"),
    (ok(bundle(kind="batch-response")), 502, "answer_batch_entries"),
    (ok({"resourceType": "Bundle", "type": "batch-response"}), 502, "answer_batch_entries"),
    (ok(found(OWN, FOREIGN)), 502, "answer_not_bundle"),
    (ok(bundle(said(OWN), said(FOREIGN), kind="collection")), 502, "answer_not_bundle"),
    (ok(bundle(READ, READ, kind="batch")), 502, "answer_not_bundle"),
    (ok(FOREIGN), 502, "answer_not_bundle"), (ok([said(FOREIGN)] * 2), 502, "answer_unreadable"),
    (ok(b""), 502, "answer_unreadable"), (ok(json.dumps(BEN).encode()[:-5]), 502, "answer_unreadable"),
    (ok(gzip.compress(json.dumps(FOREIGN).encode()), ("content-encoding", "gzip")), 502, "answer_encoding"),
    ((200, [("content-type", "application/fhir+xml")], MARK.encode()), 406, "answer_format"),
    ((303, [("location", MARK)], b""), 502, "answer_status"), ((204, [("etag", MARK)], b""), 502, "answer_status"),
    ((202, [("content-location", MARK)], b""), 502, "answer_status"),
    ((500, [("content-type", "text/html")], MARK.encode()), 502, "answer_error_body"),
    (ok(FOREIGN, status=400), 502, "answer_error_body"),
], ids=short)
@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_an_answer_that_is_not_one_for_each_entry_does_not_pass(
        gateway, issuer, answer, status, code, protocol):
    front = gateway.over(http2.Client(gateway.client.port)) if protocol == "HTTP/2" else gateway
    answers(gateway, *answer)
    turned_back(front, send(front, issuer.patient(), READ, SEARCH), status, code)


@pytest.mark.parametrize("status", [400, 409, 412, 422, 500])
def test_an_outcome_in_place_of_the_answers_passes(gateway, issuer, status):
    """A transaction fails as a whole."""
    answers(gateway, *ok(OUTCOME, status=status))
    response = send(gateway, issuer.patient(), CREATE, SEARCH, kind="transaction")
    gateway.allowed(response, status=status)
    assert response.json() == OUTCOME


def test_a_batch_that_fails_for_what_is_missing_does_not_tell_what_exists(gateway, issuer):
    for status in (404, 410):
        answers(gateway, *ok({**OUTCOME, "text": {"div": MARK}}, status=status))
        response = send(gateway, issuer.patient(), READ)
        turned_back(gateway, response, 403, "compartment_not_member", audit="answer_not_found")


@pytest.mark.parametrize("trailers", [(), (b"x-checksum: 1\r\n",)], ids=["", "with trailers"])
def test_an_answer_in_chunks_is_judged_whole(gateway, issuer, trailers):
    answers(gateway, *chunked(bundle(said(OWN), said(FOREIGN), kind="batch-response"), *trailers))
    response = send(gateway, issuer.patient(), READ, READ)
    passed(gateway, response, removed=1)
    refused_entry(response.json()["entry"][1], 403, "compartment_not_member")


# Entry by entry.

NOT_ANNS, ODD, UNSHOWN = (403, "compartment_not_member"), (502, "answer_batch_entry"), (502, "answer_error_body")


@pytest.mark.parametrize("asked, answer, expected", [
    (READ, said(FOREIGN), NOT_ANNS),
    (READ, said(BEN), NOT_ANNS),
    (READ, said(ANN), NOT_ANNS),
    (READ, said(OUTCOME), NOT_ANNS),
    (READ, said({**OWN, "contained": [FOREIGN]}), NOT_ANNS),
    (READ, said({**OWN, "extra": FOREIGN}), NOT_ANNS),
    (READ, said(found(OWN)), NOT_ANNS),
    (READ, said(bundle(said(FOREIGN), kind="batch-response")), NOT_ANNS),
    (READ, said(status="404 Not Found"), NOT_ANNS),
    (READ, said(OUTCOME, "404"), NOT_ANNS),
    (READ, said(FOREIGN, "404 Not Found"), NOT_ANNS),
    (READ, said(status="410 Gone", etag=MARK), NOT_ANNS),
    (entry("GET", f"{MINE}/_history"), said(bundle(said(FOREIGN), kind="history")), NOT_ANNS),
    (READ, said(), ODD),
    (READ, {"resource": OWN}, ODD),
    (READ, {"resource": FOREIGN, "response": {}}, ODD),
    (READ, said(OWN, 200), ODD),
    (READ, said(OWN, "OK"), ODD),
    (READ, said(OWN, "2000"), ODD),
    (READ, said(OWN, "+20"), ODD),
    (READ, said(OWN, outcome=FOREIGN), ODD),
    (READ, said(OWN, extension=[{"valueResource": FOREIGN}]), ODD),
    (READ, {**said(OWN), "note": MARK}, ODD),
    (READ, {**said(OWN), "link": [FOREIGN]}, ODD),
    (READ, {**said(OWN), "fullUrl": f"https://other.example/fhir/Observation/{MARK}"}, ODD),
    (READ, said(OWN, "304 Not Modified"), (502, "answer_status")),
    (READ, said(OWN, "206 Partial Content"), (502, "answer_status")),
    (READ, said(OWN, "201 Created"), (502, "answer_status")),
    (SEARCH, said(status="302 Found", location=MARK), (502, "answer_status")),
    (SEARCH, said(FOREIGN, "500 Internal Server Error"), UNSHOWN),
    (SEARCH, said({**OUTCOME, "contained": [FOREIGN]}, "400 Bad Request"), UNSHOWN),
    (SEARCH, said(FOREIGN), (502, "answer_not_bundle")),
    (SEARCH, said(bundle(said(FOREIGN), kind="batch-response")), (502, "answer_not_bundle")),
    (SEARCH, said(), ODD),
    (CREATE, said(status="303 See Other", location=MARK), (502, "answer_status")),
    (CREATE, said(FOREIGN, "409 Conflict"), UNSHOWN),
    (CREATE, said(OWN, "201 Created", outcome=FOREIGN), ODD),
    (CREATE, None, ODD), (CREATE, [FOREIGN], ODD), (CREATE, MARK, ODD),
], ids=short)
def test_an_entry_with_something_foreign_is_refused_in_its_place(gateway, issuer, asked, answer, expected):
    for asks, says, place in (([asked], [answer], 0), ([READ, asked, READ], [said(OWN), answer, said(OWN)], 1)):
        response = answered(gateway, issuer.patient(), asks, says)
        passed(gateway, response, removed=1)
        entries = response.json()["entry"]
        assert len(entries) == len(says)
        refused_entry(entries.pop(place), *expected)
        assert entries == [said(OWN)] * len(entries)
        assert not shows(response, "ben")


def test_what_is_missing_looks_like_what_is_somebody_elses(gateway, issuer):
    answers_ = [said(FOREIGN, etag='W/"1"'), said(status="404 Not Found"), said(OUTCOME, "410 Gone")]
    response = answered(gateway, issuer.patient(), [READ] * 3, answers_)
    passed(gateway, response, removed=3)
    assert len({json.dumps(one) for one in response.json()["entry"]}) == 1


def test_answers_at_each_others_place_do_not_pass(gateway, issuer):
    condition = resource("Condition", "ann-1")
    asked = [READ, entry("GET", "Condition/ann-1")]
    response = answered(gateway, issuer.patient(), asked, [said(condition), said(OWN)])
    passed(gateway, response, removed=2)
    for one in response.json()["entry"]:
        refused_entry(one, 403, "compartment_not_member")


def test_a_search_in_a_bundle_shows_only_what_is_the_patients(gateway, issuer):
    everything = found(OWN, FOREIGN, BEN, resource("Condition", "ann-1"), total=4)
    response = answered(gateway, issuer.patient(), [SEARCH, SEARCH], [said(everything), said(found(OWN, total=1))])
    passed(gateway, response, removed=3)
    first, second = response.json()["entry"]
    kinds = [one["resource"]["resourceType"] for one in first["resource"]["entry"]]
    assert kinds == ["Observation", "OperationOutcome"]
    assert "total" not in first["resource"]
    assert second == said(found(OWN))  # servers need not be strict there: who knows what is counted


def test_a_write_in_a_bundle_shows_nothing_foreign(gateway, issuer):
    headers = {"location": f"Observation/ben-1/_history/{MARK}", "etag": f'W/"{MARK}"', "lastModified": MARK}
    response = answered(gateway, issuer.patient(), [CREATE, CREATE],
                        [said(FOREIGN, "201 Created", **headers), said(OWN, "201 Created")])
    passed(gateway, response, removed=1)
    assert response.json()["entry"][1] == said(OWN, "201 Created")
    assert "suppressed" in json.dumps(response.json()["entry"][0])


def test_what_nobody_asked_for_is_not_in_the_bundle(gateway, issuer):
    more = {"total": 7, "note": FOREIGN, "signature": {"data": "eA=="}}
    response = answered(gateway, issuer.patient(), [READ], [said(FOREIGN)], **more)
    passed(gateway, response)
    assert set(response.json()) == {"resourceType", "type", "entry"}


def test_each_entry_is_judged_by_the_scope_it_needs(gateway, issuer):
    """What may be read and what may be searched are two things."""
    token = issuer.patient(scope="patient/Observation.r patient/Condition.s")
    condition = resource("Condition", "ann-1")
    asked = [READ, entry("GET", "Condition?code=1"), READ]
    response = answered(gateway, token, asked, [said(OWN), said(found(condition)), said(condition)])
    passed(gateway, response, removed=1)
    assert response.json()["entry"][:2] == [said(OWN), said(found(condition))]
    refused_entry(response.json()["entry"][2], 403, "compartment_not_member")


def test_a_long_answer_to_a_bundle_is_judged_up_to_envoys_limit(gateway, issuer):
    long = observation("ann-1", note=[{"text": "x" * 1000}])
    for count, status in ((900, 200), (20_000, 500)):
        entries = [said(found(*[long] * count)), said(FOREIGN)]
        response = answered(gateway, issuer.patient(), [SEARCH, READ], entries)
        assert (response.status, shows(response, MARK)) == (status, False)
        assert status == 200 or not shows(response, "Patient/ann")


# Who is not confined.

def test_the_answer_to_who_is_not_confined_is_untouched(gateway, issuer):
    for answer in (ok(bundle(said(FOREIGN), kind="batch-response")), ok(FOREIGN), (200, [FHIR_JSON], b"{")):
        answers(gateway, *answer)
        response = send(gateway, issuer.clinician(), READ, READ)
        assert (response.status, response.body) == (answer[0], answer[2])


def test_in_one_bundle_each_context_sees_its_own(gateway, issuer):
    """Unconfined for Conditions, confined for Observations."""
    token = issuer.token("patient/Observation.rs user/Condition.rs", patient="ann", fhirUser="Practitioner/7")
    condition = resource("Condition", "ben-1", "ben")
    holds(gateway)
    asked = [entry("GET", "Condition/ben-1"), READ, entry("GET", "Observation?code=1")]
    answers(gateway, *ok(bundle(said(condition), said(FOREIGN), said(found(FOREIGN, OWN)), kind="batch-response")))
    response = send(gateway, token, *asked)
    got, record = gateway.allowed(response)
    assert record["removed"] == 2
    first, second, third = response.json()["entry"]
    assert first == said(condition)
    refused_entry(second, 403, "compartment_not_member")
    assert [one["resource"] for one in third["resource"]["entry"]][:1] == [OWN]
    assert [one["request"]["url"] for one in json.loads(got.body)["entry"]] == [
        "Condition/ben-1", MINE, "Observation?code=1&patient=Patient%2Fann"]
