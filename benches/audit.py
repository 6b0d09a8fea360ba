#!/usr/bin/env python3
"""What an audit record costs: processor time of an Envoy with one worker for each request, by where records
go. The listeners differ in `audit` alone and take turns. Needs `make build`; takes some minutes. Prints a
table.

    PYTHONPATH=. .lab/venv/bin/python benches/audit.py [ROUNDS [REQUESTS]]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from lab import envoy as lab_envoy
from lab import load, tokens
from lab.http import Client
from lab.processes import end_on_signals, stop_all
from lab.servers import Jwks, Revocations

BASE, ISSUER = "https://api.clinic.example/fhir", "https://auth.clinic.example"
ROUNDS, REQUESTS, CONNECTIONS = 11, 10_000, 16
SETTLES = 2.0  # seconds in which every record of a round is delivered
SECRET = "what-seals-the-records-of-this-benchmark"
SEAL = {"key": "AUDIT_KEY", "key_id": "1"}
NOTHING = "nothing"


def variants(collector):
    """What `audit` is, by name."""
    batches = {"sinks": ["collector"],
               "collector": {"cluster": "collector", "url": f"http://127.0.0.1:{collector.port}/"}}
    return {NOTHING: {"sinks": []}, "log": {"sinks": ["log"]}, "access_log": {"sinks": ["access_log"]},
            "collector": batches, "collector, sealed": {**batches, "seal": SEAL}}


class Proxy:
    """An Envoy with a listener for each variant."""

    def __init__(self, folder, key):
        self.folder, self.key = Path(folder), key
        self.upstream, self.collector = load.Upstream(folder), load.Collector(folder)
        self.jwks, self.lists = Jwks(key), Revocations()
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.jwks.port, "revocations": self.lists.port,
            "collector": self.collector.port}, workers=1)
        self.ports = {name: self.listen(name, audit) for name, audit in variants(self.collector).items()}

    def listen(self, name, audit):
        document = lab_envoy.configuration(BASE, ISSUER, self.jwks.jwks_url, self.lists.list_url)
        document["issuers"][0]["jwks"]["refresh"] = "5m"
        document["revocation"].update(every="1m", max_staleness="30m")
        document["audit"] = audit

        def adjust(manager):
            logger = manager["access_log"][0]["typed_config"]
            logger["log_format"]["text_format_source"]["inline_string"] = (
                "%FILTER_STATE(wasm.phiward.audit:PLAIN)%\n")
            if name != "access_log":
                del manager["access_log"]
            plugin = manager["http_filters"][0]["typed_config"]["config"]
            plugin["vm_config"]["environment_variables"] = {"key_values": {"AUDIT_KEY": SECRET}}

        port = self.envoy.listen(name, document, adjust=adjust)
        deadline = time.monotonic() + 30
        with Client(port) as client:
            while client.get("/fhir/Patient/ann", self.token()).status != 200:
                assert time.monotonic() < deadline, f"`{name}` did not get ready"
                time.sleep(0.05)
        return port

    def token(self):
        return self.key.sign(tokens.claims(
            ISSUER, BASE, scope="patient/*.rs", patient="ann", fhirUser="Patient/ann", lifetime=3000))

    def round(self, name, count, number):
        """µs of processor time for each of `count` requests, with what comes after them."""
        token = self.token()
        requests = [("GET", "/fhir/Patient/ann", token, ""),
                    ("GET", "/fhir/Observation?patient=ann&category=laboratory", token, "")]
        before, began = self.processor(), time.monotonic()
        sent = load.Requests(self.ports[name], requests, self.folder, prefix=f"round-{number}",
                             count=count, connections=CONNECTIONS).outcome()
        assert sent["answered"] == {"200": count}, sent
        time.sleep(SETTLES)
        return (self.processor() - before - self.idle * (time.monotonic() - began)) / count * 1e6

    def processor(self):
        """Seconds of processor time of all threads, those that ended aside."""
        tasks = Path(f"/proc/{self.envoy.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def rest(self):
        """Measures what it takes while nobody asks."""
        before = self.processor()
        time.sleep(5)
        self.idle = (self.processor() - before) / 5

    def stop(self):
        self.envoy.stop()
        for server in self.collector, self.upstream, self.jwks, self.lists:
            server.stop()


def main():
    given = [int(argument) for argument in sys.argv[1:]]
    rounds, requests = given + [ROUNDS, REQUESTS][len(given):]
    end_on_signals()
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(folder, tokens.Key("ES256", "k"))
        for name in proxy.ports:
            proxy.idle = 0
            proxy.round(name, requests, "first")
        proxy.rest()
        costs = {name: [] for name in proxy.ports}
        for number in range(rounds):
            for name in proxy.ports:
                costs[name].append(proxy.round(name, requests, number))
        table(costs)
        proxy.stop()
    stop_all()


def table(costs):
    """Medians; what a record adds is compared within each round."""
    rounds = len(costs[NOTHING])
    print(f"| records go to | µs a request, median of {rounds} | more than without records, median (quartiles) |\n"
          "|---|---|---|")
    for name, each in costs.items():
        more = [cost - none for cost, none in zip(each, costs[NOTHING])]
        low, middle, high = statistics.quantiles(more, n=4)
        shown = "" if name == NOTHING else f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
        print(f"| {name} | {statistics.median(each):.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
