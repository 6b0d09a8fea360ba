"""Batches and transactions of who is confined to a patient: each entry is judged as if it had come
alone, one that is refused refuses the Bundle and is named, and what goes on is what was judged."""

import base64
import copy
import json

import pytest

from gateway import REALM
from hostile import (
    ANN, FHIR_JSON, FOREIGN, OUTCOME, OWN, answers, bundle, found_by, holds, observation, ok, passed, shows)
from lab import http2
from test_written import short
from test_writes import MINE, MISSING, PATCH, SCOPE, THEIRS

HERE = "https://api.clinic.example/fhir"
NEW = {name: value for name, value in OWN.items() if name != "id"}


def entry(method, url, resource=None, full_url=None, **conditions):
    made = {"fullUrl": full_url} if full_url else {}
    if resource is not None:
        made["resource"] = resource
    return {**made, "request": {"method": method, "url": url, **conditions}}


def patch(url, body=PATCH, **more):
    """A patch as a Binary carries it."""
    data = base64.b64encode(body).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data, **more}
    return entry("PATCH", url, binary)


READ = entry("GET", MINE)


def send(gateway, token, *entries, kind="batch", target="/fhir", headers=(), **more):
    body = json.dumps(bundle(*entries, kind=kind, **more)).encode()
    return gateway.send("POST", target, token, [FHIR_JSON, *headers], body)


def answer(count, status="200 OK", kind="batch-response", resource=OWN):
    """As many entries as were asked for, all alike."""
    one = {"response": {"status": status}, **({"resource": resource} if resource else {})}
    return ok(bundle(*[one] * count, kind=kind))


def refused(gateway, response, status, code, place=0, probes=(), challenge=None):
    """Proves that the Bundle was refused for the entry at this place, counted from 0."""
    gateway.refused(response, status, code, probes=probes, challenge=challenge)
    if place is not None:
        assert f"entry {place}" in response.json()["issue"][0]["details"]["text"], response.body


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def front(request, gateway):
    holds(gateway, OWN, FOREIGN, ANN, written=answer(1))
    return gateway.over(http2.Client(gateway.client.port)) if request.param == "HTTP/2" else gateway


# What goes on.

@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("sent, url", [
    (entry("GET", "Patient/ann"), None),
    (entry("GET", "Practitioner/7"), None),
    (entry("GET", "Observation?code=1"), "Observation?code=1&patient=Patient%2Fann"),
    (entry("GET", "Observation"), "Observation?patient=Patient%2Fann"),
    (entry("GET", "Observation?_elements=code"), "Observation?_elements=code,subject&patient=Patient%2Fann"),
    (entry("GET", "Patient?name=x"), "Patient?name=x&_id=ann"),
    (entry("GET", f"{HERE}/Observation?code=1"), "Observation?code=1&patient=Patient%2Fann"),
    (entry("POST", "Observation", NEW), None),
], ids=short)
def test_an_entry_goes_on_as_it_would_alone(front, issuer, kind, sent, url):
    response = send(front, issuer.patient(), sent, kind=kind)
    got, _ = passed(front, response)
    expected = copy.deepcopy(sent)
    if url:
        expected["request"]["url"] = url
    assert json.loads(got.body) == bundle(expected, kind=kind)
    assert got.target == "/fhir"
    if url:
        assert got.header("content-length") == str(len(got.body))
        assert got.header("transfer-encoding") is None


def test_a_read_that_fails_a_transaction_tells_nothing(front, issuer):
    """It is judged on what is stored before it goes on; in a batch on its answer."""
    token = issuer.patient()
    for one in (READ, entry("GET", f"{MINE}/_history/1")):
        got, _ = passed(front, send(front, token, one))
        assert json.loads(got.body) == bundle(one, kind="batch")
    got, _ = passed(front, send(front, token, READ, kind="transaction"), probes=[MINE])
    assert json.loads(got.body) == bundle(READ, kind="transaction")
    for target in (THEIRS, MISSING):
        response = send(front, token, entry("GET", "Patient/ann"), entry("GET", target), kind="transaction")
        refused(front, response, 403, "compartment_not_member", 1, probes=[target])
    for target in (f"{MINE}/_history/1", f"{MINE}/_history"):
        response = send(front, token, entry("GET", target), kind="transaction")
        refused(front, response, 403, "bundle_entry_unjudged")


def test_writes_in_a_bundle_are_looked_up_and_tied_to_what_was_judged(front, issuer):
    entries = [entry("DELETE", "Patient/ann"), entry("PUT", MISSING, observation("none")),
               entry("PUT", MINE, OWN, ifMatch='W/"3"'), patch(MINE)]
    answers_four = answer(4, kind="transaction-response")
    holds(front, OWN, ANN, written=answers_four)
    response = send(front, issuer.patient(), *entries, kind="transaction")
    got, _ = passed(front, response, probes=["Observation/ann-1", "Observation/none", "Patient/ann"])
    sent = [one["request"] for one in json.loads(got.body)["entry"]]
    assert [one.get("ifMatch") for one in sent] == ['W/"3"', None, 'W/"3"', 'W/"3"']
    assert [one.get("ifNoneMatch") for one in sent] == [None, "*", None, None]
    assert [one["url"] for one in sent] == ["Patient/ann", MISSING, MINE, MINE]


def test_a_condition_of_an_entry_finds_only_what_is_the_patients(front, issuer):
    created = entry("POST", "Observation", NEW, ifNoneExist="identifier=x|1")
    for held, condition in (([OWN, FOREIGN], "_id=ann-1"),
                            ([FOREIGN], "identifier=x|1&patient=Patient%2Fann")):
        holds(front, *held, written=answer(1))
        response = send(front, issuer.patient(), created)
        got, _ = passed(front, response, probes=[found_by("identifier=x|1")])
        assert json.loads(got.body)["entry"][0]["request"]["ifNoneExist"] == condition
    response = send(front, issuer.patient(), entry("POST", "Observation", NEW, ifNoneExist="patient=ben"))
    refused(front, response, 403, "search_other_patient")


def test_conditions_by_which_a_read_would_tell_without_a_body_stay_here(front, issuer):
    conditional = entry("GET", MINE, ifNoneMatch='W/"3"', ifModifiedSince="2026-01-01T00:00:00Z")
    got, _ = passed(front, send(front, issuer.patient(), conditional))
    assert json.loads(got.body) == bundle(READ, kind="batch")


def test_what_need_not_change_goes_on_byte_for_byte(gateway, issuer):
    body = json.dumps(bundle(READ, entry("POST", "Observation", NEW), kind="batch"), indent=3).encode()
    answers(gateway, *answer(2))
    for token in (issuer.clinician(), issuer.backend()):
        response = gateway.send("POST", "/fhir", token, [FHIR_JSON], body)
        assert gateway.allowed(response)[0].body == body


def test_a_reference_to_an_entry_is_the_patient_when_that_entry_is(front, issuer):
    named = "urn:uuid:5a1c6f6e-0000-4000-8000-000000000000"
    about = {**NEW, "subject": {"reference": named}}
    myself = entry("PUT", "Patient/ann", ANN, full_url=named)
    holds(front, ANN, written=answer(2, kind="transaction-response"))
    token = issuer.patient()
    response = send(front, token, myself, entry("POST", "Observation", about), kind="transaction")
    passed(front, response, probes=["Patient/ann"])
    # In a batch the entries do not know each other.
    response = send(front, token, myself, entry("POST", "Observation", about), kind="batch")
    refused(front, response, 403, "write_not_member", 1)
    for other in (entry("POST", "Observation", NEW, full_url=named),
                  entry("DELETE", "Patient/ann", full_url=named[:-1] + "1")):
        response = send(front, token, other, entry("POST", "Observation", about), kind="transaction")
        refused(front, response, 403, "write_not_member", 1)


# What does not.

@pytest.mark.parametrize("bad, status, code", [
    (entry("GET", "Patient/ben"), 403, "compartment_other_patient"),
    (entry("GET", "Observation?patient=ben"), 403, "search_other_patient"),
    (entry("GET", "Observation?_list=1"), 403, "search_list_unjudged"),
    (entry("GET", "Patient/ben/Observation"), 403, "compartment_other_patient"),
    (entry("GET", "Observation/_history"), 403, "history_unconfined"),
    (entry("GET", "?_type=Observation"), 403, "search_system_unconfined"),
    (entry("HEAD", MINE), 405, "head_unjudged"),
    (entry("GET", f"{MINE}?_format=xml"), 406, "format_unjudged"),
    (entry("GET", "Patient/ben/$everything"), 403, "compartment_other_patient"),
    (entry("POST", "Patient/$match", {"resourceType": "Parameters"}), 403, "operation_not_listed"),
    (entry("GET", "$export"), 403, "bundle_entry_unjudged"),
    (entry("GET", "Task/1"), 403, "compartment_type_outside"),
    (entry("POST", "Observation", FOREIGN), 403, "write_not_member"),
    (entry("POST", "Observation", {**NEW, "performer": [{"reference": "Patient/ben"}]}), 403,
     "write_other_patient"),
    (entry("POST", "Patient", ANN), 403, "compartment_other_patient"),
    (entry("PUT", MINE, observation("ann-1", "ben")), 403, "write_not_member"),
    (entry("PUT", MINE, observation("ben-1")), 400, "body_id"),
    (entry("PUT", MINE, ANN), 400, "body_type"),
    (entry("POST", "Observation", {**NEW, "subject": {"reference": "Patient?identifier=ann"}}), 403,
     "write_not_member"),
    (entry("DELETE", "?_type=Observation"), 403, "search_types_unjudged"),
    (patch(MINE, b'[{"op": "replace", "path": "/subject", "value": {"reference": "Patient/ben"}}]'), 403,
     "patch_membership"),
    (patch(MINE, b"[]", contentType="application/fhir+json"), 403, "patch_format"),
    (entry("PATCH", MINE, {"resourceType": "Parameters"}), 403, "patch_format"),
    (patch(MINE, data="%%"), 400, "bundle_patch_data"),
    (entry("POST", "", bundle(READ, kind="batch")), 400, "bundle_url_empty"),
    (entry("POST", "?", bundle(READ, kind="batch")), 403, "bundle_entry_unjudged"),
    (entry("POST", HERE, bundle(READ, kind="batch")), 403, "bundle_entry_unjudged"),
], ids=short)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_one_entry_that_is_refused_refuses_the_bundle_and_is_named(gateway, issuer, bad, status, code, kind):
    holds(gateway, OWN)
    for entries, place in (([bad], 0), ([READ, READ, bad], 2), ([bad, READ], 0)):
        response = send(gateway, issuer.patient(), *entries, kind=kind)
        refused(gateway, response, status, code, place)


def test_a_stored_resource_of_somebody_else_refuses_the_bundle(front, issuer):
    for bad in (entry("PUT", THEIRS, observation("ben-1")), entry("DELETE", THEIRS), patch(THEIRS)):
        response = send(front, issuer.patient(), entry("GET", "Patient/ann"), bad, kind="transaction")
        refused(front, response, 403, "compartment_not_member", 1, probes=[THEIRS])
    for bad in (entry("DELETE", MISSING), patch(MISSING)):
        response = send(front, issuer.patient(), READ, bad, entry("DELETE", MINE))
        refused(front, response, 403, "compartment_not_member", 1, probes=[MINE, MISSING])


@pytest.mark.parametrize("url, code", [
    ("/Patient/ann", "bundle_url_rooted"), ("//evil.example/Patient/ann", "bundle_url_rooted"),
    ("\\Patient\\ann", "bundle_url_rooted"), ("/\\evil.example/x", "bundle_url_rooted"),
    ("https://evil.example/fhir/Patient/ann", "bundle_url_elsewhere"),
    (f"{HERE}.evil.example/Patient/ann", "bundle_url_elsewhere"),
    (f"{HERE}2/Patient/ann", "bundle_url_elsewhere"),
    ("http://api.clinic.example/fhir/Patient/ann", "bundle_url_elsewhere"),
    ("urn:uuid:5a1c6f6e-0000-4000-8000-000000000000", "bundle_url_elsewhere"),
    ("javascript:alert(1)", "bundle_url_elsewhere"), ("", "bundle_url_empty"),
    ("../fhir/Patient/ann", "target_ambiguous"), ("Patient/ann/../ben", "target_ambiguous"),
    ("./Patient/ann", "target_ambiguous"), ("Patient//ann", "target_ambiguous"),
    ("Patient/%62en", "target_ambiguous"), ("Patient%2Fann", "target_ambiguous"),
    ("Patient/ann;x=1", "target_ambiguous"), ("Patient/ann#x", "target_ambiguous"),
    ("Patient/ann\\..\\ben", "target_ambiguous"), ("Patient/ann ", "target_ambiguous"),
    ("Patient/ann\n", "target_ambiguous"), ("Patient/b\u00e9n", "target_ambiguous"),
    (f"{HERE}//Patient/ann", "target_ambiguous"), (f"{HERE}/../Patient/ann", "target_ambiguous"),
], ids=short)
def test_an_entrys_url_leads_below_the_base_in_one_way(gateway, issuer, url, code):
    for token in (issuer.patient(), issuer.clinician()):
        response = send(gateway, token, READ, entry("GET", url))
        assert (response.status, response.reason) == (400, code), response
        assert gateway.upstream.requests == []
        assert "entry 1" in response.body.decode()


@pytest.mark.parametrize("change, code", [
    (lambda e: e["request"].update(method="get"), "bundle_method"),
    (lambda e: e["request"].update(method="Delete"), "bundle_method"),
    (lambda e: e["request"].update(method="OPTIONS"), "bundle_method"),
    (lambda e: e["request"].update(method=["GET"]), "bundle_request"),
    (lambda e: e["request"].pop("method"), "bundle_request"),
    (lambda e: e["request"].pop("url"), "bundle_request"),
    (lambda e: e.pop("request"), "bundle_request"),
    (lambda e: e.update(resource=OWN), "bundle_resource_unexpected"),
    (lambda e: e["request"].update(method="POST", url="Observation"), "bundle_resource_missing"),
    (lambda e: e["request"].update(headers=["x"]), "bundle_member"),
    (lambda e: e["request"].update(extension=[]), "bundle_member"),
    (lambda e: e.update(extension=[{"url": "x"}]), "bundle_member"),
    (lambda e: e.update(search={"mode": "match"}), "bundle_member"),
    (lambda e: e.update(response={"status": "200"}), "bundle_member"),
    (lambda e: e["request"].update(ifMatch="a\r\nx-evil: 1"), "bundle_condition"),
    (lambda e: e["request"].update(ifNoneMatch=["*"]), "bundle_condition"),
    (lambda e: e["request"].update(ifNoneExist=""), "bundle_condition"),
    (lambda e: e.update(fullUrl="Patient/ben"), "bundle_full_url"),
    (lambda e: e.update(fullUrl="https://evil.example/fhir/Observation/ann-2"), "bundle_full_url"),
    (lambda e: e.update(fullUrl="urn:uuid:"), "bundle_full_url"),
    (lambda e: e.update(fullUrl=f"{HERE}/Observation/ann-1?x=1"), "bundle_full_url"),
    (lambda e: e.update(fullUrl=["urn:uuid:1"]), "bundle_full_url"),
], ids=[*map(str, range(22))])
def test_an_entry_that_two_readers_could_take_differently_refuses_the_bundle(gateway, issuer, change, code):
    bad = copy.deepcopy(READ)
    change(bad)
    for token in (issuer.patient(), issuer.clinician()):
        refused(gateway, send(gateway, token, READ, bad), 400, code, 1)


def test_two_entries_have_two_names(gateway, issuer):
    one = entry("POST", "Observation", NEW, full_url="urn:uuid:1")
    response = send(gateway, issuer.patient(), one, {**one, "fullUrl": "urn:UUID:1"}, kind="transaction")
    assert (response.status, gateway.upstream.requests) == (400, [])
    refused(gateway, send(gateway, issuer.patient(), one, one, kind="transaction"), 400, "bundle_full_url_twice", 1)


TEXT = json.dumps(bundle(READ, kind="batch"))


@pytest.mark.parametrize("body, status, code", [
    (json.dumps(bundle(READ, kind=kind)), 403, "bundle_type") for kind in (
        "document", "message", "collection", "searchset", "history", "batch-response", "Batch", None)
] + [
    (json.dumps(OWN), 400, "body_type"), (json.dumps([bundle(READ, kind="batch")]), 400, "body_unreadable"),
    ("", 400, "body_missing"), ("{", 400, "body_unreadable"), (TEXT + TEXT, 400, "body_unreadable"),
    ("\ufeff" + TEXT, 400, "body_unreadable"), (TEXT[:-1] + ', "type": "transaction"}', 400, "body_unreadable"),
    (TEXT[:-1] + ', "entry": []}', 400, "body_unreadable"), (TEXT[:-1] + ', "Entry": []}', 400, "bundle_member"),
    (TEXT[:-1] + ', "implicitRules": "x"}', 400, "bundle_member"), (TEXT[:-1] + ', "x": 1}', 400, "bundle_member"),
    (TEXT[:-1] + ', "meta": {"a": 1, "a": 2}}', 400, "body_unreadable"),
    (TEXT.replace("[{", "{").replace("}}]", "}}"), 400, "bundle_entry"),
    (TEXT.replace('"url": "', '"url": "Patient/ben", "url": "'), 400, "body_unreadable"),
    (TEXT.replace('"request"', '"request": {}, "request"'), 400, "body_unreadable"),
    (TEXT.replace('"entry": [', '"entry": [null, '), 400, "bundle_entry"),
    (json.dumps(bundle(*[READ] * 1001, kind="batch")), 413, "bundle_too_many"),
    (json.dumps(bundle(*[READ] * 10_000, kind="batch")), 413, "bundle_too_many"),
], ids=short)
def test_a_bundle_that_two_readers_could_take_differently_is_refused(gateway, issuer, body, status, code):
    for token in (issuer.patient(), issuer.clinician(), issuer.backend()):
        response = gateway.send("POST", "/fhir", token, [FHIR_JSON], body.encode())
        gateway.refused(response, status, code)


@pytest.mark.parametrize("headers, target, status, code", [
    ([("content-type", "application/fhir+xml")], "/fhir", 415, "body_media_type"),
    ([], "/fhir", 415, "body_media_type"),
    ([FHIR_JSON, ("content-encoding", "gzip")], "/fhir", 415, "body_encoding"),
    ([FHIR_JSON, ("x-cascade", "delete")], "/fhir", 403, "header_unjudged"),
    ([FHIR_JSON, ("x-provenance", "{}")], "/fhir", 403, "header_unjudged"),
    ([FHIR_JSON, ("x-security-context", "Patient/ben")], "/fhir", 403, "header_unjudged"),
    ([FHIR_JSON], "/fhir?_cascade=delete", 403, "parameter_unjudged"),
    ([FHIR_JSON, ("accept", "application/fhir+xml")], "/fhir", 406, "format_unjudged"),
    ([FHIR_JSON], "/fhir?_format=xml", 406, "format_unjudged"),
], ids=short)
def test_what_stands_around_a_bundle_is_judged_too(gateway, issuer, headers, target, status, code):
    response = gateway.send("POST", target, issuer.patient(), headers, TEXT.encode())
    gateway.refused(response, status, code)


# Scopes and limits.

def test_every_entry_needs_its_own_scope(gateway, issuer):
    entries = [READ, entry("GET", "Observation?code=1"), entry("POST", "Observation", NEW),
               entry("GET", "Condition")]
    for scope, missing, asked in (
            ("patient/Observation.r", 1, "patient/Observation.s"),
            ("patient/Observation.rs", 2, "patient/Observation.c"),
            ("patient/Observation.crs", 3, "patient/Condition.s")):
        response = send(gateway, issuer.patient(scope=scope), *entries)
        refused(gateway, response, 403, "scope_insufficient", missing, challenge=SCOPE)
        assert f'scope="{asked}"' in response.header("www-authenticate")
    response = send(gateway, issuer.clinician("user/Observation.rs"), READ, entry("GET", "Condition/1"))
    refused(gateway, response, 403, "scope_insufficient", 1, challenge=SCOPE)
    for token, code in ((issuer.patient(scope="openid"), "scope_insufficient"),
                        (issuer.token("patient/*.cruds"), "scope_patient_missing")):
        gateway.refused(send(gateway, token, READ), 403, code, challenge=SCOPE)
    gateway.refused(send(gateway, None, READ), 401, "token_missing", challenge=REALM)


def test_as_many_stored_resources_as_one_bundle_may_change(gateway, issuer):
    own = [observation(f"ann-{number}") for number in range(51)]
    changes = [entry("DELETE", f"Observation/{one['id']}") for one in own]
    holds(gateway, *own, written=answer(50, "204", resource=None))
    probes = sorted(f"Observation/{one['id']}" for one in own[:50])
    response = send(gateway, issuer.patient(), *changes[:50])
    gateway.allowed(response, probes=probes)
    gateway.refused(send(gateway, issuer.patient(), *changes), 403, "bundle_probes")
    found = [entry("DELETE", f"Observation?code={number}") for number in range(51)]
    gateway.refused(send(gateway, issuer.patient(), *found), 403, "bundle_probes")


def test_a_server_that_fails_a_lookup_fails_the_bundle(gateway, issuer):
    for reply, status, code in ((ok(OUTCOME, status=500), 503, "probe_failed"),
                                (ok(FOREIGN), 502, "probe_unreadable")):
        gateway.upstream.reply = lambda _: reply
        response = send(gateway, issuer.patient(), entry("DELETE", MINE))
        gateway.refused(response, status, code, probes=[MINE])
        assert not shows(response, "written-about")
