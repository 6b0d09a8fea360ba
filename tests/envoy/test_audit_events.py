"""Whatever becomes of a request, one record says it: with the decision, the status that the client saw
and, where the FHIR server's answer did not come whole, why. What Envoy's own access log says of the same
request is the measure."""

import json
import socket
import threading
import time
import uuid
from dataclasses import dataclass

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from gateway import fresh_id
from hostile import (
    ANN, CHUNKED, FHIR_JSON, FOREIGN, OUTCOME, OWN, answers, bundle, holds, observation, ok)
from lab import http2, tokens
from lab.http import Client, NoResponse, message
from test_batches import READ, entry, send as send_batch
from test_policy import FORM

# Envoy's response flags, and the word of the record.
FAILURES = {
    "-": None, "DC": "client_gone", "DR": "client_gone", "UT": "upstream_timeout", "UC": "upstream_reset",
    "UR": "upstream_reset", "UPE": "upstream_reset", "UF": "upstream_unreachable",
    "NC": "upstream_unreachable", "SI": "idle", "DT": "gateway", "NR": "gateway", "DPE": "client_protocol",
}
# What Envoy says where there is no flag.
DETAILS = {"max_duration_timeout": "gateway", "response_payload_too_large": "gateway"}
WHERE = "x-lab-route"
MINE = "/fhir/Observation/ann-1"
ANY = "/fhir/Observation/1"


@dataclass
class Trail:
    """A listener, and what Envoy's own access log says of its requests."""

    gateway: object
    file: object

    def logged(self, request_id, seconds=5):
        """The entry of a request: its flags, its status, what Envoy says to it."""
        deadline = time.monotonic() + seconds
        while True:
            lines = self.file.read_text().split("\n")[:-1] if self.file.exists() else []
            found = [one for one in map(json.loads, lines) if one["id"] == request_id]
            if found:
                (one,) = found
                return one
            assert time.monotonic() < deadline, f"no entry of {request_id}"
            time.sleep(0.02)

    def record(self, request_id, decision, reason, status=None, failure=None):
        """The one record of a request, which says this, and what Envoy says."""
        record = self.gateway.envoy.audit(request_id)
        logged = self.logged(request_id)
        outcome = record["outcome"]
        seen = (record["decision"], record["reason"], outcome.get("status"), outcome.get("failure"))
        assert seen == (decision, reason, status, failure), (record, logged)
        # Of an answer that was held Envoy says its status, although the client saw none.
        assert (logged["status"] or None) == status or reason == "answer_unfinished", logged
        unflagged = DETAILS.get(logged["details"])
        assert (FAILURES[logged["flags"]] or unflagged) == failure, logged
        assert outcome["bytes"] == logged["bytes"], (record, logged)
        return record


@pytest.fixture(scope="module")
def trail(listen, configuration, tmp_path_factory):
    """A listener whose requests say in a header which cluster they go to and how long they may take."""
    file = tmp_path_factory.mktemp("events") / "access.ndjson"
    secret = uuid.uuid4().hex + uuid.uuid4().hex

    def adjust(manager):
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["environment_variables"] = {"key_values": {"PHIWARD_AUDIT_HASH_KEY": secret}}
        (host,) = manager["route_config"]["virtual_hosts"]
        (usual,) = host["routes"]
        host["routes"] = [
            *(to(value, cluster=value) for value in ("nobody", "raw", "raw-http2")),
            to("hurried", cluster="fhir", timeout="0.3s"),
            to("idle", cluster="fhir", timeout="0s", idle_timeout="0.4s"),
            to("bounded", cluster="fhir", max_stream_duration={"max_stream_duration": "0.4s"}),
            to("missing", cluster_header="x-lab-cluster"),
            {**usual, "match": {"prefix": "/", "headers": [{"name": WHERE, "invert_match": True,
                                                            "present_match": True}]}},
        ]
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(file), "log_format": {"json_format": {
                "id": "%REQ(X-REQUEST-ID)%", "flags": "%RESPONSE_FLAGS%", "status": "%RESPONSE_CODE%",
                "bytes": "%BYTES_SENT%", "details": "%RESPONSE_CODE_DETAILS%"}}}}]

    document = configuration()
    document["audit"] = {
        "sinks": ["log"], "patients": "answers", "hash_key": "PHIWARD_AUDIT_HASH_KEY"}
    return Trail(listen("events", document, vm_id="events", hardened=False, adjust=adjust), file)


def to(value, **route):
    headers = [{"name": WHERE, "string_match": {"exact": value}}]
    return {"match": {"prefix": "/", "headers": headers}, "route": route}


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(request, trail):
    port = trail.gateway.client.port
    return {"HTTP/1.1": Http1, "HTTP/2": Http2}[request.param](port)


class Http1(Client):
    """A client whose requests may not come to their end."""

    def leave(self, method, target, headers=(), body=b"", token=None, whole=True, until=lambda _: None):
        """Closes the connection; otherwise as `lab.http2.Client.leave`."""
        if body and not whole:
            headers = [*headers, ("content-length", str(len(body) + 10))]
        with socket.create_connection(("127.0.0.1", self.port), self.timeout) as connection:
            connection.sendall(message(method, target, self.port, headers, body, token))
            until(lambda text: read_until(connection, text))


class Http2(http2.Client):
    pass


def read_until(connection, text):
    seen = b""
    while text not in seen:
        part = connection.recv(10_000)
        assert part, seen
        seen += part


def sent(client, method, target, token=None, headers=(), body=b"", route=None):
    """The id of a request, and the answer to it; `None` when it did not come whole."""
    request_id = fresh_id()
    headers = [("x-request-id", request_id), *([(WHERE, route)] if route else []), *headers]
    try:
        return request_id, client.request(method, target, headers, body, token)
    except NoResponse:
        return request_id, None


def left(client, method, target, token=None, headers=(), body=b"", whole=True, until=lambda _: None):
    """The id of a request whose client left."""
    request_id = fresh_id()
    client.leave(method, target, [("x-request-id", request_id), *headers], body, token, whole, until)
    return request_id


# Allowed and refused.

def test_an_allowed_request(client, trail, issuer):
    request_id, response = sent(client, "GET", MINE, issuer.clinician())
    assert response.status == 200
    record = trail.record(request_id, "allow", "allowed", 200)
    assert record["outcome"]["bytes"] == len(response.body)


FORM_TOO_LONG = b"code=" + b"x" * 70_000
REFUSED = {
    "no token": (lambda i: None, "GET", MINE, 401, "token_missing"),
    "not a token": (lambda i: "x.y.z", "GET", MINE, 401, "token_encoding"),
    "expired": (lambda i: i.patient(exp=1_600_000_000), "GET", MINE, 401, "token_expired"),
    "scope": (lambda i: i.patient(scope="patient/Condition.rs"), "GET", MINE, 403, "scope_insufficient"),
    "another patient": (lambda i: i.patient(), "GET", "/fhir/Patient/ben", 403, "compartment_other_patient"),
    "path": (lambda i: i.patient(), "GET", "/fhir//Patient", 400, "target_empty_segment"),
    "parameter": (lambda i: i.patient(), "GET", "/fhir/Observation?patient=ben", 403, "search_other_patient"),
    "form": (lambda i: i.patient(), "POST", "/fhir/Observation/_search", 413, "form_too_long"),
    "answer": (lambda i: i.patient(), "GET", "/fhir/Observation/ben-1", 403, "compartment_not_member"),
    "lookup": (lambda i: i.patient(), "DELETE", "/fhir/Observation/ben-1", 403, "compartment_not_member"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_of_each_stage(client, trail, issuer, case):
    token, method, target, status, reason = REFUSED[case]
    if case == "form" and isinstance(client, http2.Client):
        pytest.skip("longer than an HTTP/2 window, which the lab's client does not wait for")
    holds(trail.gateway, OWN, FOREIGN)
    form = (FORM, FORM_TOO_LONG) if case == "form" else ((), b"")
    request_id, response = sent(client, method, target, token(issuer), *form)
    assert response.status == status, response
    record = trail.record(request_id, "deny", reason, status)
    assert "patients" not in record and "scopes" not in record or case == "answer"
    assert "patients" not in record


# The client leaves.

@pytest.mark.parametrize("part", [b"", b"GET /fhir/Patient/ann HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-request"])
def test_a_head_that_never_came_whole_asked_for_nothing(trail, part):
    """There is no request, so there is no record."""
    before = len(trail.gateway.envoy.audits())
    with socket.create_connection(("127.0.0.1", trail.gateway.client.port), 5) as connection:
        connection.sendall(part)
        time.sleep(0.1)
    time.sleep(0.3)
    assert trail.gateway.envoy.audits()[before:] == []


def test_during_a_body_that_is_held(client, trail, issuer):
    request_id = left(client, "POST", "/fhir/Observation/_search", issuer.patient(), FORM, b"code=", False,
                      until=lambda _: time.sleep(0.2))
    record = trail.record(request_id, "error", "request_not_decided", None, "client_gone")
    assert record["who"]["patient"] == "ann" and "patients" not in record
    assert trail.gateway.upstream.with_id(request_id) == []


def test_during_a_body_that_goes_on(client, trail, issuer):
    request_id = left(client, "POST", "/fhir/Observation", issuer.clinician(), [FHIR_JSON], b"{", False,
                      until=lambda _: time.sleep(0.2))
    record = trail.record(request_id, "allow", "allowed", None, "client_gone")
    assert record["what"]["interaction"] == "create"


def waiting(gateway, *answer):
    """From now on the FHIR server answers when it is told to: what tells whether it was asked, what
    tells it to."""
    asked, may_go = threading.Event(), threading.Event()

    def wait(_):
        asked.set()
        may_go.wait(10)
        return answer

    gateway.upstream.reply = wait
    return asked, may_go


@pytest.mark.parametrize("who", ["clinician", "patient"])
def test_while_the_fhir_server_thinks(client, trail, issuer, who):
    asked, may_go = waiting(trail.gateway, *ok(OWN))
    request_id = left(client, "GET", MINE, getattr(issuer, who)(), until=lambda _: asked.wait(5))
    trail.record(request_id, "allow", "allowed", None, "client_gone")
    may_go.set()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_while_a_stored_resource_is_looked_up(client, trail, issuer, method):
    asked, may_go = waiting(trail.gateway, *ok({**OWN, "meta": {"versionId": "3"}}))
    body = json.dumps(OWN).encode() if method == "PUT" else b""
    request_id = left(client, method, MINE, issuer.patient(), [FHIR_JSON], body,
                      until=lambda _: asked.wait(5))
    record = trail.record(request_id, "error", "request_not_decided", None, "client_gone")
    assert "patients" not in record
    may_go.set()
    time.sleep(0.1)
    assert trail.gateway.upstream.with_id(request_id) == []


@pytest.mark.parametrize("method, body", [("GET", b""), ("POST", b"code=1")])
def test_while_keys_are_on_their_way(listen, configuration, trail, issuer, method, body):
    """Its token names a key that nobody has yet."""
    may_go = threading.Event()
    with Raw(trail.gateway.envoy.clusters["raw"], lambda connection: may_go.wait(20)):
        document = configuration()
        document["issuers"][0]["jwks"].update(cluster="raw")
        keyless = listen("keyless", document, vm_id=f"keyless-{method}", ready=False, hardened=False)
        request_id = left(Http1(keyless.client.port), method, "/fhir/Observation/_search" if body else MINE,
                          issuer.patient(), FORM if body else (), body, until=lambda _: time.sleep(0.2))
        record = keyless.envoy.audit(request_id)
        may_go.set()
    assert (record["decision"], record["reason"]) == ("error", "request_not_decided")
    assert record["outcome"].get("failure") == "client_gone"
    assert "status" not in record["outcome"] and "who" not in record


def halves(first, may_go):
    """A body in chunks: the first half, and the end when it may go on."""
    yield b"%x\r\n%s\r\n" % (len(first), first)
    may_go.wait(10)
    yield b"0\r\n\r\n"


def test_in_the_middle_of_an_answer_that_passes(client, trail, issuer):
    may_go = threading.Event()
    first = json.dumps(FOREIGN).encode()
    answers(trail.gateway, 200, [FHIR_JSON, CHUNKED], halves(first, may_go))
    request_id = left(client, "GET", MINE, issuer.clinician(), until=lambda wait_for: wait_for(first[-5:]))
    record = trail.record(request_id, "allow", "allowed", 200, "client_gone")
    assert record["patients_unread"] is True
    may_go.set()


def test_in_the_middle_of_an_answer_that_is_held(client, trail, issuer):
    may_go, held = threading.Event(), threading.Event()

    def body():
        yield from (part for part in [b"5\r\n{\"id\"\r\n"])
        held.set()
        may_go.wait(10)
        yield b"0\r\n\r\n"

    answers(trail.gateway, 200, [FHIR_JSON, CHUNKED], body())
    request_id = left(client, "GET", MINE, issuer.patient(), until=lambda _: held.wait(5) and time.sleep(0.2))
    record = trail.record(request_id, "error", "answer_unfinished", None, "client_gone")
    assert "patients" not in record
    may_go.set()


# The FHIR server fails.

class Raw:
    """A server on this port that does with each connection what `script(connection)` does."""

    def __init__(self, port, script):
        self._socket = socket.create_server(("127.0.0.1", port))
        self._script = script
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            self._script(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self._socket.close()


def says(*parts):
    """Reads a request, sends these parts and hangs up."""

    def script(connection):
        read_until(connection, b"\r\n\r\n")
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)

    return script


def resets(connection):
    """Resets every HTTP/2 stream that is opened."""
    h2 = H2Connection(H2Configuration(client_side=False))
    h2.initiate_connection()
    while True:
        connection.sendall(h2.data_to_send())
        data = connection.recv(65536)
        if not data:
            return
        for event in h2.receive_data(data):
            if isinstance(event, RequestReceived):
                h2.reset_stream(event.stream_id, 2)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\n"
CUT = HEAD + b"content-length: 100\r\n\r\n{\"resourceType\":"
SERVERS = {
    "hangs up": ("raw", says(), 503),
    "hangs up in its head": ("raw", says(HEAD), 502),
    "talks nonsense": ("raw", says(b"nonsense\r\n\r\n"), 502),
    "resets the stream": ("raw-http2", resets, 503),
}


@pytest.mark.parametrize("case", SERVERS)
def test_a_server_that(client, trail, issuer, case):
    route, script, status = SERVERS[case]
    with Raw(trail.gateway.envoy.clusters[route], script):
        request_id, response = sent(client, "GET", MINE, issuer.clinician(), route=route)
        confined, refused = sent(client, "GET", MINE, issuer.patient(), route=route)
    assert (response.status, refused.status) == (status, 502)
    trail.record(request_id, "allow", "allowed", status, "upstream_reset")
    # What Envoy says in place of the answer is not what who is confined may see.
    record = trail.record(confined, "error", "answer_error_body", 502, "upstream_reset")
    assert "patients" not in record


@pytest.mark.parametrize("who", ["clinician", "patient"])
def test_a_server_that_breaks_off(client, trail, issuer, who):
    with Raw(trail.gateway.envoy.clusters["raw"], says(CUT)):
        request_id, response = sent(client, "GET", MINE, getattr(issuer, who)(), route="raw")
    if who == "clinician":
        assert response is None
        record = trail.record(request_id, "allow", "allowed", 200, "upstream_reset")
        assert record["patients_unread"] is True
    else:
        record = trail.record(request_id, "error", "answer_unfinished", 502, "upstream_reset")
        assert "patients" not in record


def test_a_server_that_never_answers(client, trail, issuer):
    _, may_go = waiting(trail.gateway, *ok(OWN))
    request_id, response = sent(client, "GET", MINE, issuer.clinician(), route="hurried")
    may_go.set()
    assert response.status == 504
    trail.record(request_id, "allow", "allowed", 504, "upstream_timeout")


@pytest.mark.parametrize("who", ["clinician", "patient"])
def test_a_server_that_does_not_come_to_its_end(client, trail, issuer, who):
    may_go = threading.Event()
    answers(trail.gateway, 200, [FHIR_JSON, CHUNKED], halves(b"{}", may_go))
    request_id, response = sent(client, "GET", MINE, getattr(issuer, who)(), route="hurried")
    may_go.set()
    if who == "clinician":
        trail.record(request_id, "allow", "allowed", 200, "upstream_timeout")
    else:
        trail.record(request_id, "error", "answer_unfinished", 504, "upstream_timeout")


def test_a_server_that_can_not_be_reached(client, trail, issuer):
    request_id, response = sent(client, "GET", MINE, issuer.clinician(), route="nobody")
    assert response.status == 503
    trail.record(request_id, "allow", "allowed", 503, "upstream_unreachable")


def test_a_server_that_nobody_configured(client, trail, issuer):
    request_id, response = sent(client, "GET", MINE, issuer.clinician(), [("x-lab-cluster", "x")],
                                route="missing")
    assert response.status == 503
    trail.record(request_id, "allow", "allowed", 503, "upstream_unreachable")


def test_no_way_to_a_server(client, trail, issuer):
    request_id, response = sent(client, "GET", MINE, issuer.clinician(), route="nowhere")
    assert response.status == 404
    trail.record(request_id, "allow", "allowed", 404, "gateway")


@pytest.mark.parametrize("who", ["clinician", "patient"])
@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_server_that_refuses_did_not_fail(client, trail, issuer, who, status):
    answers(trail.gateway, *ok(OUTCOME, status=status))
    request_id, response = sent(client, "GET", MINE, getattr(issuer, who)())
    assert (response.status, response.json()) == (status, OUTCOME)
    trail.record(request_id, "allow", "allowed", status)


def test_an_answer_that_is_too_long_to_be_held(client, trail, issuer):
    answers(trail.gateway, *ok({**OWN, "note": [{"text": "x" * (17 << 20)}]}))
    request_id, response = sent(client, "GET", MINE, issuer.patient())
    assert response.status == 500
    record = trail.record(request_id, "error", "answer_unfinished", 500, "gateway")
    assert "patients" not in record


# Nothing moves.

def test_a_body_that_does_not_come(client, trail, issuer):
    before = len(trail.gateway.upstream.requests)
    request_id, response = fresh_id(), None
    headers = [("x-request-id", request_id), (WHERE, "idle"), *FORM]
    client.leave("POST", "/fhir/Observation/_search", headers, b"code=", issuer.patient(), False,
                 until=lambda wait_for: wait_for(b"timeout"))
    trail.record(request_id, "error", "request_not_decided", 408, "idle")
    assert trail.gateway.upstream.requests[before:] == []


@pytest.mark.parametrize("who", ["clinician", "patient"])
def test_an_answer_that_stops(client, trail, issuer, who):
    may_go = threading.Event()
    answers(trail.gateway, 200, [FHIR_JSON, CHUNKED], halves(b"{}", may_go))
    request_id, response = sent(client, "GET", MINE, getattr(issuer, who)(), route="idle")
    may_go.set()
    if who == "clinician":
        trail.record(request_id, "allow", "allowed", 200, "idle")
    else:
        trail.record(request_id, "error", "answer_unfinished", 504, "idle")


def test_a_request_that_lasts_too_long(client, trail, issuer):
    _, may_go = waiting(trail.gateway, *ok(OWN))
    request_id, response = sent(client, "GET", MINE, issuer.clinician(), route="bounded")
    may_go.set()
    assert response.status == 504
    trail.record(request_id, "allow", "allowed", 504, "gateway")


# Requests that Envoy refuses by itself, and several on one connection.

NEVER_SEEN = {
    "no host": (b"GET /fhir/Patient/ann HTTP/1.1\r\n\r\n", 400, None),
    "a path that is none": (b"GET fhir HTTP/1.1\r\nhost: x\r\n\r\n", 400, "client_protocol"),
    "a head that is too long": (b"GET / HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n" % (b"x" * 1_100_000), 431,
                                "client_protocol"),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", 400,
                    "client_protocol"),
    "nonsense": (b"nonsense\r\n\r\n", 400, "client_protocol"),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 426, "client_protocol"),
}


@pytest.mark.parametrize("case", NEVER_SEEN)
def test_what_envoy_refuses_by_itself(trail, case):
    text, status, failure = NEVER_SEEN[case]
    before = len(trail.gateway.envoy.audits())
    with Client(trail.gateway.client.port) as client:
        response = client.send(text)
    assert response.status == status
    time.sleep(0.3)
    (record,) = trail.gateway.envoy.audits()[before:]
    assert (record["decision"], record["reason"], record["what"]) == ("error", "request_never_seen", {})
    assert (record["outcome"]["status"], record["outcome"].get("failure")) == (status, failure)
    assert set(record) == {"schema", "time", "id", "decision", "reason", "from", "what", "outcome"}


def test_an_http2_head_that_envoy_does_not_read_asked_for_nothing(trail, issuer):
    """It resets the stream."""
    before = len(trail.gateway.envoy.audits())
    client = http2.Client(trail.gateway.client.port)
    with pytest.raises(NoResponse):
        client.request("GET", MINE, [(f"x-{number}", "x") for number in range(2100)], token=issuer.clinician())
    time.sleep(0.3)
    assert trail.gateway.envoy.audits()[before:] == []


def test_a_body_that_breaks_http(trail, issuer):
    request_id = fresh_id()
    head = message("POST", "/fhir/Observation/_search", trail.gateway.client.port,
                   [*FORM, CHUNKED, ("x-request-id", request_id)], b"", issuer.patient())
    with Client(trail.gateway.client.port) as client:
        response = client.send(head + b"nonsense\r\n")
    assert response.status == 400
    trail.record(request_id, "error", "request_not_decided", 400, "client_protocol")


def test_each_request_of_a_connection_has_its_own(trail, issuer):
    gateway, token = trail.gateway, issuer.clinician()
    ids = [fresh_id() for _ in range(20)]
    pipelined = b"".join(
        message("GET", f"/fhir/Patient/p{number}", gateway.client.port, [("x-request-id", one)], b"", token)
        for number, one in enumerate(ids))
    with Client(gateway.client.port) as client:
        for number in range(20):
            response = client.end() if number else client.send(pipelined)
            assert response.json()["id"] == f"p{number}"
            record = trail.record(ids[number], "allow", "allowed", 200)
            assert record["what"]["id"] == f"p{number}"
    with Client(gateway.client.port) as client:
        for one, status in ((token, 200), (None, 401), (token, 200), (issuer.patient(), 403), (token, 200)):
            request_id, response = sent(client, "GET", "/fhir/Patient/p1", one)
            assert response.status == status
            assert gateway.envoy.audit(request_id)["outcome"]["status"] == status


def test_requests_at_once_have_one_each(trail, issuer):
    """On both workers, and one in three of the clients leaves."""
    asked, left_ = [], []
    token = issuer.clinician()

    def ask(number):
        with Http1(trail.gateway.client.port) as client:
            for turn in range(20):
                if (number + turn) % 3:
                    asked.append(sent(client, "GET", f"/fhir/Patient/p{turn}", token)[0])
                else:
                    left_.append(left(client, "GET", f"/fhir/Patient/p{turn}", token))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*asked, *left_}) == 160
    for request_id in asked:
        trail.record(request_id, "allow", "allowed", 200)
    for request_id in left_:
        record = trail.gateway.envoy.audit(request_id)
        assert record["decision"] == "allow"
        assert record["outcome"].get("failure") == FAILURES[trail.logged(request_id)["flags"]]


@pytest.mark.last
def test_no_request_of_the_whole_run_has_two(trail, issuer):
    """But for those that are part of it."""
    sent(Client(trail.gateway.client.port), "GET", MINE, issuer.clinician())
    whole = [one["request_id"] for one in trail.gateway.envoy.audits()
             if one.get("request_id", "").startswith("test-") and "part_of" not in one]
    assert len(whole) == len(set(whole)) > 0
