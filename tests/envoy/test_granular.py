"""Scopes with search parameters, `patient/Observation.rs?category=…`: they narrow what is found, read and
written, and what they can't be evaluated by grants nothing."""

import json

import pytest

from hostile import (
    FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, answers, bundle, found_by, holds, observation, ok, passed,
    shows, turned_back)
from test_batches import entry, send
from test_includes import included, match, shown
from test_policy import CHALLENGE, Allowed, OK, decided
from test_writes import PATCH, write

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"patient/Observation.cruds?category={SYSTEM}|laboratory"
VITAL = f"patient/Observation.cruds?category={SYSTEM}|vital-signs"
LAB_CRITERION = "category=http%3A%2F%2Fterminology.hl7.org%2FCodeSystem%2Fobservation-category%7Claboratory"
ANN = "patient=Patient%2Fann"


def of(category, ident="ann-1", patient="ann", system=SYSTEM, **more):
    """An Observation of a category; what is not for the token to see is marked."""
    coding = {"code": category, **({"system": system} if system else {})}
    note = {"note": [{"text": MARK}]} if category != "laboratory" else {}
    return observation(ident, patient, category=[{"coding": [coding]}], **note, **more)


LABORATORY, VITALS = of("laboratory"), of("vital-signs", "ann-2")


# Searches.

@pytest.mark.parametrize("scope, narrowing", [
    (LAB, LAB_CRITERION),
    ("patient/Observation.rs?category=laboratory", "category=laboratory"),
    ("patient/Observation.rs?category=%7Claboratory", "category=%7Claboratory"),
    ("patient/Observation.rs?category=a%26b", "category=a%26b"),
    ("patient/Observation.rs?category=a=b", "category=a%3Db"),
    ("patient/Observation.rs?category=a&status=final", "category=a&status=final"),
    ("patient/Observation.rs?category=a patient/Observation.rs?category=b", "category=a%2Cb"),
    ("patient/Observation.rs?category=a,b", "category=a%2Cb"),
    ("patient/*.rs?_tag=x", "_tag=x"),
    ("patient/Observation.rs?category=a patient/Observation.rs?status=final", None),
    ("patient/Observation.rs?category=a&status=final patient/Observation.rs?category=b", None),
])
def test_a_search_asks_for_what_the_scopes_say_where_one_search_can(gateway, issuer, scope, narrowing):
    wanted = ANN if narrowing is None else f"{ANN}&{narrowing}"
    token = issuer.patient(scope=scope)
    got, _ = passed(gateway, gateway.get("/fhir/Observation?code=1", token))
    assert got.target == f"/fhir/Observation?code=1&{wanted}"
    assert got.header("prefer") == "handling=strict"
    form = [("content-type", "application/x-www-form-urlencoded")]
    got, _ = passed(gateway, gateway.send("POST", "/fhir/Observation/_search", token, form, b"code=1"))
    assert got.body == f"code=1&{wanted}".encode()
    user = issuer.clinician(scope.replace("patient/", "user/"))
    got, _ = gateway.allowed(gateway.get("/fhir/Observation?code=1", user))
    assert got.target == "/fhir/Observation?code=1" + (f"&{narrowing}" if narrowing else "")


@pytest.mark.parametrize("protocol_form", [("GET", b""), ("POST", b"code=1")])
@pytest.mark.parametrize("scope", [LAB, f"{LAB} patient/Observation.rs?status=preliminary"])
def test_a_server_that_ignores_the_scope_shows_nothing_else(gateway, issuer, protocol_form, scope):
    method, form = protocol_form
    others = [VITALS, FOREIGN, of("laboratory", "ben-2", "ben", note=[{"text": MARK}]), of("laboratory-2", "ann-3"),
              of("laboratory", "ann-4", system="http://other", note=[{"text": MARK}]),
              of("laboratory", "ann-5", system=None, note=[{"text": MARK}]),
              {**OWN, "note": MARK}, {**OWN, "category": "laboratory", "note": MARK},
              {**OWN, "category": [{"text": "laboratory"}], "note": MARK}]
    answers(gateway, *ok(bundle(match(LABORATORY), *map(match, others), total=10)))
    headers = [("content-type", "application/x-www-form-urlencoded")] if form else []
    target = "/fhir/Observation" if method == "GET" else "/fhir/Observation/_search"
    response = gateway.send(method, target, issuer.patient(scope=scope), headers, form)
    passed(gateway, response, removed=len(others))
    assert shown(response) == ["Observation/ann-1", "suppressed"]
    assert "total" not in response.json()


def test_a_count_of_what_only_the_answer_tells_is_neither_given_nor_kept(gateway, issuer):
    two = "patient/Observation.rs?category=a patient/Observation.rs?status=final"
    decided(gateway, "GET Observation?_summary=count", issuer.patient(scope=two), "search_count_unjudged")
    decided(gateway, "GET Observation?_summary=count", issuer.patient(scope=LAB), Allowed(f"{ANN}&{LAB_CRITERION}"))
    final = observation("ann-1", status="final")
    answers(gateway, *ok(bundle(match(final), total=40), ("x-total-count", "40")))
    response = gateway.get("/fhir/Observation", issuer.patient(scope=two))
    passed(gateway, response)
    assert ("total" in response.json(), response.header("x-total-count")) == (False, None)


def test_another_category_is_searched_for_in_vain(gateway, issuer):
    """The client's criterion stays, the scope's is added: both must hold."""
    got, _ = passed(gateway, gateway.get("/fhir/Observation?category=vital-signs", issuer.patient(scope=LAB)))
    assert got.target == f"/fhir/Observation?category=vital-signs&{ANN}&{LAB_CRITERION}"


def test_what_proves_the_category_is_asked_for(gateway, issuer):
    answers(gateway, *ok(LABORATORY))
    got, _ = passed(gateway, gateway.get("/fhir/Observation/ann-1?_elements=code", issuer.patient(scope=LAB)))
    assert got.target == "/fhir/Observation/ann-1?_elements=code,category,subject"
    for summary in ("true", "text"):
        got, _ = passed(gateway, gateway.get(f"/fhir/Observation/ann-1?_summary={summary}",
                                             issuer.patient(scope=LAB)))
        assert "_summary" not in got.target


@pytest.mark.parametrize("scope", [LAB, LAB.replace("patient/", "user/")])
def test_what_is_included_is_held_to_the_scope_too(gateway, issuer, scope):
    context = scope.partition("/")[0]
    token = issuer.token(f"{context}/Encounter.rs {scope}", patient="ann", fhirUser="Patient/ann")
    encounter = {"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/ann"}}
    answers(gateway, *ok(bundle(match(encounter), included(LABORATORY), included(VITALS), included(FOREIGN))))
    response = gateway.get("/fhir/Encounter?_revinclude=Observation:encounter", token)
    passed(gateway, response, removed=2)
    assert shown(response) == ["Encounter/e", "Observation/ann-1", "suppressed"]


# By id.

@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_a_read_outside_the_scope_looks_like_what_is_not_there(gateway, issuer, who):
    scope = LAB.replace("patient/", {"patient": "patient/", "clinician": "user/", "backend": "system/"}[who])
    token = getattr(issuer, who)(scope=scope)
    for target in ("Observation/ann-1", "Observation/ann-1/_history/2"):
        answers(gateway, *ok(LABORATORY))
        passed(gateway, gateway.get(f"/fhir/{target}", token))
        for answer, audit in ((ok(VITALS), None), (ok({**OWN, "note": MARK}), None),
                              (ok(OUTCOME, status=404), "answer_not_found")):
            answers(gateway, *answer)
            response = gateway.get(f"/fhir/{target}", token)
            turned_back(gateway, response, 403, "compartment_not_member", audit)


def test_of_a_history_only_the_versions_in_scope_are_shown(gateway, issuer):
    """It was a laboratory result until somebody filed it elsewhere."""
    before = {"resource": LABORATORY, "request": {"method": "PUT", "url": "Observation/ann-1"},
              "response": {"status": "200"}}
    after = {**before, "resource": of("vital-signs")}
    answers(gateway, *ok(bundle(before, after, kind="history", total=2)))
    response = gateway.get("/fhir/Observation/ann-1/_history", issuer.patient(scope=LAB))
    passed(gateway, response, removed=1)
    assert response.json() == bundle(before, kind="history")


def test_what_is_contained_is_held_to_its_own_scope(gateway, issuer):
    token = issuer.patient(scope=f"{LAB} patient/Condition.rs")
    for contained, code in (([], None), ([{**VITALS, "id": "c"}], "compartment_not_member"),
                            ([{**LABORATORY, "id": "c"}], None),
                            ([{"resourceType": "Condition", "id": "c"}], None)):
        answers(gateway, *ok({**LABORATORY, "contained": contained}))
        response = gateway.get("/fhir/Observation/ann-1", token)
        assert (response.status, response.reason) == ((403, code) if code else (200, None)), contained
        assert not shows(response, MARK)


# Writes.

@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_only_what_is_in_scope_is_written(gateway, issuer, who):
    scope = LAB.replace("patient/", {"patient": "patient/", "clinician": "user/", "backend": "system/"}[who])
    token, challenge = getattr(issuer, who)(scope=scope), CHALLENGE
    holds(gateway, LABORATORY, VITALS)
    new, stays = observation("new", category=LABORATORY["category"]), {**LABORATORY, "status": "amended"}
    passed(gateway, write(gateway, "POST", "Observation", token, new))
    passed(gateway, write(gateway, "PUT", "Observation/new", token, new), probes=["Observation/new"])
    passed(gateway, write(gateway, "PUT", "Observation/ann-1", token, stays), probes=["Observation/ann-1"])
    passed(gateway, write(gateway, "PATCH", "Observation/ann-1", token, PATCH), probes=["Observation/ann-1"])
    passed(gateway, write(gateway, "DELETE", "Observation/ann-1", token), probes=["Observation/ann-1"])
    for method, target, document in (
            ("POST", "Observation", VITALS), ("POST", "Observation", OWN),
            ("PUT", "Observation/ann-1", of("vital-signs")), ("PUT", "Observation/new", observation("new"))):
        response = write(gateway, method, target, token, document)
        gateway.refused(response, 403, "write_out_of_scope", challenge=challenge)
    for method, document in (("PUT", of("laboratory", "ann-2")), ("PATCH", PATCH), ("DELETE", None)):
        response = write(gateway, method, "Observation/ann-2", token, document)
        gateway.refused(response, 403, "compartment_not_member", method=method, probes=["Observation/ann-2"])
    for path in ("/category", "/category/0/coding/0/code", "/_category"):
        patch = json.dumps([{"op": "add", "path": path, "value": "x"}]).encode()
        gateway.refused(write(gateway, "PATCH", "Observation/ann-1", token, patch), 403, "patch_membership")


def test_a_condition_is_held_to_the_scope(gateway, issuer):
    token, new = issuer.patient(scope=LAB), {**LABORATORY}
    del new["id"]
    probes = [found_by("identifier=x", narrowed=f"&{ANN}&{LAB_CRITERION}")]
    changes = (("PUT", new), ("PATCH", PATCH), ("DELETE", None))
    holds(gateway, VITALS, FOREIGN, LABORATORY)
    for method, document in changes:
        response = write(gateway, method, "Observation?identifier=x", token, document)
        got, _ = passed(gateway, response, probes=probes)
        assert (got.method, got.target, got.header("if-match")) == (
            method, f"/fhir/Observation/{LABORATORY['id']}", 'W/"3"')
    holds(gateway, VITALS, FOREIGN)
    response = write(gateway, "POST", "Observation", token, new, ("if-none-exist", "identifier=x"))
    got, _ = passed(gateway, response, probes=probes)
    assert got.header("if-none-exist") == f"identifier=x&{ANN}&{LAB_CRITERION}"
    for method, document in changes[1:]:
        response = write(gateway, method, "Observation?identifier=x", token, document)
        gateway.refused(response, 404, "conditional_no_match", method=method, probes=probes)


def test_an_entry_of_a_bundle_is_held_to_the_scope(gateway, issuer):
    token = issuer.patient(scope=LAB)
    answers(gateway, *ok(bundle(
        {"resource": VITALS, "response": {"status": "200"}},
        {"resource": bundle(match(LABORATORY), match(VITALS)), "response": {"status": "200"}},
        kind="batch-response")))
    response = send(gateway, token, entry("GET", "Observation/ann-2"), entry("GET", "Observation?code=1"))
    got, _ = passed(gateway, response, removed=2)
    assert json.loads(got.body)["entry"][1]["request"]["url"] == f"Observation?code=1&{ANN}&{LAB_CRITERION}"
    response = send(gateway, token, entry("POST", "Observation", VITALS))
    gateway.refused(response, 403, "write_out_of_scope", challenge=CHALLENGE)


# What the scopes themselves may say.

@pytest.mark.parametrize("params", [
    "", "category", "category=", "=laboratory", "&", "category=laboratory&", "&category=laboratory",
    "?category=laboratory",
    "category:in=http://vs", "category:not=laboratory", "category.text=x", "subject.name=x",
    "_has:Group:member:_id=1",
    "_include=*", "_filter=x", "_list=1", "nothing=1", "Category=laboratory", "date=2026", "value-quantity=5",
    "combo-code-value-quantity=1$2", "category=%FF", "patient=Patient/ben&nothing=1",
])
@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_a_scope_that_can_not_be_evaluated_grants_nothing(gateway, issuer, who, params):
    context = {"patient": "patient", "clinician": "user", "backend": "system"}[who]
    token = getattr(issuer, who)(scope=f"{context}/Observation.cruds?{params}")
    for request in ("GET Observation", "GET Observation/ann-1", "DELETE Observation/ann-1"):
        decided(gateway, request, token, "scope_insufficient")
    response = write(gateway, "POST", "Observation", token, OWN)
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)


def test_a_plain_scope_on_the_same_type_subsumes_it(gateway, issuer):
    decided(gateway, "GET Observation", issuer.patient(scope=f"{LAB} patient/Observation.rs"), Allowed(ANN))
    decided(gateway, "GET Observation", issuer.clinician(f"{LAB.replace('patient/', 'user/')} user/*.rs"), OK)
    decided(gateway, "GET Observation", issuer.patient(scope=f"{LAB} patient/Condition.rs"),
            Allowed(f"{ANN}&{LAB_CRITERION}"))


@pytest.mark.parametrize("scope", ["r", "s", "u"])
def test_each_letter_has_its_own_criteria(gateway, issuer, scope):
    """`r` for laboratory and `s` for vital signs do not lend each other their reach."""
    token = issuer.patient(scope=f"{LAB.replace('cruds', 'r')} {VITAL.replace('cruds', 's')}")
    answers(gateway, *ok(bundle(match(LABORATORY), match({**VITALS, "note": []}))))
    if scope == "s":
        response = gateway.get("/fhir/Observation", token)
        passed(gateway, response, removed=1)
        assert shown(response) == ["Observation/ann-2", "suppressed"]
    elif scope == "r":
        answers(gateway, *ok(VITALS))
        turned_back(gateway, gateway.get("/fhir/Observation/ann-2", token), 403, "compartment_not_member")
        answers(gateway, *ok(LABORATORY))
        passed(gateway, gateway.get("/fhir/Observation/ann-1", token))
    else:
        decided(gateway, "DELETE Observation/ann-1", token, "scope_insufficient")


def test_a_scope_about_one_type_does_not_reach_another(gateway, issuer):
    token = issuer.patient(scope="patient/*.rs?category=laboratory patient/Practitioner.rs?active=true")
    decided(gateway, "GET Condition?code=1", token, Allowed(f"{ANN}&category=laboratory"))
    # An Encounter has no category in this release: the scope can't be evaluated on it.
    decided(gateway, "GET Encounter", token, "scope_insufficient")
    inactive = {"resourceType": "Practitioner", "id": "7", "active": False, "name": [{"text": MARK}]}
    answers(gateway, *ok(inactive))
    turned_back(gateway, gateway.get("/fhir/Practitioner/7", token), 403, "compartment_not_member")
    answers(gateway, *ok(bundle(match(inactive), match({**inactive, "active": True, "name": []}))))
    response = gateway.get("/fhir/Practitioner?name=x", token)
    got, _ = passed(gateway, response, removed=1)
    assert got.target == "/fhir/Practitioner?name=x&active=true"


def test_the_patients_own_record_is_held_to_the_scope(gateway, issuer):
    token = issuer.patient(scope="patient/Patient.rs?gender=female")
    answers(gateway, *ok({"resourceType": "Patient", "id": "ann", "gender": "female"}))
    passed(gateway, gateway.get("/fhir/Patient/ann", token))
    answers(gateway, *ok({"resourceType": "Patient", "id": "ann", "gender": "male", "name": [{"text": MARK}]}))
    turned_back(gateway, gateway.get("/fhir/Patient/ann", token), 403, "compartment_not_member")


@pytest.mark.parametrize("kind, system, code", [
    ("Condition", "http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis"),
    ("Condition", "http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item"),
    ("Condition", "http://hl7.org/fhir/us/core/CodeSystem/condition-category", "health-concern"),
    ("Observation", SYSTEM, "laboratory"), ("Observation", SYSTEM, "social-history"),
    ("Observation", SYSTEM, "vital-signs"), ("Observation", SYSTEM, "survey"),
    ("Observation", "http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "sdoh"),
    ("DocumentReference", "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
     "clinical-note"),
])
def test_the_categories_of_us_core_are_granted_one_by_one(gateway, issuer, kind, system, code):
    token = issuer.patient(scope=f"patient/{kind}.rs?category={system}|{code}")

    def made(*codings):
        return {"resourceType": kind, "id": "1", "subject": {"reference": "Patient/ann"}, "category": [
            {"coding": [{"system": one, "code": value}]} for one, value in codings]}

    for found, seen in ((made((system, code)), True), (made(("http://other", "x"), (system, code)), True),
                        (made((system, "other")), False), (made(("http://other", code)), False), (made(), False)):
        answers(gateway, *ok(found))
        response = gateway.get(f"/fhir/{kind}/1", token)
        assert (response.status == 200) is seen, found
        answers(gateway, *ok(bundle(match(found))))
        response = gateway.get(f"/fhir/{kind}", token)
        assert shown(response) == ([f"{kind}/1"] if seen else ["suppressed"])


def test_a_token_of_many_granular_scopes_is_judged(gateway, issuer):
    """As many as a token holds: those beyond fifty on a type grant nothing."""
    scopes = [f"patient/Observation.rs?category=c{number}" for number in range(300)]
    token = issuer.patient(scope=" ".join(scopes))
    shown_of = {number: of(f"c{number}", f"o-{number}") for number in (0, 49, 50, 299)}
    answers(gateway, *ok(bundle(*map(match, shown_of.values()))))
    response = gateway.get("/fhir/Observation", token)
    gateway.allowed(response)
    assert shown(response) == ["Observation/o-0", "Observation/o-49", "suppressed"]


def test_a_body_beside_its_media_type_is_judged_for_everyone_who_is_held_to_a_scope(gateway, issuer):
    """What nobody confines to a patient is still confined to what the scope says."""
    token = issuer.clinician(LAB.replace("patient/", "user/"))
    xml = [("content-type", "application/fhir+xml")]
    gateway.refused(gateway.send("POST", "/fhir/Observation", token, xml, b"<Observation/>"), 415,
                    "body_media_type")
    response = gateway.send("POST", "/fhir/Observation", token, [FHIR_JSON], b"{")
    gateway.refused(response, 400, "body_unreadable")
