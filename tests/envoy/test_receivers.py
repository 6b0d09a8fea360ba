"""Real collectors take the batches that phiward sends, in every shape, and give each record back as it
was."""

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.receivers import BINARY, KINDS, Receiver, body

pytestmark = pytest.mark.skipif(
    not BINARY.exists(), reason="no log collectors: run `lab/setup receivers` (Linux only)")

# What a collector could take for something else than text, or end a line at.
RECORDS = [
    {"schema": "phiward.audit/1", "time": "2026-09-21T14:13:20.250Z", "id": "5f1c0d3e9a7b2c44-17",
     "decision": "allow", "reason": "allowed",
     "who": {"issuer": "https://auth.clinic.example", "sub": "5s", "client": "12", "user": "true",
             "organization": "10.0.0.1", "roles": ["null", "", "1e3"], "patient": "::1"},
     "what": {"parameters": [{"name": 'a\\"b\u2028\u00e9\U0001f600\n'},
                             {"name": "_id", "value": '{"x":1}'}]},
     "outcome": {"status": 200, "bytes": 1234567890123, "duration_ms": 12.346}, "removed": 2},
    {"schema": "phiward.audit/1", "time": "2026-09-21T14:13:20.251Z", "id": "5f1c0d3e9a7b2c44-18",
     "decision": "deny", "reason": "token_missing", "from": {},
     "outcome": {"status": 401, "bytes": 0, "duration_ms": 0.5}},
]
LINES = [json.dumps(record, separators=(",", ":")) for record in RECORDS]
OVER_HTTP = sorted(name for name, kind in KINDS.items() if not kind.http2)


@pytest.fixture(scope="module", params=OVER_HTTP)
def receiver(request, tmp_path_factory):
    with Receiver(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def post(receiver, content, **changes):
    """The status of the answer to this batch."""
    headers = dict(receiver.kind.headers(receiver.token)) | changes
    request = urllib.request.Request(receiver.url, content, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code


def test_a_batch_is_taken_and_each_record_is_kept_as_it_was(receiver):
    before = len(receiver.records())
    assert post(receiver, body(receiver.kind.shape, LINES)) in (200, 201)
    assert receiver.wait_for(lambda kept: len(kept) == before + 2)[before:] == RECORDS


def test_a_batch_that_came_twice_is_kept_twice_with_the_same_ids(receiver):
    before = len(receiver.records())
    for _ in range(2):
        assert post(receiver, body(receiver.kind.shape, LINES)) in (200, 201)
    kept = receiver.wait_for(lambda kept: len(kept) == before + 4)[before:]
    assert [record["id"] for record in kept] == [record["id"] for record in RECORDS] * 2


@pytest.mark.parametrize("name", [name for name in OVER_HTTP if KINDS[name].shape == "splunk_hec"])
def test_a_wrong_token_is_an_answer_of_its_own(name, tmp_path):
    with Receiver(name, tmp_path) as receiver:
        batch = body("splunk_hec", LINES)
        assert post(receiver, batch, authorization="Splunk wrong") in (401, 403)
        assert post(receiver, batch) == 200
        assert receiver.wait_for(lambda kept: len(kept) == 2) == RECORDS


def test_fluent_bit_takes_lines_only_as_application_json(tmp_path):
    with Receiver("fluent-bit-http", tmp_path) as receiver:
        batch = body("ndjson", LINES)
        assert post(receiver, batch, **{"content-type": "application/x-ndjson"}) == 400
        assert post(receiver, batch) == 201
        assert receiver.wait_for(lambda kept: len(kept) == 2) == RECORDS


def test_what_was_kept_outlives_a_collector_that_is_killed_and_started_again(tmp_path):
    with Receiver("tenzir-http", tmp_path) as receiver:
        assert post(receiver, body("ndjson", LINES[:1])) == 200
        receiver.wait_for(lambda kept: len(kept) == 1)
        receiver.kill()
        receiver.start()
        assert post(receiver, body("ndjson", LINES[1:])) == 200
        assert receiver.wait_for(lambda kept: len(kept) == 2) == RECORDS


def test_a_collector_that_pauses_answers_when_it_goes_on(tmp_path):
    with Receiver("tenzir-http", tmp_path) as receiver, ThreadPoolExecutor() as pool:
        receiver.pause()
        answer = pool.submit(post, receiver, body("ndjson", LINES))
        time.sleep(1)
        assert not answer.done() and receiver.records() == []
        receiver.resume()
        assert answer.result(10) == 200
        assert receiver.wait_for(lambda kept: len(kept) == 2) == RECORDS
