"""`make soak`: full load on two workers for a long time, with everything that changes meanwhile, and a table of
what became of it. Ends with an error unless memory stayed level, no VM trapped, and every answer is one that its
request may have.

`SOAK_SECONDS` is how long (600), `SOAK_RATE` how many requests a second at most (2000)."""

import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

from lab import envoy as lab_envoy, load
from lab.http import Client, NoResponse
from lab.processes import LabError, end_on_signals, stop_all
from lab.servers import Jwks, Revocations
from lab.tokens import Key, b64, claims, peek

SECONDS = float(os.environ.get("SOAK_SECONDS", 600))
RATE = float(os.environ.get("SOAK_RATE", 2000))
CONNECTIONS, ROUND = 64, 30
BASE, ISSUER = "https://api.clinic.example/fhir", "https://auth.clinic.example"
# Memory may grow by so much in the last two thirds, by the line of least squares.
GROWTH = 12_000_000
AROUND = 500  # requests of our own
OWN = '{"resourceType":"Observation","id":"ann-1","status":"final","subject":{"reference":"Patient/ann"}}'
FOREIGN = OWN.replace("Patient/ann", "Patient/ben")
MINE, READ = "/fhir/Observation/ann-1", "/fhir/Patient/ann"
METRICS = "wasmcustom.phiward.audit.collector."

# What an answer to each kind of request may be: status, and of a refusal the reason.
EXPECTED = {
    "read": {"200"}, "held": {"200"}, "search": {"200"}, "streamed": {"200"}, "public": {"200"},
    "batch": {"200"}, "update": {"200"}, "backend": {"200"},
    "foreign": {"403 compartment_not_member"}, "other": {"403 compartment_other_patient"},
    "scope": {"403 scope_insufficient"}, "outside": {"404 fhir_outside_base"}, "path": {"400 target_ambiguous"},
    "foreign update": {"403 write_not_member"}, "nobody": {"401 token_missing"},
    "garbage": {"401 token_invalid"}, "forged": {"401 token_invalid"},
    # These come and go.
    "revoked": {"200", "401 token_revoked"},
    "rotated": {"200", "401 token_invalid", "503 keys_on_their_way"},
}
# Those that must have been seen, or nothing of it came and went.
BOTH = {"revoked": {"200", "401 token_revoked"}, "rotated": {"200", "401 token_invalid"}}


class Soak:
    """Everything that runs, and what was seen."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.first, self.second = Key("ES256", "first"), Key("RS256", "second")
        self.keys, self.list = Jwks(self.first, self.second), Revocations()
        self.upstream, self.collector = load.Upstream(folder), load.Collector(folder, keep=False)
        # What is replaced is over five seconds later.
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.keys.port, "revocations": self.list.port,
            "collector": self.collector.port}, more=("--drain-time-s", 5, "--drain-strategy", "immediate"))
        self.port = self.configure(0)
        self.rounds, self.sizes, self.kinds = itertools.count(1), [], Counter()
        self.totals, self.began, self.changes = Counter(), time.monotonic(), Counter()
        self.slowest, self.problems = 0, []
        self.coming_and_going = [self.token("patient", lifetime=3000) for _ in range(20)]
        self.wait_until_ready()

    def configure(self, number):
        document = lab_envoy.configuration(BASE, ISSUER, self.keys.jwks_url, self.list.list_url)
        document["fhir"]["passthrough"] = [f"/healthz-{number}"]
        document["audit"] = {"sinks": ["collector"], "collector": {
            "cluster": "collector", "url": f"http://127.0.0.1:{self.collector.port}/", "every": "1s"}}
        document["sessions"] = {"capacity": 4_000, "rules": [{"idle": "30m"}]}

        def quietly(manager):
            del manager["access_log"]

        return self.envoy.listen("soak", document, adjust=quietly)

    def token(self, who, key=None, **more):
        people = {
            "patient": {"scope": "patient/*.cruds", "patient": "ann", "fhirUser": "Patient/ann"},
            "clinician": {"scope": "user/*.cruds", "fhirUser": "Practitioner/dr-grey"},
            "backend": {"scope": "system/*.cruds", "sub": "lab-feed", "client_id": "lab-feed"}}
        return (key or self.first).sign(claims(ISSUER, BASE, **{**people[who], **more}))

    def requests(self):
        """What clients send in one round, its tokens new."""
        made = []
        for number in range(25):
            patient, clinician, backend = (
                self.token(who, lifetime=3000, sid=f"sid-{number}") for who in ("patient", "clinician", "backend"))
            noise = b64(os.urandom(200 + number))
            batch = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [
                {"request": {"method": "GET", "url": url}} for url in ("Patient/ann", "Observation?patient=ben")]})
            made += [
                ("GET", READ, patient, "", "read"), ("GET", READ, patient, "", "read"),
                ("GET", MINE, patient, "", "held"), ("GET", MINE, patient, "", "held"),
                ("GET", "/fhir/Observation?code=mixed", patient, "", "search"),
                ("GET", "/fhir/Encounter/slow", clinician, "", "streamed"),
                ("GET", f"/fhir/Observation?patient=p{number}&category=laboratory", clinician, "", "streamed"),
                ("GET", "/fhir/Patient", backend, "", "backend"), ("GET", "/fhir/metadata", "", "", "public"),
                ("POST", "/fhir", backend, batch, "batch"), ("PUT", MINE, patient, OWN, "update"),
                ("GET", "/fhir/Observation/ben-1", patient, "", "foreign"),
                ("GET", "/fhir/Patient/ben", patient, "", "other"), ("PUT", MINE, patient, FOREIGN, "foreign update"),
                ("GET", READ, self.token("patient", scope="patient/Condition.rs"), "", "scope"),
                ("GET", "/other", patient, "", "outside"), ("GET", "/fhir/Patient/1;b", patient, "", "path"),
                ("GET", READ, "", "", "nobody"), ("GET", READ, noise, "", "garbage"),
                ("GET", READ, f"{noise}.{noise}.{noise}", "", "garbage"),
                ("GET", READ, patient[:-8] + "A" * 8, "", "forged"),
                ("GET", READ, self.coming_and_going[number % 20], "", "revoked"),
                ("GET", READ, self.token("patient", self.second, lifetime=3000), "", "rotated"),
            ]
        return made

    def go(self):
        """The load in rounds, until the time is over."""
        over = threading.Event()
        changing = threading.Thread(target=self.change, args=[over])
        changing.start()
        try:
            while (left := self.began + SECONDS - time.monotonic()) > 1:
                prefix = f"soak-{next(self.rounds)}"
                sending = load.Requests(self.port, self.requests(), self.folder, prefix, rate=RATE,
                                        seconds=min(ROUND, left), connections=CONNECTIONS, abort=0.02)
                while sending.are_under_way():
                    self.sizes.append((time.monotonic() - self.began, self.envoy.resident_bytes()))
                    time.sleep(1)
                self.take(sending.outcome())
                self.tell()
        finally:
            over.set()
            changing.join()

    def change(self, over):
        """What changes meanwhile, each at its own pace."""
        collector, list_ = self.collector, self.list
        some = {"jti": [peek(token)["jti"] for token in self.coming_and_going]}
        turns = {
            "the list changes": (7, itertools.cycle([
                lambda: list_.set(*({"jti": one} for one in some["jti"][:10])),
                lambda: list_.set(*({"jti": one} for one in some["jti"])),
                lambda: list_.set(*({"jti": f"other-{number}"} for number in range(5_000))),
                lambda: list_.set()])),
            "a key goes or comes back": (11, itertools.cycle([
                lambda: self.keys.set(self.first), lambda: self.keys.set(self.first, self.second)])),
            "the configuration changes": (60 if SECONDS > 120 else 15, (
                lambda number=number: self.configure(number) for number in itertools.count(1))),
            "the collector goes, stands still or is slow": (13, itertools.cycle([
                collector.kill, collector.start, collector.pause, collector.resume, collector.kill,
                lambda: collector.start(0.5), collector.kill, collector.start])),
            "the key set breaks": (37, itertools.cycle([
                lambda: setattr(self.keys, "mode", "garbage"), lambda: setattr(self.keys, "mode", "ok")])),
        }
        due = {name: self.began + every for name, (every, _) in turns.items()}
        while not over.wait(0.2):
            for name, (every, steps) in turns.items():
                if time.monotonic() >= due[name]:
                    due[name] += every
                    try:
                        next(steps)()
                        self.changes[name] += 1
                    except LabError as error:
                        self.problems.append(f"{name}: {error}")

    def take(self, outcome):
        self.kinds.update(outcome["kinds"])
        self.slowest = max(self.slowest, outcome["slowest_ms"])
        self.totals.update({name: outcome[name] for name in ("sent", "left", "read_some", "failed")})

    def tell(self):
        seconds, size = self.sizes[-1]
        print(f"{seconds:5.0f} s  {self.totals['sent']:9} requests  {size / 1e6:6.0f} MB", flush=True)

    def wait_until_ready(self):
        deadline, token = time.monotonic() + 20, self.token("patient")
        good = 0
        while good < 20:
            if time.monotonic() > deadline:
                raise LabError("the filter did not get ready")
            try:
                with Client(self.port) as client:
                    good = good + 1 if client.get(READ, token).status == 200 else 0
            except NoResponse:
                good = 0

    def judge(self):
        """The table, and everything that is not as it must be."""
        by_kind = defaultdict(Counter)
        for became, count in self.kinds.items():
            kind = next(kind for kind in sorted(EXPECTED, key=len, reverse=True) if became.startswith(kind + " "))
            by_kind[kind][became.removeprefix(kind + " ")] += count
        print(f"\n{'request':16} answers")
        for kind in EXPECTED:
            told = ", ".join(f"{answer}: {count}" for answer, count in sorted(by_kind[kind].items()))
            print(f"{kind:16} {told}")
            self.check(f"`{kind}` is answered {set(by_kind[kind]) - EXPECTED[kind]}",
                       set(by_kind[kind]) <= EXPECTED[kind])
            self.check(f"`{kind}` was never answered", by_kind[kind])
            if SECONDS >= 60:
                self.check(f"`{kind}` never came and went", BOTH.get(kind, set()) <= set(by_kind[kind]))
        self.check(f"{self.totals['failed']} requests without an answer", self.totals["failed"] == 0)
        reloads, skipped = self.envoy.wasm_vm_reloads(), self.envoy.skipped_filters()
        self.check(f"{reloads} VMs trapped, {skipped} filters were skipped", reloads == skipped == 0)
        self.judge_records()
        self.judge_memory()
        print(f"\n{dict(self.totals)}, slowest answer {self.slowest} ms; {dict(self.changes)}")

    def judge_records(self):
        """One record for each request, and two more for each batch: none is lost, and all of them arrive."""
        self.collector.stop()
        self.collector.start()
        batches = sum(count for kind, count in self.kinds.items() if kind.startswith("batch "))
        least = self.totals["sent"] - self.totals["left"] + 2 * batches
        most = self.totals["sent"] + 2 * (batches + self.totals["left"] + self.totals["read_some"]) + AROUND
        deadline = time.monotonic() + 90
        while True:  # workers tell what they counted every five seconds
            counters = self.counters()
            kept = counters["queued"] + counters["spilled"]
            if (kept >= least and counters["sent"] >= counters["queued"]) or time.monotonic() > deadline:
                break
            time.sleep(1)
        print(f"\naudit: {dict(counters)}")
        self.check(f"records are left behind: {counters}", counters["sent"] >= counters["queued"])
        self.check(f"records were lost: {counters}", counters["broken"] == counters["rejected"] == 0)
        self.check(f"{kept} records, not {least} to {most}", least <= kept <= most)

    def counters(self):
        stats = self.envoy.stats(METRICS.replace(".", "[.]"))
        return Counter({name.removeprefix(METRICS): value for name, value in stats.items()})

    def judge_memory(self):
        level = [(at, size) for at, size in self.sizes if at > self.sizes[-1][0] / 3]
        middle, mean = (sum(column) / len(level) for column in zip(*level))
        rate = (sum((at - middle) * (size - mean) for at, size in level)
                / max(1e-9, sum((at - middle) ** 2 for at, _ in level)))
        grown = rate * (level[-1][0] - level[0][0])
        sizes = [size for _, size in self.sizes]
        print(f"\nmemory: {sizes[0] / 1e6:.0f} MB at first, {max(sizes) / 1e6:.0f} MB at most, {sizes[-1] / 1e6:.0f} MB "
              f"at last; in the last {level[-1][0] - level[0][0]:.0f} s it grew by {grown / 1e6:.1f} MB")
        self.check(f"memory grew by {grown / 1e6:.1f} MB", grown < GROWTH)

    def check(self, problem, holds):
        if not holds:
            self.problems.append(problem)

    def stop(self):
        for server in self.envoy, self.collector, self.upstream, self.keys, self.list:
            server.stop()


def main():
    end_on_signals()
    print(f"soak: {SECONDS:.0f} s at {RATE:.0f} requests a second, two workers")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(folder)
        try:
            soak.go()
            soak.judge()
        finally:
            soak.stop()
            stop_all()
    for problem in soak.problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    print("soak: " + ("failed" if soak.problems else "all as it should be"))
    sys.exit(bool(soak.problems))


if __name__ == "__main__":
    main()

