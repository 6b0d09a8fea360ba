"""Searches that reach other types: `_include` and `_revinclude`, chains, `_has`, whole compartments. The
FHIR server puts into its answer whatever it likes."""

import re

import pytest

from hostile import (
    ANN, BEN, FOREIGN, MARK, OWN, answers, bundle, chunked, found_by, holds, observation, ok, passed,
    resource, shows)
from lab import http2
from test_policy import CHALLENGE, Allowed, OK, decided, rows
from test_writes import write

NARROWED = Allowed("patient=Patient%2Fann")
SHARED = {"resourceType": "Practitioner", "id": "7", "name": [{"family": "Grey"}]}


def provenance(ident, *patients):
    return {"resourceType": "Provenance", "id": ident, "reason": MARK if "ann" not in patients else "",
            "target": [{"reference": f"Patient/{patient}"} for patient in patients]}


def match(found):
    return {"resource": found, "search": {"mode": "match"}}


def included(found):
    return {"resource": found, "search": {"mode": "include"}}


def shown(response):
    """What a Bundle shows, as `Type/id`, and `suppressed` for what says that there is more."""
    def short(found):
        if found["resourceType"] == "OperationOutcome":
            return found["issue"][0]["code"]
        return f"{found['resourceType']}/{found['id']}"
    return [short(entry["resource"]) for entry in response.json().get("entry", [])]


# What is asked for.

@pytest.mark.parametrize("query", [
    "_include=Observation:subject", "_include=Observation:subject:Patient", "_include=Observation:*", "_include=*",
    "_include:iterate=Patient:general-practitioner", "_include:recurse=Patient:link", "_revinclude=*",
    "_revinclude=Provenance:target", "_revinclude:iterate=Provenance:target", "_revinclude=Provenance:*",
    "%5Finclude=Observation:subject", "%5f%69nclude=Observation:subject", "_include=Observation%3Asubject",
    "_include%3Aiterate=Patient:link", "_include=Observation:subject&_include=Observation:performer",
])
def test_an_include_goes_on_as_it_came_beside_the_narrowing(gateway, issuer, query):
    decided(gateway, f"GET Observation?{query}", issuer.patient(), NARROWED)
    decided(gateway, f"GET Observation?{query}", issuer.patient(scope="patient/*.rs"), NARROWED)
    decided(gateway, f"POST Observation/_search {query}", issuer.patient(), NARROWED)


@pytest.mark.parametrize("query, missing", [
    ("_include=Observation:subject:Patient", "Patient.r"),
    ("_include=Observation:encounter:Encounter", "Encounter.r"),
    ("_include:iterate=Encounter:location", "Location.r"),
    ("_revinclude=Provenance:target", "Provenance.r"),
    ("_revinclude:iterate=Provenance:target", "Provenance.r"),
    ("_revinclude=Condition:*", "Condition.r"),
    ("_include=*", "*.r"), ("_revinclude=*", "*.r"), ("_include=Observation:*", "*.r"),
])
@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_what_is_included_needs_reading(gateway, issuer, who, query, missing):
    """Whatever else is granted on its type: `c` does not open it."""
    context = {"patient": "patient", "clinician": "user", "backend": "system"}[who]
    kind = missing.partition(".")[0]
    for also in ("", f" {context}/{kind}.cuds", f" {context}/{kind}.c"):
        token = getattr(issuer, who)(scope=f"{context}/Observation.rs{also}")
        response = gateway.get(f"/fhir/Observation?{query}", token)
        gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)
        named = re.search(r'scope="([^"]+)"', response.header("www-authenticate"))[1]
        assert f"{context}/{missing}" in named.split()
    token = getattr(issuer, who)(scope=f"{context}/Observation.rs {context}/{missing}")
    decided(gateway, f"GET Observation?{query}", token, NARROWED if who == "patient" else OK)


@pytest.mark.parametrize("query, status, code", [
    ("_INCLUDE=Observation:subject", 400, "search_name_case"),
    ("_Revinclude=Provenance:target", 400, "search_name_case"),
    ("%5FInclude=Observation:subject", 400, "search_name_case"),
    ("_include:ITERATE=Observation:subject", 400, "search_include_invalid"),
    ("_include:iterate:iterate=Observation:subject", 400, "search_include_invalid"),
    ("_include:not=Observation:subject", 400, "search_include_invalid"),
    ("_include=Observation", 400, "search_include_invalid"), ("_include=", 400, "search_include_invalid"),
    ("_include=Observation:", 400, "search_include_invalid"),
    ("_include=Observation:subject,Observation:performer", 400, "search_include_invalid"),
    ("_include=Observation:subject:Patient:x", 403, "search_include_unknown"),
    ("_include=Observation:subject:Practitioner", 403, "search_include_unknown"),
    ("_include=Observation:nothing", 403, "search_include_unknown"),
    ("_include=Observation:code", 403, "search_include_unknown"),
    ("_include=observation:subject", 403, "search_include_unknown"),
    ("_include=*:subject", 403, "search_include_unknown"),
    ("_revinclude=Nothing:target", 403, "search_include_unknown"),
])
def test_an_include_is_written_as_fhir_writes_it(gateway, issuer, query, status, code):
    for token in (issuer.patient(), issuer.clinician("user/Observation.cruds user/Patient.rs")):
        gateway.refused(gateway.get(f"/fhir/Observation?{query}", token), status, code)


def test_included_types_come_with_what_proves_whose_they_are(gateway, issuer):
    query = "_include=Observation:encounter&_revinclude=Provenance:target&_elements=code"
    got, _ = passed(gateway, gateway.get(f"/fhir/Observation?{query}", issuer.patient()))
    (elements,) = re.findall(r"_elements=([^&]+)", got.target)
    assert elements.split(",")[0] == "code"
    assert {"subject", "target"} <= set(elements.split(","))


def test_without_a_check_nothing_is_included(listen, configuration, issuer):
    changed = configuration()
    changed["smart"] = {"response_check": "off"}
    unchecked = listen("includes-unchecked", changed, hardened=False)
    decided(unchecked, "GET Observation?_include=Observation:subject", issuer.patient(), "response_unchecked")
    decided(unchecked, "GET Practitioner?_revinclude=*", issuer.patient(), "response_unchecked")
    decided(unchecked, "GET Patient/ann/*", issuer.patient(), "response_unchecked")


# What the FHIR server includes.

KEPT = [match(OWN), included(ANN), included(SHARED), included(provenance("p", "ann")),
        included(resource("Condition", "ann-1")), included(observation("ann-2"))]
OTHERS = [
    included(BEN), included(FOREIGN), match(FOREIGN), match(ANN), match(SHARED),
    included({**ANN, "id": "ann2", "name": [{"family": MARK}]}),
    included(provenance("p", "ben")), included(resource("Condition", "ben-1", "ben")),
    included({"resourceType": "Task", "id": "1", "for": {"reference": "Patient/ann"}, "note": MARK}),
    included({"resourceType": "Questionnaire", "id": "1", "title": MARK}),
    included({"resourceType": "Group", "id": "1", "name": MARK,
              "member": [{"entity": {"reference": "Patient/ann"}}]}),
    included({"resourceType": "Basic", "id": "1", "code": {"text": MARK}}),
    included({"resourceType": "observation", "id": "1", "subject": OWN["subject"], "note": MARK}),
    included({**OWN, "contained": [FOREIGN]}), included({**OWN, "extra": BEN}),
    included({"resourceType": "Bundle", "id": "1", "entry": [{"resource": FOREIGN}]}),
    included({"resourceType": "Binary", "id": "1", "data": MARK, "securityContext": FOREIGN["subject"]}),
    {"resource": OWN, "search": {"mode": "other"}, "note": MARK}, {"resource": OWN, "search": MARK},
    {"resource": FOREIGN, "search": {"mode": "outcome"}},
    {**included(ANN), "fullUrl": "https://other.example/x/Patient/ann"},
]
WIDE = "/fhir/Observation?_include=*&_revinclude=*"


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("form", [ok, chunked])
def test_a_server_that_includes_everything_shows_nothing_foreign(gateway, issuer, protocol, form):
    front = gateway.over(http2.Client(gateway.client.port)) if protocol == "HTTP/2" else gateway
    mixed = [entry for pair in zip(OTHERS, KEPT * 4) for entry in pair]
    answers(gateway, *form(bundle(*mixed, total=1)))
    response = front.get(WIDE, issuer.patient())
    passed(front, response, removed=len(OTHERS))
    kept = [entry for entry in mixed if entry in KEPT]
    assert response.json()["entry"][:-1] == kept
    assert shown(response)[-1] == "suppressed"
    assert "total" not in response.json()


@pytest.mark.parametrize("place", range(len(OTHERS)))
def test_each_foreign_thing_that_is_included_is_removed(gateway, issuer, place):
    answers(gateway, *ok(bundle(match(OWN), OTHERS[place], included(ANN))))
    response = gateway.get(WIDE, issuer.patient())
    passed(gateway, response, removed=1)
    assert shown(response) == ["Observation/ann-1", "Patient/ann", "suppressed"]


def test_what_is_included_is_judged_by_its_own_types_scope(gateway, issuer):
    """And by reading, not by searching."""
    answers(gateway, *ok(bundle(*KEPT)))
    for scope, kept in [
            ("patient/Observation.s patient/Patient.r", ["Observation/ann-1", "Patient/ann", "suppressed"]),
            ("patient/Observation.rs patient/Patient.r",
             ["Observation/ann-1", "Patient/ann", "Observation/ann-2", "suppressed"]),
            ("patient/Observation.s patient/Patient.r patient/Condition.cuds",
             ["Observation/ann-1", "Patient/ann", "suppressed"]),
            ("patient/Observation.s patient/*.r", ["Observation/ann-1", *shown_of(KEPT[1:])])]:
        response = gateway.get("/fhir/Observation?_include=Observation:subject:Patient",
                               issuer.patient(scope=scope))
        passed(gateway, response)
        assert shown(response) == kept, scope


def shown_of(entries):
    return [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries]


def test_a_shared_type_does_not_open_what_refers_to_it(gateway, issuer):
    """Everything that Practitioner 7 ever wrote, asked for by a patient."""
    answers(gateway, *ok(bundle(match(SHARED), included(FOREIGN), included(OWN), match(BEN), included(BEN),
                                total=1)))
    for query in ("_revinclude=Observation:performer", "_revinclude=*"):
        response = gateway.get(f"/fhir/Practitioner?{query}", issuer.patient())
        got, _ = passed(gateway, response, removed=3)
        assert got.target == f"/fhir/Practitioner?{query}"
        assert shown(response) == ["Practitioner/7", "Observation/ann-1", "suppressed"]


def test_everything_in_the_patients_compartment_is_the_patients(gateway, issuer):
    answers(gateway, *ok(bundle(match(OWN), match(resource("Condition", "ann-1")), match(FOREIGN), match(SHARED),
                                match(BEN), included(FOREIGN), total=6)))
    response = gateway.get("/fhir/Patient/ann/*", issuer.patient(scope="patient/*.s"))
    passed(gateway, response, removed=3)
    assert shown(response) == ["Observation/ann-1", "Condition/ann-1", "Practitioner/7", "suppressed"]
    decided(gateway, "GET Patient/ann/*", issuer.patient(scope="patient/Observation.rs"), "scope_insufficient")


# Pages.

CURSORS = ["Observation?_getpages=5d3f1c&_count=2", "Observation?ct=abc", "Observation?_page_token=x",
           "Observation?_page=next", "Observation?_cursor=abc&code=1", "?_getpages=5d3f1c&_getpagesoffset=2",
           "?_getpages=5d3f1c&_bundletype=searchset&_format=json", "?ct=abc", "?_cursor=x"]


@pytest.mark.parametrize("target", CURSORS)
def test_another_users_page_shows_nothing_of_theirs(gateway, issuer, target):
    """A clinician's next page, asked for by a patient."""
    answers(gateway, *ok(bundle(match(FOREIGN), match(OWN), match(BEN), included(BEN), total=40)))
    response = gateway.get(f"/fhir{'' if target[0] == '?' else '/'}{target}", issuer.patient())
    passed(gateway, response)
    assert shown(response) == ["Observation/ann-1", "suppressed"]
    assert "total" not in response.json()


@pytest.mark.parametrize("target", CURSORS)
def test_another_apps_page_shows_only_what_is_in_scope(gateway, issuer, target):
    """A page of a token with more scope, asked for by one that is not confined to a patient."""
    answers(gateway, *ok(bundle(match(FOREIGN), match(BEN), match(resource("Condition", "ben-1", "ben")),
                                total=40)))
    response = gateway.get(f"/fhir{'' if target[0] == '?' else '/'}{target}",
                           issuer.clinician("user/Observation.rs"))
    assert gateway.allowed(response)[1]["removed"] == 2
    assert shown(response) == ["Observation/ben-1", "suppressed"]


def test_a_page_needs_searching_and_a_body(gateway, issuer):
    page = "GET ?_getpages=5d3f1c"
    decided(gateway, page, issuer.patient(scope="patient/Observation.cr"), "scope_insufficient")
    decided(gateway, page, issuer.token("patient/*.rs"), "scope_patient_missing")
    decided(gateway, "HEAD ?_getpages=5d3f1c", issuer.patient(), "head_unjudged")
    decided(gateway, f"{page}&_format=xml", issuer.patient(), "format_unjudged")
    decided(gateway, f"{page}&code=1", issuer.patient(), "search_system_unconfined")


# Chains and `_has`.

@pytest.mark.parametrize("request_, expected", rows(
    ("GET Observation?patient:Patient.name=x", NARROWED),
    ("GET Observation?subject:Patient.name=x", NARROWED),
    ("GET Observation?subject%3APatient%2Ename=x", NARROWED),
    ("POST Observation/_search subject:Patient.name=x", NARROWED),
    ("GET Observation?patient:Patient.general-practitioner:Practitioner.name=x", NARROWED),
    ("GET Observation?performer:Practitioner.name=x", NARROWED),
    ("GET Observation?subject:Patient._id=ann", NARROWED),
    ("GET Observation?subject:Patient._id=ben", "search_other_patient"),
    ("GET Observation?subject:Patient._id=ann,ben", "search_other_patient"),
    ("GET Observation?patient:Patient.link=Patient/ben", "search_other_patient"),
    ("GET Observation?subject:Patient.link:missing=false", "search_patient_modifier"),
    ("GET Observation?patient.name=x", "search_chain_outside"),
    ("GET Observation?subject.name=x", "search_chain_outside"),
    ("GET Observation?subject:Group.member=Patient/ann", "search_chain_outside"),
    ("GET Observation?encounter.status=finished", "search_chain_outside"),
    ("GET Observation?encounter:Encounter.diagnosis:Condition.code=x", "search_chain_outside"),
    ("GET Observation?encounter:Encounter.patient=ben", "search_other_patient"),
    ("GET Observation?derived-from:Observation.value-quantity=gt5", "search_chain_outside"),
    ("GET Observation?encounter.patient=ann", "search_chain_outside"),
    ("GET Observation?encounter.subject:Patient.birthdate=1980", "search_chain_outside"),
    ("GET Observation?performer.name=x", "search_chain_outside"),
    ("GET Observation?performer:Patient.name=x", "search_chain_patient"),
    ("GET Observation?focus:Patient.name=x", "search_chain_patient"),
    ("GET Appointment?patient:Patient.name=x", "search_chain_patient"),
    ("GET Patient?link:Patient.name=x", "search_chain_patient"),
    ("GET Observation?patient:Patient.link:Patient.name=x", "search_chain_patient"),
    ("GET Observation?patient.nothing.name=x", "search_chain_unknown"),
    ("GET Observation?subject:patient.name=x", "search_chain_unknown"),
    ("GET Observation?code.name=x", "search_chain_unknown"),
    ("GET Practitioner?subject.name=x", "search_chain_unknown"),
    ("GET Observation?encounter." + "part-of." * 8 + "status=x", "search_chain_too_long"),
    ("GET Observation?_sort=patient.name", "search_chain_unjudged"),
    ("GET Patient?_has:Observation:patient:code=x", Allowed("_id=ann")),
    ("GET Patient?_has:Observation:subject:code=x", Allowed("_id=ann")),
    ("GET Patient?%5Fhas:Observation:patient:code=x", Allowed("_id=ann")),
    ("GET Observation?patient:Patient._has:Condition:patient:code=x", NARROWED),
    ("GET Encounter?_has:Observation:encounter:code=x", "search_chain_outside"),
    ("GET Patient?_has:Observation:patient:_has:Provenance:target:recorded=2026", "search_chain_outside"),
    ("GET Patient?_has:Observation:performer:code=x", "search_chain_patient"),
    ("GET Patient?_has:Observation:patient:performer=Patient/ben", "search_other_patient"),
    ("GET Patient?_has:Group:member:_id=1", "search_chain_patient"),
    ("GET Patient?_has:Patient:link:name=x", "search_chain_patient"),
    ("GET Observation?patient:Patient._has:Observation:performer:code=x", "search_chain_patient"),
    ("GET Practitioner?_has:Observation:performer:code=x", "search_has_outside"),
    ("GET Organization?_has:Patient:organization:name=x", "search_has_outside"),
    ("GET Patient?_has:Questionnaire:subject:name=x", "search_has_unknown"),
    ("GET Patient?_HAS:Observation:patient:code=x", "search_name_case"),
    ("GET Patient?_has:Observation:patient=x", "search_name_invalid"),
))
def test_a_chain_stays_with_the_patient(gateway, issuer, request_, expected):
    """What stands at its end decides what is found, and the answer does not show it."""
    decided(gateway, request_, issuer.patient(), expected)


@pytest.mark.parametrize("query, missing", [
    ("patient:Patient.name=x", "Patient.s"), ("subject:Patient.name=x", "Patient.s"),
    ("performer:Practitioner.name=x", "Practitioner.s"),
    ("patient:Patient._has:Condition:patient:code=x", "Condition.s"),
])
@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_every_type_on_the_way_needs_searching(gateway, issuer, who, query, missing):
    context = {"patient": "patient", "clinician": "user", "backend": "system"}[who]
    kind = missing.partition(".")[0]
    token = getattr(issuer, who)(scope=f"{context}/Observation.rs {context}/{kind}.crud {context}/{kind}.s?_tag=x")
    response = gateway.get(f"/fhir/Observation?{query}", token)
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)
    named = re.search(r'scope="([^"]+)"', response.header("www-authenticate"))[1]
    assert f"{context}/{missing}" in named.split()
    token = getattr(issuer, who)(scope=f"{context}/Observation.rs {named}")
    decided(gateway, f"GET Observation?{query}", token, NARROWED if who == "patient" else OK)


# The whole CompartmentDefinition.

def test_by_definition_a_search_and_an_answer_agree(listen, configuration, issuer):
    changed = configuration()
    changed["smart"] = {"membership": "definition"}
    gateway = listen("includes-definition", changed, hardened=False)
    performed = observation("child-1", "child", performer=[{"reference": "Patient/ann"}])
    focused = observation("ben-1", "ben", focus=[{"reference": "Patient/ann"}])
    answers(gateway, *ok(bundle(match(OWN), match({**performed, "code": {}}), match(focused), match(FOREIGN),
                                total=4)))
    response = gateway.get("/fhir/Observation?code=1", issuer.patient())
    got, _ = passed(gateway, response, removed=2)
    assert (got.target, got.header("prefer")) == ("/fhir/Patient/ann/Observation?code=1", "handling=strict")
    assert shown(response) == ["Observation/ann-1", "Observation/child-1", "suppressed"]
    for target, form in (("POST Observation/_search code=1", "search_form_unconfined"),
                         ("GET Observation?patient=ben", "search_other_patient"),
                         ("GET Observation?performer=Patient/ben", "search_other_patient"),
                         ("GET Patient/ben/Observation", "compartment_other_patient"),
                         ("GET Encounter/1/Observation", "search_compartment_unjudged")):
        decided(gateway, target, issuer.patient(), form)
    for one, code in ((performed, None), (focused, "compartment_not_member"), (FOREIGN, "compartment_not_member")):
        answers(gateway, *ok({**one, "code": {}}))
        response = gateway.get(f"/fhir/Observation/{one['id']}", issuer.patient())
        assert (response.status, response.reason) == ((403, code) if code else (200, None))
        assert not shows(response, MARK)
    # What is written names nobody else, whatever makes it the patient's.
    response = write(gateway, "POST", "Observation", issuer.patient(), performed)
    gateway.refused(response, 403, "write_other_patient")
    probes = [found_by("code=1", "Patient/ann/Observation", "")]
    for held, target in (([performed, FOREIGN], performed["id"]), ([focused, FOREIGN], None)):
        holds(gateway, *held)
        response = write(gateway, "DELETE", "Observation?code=1", issuer.patient())
        if target:
            got, _ = gateway.allowed(response, probes=probes)
            assert got.target == f"/fhir/Observation/{target}"
        else:
            gateway.refused(response, 404, "conditional_no_match", probes=probes)
