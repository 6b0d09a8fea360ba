"""Chains of a patient's app to what else is about her, with a real FHIR server behind: it finds what hers
says, and nothing by what somebody else's says."""

import pytest
from families import BASE, observation, resource, to
from hostile import FOREIGN, MARK, OWN, answers, bundle, ok, passed, shows
from test_batches import entry, send
from test_includes import match, shown
from test_policy import FORM, Allowed, decided, rows

from lab.fhir_server import FhirServer
from lab.http import Client

VISITS = {  # whose it is, and its state
    "hers": ("ann", "finished"), "hers-planned": ("ann", "planned"), "his": ("bob", "finished"),
    "his-planned": ("bob", "planned"),
}


def written():
    """What is about ann, and refers to her visits, to bob's, and to none."""
    yield resource("Organization", "clinic", name="Example Clinic")
    for person in ("ann", "bob"):
        yield resource("Patient", person, name=[{"family": person}])
        yield resource("Specimen", f"{person}-blood", subject=to(f"Patient/{person}"),
                       type={"coding": [{"system": "urn:kinds", "code": "blood"}]})
    for ident, (person, status) in VISITS.items():
        yield resource(
            "Encounter", ident, status=status, subject=to(f"Patient/{person}"),
            serviceProvider=to("Organization/clinic"),
            **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}})
    yield resource("Encounter", "part-of-his", status="finished", subject=to("Patient/ann"),
                   partOf=to("Encounter/his"), **{"class": {"code": "AMB"}})
    for ident in (*VISITS, "part-of-his"):
        yield observation(f"at-{ident}", "Patient/ann", encounter=to(f"Encounter/{ident}"))
        yield resource("Condition", f"at-{ident}", subject=to("Patient/ann"), encounter=to(f"Encounter/{ident}"))
    yield observation("of-bob", "Patient/bob", encounter=to("Encounter/hers"))
    yield observation("at-none", "Patient/ann")
    for person in ("ann", "bob"):
        yield observation(f"blood-of-{person}", "Patient/ann", specimen=to(f"Specimen/{person}-blood"))


@pytest.fixture(scope="module")
def real(envoy, listen, configuration, tmp_path_factory):
    """The filter before the real server, and the server itself."""
    server = FhirServer(tmp_path_factory.mktemp("chains"), BASE, envoy.clusters["families"], list(written()))
    server.wait()

    def before_it(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "families"

    yield listen("chains", configuration(), adjust=before_it).client, Client(server.port)
    server.stop()


@pytest.mark.parametrize("query, found, anybodys", [
    ("encounter:Encounter.status=finished", {"at-hers", "at-part-of-his"}, {"at-his"}),
    ("encounter:Encounter.status=planned", {"at-hers-planned"}, {"at-his-planned"}),
    ("encounter:Encounter.status=finished,planned", {"at-hers", "at-hers-planned", "at-part-of-his"},
     {"at-his", "at-his-planned"}),
    ("encounter:Encounter._id=his", set(), {"at-his"}),
    ("encounter:Encounter.service-provider.name=example", {"at-hers", "at-hers-planned"},
     {"at-his", "at-his-planned"}),
    ("encounter:Encounter.part-of:Encounter.status=finished", set(), {"at-part-of-his"}),
    ("specimen:Specimen.type=blood", {"blood-of-ann"}, {"blood-of-bob"}),
    ("specimen.type=urn:kinds%7Cblood", {"blood-of-ann"}, {"blood-of-bob"}),
])
@pytest.mark.parametrize("how", ["query", "form"])
def test_a_chain_tells_nothing_of_anothers_resource(real, issuer, how, query, found, anybodys):
    """`anybodys`: hers, which the server finds too where the chain may lead to anybody's."""
    client, direct = real
    if how == "query":
        response = client.get(f"/fhir/Observation?{query}", issuer.patient())
    else:
        response = client.request("POST", "/fhir/Observation/_search", FORM, query.encode(), issuer.patient())
    assert ids(response) == found
    assert response.json()["total"] == len(found)
    assert ids(direct.get(f"/fhir/Observation?{query}&patient=ann")) == found | anybodys


def test_a_chain_finds_the_same_in_every_type_and_for_a_clinician_what_is_anybodys(real, issuer):
    client, _ = real
    query = "encounter:Encounter.status=finished"
    found = client.get(f"/fhir/Condition?{query}", issuer.patient())
    assert ids(found) == {"at-hers", "at-part-of-his"}
    found = client.get(f"/fhir/Condition?{query}", issuer.clinician("user/*.rs"))
    assert ids(found) == {"at-hers", "at-his", "at-part-of-his"}
    counted = client.get(f"/fhir/Condition?{query}&_summary=count", issuer.patient())
    assert counted.json()["total"] == 2


def ids(response):
    assert response.status == 200, response
    return {entry["resource"]["id"] for entry in response.json().get("entry", [])}


VISIT = "encounter:Encounter.patient=Patient%2Fann"
SPECIMEN = "specimen:Specimen.patient=Patient%2Fann"


@pytest.mark.parametrize("request_, expected", rows(
    ("GET Observation?encounter:Encounter.status=finished", VISIT),
    ("GET Observation?encounter%3AEncounter%2Estatus=finished", VISIT),
    ("POST Observation/_search encounter:Encounter.status=finished", VISIT),
    ("GET Patient/ann/Observation?encounter:Encounter.status=finished", VISIT),
    ("GET MedicationRequest?encounter:Encounter.class=AMB", VISIT),
    ("GET DiagnosticReport?encounter:Encounter.type=x&encounter:Encounter.class=AMB", VISIT),
    ("GET Observation?specimen.type=x&encounter:Encounter.class=AMB", f"{SPECIMEN}&{VISIT}"),
))
def test_the_search_is_narrowed_along_the_chain(gateway, issuer, request_, expected):
    decided(gateway, request_, issuer.patient(), Allowed(f"{expected}&patient=Patient%2Fann"))


def test_a_server_that_ignores_every_criterion_shows_only_what_is_hers(gateway, issuer):
    answers(gateway, *ok(bundle(match(OWN), match(FOREIGN), total=2)))
    response = gateway.get("/fhir/Observation?encounter:Encounter.status=finished", issuer.patient())
    got, _ = passed(gateway, response, removed=1)
    assert got.header("prefer") == "handling=strict"
    assert shown(response) == ["Observation/ann-1", "suppressed"]
    assert "total" not in response.json() and not shows(response, MARK)


def test_a_server_that_does_not_know_the_criterion_refuses(gateway, issuer):
    """`Prefer: handling=strict` asks for that."""
    answers(gateway, *ok({"resourceType": "OperationOutcome", "issue": []}, status=400))
    response = gateway.get("/fhir/Observation?encounter:Encounter.status=finished", issuer.patient())
    assert (response.status, MARK in response.body.decode()) == (400, False)


def test_in_a_batch_a_chain_to_what_may_be_anothers_is_refused(gateway, issuer):
    """Servers need not be strict there, and nobody sees whether they were."""
    for kind in ("batch", "transaction"):
        search = entry("GET", "Observation?encounter:Encounter.status=finished")
        response = send(gateway, issuer.patient(), search, kind=kind)
        gateway.refused(response, 403, "search_chain_outside", method="POST")
