"""The configuration changes again and again, while requests come: each gets its right answer, none passes
unchecked, and what is replaced gives its memory back.

`PHIWARD_UPDATES` is how often (120); 1000 take three minutes."""

import os
from types import SimpleNamespace

import pytest

from gateway import BASE, Gateway, Issuer
from lab import envoy as lab_envoy, load
from lab.http import Client
from lab.processes import LabError
from lab.servers import Revocations
from lab.tokens import Key, peek
from test_revocation import until

UPDATES = int(os.environ.get("PHIWARD_UPDATES", 120))
# From then on memory is level: until then caches fill up and heaps grow into their pieces.
LEVEL = min(100, UPDATES // 2)
GROWTH = 40_000  # bytes for each update after that
RATE, CONNECTIONS = 250, 24
READ = "/fhir/Patient/ann"


class Moving:
    """An Envoy of its own, whose listener changes under load."""

    def __init__(self, folder):
        self.folder, self.issuer, self.list = folder, Issuer(Key("ES256", "own")), Revocations()
        self.upstream = load.Upstream(folder)
        # What is replaced is over a second later, unlike as usual.
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.issuer.jwks.port, "revocations": self.list.port},
            more=("--drain-time-s", 1, "--drain-strategy", "immediate"))
        self.port = self.change(0)
        self.gateway = Gateway(self.envoy, self.port, SimpleNamespace(requests=[]))
        token = self.issuer.patient()
        until(lambda: {one.status for one in self.gateway.on_every_worker(READ, token)} == {200}, 20)

    def change(self, number):
        """The configuration of this number; every tenth is wrong."""
        document = lab_envoy.configuration(
            BASE, self.issuer.name, self.issuer.jwks.jwks_url, self.list.list_url)
        document["fhir"]["passthrough"] = [f"/healthz-{number}"]
        document["smart"] = {"search_without_patient": "narrow"}
        if number % 10 == 9:
            document["mode"] = "off"

        def quietly(manager):
            del manager["access_log"]

        return self.envoy.listen("moving", document, adjust=quietly)

    def requests(self):
        """Method, target, token, body and kind of what clients send, and the one answer to each."""
        patient, clinician, revoked = (self.issuer.patient(lifetime=3000), self.issuer.clinician(lifetime=3000),
                                       self.issuer.patient(lifetime=3000))
        self.list.set({"jti": peek(revoked)["jti"]})
        until(lambda: {one.status for one in self.gateway.on_every_worker(READ, revoked)} == {401}, 20)
        own = '{"resourceType":"Observation","id":"ann-1","status":"final","subject":{"reference":"Patient/ann"}}'
        return {
            ("GET", READ, patient, "", "own"): "200",
            ("GET", "/fhir/Observation/ann-1", patient, "", "held"): "200",
            ("GET", "/fhir/Observation/ben-1", patient, "", "foreign"): "403 compartment_not_member",
            ("GET", "/fhir/Observation?code=mixed", patient, "", "narrowed"): "200",
            ("GET", "/fhir/Encounter/slow", clinician, "", "streamed"): "200",
            ("PUT", "/fhir/Observation/ann-1", patient, own, "update"): "200",
            ("GET", "/fhir/Patient/ben", patient, "", "other"): "403 compartment_other_patient",
            ("GET", READ, patient[:-8] + "A" * 8, "", "forged"): "401 token_invalid",
            ("GET", READ, revoked, "", "revoked"): "401 token_revoked",
            ("GET", READ, "", "", "nobody"): "401 token_missing",
        }

    def go(self):
        kinds = self.requests()
        self.expected = {f"{kind} {answer}" for (*_, kind), answer in kinds.items()}
        sending = load.Requests(self.port, kinds, self.folder, "moving", rate=RATE, connections=CONNECTIONS,
                                seconds=3600, count=2_000_000, stop=self.folder / "stop")
        self.sizes, self.refused = [], 0
        for number in range(1, UPDATES + 1):
            assert sending.are_under_way()
            try:
                self.change(number)
            except LabError:
                self.refused += 1
            self.sizes.append(self.envoy.resident_bytes())
        (self.folder / "stop").touch()
        self.outcome = sending.outcome()
        self.figures = (f"{UPDATES} updates, {self.refused} of them wrong; {self.outcome}; megabytes "
                        f"{[size // 1_000_000 for size in self.sizes[::max(1, UPDATES // 20)]]}, for each update after "
                        f"{LEVEL} {slope(self.sizes[LEVEL:]) / 1000:.0f} kB")
        print(self.figures)

    def stop(self):
        for server in self.envoy, self.upstream, self.list, self.issuer.jwks:
            server.stop()


def slope(values):
    """How much they grow from one to the next: the line of least squares."""
    middle = (len(values) - 1) / 2
    mean = sum(values) / len(values)
    steps = [place - middle for place in range(len(values))]
    return sum(step * (value - mean) for step, value in zip(steps, values)) / sum(step ** 2 for step in steps)


@pytest.fixture(scope="module")
def moving(wasm, tmp_path_factory):
    """Everything that happened, when it is over."""
    made = Moving(tmp_path_factory.mktemp("moving"))
    try:
        made.go()
        yield made
    finally:
        made.stop()


def test_every_request_got_its_own_right_answer(moving):
    assert set(moving.outcome["kinds"]) == moving.expected, moving.figures
    assert moving.outcome["failed"] == 0, moving.figures
    assert sum(moving.outcome["kinds"].values()) == moving.outcome["sent"] > UPDATES, moving.figures


def test_wrong_configurations_are_refused_and_right_ones_taken(moving):
    assert moving.refused == UPDATES // 10
    with Client(moving.port) as client:
        last = UPDATES - (UPDATES % 10 == 9)
        until(lambda: client.get(f"/healthz-{last}").status == 200, 10)


def test_nothing_trapped_and_nobody_was_skipped(moving):
    assert moving.envoy.wasm_vm_reloads() == moving.envoy.skipped_filters() == 0


def test_memory_is_level_after_the_first_hundred(moving):
    assert slope(moving.sizes[LEVEL:]) < GROWTH, moving.figures
