"""Envoy's own access loggers write phiward's records, as the shipped configurations set them up: to a
file, as OpenTelemetry logs, to the access log service."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from lab import envoy as lab_envoy
from lab.access_logs import AccessLogService
from lab.processes import ROOT
from lab.receivers import BINARY, Receiver
from test_files import documents, runnable

# The filter state that is logged.
KEY = "wasm.phiward.audit"
SHIPPED = ("access-log-file.yaml", "access-log-otel.yaml", "access-log-grpc.yaml")
LOGGERS = ("file", "otlp", "otlp over gRPC", "als")
# Characters that a log format or a line could stumble over.
ODD = '"\\\n\u2028\U0001f600%KEY%-'
MANY = "&".join(f"code{number}-{'x' * 80}:missing=true" for number in range(64))


def snippet(name):
    """The shipped file: an entry of `access_log`, and the cluster that it names."""
    return yaml.safe_load((ROOT / "envoy" / name).read_text())


class Logged:
    """A listener with every logger, and what each wrote since it was ready."""

    def __init__(self, listen, configuration, folder):
        self.file = Path(folder) / "audit.ndjson"
        self._listen, self._configuration = listen, configuration

    def start(self, otlp, otlp_grpc, als):
        self.otlp = otlp
        document = {**self._configuration(), "audit": {"sinks": ["log", "access_log"]}}
        self.gateway = self._listen("access-log", document, adjust=self.adjust)
        self._readers = {
            "file": self.lines, "otlp": lambda: bodies(otlp),
            "otlp over gRPC": lambda: bodies(otlp_grpc), "als": lambda: als.objects(KEY)}
        self._before = self._settled()
        return self

    def adjust(self, manager):
        """Gives the connection manager the shipped loggers, with addresses of the lab."""
        (to_file,), (otlp,), (als,) = (snippet(name)["access_log"] for name in SHIPPED)
        to_file["typed_config"]["path"] = str(self.file)
        (otlp_grpc,) = snippet("access-log-otel.yaml")["access_log"]
        otlp["typed_config"]["http_service"]["http_uri"]["cluster"] = "tenzir-otlp"
        del otlp_grpc["typed_config"]["http_service"]
        otlp_grpc["typed_config"]["grpc_service"] = {
            "envoy_grpc": {"cluster_name": "tenzir-otlp-grpc"}, "timeout": "5s"}
        manager["access_log"] = [to_file, otlp, otlp_grpc, als]

    def _settled(self):
        """How much every logger wrote of what the listener's start caused, once that is all."""
        last, times = None, 0
        while times < 3:
            time.sleep(0.7)
            now = {name: len(read()) for name, read in self._readers.items()}
            times = times + 1 if now == last and len(set(now.values())) == 1 else 0
            last = now
        return last

    def written(self, logger, count, seconds=10):
        """What this logger wrote, once it is so much."""
        deadline = time.monotonic() + seconds
        while len(found := self._readers[logger]()[self._before[logger]:]) < count:
            assert time.monotonic() < deadline, f"{logger}: {found}"
            time.sleep(0.05)
        return found

    def lines(self):
        return self.file.read_text().split("\n")[:-1] if self.file.exists() else []


@pytest.fixture(scope="module")
def logged(envoy, listen, configuration, tmp_path_factory):
    if not BINARY.exists():
        pytest.skip("no log collectors: run `lab/setup receivers` (Linux only)")
    folder, ports = tmp_path_factory.mktemp("access-log"), envoy.clusters
    with AccessLogService(ports["als"]) as als, \
            Receiver("tenzir-otlp", folder / "http", ports["tenzir-otlp"]) as otlp, \
            Receiver("tenzir-otlp-grpc", folder / "grpc", ports["tenzir-otlp-grpc"]) as otlp_grpc:
        yield Logged(listen, configuration, folder).start(otlp, otlp_grpc, als)
        envoy.unlisten("access-log")


@pytest.fixture(scope="module")
def sent(logged, issuer):
    """Requests of every kind, and what phiward says of each: its line in Envoy's log."""
    gate = logged.gateway
    before = len(gate.envoy.audits())
    answers = [
        gate.get("/fhir/Patient/ann", issuer.patient()),
        gate.get("/fhir/Patient/ben", issuer.patient()),
        gate.get("/fhir/Patient/ann"),
        gate.get(f"/fhir/Observation?{MANY}", issuer.patient(sub=ODD, roles=[ODD * 5] * 20)),
        gate.get("/fhir/Patient%2Fann", issuer.patient())]
    assert [answer.status for answer in answers] == [200, 403, 401, 200, 400], answers
    deadline = time.monotonic() + 5
    while len(records := gate.envoy.audits()[before:]) < len(answers):
        assert time.monotonic() < deadline, records
        time.sleep(0.01)
    assert [record["reason"] for record in records][-1] == "request_never_seen"
    ids = {record["id"] for record in records}
    log = (line[line.index("{"):] for line in gate.envoy.log.read_text(errors="replace").split("\n")[:-1]
           if lab_envoy.AUDIT_MARK in line)
    lines = [line for line in log if json.loads(line)["id"] in ids]
    assert max(len(line) for line in lines) > 10_000
    return lines


@pytest.mark.parametrize("logger", LOGGERS)
def test_each_request_is_one_record_as_phiward_wrote_it(logged, sent, logger):
    assert Counter(logged.written(logger, len(sent))) == Counter(sent)


def test_a_request_that_phiward_never_saw_is_no_record(logged, sent, listen, configuration):
    for logger in LOGGERS:
        logged.written(logger, len(sent))
    unguarded = listen("access-log-unguarded", configuration(), ready=False, without=("phiward",),
                       adjust=logged.adjust)
    assert unguarded.get("/fhir/Patient/ann").status == 403
    # What comes after it is written, and it was not.
    refused = logged.gateway.get("/fhir/Patient/ann")
    assert refused.status == 401
    for logger in LOGGERS:
        written = logged.written(logger, len(sent) + 1)
        assert len(written) == len(sent) + 1 and "-" not in written, (logger, written)


def test_an_opentelemetry_record_says_whose_it_is_and_when_it_was(logged, sent):
    logged.written("otlp", len(sent))
    for event in logged.otlp.events():
        assert attributes(event["resource"])["service.name"] == "phiward"
        assert attributes(event["resource"])["log_name"] == "phiward.audit"
        assert set(attributes(event)) == {"phiward.decision"}
        assert event["time"].startswith("20")


@pytest.mark.parametrize("name", SHIPPED)
def test_envoy_takes_the_shipped_file(name, wasm, tmp_path):
    bootstrap = runnable(documents("envoy.yaml")[0], wasm)
    (added,) = documents(name)
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    manager["typed_config"]["access_log"] += added["access_log"]
    bootstrap["static_resources"]["clusters"] += added.get("clusters", [])
    if name == "access-log-file.yaml":
        added["access_log"][0]["typed_config"]["path"] = str(tmp_path / "audit.ndjson")
    taken, output = lab_envoy.validate(bootstrap, tmp_path)
    assert taken, output


def bodies(receiver):
    """The text of each OpenTelemetry record."""
    return [event["body"]["string_value"] for event in receiver.events()]


def attributes(owner):
    return {one["key"]: one["value"]["string_value"] for one in owner["attributes"]}
