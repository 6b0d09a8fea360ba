"""Memory: what clients can make the filter hold is bounded; and should a VM run out of it all the same, its
requests are refused, nothing passes unchecked, and it comes back."""

import json
import threading
import time
from collections import Counter

import pytest

from gateway import BASE, Clients, Gateway, Issuer, fresh_id
from hostile import CHUNKED, FHIR_JSON, FOREIGN, MARK, OWN, ok, shows
from lab import envoy as lab_envoy
from lab.access_logs import varint
from lab.http import Client, NoResponse, message
from lab.servers import Revocations, Upstream
from lab.tokens import Key
from test_revocation import until

READ, BOB = "/fhir/Patient/ann", "/fhir/Patient/bob"
MINE = "/fhir/Observation/ann-1"
MEGABYTE = 1 << 20
BODY = 12 * MEGABYTE  # of at most 16 that the shipped Envoy holds
HELD = 128 * MEGABYTE  # by one worker
WORKERS, CLIENTS = 2, 28


class Own:
    """An Envoy of its own with two workers, and everything around it."""

    def __init__(self, folder, wasm=None, adjust=None):
        self.issuer, self.list, self.upstream = Issuer(Key("ES256", "own")), Revocations(), Upstream()
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.issuer.jwks.port, "revocations": self.list.port})
        document = lab_envoy.configuration(
            BASE, self.issuer.name, self.issuer.jwks.jwks_url, self.list.list_url)
        document["issuers"][0]["jwks"]["refresh"] = "5m"
        port = self.envoy.listen("own", document, wasm=wasm, hardened=False, adjust=adjust)
        self.gateway = Gateway(self.envoy, port, self.upstream)

    def judges(self, seconds=30):
        """Waits until every worker judges as usual."""
        def is_right():
            token = self.issuer.patient()
            for _ in range(20):
                with Client(self.gateway.client.port) as client:
                    if client.get(READ, token).status != 200 or client.get(BOB, token).status != 403:
                        return False
            return True

        until(is_right, seconds)

    def stop(self):
        for server in self.envoy, self.upstream, self.list, self.issuer.jwks:
            server.stop()


@pytest.fixture(scope="module")
def own(wasm, tmp_path_factory):
    made = Own(tmp_path_factory.mktemp("memory"))
    try:
        made.judges()
        yield made
        assert made.envoy.wasm_vm_reloads() == 0, made.envoy.log
        assert made.envoy.skipped_filters() == 0, made.envoy.log
    finally:
        made.stop()


def update(patient="ann"):
    return json.dumps({**OWN, "subject": {"reference": f"Patient/{patient}"},
                       "note": [{"text": "x" * BODY}]}).encode()


def at_once(own, requests):
    """Sends these requests at the same time, each on its own connection. Gives the threads that do, and the list
    in which answer and id of each will be."""
    answers = [None] * len(requests)

    def send(place, method, target, token, headers, body):
        request_id = fresh_id()
        with Client(own.gateway.client.port, timeout=60) as client:
            answer = client.request(method, target, [("x-request-id", request_id), *headers], body, token)
        answers[place] = answer, request_id

    threads = [threading.Thread(target=send, args=(place, *one)) for place, one in enumerate(requests)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_bodies_that_wait_for_a_lookup_are_bounded(own):
    """28 updates of 12 MB at the same time, whose stored resources take their time. As many as there is room for
    wait; who comes after is told to try again, and no other request is held up."""
    may_go = threading.Event()

    def reply(request):
        if request.method == "GET" and request.target == MINE:
            may_go.wait(20)
        return ok({**OWN, "meta": {"versionId": "3"}}) if request.target == MINE else ok(OWN)

    own.upstream.reply = reply
    body, token = update(), own.issuer.patient()
    threads, answers = at_once(own, [("PUT", MINE, token, [FHIR_JSON], body)] * CLIENTS)
    # All came, or were refused: nobody can wait for less than the five seconds of a lookup.
    until(lambda: sum(one is not None for one in answers) + lookups(own) >= CLIENTS, 60)
    own.gateway.refused(own.gateway.get(BOB, token), 403, "compartment_other_patient")
    may_go.set()
    for thread in threads:
        thread.join()
    seen = Counter((answer.status, answer.reason) for answer, _ in answers)
    # On a machine that stands still a lookup may take too long.
    assert set(seen) <= {(200, None), (503, "held_enough"), (503, "probe_failed")}, seen
    assert 0 < seen[200, None] <= WORKERS * HELD // BODY
    assert seen[503, "held_enough"] >= CLIENTS - WORKERS * HELD // BODY > 0, seen
    for answer, request_id in answers:
        record = own.envoy.audit(request_id)
        assert (record["outcome"]["status"], record["reason"]) == (answer.status, answer.reason or "allowed")
        written = [one for one in own.upstream.with_id(request_id) if one.method == "PUT"]
        assert len(written) == (answer.status == 200)
    own.upstream.clear()
    own.judges()


def lookups(own):
    return sum(one.method == "GET" and one.target == MINE for one in own.upstream.requests)


def test_bodies_of_clients_that_nobody_knows_are_bounded_and_leave_room_for_others(own):
    """28 updates of 12 MB under a key that nobody has, while the key set is slow."""
    stranger = Key("ES256", "nobody-has-this")
    tokens = [own.issuer.patient(key=stranger) for _ in range(CLIENTS)]
    own.issuer.jwks.mode, own.issuer.jwks.delay = "slow", 3
    time.sleep(3.6)  # a younger set is believed: nobody would wait
    body = update()
    threads, answers = at_once(own, [("PUT", MINE, token, [FHIR_JSON], body) for token in tokens])
    own.upstream.reply = lambda _: ok({**OWN, "meta": {"versionId": "3"}})
    known, _ = at_once(own, [("PUT", MINE, own.issuer.patient(), [FHIR_JSON], body)] * 2)
    for thread in threads + known:
        thread.join()
    own.issuer.jwks.mode = "ok"
    seen = Counter((answer.status, answer.reason) for answer, _ in answers)
    assert set(seen) <= {(503, "held_enough"), (503, "keys_on_their_way"), (401, "token_invalid")}, seen
    assert seen[503, "held_enough"] > 0, seen
    for answer, request_id in answers:
        record = own.envoy.audit(request_id)
        assert record["outcome"]["status"] == answer.status and "who" not in record
        assert own.upstream.with_id(request_id) == []
    own.upstream.clear()
    own.judges()


def test_the_largest_legal_messages_on_many_streams_leave_memory_where_it_was(own):
    """Rounds of 16 answers and 16 updates of 12 MB at the same time, allowed and refused by turns. After the first
    rounds the process grows no more."""
    token, sizes = own.issuer.patient(), []
    texts = {one: json.dumps({**resource, "meta": {"versionId": "3"}, "note": [{"text": "x" * BODY}]}).encode()
             for one, resource in ((MINE, OWN), ("/fhir/Observation/ben-1", FOREIGN))}
    own.upstream.reply = lambda request: (
        (200, [FHIR_JSON], texts[request.target]) if request.method == "GET" and request.header("x-request-id")
        else ok({**OWN, "meta": {"versionId": "3"}}))
    good, bad = update(), update("bob")
    requests = [("GET", target, token, [], b"") for target in texts] * 4 + [
        ("PUT", MINE, token, [FHIR_JSON], body) for body in (good, bad)] * 4
    for _ in range(5):
        threads, answers = at_once(own, requests)
        for thread in threads:
            thread.join()
        seen = Counter((answer.status, answer.reason) for answer, _ in answers)
        assert set(seen) <= {(200, None), (403, "compartment_not_member"), (403, "write_not_member"),
                             (503, "held_enough")}, seen
        assert seen[403, "compartment_not_member"] == 4 and seen[200, None] >= 4, seen
        own.upstream.requests.clear()
        sizes.append(own.envoy.resident_bytes() // MEGABYTE)
    own.upstream.clear()
    own.judges()
    # One VM's memory for judging one of them is some 60 MB, and it keeps what it had.
    assert max(sizes[2:]) - sizes[1] < 250, sizes
    assert sizes[-1] < 1_500, sizes


# A VM that runs out of memory.

def with_less_memory(wasm, more_pages):
    """The filter with a memory that can't grow by more than so many pages of 64 KiB: what it can't have ends in
    a trap, as at the end of what Envoy gives a VM."""
    text, at = bytearray(wasm.read_bytes()), 8
    while text[at] != MEMORY:
        size, at = varint(text, at + 1)
        at += size
    size, start = varint(text, at + 1)
    flags = text[start + 1]
    pages, _ = varint(text, start + 2)
    assert (text[start], flags) == (1, 0), "one memory without an end"
    body = bytes([1, 1]) + leb128(pages) + leb128(pages + more_pages)
    text[at:start + size] = bytes([MEMORY]) + leb128(len(body)) + body
    return bytes(text)


def leb128(value):
    parts = []
    while True:
        value, low = value >> 7, value & 0x7f
        if not value:
            return bytes([*parts, low])
        parts.append(low | 0x80)


MEMORY = 5  # the section


@pytest.fixture(scope="module")
def small(wasm, tmp_path_factory):
    """A VM that can't hold an answer of 12 MB."""
    folder = tmp_path_factory.mktemp("small")
    poor = folder / "poor.wasm"
    poor.write_bytes(with_less_memory(wasm, 128))

    def adjust(manager):
        manager["stream_idle_timeout"] = "3s"

    made = Own(folder, wasm=poor, adjust=adjust)
    try:
        made.judges()
        yield made
        assert made.envoy.skipped_filters() == 0, made.envoy.log
    finally:
        made.stop()


class Intruders(Clients):
    """Clients that try all the time, on new connections, to read what they may not."""

    def __init__(self, own):
        super().__init__(3)
        self.own, self.answers = own, Counter()
        bob, ann = own.issuer.patient("bob"), own.issuer.patient()
        self.kinds = [(READ, None), (READ, "x.y.z"), (BOB, ann), (READ, bob)]

    def knock(self):
        for number, (target, token) in enumerate(self.kinds):
            try:
                with Client(self.own.gateway.client.port) as client:
                    response = client.get(target, token, headers=[("x-which", "intruder")])
                self.answers[number, response.status] += 1
            except NoResponse:
                self.answers[number, None] += 1


def huge(own, resource):
    """From now on the FHIR server answers this and 12 MB more."""
    text = json.dumps({**resource, "note": [{"text": MARK + "x" * BODY}]}).encode()
    own.upstream.reply = lambda _: (200, [FHIR_JSON], text)


def test_a_vm_that_runs_out_of_memory_comes_back_and_lets_nothing_through_meanwhile(small):
    huge(small, FOREIGN)
    assert small.envoy.wasm_vm_reloads() == 0
    with Intruders(small) as intruders:
        for _ in range(6):
            small.gateway.client.close()
            response = seen(small, "/fhir/Observation/ben-1")
            assert response is None or response.status >= 500 and not shows(response, MARK), response
        until(lambda: sum(intruders.answers.values()) > 100, 30)
    theirs = [one for one in small.upstream.requests if one.header("x-which") == "intruder"]
    assert theirs == [], "something of theirs went on"
    assert {status for _, status in intruders.answers} <= {401, 403, 503, None}, intruders.answers
    assert small.envoy.wasm_vm_reloads() > 0
    small.upstream.clear()
    small.judges()
    assert small.envoy.stats("wasm[.]phiward[.]").get("wasm.phiward.vm_reload_success", 0) > 0
    small.gateway.allowed(small.gateway.get(READ, small.issuer.patient()))


def seen(own, target):
    try:
        return own.gateway.client.get(target, own.issuer.patient())
    except NoResponse:
        return None


@pytest.mark.parametrize("where", ["request body", "lookup"])
def test_it_may_run_out_of_memory_anywhere(small, where):
    """Reading a body, or what was looked up: nothing is written."""
    text = update()
    small.upstream.reply = lambda request: ok({**OWN, "meta": {"versionId": "3"}}) if where == "request body" else (
        200, [FHIR_JSON, CHUNKED], [b"%x\r\n%s\r\n" % (len(text), text), b"0\r\n\r\n"])
    before = small.envoy.wasm_vm_reloads()
    with Client(small.gateway.client.port, timeout=30) as client:
        body = text if where == "request body" else json.dumps(OWN).encode()
        try:
            response = client.request("PUT", MINE, [FHIR_JSON, ("x-request-id", fresh_id())], body,
                                      small.issuer.patient())
            assert response.status >= 500 or response.status == 408, response
        except NoResponse:
            pass
    assert small.envoy.wasm_vm_reloads() > before
    assert [one.method for one in small.upstream.requests if one.method != "GET"] == []
    small.upstream.clear()
    small.judges()


def test_requests_that_wait_on_the_worker_that_ran_out_end_too(small):
    """A lookup of theirs is under way, to whose answer nobody listens any more: `stream_idle_timeout` ends them."""
    may_go = threading.Event()
    huge_text = json.dumps({**FOREIGN, "note": [{"text": MARK + "x" * BODY}]}).encode()

    def reply(request):
        if request.target == MINE:
            may_go.wait(20)
            return ok({**OWN, "meta": {"versionId": "3"}})
        return 200, [FHIR_JSON], huge_text

    small.upstream.reply = reply
    waiting = [Client(small.gateway.client.port, timeout=30) for _ in range(12)]
    token = small.issuer.patient()
    for client in waiting:
        client.begin(message("DELETE", MINE, client.port, [("x-request-id", fresh_id())], b"", token))
    until(lambda: len(small.upstream.requests) >= 12, 15)
    before = small.envoy.wasm_vm_reloads()
    for _ in range(12):
        small.gateway.client.close()
        seen(small, "/fhir/Observation/ben-1")
    assert small.envoy.wasm_vm_reloads() > before
    answers = [client.end() for client in waiting]
    may_go.set()
    for client in waiting:
        client.close()
    assert {answer.status for answer in answers} <= {408, 500, 503, 504}, answers
    assert {one.method for one in small.upstream.requests} == {"GET"}, "nothing was deleted"
    small.upstream.clear()
    small.judges()
