"""Binaries of which another resource tells whose they are, and compartments of other resources than the
patient: what tells is looked up first, and the answer must be what was looked up."""

import json
import threading

import pytest

from hostile import (
    CHUNKED, FHIR_JSON, MARK, OUTCOME, answers, bundle, holds, ok, passed, resource, shows, turned_back)
from lab.fhir_server import FhirServer
from gateway import BASE
from test_batches import entry, send
from test_writes import write

LETTER, THEIRS = resource("DocumentReference", "ann-letter"), resource("DocumentReference", "ben-letter", "ben")
NOT_THERE = (403, "compartment_not_member")


def scan(ident="scan", of="DocumentReference/ann-letter", data="eA=="):
    """A Binary whose `securityContext` refers to this."""
    return {"resourceType": "Binary", "id": ident, "contentType": "text/plain",
            "securityContext": {"reference": of}, "data": data}


OWN = scan()
BEHIND = ["Binary/scan", "DocumentReference/ann-letter"]


def in_turn(gateway, *replies):
    """From now on the FHIR server answers so, one after the other."""
    left = list(replies)
    gateway.upstream.reply = lambda _: left.pop(0)


# What a Binary refers to.

@pytest.mark.parametrize("of", ["DocumentReference/ann-letter", f"{BASE}/DocumentReference/ann-letter"])
@pytest.mark.parametrize("target", ["Binary/scan", "Binary/scan/_history/3"])
def test_a_binary_of_what_is_the_patients_is_read(gateway, issuer, of, target):
    own = scan(of=of)
    in_turn(gateway, ok(own), ok(LETTER), ok(own))
    response = gateway.get(f"/fhir/{target}", issuer.patient())
    got, record = passed(gateway, response, probes=BEHIND)
    assert (got.target, got.header("accept")) == (f"/fhir/{target}", "application/fhir+json")
    assert response.json() == own
    assert record["what"]["type"] == "Binary", record


def test_a_binary_that_names_the_patient_takes_one_lookup(gateway, issuer):
    holds(gateway, scan(of="Patient/ann"))
    passed(gateway, gateway.get("/fhir/Binary/scan", issuer.patient()), probes=["Binary/scan"])


def test_what_is_not_the_patients_and_what_is_not_there_read_alike(gateway, issuer):
    foreign = scan(of="DocumentReference/ben-letter", data=MARK)
    rows = {
        "missing": ([], ["Binary/scan"]),
        "ben's": ([scan(of="Patient/ben")], ["Binary/scan"]),
        "nobody's": ([{**scan(), "securityContext": None}], ["Binary/scan"]),
        "of ben's letter": ([foreign, THEIRS], ["Binary/scan", "DocumentReference/ben-letter"]),
        "of a letter that is missing": ([foreign], ["Binary/scan", "DocumentReference/ben-letter"]),
        "of another Binary": ([scan(of="Binary/other"), scan("other", "Patient/ann")], ["Binary/scan"]),
        "of itself": ([scan(of="Binary/scan")], ["Binary/scan"]),
        "of a version": ([scan(of="DocumentReference/ann-letter/_history/1"), LETTER], ["Binary/scan"]),
        "of another server's": ([scan(of="https://other.example/fhir/DocumentReference/ann-letter"), LETTER],
                                ["Binary/scan"]),
        "of a shared one": ([scan(of="Organization/clinic")], ["Binary/scan"]),
        "contained": ([{**scan(of="#letter"), "contained": [LETTER]}], ["Binary/scan"]),
        "of a path": ([scan(of="DocumentReference/../Patient/ann")], ["Binary/scan"]),
    }
    seen = set()
    for name, (resources, probes) in rows.items():
        holds(gateway, *resources)
        response = gateway.get("/fhir/Binary/scan", issuer.patient())
        gateway.refused(response, *NOT_THERE, probes=probes)
        assert not shows(response, MARK), name
        names = sorted({field for field, _ in response.headers} - {"date", "x-envoy-upstream-service-time"})
        seen.add((response.body.replace(response.header("x-request-id").encode(), b""), tuple(names)))
    for gone in ([ok(OUTCOME, status=410)], [ok(OWN), ok(OUTCOME, status=410)]):
        in_turn(gateway, *gone)
        response = gateway.get("/fhir/Binary/scan", issuer.patient())
        gateway.refused(response, *NOT_THERE, probes=BEHIND[:len(gone)])
        seen.add((response.body.replace(response.header("x-request-id").encode(), b""), tuple(names)))
    assert len(seen) == 1, seen


def test_who_may_not_read_what_tells_may_not_read_the_binary(gateway, issuer):
    holds(gateway, OWN, LETTER)
    status = "patient/Binary.r patient/DocumentReference.r?status={}"
    for scope in ("patient/Binary.r", "patient/Binary.r patient/DocumentReference.s", status.format("current")):
        response = gateway.get("/fhir/Binary/scan", issuer.patient(scope=scope))
        gateway.refused(response, *NOT_THERE, probes=BEHIND)
    holds(gateway, OWN, {**LETTER, "status": "current"})
    response = gateway.get("/fhir/Binary/scan", issuer.patient(scope=status.format("current")))
    passed(gateway, response, probes=BEHIND)
    passed(gateway, gateway.get("/fhir/Binary/scan", issuer.clinician()))


# A server that answers something else the second time.

@pytest.mark.parametrize("answer", [
    scan("other", data=MARK), scan(of="DocumentReference/ben-letter", data=MARK),
    scan(of="Patient/ben", data=MARK), scan(of=f"{BASE}/DocumentReference/ann-letter", data=MARK),
    {**scan(data=MARK), "securityContext": [{"reference": "DocumentReference/ann-letter"}]},
    {**scan(data=MARK), "securityContext": None}, {**OWN, "resourceType": "Media", "note": MARK},
    {**scan(data=MARK), "contained": [{"resourceType": "Patient", "id": "ben"}]},
    {**THEIRS, "id": "scan"}, {**LETTER, "note": MARK}, bundle({"resource": OWN}, note=MARK),
], ids=["another", "of ben's letter", "ben's", "in other words", "a list", "nobody's", "another type",
        "with ben in it", "ben's letter", "the letter", "a Bundle"])
def test_an_answer_that_is_not_what_was_looked_up_does_not_pass(gateway, issuer, answer):
    in_turn(gateway, ok(OWN), ok(LETTER), ok(answer))
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    turned_back(gateway, response, *NOT_THERE, probes=BEHIND)


def test_an_answer_that_says_whose_it_is_twice_does_not_pass(gateway, issuer):
    text = json.dumps(scan(data=MARK))[:-1] + ', "securityContext": {"reference": "Patient/ben"}}'
    in_turn(gateway, ok(OWN), ok(LETTER), ok(text.encode()))
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    turned_back(gateway, response, 502, "answer_unreadable", probes=BEHIND)


def test_a_binary_that_is_gone_the_second_time_reads_like_somebody_elses(gateway, issuer):
    for status in (404, 410):
        in_turn(gateway, ok(OWN), ok(LETTER), ok(OUTCOME, status=status))
        response = gateway.get("/fhir/Binary/scan", issuer.patient())
        turned_back(gateway, response, *NOT_THERE, audit="answer_not_found", probes=BEHIND)


# Lookups that fail.

FAILED, UNREADABLE = (503, "probe_failed"), (502, "probe_unreadable")


@pytest.mark.parametrize("answer, expected", [
    (ok(OUTCOME, status=500), FAILED), (ok(OUTCOME, status=401), FAILED), ((304, [], b""), FAILED),
    (ok(b"{"), UNREADABLE), (ok(resource("DocumentReference", "other")), UNREADABLE), (ok(b""), UNREADABLE),
    ((200, [("content-type", "application/pdf")], b"%PDF-1.7"), UNREADABLE),
], ids=["500", "401", "304", "cut off", "another", "nothing", "as it is"])
@pytest.mark.parametrize("at", [0, 1], ids=["the Binary", "what tells"])
def test_a_lookup_that_fails_shows_nothing(gateway, issuer, answer, expected, at):
    in_turn(gateway, *[ok(OWN), answer][1 - at:])
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    gateway.refused(response, *expected, probes=BEHIND[:at + 1])


def test_a_lookup_that_takes_too_long_or_is_too_large_shows_nothing(gateway, issuer, envoy):
    released = threading.Event()

    def slowly(request):
        if request.target.startswith("/fhir/DocumentReference"):
            released.wait(20)
            return ok(LETTER)
        return ok(OWN)

    gateway.upstream.reply = slowly
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    released.set()
    gateway.refused(response, *FAILED, probes=BEHIND)
    huge = (b"100000\r\n%s\r\n" % (b" " * 2 ** 20) for _ in range(200))
    in_turn(gateway, (200, [FHIR_JSON, CHUNKED], huge))
    before = envoy.resident_bytes()
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    gateway.refused(response, *FAILED, probes=["Binary/scan"])
    assert envoy.resident_bytes() - before < 150_000_000


def test_a_large_binary_is_looked_up_and_shown(gateway, issuer):
    large = scan(data="A" * 6_000_000)
    holds(gateway, large, LETTER)
    response = gateway.get("/fhir/Binary/scan", issuer.patient())
    passed(gateway, response, probes=BEHIND)
    assert len(response.json()["data"]) == 6_000_000


# Without a lookup.

def test_without_a_cluster_only_what_names_the_patient_is_shown(listen, configuration, issuer):
    document = configuration()
    del document["fhir"]["cluster"]
    blind = listen("binary-blind", document)
    holds(blind, scan(of="Patient/ann"))
    passed(blind, blind.get("/fhir/Binary/scan", issuer.patient()))
    bodies = set()
    for resources, audit in (([OWN, LETTER], "answer_context_unknown"), ([], "answer_not_found"),
                             ([scan(of="Patient/ben", data=MARK)], "compartment_not_member")):
        holds(blind, *resources)
        response = blind.get("/fhir/Binary/scan", issuer.patient())
        turned_back(blind, response, *NOT_THERE, audit=audit)
        bodies.add(response.body.replace(response.header("x-request-id").encode(), b""))
    assert len(bodies) == 1
    response = write(blind, "POST", "Binary", issuer.patient(), OWN)
    blind.refused(response, 403, "probe_unconfigured")
    response = blind.get("/fhir/Encounter/visit/Observation", issuer.patient())
    blind.refused(response, 403, "probe_unconfigured")


def test_what_is_refused_anyway_is_not_looked_up(gateway, issuer):
    answers(gateway, *ok(OWN))
    pdf = [("accept", "application/pdf")]
    response = gateway.get("/fhir/Binary/scan", issuer.patient(), headers=pdf)
    gateway.refused(response, 406, "format_unjudged")
    response = gateway.send("HEAD", "/fhir/Binary/scan", issuer.patient())
    gateway.refused(response, 405, "head_unjudged", method="HEAD")


# Bundles and writes.

def test_in_a_bundle_a_binary_is_looked_up_as_alone(gateway, issuer):
    read = entry("GET", "Binary/scan")
    for answer, shown in ((OWN, True), (scan(of="Patient/ben", data=MARK), False)):
        batch = bundle({"resource": answer, "response": {"status": "200"}}, kind="batch-response")
        in_turn(gateway, ok(OWN), ok(LETTER), ok(batch))
        response = send(gateway, issuer.patient(), read)
        passed(gateway, response, probes=BEHIND)
        assert ("resource" in response.json()["entry"][0]) == shown
    in_turn(gateway, ok(scan(of="DocumentReference/ben-letter")), ok(THEIRS))
    response = send(gateway, issuer.patient(), read)
    gateway.refused(response, *NOT_THERE, probes=["Binary/scan", "DocumentReference/ben-letter"])


def test_what_is_included_and_refers_to_something_else_is_removed(gateway, issuer):
    found = {**LETTER, "code": {}}
    entries = [{"fullUrl": f"{BASE}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": mode}}
               for one, mode in ((found, "match"), (scan(data=MARK), "include"))]
    answers(gateway, *ok(bundle(*entries)))
    response = gateway.get("/fhir/DocumentReference?_include=DocumentReference:related", issuer.patient())
    passed(gateway, response, removed=1)


def test_a_binary_is_written_for_what_is_the_patients(gateway, issuer):
    own = scan()
    holds(gateway, OWN, LETTER, THEIRS, scan("other", "DocumentReference/ben-letter", MARK))
    response = write(gateway, "POST", "Binary", issuer.patient(), own)
    passed(gateway, response, probes=["DocumentReference/ann-letter"])
    response = write(gateway, "PUT", "Binary/scan", issuer.patient(), own)
    got, _ = passed(gateway, response, probes=["DocumentReference/ann-letter", "Binary/scan"])
    assert got.header("if-match") == 'W/"3"'
    response = write(gateway, "DELETE", "Binary/scan", issuer.patient())
    passed(gateway, response, probes=BEHIND)
    for method, target, document, probes in (
            ("POST", "Binary", scan(of="DocumentReference/ben-letter"), ["DocumentReference/ben-letter"]),
            ("POST", "Binary", scan(of="DocumentReference/none"), ["DocumentReference/none"]),
            ("PUT", "Binary/other", scan("other"), ["DocumentReference/ann-letter", "Binary/other",
                                                    "DocumentReference/ben-letter"]),
            ("DELETE", "Binary/other", None, ["Binary/other", "DocumentReference/ben-letter"])):
        response = write(gateway, method, target, issuer.patient(), document)
        gateway.refused(response, *NOT_THERE, probes=probes)
        assert not shows(response, MARK)


# Compartments of other resources than the patient.

VISIT = resource("Encounter", "visit", status="finished")
FOUND = resource("Observation", "ann-1", status="final")
FOREIGN = resource("Observation", "ben-1", "ben", status="final")


def found(*resources):
    return bundle(*({"fullUrl": f"{BASE}/Observation/{one['id']}", "resource": one, "search": {"mode": "match"}}
                    for one in resources), total=len(resources))


def test_what_belongs_to_the_patients_encounter_is_searched_narrowed(gateway, issuer):
    in_turn(gateway, ok(VISIT), ok(found(FOUND, FOREIGN)))
    response = gateway.get("/fhir/Encounter/visit/Observation?code=1", issuer.patient())
    got, _ = passed(gateway, response, probes=["Encounter/visit"], removed=1)
    assert got.target == "/fhir/Encounter/visit/Observation?code=1&patient=Patient%2Fann"
    assert got.header("prefer") == "handling=strict"


def test_the_compartment_of_somebody_elses_reads_like_that_of_nothing(gateway, issuer):
    bodies = set()
    for resources in ([], [resource("Encounter", "visit", "ben")], [{"resourceType": "Encounter", "id": "visit"}]):
        holds(gateway, *resources, written=ok(found(FOREIGN)))
        response = gateway.get("/fhir/Encounter/visit/Observation", issuer.patient())
        gateway.refused(response, *NOT_THERE, probes=["Encounter/visit"])
        bodies.add(response.body.replace(response.header("x-request-id").encode(), b""))
    assert len(bodies) == 1
    holds(gateway, VISIT)
    token = issuer.patient(scope="patient/Observation.rs")
    response = gateway.get("/fhir/Encounter/visit/Observation", token)
    gateway.refused(response, 403, "scope_insufficient", challenge='Bearer error="insufficient_scope"')
    in_turn(gateway, ok(OUTCOME, status=500))
    response = gateway.get("/fhir/Encounter/visit/Observation", issuer.patient())
    gateway.refused(response, *FAILED, probes=["Encounter/visit"])


def test_with_an_encounter_in_context_only_its_own_compartment_is_searched(listen, configuration, issuer):
    document = configuration()
    document["smart"] = {"encounter": "confine"}
    confined, token = listen("binary-encounter", document), issuer.patient(encounter="visit")
    in_turn(confined, ok(VISIT), ok(found()))
    response = confined.get("/fhir/Encounter/visit/Observation", token)
    got, _ = passed(confined, response, probes=["Encounter/visit"])
    assert got.target.endswith("?patient=Patient%2Fann&encounter=Encounter%2Fvisit")
    response = confined.get("/fhir/Encounter/other/Observation", token)
    confined.refused(response, 403, "compartment_other_encounter")


# A real FHIR server.

@pytest.fixture(scope="module")
def real(envoy, listen, configuration, tmp_path_factory):
    people = [{"resourceType": "Patient", "id": one} for one in ("ann", "ben")]
    letters = [{"resourceType": "DocumentReference", "id": f"{one}-letter", "status": "current",
                "subject": {"reference": f"Patient/{one}"},
                "content": [{"attachment": {"url": f"Binary/{one}-scan"}}]} for one in ("ann", "ben")]
    scans = [scan(f"{one}-scan", f"DocumentReference/{one}-letter") for one in ("ann", "ben")]
    visits = [{"resourceType": "Encounter", "id": f"{one}-visit", "status": "finished",
               "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{one}"}} for one in ("ann", "ben")]
    pulses = [{"resourceType": "Observation", "id": f"{one}-pulse", "status": "final", "code": {"text": "Pulse"},
               "subject": {"reference": f"Patient/{one}"},
               "encounter": {"reference": f"Encounter/{one}-visit"}} for one in ("ann", "ben")]
    fhir = FhirServer(tmp_path_factory.mktemp("binaries"), BASE, envoy.clusters["binaries"],
                      [*people, *letters, *scans, *visits, *pulses])
    fhir.wait()

    def before_it(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "binaries"

    document = configuration()
    document["fhir"]["cluster"] = "binaries"
    yield listen("binary-real", document, adjust=before_it).client
    fhir.stop()


def test_before_a_real_server_a_patient_reads_the_scan_of_their_letter_and_no_other(real, issuer):
    token = issuer.patient()
    response = real.get("/fhir/Binary/ann-scan", token)
    assert (response.status, response.json()["data"]) == (200, "eA==")
    assert real.get("/fhir/Binary/ann-scan/_history/1", token).status == 200
    for target in ("Binary/ben-scan", "Binary/none", "Binary/ben-scan/_history/1"):
        response = real.get(f"/fhir/{target}", token)
        assert (response.status, response.reason) == NOT_THERE, target
    assert real.get("/fhir/Binary/ben-scan", issuer.clinician()).status == 200


def test_before_a_real_server_a_patient_searches_their_visit_and_no_other(real, issuer):
    token = issuer.patient()
    response = real.get("/fhir/Encounter/ann-visit/Observation", token)
    assert response.status == 200, response
    assert [one["resource"]["id"] for one in response.json()["entry"]] == ["ann-pulse"]
    for visit in ("ben-visit", "none"):
        response = real.get(f"/fhir/Encounter/{visit}/Observation", token)
        assert (response.status, response.reason) == NOT_THERE, visit
