"""`audit.patients: answers`: whose data a request touched is read from its answer as that passes. The
answer is neither held nor changed, whatever it is."""

import gzip
import json
import socket
import threading

import pytest

from gateway import fresh_id
from hostile import ANN, BEN, CHUNKED, FHIR_JSON, OUTCOME, answers, bundle, chunked, observation, ok
from lab import http2
from lab.http import Client, message

READ = "/fhir/Observation/1"
SEARCH = "/fhir/Observation?code=1"


@pytest.fixture(scope="module")
def reading(listen, configuration):
    """A listener that reads the answers."""
    document = configuration()
    document["audit"] = {"patients": "answers"}
    return listen("reading", document, hardened=False)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def front(request, reading):
    return reading.over(http2.Client(reading.client.port)) if request.param == "HTTP/2" else reading


def found(*resources, **more):
    return bundle(*({"resource": one} for one in resources), **more)


def parameters(*values):
    return {"resourceType": "Parameters", "parameter": list(values)}


def touched(gateway, response):
    """The patients of the request's record and of those that are part of it; whether it says that the
    answer was unread."""
    record = gateway.envoy.audit(response.header("x-request-id"))
    patients = record.get("patients", [])
    for part in gateway.envoy.parts(record):
        patients = patients + part["patients"]
    return patients, record.get("patients_unread", False)


PEOPLE = [observation(f"o{number}", f"p{number:03}") for number in range(150)]
NAMED = [f"p{number:03}" for number in range(150)]
SHAPES = {
    "a resource": (observation("1", "p1"), ["p1"]),
    "a patient": (ANN, ["ann"]),
    "nobody's": ({"resourceType": "Practitioner", "id": "dr"}, []),
    "a page": (found(observation("1", "p1"), observation("2", "p2"), ANN, observation("3", "p1")),
               ["ann", "p1", "p2"]),
    "an empty page": (bundle(), []),
    "what an operation gives": (
        found(ANN, observation("1"), {"resourceType": "Organization", "id": "o"}), ["ann"]),
    "parameters": (parameters({"name": "a", "resource": ANN},
                              {"name": "b", "part": [{"name": "c", "resource": observation("1", "p1")}]},
                              {"name": "d", "resource": found(observation("2", "p2"))}),
                   ["ann", "p1", "p2"]),
    "a batch's answers": (bundle({"response": {"status": "200"}, "resource": found(observation("1", "p1"))},
                                 {"response": {"status": "200"}, "resource": BEN}, kind="batch-response"),
                          ["ben", "p1"]),
    "an outcome": (OUTCOME, []),
    "150 patients": (found(*PEOPLE), NAMED),
}


@pytest.mark.parametrize("way", ["whole", "in chunks", "with trailers"])
@pytest.mark.parametrize("shape", SHAPES)
def test_whose_data_an_answer_holds(front, issuer, shape, way):
    document, patients = SHAPES[shape]
    trailers = (b"x-checksum: 1\r\n",) if way == "with trailers" else ()
    answers(front, *(ok(document) if way == "whole" else chunked(document, *trailers, size=1000)))
    response = front.get(SEARCH, issuer.clinician())
    assert response.body == json.dumps(document).encode()
    assert touched(front, response) == (patients, False)


def test_many_patients_go_on_in_records_of_the_same_request(reading, issuer):
    answers(reading, *ok(found(*PEOPLE)))
    response = reading.get(SEARCH, issuer.clinician())
    record = reading.envoy.audit(response.header("x-request-id"))
    parts = reading.envoy.parts(record)
    assert [len(one["patients"]) for one in (record, *parts)] == [64, 64, 22]
    for one in parts:
        assert one["request_id"] == record["request_id"]
        assert (one["decision"], one["reason"], one["who"], one["time"]) == (
            record["decision"], record["reason"], record["who"], record["time"])


UNREAD = {
    "gzip": (ok(gzip.compress(json.dumps(ANN).encode()), ("content-encoding", "gzip")), True),
    "XML": ((200, [("content-type", "application/fhir+xml")], b"<Patient/>"), True),
    "no type": ((200, [], json.dumps(ANN).encode()), True),
    "cut": (ok(json.dumps(ANN).encode()[:-3]), True),
    "garbage": (ok(b"\x00\xff{]" * 100), True),
    "members twice": (ok(json.dumps(ANN).encode()[:-1] + b',"id":"ben"}'), True),
    "too long": (ok({**ANN, "note": "x" * (1 << 20)}), True),
    "much too long": (chunked({**ANN, "note": "x" * (30 << 20)}, size=100_000), True),
    "nothing": (ok(b""), False),
    "an error": (ok(OUTCOME, status=404), False),
    "an error with a patient": (ok(ANN, status=500), False),
    "not modified": ((304, [("etag", 'W/"1"')], b""), False),
    "no content": ((204, [], b""), False),
}


@pytest.mark.parametrize("case", UNREAD)
def test_an_answer_that_is_not_read_passes_and_the_record_says_so(front, issuer, case):
    (status, headers, body), unread = UNREAD[case]
    answers(front, status, headers, body)
    response = front.get("/fhir/Patient/asked", issuer.clinician())
    assert response.status == status
    if isinstance(body, bytes):
        assert response.body == body
    else:
        assert len(response.body) > 30 << 20
    assert touched(front, response) == (["asked"], unread)


def test_the_longest_answer_that_is_read(reading, issuer):
    page = found(*PEOPLE[:3])
    short = len(json.dumps({**page, "note": ""}))
    for length, unread in ((1 << 20, False), ((1 << 20) + 1, True)):
        document = {**page, "note": "x" * (length - short)}
        assert len(json.dumps(document)) == length
        answers(reading, *ok(document))
        response = reading.get(SEARCH, issuer.clinician())
        assert response.body == json.dumps(document).encode()
        assert touched(reading, response) == ([] if unread else NAMED[:3], unread)


def test_a_head_has_no_patients(front, issuer):
    answers(front, *ok(ANN))
    response = front.send("HEAD", READ, issuer.clinician())
    assert response.status == 200
    assert touched(front, response) == ([], False)


def test_an_answer_is_not_held(reading, issuer):
    """The client has its first byte before the FHIR server sends the last."""
    may_go = threading.Event()

    def halves():
        yield b"5\r\n[1,2,\r\n"
        assert may_go.wait(5)
        yield b"2\r\n3]\r\n0\r\n\r\n"

    answers(reading, 200, [FHIR_JSON, CHUNKED], halves())
    with Client(reading.client.port) as client:
        client.begin(message("GET", READ, client.port, [("x-request-id", fresh_id())], b"", issuer.clinician()))
        seen = b""
        while b"[1,2," not in seen:
            seen += client._socket.recv(10_000)
        may_go.set()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += client._socket.recv(10_000)


def test_a_long_answer_is_not_kept(reading, issuer, envoy):
    """Of 400 MiB no more than one is read; Envoy's own buffers hold 16 each way."""
    part = b"100000\r\n%s\r\n" % (b"x" * 0x100000)
    answers(reading, 200, [FHIR_JSON, CHUNKED], [*[part] * 400, b"0\r\n\r\n"])
    before, most, seen = envoy.resident_bytes(), 0, 0
    with socket.create_connection(("127.0.0.1", reading.client.port), 60) as connection:
        connection.sendall(message("GET", READ, reading.client.port, [("connection", "close")], b"",
                                   issuer.clinician()))
        while data := connection.recv(1 << 20):
            if seen >> 25 != (seen := seen + len(data)) >> 25:
                most = max(most, envoy.resident_bytes())
    assert seen > 400 << 20
    assert most - before < 120 << 20, f"{(most - before) >> 20} MiB"


# In which context.

def test_who_is_confined_touches_one_patient(front, issuer):
    answers(front, *ok(found(observation("1", "ann"), observation("2", "ben"))))
    response = front.get(SEARCH, issuer.patient())
    record = front.envoy.audit(response.header("x-request-id"))
    assert (record["patients"], record["removed"]) == (["ann"], 1)
    assert "patients_unread" not in record


def test_what_is_refused_touches_nobody(front, issuer):
    answers(front, *ok(observation("1", "ben")))
    response = front.get(READ, issuer.patient())
    assert response.status == 403
    assert touched(front, response) == ([], False)


def test_a_relative_is_confined_to_the_patient(front, issuer):
    token = issuer.token("user/*.rs", fhirUser="RelatedPerson/mum", patient="ann")
    answers(front, *ok(found(observation("1", "ann"), observation("2", "ben"))))
    response = front.get(SEARCH, token)
    print(response, touched(front, response))
    assert touched(front, response) == (["ann"], False)


@pytest.mark.parametrize("who", ["clinician", "backend"])
def test_who_is_not_confined_touches_whom_the_answer_names(front, issuer, who):
    answers(front, *ok(found(observation("1", "ann"), observation("2", "ben"))))
    response = front.get(f"{SEARCH}&patient=cleo,dan", getattr(issuer, who)())
    assert touched(front, response) == (["ann", "ben", "cleo", "dan"], False)


def test_without_it_answers_are_not_read(gateway, issuer):
    answers(gateway, *ok(found(observation("1", "ann"))))
    response = gateway.get(SEARCH, issuer.clinician())
    assert touched(gateway, response) == ([], False)
