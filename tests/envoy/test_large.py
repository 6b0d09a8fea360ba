"""Bodies as large as the shipped buffers hold, and larger."""

import json

from lab.http import Client

JSON = ("content-type", "application/fhir+json")
LIMIT = 16 * 1024 * 1024


def observation(number, patient):
    """About 1.4 kB."""
    return {"resourceType": "Observation", "id": f"{patient}-{number}", "status": "final",
            "text": {"status": "generated", "div": "<div>" + "heart rate " * 100 + "</div>"},
            "subject": {"reference": f"Patient/{patient}"}}


def everything(size, foreign_every=0):
    """A searchset of at least this size in bytes; every n-th entry is somebody else's."""
    entries, length = [], 0
    while length < size:
        number = len(entries)
        patient = "ben" if foreign_every and number % foreign_every == 0 else "ann"
        entries.append({"resource": observation(number, patient), "search": {"mode": "match"}})
        length += 1300
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    return json.dumps(bundle).encode()


def test_seven_megabytes_of_everything_pass_the_shipped_buffers(shipped, issuer, upstream):
    upstream.reply = lambda _: (200, [JSON], everything(7_000_000))
    response = shipped.get("/fhir/Patient/ann/$everything", issuer.patient())
    shipped.allowed(response)
    assert len(response.body) > 7_000_000
    assert len(json.loads(response.body)["entry"]) > 5000


def test_of_seven_megabytes_what_is_somebody_elses_is_removed(shipped, issuer, upstream):
    upstream.reply = lambda _: (200, [JSON], everything(7_000_000, foreign_every=2))
    response = shipped.get("/fhir/Patient/ann/$everything", issuer.patient())
    _, record = shipped.allowed(response)
    assert b"Patient/ben" not in response.body and record["removed"] > 2500


def test_an_answer_over_the_buffer_is_refused_and_says_what_to_change(shipped, issuer, upstream):
    upstream.reply = lambda _: (200, [JSON], everything(LIMIT + 1_000_000))
    response = shipped.get("/fhir/Patient/ann/$everything", issuer.patient())
    assert response.status == 500
    assert "per_connection_buffer_limit_bytes" in response.body.decode()
    assert response.header("content-type") == "application/fhir+json"
    record = shipped.envoy.audit(response.header("x-request-id"))
    assert record["reason"] == "answer_unfinished"


def test_a_request_over_the_buffer_is_refused_and_says_what_to_change(shipped, issuer, upstream):
    body = json.dumps({"resourceType": "Observation", "subject": {"reference": "Patient/ann"},
                       "note": [{"text": "x" * (LIMIT + 1_000_000)}]}).encode()
    response = shipped.send("POST", "/fhir/Observation", issuer.patient(), [JSON], body)
    assert response.status == 413
    assert "per_connection_buffer_limit_bytes" in response.body.decode()
    assert upstream.requests == []


def test_two_hundred_megabytes_don_t_pass(shipped, issuer, upstream):
    piece = everything(1_000_000)

    def endless():
        for _ in range(200):
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    upstream.reply = lambda _: (200, [JSON, ("transfer-encoding", "chunked")], endless())
    with Client(shipped.client.port) as client:
        response = shipped.over(client).get("/fhir/Observation", issuer.patient())
    assert response.status == 500 and b"heart rate" not in response.body
