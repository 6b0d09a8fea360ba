"""Every request has exactly one record: under load, while clients hang up, and while the collector is
killed, stands still and is slow. What Envoy's own access log names is the truth.

`PHIWARD_LOAD_SECONDS` is how long that goes on (60)."""

import json
import os
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from gateway import BASE, Issuer
from lab import envoy as lab_envoy, load
from lab.http import Client
from lab.processes import ROOT, end_on_signals
from lab.servers import Revocations
from lab.tokens import Key, secrets

SECONDS = float(os.environ.get("PHIWARD_LOAD_SECONDS", 60))
RATE = 5000
# A machine that reaches this much when nothing limits it can keep up the rate.
ENOUGH = 1.3 * RATE
CONNECTIONS = 97
QUEUE = 64 << 20  # bytes, the default
AUDIT_METRICS = "wasmcustom.phiward.audit.collector."
PHIWARD = ROOT / "target" / "debug" / "phiward"
KEY_ID, SECRET = "2026-11", "what-seals-the-records-of-this-test-run"
BATCH = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [
    {"request": {"method": "GET", "url": url}} for url in ("Patient/ann", "Observation?patient=ben")]})


class Run:
    """An Envoy of its own with two workers, and everything around it."""

    def __init__(self, folder):
        secrets.append(SECRET)
        self.folder, self.issuer, self.list = folder, Issuer(Key("ES256", "own")), Revocations()
        self.upstream, self.collector = load.Upstream(folder), load.Collector(folder)
        self.access_log = folder / "access.log"
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.issuer.jwks.port, "revocations": self.list.port,
            "collector": self.collector.port})
        document = lab_envoy.configuration(
            BASE, self.issuer.name, self.issuer.jwks.jwks_url, self.list.list_url)
        document["audit"] = {
            "sinks": ["collector"], "seal": {"key": "AUDIT_KEY", "key_id": KEY_ID, "every": "10s"},
            "collector": {"cluster": "collector", "url": f"http://127.0.0.1:{self.collector.port}/"}}
        self.port = self.envoy.listen("count", document, adjust=self._adjust)
        self._wait_until_ready()

    def requests(self):
        """What clients send: mostly what is let through, some of it refused, and batches."""
        patient, clinician = self.issuer.patient(lifetime=3000), self.issuer.clinician(lifetime=3000)
        backend = self.issuer.backend(lifetime=3000)
        kinds = {
            ("GET", "/fhir/Patient/ann", patient, ""): 6,
            ("GET", "/fhir/Observation?patient=ann&category=laboratory", clinician, ""): 5,
            ("GET", "/fhir/Encounter/slow", backend, ""): 3,
            ("GET", "/fhir/Patient/ben", patient, ""): 2,
            ("GET", "/fhir/Patient/ann", patient[:-6] + "forged", ""): 1,
            ("GET", "/fhir/Nonsense", clinician, ""): 1,
            ("POST", "/fhir", backend, BATCH): 2,
        }
        return [request for request, share in kinds.items() for _ in range(share)]

    def send(self, prefix, seconds, **options):
        return load.Requests(self.port, self.requests(), self.folder, prefix, seconds=seconds,
                             connections=CONNECTIONS, **options)

    def capacity(self, prefix):
        """Requests a second when nothing limits them."""
        outcome = self.send(prefix, 3).outcome()
        return outcome["sent"] / outcome["seconds"]

    def memory(self):
        """Bytes of memory that are Envoy's own."""
        status = Path(f"/proc/{self.envoy.pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) * 1024

    def named(self):
        """The request ids of Envoy's access log."""
        return self.access_log.read_text().split()

    def go(self):
        """The load, with what befalls the collector meanwhile."""
        self.files = [self.collector.file, self.envoy.log]
        self.capacities = [self.capacity("before")]
        self.memory_before = self.peak_memory = self.memory()
        self.peak_queue = 0
        sending = self.send("count", SECONDS, rate=RATE * 1.02, abort=0.1)
        began, troubles = time.monotonic(), self._troubles()
        while troubles or sending.are_under_way():
            time.sleep(0.2)
            self.peak_memory = max(self.peak_memory, self.memory())
            self.peak_queue = max(self.peak_queue, self.envoy.stats(AUDIT_METRICS).get(AUDIT_METRICS + "waiting", 0))
            if troubles and time.monotonic() - began > troubles[0][0]:
                troubles.pop(0)[1]()
        self.outcome = sending.outcome()
        self.capacities.append(self.capacity("after"))
        self._wait_for_records()
        self.traps = self.envoy.wasm_vm_reloads() + self.envoy.skipped_filters()
        self.counters = self.envoy.stats(AUDIT_METRICS)
        self.envoy.end()  # which writes the last checkpoints to its log
        self.records.follow()
        self._tell()

    def stop(self):
        for server in self.envoy, self.collector, self.upstream, self.list, self.issuer.jwks:
            server.stop()

    def _troubles(self):
        """What befalls the collector, and when: it is killed, stands still, is slow."""
        collector, sixth = self.collector, SECONDS / 6

        def restart(delay=0.0):
            collector.kill()
            collector.start(delay)

        return [(sixth * place, befalls) for place, befalls in [
            (1, collector.kill), (2, collector.start), (2.5, collector.pause), (3.5, collector.resume),
            (4, lambda: restart(delay=1.0)), (5, restart)]]

    def _wait_for_records(self):
        """Until every request has one; a test tells which has none."""
        self.records, deadline = Records(*self.files), time.monotonic() + 90
        while True:
            self.records.follow()
            missing = set(self.named()) - self.records.whole.keys()
            if not missing or time.monotonic() > deadline:
                return
            time.sleep(1)

    def _tell(self):
        records, sent = self.records, self.outcome
        distinct = sum(map(len, (*records.whole.values(), *records.parts.values())))
        self.twice = sum(records.lines.values()) - distinct
        self.figures = (
            f"{sent['sent'] / sent['seconds']:.0f} requests/s for {sent['seconds']:.0f} s "
            f"(without a limit {self.capacities[0]:.0f} before, {self.capacities[1]:.0f} after), "
            f"{len(self.named())} in the access log, {sent}; {distinct} records, {self.twice} came twice, "
            f"{records.lines[self.envoy.log]} in Envoy's log, {records.checkpoints} checkpoints; memory "
            f"{self.memory_before / 1e6:.0f} MB before, {self.peak_memory / 1e6:.0f} MB at most; at most "
            f"{self.peak_queue} slots of the queue in use; {self.counters}")
        print(self.figures)

    def _adjust(self, manager):
        manager["preserve_external_request_id"] = True
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(self.access_log),
            "log_format": {"text_format_source": {"inline_string": "%REQ(X-REQUEST-ID)%\n"}}}}]
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["environment_variables"] = {"key_values": {"AUDIT_KEY": SECRET}}

    def _wait_until_ready(self):
        deadline, token = time.monotonic() + 15, self.issuer.patient()
        answered = 0
        while answered < 20:
            assert time.monotonic() < deadline, "the filter did not get ready"
            with Client(self.port) as client:
                answered = answered + 1 if client.get("/fhir/Patient/ann", token).status == 200 else 0


class Records:
    """What was recorded, read from files that grow: each record once, by its id."""

    def __init__(self, *files):
        self._read, self._known = dict.fromkeys(files, 0), {}
        self.lines, self.checkpoints, self.changed = Counter(), 0, []
        self.whole, self.parts = defaultdict(list), defaultdict(list)

    def follow(self):
        """Reads the lines that were added."""
        for file in self._read:
            with file.open("rb") as lines:
                lines.seek(self._read[file])
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read[file] += len(line)
                    start = line.find(b'{"schema":"phiward.audit')
                    if start >= 0:
                        self._take(file, line[start:].strip())

    def _take(self, file, text):
        record = json.loads(text)
        if record["schema"] != "phiward.audit/1":
            self.checkpoints += 1
            return
        self.lines[file] += 1
        name, content = record["id"], hash(text)
        if name not in self._known:
            group = self.parts[record["part_of"]] if "part_of" in record else self.whole[record["request_id"]]
            group.append(name)
        elif self._known[name] != content:
            self.changed.append(name)
        self._known[name] = content


@pytest.fixture(scope="module")
def run(wasm, tmp_path_factory):
    """Everything that happened, when it is over."""
    end_on_signals()
    run = Run(tmp_path_factory.mktemp("count"))
    try:
        run.go()
        yield run
    finally:
        run.stop()


def test_every_request_has_exactly_one_record(run):
    named, recorded = Counter(run.named()), run.records.whole
    assert named and max(named.values()) == 1
    assert set(recorded) - set(named) == set(), "records of requests that Envoy does not know"
    assert set(named) - set(recorded) == set(), "requests without a record"
    assert [ids for ids in recorded.values() if len(ids) != 1] == []


def test_every_entry_of_a_batch_has_a_record(run):
    assert run.records.parts
    assert Counter(map(len, run.records.parts.values())).keys() == {2}
    whole = {name for names in run.records.whole.values() for name in names}
    assert run.records.parts.keys() <= whole


def test_no_record_was_delivered_with_two_contents(run):
    assert run.records.changed == []


def test_the_trail_is_whole(run):
    assert run.records.checkpoints > 0
    verified = subprocess.run(
        [PHIWARD, "audit", "verify", "--key", f"{KEY_ID}=@AUDIT_KEY", *run.files],
        env={"AUDIT_KEY": SECRET}, capture_output=True, text=True, timeout=300)
    assert verified.returncode == 0, verified.stdout[-5000:] + verified.stderr


def test_memory_stays_bounded(run):
    assert run.peak_memory - run.memory_before < 2 * QUEUE, run.figures


def test_what_it_proves_did_happen(run):
    """Clients hung up before and in the middle of an answer, batches came twice, nothing trapped."""
    sent = run.outcome
    assert sent["left"] > sent["sent"] // 20 and sent["read_some"] > sent["sent"] // 60, sent
    assert sent["failed"] == 0 and {"200", "401", "403"} <= set(sent["answered"]), sent
    assert run.twice > 0
    assert run.traps == 0


def test_the_rate_is_reached(run):
    """Where the machine can: it is measured before and after."""
    if min(run.capacities) < ENOUGH:
        pytest.skip(f"this machine reaches {run.capacities} requests a second without a limit")
    assert run.outcome["sent"] / run.outcome["seconds"] >= RATE
