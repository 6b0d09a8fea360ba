"""`smart.encounter: confine`: a patient's app that was opened in an encounter sees that one only."""

import pytest

from hostile import answers, bundle, holds, observation, ok, passed, resource, turned_back
from test_policy import decided
from test_writes import write

IN_E = {"encounter": {"reference": "Encounter/e"}}
IN_F = {"encounter": {"reference": "Encounter/f"}}
HERE, THERE = observation("here", **IN_E), observation("there", **IN_F)


@pytest.fixture(scope="module")
def confined(listen, configuration):
    document = configuration()
    document["smart"] = {"encounter": "confine"}
    return listen("encounter", document)


@pytest.fixture
def opened(issuer):
    """The token of an app that was opened in the encounter e."""
    return issuer.patient(encounter="e")


def test_a_search_is_narrowed_and_its_answer_kept_to_the_encounter(confined, opened):
    entries = [{"fullUrl": f"https://api.clinic.example/fhir/Observation/{one['id']}",
                "resource": one, "search": {"mode": "match"}} for one in (HERE, THERE)]
    answers(confined, *ok(bundle(*entries, total=2)))
    response = confined.get("/fhir/Observation", opened)
    got, record = passed(confined, response)
    assert got.target == "/fhir/Observation?patient=Patient%2Fann&encounter=Encounter%2Fe"
    assert record["narrowed"] == ["patient=Patient/ann", "encounter=Encounter/e"]
    found = [entry["resource"] for entry in response.json()["entry"]]
    assert [one["id"] for one in found if one["resourceType"] == "Observation"] == ["here"]


def test_by_id_only_what_is_of_the_encounter_is_read(confined, opened):
    encounter = resource("Encounter", "e", status="in-progress")
    allergy = {"resourceType": "AllergyIntolerance", "id": "a",
               "patient": {"reference": "Patient/ann"}, **IN_F}
    holds(confined, HERE, THERE, encounter, allergy)
    for target in ("Observation/here", "Encounter/e", "AllergyIntolerance/a"):
        passed(confined, confined.get(f"/fhir/{target}", opened))
    response = confined.get("/fhir/Observation/there", opened)
    turned_back(confined, response, 403, "compartment_not_member")
    decided(confined, "GET Encounter/f", opened, "compartment_other_encounter")
    decided(confined, "GET Observation?encounter=Encounter/f", opened, "search_other_encounter")


def test_what_is_written_is_of_the_encounter_before_and_after(confined, opened):
    holds(confined, HERE, THERE)
    passed(confined, write(confined, "PUT", "Observation/here", opened, HERE),
           probes=["Observation/here"])
    response = write(confined, "PUT", "Observation/here", opened, {**HERE, **IN_F})
    confined.refused(response, 403, "write_other_encounter", method="PUT")
    response = write(confined, "PUT", "Observation/there", opened, {**THERE, **IN_E})
    confined.refused(response, 403, "compartment_not_member", method="PUT",
                     probes=["Observation/there"])


def test_without_an_encounter_the_patient_confines_and_one_that_is_no_id_is_worth_nothing(
        confined, issuer):
    holds(confined, THERE)
    passed(confined, confined.get("/fhir/Observation/there", issuer.patient()))
    for claim in ("Practitioner/e", "", 7):
        token = issuer.patient(encounter=claim)
        decided(confined, "GET Patient/ann", token, "scope_encounter_invalid")


def test_an_encounter_is_ignored_unless_the_configuration_says_otherwise(gateway, issuer):
    holds(gateway, THERE)
    for claim in ("e", 7):
        passed(gateway, gateway.get("/fhir/Observation/there", issuer.patient(encounter=claim)))
