"""The files of a bulk export: each line is judged while the file streams, whatever the server puts in
it and however it cuts it."""

import gzip
import json
import re
import socket
import threading
import time

import pytest

from conftest import ready_on_every_worker
from gateway import Gateway
from hostile import CHUNKED, FHIR_JSON, MARK, OUTCOME, answers, chunked, observation, shows
from lab import http2
from lab.envoy import Envoy
from lab.http import Client, NoResponse, message
from test_export import FILE_TARGET, HOST, NDJSON, file_link, manifest, file, status_link, status_link_of

OWN = json.dumps({"resourceType": "Observation", "id": "own", "status": "final"}).encode() + b"\n"
FOREIGN = json.dumps({"resourceType": "Patient", "id": "ben", "name": [{"family": MARK}]}).encode() + b"\n"
OUTCOME_LINE = json.dumps({**OUTCOME, "text": {"div": MARK}}).encode() + b"\n"

# None of them is an Observation that this client may have.
BAD = {
    "another type": FOREIGN,
    "an outcome": OUTCOME_LINE,
    "no resource": b'{"family":"%s"}\n' % MARK.encode(),
    "no type of the release": b'{"resourceType":"Nonsense","x":"%s"}\n' % MARK.encode(),
    "a type of other case": b'{"resourceType":"observation","x":"%s"}\n' % MARK.encode(),
    "a list of types": b'{"resourceType":["Observation"],"x":"%s"}\n' % MARK.encode(),
    "two types": b'{"resourceType":"Patient","x":"%s","resourceType":"Observation"}\n' % MARK.encode(),
    "two types, one escaped":
        b'{"resource\\u0054ype":"Patient","x":"%s","resourceType":"Observation"}\n' % MARK.encode(),
    "a member twice": b'{"resourceType":"Observation","code":{"text":"","text":"%s"}}\n' % MARK.encode(),
    "a resource inside": b'{"resourceType":"Observation","x":[%s]}\n' % FOREIGN.strip(),
    "a resource in an extension":
        b'{"resourceType":"Observation","extension":[{"url":"x","valueX":%s}]}\n' % FOREIGN.strip(),
    "a Bundle": b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s}]}\n' % FOREIGN.strip(),
    "an array": b"[%s,%s]\n" % (OWN.strip(), FOREIGN.strip()),
    "two in a line": OWN.strip() + b" " + FOREIGN,
    "two with a carriage return between": OWN.strip() + b"\r" + FOREIGN,
    "two with a record separator": b"\x1e" + OWN.strip() + b"\x1e" + FOREIGN,
    "cut off": FOREIGN[:-3] + b"\n",
    "a text": b'"%s"\n' % MARK.encode(),
    "no JSON": b"%s\n" % MARK.encode(),
    "a comment": b"/* %s */ %s" % (MARK.encode(), OWN),
    "not UTF-8": b'{"resourceType":"Observation","x":"\xff%s"}\n' % MARK.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + OWN.replace(b"final", MARK.encode()),
    "a NUL": b"\0" + OWN.replace(b"final", MARK.encode()),
    "UTF-16": OWN.replace(b"final", MARK.encode()).decode().encode("utf-16-be"),
    "too deep": b'{"resourceType":"Observation","x":%s"%s"%s}\n' % (b"[" * 500, MARK.encode(), b"]" * 500),
}


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def either(request, gateway):
    """Both protocols."""
    return gateway.over(http2.Client(gateway.client.port)) if request.param == "HTTP/2" else gateway


def fetched(gateway, issuer, body, kind="Observation", scope=None, headers=(NDJSON,), status=200, **options):
    """The answer for a client that may have the file's type."""
    link = link_of(gateway, issuer, kind)
    answers(gateway, status, list(headers), body)
    return gateway.get(link, issuer.backend(scope or f"system/{kind}.rs"), **options)


def link_of(gateway, issuer, kind="Observation"):
    return file_link(gateway, issuer.backend("system/*.rs"), kind)


def chunks(*parts, trailers=()):
    """A body in these chunks."""
    sent = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part]
    return [*sent, b"0\r\n", *trailers, b"\r\n"]


def seen(gateway, response, body, removed=None):
    """Proves that exactly this came through, with so many lines left out."""
    assert response.body == body, response
    _, record = gateway.allowed(response)
    assert record.get("removed") == removed, record


# What is in a file.

@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_resource_of_the_files_type_is_left_out_and_counted(gateway, issuer, bad):
    line = BAD[bad]
    for body in (line + OWN, OWN + line + OWN, OWN + line, line):
        kept = OWN * (body.count(OWN) - line.count(OWN))
        response = fetched(gateway, issuer, body)
        seen(gateway, response, kept, line.count(b"\n"))
        assert not shows(response, MARK)
        for name in ("etag", "content-length"):
            assert response.header(name) in (None, str(len(response.body)))


def test_lines_stay_byte_for_byte(either, issuer):
    plain = b'{"resourceType":"Observation","id":"1"}'
    spaced = b' {  "id":"\\u0041", "resourceType" :\t"Observation", "valueQuantity":{"value":1.50E+3}}  '
    contained = b'{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}]}'
    for body in (plain, plain + b"\n", plain + b"\r\n" + spaced + b"\r\n", b"\n\r\n \n" + plain + b"\n\n\n",
                 spaced + b"\n" + contained, b"\n", b"\r\n", OWN * 1000, b""):
        seen(either, fetched(either, issuer, body), body)


def test_headers_that_describe_the_whole_file_do_not_pass(gateway, issuer):
    describing = [("etag", f'"{MARK}"'), ("last-modified", MARK), ("content-digest", MARK),
                  ("accept-ranges", "bytes"), ("x-total-count", "7")]
    response = fetched(gateway, issuer, OWN + FOREIGN, headers=[NDJSON, *describing, ("x-own", "stays")])
    seen(gateway, response, OWN, 1)
    assert all(response.header(name) is None for name, _ in describing) and not shows(response, MARK)
    assert (response.header("content-type"), response.header("x-own")) == (NDJSON[1], "stays")
    assert response.header("content-length") is None


def test_each_file_has_its_own_type(gateway, issuer):
    lines = [OWN, FOREIGN, OUTCOME_LINE]
    body = b"".join(lines)
    for kind, kept in (("Observation", OWN), ("Patient", FOREIGN), ("OperationOutcome", OUTCOME_LINE)):
        link = error_link(gateway, issuer) if kind == "OperationOutcome" else link_of(gateway, issuer, kind)
        answers(gateway, 200, [NDJSON], body)
        seen(gateway, gateway.get(link, issuer.backend("system/*.rs")), kept, 2)


def error_link(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *manifest(error=[file("OperationOutcome")]))
    (one,) = gateway.get(link, token).json()["error"]
    return one["url"].removeprefix(HOST)


def test_a_file_without_a_type_holds_anything_that_is_a_resource(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *manifest({"url": f"{HOST}{FILE_TARGET}"}))
    (one,) = gateway.get(link, token).json()["output"]
    bundle = BAD["a Bundle"]
    answers(gateway, 200, [NDJSON], OWN + FOREIGN + bundle + BAD["two types"] + BAD["no resource"])
    response = gateway.get(one["url"].removeprefix(HOST), token)
    seen(gateway, response, OWN + FOREIGN + bundle, 2)


def test_what_a_bundle_holds_needs_a_token_for_everything(gateway, issuer):
    deleted = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": "Patient/ben"}}]}).encode() + b"\n"
    body = deleted + BAD["a Bundle"]
    seen(gateway, fetched(gateway, issuer, body, "Bundle", "system/*.rs"), body)
    seen(gateway, fetched(gateway, issuer, body, "Bundle"), deleted, 1)


# How it comes.

@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_lines_may_be_cut_anywhere(either, issuer, size):
    body = (OWN + FOREIGN + b"\r\n" + BAD["a member twice"]) * 5 + OWN.strip()
    parts = [body[at:at + size] for at in range(0, len(body), size)]
    response = fetched(either, issuer, chunks(*parts), headers=[NDJSON, CHUNKED])
    seen(either, response, (OWN + b"\r\n") * 5 + OWN.strip(), 10)
    assert not shows(response, MARK)


TRAILERS = [b"x-done: yes\r\n"]


class WithTrailers(Envoy):
    """An Envoy that reads a server's trailers: by default it ignores those of HTTP/1.1."""

    def _bootstrap(self, clusters):
        config = super()._bootstrap(clusters)
        for cluster in config["static_resources"]["clusters"]:
            cluster["typed_extension_protocol_options"] = {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}
        return config


@pytest.fixture(scope="module")
def trailing(wasm, upstream, revocations, issuer, configuration, tmp_path_factory):
    """Such an Envoy, and a client over HTTP/2, which gets the trailers."""
    clusters = {"fhir": upstream.port, "auth": issuer.jwks.port, "revocations": revocations.port}
    with WithTrailers(tmp_path_factory.mktemp("trailing"), clusters) as envoy:
        port = envoy.listen("trailing", configuration(), hardened=False)
        deadline = time.monotonic() + 15
        while not ready_on_every_worker(port, issuer.patient()):
            assert time.monotonic() < deadline, "the filter did not get ready"
            time.sleep(0.05)
        yield Gateway(envoy, port, upstream)
        assert envoy.wasm_vm_reloads() == 0, envoy.log


@pytest.mark.parametrize("rest, passes, removed", [
    (b"", b"", None), (b"\r\n", b"\r\n", None), (b"\r", b"", None), (OWN, OWN, None), (OWN.strip(), b"", 1),
    (FOREIGN, b"", 1), (FOREIGN.strip(), b"", 1), (OWN[:20], b"", 1)], ids=str)
@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_before_trailers_only_lines_that_ended_go_on(trailing, issuer, protocol, rest, passes, removed):
    over = trailing.over(http2.Client(trailing.client.port)) if protocol == "HTTP/2" else trailing
    body = OWN * 3 + rest
    response = fetched(over, issuer, chunks(body[:50], body[50:], trailers=TRAILERS), headers=[NDJSON, CHUNKED])
    seen(over, response, OWN * 3 + passes, removed)
    assert not shows(response, MARK)


def test_where_envoy_ignores_trailers_the_last_line_goes_on(either, issuer):
    for rest, passes, removed in ((OWN.strip(), OWN.strip(), None), (FOREIGN.strip(), b"", 1)):
        response = fetched(either, issuer, chunks(OWN, rest, trailers=TRAILERS), headers=[NDJSON, CHUNKED])
        seen(either, response, OWN + passes, removed)


def test_a_held_answer_with_real_trailers_is_judged_whole(trailing, issuer):
    token = issuer.patient()
    answers(trailing, *chunked(observation("ann-1"), *TRAILERS))
    response = trailing.get("/fhir/Observation/ann-1", token)
    trailing.allowed(response)
    assert response.json() == observation("ann-1")
    answers(trailing, *chunked(FOREIGN.strip(), *TRAILERS))
    response = trailing.get("/fhir/Observation/ann-1", token)
    trailing.withheld(response, 403, "compartment_not_member")
    assert not shows(response, MARK)


def test_every_worker_judges_files(gateway, issuer):
    link = link_of(gateway, issuer)
    answers(gateway, 200, [NDJSON], OWN + FOREIGN)
    for response in gateway.on_every_worker(link, issuer.backend("system/*.rs")):
        assert response.body == OWN, response


@pytest.mark.parametrize("front", ["gateway", "shipped"])
def test_a_file_streams_and_may_be_larger_than_any_buffer(request, issuer, front):
    """120 MB, of which half is foreign; the first line arrives before the rest is even sent. Envoy's own
    buffers on both sides have 16 MiB."""
    gateway = request.getfixturevalue(front)
    link, token = link_of(gateway, issuer), issuer.backend("system/Observation.rs")
    arrived, block = threading.Event(), (OWN + FOREIGN) * 400
    blocks = 120_000_000 // len(block)

    def body():
        yield OWN
        assert arrived.wait(10), "the client got nothing before the end"
        for _ in range(blocks):
            yield from (block[at:at + 8192] for at in range(0, len(block), 8192))

    size = len(OWN) + blocks * len(block)
    answers(gateway, 200, [NDJSON, ("content-length", str(size))], body())
    before = resident(gateway.envoy)
    with Client(gateway.client.port, timeout=60) as client:
        client.begin(message("GET", link, client.port, token=token))
        head = b""
        while OWN not in head:
            head += client._socket.recv(1000)
        assert b"content-length" not in head
        (request_id,) = re.findall(rb"x-request-id: (\S+)", head)
        arrived.set()
        got, ended = len(head), b""
        while not ended.endswith(b"0\r\n\r\n"):
            part = client._socket.recv(1 << 16)
            assert part, "cut off"
            assert MARK.encode() not in part
            got, ended = got + len(part), (ended + part)[-5:]
    assert got > blocks * 400 * len(OWN) > 40_000_000
    assert resident(gateway.envoy) - before < 70_000_000
    record = gateway.envoy.audit(request_id.decode())
    assert record["removed"] == blocks * 400, record


def resident(envoy):
    """Resident memory of Envoy, in bytes."""
    pid = envoy._process.pid
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


LONGEST = 16 * 2 ** 20


def test_a_long_line_passes_and_one_that_is_too_long_breaks_the_file_off(either, issuer):
    def line(length):
        empty = b'{"resourceType":"Observation","x":""}\n'
        return empty.replace(b'""', b'"%s"' % (b"x" * (length - len(empty))))

    body = OWN + line(LONGEST) + OWN
    seen(either, fetched(either, issuer, body), body)
    link, before = link_of(either, issuer), len(either.envoy.audits())
    answers(either, 200, [NDJSON], OWN + line(LONGEST + 1) + OWN * 1000)
    with pytest.raises(NoResponse):
        either.get(link, issuer.backend("system/Observation.rs"))
    record = last_audit(either, before)
    assert (record["decision"], record["reason"]) == ("error", "export_line_too_long"), record


def last_audit(gateway, before):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [one for one in gateway.envoy.audits()[before:] if one["reason"] != "allowed"]
        if found:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError("no record")


def test_a_line_without_an_end_is_not_held_for_ever(gateway, issuer):
    link, token = link_of(gateway, issuer), issuer.backend("system/Observation.rs")

    def body():
        for _ in range(100):
            yield b"x" * 2 ** 20

    answers(gateway, 200, [NDJSON, ("content-length", str(100 * 2 ** 20))], body())
    before = resident(gateway.envoy)
    with pytest.raises(NoResponse):
        gateway.get(link, token)
    assert resident(gateway.envoy) - before < 80_000_000


def test_a_server_that_hangs_up_leaves_a_file_that_is_seen_to_be_cut(gateway, issuer):
    link = link_of(gateway, issuer)

    def body():
        yield OWN
        yield FOREIGN[:30]

    answers(gateway, 200, [NDJSON, ("content-length", "10000"), ("connection", "close")], body())
    with pytest.raises(NoResponse):
        gateway.get(link, issuer.backend("system/Observation.rs"))


def test_a_client_that_leaves_does_no_harm(gateway, issuer):
    link, token = link_of(gateway, issuer), issuer.backend("system/Observation.rs")
    answers(gateway, 200, [NDJSON], (OWN + FOREIGN) * 50_000)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", gateway.client.port), 10) as connection:
            connection.sendall(message("GET", link, gateway.client.port, token=token))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    seen(gateway, gateway.get(link, token), OWN * 50_000, 50_000)


def test_files_stream_side_by_side(gateway, issuer):
    link, token = link_of(gateway, issuer), issuer.backend("system/Observation.rs")
    answers(gateway, 200, [NDJSON], (OWN + FOREIGN) * 5000)
    bodies = []

    def fetch():
        with Client(gateway.client.port) as client:
            bodies.append(client.get(link, token).body)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert bodies == [OWN * 5000] * 8


# What is no such file.

GZIP = [NDJSON, ("content-encoding", "gzip")]


@pytest.mark.parametrize("status, headers, body, code", [
    (200, [], FOREIGN, "answer_ndjson"),
    (200, [FHIR_JSON], FOREIGN, "answer_ndjson"),
    (200, [("content-type", "text/html")], FOREIGN, "answer_ndjson"),
    (200, [("content-type", "application/octet-stream")], OWN, "answer_ndjson"),
    (200, [("content-type", "application/fhir+ndjson; charset=utf-16")], OWN, "answer_ndjson"),
    (200, [("content-type", "application/fhir+ndjson, text/html")], OWN, "answer_ndjson"),
    (200, [NDJSON, ("content-type", "text/html")], OWN, "answer_ndjson"),
    (200, GZIP, gzip.compress(FOREIGN), "answer_encoding"),
    (200, [NDJSON, ("content-encoding", "br")], FOREIGN, "answer_encoding"),
    (200, [NDJSON, ("content-encoding", "identity"), ("content-encoding", "gzip")], FOREIGN, "answer_encoding"),
    (206, [NDJSON, ("content-range", "bytes 0-9/100")], FOREIGN, "answer_status"),
    (304, [NDJSON], b"", "answer_status"),
    (204, [NDJSON], b"", "answer_status"),
    (201, [NDJSON], FOREIGN, "answer_status"),
    (307, [("location", f"https://store.example/{MARK}")], b"", "answer_status"),
    (404, [NDJSON], FOREIGN, "answer_error_body"),
    (404, [FHIR_JSON], FOREIGN, "answer_error_body"),
    (500, [("content-type", "text/html")], b"<p>" + FOREIGN, "answer_error_body"),
], ids=str)
def test_what_is_no_such_file_does_not_pass(either, issuer, status, headers, body, code):
    response = fetched(either, issuer, body, headers=headers, status=status)
    either.withheld(response, 502, code)
    assert not shows(response, MARK)


@pytest.mark.parametrize("status", [400, 404, 410, 429, 503])
@pytest.mark.parametrize("headers, body", [([FHIR_JSON], json.dumps(OUTCOME).encode()), ([], b"")])
def test_the_server_may_say_that_there_is_no_such_file(gateway, issuer, status, headers, body):
    response = fetched(gateway, issuer, body, headers=headers, status=status)
    gateway.allowed(response, status=status)
    assert response.body == body


@pytest.mark.parametrize("kind", ["application/ndjson", "application/x-ndjson", "Application/FHIR+NDJSON;charset=utf-8"])
def test_ndjson_has_several_names(gateway, issuer, kind):
    seen(gateway, fetched(gateway, issuer, OWN + FOREIGN, headers=[("content-type", kind)]), OWN, 1)


def test_a_file_is_asked_for_whole_uncompressed_and_as_ndjson(gateway, issuer):
    asked = [("range", "bytes=5-"), ("if-range", '"x"'), ("if-none-match", '"x"'), ("accept-encoding", "gzip"),
             ("accept", "text/csv")]
    link = link_of(gateway, issuer)
    answers(gateway, 200, [NDJSON], OWN)
    response = gateway.get(link, issuer.backend("system/Observation.rs"), headers=asked)
    got, _ = gateway.allowed(response)
    assert [got.header(name) for name, _ in asked] == [None] * 4 + ["application/fhir+ndjson"]


def test_the_head_of_a_file_may_be_asked_for(gateway, issuer):
    link = link_of(gateway, issuer)
    answers(gateway, 200, [NDJSON, ("etag", MARK)], OWN + FOREIGN)
    response = gateway.send("HEAD", link, issuer.backend("system/Observation.rs"))
    got, _ = gateway.allowed(response)
    assert (got.method, got.target) == ("HEAD", FILE_TARGET)
    assert response.header("content-length") is None and not shows(response, MARK)


# Other configurations.

@pytest.fixture(scope="module")
def checked(listen, configuration):
    """A listener for each way to check answers."""
    made = {}

    def of(check):
        document = configuration()
        document["smart"] = {"response_check": check}
        if check not in made:
            made[check] = listen(f"files-{check}", document)
        return made[check]

    return of


@pytest.mark.parametrize("body, headers, would", [
    (OWN + FOREIGN + BAD["cut off"], [NDJSON], "allow"), (OWN + FOREIGN, [FHIR_JSON], "error"),
    (gzip.compress(OWN + FOREIGN), GZIP, "error"),
], ids=str)
@pytest.mark.parametrize("check", ["report", "off"])
def test_report_and_off_change_nothing(checked, issuer, check, body, headers, would):
    gateway = checked(check)
    token = issuer.backend("system/Observation.rs")
    link = link_of_type(gateway, token)
    answers(gateway, 200, [*headers, ("etag", '"1"')], body)
    response = gateway.get(link, token)
    assert (response.status, response.body, response.header("etag")) == (200, body, '"1"')
    assert response.header("content-length") == str(len(body))
    record = gateway.envoy.audit(response.header("x-request-id"))
    if check == "off":
        assert (record["decision"], record.get("removed")) == ("allow", None), record
    else:
        assert record["would"] == would, record
        assert record.get("removed") == (2 if would == "allow" else None), record


def link_of_type(gateway, token):
    """The link to a file of Observations, for a token that does not cover every type."""
    link = status_link_of(gateway, token)
    answers(gateway, *manifest(file()))
    (output,) = gateway.get(link, token).json()["output"]
    return output["url"].removeprefix(HOST)


def test_off_passes_a_part_that_was_asked_for(checked, issuer):
    gateway, token = checked("off"), issuer.backend("system/Observation.rs")
    link = link_of_type(gateway, token)
    answers(gateway, 206, [NDJSON, ("content-range", "bytes 0-9/100")], OWN[:10])
    response = gateway.get(link, token, headers=[("range", "bytes=0-9"), ("accept-encoding", "gzip")])
    got, _ = gateway.allowed(response, status=206)
    assert (got.header("range"), got.header("accept-encoding")) == ("bytes=0-9", "gzip")
    assert response.body == OWN[:10]
