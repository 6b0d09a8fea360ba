"""What each token may do: every row of docs/decisions.md, sent through Envoy."""

import json
import re
from urllib.parse import unquote

import pytest

FORM = [("content-type", "application/x-www-form-urlencoded")]
JSON = [("content-type", "application/fhir+json")]
CHALLENGE = 'Bearer error="insufficient_scope"'
CHALLENGED = {"export_system_only", "write_out_of_scope"}  # besides those that start with scope_
STATUS = {"head_unjudged": 405, "format_unjudged": 406, "search_name_case": 400,
          "search_name_invalid": 400, "body_id": 400, "body_type": 400}  # others are 403


class Allowed:
    """Expected: forwarded, with this criterion added if one is given."""

    def __init__(self, narrowing=None):
        self.narrowing = narrowing


class Withheld:
    """Expected: forwarded, and the answer does not reach the client for this reason."""

    def __init__(self, code):
        self.code = code


OK = Allowed()
NOT_ANNS = Withheld("compartment_not_member")
ANN = Allowed("patient=Patient%2Fann")
ABOUT_ANN = Allowed("subject=Patient%2Fann")
IS_ANN = Allowed("_id=ann")


def rows(*table):
    """Parameters of a test; each row is named by its request."""
    return [pytest.param(*row, id=name(row[0])) for row in table]


def name(request):
    """A name for a test that a terminal can show."""
    return re.sub(r"[^\x20-\x7e]+", " ", request).strip()


def send(gateway, request, token):
    """Sends `METHOD target BODY` below the base, then lines of headers; see `parts`."""
    method, target, headers, body = parts(request)
    return gateway.send(method, target, token, headers=headers, body=body)


def parts(request):
    """A target `.` is the base itself. The body of a `_search` is a form, others are JSON."""
    first, *lines = request.split("\n")
    method, target, body = (first.split(" ", 2) + ["", ""])[:3]
    headers = [tuple(line.split(": ", 1)) for line in lines]
    if target.partition("?")[0].endswith("_search"):
        headers += FORM
    elif method in ("POST", "PUT", "PATCH"):
        headers += JSON
        body = body or json.dumps({"resourceType": "Observation", "status": "final"})
    below = target if target.startswith("?") else f"/{target}"
    return method, "/fhir" if target == "." else f"/fhir{below}", headers, body.encode()


def decided(gateway, request, token, expected):
    """Proves that the request is decided as expected, and returns the audit record."""
    method, target, _, body = parts(request)
    response = send(gateway, request, token)
    if isinstance(expected, str):
        challenge = CHALLENGE if expected in CHALLENGED or expected.startswith("scope_") else None
        status = STATUS.get(expected, 403)
        return gateway.refused(response, status, expected, challenge=challenge, method=method)
    if isinstance(expected, Withheld):
        return gateway.withheld(response, 403, expected.code)[1]
    got, record = gateway.allowed(response)
    if expected.narrowing is None:
        assert (got.method, got.target, got.body) == (method, target, body)
        assert "narrowed" not in record
        return record
    joint = "&" if "?" in target else "?"
    assert got.target == f"{target}{joint}{expected.narrowing}"
    assert got.body == (body + b"&" + expected.narrowing.encode() if body else b"")
    assert got.header("prefer") == "handling=strict"
    assert got.header("accept") == "application/fhir+json"
    assert record["narrowed"] == [unquote(one) for one in expected.narrowing.split("&")]
    return record


# A patient's app: patient/*.cruds, patient ann.

@pytest.mark.parametrize("request_, expected", rows(
    ("GET Patient/ann", OK),
    ("HEAD Patient/ann", OK),
    ("GET Patient/ann/_history", OK),
    ("GET Patient/ann/_history/3", OK),
    ("GET Patient/ann/_history?_count=5&_since=2026-01-01", OK),
    ("GET Patient/ann?_format=json&_pretty=true&_elements=name", OK),
    ("GET Patient/ben", "compartment_other_patient"),
    ("HEAD Patient/ben", "compartment_other_patient"),
    ("GET Patient/nobody-has-this-id", "compartment_other_patient"),
    ("GET Patient/ANN", "compartment_other_patient"),
    ("GET Patient/ann.", "compartment_other_patient"),
    ("GET Patient/ben/_history", "compartment_other_patient"),
    ("GET Patient/ben/_history/1", "compartment_other_patient"),
    ("GET Observation/ann-1", OK),
    ("GET Observation/ann-1/_history", OK),
    ("GET Observation/ann-1/_history/2", OK),
    ("GET Observation/ann-1/_history?_count=5", OK),
    ("GET Observation/ann-1?_format=json&_pretty=true", OK),
    ("GET Observation/ann-1?_format=xml", "format_unjudged"),
    ("GET Observation/ann-1\nAccept: application/fhir+xml", "format_unjudged"),
    ("GET Observation/ben-1", NOT_ANNS),
    ("GET Observation/ben-1/_history", NOT_ANNS),
    ("GET Observation/ben-1/_history/2", NOT_ANNS),
    ("GET Observation/1", NOT_ANNS),
    ("GET Observation/1/_history", NOT_ANNS),
    ("GET Observation/1/_history/2", NOT_ANNS),
    ("HEAD Observation/ann-1", "head_unjudged"),
    ("HEAD Observation/1", "head_unjudged"),
    ("HEAD Observation/1/_history", "head_unjudged"),
    ("GET Condition/ann-1", OK),
    ("GET Condition/ben-1", NOT_ANNS),
    ("GET Group/1", "search_subject_unknown"),
    ("GET Schedule/1", "search_subject_unknown"),
    ("GET Binary?_id=1", "search_subject_unknown"),
    ("GET Practitioner/7", OK),
    ("GET Practitioner/7/_history", OK),
    ("GET Practitioner/7/_history/1", OK),
    ("GET Practitioner?name=grey", OK),
    ("POST Practitioner/_search name=grey", OK),
    ("GET Organization/1", OK),
    ("GET Location/1", OK),
    ("GET Medication/1", OK),
    ("GET HealthcareService/1", OK),
    ("GET Endpoint/1", OK),
    ("GET PractitionerRole?practitioner=7", OK),
    ("GET Task/1", "compartment_type_outside"),
    ("GET Task?patient=ann", "compartment_type_outside"),
    ("GET Questionnaire/1", "compartment_type_outside"),
    ("GET ValueSet?name=x", "compartment_type_outside"),
    ("GET Bundle/1", "compartment_type_outside"),
    ("GET Observation", ANN),
    ("GET Observation?code=8867-4", ANN),
    ("GET Observation?code=8867-4&_format=xml", "format_unjudged"),
    ("GET Observation\nAccept: application/fhir+xml", "format_unjudged"),
    ("HEAD Observation?code=8867-4", "head_unjudged"),
    ("HEAD Patient?name=x", "head_unjudged"),
    ("HEAD Practitioner?name=grey", OK),
    ("GET Observation?patient=ann", ANN),
    ("GET Observation?_summary=count", ANN),
    ("GET Observation?_id=1,2,3", ANN),
    ("GET Observation?_offset=10&_count=5", ANN),
    ("POST Observation/_search", ANN),
    ("POST Observation/_search code=8867-4", ANN),
    ("POST Observation/_search?_count=5 code=8867-4", ANN),
    ("GET Patient", IS_ANN),
    ("GET Patient?name=x", IS_ANN),
    ("POST Patient/_search birthdate=1980", IS_ANN),
    ("GET Appointment", ANN),
    ("GET Encounter?status=finished", ANN),
    ("GET MedicationRequest", ANN),
    ("GET Account", ANN),
    ("GET ResearchSubject", ANN),
    ("GET AdverseEvent", ABOUT_ANN),
    ("GET Group", "search_subject_unknown"),
    ("GET Schedule", "search_subject_unknown"),
    ("GET Patient/ann/Observation", ANN),
    ("GET Patient/ann/Observation?code=8867-4", ANN),
    ("GET Patient/ben/Observation", "compartment_other_patient"),
    ("GET Patient/ann/*", OK),
    ("HEAD Patient/ann/*", "head_unjudged"),
    ("GET Patient/ben/*", "compartment_other_patient"),
    ("GET Encounter/1/*", "search_compartment_unjudged"),
    ("GET Device/1/Observation", "search_compartment_unjudged"),
    ("GET Practitioner/7/Observation", ANN),
    ("GET ?_type=Observation", "search_system_unconfined"),
    ("GET ?_id=1", "search_system_unconfined"),
    ("GET .", "search_system_unconfined"),
    ("POST _search _type=Observation", "search_system_unconfined"),
    ("GET _history", "history_unconfined"),
    ("GET Observation/_history", "history_unconfined"),
    ("GET Patient/_history", "history_unconfined"),
    ("GET Practitioner/_history", "history_unconfined"),
    ("POST Observation", "write_not_member"),
    ("PUT Observation/1", "body_id"),
    ("PUT Patient/ann", "body_type"),
    ("PUT Patient/ben", "compartment_other_patient"),
    ("DELETE Patient/ben", "compartment_other_patient"),
    ("PATCH Observation/1", "patch_format"),
    ("PUT Practitioner/7", "compartment_type_outside"),
    ("POST Observation {}\nIf-None-Exist: identifier=x", "body_type"),
    ("PUT Observation?identifier=x", "write_not_member"),
    ("PATCH Observation?identifier=x", "patch_format"),
    ("DELETE Observation?patient=ben", "search_other_patient"),
    ("DELETE ?_type=Observation", "search_types_unjudged"),
    ("DELETE ?identifier=x", "conditional_unjudged"),
    ("POST . {}", "body_type"),
    ("POST ? {}", "body_type"),
    ("GET Patient/ben/$everything", "compartment_other_patient"),
    ("GET Patient/$everything", "operation_unconfined"),
    ("GET Patient/$export\nPrefer: respond-async", "export_system_only"),
    ("GET $export\nPrefer: respond-async", "export_system_only"),
    ("POST Patient/$match {}", "operation_not_listed"),
    ("GET Observation/1/_history/1/$meta", "operation_not_listed"),
    ("GET Binary/1/$meta", "operation_not_listed"),
))
def test_a_patient_app(gateway, issuer, request_, expected):
    decided(gateway, request_, issuer.patient(), expected)


@pytest.mark.parametrize("target", ["1234", "12", "0123", "123.", "123-", "23", "1", "123.1"])
def test_an_id_that_only_begins_or_ends_alike_is_another_patient(gateway, issuer, target):
    token = issuer.patient("123")
    decided(gateway, f"GET Patient/{target}", token, "compartment_other_patient")
    decided(gateway, f"GET Observation?patient={target}", token, "search_other_patient")
    decided(gateway, f"GET Observation?subject=Patient/{target}", token, "search_other_patient")
    decided(gateway, f"GET Patient?_id={target}", token, "search_other_patient")
    decided(gateway, f"GET Patient/{target}/Observation", token, "compartment_other_patient")


# Criteria that name a patient.

OWN = "https://api.clinic.example/fhir"


@pytest.mark.parametrize("query", [
    "patient=ann", "patient=Patient/ann", "patient=Patient%2Fann", f"patient={OWN}/Patient/ann",
    "patient:Patient=ann", "subject=Patient/ann", "subject:Patient=ann", "patient=ann,Patient/ann",
    "patient=ann&patient=ann", "%70atient=ann", "subject=ann&code=8867-4",
    "performer=Practitioner/7", "performer=Patient/ann", "performer=Practitioner/7,Patient/ann",
    "focus=Patient/ann", "subject=Device/1", "code=Patient/ben", "code=patient=ben",
])
def test_a_criterion_may_name_the_patient_in_context(gateway, issuer, query):
    decided(gateway, f"GET Observation?{query}", issuer.patient(), ANN)
    decided(gateway, f"POST Observation/_search {query}", issuer.patient(), ANN)


OTHERS = [
    ("patient=ben", "search_other_patient"),
    ("patient=Group/1", "search_other_patient"),
    ("patient=Patient/ben", "search_other_patient"),
    ("patient=ann,ben", "search_other_patient"),
    ("patient=ben,ann", "search_other_patient"),
    ("patient=ann%2Cben", "search_other_patient"),
    ("patient=ann%5C%2Cben", "search_other_patient"),
    ("patient=ann%5C,ben", "search_other_patient"),
    ("patient=ann,", "search_other_patient"),
    ("patient=,ann", "search_other_patient"),
    ("patient=", "search_other_patient"),
    ("patient", "search_other_patient"),
    ("patient=+ann", "search_other_patient"),
    ("patient=ann+", "search_other_patient"),
    ("patient=ann%20", "search_other_patient"),
    ("patient=%EF%BD%81nn", "search_other_patient"),
    ("patient=ann&patient=ben", "search_other_patient"),
    ("patient=ben&patient=ann", "search_other_patient"),
    ("patient=ann&subject=Patient/ben", "search_other_patient"),
    ("subject=Patient/ben", "search_other_patient"),
    ("subject=ben", "search_other_patient"),
    ("patient=patient/ann", "search_other_patient"),
    ("patient=/Patient/ann", "search_other_patient"),
    ("patient=Patient/ann/", "search_other_patient"),
    ("patient=Patient/ann/_history/1", "search_other_patient"),
    ("patient=Patient/ann%7CPatient/ben", "search_other_patient"),
    ("patient=Patient/ben%23Patient/ann", "search_other_patient"),
    ("patient=%2561nn", "search_other_patient"),
    ("patient=ne2000", "search_other_patient"),
    ("patient=ANN", "search_other_patient"),
    ("patient=*", "search_other_patient"),
    (f"patient={OWN}/Patient/ben", "search_other_patient"),
    ("patient=https://api.clinic.example/Patient/ann", "search_other_patient"),
    ("patient=https://other.example/fhir/Patient/ann", "search_other_patient"),
    ("patient=http://api.clinic.example/fhir/Patient/ann", "search_other_patient"),
    (f"patient={OWN}//Patient/ann", "search_other_patient"),
    (f"patient={OWN}/x/../Patient/ann", "search_other_patient"),
    ("patient=urn:uuid:5a1c6f6e-0000-4000-8000-000000000000", "search_other_patient"),
    ("patient=%23ann", "search_other_patient"),
    ("patient=Practitioner/7", "search_other_patient"),
    ("patient=Group/1", "search_other_patient"),
    ("patient=ann,Group/ann", "search_other_patient"),
    ("subject=Practitioner/7", "search_other_patient"),
    ("performer=Patient/ben", "search_other_patient"),
    ("performer=ben", "search_other_patient"),
    ("performer=Practitioner/7,Patient/ben", "search_other_patient"),
    ("focus=Patient/ben", "search_other_patient"),
    ("PATIENT=ben", "search_other_patient"),
    ("Patient=ben", "search_other_patient"),
    ("%50atient=ben", "search_other_patient"),
    ("patient:Patient=ben", "search_other_patient"),
    ("patient:identifier=http://x%7C1", "search_patient_modifier"),
    ("patient:not=ann", "search_patient_modifier"),
    ("patient:missing=true", "search_patient_modifier"),
    ("patient:missing=false", "search_patient_modifier"),
    ("patient:above=ann", "search_patient_modifier"),
    ("patient:patient=ann", "search_modifier_unknown"),
    ("patient:=ann", "search_modifier_unknown"),
    ("patient:Patient:missing=true", "search_modifier_unknown"),
    ("subject:Group=1", "search_patient_modifier"),
    ("subject:not=Patient/ann", "search_patient_modifier"),
    ("SUBJECT:missing=true", "search_patient_modifier"),
    ("performer:missing=true", "search_patient_modifier"),
]


@pytest.mark.parametrize("query, code", OTHERS, ids=[query for query, _ in OTHERS])
def test_a_criterion_may_name_nobody_else(gateway, issuer, query, code):
    token = issuer.patient()
    decided(gateway, f"GET Observation?{query}", token, code)
    decided(gateway, f"POST Observation/_search {query}", token, code)
    decided(gateway, f"POST Observation/_search?{query} code=8867-4", token, code)
    decided(gateway, f"POST Observation/_search?patient=ann {query}", token, code)
    decided(gateway, f"GET Patient/ann/Observation?{query}", token, code)


@pytest.mark.parametrize("query, code", [
    ("_id=ben", "search_other_patient"),
    ("_id=ann,ben", "search_other_patient"),
    ("_id=Patient/ann", "search_other_patient"),
    ("_id=ann&_id=ben", "search_other_patient"),
    ("_ID=ben", "search_name_case"),
    ("%5Fid=ben", "search_other_patient"),
    ("_id:not=ann", "search_patient_modifier"),
    ("_id:missing=false", "search_patient_modifier"),
    ("_id:Patient=ann", "search_patient_modifier"),
    ("link=Patient/ben", "search_other_patient"),
    ("link:missing=false", "search_patient_modifier"),
])
def test_a_patient_search_finds_nobody_else(gateway, issuer, query, code):
    decided(gateway, f"GET Patient?{query}", issuer.patient(), code)
    decided(gateway, f"POST Patient/_search {query}", issuer.patient(), code)


# Parameters that reach further than what was judged.

REACHING = [
    ("_sort=subject.name", "search_chain_unjudged"),
    ("_sort=-date,patient:Patient.name", "search_chain_unjudged"),
    ("_HAS:Group:member:_id=1", "search_name_case"),
    ("_INCLUDE=Observation:subject", "search_name_case"),
    ("%5FRevInclude=Provenance:target", "search_name_case"),
    ("_filter=name+eq+x", "search_filter_unjudged"),
    ("_query=everything", "search_query_unjudged"),
    ("_list=42", "search_list_unjudged"),
    ("_list:not=42", "search_list_unjudged"),
    ("_contained=true", "search_contained_unjudged"),
    ("_contained=both&_containedType=container", "search_contained_unjudged"),
    ("_containedType=container", "search_contained_unjudged"),
    ("_type=Patient", "search_types_unjudged"),
    ("_tenant=x", "search_parameter_unjudged"),
    ("__id=1", "search_name_invalid"),
    ("-id=1", "search_name_invalid"),
    (":id=1", "search_name_invalid"),
    ("$id=1", "search_name_invalid"),
    ("7=1", "search_name_invalid"),
]


@pytest.mark.parametrize("query, code", REACHING, ids=[query for query, _ in REACHING])
def test_what_reaches_further_is_refused_to_a_patient_app(gateway, issuer, query, code):
    token = issuer.patient()
    decided(gateway, f"GET Observation?{query}", token, code)
    decided(gateway, f"GET Observation?patient=ann&{query}", token, code)
    decided(gateway, f"POST Observation/_search {query}", token, code)
    decided(gateway, f"POST Observation/_search?{query} code=1", token, code)
    decided(gateway, f"GET Practitioner?{query}", token, code)


@pytest.mark.parametrize("query, code", REACHING, ids=[query for query, _ in REACHING])
def test_what_reaches_further_needs_every_type_unconfined(gateway, issuer, query, code):
    decided(gateway, f"GET Observation?{query}", issuer.clinician("user/Observation.cruds"), code)
    decided(gateway, f"GET Observation?{query}", issuer.clinician("user/*.r user/Observation.rs"), code)
    decided(gateway, f"GET Observation?{query}", issuer.clinician("user/*.rs"), OK)


@pytest.mark.parametrize("request_, code", rows(
    ("GET Patient/ann?_include=*", "parameter_unjudged"),
    ("GET Patient/ann?patient=ben", "parameter_unjudged"),
    ("GET Patient/ann?_id=ben", "parameter_unjudged"),
    ("GET Patient/ann/_history?_include=*", "parameter_unjudged"),
    ("GET Patient/ann/_history?_page=cursor", "parameter_unjudged"),
    ("GET Practitioner/7?_cascade=delete", "parameter_unjudged"),
    ("DELETE Observation/1?_cascade=delete", "parameter_unjudged"),
    ("DELETE Observation/1?_hardDelete=true", "parameter_unjudged"),
    ("DELETE Observation/1\nX-Cascade: delete", "header_unjudged"),
    ("POST Observation {}\nX-Provenance: {}", "header_unjudged"),
    ("POST Observation {}\nX-Security-Context: Patient/ben", "header_unjudged"),
    ("POST Observation {}\nIf-None-Exist: _filter=x", "search_filter_unjudged"),
    ("POST Observation {}\nIf-None-Exist: _has:Group:member:_id=1", "search_has_unknown"),
    ("POST Observation {}\nIf-None-Exist: _include=*", "search_parameter_unjudged"),
))
def test_what_reaches_further_on_other_requests(gateway, issuer, request_, code):
    decided(gateway, request_, issuer.patient(), code)
    narrow = "user/Observation.cruds user/Patient.cruds user/Practitioner.cruds"
    decided(gateway, request_, issuer.clinician(narrow), code)
    decided(gateway, request_, issuer.clinician("user/*.cruds"), OK)


# Users and services.

@pytest.mark.parametrize("request_", [
    "GET Patient/ben", "GET Observation/1", "GET Observation/1/_history/2",
    "GET Observation?patient=ben",
    "GET Observation", "POST Observation/_search code=1", "GET Patient/ben/Observation",
    "GET Patient/ben/*", "GET Encounter/1/Observation", "GET Observation/_history", "GET _history",
    "GET ?_type=Observation", "GET ?_id=1", "GET Binary/1", "GET Task/1",
    "GET Group?member=Patient/ben",
    "POST Observation", "PUT Observation/1", "PATCH Observation/1", "DELETE Observation/1",
    "PUT Observation?identifier=x", "PATCH Observation?identifier=x",
    "DELETE Observation?identifier=x", "DELETE ?identifier=x",
    "POST Observation {}\nIf-None-Exist: identifier=x", "GET Observation?patient:missing=true",
], ids=name)
@pytest.mark.parametrize("who", ["clinician", "backend"])
def test_a_clinician_and_a_service_reach_any_patient(gateway, issuer, who, request_):
    got = decided(gateway, request_, getattr(issuer, who)(), OK)
    assert got["scopes"] == [{"clinician": "user/*.cruds", "backend": "system/*.cruds"}[who]]


@pytest.mark.parametrize("request_, code", rows(
    ("GET Patient/ann/$meta", "operation_not_listed"),
    ("POST Patient/$match {}", "operation_not_listed"),
    ("GET Observation/$export", "operation_level"),
))
@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_an_operation_that_is_not_listed_is_refused_to_everyone(gateway, issuer, who, request_, code):
    decided(gateway, request_, getattr(issuer, who)(), code)


READ_BEN, SEARCH = "GET Patient/ben", "GET Observation"
SELF = f"{OWN}/Patient/ann"


@pytest.mark.parametrize("claims, expected", [
    pytest.param(dict(fhirUser="Practitioner/7"), OK, id="Practitioner"),
    pytest.param(dict(fhirUser=f"{OWN}/Practitioner/7"), OK, id="Practitioner of this API"),
    pytest.param(dict(fhirUser="https://staff.example/Practitioner/7"), OK,
                 id="Practitioner elsewhere"),
    pytest.param(dict(fhirUser="PractitionerRole/7"), OK, id="PractitionerRole"),
    pytest.param(dict(fhirUser="Practitioner/7", patient="ann"), OK, id="Practitioner at a patient"),
    pytest.param(dict(fhirUser="Patient/ann"), ANN, id="Patient"),
    pytest.param(dict(fhirUser=SELF), ANN, id="Patient of this API"),
    pytest.param(dict(fhirUser="https://other.example/fhir/Patient/ann"), "scope_user_elsewhere",
                 id="Patient elsewhere"),
    pytest.param(dict(fhirUser="https://api.clinic.example/fhir2/Patient/ann"), "scope_user_elsewhere",
                 id="Patient of almost this API"),
    pytest.param(dict(fhirUser="RelatedPerson/r", patient="ann"), ANN, id="RelatedPerson at a patient"),
    pytest.param(dict(fhirUser="RelatedPerson/r"), "scope_user_patient_missing", id="RelatedPerson"),
    pytest.param(dict(fhirUser="Person/p", patient="ann"), "scope_user_type", id="Person"),
    pytest.param(dict(fhirUser="Device/d"), "scope_user_type", id="Device"),
    pytest.param(dict(fhirUser="practitioner/7"), "scope_user_type", id="lower case"),
    pytest.param(dict(fhirUser="Practitioner"), "scope_user_invalid", id="no id"),
    pytest.param(dict(fhirUser="/Practitioner/7"), "scope_user_invalid", id="leading slash"),
    pytest.param(dict(fhirUser="urn:uuid:1"), "scope_user_invalid", id="urn"),
    pytest.param(dict(fhirUser="Practitioner/7?x=Patient/ann"), "scope_user_invalid", id="query"),
    pytest.param(dict(fhirUser="javascript:x/Practitioner/7"), "scope_user_invalid", id="scheme"),
    pytest.param(dict(patient="ann"), "scope_user_missing", id="none"),
])
def test_what_user_scopes_are_worth_depends_on_the_user(gateway, issuer, claims, expected):
    token = issuer.token("user/*.cruds", **claims)
    decided(gateway, SEARCH, token, expected)
    other = "compartment_other_patient" if expected is ANN else expected
    decided(gateway, READ_BEN, token, other)


@pytest.mark.parametrize("scope, claims, code", [
    pytest.param("patient/*.cruds", {}, "scope_patient_missing", id="patient without a patient"),
    pytest.param("patient/*.cruds", dict(fhirUser="Patient/ann"), "scope_patient_missing",
                 id="patient without a patient but a user"),
    pytest.param("system/*.cruds", dict(fhirUser="Practitioner/7"), "scope_system_with_user",
                 id="system with a user"),
    pytest.param("system/*.cruds", dict(patient="ann"), "scope_system_with_user",
                 id="system with a patient"),
])
def test_a_context_that_is_worth_nothing(gateway, issuer, scope, claims, code):
    token = issuer.token(scope, **claims)
    for request in (SEARCH, READ_BEN, "GET Patient/ann", "DELETE Observation/1"):
        decided(gateway, request, token, code)


def test_each_context_is_judged_on_its_own(gateway, issuer):
    """A patient scope for one type and a user scope for another don't lend each other their reach."""
    token = issuer.token("patient/Patient.rs user/Observation.rs", patient="ann",
                         fhirUser="Practitioner/7")
    decided(gateway, "GET Patient/ann", token, OK)
    decided(gateway, "GET Patient/ben", token, "compartment_other_patient")
    decided(gateway, "GET Observation?patient=ben", token, OK)
    decided(gateway, "GET Observation?_include=Observation:subject:Patient", token, "scope_insufficient")
    decided(gateway, "GET Condition", token, "scope_insufficient")


def test_two_patients_in_two_contexts_add_up(gateway, issuer):
    """A mother in her child's chart."""
    token = issuer.token("patient/*.rs user/*.rs", patient="child", fhirUser="Patient/ann")
    decided(gateway, "GET Observation", token, Allowed("patient=Patient%2Fchild%2CPatient%2Fann"))
    decided(gateway, "GET Patient?name=x", token, Allowed("_id=child%2Cann"))
    decided(gateway, "GET Patient/child", token, OK)
    decided(gateway, "GET Patient/ann", token, OK)
    decided(gateway, "GET Patient/ben", token, "compartment_other_patient")


# Scopes.

@pytest.mark.parametrize("scope, request_, allowed", [
    pytest.param(scope, request, allowed, id=name(f"{scope} {request}"))
    for scope, may in {
        "user/Observation.r": "r", "user/Observation.s": "s", "user/Observation.rs": "rs",
        "user/Observation.c": "c", "user/Observation.u": "u", "user/Observation.d": "d",
        "user/Observation.cud": "cud", "user/Observation.cruds": "cruds",
        "user/Observation.read": "rs", "user/Observation.write": "cud", "user/Observation.*": "cruds",
        "user/*.read": "rs", "user/*.write": "cud", "user/*.*": "cruds", "user/*.rs": "rs",
        "user/Observation.r user/Observation.s": "rs", "user/Observation.c user/*.s": "cs",
    }.items()
    for request, needs in {
        "GET Observation/1": "r", "GET Observation/1/_history/1": "r",
        "GET Observation/1/_history": "r",
        "GET Observation?code=1": "s", "POST Observation/_search code=1": "s",
        "GET Observation/_history": "s", "POST Observation": "c", "PUT Observation/1": "u",
        "PATCH Observation/1": "u", "DELETE Observation/1": "d",
        "POST Observation {}\nIf-None-Exist: identifier=x": "cs", "PUT Observation?identifier=x": "cus",
        "PATCH Observation?identifier=x": "us", "DELETE Observation?identifier=x": "ds",
    }.items()
    for allowed in [set(needs) <= set(may)]
])
def test_what_each_permission_covers(gateway, issuer, scope, request_, allowed):
    decided(gateway, request_, issuer.clinician(scope), OK if allowed else "scope_insufficient")


@pytest.mark.parametrize("scope", [
    "", "openid fhirUser launch/patient offline_access", "user/Observation.read-only",
    "user/Observation.rsx", "user/Observation.sr", "user/Observation.rr", "user/Observation.",
    "user/Observation", "user/Observation.R", "user/Observation.READ", "user/Observation.rs?",
    "user/Observation.read?category=x", "user/observation.rs", "user/OBSERVATION.rs",
    "user/Observations.rs", "user/Observation.*rs", "user/Observation.r,s", "xuser/Observation.rs",
    "User/Observation.rs", "user/Observation.rs/", "user//Observation.rs", "/Observation.rs",
    "user/Obs*.rs", "user/**.rs", "user/*/Observation.rs", "user.Observation.rs",
    "user/Observation.rs;", "user/Observation.rs%20", "user/Observation.rs\tuser/Observation.rs",
    "user/Observation.rs\u00a0user/Observation.rs", "user/Patient.rs", "system/Observation.rs",
    "user/Observation.rs&user/Observation.rs", "user/SubscriptionStatus.rs",
    "user/Observation.rs?category",
], ids=lambda scope: name(scope.replace("\t", "_tab_").replace("\u00a0", "_nbsp_")) or "none")
def test_a_scope_that_is_not_to_the_letter_grants_nothing(gateway, issuer, scope):
    code = "scope_system_with_user" if scope.startswith("system/") else "scope_insufficient"
    decided(gateway, "GET Observation/1", issuer.clinician(scope), code)
    decided(gateway, "GET Observation", issuer.clinician(scope), code)


def test_scopes_may_be_a_list(gateway, issuer):
    token = issuer.clinician(["user/Observation.s", "user/Observation.r"])
    decided(gateway, "GET Observation/1", token, OK)
    decided(gateway, "GET Condition/1", token, "scope_insufficient")


@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
@pytest.mark.parametrize("request_", [
    "GET Observation", "POST Observation/_search code=1", "GET Patient/ann", "GET Practitioner/7",
    "GET Patient/ann/Observation", "GET Practitioner?name=x", "GET Patient/ann/_history",
], ids=name)
def test_the_scope_that_a_refusal_names_works(gateway, issuer, who, request_):
    make = getattr(issuer, who)
    asked = named_scope(gateway, request_, make(scope="launch openid"))
    decided_ok(gateway, request_, make(scope=asked))


@pytest.mark.parametrize("request_", [
    "GET Observation/1", "POST Observation", "PUT Observation/1", "PATCH Observation/1",
    "DELETE Observation/1", "POST Observation {}\nIf-None-Exist: identifier=x",
    "PUT Observation?identifier=x", "PATCH Observation?identifier=x",
    "DELETE Observation?identifier=x", "DELETE ?identifier=x", "GET _history",
    "GET Observation/_history", "GET ?_type=Observation,Patient", "GET ?_id=1", "GET Patient/ann/*",
    "GET Binary/1",
], ids=name)
@pytest.mark.parametrize("who", ["clinician", "backend"])
def test_the_scope_that_a_refusal_names_works_unconfined(gateway, issuer, who, request_):
    make = getattr(issuer, who)
    asked = named_scope(gateway, request_, make(scope="launch openid"))
    decided_ok(gateway, request_, make(scope=asked))
    less = asked.replace("rs", "r") if "rs" in asked else asked.rpartition(".")[0] + ".r"
    if less != asked and not asked.endswith(".r"):
        named_scope(gateway, request_, make(scope=less))


def named_scope(gateway, request, token):
    """The scope in `WWW-Authenticate` of a request that must be refused."""
    response = send(gateway, request, token)
    gateway.refused(response, 403, "scope_insufficient", challenge=CHALLENGE)
    found = re.search(r'scope="([^"]+)"', response.header("www-authenticate"))
    assert found, response.header("www-authenticate")
    return found[1]


def decided_ok(gateway, request, token):
    gateway.allowed(send(gateway, request, token))


SCOPES = ["openid", "patient/Observation.rs", "patient/*.cruds", "user/Observation.rs", "user/*.rs",
          "user/*.cruds", "system/*.cruds", "patient/Observation.rs?category=x",
          "user/Observation.read-only"]
PEOPLE = {
    "patient": dict(patient="ann", fhirUser="Patient/ann"),
    "clinician": dict(patient="ann", fhirUser="Practitioner/7"),
    "service": {},
}


@pytest.mark.parametrize("request_", [
    "GET Patient/ann", "GET Patient/ben", "GET Observation", "GET Observation/ann-1",
    "GET Observation/ben-1", "GET Observation?patient=ben", "POST Observation", "GET Observation?_include=*",
], ids=name)
@pytest.mark.parametrize("person", PEOPLE)
def test_more_scope_is_never_less_access(gateway, issuer, upstream, person, request_):
    def reach(*scopes):
        """0: refused, 1: narrowed or held, 2: as it came."""
        upstream.clear()
        response = send(gateway, request_, issuer.token(" ".join(scopes), **PEOPLE[person]))
        if response.status == 403:
            return 0
        assert response.status == 200
        return 1 if upstream.requests[-1].header("accept") else 2

    alone = {scope: reach(scope) for scope in SCOPES}
    for one in SCOPES:
        for other in SCOPES:
            assert reach(one, other) >= max(alone[one], alone[other]), (one, other)


# Settings.

def test_a_search_must_name_the_patient_where_the_configuration_says_so(
        listen, configuration, issuer):
    changed = configuration()
    changed["smart"] = {"search_without_patient": "refuse"}
    strict = listen("strict", changed)
    token = issuer.patient()
    for request in ("GET Observation", "GET Observation?performer=Practitioner/7",
                    "POST Observation/_search code=1", "GET Patient?name=x"):
        decided(strict, request, token, "search_patient_required")
    for request in ("GET Observation?patient=ann", "GET Observation?subject=Patient/ann",
                    "POST Observation/_search patient=Patient/ann", "GET Patient/ann/Observation"):
        decided(strict, request, token, ANN)
    decided(strict, "GET Patient?_id=ann", token, IS_ANN)
    decided(strict, "GET Observation?patient=ben", token, "search_other_patient")


def test_only_shared_types_are_shared(listen, configuration, issuer):
    changed = configuration()
    changed["smart"] = {"shared_types": ["Questionnaire", "Observation"]}
    gateway = listen("shared-types", changed)
    token = issuer.patient()
    decided(gateway, "GET Questionnaire/1", token, OK)
    decided(gateway, "GET Practitioner/7", token, "compartment_type_outside")
    # What is in the compartment stays there.
    decided(gateway, "GET Observation/1", token, NOT_ANNS)
    decided(gateway, "GET Observation", token, ANN)


def test_r5_has_its_own_interactions(listen, configuration, issuer):
    changed = configuration()
    changed["fhir"]["release"] = "R5"
    gateway = listen("r5", changed)
    confined, service = issuer.patient(), issuer.backend("system/Observation.d")
    decided(gateway, "POST Patient/ann/Observation/_search code=1", confined, ANN)
    decided(gateway, "POST Patient/ben/Observation/_search code=1", confined,
            "compartment_other_patient")
    decided(gateway, "POST Patient/ann/_search _type=Observation", confined, "search_types_unjudged")
    decided(gateway, "POST Patient/ann/_search _count=5", confined, OK)
    decided(gateway, "POST Patient/ben/_search _count=5", confined, "compartment_other_patient")
    for request in ("DELETE Observation/1/_history", "DELETE Observation/1/_history/2"):
        decided(gateway, request, confined, "write_unjudged")
        decided(gateway, request, issuer.backend("system/Observation.crus"), "scope_insufficient")
        decided(gateway, request, service, OK)
