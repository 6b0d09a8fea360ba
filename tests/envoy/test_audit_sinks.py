"""Audit records arrive at the servers they are sent to, whatever happens to those servers and to Envoy:
each at least once, and equal to what was written."""

import json
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import Gateway, fresh_id
from lab import envoy as lab_envoy, tokens
from lab.fhir_server import FhirServer
from lab.http import Client
from lab.processes import free_port
from lab.receivers import BINARY, KINDS, Receiver
from lab.servers import Collector
from test_revocation import until

READ = "/fhir/Patient/ann"
OVER_HTTP = sorted(name for name, kind in KINDS.items() if not kind.http2)
# Of such a search, by somebody with such roles, the record is longer than 10 kB: each takes one of the 64 slots of a
# queue of 1 MiB.
LONG = "/fhir/Observation?" + "&".join(f"code{number}-{'x' * 95}:missing=true" for number in range(64))
ROLES = [f"{'x' * 200}-{number}" for number in range(16)]
CHECKPOINT = '"schema":"phiward.audit.checkpoint/1"'
METRICS = "wasmcustom[.]phiward[.]audit[.]"


class House:
    """An Envoy of its own with two workers, and clusters for servers that take records: `pop()` one."""

    def __init__(self, folder, upstream, issuer, revocations, configuration, drain_seconds=1):
        self.upstream, self.issuer, self.configuration = upstream, issuer, configuration
        self.spare = [f"collector-{number}" for number in range(40)]
        clusters = {
            "fhir": upstream.port, "auth": issuer.jwks.port, "revocations": revocations.port,
            **{name: free_port() for name in (*KINDS, *self.spare)}}
        # What is replaced ends soon, unlike as usual.
        self.envoy = lab_envoy.Envoy(folder, clusters, more=("--drain-time-s", drain_seconds))

    def listen(self, name, audit, environment=None, ready=True, **more):
        """A listener with this section `audit`; `environment`: variables of its VM."""

        def adjust(manager):
            plugin = manager["http_filters"][0]["typed_config"]["config"]
            plugin["vm_config"]["environment_variables"] = {"key_values": environment or {}}

        port = self.envoy.listen(
            name, {**self.configuration(), "audit": audit}, hardened=False, adjust=adjust, **more)
        gate = Gateway(self.envoy, port, self.upstream)
        if ready:
            until(lambda: all(self.is_ready(port) for _ in range(20)), 15)
        return gate

    def is_ready(self, port):
        with Client(port) as client:
            return client.get(READ, self.issuer.patient()).status != 503

    def logged(self, mark=lab_envoy.AUDIT_MARK):
        """Every line of Envoy's log with this mark, from its brace on."""
        lines = self.envoy.log.read_text(errors="replace").split("\n")
        return [line[line.index("{"):] for line in lines if mark in line]

    def told(self, text):
        """How often Envoy's log has this text."""
        return self.envoy.log.read_text(errors="replace").count(text)

    def calls(self, cluster):
        """Envoy's own counters of a cluster."""
        prefix = f"cluster.{cluster}."
        stats = self.envoy.stats(prefix.replace(".", "[.]"))
        return Counter({name.removeprefix(prefix): value for name, value in stats.items()})


@pytest.fixture(scope="module")
def house(wasm, upstream, issuer, revocations, configuration, tmp_path_factory):
    made = House(tmp_path_factory.mktemp("sinks"), upstream, issuer, revocations, configuration)
    with made.envoy:
        yield made
        assert made.envoy.wasm_vm_reloads() == 0, made.envoy.log
        assert made.envoy.skipped_filters() == 0, made.envoy.log
        log = made.envoy.log.read_text(errors="replace")
        assert not [secret for secret in tokens.secrets + tokens.signed if secret in log]


@pytest.fixture
def collector(house):
    """A server that takes records, and the name of its cluster."""
    name = house.spare.pop()
    with Collector(house.envoy.clusters[name]) as server:
        server.cluster = name
        yield server


@pytest.fixture(autouse=True)
def no_listener_left(request):
    """Each test's listeners go with it."""
    yield
    if "house" in request.fixturenames:
        house = request.getfixturevalue("house")
        for name in house.envoy.listeners():
            house.envoy.unlisten(name)


def to(server, **more):
    """The section of a sink for this server."""
    return {"cluster": server.cluster, "url": f"{server.url}/records", **more}


def ask(gate, token, count=20, target=READ, status=200, clients=4):
    """Sends so many requests over several connections, so that every worker has some of them; their
    ids."""

    def some(number):
        ids = []
        with Client(gate.client.port) as client:
            for _ in range(number, count, clients):
                answer = client.request("GET", target, [("x-request-id", fresh_id())], token=token)
                assert answer.status == status, answer
                ids.append(answer.header("x-request-id"))
        return ids

    with ThreadPoolExecutor(clients) as pool:
        return {one for ids in pool.map(some, range(clients)) for one in ids}


def has(records, ids):
    """Whether each of these requests has its record there."""
    return ids <= {record.get("request_id") for record in records}


def unique(records):
    """The records by id; those of one id are equal."""
    found = {}
    for record in records:
        assert found.setdefault(record["id"], record) == record
    return found


def whole(records):
    """Proves that the streams in these records have no gap up to the last that came, and gives them by
    id."""
    found = unique(records)
    streams = {}
    for ident in found:
        stream, _, count = ident.partition("-")
        streams.setdefault(stream, set()).add(int(count))
    for stream, counts in streams.items():
        assert counts == set(range(1, max(counts) + 1)), (stream, sorted(set(range(1, max(counts))) - counts))
    return found


def same_as_logged(house, records):
    """Proves that these are the records in Envoy's log, of the streams that are in them."""
    found = whole(records)
    streams = {ident.partition("-")[0] for ident in found}
    logged = unique(record for record in house.envoy.audits() if record["id"].partition("-")[0] in streams)
    assert {ident: logged[ident] for ident in found} == found
    return found


# Each shape.

@pytest.mark.skipif(not BINARY.exists(), reason="no log collectors: run `lab/setup receivers` (Linux only)")
@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_real_collector_has_what_the_log_has(house, issuer, kind, tmp_path):
    with Receiver(kind, tmp_path, house.envoy.clusters[kind]) as receiver:
        shape = "json" if kind == "fluent-bit-http" else KINDS[kind].shape
        section = {"cluster": kind, "url": receiver.url, "shape": shape}
        if shape == "splunk_hec":
            section["authorization"] = "HEC_TOKEN"
        gate = house.listen("real", {"sinks": ["log", "collector"], "collector": section},
                            {"HEC_TOKEN": f"Splunk {receiver.token}"})
        ids = ask(gate, issuer.patient()) | ask(gate, issuer.patient(), 4, "/fhir/Patient/ben", 403)
        ids |= ask(gate, None, 4, status=401) | ask(gate, issuer.patient(), 2, LONG)
        records = receiver.wait_for(lambda records: has(records, ids))
        found = same_as_logged(house, records)
        assert len({ident.partition("-")[0] for ident in found}) == 2, "both workers"
        assert Counter(record.get("request_id") for record in found.values() if record.get("request_id") in ids) == (
            Counter(ids))


def test_ecs_documents_arrive_for_every_record(house, issuer, collector):
    audit = {"sinks": ["log", "collector"], "collector": to(collector, shape="ecs")}
    gate = house.listen("ecs", audit)
    ids = ask(gate, issuer.patient())
    until(lambda: ids <= {one["http"]["request"].get("id") for one in collector.records()}, 15)
    logged = unique(house.envoy.audits())
    for document in collector.records():
        record = logged[document["event"]["id"]]
        assert document["@timestamp"] == record["time"]
        assert document["event"]["reason"] == record["reason"]
    (_, batch) = collector.batches[0]
    assert batch.header("content-type") == "application/x-ndjson"


def test_a_batch_says_what_it_is_and_who_sends_it(house, issuer, collector):
    secret = f"Bearer {uuid.uuid4()}"
    tokens.secrets.append(secret)
    audit = {"sinks": ["collector"], "collector": to(collector, authorization="WHO")}
    ids = ask(house.listen("who", audit, {"WHO": secret}), issuer.patient())
    until(lambda: has(collector.records(), ids), 15)
    for _, batch in collector.batches:
        assert (batch.method, batch.target) == ("POST", "/records")
        assert batch.header("content-type") == "application/x-ndjson"
        assert batch.header("authorization") == secret
        assert batch.header("host") == f"127.0.0.1:{collector.port}"


# Nothing is lost.

def test_what_was_recorded_while_the_collector_was_down_arrives_when_it_is_up(house, issuer, collector):
    collector.stop()
    gate = house.listen("down", {"sinks": ["collector"], "collector": to(collector)})
    ids = ask(gate, issuer.patient(), 200)
    until(lambda: house.told("audit sink `collector` does not take records: status 503 of the server, or of Envoy"), 10)
    time.sleep(3)
    calls = house.calls(collector.cluster)
    assert 0 < calls["upstream_rq_total"] + calls["upstream_rq_pending_failure_eject"] < 40, calls
    collector.start_again()
    until(lambda: has(collector.records(), ids), 30)
    whole(collector.records())
    assert collector.statuses() == [200] * len(collector.batches)
    until(lambda: house.told("audit sink `collector` takes records again"), 5)


def test_a_collector_that_dies_in_the_middle_gets_everything_in_the_end(house, issuer, collector):
    gate = house.listen("dies", {"sinks": ["collector"], "collector": to(collector)})
    ids = ask(gate, issuer.patient(), 100)
    with ThreadPoolExecutor(1) as pool:
        more = pool.submit(ask, gate, issuer.patient(), 1000)
        for _ in range(3):
            time.sleep(0.5)
            collector.stop()
            time.sleep(0.5)
            collector.start_again()
        ids |= more.result()
    until(lambda: has(collector.records(), ids), 60)
    whole(collector.records())


def test_an_answer_that_is_lost_costs_a_second_copy_and_no_record(house, issuer, collector):
    lost = []

    def lose(request):
        if len(lost) < 2:
            lost.append(request)
            return None
        return 200

    collector.reply = lose
    gate = house.listen("lost", {"sinks": ["collector"], "collector": to(collector)})
    ids = ask(gate, issuer.patient(), 50)
    until(lambda: has(collector.records(), ids), 30)
    taken = [json.loads(line) for request in lost for line in request.body.decode().splitlines()]
    assert taken and {one["id"] for one in taken} <= whole(collector.records()).keys()


def test_a_slow_collector_holds_nobody_up(house, issuer, collector):
    def slow(_):
        time.sleep(3)
        return 200

    collector.reply = slow
    gate = house.listen("slow", {"sinks": ["collector"], "collector": to(collector)})
    before = time.monotonic()
    ids = ask(gate, issuer.patient(), 200)
    assert time.monotonic() - before < 20
    until(lambda: has(collector.records(), ids), 30)
    assert len(whole(collector.records())) == len(collector.records()), "none came twice"


@pytest.mark.skipif(not BINARY.exists(), reason="no log collectors: run `lab/setup receivers` (Linux only)")
def test_a_collector_that_stands_still_has_everything_when_it_goes_on(house, issuer, tmp_path):
    with Receiver("tenzir-http", tmp_path, house.envoy.clusters["tenzir-http"]) as receiver:
        section = {"cluster": "tenzir-http", "url": f"{receiver.url}paused", "timeout": "2s"}
        gate = house.listen("paused", {"sinks": ["collector"], "collector": section})
        receiver.pause()
        ids = ask(gate, issuer.patient(), 100)
        time.sleep(4)
        receiver.resume()
        whole(receiver.wait_for(lambda records: has(records, ids), 30))


@pytest.mark.parametrize("status", [500, 429, 401, 403, 404, 302])
def test_what_the_collector_does_not_take_now_is_kept_and_told_once(house, issuer, collector, status):
    collector.reply = lambda _: status
    gate = house.listen(f"later-{status}", {"sinks": ["collector"], "collector": to(collector)})
    text = f"audit sink `collector` does not take records: status {status}"
    before = house.told(text)
    ids = ask(gate, issuer.patient(), 50)
    time.sleep(4)
    refused = len(collector.batches)
    assert 1 < refused <= 20, "one after another, ever more seldom"
    collector.reply = None
    until(lambda: has(collector.records(), ids), 30)
    whole(collector.records())
    assert house.told(text) == before + 1
    assert not ids & {one.get("request_id") for one in house.envoy.audits()}, "none of it is in the log"


@pytest.mark.parametrize("status", [400, 413])
def test_what_the_collector_will_never_take_is_in_the_log_and_the_rest_goes_on(house, issuer, collector, status):
    collector.reply = lambda _: status
    gate = house.listen("never", {"sinks": ["collector"], "collector": to(collector)})
    refused = ask(gate, issuer.patient(), 50)
    until(lambda: has(house.envoy.audits(), refused), 15)
    collector.reply = None
    taken = ask(gate, issuer.patient(), 50)
    until(lambda: has(collector.records(), taken), 15)
    at_once = unique(collector.records())
    streams = {ident.partition("-")[0] for ident in at_once}
    logged = [one for one in house.envoy.audits() if one["id"].partition("-")[0] in streams]
    assert not at_once.keys() & {one["id"] for one in logged}
    whole([*at_once.values(), *logged])
    assert house.told(f"status {status}; they are in this log instead")


@pytest.mark.parametrize("body", [b"", b"\x00\xff{]not json" * 50, b"<html>Log in</html>", b"{" * 5000])
def test_whatever_a_collector_says_with_200_it_has_the_records(house, issuer, collector, body):
    collector.reply = lambda _: (200, [("content-type", "application/json")], body)
    ids = ask(house.listen("garbage", {"sinks": ["collector"], "collector": to(collector)}), issuer.patient())
    until(lambda: has(collector.records(), ids), 15)
    time.sleep(1.5)
    assert len(unique(collector.records())) == len(collector.records()), "none is sent again"


def test_a_cluster_that_is_missing_is_told_and_nothing_is_lost(house, issuer):
    section = {"cluster": "no-such-cluster", "url": "http://127.0.0.1:1/records"}
    gate = house.listen("missing", {"sinks": ["collector"], "collector": section})
    ids = ask(gate, issuer.patient())
    until(lambda: house.told("does not take records: no cluster `no-such-cluster`"), 10)
    assert not has(house.envoy.audits(), ids)
    house.envoy.unlisten("missing")
    until(lambda: has(house.envoy.audits(), ids), 15)


# When the queue is full.

def fill(gate, token, until_full, most=400):
    """Sends requests with long records until `until_full(answer)`; ids of those that were let in."""
    ids = set()
    with Client(gate.client.port) as client:
        for _ in range(most):
            answer = client.request("GET", LONG, [("x-request-id", fresh_id())], token=token)
            if until_full(answer):
                return ids, answer
            assert answer.status == 200, answer
            ids.add(answer.header("x-request-id"))
            if len(ids) % 10 == 0:
                client.close()
    return ids, None


def test_what_a_full_queue_can_not_hold_is_in_the_log(house, issuer, collector):
    collector.stop()
    gate = house.listen("spill", {"sinks": ["collector"], "collector": to(collector, queue_mib=1)})
    ids, _ = fill(gate, issuer.patient(roles=ROLES), lambda _: False, most=150)
    spilled = {one["request_id"] for one in house.envoy.audits() if one.get("request_id") in ids}
    assert 80 < len(spilled) < 100, len(spilled)
    collector.start_again()
    until(lambda: has(collector.records(), ids - spilled), 60)
    kept = {one.get("request_id") for one in collector.records()}
    assert not kept & spilled, "each is in one place"
    later = ask(gate, issuer.patient())
    until(lambda: has(collector.records(), later), 30)
    streams = {one["id"].partition("-")[0] for one in collector.records()}
    whole(collector.records() + [one for one in house.envoy.audits() if one["id"].partition("-")[0] in streams])


def test_no_request_is_let_in_that_can_not_be_recorded(house, issuer, upstream, collector):
    collector.stop()
    audit = {"sinks": ["collector"], "when_full": "refuse", "collector": to(collector, queue_mib=1)}
    gate = house.listen("refuse", audit)
    ids, refused = fill(gate, issuer.patient(roles=ROLES), lambda answer: answer.status == 503)
    assert 30 < len(ids) < 60
    assert (refused.reason, refused.header("retry-after")) == ("audit_full", "1")
    before = len(upstream.requests)
    # Both workers know it by their next tick.
    time.sleep(1)
    more = ask(gate, issuer.patient(), 100, LONG, 503)
    assert len(upstream.requests) == before
    logged = {one.get("request_id"): one for one in house.envoy.audits()}
    assert not ids & logged.keys(), "what was let in is in the queue"
    collector.start_again()
    until(lambda: gate.get(READ, issuer.patient()).status == 200, 60)
    until(lambda: has(collector.records(), ids), 60)
    until(lambda: has(collector.records() + house.envoy.audits(), more), 30)
    records = {one.get("request_id"): one for one in collector.records() + house.envoy.audits()}
    assert {records[one]["reason"] for one in more} == {"audit_full"}
    assert {records[one]["decision"] for one in more} == {"error"}
    for _ in range(20):
        gate.client.close()
        until(lambda: gate.get(READ, issuer.patient()).status == 200, 5)


# Secrets.

SECRETS = {"hash_key": "HASH", "seal": {"key": "SEAL", "key_id": "2026-11"}}
GOOD = {"HASH": uuid.uuid4().hex, "SEAL": uuid.uuid4().hex, "WHO": f"Bearer {uuid.uuid4().hex}"}
tokens.secrets.extend(GOOD.values())


@pytest.mark.parametrize("environment", [
    {name: value for name, value in GOOD.items() if name != missing} for missing in GOOD
] + [{**GOOD, "HASH": GOOD["HASH"][:31]}, {**GOOD, "SEAL": GOOD["SEAL"][:31]}, {**GOOD, "SEAL": ""},
     {**GOOD, "WHO": "Bearer\nx"}], ids=lambda given: ",".join(f"{name}={len(given[name])}" for name in given))
def test_without_its_secrets_it_lets_nothing_in(house, issuer, upstream, collector, environment):
    audit = {"sinks": ["log", "collector"], **SECRETS, "collector": to(collector, authorization="WHO")}
    gate = house.listen("secrets", audit, environment, ready=False)
    before = len(upstream.requests)
    for answer in gate.on_every_worker(READ, issuer.patient()):
        gate.refused(answer, 503, "audit_secret_missing")
    assert len(upstream.requests) == before


def test_with_its_secrets_it_does(house, issuer, collector):
    audit = {"sinks": ["log", "collector"], **SECRETS, "collector": to(collector, authorization="WHO")}
    gate = house.listen("secrets", audit, GOOD)
    for answer in gate.on_every_worker(READ, issuer.patient()):
        assert answer.status == 200
        assert house.envoy.audit(answer.header("x-request-id"))["seal"]["key"] == "2026-11"


# Seals.

def test_what_arrives_is_sealed_and_counted(house, issuer, collector):
    audit = {"sinks": ["log", "collector"], "seal": {"key": "SEAL", "key_id": "2026-11", "every": "1s"},
             "collector": to(collector)}
    gate = house.listen("sealed", audit, GOOD)
    ids = ask(gate, issuer.patient(), 50)
    until(lambda: has(collector.records(), ids), 15)

    def counted():
        records = [one for one in collector.records() if "id" in one]
        most = Counter()
        for one in records:
            stream, _, count = one["id"].partition("-")
            most[stream] = max(most[stream], int(count))
        return most, Counter({one["stream"]: one["count"] for one in collector.records() if "stream" in one})

    until(lambda: len(counted()[0]) == 2 and counted()[0] == counted()[1], 15)
    streams = set(counted()[0])
    # The next instances send what the last ones left.
    house.listen("sealed", {**audit, "show": ["_id"]}, GOOD)
    until(lambda: streams <= {one["stream"] for one in collector.records() if one.get("last")}, 15)
    most, ends = counted()
    assert {stream: most[stream] for stream in streams} == {stream: ends[stream] for stream in streams}
    same_as_logged(house, [one for one in collector.records() if "id" in one])
    assert {one["seal"]["key"] for one in collector.records()} == {"2026-11"}
    tags = [one["seal"]["tag"] for one in unique(one for one in collector.records() if "id" in one).values()]
    assert len(set(tags)) == len(tags) and all(len(tag) == 22 for tag in tags)
    checkpoints = {line for line in collector.lines() if CHECKPOINT in line}
    assert checkpoints == {line for line in house.logged(CHECKPOINT) if line in checkpoints}
    assert len(checkpoints) >= 4


# Another configuration, and the end.

def test_a_password_that_a_new_configuration_mends_is_used_before_the_old_one_is_gone(
        wasm, issuer, upstream, revocations, configuration, tmp_path):
    """Envoy keeps old instances for ten minutes, and it may be one of them that sends."""
    house = House(tmp_path, upstream, issuer, revocations, configuration, drain_seconds=600)
    good, bad = f"Bearer {uuid.uuid4()}", f"Bearer {uuid.uuid4()}"
    with house.envoy, Collector(house.envoy.clusters["collector-0"]) as collector:
        collector.reply = lambda request: 200 if request.header("authorization") == good else 401
        collector.cluster = "collector-0"
        audit = {"sinks": ["collector"], "collector": to(collector, authorization="WHO")}
        gate = house.listen("mended", audit, {"WHO": bad})
        ids = ask(gate, issuer.patient())
        until(lambda: 401 in collector.statuses(), 10)
        time.sleep(2)
        gate = house.listen("mended", audit, {"WHO": good})
        ids |= ask(gate, issuer.patient())
        until(lambda: has(collector.records(), ids), 45)
        whole(collector.records())
        assert house.told("does not take records: status 401") == house.told("takes records again") == 1
        log = house.envoy.log.read_text()
        assert good not in log and bad not in log


def test_what_waits_goes_to_the_same_collector_under_another_configuration(house, issuer, collector):
    collector.stop()
    audit = {"sinks": ["collector"], "collector": to(collector)}
    gate = house.listen("reload", audit)
    ids = ask(gate, issuer.patient(), 100)
    time.sleep(2.5)
    ids |= ask(gate, issuer.patient(), 50)
    gate = house.listen("reload", {**audit, "show": ["_id"]})
    ids |= ask(gate, issuer.patient(), 50)
    time.sleep(4)  # the old instances are gone
    assert not has(house.envoy.audits(), ids)
    collector.start_again()
    until(lambda: has(collector.records(), ids), 60)
    whole(collector.records())


def test_what_waits_for_a_collector_that_is_left_is_in_the_log(house, issuer, collector):
    collector.stop()
    gate = house.listen("moved", {"sinks": ["collector"], "collector": to(collector)})
    old = ask(gate, issuer.patient(), 100)
    time.sleep(2.5)
    old |= ask(gate, issuer.patient(), 50)
    with Collector(house.envoy.clusters[cluster := house.spare.pop()]) as other:
        other.cluster = cluster
        gate = house.listen("moved", {"sinks": ["collector"], "collector": to(other)})
        new = ask(gate, issuer.patient(), 50)
        until(lambda: has(other.records(), new), 15)
        whole(other.records())
    until(lambda: has(house.envoy.audits(), old), 15)
    assert not has(house.envoy.audits(), new)


def test_what_was_sent_before_envoy_ends_is_not_in_the_log(
        wasm, issuer, upstream, revocations, configuration, tmp_path):
    """The orderly way: no more requests, two seconds, then the end."""
    house = House(tmp_path, upstream, issuer, revocations, configuration)
    with house.envoy, Collector(house.envoy.clusters["collector-0"]) as collector:
        collector.cluster = "collector-0"
        gate = house.listen("drains", {"sinks": ["collector"], "collector": to(collector)})
        ids = ask(gate, issuer.patient(), 100)
        house.envoy.admin("/drain_listeners", "POST")
        time.sleep(3)
        assert has(collector.records(), ids)
        house.envoy.end()
        whole(collector.records())
        assert house.envoy.audits() == []


@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_waits_when_envoy_ends_is_in_the_log(wasm, issuer, upstream, revocations, configuration, tmp_path, when):
    nobody = free_port()
    house = House(tmp_path, upstream, issuer, revocations, configuration)
    with house.envoy:
        section = {"cluster": house.spare[0], "url": f"http://127.0.0.1:{nobody}/records"}
        audit = {"sinks": ["collector"], "seal": SECRETS["seal"], "collector": section}
        gate = house.listen("ends", audit, GOOD)
        ids = ask(gate, issuer.patient(), 100)
        time.sleep(0 if when == "at once" else 3.5)
        ids |= ask(gate, issuer.patient(), 100)
        assert not has(house.envoy.audits(), ids)
        house.envoy.end()
        found = whole(house.envoy.audits())
        assert has(found.values(), ids)
        last = [json.loads(line) for line in house.logged(CHECKPOINT)]
        last = {one["stream"]: one["count"] for one in last if one.get("last")}
        assert sum(last.values()) == len(found) and len(last) == 2


# As AuditEvents.

@pytest.fixture(scope="module")
def fhir_server(house, tmp_path_factory):
    house.fhir_cluster = house.spare.pop()
    port = house.envoy.clusters[house.fhir_cluster]
    server = FhirServer(tmp_path_factory.mktemp("fhir"), f"http://127.0.0.1:{port}/fhir", port, resources=[])
    server.wait()
    yield server
    server.stop()


def events(server, query):
    """The AuditEvents that a search finds, over all its pages."""
    found, target = [], f"/fhir/AuditEvent?{query}"
    with Client(server.port) as client:
        while target:
            page = client.get(target).json()
            found += [entry["resource"] for entry in page.get("entry", [])]
            links = [link["url"] for link in page.get("link", []) if link["relation"] == "next"]
            target = links[0][links[0].index("/fhir"):] if links else None
    return found


def record_ids(server):
    return {entity["what"]["identifier"]["value"] for event in events(server, "_count=50")
            for entity in event["entity"] if entity.get("name") == "phiward audit record"}


def test_a_fhir_server_has_an_event_for_every_patient(house, issuer, fhir_server):
    section = {"cluster": house.fhir_cluster, "url": f"http://127.0.0.1:{fhir_server.port}/fhir"}
    gate = house.listen("fhir", {"sinks": ["log", "fhir"], "fhir": section})
    ids = ask(gate, issuer.patient(), 10)
    ids |= ask(gate, issuer.clinician(), 5, "/fhir/Patient?_id=ben,cleo")
    ids |= ask(gate, issuer.patient("dan"), 5, "/fhir/Patient/ben", 403) | ask(gate, None, 5, status=401)
    until(lambda: has(house.envoy.audits(), ids), 5)
    records = {one["id"] for one in house.envoy.audits() if one.get("request_id") in ids}
    until(lambda: records <= record_ids(fhir_server), 30)
    everything = events(fhir_server, "_count=50")
    assert len({event["id"] for event in everything}) == len(everything)
    assert len([one for one in events(fhir_server, "patient=cleo&_count=50")]) == 5
    for one in events(fhir_server, "patient=Patient/ben"):
        assert one["outcome"] in "04"


class Between(Collector):
    """Hands batches on to a FHIR server, and spoils answers."""

    def __init__(self, server, spoil, port):
        self.server, self.spoil = server, spoil
        super().__init__(port)
        self.reply = self.hand_on

    def hand_on(self, request):
        spoilt = self.spoil.pop(0) if self.spoil else None
        if spoilt == "unreached":
            return 503
        with Client(self.server.port) as client:
            headers = [("content-type", request.header("content-type")), ("accept", "application/fhir+json")]
            answer = client.request("POST", request.target, headers, request.body)
        if spoilt == "lost":
            return None
        return answer.status, [("content-type", "application/fhir+json")], answer.body


def test_events_that_are_sent_again_are_stored_once(house, issuer, fhir_server):
    cluster = house.spare.pop()
    before = {event["id"] for event in events(fhir_server, "_count=50")}
    with Between(fhir_server, ["unreached", "lost", "lost"], house.envoy.clusters[cluster]) as between:
        section = {"cluster": cluster, "url": f"{between.url}/fhir", "every": "1s"}
        gate = house.listen("again", {"sinks": ["log", "fhir"], "fhir": section})
        ids = ask(gate, issuer.patient(), 10)
        until(lambda: has(house.envoy.audits(), ids), 5)
        records = {one["id"] for one in house.envoy.audits() if one.get("request_id") in ids}
        until(lambda: 200 in between.statuses() and records <= record_ids(fhir_server), 30)
        time.sleep(1)
    fresh = [event["id"] for event in events(fhir_server, "_count=50") if event["id"] not in before]
    assert len(set(fresh)) == len(fresh)
    assert {ident.rpartition("-")[0] for ident in fresh} >= records
    with Client(fhir_server.port) as client:
        for ident in fresh[:5]:
            assert client.get(f"/fhir/AuditEvent/{ident}").json()["id"] == ident


# What operators see.

def metrics(house, sink):
    prefix = f"wasmcustom.phiward.audit.{sink}."
    stats = house.envoy.stats(METRICS)
    return Counter({name.removeprefix(prefix): value for name, value in stats.items() if name.startswith(prefix)})


def test_counters_tell_what_became_of_records(house, issuer, collector):
    time.sleep(3)  # what was there before has ended, and told its last
    before = metrics(house, "collector")
    collector.reply = lambda _: 500
    gate = house.listen("metrics", {"sinks": ["collector"], "collector": to(collector)})
    ask(gate, issuer.patient(), 100)
    until(lambda: (metrics(house, "collector") - before)["retried"] > 0, 15)
    now = metrics(house, "collector")
    assert now["waiting"] > 0 and now["slots"] == 4096 and now["oldest_seconds"] > 0
    collector.reply = lambda _: 400
    until(lambda: house.told("status 400; they are in this log instead"), 30)
    collector.reply = None
    ask(gate, issuer.patient(), 100)

    def counted():
        told = metrics(house, "collector")
        told.subtract(before)
        return told

    def is_all():
        told = counted()
        return told["rejected"] and told["sent"] and told["queued"] == told["sent"] + told["rejected"]

    until(is_all, 20)
    until(lambda: metrics(house, "collector")["waiting"] == 0, 10)
    whole(collector.records() + [
        one for one in house.envoy.audits()
        if one["id"].partition("-")[0] in {taken["id"].partition("-")[0] for taken in collector.records()}])
    assert counted()["sent"] == len(collector.records())
    assert counted()["spilled"] == 0


def test_a_gateway_that_rests_sends_nothing(house, issuer, collector):
    gate = house.listen("rests", {"sinks": ["collector"], "collector": to(collector)})
    ids = ask(gate, issuer.patient())
    until(lambda: has(collector.records(), ids), 15)
    time.sleep(2)
    before, calls = len(collector.batches), house.calls(collector.cluster)
    busy = seconds_of(house.envoy.pid)
    time.sleep(5)
    assert len(collector.batches) == before
    assert house.calls(collector.cluster)["upstream_rq_total"] == calls["upstream_rq_total"] == before
    assert seconds_of(house.envoy.pid) - busy < 0.5


def seconds_of(pid):
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
