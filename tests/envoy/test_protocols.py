"""What is no plain request and answer: a change of protocol, tunnels, gRPC, informational answers, many
requests on one connection, heads as long as they may be."""

import socket

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from gateway import REALM, fresh_id
from hostile import FOREIGN, MARK, OWN, bundle, holds, ok, shows
from lab import http2
from lab.http import Client, NoResponse, Response, message
from lab.tokens import sent
from test_audit_events import HEAD, Raw, says
from test_policy import FORM

READ = "/fhir/Patient/ann"
MINE, BENS = "/fhir/Observation/ann-1", "/fhir/Observation/ben-1"
SEARCH = "/fhir/Observation/_search"
WEBSOCKET = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
             ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
MESSAGE = b"\0\0\0\0\2hi"


@pytest.fixture(scope="module")
def open_(listen, configuration):
    """A listener whose operator lets Envoy change protocols and open tunnels."""

    def adjust(manager):
        manager["upgrade_configs"] = [{"upgrade_type": kind} for kind in ("websocket", "CONNECT", "odd")]
        manager["http2_protocol_options"] = {"allow_connect": True}
        (host,) = manager["route_config"]["virtual_hosts"]
        connect = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        host["routes"][:0] = [
            {"match": {"connect_matcher": {}}, "route": {"cluster": "fhir", **connect}},
            {"match": {"prefix": "/", "headers": [{"name": "x-lab-route", "present_match": True}]},
             "route": {"cluster": "raw"}}]

    return listen("open", configuration(), hardened=False, adjust=adjust)


@pytest.fixture(autouse=True)
def still_works(gateway, open_, issuer, upstream):
    """After each test."""
    yield
    upstream.clear()
    for one in gateway, open_:
        one.client.close()
        one.allowed(one.get(READ, issuer.patient()))
        one.refused(one.get("/fhir/Patient/bob", issuer.patient()), 403, "compartment_other_patient")


# Another protocol.

TOKENS = ["patient", "clinician", "backend"]


def test_a_change_of_protocol_is_refused_by_envoy_as_shipped(gateway, shipped, issuer):
    for front in gateway, shipped:
        front.stopped_by_envoy(lambda: front.get(READ, issuer.patient(), headers=WEBSOCKET), 403)
        front.client.close()


@pytest.mark.parametrize("target", [READ, MINE, "/fhir/metadata", "/fhir/Observation"])
@pytest.mark.parametrize("kind", ["websocket", "WebSocket", "odd"])
def test_where_envoy_would_change_the_protocol_phiward_refuses(open_, issuer, target, kind):
    """Also to those whose answers nobody judges: what came after would be neither a request nor judged."""
    headers = [*WEBSOCKET[:1], ("upgrade", kind), *WEBSOCKET[2:]]
    for who in TOKENS:
        open_.client.close()
        response = open_.get(target, getattr(issuer, who)(), headers=headers)
        open_.refused(response, 400, "request_upgrade")
    open_.client.close()
    open_.refused(open_.get(target, headers=headers), 400, "request_upgrade")


def test_a_change_of_protocol_over_http2_is_one_too(open_, issuer):
    h2 = open_.over(http2.Client(open_.client.port))
    for who in TOKENS:
        response = h2.send("CONNECT", READ, getattr(issuer, who)(), headers=[(":protocol", "websocket")])
        h2.refused(response, 400, "request_upgrade")


def test_an_upgrade_to_http2_is_left_out_by_envoy(open_, issuer):
    """As some libraries offer it with every request."""
    headers = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]
    got, _ = open_.allowed(open_.get(READ, issuer.patient(), headers=headers))
    assert got.header("upgrade") is None and got.header("http2-settings") is None


def test_a_tunnel_is_not_opened(gateway, open_, issuer, upstream):
    """It is a method that the API does not know."""
    for front in gateway, open_:
        with Client(front.client.port) as client:
            request_id = fresh_id()
            head = (f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\nhost: 127.0.0.1:{upstream.port}\r\n"
                    f"x-request-id: {request_id}\r\nauthorization: Bearer {issuer.backend()}\r\n\r\n")
            response = client.send(head.encode())
        assert response.status == 405, response
        record = front.envoy.audit(request_id)
        assert (record["decision"], record["reason"]) == ("deny", "request_method_unknown")
        assert record["outcome"]["status"] == 405
    with pytest.raises(NoResponse):
        http2.Client(open_.client.port).request("CONNECT", READ, token=issuer.backend())
    assert upstream.requests == []


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"])
@pytest.mark.parametrize("target", ["/clinic.v1.Records/Read", "/fhir/Observation", SEARCH, "/fhir"])
def test_grpc_is_refused(open_, issuer, envoy, upstream, target, kind):
    """Of the refusal Envoy makes what gRPC calls one: status 200, `grpc-status`, the OperationOutcome as its
    message. The record has the refusal's own status."""
    h2 = open_.over(http2.Client(open_.client.port))
    for token in (issuer.backend(), issuer.patient(), None):
        response = h2.send("POST", target, token, [("content-type", kind), *GRPC[1:]], MESSAGE)
        record = envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["reason"]) == ("deny", "request_grpc"), record
        assert record["outcome"]["status"] == 415
        if "web" not in kind:
            assert (response.status, response.body) == (200, b"")
            assert response.header("grpc-status") == "2" and "request_grpc" in response.header("grpc-message")
    assert upstream.requests == []


# Informational answers.

def informational(status, *fields):
    return b"HTTP/1.1 %d Info\r\n%s\r\n" % (status, b"".join(b"%s\r\n" % field for field in fields))


HINTS = informational(103, b"link: </written-about-ben>; rel=preload", b"x-patient: written-about-ben")
BODY = b'{"resourceType":"Observation","id":"ann-1","status":"final","subject":{"reference":"Patient/%s"},' \
       b'"note":[{"text":"%s"}]}'


def whole(patient, text):
    body = BODY % (patient, text)
    return HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("before", [
    [informational(100)], [HINTS], [informational(102), HINTS, informational(100), HINTS]],
    ids=["100", "103", "several"])
def test_informational_answers_tell_nothing(open_, issuer, before):
    """Nobody judges them, and they come before the answer is judged."""
    route = [("x-lab-route", "raw")]
    with Raw(open_.envoy.clusters["raw"], says(*before, whole(b"ann", b"hers"))):
        response, seen = seen_by(open_, MINE, issuer.patient(), route)
        assert response.status == 200 and response.json()["note"] == [{"text": "hers"}]
        assert MARK.encode() not in seen
    with Raw(open_.envoy.clusters["raw"], says(*before, whole(b"ben", MARK.encode()))):
        response, seen = seen_by(open_, MINE, issuer.patient(), route)
        assert (response.status, response.reason) == (403, "compartment_not_member")
        assert MARK.encode() not in seen
        response, seen = seen_by(open_, MINE, issuer.clinician(), route)
        assert response.status == 200 and MARK in response.body.decode()


def seen_by(gateway, target, token, headers):
    """The answer and every byte that came; the record says so too."""
    request_id = fresh_id()
    headers = [("x-request-id", request_id), ("connection", "close"), *headers]
    with socket.create_connection(("127.0.0.1", gateway.client.port), 10) as connection:
        connection.sendall(message("GET", target, gateway.client.port, headers, b"", token))
        seen = b""
        while part := connection.recv(65536):
            seen += part
    last = seen[seen.rindex(b"HTTP/1.1 "):]
    head, _, body = last.partition(b"\r\n\r\n")
    fields = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    if ["transfer-encoding", "chunked"] in fields:
        body = body.split(b"\r\n")[1]
    record = gateway.envoy.audit(request_id)
    assert record["outcome"]["status"] == int(last[9:12]), record
    return Response(int(last[9:12]), [tuple(field) for field in fields], body, 0.0), seen


def test_a_server_that_changes_the_protocol_unasked_tells_nothing(open_, issuer):
    switches = informational(101, b"connection: Upgrade", b"upgrade: websocket") + MARK.encode()
    with Raw(open_.envoy.clusters["raw"], says(switches)):
        response, seen = seen_by(open_, MINE, issuer.patient(), [("x-lab-route", "raw")])
    assert (response.status, response.reason) == (502, "answer_status"), response
    assert MARK.encode() not in seen


@pytest.mark.parametrize("front", ["gateway", "open_"])
def test_who_waits_to_be_told_to_go_on_is_refused_without_a_body(request, front, issuer):
    """`Expect: 100-continue`: Envoy tells them itself."""
    front = request.getfixturevalue(front)
    headers = [FORM[0], ("expect", "100-continue"), ("content-length", "20")]

    def talk(client, request_id):
        head = message("POST", SEARCH, client.port, [("x-request-id", request_id), *headers])
        return client.send(head, "POST")

    front.refused(front.exchange(talk), 401, "token_missing", REALM)


# Many requests on one connection.

def stocked(gateway):
    """From now on the FHIR server has something of ann's and something of ben's, and finds ann's."""
    holds(gateway, OWN, FOREIGN)
    by_id = gateway.upstream.reply
    gateway.upstream.reply = lambda request: (
        ok(bundle({"resource": OWN})) if "_search" in request.target else by_id(request))


def test_pipelined_requests_with_bodies_get_their_own_answers_in_order(gateway, issuer, envoy, upstream):
    """The last one is refused for its body: Envoy ends a connection soon after such an answer."""
    stocked(gateway)
    patient, clinician = issuer.patient(), issuer.clinician()
    kinds = [
        ("GET", MINE, patient, b"", 200, "allowed"),
        ("POST", SEARCH, patient, b"code=1", 200, "allowed"),
        ("GET", BENS, patient, b"", 403, "compartment_not_member"),
        ("GET", MINE, None, b"", 401, "token_missing"),
        ("GET", BENS, clinician, b"", 200, "allowed"),
        ("DELETE", BENS, patient, b"", 403, "compartment_not_member"),
    ] * 6 + [("POST", SEARCH, patient, b"patient=bob", 403, "search_other_patient")]
    ids = [fresh_id() for _ in kinds]
    with Client(gateway.client.port) as client:
        client.begin(b"".join(
            message(method, target, client.port, [("x-request-id", one), *(FORM if body else ())], body, token)
            for one, (method, target, token, body, *_) in zip(ids, kinds)))
        answers = [client.end() for _ in kinds]
    assert [answer.header("x-request-id") for answer in answers] == ids
    assert [answer.status for answer in answers] == [status for *_, status, _ in kinds]
    records = [envoy.audit(one) for one in ids]
    assert [record["reason"] for record in records] == [reason for *_, reason in kinds]
    assert [record["outcome"]["status"] for record in records] == [status for *_, status, _ in kinds]
    for answer, (_, target, token, *_) in zip(answers, kinds):
        assert not shows(answer, MARK) or (target, token) == (BENS, clinician)
    seen = [one.header("x-request-id") for one in upstream.requests if one.header("x-request-id")]
    forwarded = [one for one, (method, target, _, _, status, _) in zip(ids, kinds)
                 if status == 200 or (method, target) == ("GET", BENS)]
    assert seen == forwarded


def test_what_follows_a_request_that_was_refused_before_its_end_is_no_request(gateway, issuer, upstream):
    """Envoy closes the connection: whatever comes is the rest of a body."""
    hidden = message("GET", READ, gateway.client.port, [], b"", issuer.patient())
    head = message("POST", SEARCH, gateway.client.port, [
        ("x-request-id", fresh_id()), FORM[0], ("content-length", "100000")])
    with Client(gateway.client.port) as client:
        response = client.send(head + hidden, "POST")
        assert response.status == 401 and response.header("connection") == "close"
        with pytest.raises((NoResponse, AttributeError)):
            client.end()
    assert upstream.requests == []


class Streams:
    """Many requests at once on one HTTP/2 connection. `answers`: those that came whole, by `x-request-id`;
    `broken`: those whose stream was reset by the other side."""

    def __init__(self, port):
        self.port, self.answers, self.broken = port, {}, []
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._h2 = H2Connection(H2Configuration(header_encoding="latin-1"))
        self._h2.initiate_connection()
        self._ids, self._parts = {}, {}

    def open(self, method, target, token=None, headers=(), body=b""):
        """Sends a request without waiting for anything; its stream."""
        request_id, stream = fresh_id(), self._h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", target), (":scheme", "http"),
                  (":authority", f"127.0.0.1:{self.port}"), ("x-request-id", request_id), *headers]
        if token:
            sent.add(token)
            fields.append(("authorization", f"Bearer {token}"))
        self._h2.send_headers(stream, fields, end_stream=not body)
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        self._ids[stream], self._parts[stream] = request_id, [None, b""]
        return stream

    def id(self, stream):
        return self._ids[stream]

    def reset(self, stream):
        """Nobody wants the answer any more."""
        self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        self._parts.pop(stream)

    def flush(self):
        self._socket.sendall(self._h2.data_to_send())

    def finish(self):
        """Reads until every stream has ended."""
        self.flush()
        while self._parts:
            data = self._socket.recv(65536)
            assert data, f"{len(self._parts)} streams without an end"
            for event in self._h2.receive_data(data):
                self._take(event)
            self.flush()
        self._socket.close()

    def _take(self, event):
        assert not isinstance(event, ConnectionTerminated), event
        stream = getattr(event, "stream_id", None)
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
        if stream not in self._parts:
            return
        if isinstance(event, ResponseReceived):
            self._parts[stream][0] = event.headers
        elif isinstance(event, DataReceived):
            self._parts[stream][1] += event.data
        elif isinstance(event, StreamReset):
            self.broken.append(self._ids[stream])
            del self._parts[stream]
        elif isinstance(event, StreamEnded):
            headers, body = self._parts.pop(stream)
            self.answers[self._ids[stream]] = Response(int(dict(headers)[":status"]), headers, body, 0.0)


def test_hundreds_of_streams_at_once_are_each_judged(gateway, issuer, envoy, upstream):
    """On one connection, so by one worker: allowed, held, refused, with a body, looked up first, and one in six
    is reset by its client as soon as it was sent."""
    stocked(gateway)
    patient, clinician = issuer.patient(), issuer.clinician()
    kinds = [
        ("GET", MINE, patient, (), b"", 200, "allowed"),
        ("GET", BENS, patient, (), b"", 403, "compartment_not_member"),
        ("GET", BENS, clinician, (), b"", 200, "allowed"),
        ("GET", "/fhir/Patient/bob", patient, (), b"", 403, "compartment_other_patient"),
        ("GET", MINE, None, (), b"", 401, "token_missing"),
        ("POST", SEARCH, patient, FORM, b"code=1", 200, "allowed"),
        ("POST", SEARCH, patient, FORM, b"patient=bob", 403, "search_other_patient"),
        ("DELETE", BENS, patient, (), b"", 403, "compartment_not_member"),
    ]
    streams, expected, left = Streams(gateway.client.port), {}, []
    for number in range(30 * len(kinds)):
        *request, status, reason = kinds[number % len(kinds)]
        stream = streams.open(*request)
        if number % 6 == 5:
            streams.flush()
            streams.reset(stream)
            left.append((streams.id(stream), status))
        else:
            expected[streams.id(stream)] = status, reason
    streams.finish()
    assert streams.broken == []
    assert {one: answer.status for one, answer in streams.answers.items()} == {
        one: status for one, (status, _) in expected.items()}
    for one, (status, reason) in expected.items():
        record = envoy.audit(one)
        assert (record["reason"], record["outcome"]["status"]) == (reason, status), record
        assert "failure" not in record["outcome"]
    for one, status in left:
        record = envoy.audit(one)
        ended = record["outcome"].get("failure") or record["outcome"]["status"]
        assert ended in ("client_gone", status), record
    forwarded = [one.header("x-request-id") for one in upstream.requests if one.header("x-request-id")]
    assert len(forwarded) == len(set(forwarded))
    never = {one for one, (status, reason) in expected.items()
             if status != 200 and reason != "compartment_not_member"}
    assert not never & set(forwarded)
    assert {one for one, (status, _) in expected.items() if status == 200} <= set(forwarded)


# Heads as long as they may be.

def test_as_many_headers_as_envoy_takes_are_judged(shipped, issuer):
    """100, with those that every request has."""
    token = issuer.patient()

    def send(count, target):
        return shipped.get(target, token, headers=[(f"x-header-{number}", "value") for number in range(count)])

    for count in range(92, 102):
        shipped.client.close()
        response = send(count, READ)
        if response.status == 431:
            break
        got, _ = shipped.allowed(response)
        assert sum(name.startswith("x-header-") for name, _ in got.headers) == count
        shipped.refused(send(count, "/fhir/Patient/bob"), 403, "compartment_other_patient")
    assert response.status == 431 and count > 92
    shipped.client.close()
    shipped.stopped_by_envoy(lambda: send(count, "/fhir/Patient/bob"), 431)


def test_a_head_as_long_as_envoy_takes_is_judged(shipped, issuer):
    """60 KiB."""
    token = issuer.patient()
    room = 60 * 1024 - len(message("GET", READ, shipped.client.port, [("x-request-id", fresh_id())], b"", token))

    def send(length, target):
        shipped.client.close()
        return shipped.get(target, token, headers=[("x-long", "x" * length)])

    got, _ = shipped.allowed(send(room - 500, READ))
    assert len(got.header("x-long")) == room - 500
    shipped.refused(send(room - 500, "/fhir/Patient/bob"), 403, "compartment_other_patient")
    shipped.stopped_by_envoy(lambda: send(room + 500, READ), 431)
    shipped.client.close()


@pytest.mark.parametrize("over", ["HTTP/1.1", "HTTP/2"])
def test_the_longest_token_in_the_longest_head_is_judged(shipped, issuer, over):
    """16 KiB of token beside 40 KB of other headers; a byte more of token is too long."""
    client = http2.Client(shipped.client.port) if over == "HTTP/2" else Client(shipped.client.port)
    front = shipped.over(client)
    headers = [(f"x-long-{number}", "x" * 4000) for number in range(10)]
    longest = of_length(issuer, 16 * 1024)
    got, _ = front.allowed(front.get(READ, longest, headers=headers))
    assert sum(len(value) for name, value in got.headers if name.startswith("x-long-")) == 40_000
    front.refused(front.get("/fhir/Patient/bob", longest, headers=headers), 403, "compartment_other_patient")
    response = front.get(READ, of_length(issuer, 16 * 1024 + 1), headers=headers)
    front.refused(response, 401, "token_invalid", 'Bearer error="invalid_token"', audit="token_too_large")


def of_length(issuer, length):
    """A good token of so many bytes: some lengths are only reached by adding to both parts."""
    for more in range(4):
        def made(note):
            return issuer.patient(header={"x": "x" * more}, note=note, jti="j")

        token = made("x" * ((length - len(made(""))) * 3 // 4))
        if len(token) == length:
            return token
