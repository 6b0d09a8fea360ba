"""Writes of who is confined to a patient: the stored resource is looked up before it is changed, what
is written is judged, and only what was judged is written."""

import json

import pytest

from hostile import (
    ANN, BEN, FHIR_JSON, FOREIGN, JSON_PATCH, MARK, OUTCOME, OWN, found_by, holds, observation, ok,
    passed, resource, shows)
from lab import http2

SCOPE = 'Bearer error="insufficient_scope"'
PATCH = b'[{"op": "replace", "path": "/status", "value": "amended"}]'
MINE, THEIRS, MISSING = "Observation/ann-1", "Observation/ben-1", "Observation/none"


def write(gateway, method, target, token, document=None, *headers):
    """Sends a write; a patch is bytes."""
    if document is None:
        return gateway.send(method, f"/fhir/{target}", token, headers)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    media = JSON_PATCH if method == "PATCH" else FHIR_JSON
    return gateway.send(method, f"/fhir/{target}", token, [media, *headers], body)


def change(gateway, method, target, token, *headers):
    """An update, patch or delete that would make a resource ann's or leave it hers."""
    ident = target.partition("/")[2]
    document = {"PUT": observation(ident), "PATCH": PATCH, "DELETE": None}[method]
    return write(gateway, method, target, token, document, *headers)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def front(request, gateway):
    """The gateway over either protocol, before a server that holds a resource of ann's and one of
    ben's, both in version 3."""
    holds(gateway, OWN, FOREIGN, ANN, BEN)
    return gateway.over(http2.Client(gateway.client.port)) if request.param == "HTTP/2" else gateway


# By id.

CHANGES = ["PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("method", CHANGES)
def test_the_patients_resource_is_looked_up_and_changed_in_the_version_that_was_judged(
        front, issuer, method):
    response = change(front, method, MINE, issuer.patient(), ("x-kept", "1"))
    got, record = passed(front, response, probes=[MINE])
    assert (got.method, got.target) == (method, f"/fhir/{MINE}")
    assert got.body == {"PUT": json.dumps(OWN).encode(), "PATCH": PATCH, "DELETE": b""}[method]
    assert (got.header("if-match"), got.header("if-none-match")) == ('W/"3"', None)
    assert (got.header("accept"), got.header("x-kept")) == ("application/fhir+json", "1")
    assert record["what"]["id"] == "ann-1"


@pytest.mark.parametrize("method", CHANGES)
def test_what_is_not_the_patients_is_not_changed_and_looks_like_what_is_not_there(front, issuer, method):
    targets = [THEIRS, MISSING] if method != "PUT" else [THEIRS]
    seen = set()
    for target in targets:
        response = change(front, method, target, issuer.patient())
        front.refused(response, 403, "compartment_not_member", method=method, probes=[target])
        assert not shows(response, MARK)
        seen.add(response.body.replace(response.header("x-request-id").encode(), b""))
    assert len(seen) == 1


def test_an_update_of_what_is_not_there_creates_only_what_is_still_not_there(front, issuer):
    response = change(front, "PUT", MISSING, issuer.patient())
    got, _ = passed(front, response, probes=[MISSING])
    assert (got.header("if-none-match"), got.header("if-match")) == ("*", None)
    assert got.body == json.dumps(observation("none")).encode()


def test_what_was_deleted_is_nobodys(gateway, issuer):
    gateway.upstream.reply = lambda _: ok(OUTCOME, status=410)
    for method in CHANGES:
        response = change(gateway, method, MINE, issuer.patient())
        gateway.refused(response, 403, "compartment_not_member", probes=[MINE])


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("condition, conflicts", [
    (("if-match", 'W/"3"'), False), (("if-match", "*"), False), (("if-match", 'W/"2"'), True),
    (("if-match", '"3"'), True), (("if-match", 'W/"2", W/"3"'), True), (("if-match", ""), True),
    (("if-none-match", "*"), True), (("if-none-match", 'W/"3"'), True),
], ids=str)
def test_the_clients_own_condition_holds_too(front, issuer, method, condition, conflicts):
    token = issuer.patient()
    response = change(front, method, MINE, token, condition)
    if conflicts:
        front.refused(response, 412, "write_version_conflict", probes=[MINE])
    else:
        assert passed(front, response, probes=[MINE])[0].header("if-match") == 'W/"3"'
    # Of somebody else's resource no condition tells anything.
    response = change(front, method, THEIRS, token, condition)
    front.refused(response, 403, "compartment_not_member", probes=[THEIRS])


@pytest.mark.parametrize("method", CHANGES)
def test_a_resource_that_changed_meanwhile_is_not_overwritten(gateway, issuer, method):
    """The server answers 412 to the version that was judged; the client gets to know."""
    holds(gateway, OWN, written=ok(OUTCOME, status=412))
    response = change(gateway, method, MINE, issuer.patient())
    got, record = passed(gateway, response, probes=[MINE], status=412)
    assert got.header("if-match") == 'W/"3"'
    assert response.json() == OUTCOME
    assert record["outcome"]["status"] == 412


def test_a_resource_is_not_moved_to_another_patient(front, issuer):
    response = write(front, "PUT", MINE, issuer.patient(), observation("ann-1", "ben"))
    front.refused(response, 403, "write_not_member")


def test_a_resource_is_not_taken_from_another_patient(front, issuer):
    response = write(front, "PUT", THEIRS, issuer.patient(), observation("ben-1", "ann"))
    front.refused(response, 403, "compartment_not_member", probes=[THEIRS])


def test_a_resource_does_not_change_hands_between_two_contexts(gateway, issuer):
    """A mother in her child's chart may write about both, and not make the one's the other's."""
    mother = issuer.token("patient/*.cruds user/*.cruds", patient="child", fhirUser="Patient/ann")
    childs = observation("child-1", "child")
    holds(gateway, OWN, childs)
    for one, new, code in ((OWN, "child", "compartment_not_member"), (childs, "ann", "write_not_member")):
        target = f"Observation/{one['id']}"
        response = write(gateway, "PUT", target, mother, {**one, "status": "amended"})
        gateway.allowed(response, probes=[target])
        other = {**one, "subject": {"reference": f"Patient/{new}"}}
        gateway.refused(write(gateway, "PUT", target, mother, other), 403, code, probes=[target])


def test_patients_change_their_own_record_and_nobody_elses(front, issuer):
    token = issuer.patient()
    response = write(front, "PUT", "Patient/ann", token, {**ANN, "gender": "female"})
    passed(front, response, probes=["Patient/ann"])
    for target, document in (("Patient/ben", BEN), ("Patient/none", {**ANN, "id": "none"})):
        front.refused(write(front, "PUT", target, token, document), 403, "compartment_other_patient")
    front.refused(write(front, "DELETE", "Patient/ben", token), 403, "compartment_other_patient")
    linked = {**ANN, "link": [{"other": {"reference": "Patient/ben"}, "type": "replaces"}]}
    front.refused(write(front, "PUT", "Patient/ann", token, linked), 403, "write_other_patient")


# Creating.

def test_what_is_about_the_patient_is_created_without_a_lookup(front, issuer):
    new = {name: value for name, value in OWN.items() if name != "id"}
    location = ("location", "https://api.clinic.example/fhir/Observation/7/_history/1")
    holds(front, written=ok(observation("7"), location, ("etag", 'W/"1"'), status=201))
    response = write(front, "POST", "Observation", issuer.patient(), new)
    got, _ = passed(front, response, status=201)
    assert got.body == json.dumps(new).encode()
    assert (response.json(), location in response.headers) == (observation("7"), True)


@pytest.mark.parametrize("target, document, code", [
    ("Observation", observation("1", "ben"), "write_not_member"),
    ("Observation", observation("1", "ann2"), "write_not_member"),
    ("Observation", {"resourceType": "Observation", "status": "final"}, "write_not_member"),
    ("Observation", observation("1", performer=[{"reference": "Patient/ben"}]), "write_other_patient"),
    ("Observation", observation("1", focus=[{"reference": "Patient/ben"}]), "write_other_patient"),
    ("Patient", {"resourceType": "Patient"}, "compartment_other_patient"),
    ("Patient", ANN, "compartment_other_patient"),
    ("Group", {"resourceType": "Group", "type": "person", "actual": True,
               "member": [{"entity": {"reference": "Patient/ann"}}]}, "write_not_member"),
    ("Practitioner", {"resourceType": "Practitioner"}, "compartment_type_outside"),
    ("Questionnaire", {"resourceType": "Questionnaire"}, "compartment_type_outside"),
    ("Binary", {"resourceType": "Binary", "contentType": "a/b"}, "write_not_member"),
    ("Binary", {"resourceType": "Binary", "contentType": "a/b",
                "securityContext": {"reference": "Patient/ben"}}, "write_not_member"),
    ("Provenance", {"resourceType": "Provenance", "target": [
        {"reference": "Patient/ann"}, {"reference": "Patient/ben"}]}, "write_other_patient"),
])
def test_what_is_not_about_the_patient_alone_is_not_created(front, issuer, target, document, code):
    response = write(front, "POST", target, issuer.patient(), document)
    front.refused(response, 403, code)


# Scopes.

NEEDS = {"c": ("POST", "Observation", []), "u": ("PUT", MINE, [MINE]), "d": ("DELETE", MINE, [MINE])}


@pytest.mark.parametrize("letter", NEEDS)
def test_each_write_needs_its_letter_and_no_other(gateway, issuer, letter):
    method, target, probes = NEEDS[letter]
    document = None if method == "DELETE" else OWN
    holds(gateway, OWN)
    for scope, enough in [(f"patient/Observation.{letter}", True), ("patient/*.write", True),
                          (f"patient/Observation.{'cruds'.replace(letter, '')}", False),
                          (f"patient/Condition.{letter}", False), ("patient/*.rs", False)]:
        response = write(gateway, method, target, issuer.patient(scope=scope), document)
        if enough:
            gateway.allowed(response, probes=probes)
        else:
            gateway.refused(response, 403, "scope_insufficient", challenge=SCOPE, method=method)
            assert f'scope="patient/Observation.{letter}"' in response.header("www-authenticate")


def test_an_update_does_not_need_the_letter_for_creating(front, issuer):
    """Update as create is an update (SMART 2.2, `u`)."""
    response = change(front, "PUT", MISSING, issuer.patient(scope="patient/Observation.u"))
    got, _ = passed(front, response, probes=[MISSING])
    assert got.header("if-none-match") == "*"


@pytest.mark.parametrize("who", ["clinician", "backend"])
@pytest.mark.parametrize("method", CHANGES)
def test_who_is_not_confined_writes_without_a_lookup(gateway, issuer, who, method):
    holds(gateway, FOREIGN, written=ok({"resourceType": "Patient", "id": "x"}))
    token = getattr(issuer, who)()
    response = change(gateway, method, THEIRS, token, ("if-match", 'W/"1"'))
    got, _ = gateway.allowed(response)
    assert got.header("if-match") == 'W/"1"'
    assert response.json() == {"resourceType": "Patient", "id": "x"}


# Conditions.

def test_criteria_find_only_what_is_the_patients(front, issuer):
    token = issuer.patient()
    new = {name: value for name, value in OWN.items() if name != "id"}
    response = write(front, "POST", "Observation", token, new, ("if-none-exist", "identifier=x|1"))
    got, record = passed(front, response, probes=[found_by("identifier=x|1")])
    assert (got.target, got.header("if-none-exist")) == ("/fhir/Observation", "_id=ann-1")
    assert got.header("prefer") == "handling=strict"
    assert record["narrowed"] == ["patient=Patient/ann"]
    for method, document in (("PUT", new), ("PATCH", PATCH), ("DELETE", None)):
        response = write(front, method, "Observation?identifier=x%7C1", token, document)
        got, record = passed(front, response, probes=[found_by("identifier=x%7C1")])
        assert (got.method, got.target) == (method, f"/fhir/{MINE}")
        assert got.header("if-match") == 'W/"3"'
        assert record["narrowed"] == ["patient=Patient/ann"]
        if method == "PUT":
            assert json.loads(got.body) == OWN
            assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("criteria, status, code", [
    ("patient=ben", 403, "search_other_patient"), ("patient=ann,ben", 403, "search_other_patient"),
    ("subject=Patient/ben", 403, "search_other_patient"),
    ("performer=Patient/ben", 403, "search_other_patient"),
    ("patient:not=ann", 403, "search_patient_modifier"),
    ("subject.name=x", 403, "search_chain_outside"),
    ("_filter=x", 403, "search_filter_unjudged"), ("_include=*", 403, "search_parameter_unjudged"),
    ("_list=1", 403, "search_list_unjudged"), ("_cursor=1", 403, "search_parameter_unjudged"),
    ("_ID=ben-1", 400, "search_name_case"),
])
def test_criteria_are_no_oracle(front, issuer, criteria, status, code):
    token = issuer.patient()
    new = {name: value for name, value in OWN.items() if name != "id"}
    response = write(front, "POST", "Observation", token, new, ("if-none-exist", criteria))
    front.refused(response, status, code)
    for method, document in (("PUT", new), ("PATCH", PATCH), ("DELETE", None)):
        response = write(front, method, f"Observation?{criteria}", token, document)
        front.refused(response, status, code, method=method)


def test_a_conditional_update_does_not_name_what_to_overwrite(front, issuer):
    """Where the criteria find nothing, a server would update `Observation/ben-1`."""
    for held, status, code in (([FOREIGN], 403, "conditional_id"), ([OWN, FOREIGN], 400, "body_id")):
        holds(front, *held)
        response = write(front, "PUT", "Observation?identifier=x", issuer.patient(), observation("ben-1"))
        front.refused(response, status, code, probes=[found_by("identifier=x")])


@pytest.mark.parametrize("method, target, header, scope", [
    ("POST", "Observation", ("if-none-exist", "identifier=x"), "cs"),
    ("PUT", "Observation?identifier=x", ("x-none", ""), "cus"),
    ("PATCH", "Observation?identifier=x", ("x-none", ""), "us"),
    ("DELETE", "Observation?identifier=x", ("x-none", ""), "ds"),
])
def test_a_condition_needs_searching(front, issuer, method, target, header, scope):
    new = {name: value for name, value in OWN.items() if name != "id"}
    document = {"PATCH": PATCH, "DELETE": None}.get(method, new)
    token = issuer.patient(scope=f"patient/Observation.{scope}")
    front.allowed(write(front, method, target, token, document, header), probes=[found_by("identifier=x")])
    less = issuer.patient(scope=f"patient/Observation.{scope.replace('s', '')}")
    response = write(front, method, target, less, document, header)
    front.refused(response, 403, "scope_insufficient", challenge=SCOPE, method=method)


@pytest.mark.parametrize("headers", [
    [("if-none-exist", "identifier=x"), ("if-none-exist", "identifier=y")], [("if-none-exist", "")]],
    ids=["twice", "empty"])
def test_a_condition_comes_once(front, issuer, headers):
    response = write(front, "POST", "Observation", issuer.patient(), OWN, *headers)
    front.refused(response, 400, "fhir_if_none_exist")


def test_a_patient_is_nobodys_to_find_by_a_condition(front, issuer):
    token = issuer.patient()
    for method, target in (("PUT", "Patient?identifier=x"), ("DELETE", "Patient?identifier=x")):
        response = write(front, method, target, token, None if method == "DELETE" else ANN)
        front.refused(response, 403, "compartment_other_patient", method=method)


# Types whose resources are found by another parameter.

def test_a_type_without_a_patient_parameter_is_narrowed_by_subject(front, issuer):
    event = resource("AdverseEvent", "1", actuality="actual")
    del event["id"]
    response = write(front, "PUT", "AdverseEvent?date=2026", issuer.patient(), event)
    lookup = found_by("date=2026", "AdverseEvent", "&subject=Patient%2Fann")
    got, _ = passed(front, response, probes=[lookup])
    assert (got.method, got.target) == ("POST", "/fhir/AdverseEvent")
    assert got.header("if-none-exist") == "date=2026&subject=Patient%2Fann"
