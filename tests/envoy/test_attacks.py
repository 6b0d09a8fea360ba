"""Attacks that other gateways and FHIR servers fell for and that no other file of these tests is about.
`docs/attacks.md` lists all of them with the tests that try them."""

import json
import re
from pathlib import Path

import pytest

from gateway import REALM
from hostile import (
    ANN, BEN, FHIR_JSON, FOREIGN, MARK, OWN, answers, bundle, observation, ok, passed, resource, turned_back)
from test_includes import included, match, shown
from test_policy import CHALLENGE, Allowed, OK, decided

NARROWED = Allowed("patient=Patient%2Fann")
READ, SEARCH = "/fhir/Observation/ann-1", "/fhir/Observation?code=8867-4"
HERE = "https://api.clinic.example/fhir"


# Path.

@pytest.mark.parametrize("host", ["API.CLINIC.EXAMPLE", "api.clinic.example.", "other.example", "127.0.0.1:1"])
def test_the_name_of_the_host_decides_nothing(gateway, issuer, host):
    headers = [("host", host)]
    gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient(), headers=headers))
    response = gateway.get("/fhir/Patient/ben", issuer.patient(), headers=headers)
    gateway.refused(response, 403, "compartment_other_patient")
    gateway.refused(gateway.get("/fhir/Patient/ann", headers=headers), 401, "token_missing", REALM)


@pytest.mark.parametrize("target", [
    "/fhir/fhir/Patient/ann", "/fhir/tenant-b/Patient/ann", "/fhir/DEFAULT/Patient/ann", "/fhir/t1/metadata",
    "/fhir/Patient/ann/Patient/ben/Observation"])
def test_a_tenant_or_the_base_once_more_in_the_path_is_not_found(gateway, issuer, target):
    for token in (issuer.patient(), issuer.backend()):
        assert gateway.get(target, token).status == 404
    assert gateway.upstream.requests == []


@pytest.mark.parametrize("method, target, status, code", [
    ("POST", "/fhir/Patient/_search/", 400, "fhir_trailing_slash"),
    ("GET", "/fhir/_search", 405, "fhir_method"),
    ("GET", "/fhir/Patient/_search", 405, "fhir_method"),
    ("PUT", "/fhir/Patient?_id=ben", 403, "compartment_other_patient"),
    ("PATCH", "/fhir/Patient?_id=ben", 403, "compartment_other_patient"),
    ("DELETE", "/fhir/Patient?_id=ben", 403, "compartment_other_patient"),
    ("DELETE", "/fhir/?_id=ben", 403, "conditional_unjudged"),
    ("DELETE", "/fhir/Observation", 400, "fhir_criteria_missing"),
])
def test_a_path_that_means_something_else_with_this_method(gateway, issuer, method, target, status, code):
    body = json.dumps(BEN).encode() if method in ("PUT", "POST", "PATCH") else b""
    headers = [("content-type", "application/x-www-form-urlencoded")] if "_search" in target and body else (
        [FHIR_JSON] if body else [])
    response = gateway.send(method, target, issuer.patient(), headers, body)
    gateway.refused(response, status, code, method=method)


# Parameters.

@pytest.mark.parametrize("value", [
    "' OR '1'='1", "x') OR 1=1--", '{"$ne":null}', "*", "%", "_", "a*", "$where", "[$ne]", "../../Patient/ben",
    "|", "||", ",",
    "Patient/ben", "${jndi:ldap://x}", "<script>", "{{7*7}}", "ben%26patient%3Dben", "x|y$z"])
def test_a_value_is_a_value(gateway, issuer, value):
    """Whatever it would mean to a database: it goes on as it came, beside the narrowing."""
    encoded = "".join(f"%{byte:02X}" for byte in value.encode())
    decided(gateway, f"GET Observation?code={encoded}", issuer.patient(), NARROWED)
    decided(gateway, f"POST Observation/_search code={encoded}", issuer.patient(), NARROWED)


@pytest.mark.parametrize("query, code", [
    ("performer=Patient/ann&subject=Patient/ben", "search_other_patient"),
    ("focus=Patient/ann&subject=Patient/ben", "search_other_patient"),
    ("patient=ann&_id=ben-1&subject:Patient=ben", "search_other_patient"),
    ("patient=ann&patient:not=ben", "search_patient_modifier"),
])
def test_a_weaker_parameter_does_not_stand_for_the_one_that_counts(gateway, issuer, query, code):
    decided(gateway, f"GET Observation?{query}", issuer.patient(), code)
    decided(gateway, f"POST Observation/_search?{query.partition('&')[0]} {query.partition('&')[2]}",
            issuer.patient(), code)


@pytest.mark.parametrize("query", [
    "performer=Patient/ann", "focus=Patient/ann", "_id=ben-1", "identifier=ben", "code:not=x",
    "_sort=-value-quantity", "_total=accurate", "_count=1000", "_lastUpdated=ge1900", "_security=R",
    "_text=ben", "_content=ben",
    "subject=Device/1", "encounter=Encounter/ben-1", "_id=ben-1&_elements=id", "_summary=data"])
def test_no_criterion_reaches_beyond_the_patient(gateway, issuer, query):
    """And a server that takes it for the only one shows nothing else."""
    others = [FOREIGN, observation("ben-2", "ben", focus=[{"reference": "Patient/ann"}]),
              observation("ben-3", "ben", performer=[{"reference": "Patient/ann"}]),
              observation("ben-4", "ann2"), observation("ben-5", "an"), observation("ben-6", "ANN")]
    answers(gateway, *ok(bundle(match(OWN), *map(match, others), total=7)))
    response = gateway.get(f"/fhir/Observation?{query}", issuer.patient())
    got, _ = passed(gateway, response, removed=len(others))
    assert got.target.endswith("&patient=Patient%2Fann")
    assert shown(response) == ["Observation/ann-1", "suppressed"]
    assert "total" not in response.json()


@pytest.mark.parametrize("reference", [
    "Patient/1", "Patient/12", "Patient/1234", "Patient/0123", "Patient/123a", "patient/123", "Patient/123/",
    "Patient/ 123",
    "https://other.example/fhir/Patient/123", f"{HERE}x/Patient/123", "Group/123", "urn:uuid:123", "#123", "123"])
def test_whose_a_resource_is_is_compared_to_the_letter(gateway, issuer, reference):
    token = issuer.patient("123")
    foreign = {**OWN, "subject": {"reference": reference}, "note": MARK}
    answers(gateway, *ok(foreign))
    turned_back(gateway, gateway.get(READ, token), 403, "compartment_not_member")
    answers(gateway, *ok(bundle(match(foreign))))
    passed(gateway, gateway.get(SEARCH, token), removed=1)


# Scopes.

@pytest.mark.parametrize("scope", [
    "patient/Observation.read-only", "patient/Observation.rs?active", "patient/Observation.rsXYZ",
    "patient/Observation.dus",
    "patient/Observation.rss", "xpatient/Observation.rs", "accessfoo/Observation.rs", "patient/Observation.",
    "patient/Observation",
    "patient/Observation.rs?", "patient/Observations.rs", "patient/observation.rs", "patient/*.rs*",
    "Patient/Observation.rs",
    "patient/Observation.rs,patient/Condition.rs", "patient%2FObservation.rs", "patient.Observation.rs",
    "patient$Observation$rs",
    "user/Observation.rs system/Observation.rs", "launch/patient openid fhirUser", ""])
def test_a_scope_of_a_patient_app_that_is_not_to_the_letter_grants_nothing(gateway, issuer, scope):
    token = issuer.token(scope, patient="ann")
    for request in ("GET Observation/ann-1", "GET Observation", "DELETE Observation/ann-1"):
        method, target = request.split()
        response = gateway.send(method, f"/fhir/{target}", token)
        assert response.status == 403
        assert response.reason.startswith("scope_"), response
    assert gateway.upstream.requests == []


def test_creating_does_not_show_and_reading_does_not_find(gateway, issuer):
    for scope, request in (("c", "GET Observation/ann-1"), ("c", "GET Observation"), ("r", "GET Observation"),
                           ("s", "GET Observation/ann-1"), ("cud", "GET Observation/ann-1"),
                           ("cud", "GET Observation")):
        decided(gateway, request, issuer.patient(scope=f"patient/Observation.{scope}"), "scope_insufficient")
    # A search shows what was found by `s`, and includes by `r`.
    answers(gateway, *ok(bundle(match(OWN), included(OWN))))
    response = gateway.get(SEARCH, issuer.patient(scope="patient/Observation.s"))
    passed(gateway, response, removed=1)


def test_two_contexts_do_not_lend_each_other_their_reach(gateway, issuer):
    """A mother in her child's chart, who may read the child's Patient and her own Observations."""
    token = issuer.token("patient/Patient.read user/Observation.read", patient="child", fhirUser="Patient/ann")
    childs = observation("child-1", "child", note=[{"text": MARK}])
    answers(gateway, *ok(bundle(match(OWN), match(childs), included({"resourceType": "Patient", "id": "child"}),
                                included({**ANN, "name": [{"text": MARK}]}))))
    response = gateway.get("/fhir/Observation?_include=Observation:subject:Patient", token)
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)
    response = gateway.get("/fhir/Observation?code=1", token)
    got, _ = passed(gateway, response, removed=2)
    assert got.target == "/fhir/Observation?code=1&patient=Patient%2Fann"
    assert shown(response) == ["Observation/ann-1", "Patient/child", "suppressed"]
    answers(gateway, *ok(childs))
    turned_back(gateway, gateway.get("/fhir/Observation/child-1", token), 403, "compartment_not_member")
    decided(gateway, "GET Patient/ann", token, "compartment_other_patient")


@pytest.mark.parametrize("scope", ["patient/Observation.rs", "patient/Observation.rs patient/Condition.cud"])
def test_a_server_that_finds_other_types_shows_none_that_is_out_of_scope(gateway, issuer, scope):
    condition = resource("Condition", "ann-1", note=[{"text": MARK}])
    answers(gateway, *ok(bundle(match(OWN), match(condition), included(condition), match(BEN), included(BEN),
                                total=5)))
    response = gateway.get(SEARCH, issuer.patient(scope=scope))
    passed(gateway, response, removed=4)
    assert shown(response) == ["Observation/ann-1", "suppressed"]


# The list.

def test_every_test_that_the_list_of_attacks_names_exists():
    folder = Path(__file__).parent
    page = (folder.parents[1] / "docs" / "attacks.md").read_text()
    named = re.findall(r"`(test_\w+)::(test_\w+)`", page)
    assert len(named) > 100
    sources = {name: (folder / f"{name}.py").read_text() for name, _ in named}
    missing = [f"{name}::{test}" for name, test in named if f"\ndef {test}(" not in sources[name]]
    assert missing == []


def test_every_attack_of_the_list_names_a_test():
    page = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text()
    rows_ = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows_] == list(range(1, len(rows_) + 1))
    assert [row for row in rows_ if "::test_" not in row] == []
