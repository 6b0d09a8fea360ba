"""The lookup of a stored resource before it is changed: what the FHIR server may answer, what the
lookup carries, and what happens while it is under way."""

import gzip
import json
import threading
import time

import pytest

from hostile import (
    CHUNKED, FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, chunked, holds, observation, ok, passed, shows)
from lab import http2
from lab.http import Client, message
from test_writes import MINE, PATCH, change, write

STORED = {**OWN, "meta": {"versionId": "3"}}
TEXT = json.dumps(STORED).encode()


def looked_up(gateway, *answer):
    """From now on the FHIR server answers a lookup so, and everything else well."""
    gateway.upstream.reply = lambda request: answer if request.method == "GET" else ok(OWN)


def stored(**more):
    return {**STORED, **more}


# Hostile answers.

NOT_THERE = (403, "compartment_not_member")
UNREADABLE, FAILED = (502, "probe_unreadable"), (503, "probe_failed")
NO_VERSION = (502, "probe_version_missing")
HOSTILE = {
    "ben's, by ann's id": (ok(stored(subject=FOREIGN["subject"], note=[{"text": MARK}])), NOT_THERE),
    "nobody's": (ok({"resourceType": "Observation", "id": "ann-1", "meta": {"versionId": "3"}}), NOT_THERE),
    "ann's on another server": (ok(stored(subject={
        "reference": "https://other.example/fhir/Patient/ann"})), NOT_THERE),
    "ann's by identifier": (ok(stored(subject={"type": "Patient", "identifier": {"value": "ann"}})), NOT_THERE),
    "gone": (ok(FOREIGN, status=410), NOT_THERE),
    "another of ann's": (ok(stored(id="ann-2")), UNREADABLE),
    "ben's own": (ok({**FOREIGN, "meta": {"versionId": "3"}}), UNREADABLE),
    "another type": (ok(stored(resourceType="Condition")), UNREADABLE),
    "a Bundle with it": (ok({"resourceType": "Bundle", "id": "ann-1", "entry": [{"resource": STORED}]}),
                         UNREADABLE),
    "an outcome": (ok(OUTCOME), UNREADABLE),
    "no version": (ok(OWN), NO_VERSION),
    "a version that is no id": (ok(stored(meta={"versionId": '3"\r\nx-evil: 1'})), NO_VERSION),
    "a version that is a number": (ok(stored(meta={"versionId": 3})), NO_VERSION),
    "an ETag that is no version": (ok(OWN, ("etag", '"a b"')), NO_VERSION),
    "garbage": (ok(b"\x00\xff{]" * 100), UNREADABLE),
    "nothing": (ok(b""), UNREADABLE),
    "an array": (ok([STORED]), UNREADABLE),
    "cut off": (ok(TEXT[:-20]), UNREADABLE),
    "two of them": (ok(TEXT + TEXT), UNREADABLE),
    "the subject twice": (ok(TEXT[:-1] + b', "subject": {"reference": "Patient/ben"}}'), UNREADABLE),
    "the type twice": (ok(TEXT[:-1] + b', "resourceType": "Patient"}'), UNREADABLE),
    "too deep": (ok(TEXT[:-1] + b', "note": ' + b"[" * 5000 + b"]" * 5000 + b"}"), UNREADABLE),
    "gzip": (ok(gzip.compress(TEXT), ("content-encoding", "gzip")), UNREADABLE),
    "UTF-16": (ok(TEXT.decode().encode("utf-16")), UNREADABLE),
    "XML": ((200, [("content-type", "application/fhir+xml")], b"<Observation/>"), UNREADABLE),
    "created": (ok(STORED, status=201), FAILED),
    "a part": (ok(STORED, ("content-range", "bytes 0-9/99"), status=206), FAILED),
    "not modified": ((304, [("etag", 'W/"3"')], b""), FAILED),
    "elsewhere": ((302, [("location", "/fhir/Observation/ann-1")], b""), FAILED),
    "no content": ((204, [], b""), FAILED),
    "unauthorized": (ok(OUTCOME, status=401), FAILED),
    "forbidden": (ok(OUTCOME, status=403), FAILED),
    "broken": ((500, [("content-type", "text/html")], MARK.encode()), FAILED),
    "busy": ((503, [], b""), FAILED),
}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("answer, expected", HOSTILE.values(), ids=HOSTILE)
def test_what_the_lookup_does_not_prove_is_not_changed(gateway, issuer, method, answer, expected):
    looked_up(gateway, *answer)
    response = change(gateway, method, MINE, issuer.patient())
    gateway.refused(response, *expected, probes=[MINE])
    assert not shows(response, MARK)


def test_a_lookup_that_nobody_answers_changes_nothing(gateway, issuer):
    for document in (OWN, None):
        gateway.upstream.reply = lambda _: None
        response = write(gateway, "PUT" if document else "DELETE", MINE, issuer.patient(), document)
        gateway.refused(response, 503, "probe_failed", probes=[MINE])


def test_a_lookup_that_takes_too_long_changes_nothing(gateway, issuer):
    released = threading.Event()

    def slowly(_):
        released.wait(20)
        return ok(STORED)

    gateway.upstream.reply = slowly
    started = time.monotonic()
    response = change(gateway, "DELETE", MINE, issuer.patient())
    released.set()
    gateway.refused(response, 503, "probe_failed", probes=[MINE])
    assert 4 < time.monotonic() - started < 8


def test_a_lookup_that_stops_halfway_changes_nothing(gateway, issuer):
    def halfway():
        yield TEXT[:40]
        raise ConnectionResetError

    gateway.upstream.reply = lambda _: (200, [FHIR_JSON, ("content-length", "5000")], halfway())
    response = change(gateway, "DELETE", MINE, issuer.patient())
    gateway.refused(response, 503, "probe_failed", probes=[MINE])


def test_a_huge_lookup_changes_nothing(gateway, issuer, envoy):
    """200 MB: the host gives up on it, and the filter holds none of it."""
    looked_up(gateway, 200, [FHIR_JSON, CHUNKED], (b"100000\r\n%s\r\n" % (b" " * 2 ** 20) for _ in range(200)))
    before = envoy.resident_bytes()
    response = change(gateway, "DELETE", MINE, issuer.patient())
    gateway.refused(response, 503, "probe_failed", probes=[MINE])
    assert envoy.resident_bytes() - before < 150_000_000


@pytest.mark.parametrize("answer", [
    ok(STORED), chunked(STORED), chunked(STORED, b"x-checksum: 1\r\n"), ok(OWN, ("etag", 'W/"3"')),
    ok(OWN, ("etag", '"3"')), ok(STORED, ("etag", 'W/"other"')),
    ok(stored(subject={"reference": "Patient/ann/_history/7"})),
    ok(stored(subject={"reference": "https://api.clinic.example/fhir/Patient/ann"})),
    ok(stored(performer=[{"reference": "Patient/ben"}])),
    ok(stored(contained=[{"resourceType": "Patient", "id": "p"}])),
], ids=["plain", "chunks", "trailers", "weak tag", "strong tag", "two versions", "versioned", "absolute",
        "another performer", "something contained"])
def test_what_the_lookup_proves_is_changed_in_that_version(gateway, issuer, answer):
    looked_up(gateway, *answer)
    got, _ = passed(gateway, change(gateway, "DELETE", MINE, issuer.patient()), probes=[MINE])
    assert got.header("if-match") == 'W/"3"'


# What the lookup carries.

def test_the_lookup_carries_nothing_of_the_client(gateway, issuer):
    """Not the token, and nothing that would make the server answer with less."""
    holds(gateway, OWN)
    sent = [("cookie", "a=b"), ("range", "bytes=0-9"), ("if-none-match", "*"), ("x-anything", "1"),
            ("x-phiward-patient", "ben"), ("accept", "application/fhir+json"), ("prefer", "return=minimal")]
    response = change(gateway, "PUT", "Observation/none", issuer.patient(), *sent)
    gateway.allowed(response, probes=["Observation/none"])


def test_the_lookup_carries_the_token_where_the_server_gets_it(listen, configuration, issuer):
    changed = configuration()
    changed["forward"] = {"token": "keep"}
    keeping = listen("writes-keeping", changed, hardened=False)
    holds(keeping, OWN)
    token = issuer.patient()
    keeping.upstream.requests.clear()
    assert change(keeping, "DELETE", MINE, token).status == 200
    assert [(one.method, one.header("authorization")) for one in keeping.upstream.requests] == [
        ("GET", f"Bearer {token}"), ("DELETE", f"Bearer {token}")]


def test_without_a_cluster_nothing_stored_is_changed(listen, configuration, issuer):
    changed = configuration()
    del changed["fhir"]["cluster"]
    blind = listen("writes-blind", changed, hardened=False)
    holds(blind, OWN)
    token = issuer.patient()
    for method in ("PUT", "PATCH", "DELETE"):
        response = change(blind, method, MINE, token)
        blind.refused(response, 403, "probe_unconfigured", method=method)
    blind.allowed(write(blind, "POST", "Observation", token, OWN))
    blind.refused(write(blind, "DELETE", "Observation?identifier=x", token), 403, "probe_unconfigured")
    blind.allowed(change(blind, "DELETE", MINE, issuer.clinician()))


def test_with_a_cluster_that_envoy_does_not_know_nothing_is_changed(listen, configuration, issuer):
    changed = configuration()
    changed["fhir"]["cluster"] = "elsewhere"
    lost = listen("writes-lost", changed, hardened=False)
    lost.refused(change(lost, "PUT", MINE, issuer.patient()), 503, "probe_failed")


def test_with_a_cluster_that_is_down_nothing_is_changed(listen, configuration, issuer):
    changed = configuration()
    changed["fhir"]["cluster"] = "nobody"
    down = listen("writes-down", changed, hardened=False)
    down.refused(change(down, "PUT", MINE, issuer.patient()), 503, "probe_failed")


# While it is under way.

def test_every_worker_looks_up_before_it_writes(gateway, issuer, envoy):
    holds(gateway, OWN, FOREIGN)
    token, workers = issuer.patient(), set()
    for _ in range(20):
        gateway.client.close()
        response = change(gateway, "PUT", MINE, token)
        workers.add(passed(gateway, response, probes=[MINE])[1]["id"].partition("-")[0])
        response = change(gateway, "PUT", "Observation/ben-1", token)
        gateway.refused(response, 403, "compartment_not_member", probes=["Observation/ben-1"])
    assert len(workers) == 2


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("trailers", [False, True], ids=["", "with trailers"])
def test_a_body_in_pieces_is_judged_whole_and_goes_on_as_it_came(gateway, issuer, protocol, trailers):
    holds(gateway, OWN)
    token, good, bad = issuer.patient(), json.dumps(OWN, indent=1).encode(), json.dumps(
        observation("ann-1", performer=[{"reference": "Patient/ben"}])).encode()

    def put(body):
        parts = [body[at:at + 7] for at in range(0, len(body), 7)]
        if protocol == "HTTP/2":
            h2 = gateway.over(http2.Client(gateway.client.port))
            return h2.send("PUT", f"/fhir/{MINE}", token, [FHIR_JSON], parts,
                           trailers=[("x-checksum", "1")] if trailers else ())
        data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        end = b"0\r\n" + (b"x-checksum: 1\r\n" if trailers else b"") + b"\r\n"
        return gateway.send("PUT", f"/fhir/{MINE}", token, [FHIR_JSON, CHUNKED], data + end)

    got, _ = passed(gateway, put(good), probes=[MINE])
    assert got.body == good
    gateway.refused(put(bad), 403, "write_other_patient")


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_a_client_that_leaves_while_the_lookup_is_under_way_changes_nothing(
        gateway, issuer, envoy, protocol):
    asked, released = threading.Event(), threading.Event()

    def slowly(request):
        asked.set()
        released.wait(5)
        return ok(STORED)

    gateway.upstream.reply = slowly
    request_id = f"leaves-{protocol}-{time.monotonic()}"
    headers = [("x-request-id", request_id)]
    if protocol == "HTTP/2":
        client = http2.Client(gateway.client.port, timeout=0.5)
        threading.Thread(target=_quietly, args=(client, headers, issuer.patient())).start()
        assert asked.wait(5)
        time.sleep(0.7)
    else:
        client = Client(gateway.client.port)
        client.begin(message("DELETE", f"/fhir/{MINE}", client.port, headers, token=issuer.patient()))
        assert asked.wait(5)
        client.close()
    record = envoy.audit(request_id)
    released.set()
    time.sleep(0.3)
    assert [one.method for one in gateway.upstream.requests] == ["GET"]
    assert (record["decision"], record["reason"]) == ("error", "request_not_decided"), record
    holds(gateway, OWN)
    passed(gateway, change(gateway, "DELETE", MINE, issuer.patient()), probes=[MINE])


def _quietly(client, headers, token):
    try:
        client.request("DELETE", f"/fhir/{MINE}", headers, token=token)
    except Exception:  # it leaves
        pass


def test_a_token_that_is_revoked_while_the_lookup_is_under_way_changes_nothing(
        gateway, issuer, revocations):
    token, asked, released = issuer.patient(jti="leaving-early"), threading.Event(), threading.Event()

    def slowly(request):
        if request.target != f"/fhir/{MINE}":
            return ok(OUTCOME)
        asked.set()
        released.wait(4)
        return ok(STORED)

    gateway.upstream.reply = slowly
    answered = []
    with Client(gateway.client.port) as client:
        patient = gateway.over(client)
        thread = threading.Thread(target=lambda: answered.append(change(patient, "DELETE", MINE, token)))
        thread.start()
        try:
            assert asked.wait(5)
            revocations.revoke(jti="leaving-early")
            deadline = time.monotonic() + 3.5
            while any(one.status != 401 for one in gateway.get_everywhere("/fhir/Patient/ann", token)):
                assert time.monotonic() < deadline
        finally:
            released.set()
            thread.join()
            revocations.set()
    assert [(one.status, one.reason) for one in answered] == [(401, "token_revoked")]
    assert {one.method for one in gateway.upstream.requests} == {"GET"}


# Bodies that are too long to be held.

def test_a_body_is_held_up_to_envoys_limit(gateway, shipped, issuer):
    for front in (gateway, shipped):
        holds(front, OWN)
        token = issuer.patient()
        long = {**OWN, "note": [{"text": "x" * 3_000_000}]}
        passed(front, write(front, "PUT", MINE, token, long), probes=[MINE])
        for headers, body in (([], _long()), ([CHUNKED], b"%x\r\n%s\r\n0\r\n\r\n" % (len(_long()), _long()))):
            response = front.exchange(_despite_reset([FHIR_JSON, *headers], body, token), token)
            assert response.status == 413
            assert front.upstream.with_id(response.header("x-request-id")) == []
            record = front.envoy.audit(response.header("x-request-id"))
            assert (record["decision"], record["outcome"]["status"]) == ("error", 413), record
        holds(front, OWN)
        clinician = write(front, "PUT", MINE, issuer.clinician(), _long())
        front.allowed(clinician)


def _long():
    return json.dumps({**OWN, "note": [{"text": "x" * 20_000_000}]}).encode()


def _despite_reset(headers, body, token):
    """Sends a body of which the rest may be turned away, and reads the answer."""
    def talk(client, request_id):
        data = message("PUT", f"/fhir/{MINE}", client.port, [("x-request-id", request_id), *headers], body, token)
        with Client(client.port) as other:
            other.begin(data)
            return other.end()
    return talk


# Settings.

def test_who_only_observes_looks_up_and_lets_everything_through(listen, configuration, issuer):
    observing = listen("writes-observing", {**configuration(), "mode": "observe"}, hardened=False)
    holds(observing, OWN, FOREIGN)
    for target, would, reason in (
            (MINE, "allow", "allowed"), ("Observation/ben-1", "deny", "compartment_not_member")):
        observing.upstream.requests.clear()
        response = change(observing, "PATCH", target, issuer.patient())
        assert response.status == 200
        lookup, got = observing.upstream.requests
        assert (lookup.method, got.method, got.body) == ("GET", "PATCH", PATCH)
        assert (got.header("if-match"), got.header("accept")) == (None, None)
        record = observing.envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["would"], record["reason"]) == ("allow", would, reason)
