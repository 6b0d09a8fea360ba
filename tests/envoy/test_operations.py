"""Operations: `$everything`, which phiward judges by itself, before a hostile FHIR server and before a
real one, and those that an operator lists."""

import json

import pytest

from hostile import (
    ANN, BEN, FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, answers, bundle, observation, ok, passed, resource, shows,
    turned_back)
from lab.fhir_server import FhirServer
from lab.fhir_server import clinic as people
from lab.http import Client
from lab.processes import free_port

EVERYTHING = "/fhir/Patient/ann/$everything"
FORM = [("content-type", "application/x-www-form-urlencoded")]
MORE = 'Bearer error="insufficient_scope"'
LISTED = [
    {"name": "$docref", "level": "type", "type": "DocumentReference",
     "requires": "patient/DocumentReference.rs user/DocumentReference.rs"},
    {"name": "$lastn", "level": "type", "type": "Observation",
     "requires": "patient/Observation.rs user/Observation.rs system/Observation.rs"},
    {"name": "$meta", "level": "instance", "requires": "patient/*.r user/*.r"},
    {"name": "$meta", "level": "type", "requires": "system/*.r"},
    {"name": "$meta", "level": "system", "requires": "system/*.rs"},
    {"name": "$validate", "level": "type", "requires": "patient/Observation.cu user/Observation.c"},
    {"name": "$member-match", "level": "type", "type": "Patient", "requires": "patient/*.rs system/Patient.rs"},
    {"name": "$summary", "level": "system", "requires": "patient/*.rs"},
    {"name": "$graphql", "level": "system", "requires": "patient/*.rs user/*.rs"},
    {"name": "$graphql", "level": "instance", "requires": "patient/*.rs user/*.rs"},
    {"name": "$process-message", "level": "system", "requires": "patient/*.cruds system/*.cruds"},
]


@pytest.fixture(scope="module")
def listed(listen, configuration):
    """A gateway whose operator lists operations."""
    document = configuration()
    document["smart"] = {"operations": LISTED}
    return listen("operations", document, hardened=False)


def parameters(*parameter):
    return {"resourceType": "Parameters", "parameter": list(parameter)}


def types(*names):
    return parameters(*({"name": "_type", "valueCode": name} for name in names))


def post(gateway, target, body, token, headers=(FHIR_JSON,)):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gateway.send("POST", target, token, list(headers), body)


def ids(response):
    """What a Bundle holds, but for what is said about it."""
    resources = [entry["resource"] for entry in response.json().get("entry", [])]
    return {f"{one['resourceType']}/{one['id']}" for one in resources
            if one["resourceType"] != "OperationOutcome"}


# `$everything`, however the server answers.

ALL = [{"resource": one} for one in (
    ANN, OWN, FOREIGN, BEN, resource("Condition", "ann-2"), resource("Condition", "ben-2", "ben"))]
OWN_ALL = {"Patient/ann", "Observation/ann-1", "Condition/ann-2"}


@pytest.mark.parametrize("target, scope, kept", [
    (EVERYTHING, "patient/*.rs", OWN_ALL),
    (f"{EVERYTHING}?_type=Observation", "patient/*.rs", OWN_ALL),
    (f"{EVERYTHING}?_type=Observation", "patient/Observation.rs", {"Observation/ann-1"}),
    (f"{EVERYTHING}?_type=Observation,Patient", "patient/Observation.rs patient/Patient.rs patient/Condition.s",
     {"Observation/ann-1", "Patient/ann"}),
])
@pytest.mark.parametrize("kind", ["searchset", "collection"])
def test_everything_shows_what_is_the_patients_and_in_scope(gateway, issuer, target, scope, kept, kind):
    answers(gateway, *ok(bundle(*ALL, kind=kind, total=len(ALL))))
    response = gateway.get(target, issuer.patient(scope=scope))
    passed(gateway, response, removed=len(ALL) - len(kept))
    assert ids(response) == kept
    assert "total" not in response.json()


def test_everything_that_is_the_patients_comes_byte_for_byte(gateway, issuer):
    body = json.dumps(bundle({"resource": ANN}, {"resource": OWN}), indent=3).encode()
    answers(gateway, *ok(body))
    response = gateway.get(EVERYTHING, issuer.patient())
    passed(gateway, response)
    assert response.body == body


@pytest.mark.parametrize("answer", [
    ok(FOREIGN), ok(OWN), ok(parameters({"name": "return", "resource": bundle(*ALL)})), ok(b"not json"),
    ok(bundle(*ALL, kind="history")), ok(bundle(*ALL, kind="transaction-response")), ok({}), ok([]),
    (200, [("content-type", "application/fhir+ndjson")], json.dumps(FOREIGN).encode()),
    (202, [FHIR_JSON, ("content-location", f"https://api.clinic.example/{MARK}")], b""),
    (303, [("location", f"https://api.clinic.example/{MARK}")], b""),
], ids=str)
def test_what_is_no_answer_to_everything_does_not_pass(gateway, issuer, answer):
    answers(gateway, *answer)
    response = gateway.get(EVERYTHING, issuer.patient())
    assert response.status in (403, 406, 502), response
    turned_back(gateway, response, response.status, response.reason)


@pytest.mark.parametrize("target, code", [
    ("/fhir/Patient/ben/$everything", "compartment_other_patient"),
    ("/fhir/Patient/nobody/$everything", "compartment_other_patient"),
    ("/fhir/Patient/ann/_history/1/$everything", "operation_unconfined"),
    ("/fhir/Patient/$everything", "operation_unconfined"),
    ("/fhir/Patient/$everything?_id=ann", "operation_unconfined"),
    ("/fhir/$everything", "operation_unconfined"),
    ("/fhir/Group/1/$everything", "operation_unconfined"),
    ("/fhir/Encounter/ann-1/$everything", "operation_unconfined"),
    (f"{EVERYTHING}?_type=Nonsense", "operation_types"),
    (f"{EVERYTHING}?_type=Observation,", "operation_types"),
    (f"{EVERYTHING}?patient=ben", "parameter_unjudged"),
    (f"{EVERYTHING}?_elements=id", "parameter_unjudged"),
    ("/fhir/Patient/ann/$Everything", "operation_not_listed"),
])
def test_everything_else_about_others_is_refused(gateway, issuer, target, code):
    gateway.refused(gateway.get(target, issuer.patient()), 403, code)


@pytest.mark.parametrize("target, scope", [
    (EVERYTHING, "patient/Observation.rs"), (EVERYTHING, "patient/*.r"), (EVERYTHING, "patient/*.s"),
    (f"{EVERYTHING}?_type=Observation,Condition", "patient/Observation.rs"),
    (f"{EVERYTHING}?_type=Observation&_type=Condition", "patient/Observation.rs")])
def test_everything_needs_every_type_or_those_it_names(gateway, issuer, target, scope):
    gateway.refused(gateway.get(target, issuer.patient(scope=scope)), 403, "scope_insufficient", MORE)


@pytest.mark.parametrize("body, headers, code", [
    (types("Observation"), [FHIR_JSON], None),
    (b"_type=Observation", FORM, None),
    (types("Condition"), [FHIR_JSON], "scope_insufficient"),
    (b"_type=Condition", FORM, "scope_insufficient"),
    (types(), [FHIR_JSON], "scope_insufficient"),
    (types("Observation", "Condition"), [FHIR_JSON], "scope_insufficient"),
    (types("Nonsense"), [FHIR_JSON], "operation_types"),
    (parameters({"name": "_type", "part": []}), [FHIR_JSON], "operation_body"),
    (parameters({"name": "_type", "valueString": "Observation"}, {"name": "patient", "valueString": "ben"}),
     [FHIR_JSON], "parameter_unjudged"),
], ids=str)
def test_what_everything_is_asked_in_a_body_counts(gateway, issuer, body, headers, code):
    answers(gateway, *ok(bundle(*ALL)))
    response = post(gateway, EVERYTHING, body, issuer.patient(scope="patient/Observation.rs"), headers)
    if code is None:
        passed(gateway, response, removed=5)
        assert ids(response) == {"Observation/ann-1"}
    else:
        gateway.refused(response, 403, code, MORE if code == "scope_insufficient" else None)


def test_a_body_does_not_take_back_what_the_query_asks(gateway, issuer):
    token = issuer.patient(scope="patient/Observation.rs")
    response = post(gateway, f"{EVERYTHING}?_type=Condition", types("Observation"), token)
    gateway.refused(response, 403, "scope_insufficient", MORE)


def test_everything_is_whole_for_who_may_see_everything(gateway, issuer):
    body = json.dumps(bundle(*ALL)).encode()
    answers(gateway, *ok(body))
    for token in (issuer.clinician("user/*.rs"), issuer.backend("system/*.rs")):
        for of in ("Patient/ben", "Patient", "Group/1"):
            response = gateway.get(f"/fhir/{of}/$everything", token)
            gateway.allowed(response)
            assert response.body == body


def test_everything_of_some_types_is_held_for_anyone(gateway, issuer):
    """Servers ignore `_type`."""
    answers(gateway, *ok(bundle(*ALL)))
    token = issuer.clinician("user/Condition.rs")
    response = gateway.get("/fhir/Patient/ben/$everything?_type=Condition", token)
    gateway.allowed(response)
    assert ids(response) == {"Condition/ann-2", "Condition/ben-2"}


# Operations that are listed: where, by whom, with what.

@pytest.mark.parametrize("target", ["Patient/ann/$match", "Patient/$match", "$versions", "Observation/$lookup",
                                    "Patient/ann/_history/1/$diff", "Patient/ann/$Meta", "Patient/ann/$meta."])
@pytest.mark.parametrize("who", ["patient", "clinician", "backend"])
def test_an_operation_that_is_not_listed_is_refused_to_everyone(listed, issuer, who, target):
    token = getattr(issuer, who)()
    listed.refused(listed.get(f"/fhir/{target}", token), 403, "operation_not_listed")
    response = post(listed, f"/fhir/{target}", parameters(), token)
    listed.refused(response, 403, "operation_not_listed")


@pytest.mark.parametrize("who, target, code", [
    ("patient", "Observation/$lastn?patient=ann", None),
    ("patient", "Condition/$lastn?patient=ann", "operation_level"),
    ("patient", "$lastn?patient=ann", "operation_level"),
    ("patient", "Observation/ann-1/$lastn", "operation_level"),
    ("patient", "DocumentReference/$docref?patient=ann", None),
    ("patient", "$docref?patient=ann", "operation_level"),
    ("patient", "Patient/ann/$docref", "operation_level"),
    ("patient", "Patient/ann/$meta", None),
    ("patient", "Patient/ann/_history/1/$meta", None),
    ("patient", "Patient/ben/$meta", "compartment_other_patient"),
    ("patient", "Patient/ben/_history/1/$meta", "compartment_other_patient"),
    ("patient", "Observation/ann-1/$meta", "operation_resource_unjudged"),
    ("patient", "Organization/1/$meta", "operation_resource_unjudged"),
    ("patient", "Patient/$meta", "scope_insufficient"),
    ("patient", "$meta", "scope_insufficient"),
    ("patient", "$summary", None),
    ("clinician", "Observation/ben-1/$meta", None),
    ("clinician", "Observation/$lastn", None),
    ("clinician", "$summary", "scope_insufficient"),
    ("clinician", "$meta", "scope_insufficient"),
    ("backend", "$meta", None),
    ("backend", "Patient/$meta", None),
    ("backend", "Patient/ann/$meta", "scope_insufficient"),
    ("backend", "DocumentReference/$docref", "scope_insufficient"),
])
def test_a_listed_operation_is_allowed_where_and_to_whom_it_is_listed(listed, issuer, who, target, code):
    answers(listed, *ok(OUTCOME))
    response = listed.get(f"/fhir/{target}", getattr(issuer, who)())
    if code is None:
        got, record = listed.allowed(response)
        assert got.target == f"/fhir/{target}"
        assert record["what"]["operation"] == target.partition("?")[0].rpartition("/")[2]
    else:
        listed.refused(response, 403, code, MORE if code == "scope_insufficient" else None)


@pytest.mark.parametrize("scope, allowed", [
    ("patient/Observation.rs", True), ("patient/*.rs", True), ("patient/Observation.r", False),
    ("patient/Observation.r patient/Observation.s", True), ("patient/Condition.rs", False),
    ("patient/Observation.rs?category=vital-signs", False), ("patient/Observation.cud", False),
    ("user/Observation.rs", True), ("launch/patient", False)])
def test_a_listed_operation_needs_its_scopes_plainly(listed, issuer, scope, allowed):
    answers(listed, *ok(bundle()))
    response = listed.get("/fhir/Observation/$lastn?patient=ann", issuer.patient(scope=scope))
    if allowed:
        listed.allowed(response)
    else:
        listed.refused(response, 403, "scope_insufficient", MORE)
        assert "patient/Observation.rs" in response.header("www-authenticate")


NOT_ANN = ["patient=ben", "patient=Patient/ben", "patient=ann,ben", "patient=ann&patient=ben", "patient=",
           "patient=https://api.clinic.example/fhir/Patient/ben",
           "patient=https://other.example/fhir/Patient/ann",
           "patient:identifier=x", "patient.identifier=x", "subject=Patient/ben", "subject=Group/1",
           "patientId=ben", "PATIENT=ben", "member=ben", "_id=ben", "focus=Patient/ben",
           "focus=Patient%252Fben",
           "x=Observation%3Fsubject%3DPatient/ben"]


@pytest.mark.parametrize("parameter", NOT_ANN)
def test_a_parameter_that_may_name_another_patient_is_refused(listed, issuer, parameter):
    target, token = "/fhir/Observation/$lastn", issuer.patient()
    listed.refused(listed.get(f"{target}?{parameter}", token), 403, "operation_other_patient")
    response = post(listed, target, parameter.encode(), token, FORM)
    listed.refused(response, 403, "operation_other_patient")
    answers(listed, *ok(bundle()))
    listed.allowed(listed.get(f"{target}?{parameter}", issuer.clinician()))


@pytest.mark.parametrize("parameter", [
    "patient=ann", "patient=Patient/ann", "patient=https://api.clinic.example/fhir/Patient/ann", "max=3",
    "category=vital-signs&code=8867-4", "subject=Patient/ann&patient=ann"])
def test_a_parameter_that_names_the_patient_or_nobody_passes(listed, issuer, parameter):
    answers(listed, *ok(bundle({"resource": OWN})))
    got, _ = listed.allowed(listed.get(f"/fhir/Observation/$lastn?{parameter}", issuer.patient()))
    assert got.target == f"/fhir/Observation/$lastn?{parameter}"
    response = post(listed, "/fhir/Observation/$lastn", parameter.encode(), issuer.patient(), FORM)
    got, _ = listed.allowed(response)
    assert got.body == parameter.encode()


def text(name, value):
    return {"name": name, "valueString": value}


def reference(name, **value):
    return {"name": name, "valueReference": value}


BODIES = [
    (parameters(text("patient", "ann"), {"name": "max", "valueInteger": 3}), None),
    (parameters(reference("patient", reference="Patient/ann")), None),
    (parameters(), None),
    (b"", None),
    (parameters(text("patient", "ben")), "operation_other_patient"),
    (parameters(text("patient", "ann"), text("patient", "ben")), "operation_other_patient"),
    (parameters(reference("patient", reference="Patient/ben")), "operation_other_patient"),
    (parameters(reference("patient", identifier={"value": "x"})), "operation_other_patient"),
    (parameters({"name": "patient", "part": [text("id", "ben")]}), "operation_other_patient"),
    (parameters(reference("focus", reference="Patient/ben")), "operation_other_patient"),
    (parameters(reference("focus", type="Patient", identifier={"value": "x"})), "operation_other_patient"),
    (parameters(text("query", "Observation?subject=Patient/ben")), "operation_other_patient"),
    (parameters({"name": "resource", "resource": FOREIGN}), "operation_other_patient"),
    (parameters({"name": "resource", "resource": BEN}), "operation_other_patient"),
    (parameters({"name": "resource", "resource": {"resourceType": "Patient", "name": [{"family": "B"}]}}),
     "operation_other_patient"),
    (b"patient=ben", "fhir_media_type"),
    (b"not json", "body_unreadable"),
    (b'{"resourceType":"Parameters","parameter":[],"parameter":[{"name":"patient","valueString":"ben"}]}',
     "body_unreadable"),
]


@pytest.mark.parametrize("body, code", BODIES, ids=str)
def test_a_body_that_may_name_another_patient_is_refused(listed, issuer, body, code):
    answers(listed, *ok(bundle()))
    response = post(listed, "/fhir/Observation/$lastn", body, issuer.patient())
    if code is None:
        got, _ = listed.allowed(response)
        assert got.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
        return
    assert response.status in (400, 403) and listed.upstream.requests == [], response
    if isinstance(body, dict):
        listed.refused(response, 403, code)
        listed.allowed(post(listed, "/fhir/Observation/$lastn", body, issuer.clinician()))


@pytest.mark.parametrize("answer, status", [
    (ok(bundle({"resource": OWN})), 200),
    (ok(OWN), 200),
    (ok(OUTCOME), 200),
    (ok(parameters({"name": "return", "resource": OWN})), 200),
    (ok(parameters(text("result", "fine"))), 200),
    ((204, [], b""), 200),
    (ok(OUTCOME, status=422), 200),
    (ok(FOREIGN), 403),
    (ok(BEN), 403),
    (ok(parameters({"name": "return", "resource": FOREIGN})), 403),
    (ok(parameters({"name": "return", "resource": OWN}, {"name": "return", "resource": FOREIGN})), 403),
    (ok(parameters({"name": "return", "part": [{"name": "of", "resource": FOREIGN}]})), 403),
    (ok(parameters({"name": "return", "resource": bundle({"resource": FOREIGN})})), 403),
    (ok(parameters({"name": "return", "valueX": {"deep": [FOREIGN]}})), 403),
    (ok({"data": {"patient": MARK}}), 403),
    (ok(MARK.encode()), 502),
    ((200, [("content-type", "text/plain")], MARK.encode()), 406),
    (ok({**OUTCOME, "contained": [FOREIGN]}, status=422), 502),
    ((302, [("location", f"https://api.clinic.example/{MARK}")], b""), 502),
], ids=str)
def test_what_an_operation_gives_is_judged(listed, issuer, answer, status):
    answers(listed, *answer)
    response = listed.get("/fhir/Observation/$lastn?patient=ann", issuer.patient())
    assert not shows(response, MARK), response
    if status == 200:
        listed.allowed(response, status=answer[0])
        assert response.body == answer[2]
    else:
        assert response.status == status, response
        turned_back(listed, response, response.status, response.reason)


def test_of_a_bundle_what_is_another_patients_is_removed(listed, issuer):
    answers(listed, *ok(bundle(*ALL, total=6)))
    token = issuer.patient(scope="patient/Observation.rs")
    response = listed.get("/fhir/Observation/$lastn?patient=ann", token)
    passed(listed, response, removed=5)
    assert ids(response) == {"Observation/ann-1"}


def test_what_an_operation_gives_is_not_looked_at_for_who_is_not_confined(listed, issuer):
    answers(listed, 200, [("content-type", "text/plain")], MARK.encode())
    for token in (issuer.clinician(), issuer.backend()):
        response = listed.get("/fhir/Observation/$lastn", token)
        listed.allowed(response)
        assert response.body == MARK.encode()


@pytest.mark.parametrize("method, target", [
    ("GET", "/fhir/$graphql?query=%7BPatientList%7Bname%7D%7D"), ("POST", "/fhir/$graphql"),
    ("GET", "/fhir/Patient/ann/$graphql?query=%7Bname%7D"), ("POST", "/fhir/$process-message")])
def test_what_is_said_in_a_language_is_opaque_even_when_listed(listed, issuer, method, target):
    body = b"" if method == "GET" else json.dumps(bundle({"resource": OWN}, kind="message")).encode()
    headers = [FHIR_JSON] if body else []
    response = listed.send(method, target, issuer.patient(), headers, body)
    listed.refused(response, 403, "operation_opaque")
    other = issuer.backend() if "message" in target else issuer.clinician()
    answers(listed, *ok(OUTCOME))
    listed.allowed(listed.send(method, target, other, headers, body))


@pytest.mark.parametrize("name", ["$GraphQL", "$GRAPHQL", "$Process-Message"])
def test_an_operation_is_listed_by_its_exact_name(listed, issuer, name):
    listed.refused(listed.get(f"/fhir/{name}", issuer.patient()), 403, "operation_not_listed")


def match(**changes):
    member = {"resourceType": "Patient", "id": "ann", "name": [{"family": "Testperson"}]}
    coverage = {"resourceType": "Coverage", "status": "active", "beneficiary": {"reference": "Patient/ann"}}
    member, coverage = changes.get("member", member), changes.get("coverage", coverage)
    return parameters({"name": "MemberPatient", "resource": member},
                      {"name": "CoverageToMatch", "resource": coverage})


@pytest.mark.parametrize("body, allowed", [
    (match(), True),
    (match(member={"resourceType": "Patient", "name": [{"family": "Testperson"}]}), False),
    (match(member=BEN), False),
    (match(coverage={"resourceType": "Coverage", "beneficiary": {"reference": "Patient/ben"}}), False),
    (match(coverage={"resourceType": "Coverage",
                     "beneficiary": {"type": "Patient", "identifier": {"value": "b"}}}), False),
], ids=str)
def test_a_member_match_is_about_the_patient(listed, issuer, body, allowed):
    answers(listed, *ok(parameters({"name": "MemberIdentifier", "valueIdentifier": {"value": "x"}})))
    response = post(listed, "/fhir/Patient/$member-match", body, issuer.patient())
    if allowed:
        listed.allowed(response)
    else:
        listed.refused(response, 403, "operation_other_patient")
        listed.allowed(post(listed, "/fhir/Patient/$member-match", body, issuer.backend()))


@pytest.mark.parametrize("body, code", [
    (observation("ann-1"), None),
    (parameters({"name": "resource", "resource": OWN}, {"name": "mode", "valueCode": "create"}), None),
    (FOREIGN, "operation_other_patient"),
    (parameters({"name": "resource", "resource": FOREIGN}), "operation_other_patient"),
    ({**OWN, "contained": [BEN]}, "operation_other_patient"),
    ({**OWN, "performer": [{"reference": "Patient/ben"}]}, "operation_other_patient"),
], ids=str)
def test_a_resource_to_be_validated_is_about_the_patient(listed, issuer, body, code):
    answers(listed, *ok(OUTCOME))
    response = post(listed, "/fhir/Observation/$validate", body, issuer.patient())
    if code is None:
        listed.allowed(response)
    else:
        listed.refused(response, 403, code)


def test_a_head_request_or_another_format_would_tell_what_exists(listed, issuer):
    target, token = "/fhir/Observation/$lastn?patient=ann", issuer.patient()
    listed.refused(listed.send("HEAD", target, token), 405, "head_unjudged", method="HEAD")
    listed.refused(listed.get(f"{target}&_format=xml", token), 406, "format_unjudged")
    response = listed.get(target, token, headers=[("accept", "application/fhir+xml")])
    listed.refused(response, 406, "format_unjudged")


def in_batch(url):
    return bundle({"request": {"method": "GET", "url": url}}, kind="batch")


@pytest.mark.parametrize("who, url, status, code", [
    ("patient", "Patient/ben/$everything", 403, "compartment_other_patient"),
    ("patient", "Observation/$lastn?patient=ben", 403, "operation_other_patient"),
    ("patient", "$graphql?query=x", 403, "operation_opaque"),
    ("patient", "Patient/$match", 403, "operation_not_listed"),
    ("patient", "$export", 403, "bundle_entry_unjudged"),
    ("clinician", "Patient/$match", 403, "operation_not_listed"),
    ("backend", "Patient/$match", 403, "operation_not_listed"),
    ("backend", "$export", 403, "bundle_entry_unjudged"),
    ("backend", "Patient/$export?_type=Observation", 403, "bundle_entry_unjudged"),
])
def test_an_operation_in_a_batch_is_judged_as_if_it_had_come_alone(listed, issuer, who, url, status, code):
    for headers in ([FHIR_JSON], [FHIR_JSON, ("prefer", "respond-async")]):
        response = post(listed, "/fhir", in_batch(url), getattr(issuer, who)(), headers)
        listed.refused(response, status, code)


def test_what_an_operation_in_a_batch_gives_is_judged(listed, issuer):
    for url in ("Patient/ann/$everything", "Observation/$lastn?patient=ann"):
        entry = {"response": {"status": "200"}, "resource": bundle(*ALL)}
        answers(listed, *ok(bundle(entry, kind="batch-response")))
        response = post(listed, "/fhir", in_batch(url), issuer.patient())
        passed(listed, response, removed=3)
        assert not shows(response, MARK)


# Before a real FHIR server, which ignores `_type`.

class Real:
    """A gateway before a real FHIR server, and the server itself."""

    def __init__(self, envoy, port, fhir):
        self.envoy, self.client, self.behind = envoy, Client(port), Client(fhir.port)
        self.host = f"http://127.0.0.1:{port}"

    def get(self, target, token, **options):
        return self.client.get(target, token, **options)

    def audit(self, response):
        return self.envoy.audit(response.header("x-request-id"))


@pytest.fixture(scope="module")
def real(envoy, listen, configuration, tmp_path_factory):
    port = free_port()
    group = {"resourceType": "Group", "id": "asthma", "type": "person", "actual": True,
             "member": [{"entity": {"reference": f"Patient/{one}"}} for one in ("ann", "ben")]}
    fhir = FhirServer(tmp_path_factory.mktemp("operations"), f"http://127.0.0.1:{port}/fhir",
                      port=envoy.clusters["real-fhir"], resources=[*people(), group])
    fhir.wait()
    document = configuration()
    document["fhir"].update(base_url=f"http://127.0.0.1:{port}/fhir", cluster="real-fhir")
    document["smart"] = {"operations": [
        {"name": "$validate", "level": "type", "requires": "patient/Observation.c user/Observation.c"},
        {"name": "$validate", "level": "instance", "requires": "patient/*.r user/*.r"}]}

    def before_the_real_server(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "real-fhir"

    listen("real-operations", document, port=port, adjust=before_the_real_server)
    yield Real(envoy, port, fhir)
    fhir.stop()


ANNS = {"Patient/ann", "Condition/ann-asthma", "MedicationRequest/ann-inhaler",
        *(f"Observation/ann-pulse-{number}" for number in (1, 2, 3))}
SHARED = {"Practitioner/dr-grey", "Organization/clinic"}


def test_the_real_server_gives_more_than_was_asked_for(real):
    """What the tests below rely on."""
    whole = ids(real.behind.get(EVERYTHING))
    assert whole == ids(real.behind.get(f"{EVERYTHING}?_type=Observation"))
    assert ANNS | SHARED <= whole and "Group/asthma" in whole and "Patient/ben" in whole


@pytest.mark.parametrize("query, scope, kept", [
    ("", "patient/*.rs", ANNS | SHARED),
    ("?_type=Observation", "patient/Observation.rs", {one for one in ANNS if one.startswith("Observation")}),
    ("?_type=Patient,Condition", "patient/Patient.rs patient/Condition.rs",
     {"Patient/ann", "Condition/ann-asthma"}),
    ("?_type=Practitioner", "patient/Practitioner.rs", {"Practitioner/dr-grey"}),
    ("?_type=Group", "patient/Group.rs", set()),
])
def test_everything_on_a_real_server_is_the_patients_and_in_scope(real, issuer, query, scope, kept):
    response = real.get(f"{EVERYTHING}{query}", issuer.patient(scope=scope))
    assert response.status == 200, response
    assert ids(response) == kept and "ben" not in response.body.decode().lower()
    record = real.audit(response)
    assert (record["decision"], record["what"]["operation"]) == ("allow", "$everything")
    assert record["removed"] > 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everything_on_a_real_server_of_others_is_refused(real, issuer, method):
    for of in ("Patient/ben", "Patient", "Group/asthma"):
        target = f"/fhir/{of}/$everything"
        body = json.dumps(parameters()).encode() if method == "POST" else b""
        response = real.client.request(method, target, [FHIR_JSON] if body else [], body, issuer.patient())
        assert response.status == 403, response
        assert "Testperson" not in response.body.decode()


def test_everything_on_a_real_server_is_whole_for_clinicians(real, issuer):
    response = real.get("/fhir/Patient/ben/$everything", issuer.clinician())
    assert ids(response) == ids(real.behind.get("/fhir/Patient/ben/$everything"))
    response = real.get("/fhir/Patient/ben/$everything?_type=Condition", issuer.clinician("user/Condition.rs"))
    assert ids(response) == {"Condition/ben-asthma"}


def test_a_real_server_validates(real, issuer):
    body = {**observation("1"), "code": {"text": "Pulse"}}

    def validated(resource_, token):
        return post_to(real, "/fhir/Observation/$validate", resource_, token)

    response = validated(body, issuer.patient())
    assert (response.status, response.json()["resourceType"]) == (200, "OperationOutcome"), response
    assert validated({**body, "subject": {"reference": "Patient/ben"}}, issuer.patient()).status == 403
    assert validated({**body, "subject": {"reference": "Patient/ben"}}, issuer.clinician()).status == 200
    assert real.get("/fhir/Patient/ann/$validate", issuer.patient()).status == 200
    assert real.get("/fhir/Patient/ben/$validate", issuer.patient()).status == 403
    assert real.get("/fhir/Observation/ann-pulse-1/$validate", issuer.patient()).status == 403


def post_to(real, target, body, token):
    return real.client.request("POST", target, [FHIR_JSON], json.dumps(body).encode(), token)
