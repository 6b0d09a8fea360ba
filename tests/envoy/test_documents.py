"""What carries other resources or other people's: contained resources, Binary, documents, `$everything`,
errors; and answers that are larger than anybody may hold."""

import gzip
import json

import pytest

from hostile import (
    ANN, BEN, CHUNKED, FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, answers, bundle, chunked, ok, passed, resource,
    shows, turned_back)
from lab import http2
from test_includes import match, shown
from test_policy import CHALLENGE, decided

READ, SEARCH = "/fhir/Observation/ann-1", "/fhir/Observation?code=8867-4"
EVERYTHING = "/fhir/Patient/ann/$everything"
HERE = "https://api.clinic.example/fhir"


# Contained resources, Binary, documents.

def part(kind="Observation", **more):
    return {"resourceType": kind, "id": "c", "note": MARK, **more}


@pytest.mark.parametrize("contained", [
    [part(subject={"reference": "Patient/ben"})], [part("Patient")], [part("Patient", id="ann")],
    [part("RelatedPerson", patient={"reference": "Patient/ben"})], [part("Task")], [part("Observations")],
    [part("")],
    [{"note": MARK}], [MARK], [[part()]], part(), [part(contained=[part()])],
    [part(extension=[{"valueReference": {"reference": "Patient/ben"}}])],
    [part("Bundle", entry=[{"resource": FOREIGN}])], [part("Parameters", parameter=[{"resource": FOREIGN}])],
    [part("Provenance", target=[{"reference": "Patient?identifier=ben"}])],
], ids=lambda value: json.dumps(value)[:60])
@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_what_is_contained_and_may_be_somebody_elses_hides_what_contains_it(gateway, issuer, contained, protocol):
    front = gateway.over(http2.Client(gateway.client.port)) if protocol == "HTTP/2" else gateway
    hiding = {**OWN, "contained": contained}
    answers(gateway, *ok(hiding))
    turned_back(front, front.get(READ, issuer.patient()), 403, "compartment_not_member")
    answers(gateway, *ok(bundle(match(hiding), match(OWN))))
    response = front.get(SEARCH, issuer.patient())
    passed(front, response, removed=1)
    assert shown(response) == ["Observation/ann-1", "suppressed"]


def test_what_is_contained_and_the_patients_own_is_shown_with_it(gateway, issuer):
    for kind, more in (("Observation", {}), ("Observation", {"subject": {"reference": "Patient/ann"}}),
                       ("Practitioner", {}),
                       ("Medication", {}), ("Encounter", {"subject": {"reference": "Patient/ann"}})):
        answers(gateway, *ok({**OWN, "contained": [{"resourceType": kind, "id": "c", **more}]}))
        passed(gateway, gateway.get(READ, issuer.patient()))


def binary(context=None, **more):
    secured = {"securityContext": context} if context is not None else {}
    return {"resourceType": "Binary", "id": "b", "contentType": "application/pdf", "data": MARK, **secured, **more}


@pytest.fixture(scope="module")
def blind(listen, configuration):
    """A listener that looks nothing up: of a Binary the answer alone is judged."""
    document = configuration()
    del document["fhir"]["cluster"]
    return listen("documents-blind", document)


@pytest.mark.parametrize("document", [
    binary(), binary({"reference": "Patient/ben"}), binary({"reference": "Patient/ann2"}),
    binary({"reference": "https://other.example/fhir/Patient/ann"}), binary({"identifier": {"value": "ann"}}),
    binary([{"reference": "Patient/ann"}]), binary("Patient/ann"), binary({"reference": ["Patient/ann"]}),
    binary(subject={"reference": "Patient/ann"}), {**FOREIGN, "securityContext": {"reference": "Patient/ann"}}],
    ids=lambda value: json.dumps(value.get("securityContext", "none")))
def test_a_binary_of_somebody_else_looks_like_none(blind, issuer, document):
    for target in ("/fhir/Binary/b", "/fhir/Binary/b/_history/1"):
        answers(blind, *ok(document))
        turned_back(blind, blind.get(target, issuer.patient()), 403, "compartment_not_member")


def test_a_binary_of_the_patient_comes_as_json_or_not_at_all(blind, issuer):
    own = binary({"reference": "Patient/ann"}, data="eA==")
    answers(blind, *ok(own))
    response = blind.get("/fhir/Binary/b", issuer.patient())
    got, _ = passed(blind, response)
    assert (response.json(), got.header("accept")) == (own, "application/fhir+json")
    response = blind.get("/fhir/Binary/b", issuer.patient(), headers=[("accept", "application/pdf")])
    blind.refused(response, 406, "format_unjudged")
    answers(blind, 200, [("content-type", "application/pdf")], MARK.encode())
    turned_back(blind, blind.get("/fhir/Binary/b", issuer.patient()), 406, "answer_format")
    decided(blind, "GET Binary", issuer.patient(), "search_subject_unknown")
    decided(blind, "GET Binary/b", issuer.patient(scope="patient/DocumentReference.rs"), "scope_insufficient")


@pytest.mark.parametrize("target, code", [
    ("Bundle/1", "compartment_type_outside"), ("Bundle?type=document", "compartment_type_outside"),
    ("Parameters/1", "compartment_type_outside"), ("Composition/ann-1/$document", "operation_not_listed"),
    ("Composition/ann-1/$document?persist=true", "operation_not_listed"),
    ("Patient/ann/$summary", "operation_not_listed"),
    ("MessageHeader/1", "compartment_type_outside"), ("DocumentReference/$docref?patient=ben",
                                                      "operation_not_listed"),
    ("Observation/$lastn?patient=ann", "operation_not_listed"),
    ("Patient/ann/$graphql?query={}", "operation_not_listed")])
def test_nothing_comes_around_in_a_document(gateway, issuer, target, code):
    gateway.refused(gateway.get(f"/fhir/{target}", issuer.patient()), 403, code)


def test_where_a_document_points_is_judged_when_it_is_asked_for(gateway, issuer):
    """The patient's DocumentReference passes whole; what its attachment names is somebody's own read."""
    pointing = {"resourceType": "DocumentReference", "id": "ann-1", "status": "current",
                "subject": {"reference": "Patient/ann"},
                "content": [{"attachment": {"url": "Binary/ben-secret"}}]}
    answers(gateway, *ok(pointing))
    passed(gateway, gateway.get("/fhir/DocumentReference/ann-1", issuer.patient()))
    answers(gateway, *ok({**binary({"reference": "Patient/ben"}), "id": "ben-secret"}))
    response = gateway.get("/fhir/Binary/ben-secret", issuer.patient())
    gateway.refused(response, 403, "compartment_not_member", probes=["Binary/ben-secret"])


# `$everything`.

@pytest.mark.parametrize("kind", ["searchset", "collection"])
@pytest.mark.parametrize("form", [ok, chunked])
def test_everything_is_everything_of_the_patient(gateway, issuer, kind, form):
    own, others = [ANN, OWN, resource("Condition", "ann-1"), {"resourceType": "Practitioner", "id": "7"}], [
        FOREIGN, BEN, resource("Condition", "ben-1", "ben"), {"resourceType": "Task", "id": "1", "note": MARK},
        {**OWN, "contained": [FOREIGN]}, binary({"reference": "Patient/ben"}), bundle({"resource": FOREIGN})]
    mixed = [{"resource": one} for pair in zip(own * 2, others) for one in pair]
    answers(gateway, *form(bundle(*mixed, kind=kind, total=99)))
    for target, token in ((EVERYTHING, issuer.patient()),
                          (f"{EVERYTHING}?_count=100&_since=2020-01-01", issuer.patient()),
                          (EVERYTHING, issuer.patient(scope="patient/*.rs"))):
        response = gateway.get(target, token)
        got, _ = passed(gateway, response, removed=len(others))
        assert got.target == target
        assert [one["resource"] for one in response.json()["entry"]][:-1] == (own * 2)[:len(others)]
        assert "total" not in response.json()


def test_everything_of_some_types_is_of_those(gateway, issuer):
    token = issuer.patient(scope="patient/Observation.rs patient/Patient.rs")
    answers(gateway, *ok(bundle({"resource": OWN}, {"resource": resource("Condition", "ann-1", note=MARK)},
                                {"resource": FOREIGN})))
    response = gateway.get(f"{EVERYTHING}?_type=Observation,Patient", token)
    passed(gateway, response, removed=2)
    gateway.refused(gateway.get(EVERYTHING, token), 403, "scope_insufficient", challenge=CHALLENGE)
    response = gateway.get(f"{EVERYTHING}?_type=Observation,Condition", token)
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)


@pytest.mark.parametrize("method, target, status, code", [
    ("GET", "/fhir/Patient/ben/$everything", 403, "compartment_other_patient"),
    ("GET", "/fhir/Patient/$everything", 403, "operation_unconfined"),
    ("GET", "/fhir/Encounter/ann-1/$everything", 403, "operation_unconfined"),
    ("GET", "/fhir/Patient/ann/$Everything", 403, "operation_not_listed"),
    ("GET", f"{EVERYTHING}?_type=Nothing", 403, "operation_types"),
    ("GET", f"{EVERYTHING}?_include=*", 403, "parameter_unjudged"),
    ("GET", f"{EVERYTHING}?patient=ben", 403, "parameter_unjudged"),
    ("HEAD", EVERYTHING, 405, "head_unjudged"),
    ("GET", f"{EVERYTHING}?_format=xml", 406, "format_unjudged"),
    ("GET", f"{EVERYTHING}?_outputFormat=ndjson", 403, "parameter_unjudged"),
])
def test_everything_of_somebody_else_is_refused(gateway, issuer, method, target, status, code):
    gateway.refused(gateway.send(method, target, issuer.patient()), status, code, method=method)


def test_the_parameters_of_everything_may_come_in_a_body(gateway, issuer):
    def post(*parameters, **more):
        body = json.dumps({"resourceType": "Parameters", "parameter": list(parameters), **more}).encode()
        return gateway.send("POST", EVERYTHING, issuer.patient(scope="patient/Observation.rs"), [FHIR_JSON], body)

    answers(gateway, *ok(bundle({"resource": OWN}, {"resource": FOREIGN})))
    passed(gateway, post({"name": "_type", "valueCode": "Observation"}), removed=1)
    gateway.refused(post(), 403, "scope_insufficient", challenge=CHALLENGE)
    response = post({"name": "_type", "valueCode": "Observation"}, {"name": "patient", "valueString": "ben"})
    gateway.refused(response, 403, "parameter_unjudged")
    response = post({"name": "_type", "valueCode": "Observation"}, {"name": "_type", "valueCode": "Condition"})
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)


HOSTILE = [
    (ok(FOREIGN), 502, "answer_not_bundle"), (ok(OWN), 502, "answer_not_bundle"),
    (ok(bundle({"resource": FOREIGN}, kind="batch-response")), 502, "answer_not_bundle"),
    (ok(bundle({"resource": FOREIGN}, kind="history")), 502, "answer_not_bundle"),
    (ok(bundle({"resource": FOREIGN}, {"resource": OWN}, kind="document")), 403, "compartment_not_member"),
    (ok(gzip.compress(b"{}"), ("content-encoding", "gzip")), 502, "answer_encoding"),
    (ok(b"{}", ("content-encoding", "br")), 502, "answer_encoding"),
    ((200, [("content-type", "application/fhir+ndjson")], json.dumps(FOREIGN).encode()), 406, "answer_format"),
    ((200, [("content-type", "text/event-stream")], f"data: {MARK}\n\n".encode()), 406, "answer_format"),
    ((200, [("content-type", "multipart/related; boundary=x")], MARK.encode()), 406, "answer_format"),
    ((202, [("content-location", f"{HERE}/{MARK}")], b""), 502, "answer_status"),
    ((302, [("location", f"https://evil.example/{MARK}")], b""), 502, "answer_status"),
    (ok(json.dumps(bundle({"resource": FOREIGN})).encode()[:-3]), 502, "answer_unreadable"),
    (ok(FOREIGN, status=500), 502, "answer_error_body"),
]


@pytest.mark.parametrize("target", [EVERYTHING, "/fhir/Patient/ann/*", "/fhir?_getpages=1", f"{SEARCH}&_include=*"])
@pytest.mark.parametrize("answer, status, code", HOSTILE,
                         ids=[f"{code} {place}" for place, (_, _, code) in enumerate(HOSTILE)])
@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_an_answer_of_many_types_that_can_not_be_judged_does_not_pass(
        gateway, issuer, target, answer, status, code, protocol):
    front = gateway.over(http2.Client(gateway.client.port)) if protocol == "HTTP/2" else gateway
    answers(gateway, *answer)
    if "everything" not in target and code == "compartment_not_member":
        status, code = 502, "answer_not_bundle"
    turned_back(front, front.get(target, issuer.patient()), status, code)


# Too much.

@pytest.mark.parametrize("target", [READ, SEARCH, EVERYTHING, "/fhir/Observation?_include=*",
                                    "/fhir/Observation?_cursor=x"])
def test_200_megabytes_are_neither_held_nor_passed_on(gateway, issuer, envoy, target):
    start = json.dumps(bundle(match(FOREIGN)))[:-2].encode() + b", " + json.dumps(match(OWN)).encode()
    more = b"," + json.dumps(match({**OWN, "note": [{"text": "x" * 2 ** 20}]})).encode()

    def pieces():
        for piece in (start, *[more] * 200, b"]}"):
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    before = envoy.resident_bytes()
    answers(gateway, 200, [FHIR_JSON, CHUNKED], pieces())
    response = gateway.get(target, issuer.patient())
    assert response.status in (500, 502), response
    assert not shows(response, MARK) and not shows(response, "Patient/ann")
    record = gateway.envoy.audit(response.header("x-request-id"))
    assert (record["decision"], record["reason"]) == ("error", "answer_unfinished"), record
    assert envoy.resident_bytes() - before < 150_000_000


# What an error says.

def test_an_error_that_carries_a_resource_does_not_pass_and_one_that_speaks_does(gateway, issuer):
    """What a server writes into an `OperationOutcome` is its own word; resources have no place there."""
    speaking = {**OUTCOME, "issue": [{"severity": "error", "code": "conflict", "diagnostics": "try again"}]}
    for target in (READ, SEARCH, EVERYTHING):
        answers(gateway, *ok(speaking, status=422))
        response = gateway.get(target, issuer.patient())
        gateway.allowed(response, status=422)
        assert response.json() == speaking
        for hidden in ({"contained": [FOREIGN]}, {"extension": [{"valueResource": FOREIGN}]},
                       {"issue": [{"details": FOREIGN}]}):
            answers(gateway, *ok({**OUTCOME, **hidden}, status=422))
            turned_back(gateway, gateway.get(target, issuer.patient()), 502, "answer_error_body")
