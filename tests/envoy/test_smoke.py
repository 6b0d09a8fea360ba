"""The main road: allowed, refused, locked, misconfigured."""

import json

import pytest

from lab.processes import LabError

BEARER = 'Bearer realm="'


def test_a_patient_reads_their_own_record(gateway, issuer):
    response = gateway.get("/fhir/Patient/ann", issuer.patient())
    got, _ = gateway.allowed(response)
    assert (got.method, got.target) == ("GET", "/fhir/Patient/ann")
    assert response.json() == {"resourceType": "Patient", "id": "ann"}


def test_a_patient_search_is_narrowed(gateway, issuer):
    got, _ = gateway.allowed(gateway.get("/fhir/Observation?code=8867-4", issuer.patient()))
    path, _, query = got.target.partition("?")
    criteria = query.split("&")
    assert path == "/fhir/Observation"
    assert "code=8867-4" in criteria
    assert [one for one in criteria if one.endswith("ann")], got.target
    assert got.header("prefer") == "handling=strict"


def test_a_request_without_a_token_is_refused(gateway):
    response = gateway.get("/fhir/Patient/ann")
    gateway.refused(response, 401, "token_missing", challenge=BEARER)


def test_the_shipped_file_decides_the_same(shipped, issuer):
    shipped.allowed(shipped.get("/fhir/Patient/ann", issuer.patient()))
    shipped.refused(shipped.get("/fhir/Patient/ann"), 401, "token_missing", challenge=BEARER)


def test_capabilities_are_public(gateway):
    gateway.allowed(gateway.get("/fhir/metadata"))


def test_the_lock_holds_where_the_filter_is_missing(listen, configuration, issuer, upstream):
    unguarded = listen("unguarded", configuration(), ready=False, without=("phiward",))
    response = unguarded.get("/fhir/Patient/ann", issuer.patient())
    assert response.status == 403
    assert upstream.requests == []


def test_a_wrong_configuration_is_refused_and_the_old_one_stays(
        listen, configuration, issuer, upstream):
    before = listen("changing", configuration())
    wrong = configuration()
    # Envoy says why only the first time that it is given a configuration: this one is no other test's.
    wrong["fhir"]["basepath"] = "/fhir"
    with pytest.raises(LabError, match="basepath"):
        listen("changing", wrong, ready=False)
    upstream.clear()
    before.allowed(before.get("/fhir/Patient/ann", issuer.patient()))


def test_a_configuration_as_json_text_is_the_same(listen, configuration, issuer):
    istio = listen("istio", json.dumps(configuration()))
    istio.allowed(istio.get("/fhir/Patient/ann", issuer.patient()))
