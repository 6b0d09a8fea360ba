"""Conditional writes before a server that heeds no search parameter, and before a real one: what the
criteria find is judged, and only what was judged is written."""

import copy
import json

import pytest

from hostile import (
    FHIR_JSON, FOREIGN, JSON_PATCH, MARK, OUTCOME, OWN, bundle, found_by, holds, observation, ok, passed, shows)
from lab import http2
from test_batches import entry, patch, send
from test_real import anns_token, clinic, weight  # noqa: F401 (fixtures)
from test_writes import MINE, PATCH, write

NEW = {name: value for name, value in OWN.items() if name != "id"}
CHANGES = {"PUT": NEW, "PATCH": PATCH, "DELETE": None}
ALL = {**CHANGES, "POST": NEW}
FOUND = found_by("identifier=x")


class Deaf:
    """A FHIR server that takes every criterion for one that all resources match: it writes to all of
    them. Writes by id are done as they should be."""

    def __init__(self, *resources):
        self.resources = {f"{one['resourceType']}/{one['id']}": {**one, "meta": {"versionId": "3"}}
                          for one in resources}
        self.before = copy.deepcopy(self.resources)

    def __call__(self, request):
        body = json.loads(request.body) if request.body else None
        url = request.target.removeprefix("/fhir").removeprefix("/")
        if request.method == "GET" and "?" in url:
            return ok(bundle(*({"resource": one} for one in self.resources.values())))
        if request.method == "GET":
            return ok(self.resources[url]) if url in self.resources else ok(OUTCOME, status=404)
        if url == "":
            entries = [self._entry(one) for one in body["entry"]]
            return ok(bundle(*entries, kind=f"{body['type']}-response"))
        status, shown = self._write(request.method, url, body, request.header("if-match"),
                                    request.header("if-none-exist"))
        return ok(shown, status=status)

    def _entry(self, one):
        asked = one["request"]
        status, shown = self._write(asked["method"], asked["url"], one.get("resource"),
                                    asked.get("ifMatch"), asked.get("ifNoneExist"))
        return {"response": {"status": str(status)}, **({"resource": shown} if status < 300 else {})}

    def _write(self, method, url, body, if_match, if_none_exist):
        place, _, query = url.partition("?")
        if method == "POST" and if_none_exist and self.resources:
            return 200, next(iter(self.resources.values()))
        if method == "POST":
            self.resources[f"{place}/new"] = made = {**body, "id": "new", "meta": {"versionId": "1"}}
            return 201, made
        if not query and if_match not in (None, 'W/"3"'):
            return 412, OUTCOME
        for name in list(self.resources) if query else [place]:
            if method == "DELETE":
                self.resources.pop(name, None)
            else:
                self.resources[name] = {**(body if method == "PUT" else self.resources[name]), "written": True}
        return 200, self.resources.get(place, OUTCOME)

    def written(self):
        """What is not as it was."""
        return {name for name in {*self.before, *self.resources}
                if self.before.get(name) != self.resources.get(name)}


BENS = (FOREIGN, observation("ben-2", "ben"))


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def front(request, gateway):
    return gateway.over(http2.Client(gateway.client.port)) if request.param == "HTTP/2" else gateway


def deaf(gateway, *resources):
    gateway.upstream.reply = server = Deaf(*resources)
    return server


def conditional(gateway, method, token, criteria="identifier=x", *headers, document=None):
    """A conditional write by these criteria."""
    document = ALL[method] if document is None else document
    if method == "POST":
        return write(gateway, "POST", "Observation", token, document, ("if-none-exist", criteria), *headers)
    return write(gateway, method, f"Observation?{criteria}", token, document, *headers)


def as_entry(method, url="Observation?identifier=x"):
    if method == "PATCH":
        return patch(url)
    if method == "POST":
        return entry("POST", "Observation", NEW, ifNoneExist="identifier=x")
    return entry(method, url, CHANGES[method])


# A server that heeds no criterion.

@pytest.mark.parametrize("method", CHANGES)
def test_only_the_patients_own_is_written_whatever_the_server_finds(front, issuer, method):
    server = deaf(front, *BENS, OWN)
    response = conditional(front, method, issuer.patient())
    got, _ = passed(front, response, probes=[FOUND])
    assert (got.method, got.target, got.header("if-match")) == (method, f"/fhir/{MINE}", 'W/"3"')
    assert server.written() == {MINE}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("method", CHANGES)
def test_no_entry_writes_to_somebody_elses(front, issuer, kind, method):
    server = deaf(front, *BENS, OWN)
    response = send(front, issuer.patient(), as_entry(method), kind=kind)
    got, _ = passed(front, response, probes=[FOUND])
    (sent,) = json.loads(got.body)["entry"]
    assert sent["request"] == {"method": method, "url": MINE, "ifMatch": 'W/"3"'}
    if method == "PUT":
        assert sent["resource"] == OWN
    assert server.written() == {MINE}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_somebody_elses_reads_like_nothing(front, issuer, method):
    seen = set()
    for held in ([], BENS[:1], BENS):
        server = deaf(front, *held)
        for sent in (lambda: conditional(front, method, issuer.patient()),
                     lambda: send(front, issuer.patient(), as_entry(method))):
            response = sent()
            front.refused(response, 404, "conditional_no_match", method=method, probes=[FOUND])
            assert not shows(response, MARK)
            told = response.json()["issue"][0]
            seen.add((told["code"], told["details"]["text"].removesuffix(": entry 0")))
            assert server.written() == set()
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_what_is_not_found_is_created_beside_somebody_elses(front, issuer, method):
    token = issuer.patient()
    for held in ([], BENS):
        server = deaf(front, *held)
        response = conditional(front, method, token)
        assert not shows(response, MARK)
        (got,) = [one for one in front.upstream.requests if one.method != "GET"]
        assert (got.method, got.target) == ("POST", "/fhir/Observation")
        assert got.header("if-none-exist") == "identifier=x&patient=Patient%2Fann"
        assert json.loads(got.body) == NEW
        assert server.written() == (set() if held else {"Observation/new"})
        front.upstream.requests.clear()


@pytest.mark.parametrize("method", ALL)
def test_several_are_none_that_is_meant(front, issuer, method):
    server = deaf(front, OWN, *BENS, observation("ann-2"))
    for sent in (lambda: conditional(front, method, issuer.patient()),
                 lambda: send(front, issuer.patient(), as_entry(method), kind="transaction")):
        response = sent()
        front.refused(response, 412, "conditional_many_matches", method=method, probes=[FOUND])
        assert not shows(response, MARK)
    assert server.written() == set()


def test_nothing_chooses_one_of_several(front, issuer):
    """What would choose one of several matches."""
    deaf(front, OWN)
    for criteria in ("identifier=x&_count=1", "_sort=-date&identifier=x", "identifier=x&_offset=1"):
        for method in ALL:
            response = conditional(front, method, issuer.patient(), criteria)
            front.refused(response, 403, "search_parameter_unjudged", method=method)


def test_how_the_answer_is_shaped_is_no_criterion(front, issuer):
    deaf(front, OWN)
    response = conditional(front, "DELETE", issuer.patient(), "_format=json&identifier=x&_pretty=true")
    got, _ = passed(front, response, probes=[FOUND])
    assert got.target == f"/fhir/{MINE}?_format=json&_pretty=true"


@pytest.mark.parametrize("method", CHANGES)
def test_the_clients_own_condition_holds_for_what_is_found(front, issuer, method):
    for condition, conflicts in ((("if-match", 'W/"3"'), False), (("if-match", "*"), False),
                                 (("if-match", 'W/"2"'), True), (("if-none-match", "*"), True)):
        server = deaf(front, *BENS, OWN)
        response = conditional(front, method, issuer.patient(), "identifier=x", condition)
        if conflicts:
            front.refused(response, 412, "write_version_conflict", method=method, probes=[FOUND])
            assert server.written() == set()
        else:
            passed(front, response, probes=[FOUND])
            assert server.written() == {MINE}


def test_what_a_client_says_beside_a_conditional_update_does_not_reach_the_create(front, issuer):
    """`If-None-Exist` means nothing beside `PUT`, until that becomes a `POST`."""
    deaf(front)
    said = ("if-none-exist", "code=1"), ("if-none-match", "*"), ("if-modified-since", "x")
    response = conditional(front, "PUT", issuer.patient(), "identifier=x", *said)
    got, _ = passed(front, response, probes=[FOUND], status=201)
    assert got.method == "POST"
    assert [value for name, value in got.headers if name == "if-none-exist"] == [
        "identifier=x&patient=Patient%2Fann"]
    assert (got.header("if-none-match"), got.header("if-modified-since")) == (None, None)


# What the lookup is answered with.

@pytest.mark.parametrize("reply, status, code", [
    (ok(OUTCOME, status=500), 503, "probe_failed"),
    (ok(OUTCOME, status=404), 503, "probe_failed"),
    (ok(OUTCOME, status=400), 400, "conditional_criteria"),
    (ok(OWN), 502, "probe_unreadable"),
    (ok(b"<Bundle/>"), 502, "probe_unreadable"),
    (ok(bundle({"resource": OWN}, kind="history")), 502, "probe_unreadable"),
    (ok(bundle({"resource": OWN})), 502, "probe_version_missing"),
    (ok(bundle({"resource": OWN}, link=[{"relation": "next", "url": "x"}])), 412, "conditional_many_matches"),
    (ok(bundle({"resource": {**OWN, "note": [{"text": "x" * (4 << 20)}]}})), 502, "probe_too_long"),
], ids=["500", "404", "400", "resource", "XML", "history", "no version", "next page", "long"])
def test_a_server_that_does_not_say_what_it_finds_writes_nothing(gateway, issuer, reply, status, code):
    gateway.upstream.reply = lambda _: reply
    response = conditional(gateway, "DELETE", issuer.patient())
    gateway.refused(response, status, code, method="DELETE", probes=[FOUND])
    assert not shows(response, "Ann")


def test_two_entries_that_ask_for_the_same_are_looked_up_once(gateway, issuer):
    deaf(gateway, OWN)
    response = send(gateway, issuer.patient(), as_entry("PUT"), as_entry("PATCH"), entry("DELETE", MINE))
    got, _ = passed(gateway, response, probes=[MINE, FOUND])
    assert {one["request"]["url"] for one in json.loads(got.body)["entry"]} == {MINE}


def test_under_definition_the_compartment_is_searched(listen, configuration, issuer):
    changed = configuration()
    changed["smart"] = {"membership": "definition"}
    defined = listen("conditional-defined", changed, hardened=False)
    inside = found_by("identifier=x", "Patient/ann/Observation", "")
    for method in CHANGES:
        server = deaf(defined, *BENS, OWN)
        passed(defined, conditional(defined, method, issuer.patient()), probes=[inside])
        assert server.written() == {MINE}
    # A condition has no compartment: with the client's criteria alone it would tell what ben has.
    server = deaf(defined, *BENS)
    got, _ = passed(defined, conditional(defined, "POST", issuer.patient()), probes=[inside], status=201)
    assert got.header("if-none-exist") is None
    server = deaf(defined, OWN, *BENS)
    got, _ = passed(defined, conditional(defined, "POST", issuer.patient()), probes=[inside])
    assert got.header("if-none-exist") == "_id=ann-1"
    assert server.written() == set()


@pytest.mark.parametrize("who", ["clinician", "backend"])
@pytest.mark.parametrize("method", ALL)
def test_who_is_not_confined_leaves_it_to_the_server(gateway, issuer, who, method):
    holds(gateway, FOREIGN)
    got, _ = gateway.allowed(conditional(gateway, method, getattr(issuer, who)()))
    if method == "POST":
        assert got.header("if-none-exist") == "identifier=x"
    else:
        assert (got.method, got.target) == (method, "/fhir/Observation?identifier=x")


# A real FHIR server.

def test_a_real_server_writes_conditionally_what_is_the_patients(clinic, anns_token):
    def send(method, target, document=None, *headers):
        body = json.dumps(document).encode() if document else b""
        media = JSON_PATCH if method == "PATCH" else FHIR_JSON
        return clinic.client.request(method, f"/fhir/{target}", [media, *headers] if body else headers, body,
                                     anns_token)

    def stored():
        found = clinic.behind.get("/fhir/Observation?identifier=c-1").json()
        return sorted((one["resource"]["subject"]["reference"], one["resource"]["meta"]["versionId"])
                      for one in found.get("entry", []))

    marked = {"identifier": [{"value": "c-1"}]}
    bens = clinic.behind.request("POST", "/fhir/Observation", [FHIR_JSON],
                                 json.dumps(weight("ben", **marked)).encode())
    assert bens.status == 201
    ben = ("Patient/ben", "1")
    target, mine = "Observation?identifier=c-1", weight("ann", **marked)
    for method, document in (("PATCH", [{"op": "replace", "path": "/status", "value": "amended"}]),
                             ("DELETE", None)):
        response = send(method, target, document)
        assert (response.status, response.reason) == (404, "conditional_no_match")
    assert stored() == [ben]
    assert send("PUT", target, mine).status == 201
    assert stored() == [("Patient/ann", "1"), ben]
    assert send("POST", "Observation", mine, ("if-none-exist", "identifier=c-1")).status == 200
    assert send("PUT", target, {**mine, "status": "amended"}).json()["meta"]["versionId"] == "2"
    patched = send("PATCH", target, [{"op": "replace", "path": "/status", "value": "final"}])
    assert (patched.json()["status"], patched.json()["meta"]["versionId"]) == ("final", "3")
    assert stored() == [("Patient/ann", "3"), ben]
    update = bundle(entry("PUT", target, {**mine, "status": "amended"}), kind="transaction")
    response = send("POST", "", update)
    assert response.json()["entry"][0]["response"]["status"].startswith("200"), response
    assert stored() == [("Patient/ann", "4"), ben]
    twin = send("POST", "Observation", mine)
    assert (twin.status, send("DELETE", target).reason) == (201, "conditional_many_matches")
    assert send("DELETE", f"Observation/{twin.json()['id']}").status in (200, 204)
    assert send("DELETE", target).status in (200, 204)
    assert stored() == [ben]
    assert clinic.behind.request("DELETE", f"/fhir/Observation/{bens.json()['id']}").status in (200, 204)
