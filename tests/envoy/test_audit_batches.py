"""The record of a batch or transaction, and those of its entries: what each asked for, by which scope,
whose data it touched and what it was answered."""

import json

import pytest

from hostile import (
    ANN, FHIR_JSON, FOREIGN, OUTCOME, OWN, answers, bundle, chunked, found_by, holds, observation, ok)
from lab import http2
from test_batch_answers import SEARCH, said
from test_batches import NEW, READ, answer, entry, patch, send
from test_writes import MINE, THEIRS

ALIKE = ("time", "request_id", "decision", "reason", "who", "from", "revocation")


@pytest.fixture(scope="module")
def reading(listen, configuration):
    """A listener that reads the answers."""
    document = configuration()
    document["audit"] = {"patients": "answers"}
    return listen("reading-batches", document, hardened=False)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def front(request, gateway):
    return gateway.over(http2.Client(gateway.client.port)) if request.param == "HTTP/2" else gateway


def records(gateway, response):
    """The record of the batch, and those of its entries, which have in common what is of the request."""
    whole = gateway.envoy.audit(response.header("x-request-id"))
    parts = gateway.envoy.parts(whole)
    for place, part in enumerate(parts):
        assert part["part_of"] == whole["id"]
        assert {name: part.get(name) for name in ALIKE} == {name: whole.get(name) for name in ALIKE}
        stream, count = whole["id"].split("-")
        assert part["id"] == f"{stream}-{int(count) + place + 1}"
        assert part["outcome"]["bytes"] == 0
    return whole, parts


def statuses(parts):
    return [part["outcome"].get("status") for part in parts]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_each_entry_of_an_allowed_one(front, issuer, kind):
    token = issuer.patient(scope="patient/Observation.rs patient/Patient.r patient/Observation.c")
    asked = [entry("GET", "Patient/ann"), entry("GET", "Observation?code=1&patient=ann"), SEARCH,
             entry("POST", "Observation", NEW)]
    found = bundle({"resource": OWN})
    holds(front, ANN, written=ok(bundle(
        said(ANN), said(found), said(status="404", outcome=OUTCOME) if kind == "batch" else said(found),
        said(OWN, "201 Created"), kind=f"{kind}-response")))
    response = send(front, token, *asked, kind=kind)
    assert response.status == 200
    whole, parts = records(front, response)
    assert (whole["decision"], whole["what"]) == ("allow", {"method": "POST", "interaction": "batch"})
    assert [part["what"] for part in parts] == [
        {"method": "GET", "interaction": "read", "type": "Patient", "id": "ann", "patient": "ann"},
        {"method": "GET", "interaction": "search-type", "type": "Observation", "parameters": [
            {"name": "code"}, {"name": "patient", "value": "ann"}]},
        {"method": "GET", "interaction": "search-type", "type": "Observation", "parameters": [{"name": "code"}]},
        {"method": "POST", "interaction": "create", "type": "Observation"}]
    assert [part["scopes"] for part in parts] == [
        ["patient/Patient.r"], ["patient/Observation.rs"], ["patient/Observation.rs"], ["patient/Observation.c"]]
    assert [part.get("narrowed") for part in parts] == [
        None, ["patient=Patient/ann"], ["patient=Patient/ann"], None]
    assert [part["patients"] for part in parts] == [["ann"]] * 4
    assert statuses(parts) == [200, 200, 404 if kind == "batch" else 200, 201]


def test_each_entry_of_a_refused_one(front, issuer):
    asked = [entry("GET", "Patient/ann"), entry("GET", "Patient/ben"), SEARCH]
    response = send(front, issuer.patient(), *asked)
    assert response.status == 403
    whole, parts = records(front, response)
    assert (whole["decision"], whole["reason"]) == ("deny", "compartment_other_patient")
    assert [part["what"].get("patient") for part in parts] == ["ann", "ben", None]
    for one in (whole, *parts):
        assert not {"patients", "scopes", "narrowed", "removed"} & set(one), one
    assert statuses(parts) == [None] * 3


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'{"resourceType":"Bundle","type":"batch","entry":[{}]}',
    json.dumps(bundle(READ, entry("GET", "nonsense"), kind="batch")).encode(),
    json.dumps(bundle(READ, kind="searchset")).encode()])
def test_one_that_can_not_be_read_has_one(front, issuer, body):
    response = front.send("POST", "/fhir", issuer.patient(), [FHIR_JSON], body)
    assert 400 <= response.status < 500, response
    whole, parts = records(front, response)
    assert (whole["decision"], parts) == ("deny", [])


def test_nobody_is_told_apart_before_the_token(front, issuer):
    response = send(front, None, READ, SEARCH)
    assert response.status == 401
    assert records(front, response)[1] == []


def test_what_was_removed_and_what_was_refused_in_its_place(front, issuer):
    mixed = bundle({"resource": OWN}, {"resource": FOREIGN}, {"resource": FOREIGN})
    answers(front, *ok(bundle(said(OWN), said(FOREIGN), said(mixed), kind="batch-response")))
    response = send(front, issuer.patient(), READ, entry("GET", THEIRS), SEARCH)
    whole, parts = records(front, response)
    assert (whole["decision"], whole["removed"]) == ("allow", 3)
    assert statuses(parts) == [200, 403, 200], "as the client saw it"


def test_an_answer_that_was_withheld(front, issuer):
    answers(front, *ok(bundle(said(OWN), kind="batch-response")))
    response = send(front, issuer.patient(), READ, READ)
    assert response.status == 502
    whole, parts = records(front, response)
    assert (whole["decision"], whole["reason"]) == ("error", "answer_batch_entries")
    assert statuses(parts) == [None, None]
    assert not any("patients" in one for one in (whole, *parts)), "nobody saw anything"


def test_what_was_written_was_touched_although_the_answer_was_withheld(front, issuer):
    answers(front, *ok(bundle(said(OWN), kind="batch-response")))
    response = send(front, issuer.patient(), READ, entry("POST", "Observation", NEW))
    assert response.status == 502
    whole, parts = records(front, response)
    assert (whole["decision"], whole["reason"]) == ("error", "answer_batch_entries")
    assert [part.get("patients") for part in parts] == [None, ["ann"]]


@pytest.mark.parametrize("method, target", [("POST", "/fhir/Observation"), ("PUT", "/fhir/Observation/ann-1")])
def test_a_write_alone_too(front, issuer, method, target):
    holds(front, OWN, written=(200, [FHIR_JSON], b"{"))
    body = json.dumps(OWN if method == "PUT" else NEW).encode()
    response = front.send(method, target, issuer.patient(), [FHIR_JSON], body)
    assert response.status == 502
    whole, _ = records(front, response)
    assert (whole["decision"], whole["reason"]) == ("error", "answer_unreadable")
    assert whole["patients"] == ["ann"]
    answers(front, 200, [FHIR_JSON], b"{")
    response = front.get("/fhir/Observation/ann-1", issuer.patient())
    assert "patients" not in records(front, response)[0], "a read touched nobody"


def test_of_who_is_not_confined_statuses_are_known_where_answers_are_read(gateway, reading, issuer):
    entries = [said(FOREIGN), said(status="404"), said(bundle({"resource": observation("1", "p1")}))]
    asked = [entry("GET", "Patient/ben"), READ, entry("GET", "Observation?patient=p2")]
    for through, known, patients in ((gateway, [None] * 3, []), (reading, [200, 404, 200], ["ben", "p1"])):
        answers(through, *chunked(bundle(*entries, kind="batch-response")))
        response = send(through, issuer.clinician(), *asked)
        whole, parts = records(through, response)
        assert (whole["decision"], statuses(parts)) == ("allow", known)
        assert whole.get("patients", []) == patients
        assert [part.get("patients") for part in parts] == [["ben"], None, ["p2"]]


def test_a_long_one_has_a_record_for_each_entry(reading, issuer):
    answers(reading, *answer(700))
    response = send(reading, issuer.clinician(), *[entry("GET", f"Patient/p{n}") for n in range(700)])
    assert response.status == 200
    whole, parts = records(reading, response)
    assert [part["patients"] for part in parts] == [[f"p{n}"] for n in range(700)]
    assert statuses(parts) == [200] * 700


def test_values_in_entries_are_told_as_discreetly(front, issuer):
    answers(front, *ok(bundle(said(bundle()), kind="batch-response")))
    response = send(front, issuer.patient(), entry("GET", "Observation?identifier=secret&_id=1&value-string=secret"))
    _, (part,) = records(front, response)
    assert part["what"]["parameters"] == [
        {"name": "identifier"}, {"name": "_id", "value": "1"}, {"name": "value-string"}]


def test_the_condition_of_an_entry_is_told_as_what_was_added(front, issuer):
    created = entry("POST", "Observation", NEW, ifNoneExist="identifier=x|1")
    holds(front, FOREIGN, written=answer(1))
    response = send(front, issuer.patient(), created)
    assert response.status == 200
    _, (part,) = records(front, response)
    assert part["narrowed"] == ["patient=Patient/ann"]
    assert "identifier" not in json.dumps(part)


def test_more_patients_than_an_entry_has_room_for(gateway, issuer):
    asked = ",".join(f"p{number:03}" for number in range(100))
    answers(gateway, *ok(bundle(said(bundle()), said(bundle()), kind="batch-response")))
    response = send(gateway, issuer.clinician(), entry("GET", f"Patient?_id={asked}"), SEARCH)
    assert response.status == 200
    whole = gateway.envoy.audit(response.header("x-request-id"))
    first, second = gateway.envoy.parts(whole)
    (more,) = gateway.envoy.parts(first)
    assert [*first["patients"], *more["patients"]] == asked.split(",")
    assert "patients" not in second
