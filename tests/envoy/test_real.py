"""A real SMART app, a real authorization server and a real FHIR server with phiward between them."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.condition import Condition
from fhirclient.models.fhirsearch import FHIRSearch
from fhirclient.models.medicationrequest import MedicationRequest
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRPermissionDeniedException, FHIRUnauthorizedException

from lab.auth_server import CLINICIAN_APP, PATIENT_APP, REDIRECT, AuthServer
from lab.fhir_server import FhirServer
from lab.http import Client
from lab.processes import free_port
from lab.tokens import peek
from hostile import JSON_PATCH, bundle
from test_batches import entry
from test_policy import FORM, JSON
from test_revocation import until

HEART_RATE = "http://loinc.org|8867-4"


def weight(patient, ident=None, **more):
    """An Observation to be written."""
    made = {"resourceType": "Observation", "status": "preliminary", "code": {"text": "Weight"},
            "subject": {"reference": f"Patient/{patient}"}, **more}
    return {**made, "id": ident} if ident else made


class Clinic:
    """Everything that runs, and a client before it."""

    def __init__(self, envoy, port, auth, fhir, revocations):
        self.envoy, self.port, self.auth, self.fhir = envoy, port, auth, fhir
        self.base, self.revocations = f"http://127.0.0.1:{port}/fhir", revocations
        self.client = Client(port)
        self.behind = Client(fhir.port)

    def search(self, target, token, form=None):
        """The resources of a search, through the gateway, and its Bundle."""
        if form is None:
            response = self.client.get(f"/fhir/{target}", token)
        else:
            response = self.client.request("POST", f"/fhir/{target}", FORM, form.encode(), token)
        assert response.status == 200, response
        bundle = response.json()
        return [entry["resource"] for entry in bundle.get("entry", [])], bundle

    def app(self, person, scope, app=PATIENT_APP):
        """A SMART app in which this person has logged in."""
        state = {"app_id": app, "scope": scope, "redirect": REDIRECT, "server": {
            "base_uri": f"{self.base}/", "auth_type": "oauth2", "auth": {
                "app_id": app, "aud": self.base, "redirect_uri": REDIRECT,
                "authorize_uri": f"{self.auth.issuer}/auth",
                "token_uri": f"{self.auth.issuer}/token"}}}
        smart = FHIRClient(state=state)
        url = smart.authorize_url
        code = self.auth.code(url, person)
        (opaque,) = parse_qs(urlsplit(url).query)["state"]
        smart.handle_callback(f"{REDIRECT}?code={code}&state={opaque}")
        assert smart.ready
        return smart


@pytest.fixture(scope="module")
def clinic(envoy, listen, configuration, spare_lists, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("real"), free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    auth = AuthServer(folder, base, port=envoy.clusters["real-auth"])
    fhir = FhirServer(folder, base, port=envoy.clusters["real-fhir"])
    auth.wait()
    fhir.wait()
    revocations = spare_lists.pop()
    changed = configuration()
    changed["fhir"].update(base_url=base, cluster="real-fhir")
    changed["issuers"][0].update(issuer=auth.issuer, audiences=[base])
    changed["issuers"][0]["jwks"].update(cluster="real-auth", url=auth.jwks_url)
    changed["revocation"].update(cluster=str(revocations.port), url=revocations.list_url)

    def before_the_real_server(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "real-fhir"

    listen("real", changed, ready=False, port=port, adjust=before_the_real_server)
    running = Clinic(envoy, port, auth, fhir, revocations)
    token = auth.backend_token("system/Patient.r")
    until(lambda: running.client.get("/fhir/Patient/ann", token).status == 200, 15)
    yield running
    fhir.stop()
    auth.stop()


@pytest.fixture(scope="module")
def ann(clinic):
    return clinic.app("ann", "openid patient/*.rs")


@pytest.fixture(scope="module")
def anns_token(clinic):
    return clinic.auth.log_in("ann", "launch/patient patient/*.cruds")


@pytest.fixture(scope="module")
def greys_token(clinic):
    return clinic.auth.log_in("dr-grey", "user/*.cruds", CLINICIAN_APP)


def found_by(app, model, criteria):
    """The resources that an app's search finds, page by page."""
    return list(model.where(struct=criteria).perform_resources_iter(app.server))


def about(resources):
    """Whom resources are about."""
    return {resource["subject"]["reference"] for resource in resources}


# A SMART app.

def test_a_smart_app_reads_its_patient(ann):
    assert ann.patient_id == "ann"
    assert ann.human_name(ann.patient.name[0]) == "Ann Testperson"


@pytest.mark.parametrize("model, count", [(Observation, 3), (Condition, 1), (MedicationRequest, 1)])
def test_a_smart_app_finds_what_is_written_about_its_patient(ann, model, count):
    found = found_by(ann, model, {})
    assert len(found) == count
    assert {one.subject.reference for one in found} == {"Patient/ann"}


def test_a_smart_app_follows_the_pages(ann):
    pages = list(FHIRSearch(Observation, {"_count": "1", "code": HEART_RATE}).perform_iter(ann.server))
    assert len(pages) == 3
    found = [entry.resource for page in pages for entry in page.entry]
    assert sorted(one.id for one in found) == ["ann-pulse-1", "ann-pulse-2", "ann-pulse-3"]


@pytest.mark.parametrize("search, reason", [
    ({"patient": "ben"}, "search_other_patient"),
    ({"subject": "Patient/ben"}, "search_other_patient"),
    ({"performer:Patient.name": "Ben"}, "search_chain_patient"),
    ({"_list": "42"}, "search_list_unjudged"),
], ids=str)
def test_a_smart_app_is_told_what_it_may_not_search(ann, search, reason):
    with pytest.raises(FHIRPermissionDeniedException) as refused:
        found_by(ann, Observation, search)
    issue = refused.value.response.json()["issue"][0]
    assert issue["details"]["coding"][0]["code"] == reason


@pytest.mark.parametrize("model, ident, reason", [
    (Patient, "ben", "compartment_other_patient"),
    (Patient, "nobody", "compartment_other_patient"),
    (Observation, "ben-pulse-1", "compartment_not_member"),
    (Observation, "nobody-has-this-id", "compartment_not_member"),
])
def test_a_smart_app_does_not_read_about_others(ann, model, ident, reason):
    with pytest.raises(FHIRPermissionDeniedException) as refused:
        model.read(ident, ann.server)
    assert refused.value.response.json()["issue"][0]["details"]["coding"][0]["code"] == reason
    assert "Testperson" not in refused.value.response.text


def test_a_smart_app_reads_what_is_written_about_its_patient(ann):
    pulse = Observation.read("ann-pulse-1", ann.server)
    assert (pulse.id, pulse.subject.reference) == ("ann-pulse-1", "Patient/ann")


def test_a_smart_app_can_not_write(ann):
    changed = Patient.read("ann", ann.server)
    changed.birthDate = None
    with pytest.raises(FHIRPermissionDeniedException):
        changed.update(ann.server)


def test_a_clinicians_app_sees_every_patient(clinic):
    grey = clinic.app("dr-grey", "openid user/Patient.rs user/Observation.rs", CLINICIAN_APP)
    assert {one.id for one in found_by(grey, Patient, {})} == {"ann", "ben", "cleo"}
    assert len(found_by(grey, Observation, {})) == 9
    assert Observation.read("ben-pulse-2", grey.server).subject.reference == "Patient/ben"
    with pytest.raises(FHIRPermissionDeniedException) as refused:
        found_by(grey, Condition, {})
    assert 'scope="user/Condition.s"' in refused.value.response.headers["www-authenticate"]


def test_an_app_whose_token_is_revoked_has_to_log_in_again(clinic):
    ben = clinic.app("ben", "openid patient/Patient.r")
    assert Patient.read("ben", ben.server).id == "ben"
    clinic.revocations.revoke(jti=peek(ben.server.auth.access_token)["jti"])

    def is_refused():
        try:
            Patient.read("ben", ben.server)
        except FHIRUnauthorizedException:
            return True
        return False

    until(is_refused, 4)
    assert Patient.read("ben", clinic.app("ben", "openid patient/Patient.r").server).id == "ben"


# What the FHIR server really answers to what it gets.

@pytest.mark.parametrize("target, form, count", [
    ("Observation", None, 3),
    ("Observation?code=8867-4", None, 3),
    ("Observation?patient=ann", None, 3),
    ("Observation?subject=Patient/ann", None, 3),
    ("Observation?subject:Patient=ann", None, 3),
    ("Observation?_id=ann-pulse-1,ben-pulse-1", None, 1),
    ("Observation?_id=ben-pulse-1", None, 0),
    ("Observation?date=2026-01-02", None, 1),
    ("Observation/_search", "", 3),
    ("Observation/_search", "code=8867-4", 3),
    ("Observation/_search", "_id=ann-pulse-1%2Cben-pulse-1", 1),
    ("Observation/_search?date=2026-01-02", "code=8867-4", 1),
    ("Condition", None, 1),
    ("MedicationRequest?status=active", None, 1),
    ("Patient/ann/Observation", None, 3),
])
def test_a_narrowed_search_really_finds_one_patients_resources(clinic, anns_token, target, form, count):
    found, bundle = clinic.search(target, anns_token, form)
    assert len(found) == count
    assert about(found) <= {"Patient/ann"}
    assert bundle.get("total", count) == count


@pytest.mark.parametrize("target", [
    "Observation/ann-pulse-1", "Observation/ann-pulse-1/_history/1", "Observation/ann-pulse-1/_history",
    "Observation?_count=2",
    "Patient/ann/Observation"])
def test_an_answer_about_the_patient_comes_as_the_server_sent_it(clinic, anns_token, target):
    through = clinic.client.get(f"/fhir/{target}", anns_token)
    assert through.status == 200, through
    criterion = "&patient=ann" if target.startswith("Observation?") else ""
    direct = clinic.behind.get(f"/fhir/{target}{criterion}")
    assert shape(through.json()) == shape(direct.json())
    assert "suppressed" not in through.body.decode()
    assert clinic.envoy.audit(through.header("x-request-id"))["decision"] == "allow"


def shape(answer):
    """An answer without what each search gets anew: its id, time and links."""
    return {name: value for name, value in answer.items() if name not in ("id", "meta", "link", "timestamp")}


def test_elements_that_prove_come_with_those_asked_for(clinic, anns_token):
    one = clinic.client.get("/fhir/Observation/ann-pulse-1?_elements=code", anns_token)
    assert (one.status, one.json()["subject"]["reference"]) == (200, "Patient/ann")
    found, _ = clinic.search("Observation?_elements=code", anns_token)
    assert (len(found), about(found)) == (3, {"Patient/ann"})


@pytest.mark.parametrize("target", [
    "Observation/{}", "Observation/{}/_history/1", "Observation/{}/_history"])
def test_what_is_another_patients_looks_like_what_is_not_there(clinic, anns_token, target):
    for ident in ("ben-pulse-1", "cleo-pulse-2", "nobody-has-this-id"):
        response = clinic.client.get(f"/fhir/{target.format(ident)}", anns_token)
        assert (response.status, response.reason) == (403, "compartment_not_member"), response
        assert "pulse" not in response.body.decode()


def test_a_narrowed_search_for_patients_finds_one(clinic, anns_token):
    for target, form in (("Patient", None), ("Patient?family=Testperson", None),
                         ("Patient/_search", "family=Testperson")):
        found, _ = clinic.search(target, anns_token, form)
        assert [patient["id"] for patient in found] == ["ann"], target
    assert clinic.search("Patient?birthdate=1975-05-06", anns_token)[0] == []


def test_a_narrowed_search_counts_one_patients_resources(clinic, anns_token, greys_token):
    assert clinic.search("Observation?_summary=count", anns_token)[1]["total"] == 3
    assert clinic.search("Observation?_summary=count", greys_token)[1]["total"] == 9


def test_what_is_not_about_patients_is_not_narrowed(clinic, anns_token):
    found, _ = clinic.search("Practitioner", anns_token)
    assert [one["id"] for one in found] == ["dr-grey"]


@pytest.mark.parametrize("count", [1, 2])
def test_pages_stay_with_the_patient(clinic, anns_token, count):
    ids, target, pages = [], f"Observation?_count={count}&_sort=date", 0
    while target:
        found, bundle = clinic.search(target, anns_token)
        assert about(found) <= {"Patient/ann"}
        ids += [resource["id"] for resource in found]
        target, pages = next_page(clinic, bundle), pages + 1
        assert pages < 10
    assert ids == ["ann-pulse-1", "ann-pulse-2", "ann-pulse-3"]
    assert pages > 1


def next_page(clinic, bundle):
    """The target of the `next` link, which must lead through the gateway."""
    links = [link["url"] for link in bundle.get("link", []) if link["relation"] == "next"]
    for link in links:
        assert link.startswith(f"{clinic.base}/"), link
        return link.removeprefix(f"{clinic.base}/")
    return None


def test_a_page_of_someone_else_shows_nothing_of_theirs(clinic, anns_token, greys_token):
    """A clinician's next page, asked for with a patient's token."""
    _, bundle = clinic.search("Observation?_count=4&patient=ben,cleo", greys_token)
    link = next_page(clinic, bundle)
    response = clinic.client.get(f"/fhir/{link}", anns_token)
    assert (response.status, response.reason) == (403, "search_other_patient")
    _, bundle = clinic.search("Observation?_count=4", greys_token)
    found, _ = clinic.search(next_page(clinic, bundle), anns_token)
    assert about(found) <= {"Patient/ann"}


# Writing, as a service.

def test_a_service_writes_and_a_patient_does_not(clinic, anns_token):
    service = clinic.auth.backend_token("system/Observation.cruds")
    target = "/fhir/Observation/written-here"
    resource = {"resourceType": "Observation", "id": "written-here", "status": "preliminary",
                "code": {"text": "Weight"}, "subject": {"reference": "Patient/cleo"}}
    body = json.dumps(resource).encode()
    assert clinic.client.request("PUT", target, JSON, body, anns_token).status == 403
    assert clinic.behind.get(target).status == 404
    assert clinic.client.request("PUT", target, JSON, body, service).status == 201
    assert clinic.client.get(target, service).json()["subject"] == resource["subject"]
    final = json.dumps({**resource, "status": "final"}).encode()
    assert clinic.client.request("PUT", target, JSON, final, service).status == 200
    assert clinic.client.get(f"{target}/_history/1", service).json()["status"] == "preliminary"
    assert clinic.client.request("DELETE", target, token=anns_token).status == 403
    assert clinic.behind.get(target).json()["status"] == "final"
    assert clinic.client.request("DELETE", target, token=service).status in (200, 204)
    assert clinic.behind.get(target).status == 410


@pytest.mark.parametrize("method, target, document, reason", [
    ("DELETE", "Observation/ben-pulse-1", None, "compartment_not_member"),
    ("DELETE", "Observation/nobody-has-this-id", None, "compartment_not_member"),
    ("DELETE", "Patient/ben", None, "compartment_other_patient"),
    ("DELETE", "Observation?patient=ben", None, "search_other_patient"),
    ("PUT", "Observation/ben-pulse-1", weight("ann", "ben-pulse-1"), "compartment_not_member"),
    ("PUT", "Observation/ann-pulse-1", weight("ben", "ann-pulse-1"), "write_not_member"),
    ("POST", "Observation", weight("ben"), "write_not_member"),
    ("POST", "", bundle(entry("GET", "Patient/ann"), entry("DELETE", "Observation/ben-pulse-1"), kind="batch"),
     "compartment_not_member"),
    ("POST", "", bundle(entry("POST", "Observation", weight("ben")), kind="transaction"), "write_not_member"),
    ("GET", "Patient/ben/$everything", None, "compartment_other_patient"),
])
def test_what_is_somebody_elses_stays_as_it_is(clinic, anns_token, method, target, document, reason):
    def counted():
        return clinic.behind.get("/fhir/Observation?_summary=count").json()["total"]

    before = counted()
    body = json.dumps(document).encode() if document else b""
    path = f"/fhir/{target}" if target else "/fhir"
    response = clinic.client.request(method, path, JSON if body else (), body, anns_token)
    assert (response.status, response.reason) == (403, reason)
    assert counted() == before
    assert clinic.behind.get("/fhir/Observation/ben-pulse-1").json()["meta"]["versionId"] == "1"


def test_a_patient_writes_what_is_about_them(clinic, anns_token):
    def send(method, target, document=None, *headers):
        body = json.dumps(document).encode() if document else b""
        media = JSON_PATCH if method == "PATCH" else JSON[0]
        return clinic.client.request(method, f"/fhir/{target}", [media, *headers] if body else headers, body,
                                     anns_token)

    created = send("POST", "Observation", weight("ann"))
    target = f"Observation/{created.json()['id']}"
    assert (created.status, created.header("etag")) == (201, 'W/"1"')
    updated = {**weight("ann", created.json()["id"]), "status": "amended"}
    assert send("PUT", target, updated).json()["meta"]["versionId"] == "2"
    assert send("PUT", target, updated, ("if-match", 'W/"1"')).reason == "write_version_conflict"
    patched = send("PATCH", target, [{"op": "replace", "path": "/status", "value": "final"}])
    assert (patched.json()["status"], patched.json()["meta"]["versionId"]) == ("final", "3")
    assert send("DELETE", target).status == 200
    assert (send("GET", target).status, send("DELETE", target).status) == (403, 403)
    assert send("PUT", "Observation/as-i-like", weight("ann", "as-i-like")).status == 201
    assert send("DELETE", "Observation/as-i-like").status == 200
    for status in (201, 200):
        found = send("POST", "Observation", weight("ann", identifier=[{"value": "w-1"}]),
                     ("if-none-exist", "identifier=w-1"))
        assert found.status == status
    assert send("DELETE", "Observation?identifier=w-1").status == 200


def test_a_patients_bundles_are_answered_entry_by_entry(clinic, anns_token):
    asked = bundle(entry("GET", "Patient/ann"), entry("GET", "Observation?code=8867-4"),
                   entry("GET", "Observation/nobody-has-this-id"), entry("GET", "Practitioner/dr-grey"),
                   kind="batch")
    response = clinic.client.request("POST", "/fhir", JSON, json.dumps(asked).encode(), anns_token)
    entries = response.json()["entry"]
    assert [one["response"]["status"][:3] for one in entries] == ["200", "200", "403", "200"]
    assert about(one["resource"] for one in entries[1]["resource"]["entry"]) == {"Patient/ann"}
    new = bundle(entry("POST", "Observation", weight("ann"), full_url="urn:uuid:1"), kind="transaction")
    response = clinic.client.request("POST", "/fhir", JSON, json.dumps(new).encode(), anns_token)
    (made,) = response.json()["entry"]
    assert made["response"]["status"].startswith("201")
    found = next(one["id"] for one in clinic.search("Observation",
                                                    anns_token)[0] if one["code"].get("text") == "Weight")
    gone = bundle(entry("DELETE", f"Observation/{found}"), kind="transaction")
    response = clinic.client.request("POST", "/fhir", JSON, json.dumps(gone).encode(), anns_token)
    assert response.status == 200 and response.json()["entry"][0]["response"]["status"].startswith("20")


def test_what_is_included_is_the_patients(clinic, anns_token):
    found, _ = clinic.search("Observation?_include=Observation:subject&_revinclude=Provenance:target", anns_token)
    assert {one["id"] for one in found if one["resourceType"] == "Patient"} == {"ann"}
    found, _ = clinic.search("Patient?_revinclude=Observation:subject&_revinclude=Condition:subject", anns_token)
    assert {one["resourceType"] for one in found} == {"Patient", "Observation", "Condition"}
    assert about(one for one in found if one["resourceType"] != "Patient") == {"Patient/ann"}


# Documents that need no token.

def test_the_capabilities_are_those_of_the_fhir_server(clinic):
    through, direct = clinic.client.get("/fhir/metadata"), clinic.behind.get("/fhir/metadata")
    assert through.json()["resourceType"] == "CapabilityStatement"
    assert through.json()["rest"] == direct.json()["rest"]
