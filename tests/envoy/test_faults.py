"""What goes wrong around the gateway: servers that never answer, bodies that hardly move, clients that leave.
Every request ends in one answer and one record, nothing passes unchecked, and afterwards all is as before.

What else may happen and where it is tested: docs/faults.md."""

import json
import threading
import time
import uuid

import pytest

from gateway import BASE, Issuer, fresh_id, narrowed
from hostile import CHUNKED, FHIR_JSON, FOREIGN, MARK, OWN, answers, ok, shows
from lab import http2
from lab.http import Client, message
from lab.tokens import Key, claims, jwks, opaque
from test_audit_events import Http1, Raw, left
from test_introspection import as_usual, asking, known
from test_policy import FORM
from test_revocation import until

__all__ = ["as_usual"]
READ, MINE = "/fhir/Patient/ann", "/fhir/Observation/ann-1"
SEARCH = "/fhir/Observation/_search"
OPAQUE, HANGING = "https://opaque.hanging.example", "https://keys.hanging.example"


@pytest.fixture(autouse=True)
def still_works(gateway, issuer, upstream):
    """After each test."""
    yield
    upstream.clear()
    gateway.client.close()
    gateway.allowed(gateway.get(READ, issuer.patient()))
    gateway.refused(gateway.get("/fhir/Patient/bob", issuer.patient()), 403, "compartment_other_patient")


# Servers that never answer, or never to the end.

class Everything:
    """All servers that phiward calls by itself in one, which may hang: `silent` answers nothing, `drips` sends
    a byte of its answer now and then."""

    def __init__(self, server):
        self.server, self.mode, self.going_on = server, "ok", threading.Event()
        self.issuer = Issuer(Key("ES256", "hanging"), name=HANGING)
        self.issuer.jwks.stop()
        self.records, self.asked, self.opaque = [], [], opaque()
        server.answer = self.answer

    def hang(self, mode):
        self.mode, self.going_on = mode, threading.Event()

    def go_on(self):
        self.mode = "ok"
        self.going_on.set()

    def answer(self, request):
        self.asked.append(request.target)
        mode, going_on = self.mode, self.going_on
        if mode == "silent":
            going_on.wait(60)
            return None
        if mode == "drips":
            return 200, [("content-type", "application/json"), CHUNKED], dripping(going_on)
        return 200, [("content-type", "application/fhir+json")], self.document(request)

    def document(self, request):
        kind = request.target.partition("?")[0].rpartition("/")[2]
        if kind == "records":
            self.records += [json.loads(line) for line in request.body.splitlines()]
        return json.dumps({
            "jwks": jwks(*self.issuer.keys),
            "list": {"version": "1", "entries": []},
            "introspect": {"active": True, **claims(OPAQUE, BASE, scope="patient/*.rs", patient="ann",
                                                    token_type="Bearer")},
        }.get(kind, {**OWN, "meta": {"versionId": "3"}})).encode()


def dripping(going_on):
    """Until nobody reads any more."""
    while not going_on.wait(0.1):
        yield b"1\r\n \r\n"


@pytest.fixture(scope="module")
def everything(spare_lists):
    return Everything(spare_lists.pop())


@pytest.fixture
def hanging(everything, listen, configuration, issuer):
    """A listener all whose callouts hang, but for the keys of its first issuer, which it has."""
    everything.hang("drips")
    cluster, url = str(everything.server.port), everything.server.url
    document = configuration()
    document["fhir"]["cluster"] = cluster
    document["issuers"] = [
        {**document["issuers"][0], "jwks": {"inline": jwks(*issuer.keys)}},
        {"issuer": HANGING, "audiences": [BASE], "jwks": {"cluster": cluster, "url": f"{url}/jwks"}},
        {"issuer": OPAQUE, "audiences": [BASE], "introspection": {
            "cluster": cluster, "url": f"{url}/introspect", "client_id": "gateway", "timeout": "1s",
            "tokens": "opaque", "client_secret_inline": uuid.uuid4().hex}},
    ]
    del document["revocation"]
    document["audit"] = {"sinks": ["log", "collector"], "collector": {
        "cluster": cluster, "url": f"{url}/records", "every": "1s", "timeout": "2s"}}
    yield listen("hanging", document, ready=False, vm_id="hanging", hardened=False)
    everything.go_on()


def test_servers_that_never_answer_hold_up_nobody_who_does_not_need_them(hanging, everything, issuer):
    def looks_up():
        return hanging.send("DELETE", MINE, issuer.patient())

    before = len(everything.asked)
    # Without them.
    for _ in range(3):
        response = hanging.get(READ, issuer.patient())
        hanging.allowed(response)
        assert response.seconds < 5
    # With them: refused as soon as patience ends.
    slow = {}
    for code, ask in {"keys_unavailable": lambda: hanging.get(READ, everything.issuer.patient()),
                      "introspection_unavailable": lambda: hanging.get(READ, everything.opaque),
                      "probe_failed": looks_up}.items():
        response = ask()
        hanging.refused(response, 503, code)
        slow[code] = response.seconds
    assert max(slow.values()) < 15, slow
    paths = {target.rpartition("/")[2] for target in everything.asked[before:]}
    assert {"jwks", "introspect", "ann-1"} <= paths, paths
    # Once they answer, everything is as it should be, and every record arrives.
    everything.go_on()
    until(lambda: hanging.get(READ, everything.issuer.patient()).status == 200, 20)
    until(lambda: hanging.get(READ, everything.opaque).status == 200, 20)
    hanging.upstream.clear()
    response = looks_up()
    assert response.status == 200, response
    mine = {one["id"] for one in hanging.envoy.audits() if one.get("request_id") in hanging._sent}
    assert mine
    until(lambda: mine <= {one["id"] for one in everything.records}, 30)


def test_a_list_that_never_comes_lets_nobody_in_until_it_does(everything, listen, configuration, issuer):
    everything.hang("silent")
    document = configuration()
    cluster, url = str(everything.server.port), everything.server.url
    document["revocation"].update(cluster=cluster, url=f"{url}/list", every="1s")
    gate = listen("listless", document, ready=False, vm_id="listless", hardened=False)
    try:
        for response in gate.on_every_worker(READ, issuer.patient()):
            assert response.status == 503 and response.reason in ("keys_unavailable", "revocation_unavailable")
        gate.refused(gate.get(READ, issuer.patient()), 503, "revocation_unavailable")
        gate.allowed(gate.get("/fhir/metadata"))
    finally:
        everything.go_on()
    until(lambda: {one.status for one in gate.on_every_worker(READ, issuer.patient())} == {200}, 30)


# Clients that leave.

@pytest.mark.parametrize("make", [Http1, http2.Client], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("method, body", [("GET", b""), ("POST", b"code=1")])
def test_a_client_that_leaves_while_its_issuer_is_asked(
        listen, configuration, issuer, introspection, make, method, body):
    document = configuration()
    document["issuers"] = [
        {**document["issuers"][0], "jwks": {"inline": jwks(*issuer.keys)}},
        asking(introspection, timeout="5s", client_secret_inline=introspection.secret)]
    gate = listen("left", document, vm_id="left", hardened=False)
    token = known(introspection)
    introspection.mode, introspection.delay = "slow", 2
    request_id = left(make(gate.client.port), method, SEARCH if body else READ, token, FORM if body else (), body,
                      until=lambda _: until(lambda: introspection.calls(token), 5))
    record = gate.envoy.audit(request_id)
    assert (record["decision"], record["reason"]) == ("error", "request_not_decided"), record
    assert record["outcome"]["failure"] == "client_gone" and "status" not in record["outcome"]
    assert "who" not in record
    introspection.mode = "ok"
    gate.allowed(gate.get(READ, known(introspection)))
    assert gate.upstream.with_id(request_id) == []


def test_clients_that_leave_at_any_moment_leave_nothing_behind(gateway, issuer, envoy, upstream):
    """An update is cut off after every so manieth byte of it, head and body, on new connections."""
    upstream.reply = lambda request: ok({**OWN, "meta": {"versionId": "3"}})
    body = json.dumps({**OWN, "note": [{"text": "x" * 300}]}).encode()
    token, known_before, ids = issuer.patient(), len(envoy.audits()), []
    for cut in range(1, 10_000, 61):
        ids.append(fresh_id())
        whole = message("PUT", MINE, gateway.client.port, [("x-request-id", ids[-1]), FHIR_JSON], body, token)
        with Client(gateway.client.port) as client:
            client.begin(whole[:cut])
        if cut >= len(whole):
            break
    head = len(whole) - len(body)
    came = [one for number, one in enumerate(ids) if 1 + 61 * number >= head]
    for one in came:
        record = envoy.audit(one)
        assert record["outcome"].get("failure") == "client_gone" or record["outcome"].get("status") == 200, record
    recorded = {one.get("request_id") for one in envoy.audits()[known_before:]}
    assert recorded & set(ids) == set(came), "a head that never came whole asked for nothing"
    for one in came[:-1]:
        assert upstream.with_id(one) == []


# Bodies that hardly move.

def test_bodies_that_trickle_hold_up_nobody_and_are_judged_whole(gateway, issuer):
    """Forty clients, some of whose forms name somebody else at their very end."""
    port, token = gateway.client.port, issuer.patient()
    slow = []
    for number in range(40):
        form = b"code=8867-4&_count=5" + (b"&patient=bob" if number % 2 else b"")
        client, request_id = Client(port, timeout=30), fresh_id()
        head = [("x-request-id", request_id), *FORM, ("content-length", str(len(form)))]
        client.begin(message("POST", SEARCH, port, head, b"", token))
        slow.append((client, request_id, form, number % 2))
    for place in range(19):
        for client, _, form, _ in slow:
            client.more(form[place:place + 1])
        gateway.allowed(gateway.get(READ, token))
    for client, request_id, form, other in slow:
        response = client.end(form[19:], "POST")
        assert (response.status, response.reason) == ((403, "search_other_patient") if other else (200, None))
        assert gateway.envoy.audit(request_id)["outcome"]["status"] == response.status
        seen = gateway.upstream.with_id(request_id)
        assert len(seen) == (0 if other else 1)
        if seen:
            narrowed(seen[0], form)
        client.close()


@pytest.mark.parametrize("who, resource, status", [
    ("patient", OWN, 200), ("patient", FOREIGN, 403), ("clinician", FOREIGN, 200)],
    ids=["held", "held and refused", "streamed"])
def test_answers_that_trickle_are_judged_whole(gateway, issuer, who, resource, status):
    text = json.dumps(resource).encode()

    def body():
        for at in range(0, len(text), 9):
            part = text[at:at + 9]
            yield b"%x\r\n%s\r\n" % (len(part), part)
            time.sleep(0.02)
        yield b"0\r\n\r\n"

    gateway.upstream.reply = lambda _: (200, [FHIR_JSON, CHUNKED], body())
    token, answered = getattr(issuer, who)(), []

    def ask():
        with Client(gateway.client.port, timeout=30) as client:
            answered.append(client.get(MINE, token, headers=[("x-request-id", fresh_id())]))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status for one in answered] == [status] * 20
    for one in answered:
        record = gateway.envoy.audit(one.header("x-request-id"))
        assert record["outcome"]["status"] == status and "failure" not in record["outcome"]
        assert one.body == text if status == 200 else not shows(one, MARK)


@pytest.mark.parametrize("who", ["patient", "clinician"])
def test_a_client_that_reads_slowly_gets_all_of_it(gateway, issuer, who):
    text = json.dumps({**OWN, "note": [{"text": "x" * 1_000_000} for _ in range(6)]}).encode()
    answers(gateway, 200, [FHIR_JSON], text)
    request_id = fresh_id()
    with Client(gateway.client.port, timeout=30) as client:
        client.begin(message("GET", MINE, client.port, [("x-request-id", request_id)], b"",
                             getattr(issuer, who)()))
        time.sleep(0.5)
        gateway.allowed(gateway.get(MINE, issuer.clinician()))
        response = client.end()
    assert (response.status, response.body) == (200, text)
    assert gateway.envoy.audit(request_id)["outcome"]["bytes"] == len(text)


# Servers that break off.

@pytest.mark.parametrize("who, status, reason", [
    ("patient", 502, "answer_error_body"), ("clinician", 503, "allowed")])
def test_a_write_that_nobody_answers_is_not_sent_again(envoy, listen, configuration, issuer, who, status, reason):
    """It may have been written: the client has to find out."""
    came = []

    def hangs_up(connection):
        head = whole_request(connection)
        came.append(head)
        if head.startswith(b"GET"):
            body = json.dumps({**OWN, "meta": {"versionId": "3"}}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\nconnection: close\r\n"
                               b"content-length: %d\r\n\r\n%s" % (len(body), body))

    document = configuration()
    document["fhir"]["cluster"] = "raw"

    def adjust(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "raw"

    gate = listen("written", document, ready=False, hardened=False, adjust=adjust)
    with Raw(envoy.clusters["raw"], hangs_up):
        response = gate.send("PUT", MINE, getattr(issuer, who)(), [FHIR_JSON], json.dumps(OWN).encode())
    assert response.status == status, response
    record = envoy.audit(response.header("x-request-id"))
    assert (record["reason"], record["outcome"]["failure"]) == (reason, "upstream_reset"), record
    assert [head.split()[0] for head in came].count(b"PUT") == 1, came


def whole_request(connection):
    """A request with its body."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += connection.recv(65536)
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                   if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head
