"""Many workers that want to write the same at the same time: compare-and-swap is lost again and again, and no
request is refused for it, no record lost or written twice, and no use of a session forgotten."""

import json
import time
from collections import Counter

import pytest

from gateway import BASE, Gateway, Issuer
from lab import envoy as lab_envoy, load
from lab.http import Client
from lab.servers import Revocations
from lab.tokens import Key
from test_revocation import until

WORKERS, SECONDS, CONNECTIONS = 8, 4, 64
READ = "/fhir/Patient/ann"
METRICS = "wasmcustom.phiward.audit.collector."


@pytest.fixture(scope="module")
def crowd(wasm, tmp_path_factory):
    """An Envoy with more workers than the machine has cores, all of which write to one set of sessions and one
    queue of records."""
    folder = tmp_path_factory.mktemp("crowd")
    issuer, listed = Issuer(Key("ES256", "own")), Revocations()
    upstream, collector = load.Upstream(folder), load.Collector(folder)
    document = lab_envoy.configuration(BASE, issuer.name, issuer.jwks.jwks_url, listed.list_url)
    document["audit"] = {"sinks": ["collector"], "collector": {
        "cluster": "collector", "url": f"http://127.0.0.1:{collector.port}/", "every": "1s"}}
    document["sessions"] = {"capacity": 1, "rules": [{"idle": "30s"}]}
    servers = [upstream, collector, listed, issuer.jwks]
    try:
        with lab_envoy.Envoy(folder, {
                "fhir": upstream.port, "auth": issuer.jwks.port, "revocations": listed.port,
                "collector": collector.port}, workers=WORKERS) as envoy:
            port = envoy.listen("crowd", document, hardened=False)
            gateway = Gateway(envoy, port, None)
            token = issuer.patient()
            until(lambda: all(gateway_answers(port, token) for _ in range(3)), 30)
            yield gateway, issuer, listed, collector, folder
            assert envoy.wasm_vm_reloads() == 0, envoy.log
            assert envoy.skipped_filters() == 0, envoy.log
    finally:
        for server in servers:
            server.stop()


def gateway_answers(port, token):
    """Whether each of so many connections finds a worker that judges."""
    for _ in range(40):
        with Client(port) as client:
            if client.get(READ, token).status != 200:
                return False
    return True


def test_workers_that_lose_every_race_refuse_nobody_and_lose_no_record(crowd):
    gateway, issuer, listed, collector, folder = crowd
    sessions = [issuer.patient(sid=f"session-{number % 8}", lifetime=3000) for number in range(64)]
    requests = [("GET", READ, token, "", "read") for token in sessions]
    sending = load.Requests(gateway.client.port, requests, folder, "crowd", seconds=SECONDS,
                            connections=CONNECTIONS)
    version = 0
    while sending.are_under_way():  # what is published is adopted by all of them meanwhile
        version += 1
        listed.set({"jti": f"nobody-{version}"})
        time.sleep(0.2)
    outcome = sending.outcome()
    assert set(outcome["kinds"]) == {"read 200"}, outcome
    assert outcome["failed"] == 0 and outcome["sent"] > 500, outcome
    until(lambda: len(of_the_crowd(taken(collector.file))) >= outcome["sent"], 60)
    records = taken(collector.file)
    told = of_the_crowd(records)
    assert len(told) == outcome["sent"] and set(told.values()) == {1}
    assert len({one.partition("-")[0] for one in records}) >= WORKERS, "every worker wrote"
    stats = gateway.envoy.stats(METRICS.replace(".", "[.]"))
    assert stats.get(METRICS + "broken", 0) == stats.get(METRICS + "rejected", 0) == 0, stats


def of_the_crowd(records):
    """How many of these each of its requests has."""
    return Counter(one for one in records.values() if one.startswith("crowd-"))


def taken(file):
    """The records that arrived: of which request each is, by its id."""
    lines = file.read_text().splitlines() if file.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return {one["id"]: one["request_id"] for one in records}
