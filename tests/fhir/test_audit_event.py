"""The AuditEvents of the golden files, checked by others' models of FHIR and taken by a real FHIR server."""

import http.client
import json
import sys
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent  # in R4B as in R4
from fhirpathpy import evaluate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.fhir_server import FhirServer  # noqa: E402
from lab.processes import free_port  # noqa: E402

BUNDLES = sorted((ROOT / "tests" / "golden" / "audit" / "fhir").glob("*.json"))
# What FHIR R4 asks of an AuditEvent and the models leave unchecked.
INVARIANTS = [
    "outcome in ('0' | '4' | '8' | '12')",
    "action in ('C' | 'R' | 'U' | 'D' | 'E')",
    "agent.exists() and agent.all(requestor.exists())",
    "agent.network.type.all($this in ('1' | '2' | '3' | '4' | '5'))",
    "entity.all(name.empty() or query.empty())",  # sev-1
    "entity.detail.all(type.exists() and valueString.exists())",
    "agent.who.all(reference.exists() or identifier.exists() or display.exists())",
    "entity.what.all(reference.exists() or identifier.exists() or display.exists())",
]


def events(path):
    bundle = json.loads(path.read_text())
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "batch")
    return [entry["resource"] for entry in bundle["entry"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = free_port()
    server = FhirServer(tmp_path_factory.mktemp("fhir"), f"http://127.0.0.1:{port}/fhir", port, resources=[])
    server.wait()
    yield server
    server.stop()


def call(server, method, target, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        body = body and json.dumps(body)
        connection.request(method, f"/fhir{target}", body, {"content-type": "application/fhir+json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def found(server, query):
    """The ids of the events that a search finds, over all its pages."""
    ids, target = [], f"/AuditEvent?{query}"
    while target:
        status, page = call(server, "GET", target)
        assert status == 200, page
        ids += [entry["resource"]["id"] for entry in page.get("entry", [])]
        links = [link["url"] for link in page.get("link", []) if link["relation"] == "next"]
        target = links[0].split("/fhir", 1)[1] if links else None
    return ids


def test_there_is_something_to_test():
    assert len(BUNDLES) > 20


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_each_event_is_one_by_the_models_of_fhir_resources(path):
    for event in events(path):
        model = AuditEvent.model_validate(event)
        read = json.loads(model.model_dump_json())
        assert read["recorded"].replace("000Z", "Z") == event["recorded"]
        assert {**read, "recorded": event["recorded"]} == event, "nothing is lost or read as something else"


def test_the_models_refuse_what_is_no_audit_event():
    event = events(BUNDLES[0])[0]
    for change in ({"recorded": "yesterday"}, {"outcome": ""}, {"agent": None}, {"unknown": 1},
                   {"entity": [{"query": "not base64!"}]}):
        with pytest.raises(ValueError):
            AuditEvent.model_validate({**event, **change})


def test_the_invariants_see_what_breaks_them():
    event = events(BUNDLES[0])[0]
    for change in ({"outcome": "1"}, {"action": "X"}, {"agent": []}, {"agent": [{}]},
                   {"entity": [{"name": "a", "query": "YQ=="}]}, {"entity": [{"what": {"type": "Patient"}}]}):
        broken = {**event, **change}
        assert [True] * len(INVARIANTS) != [evaluate(broken, one)[0] for one in INVARIANTS], change


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_each_event_keeps_the_invariants(path):
    for event in events(path):
        for invariant in INVARIANTS:
            assert evaluate(event, invariant) == [True], invariant


def test_the_server_stores_each_event_once(server):
    everything = [entry for path in BUNDLES for entry in json.loads(path.read_text())["entry"]]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": everything}
    for _ in range(2):
        status, answer = call(server, "POST", "", bundle)
        assert status == 200, answer
        statuses = [entry["response"]["status"][:3] for entry in answer["entry"]]
        assert len(statuses) == len(everything)
        assert set(statuses) <= {"200", "201"}, answer
    ids = [entry["resource"]["id"] for entry in everything]
    assert sorted(found(server, "_count=50")) == sorted(ids)
    for entry in everything:
        status, stored = call(server, "GET", f"/{entry['request']['url']}")
        assert status == 200
        given = entry["resource"].get("meta", {}).get("profile")
        assert stored.pop("meta").get("profile") == given
        assert stored == {name: entry["resource"][name] for name in entry["resource"] if name != "meta"}


@pytest.mark.parametrize("query, expected", [
    ("patient=Patient/124", {"search-of-several-patients"}),
    ("patient=999", {"denied-by-scope", "observed", "not-found", "client-left", "server-silent"}),
    ("type=110113", {"denied-by-scope"}),
    ("outcome=8", {"error-without-keys", "server-silent"}),
    ("agent=Practitioner/17&action=D", {"delete", "delete-conditional"}),
    ("entity=Observation/pulse-1&subtype=update", {"update"}),
])
def test_a_search_finds_the_events(server, query, expected):
    names = {event["id"]: path.stem for path in BUNDLES for event in events(path)}
    bundles = [json.loads(path.read_text()) for path in BUNDLES]
    for bundle in bundles:
        assert call(server, "POST", "", bundle)[0] == 200
    assert {names[event] for event in found(server, f"{query}&_count=50")} == expected
