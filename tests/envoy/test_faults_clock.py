"""The clock of the machine is set, forward and back, while requests come: what is too old or not yet valid
by the new time is refused, and what is good by it is let through again within seconds."""

import time

import pytest

from gateway import BASE, Gateway, Issuer
from lab import clock as lab_clock, envoy as lab_envoy
from lab.processes import free_port
from lab.servers import Collector, Revocations, Upstream
from lab.tokens import Key, peek
from test_revocation import until

READ, BOB = "/fhir/Patient/ann", "/fhir/Patient/bob"
HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400

pytestmark = pytest.mark.skipif(not lab_clock.WORKS, reason="LD_PRELOAD is of Linux")


class Timely:
    """An Envoy of its own, whose clock is in our hands, and everything around it."""

    def __init__(self, folder):
        self.clock = lab_clock.Clock(folder)
        self.issuer, self.list, self.upstream = Issuer(Key("ES256", "own")), Revocations(), Upstream()
        self.collector = Collector(free_port())
        self.servers = [self.issuer.jwks, self.list, self.upstream, self.collector]
        self.envoy = lab_envoy.Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.issuer.jwks.port, "revocations": self.list.port,
            "collector": self.collector.port}, env=self.clock.env)
        document = lab_envoy.configuration(
            BASE, self.issuer.name, self.issuer.jwks.jwks_url, self.list.list_url)
        document["audit"] = {"sinks": ["log", "collector"], "collector": {
            "cluster": "collector", "url": f"{self.collector.url}/", "every": "1s"}}
        document["sessions"] = {"capacity": 1_000, "rules": [{"idle": "2h", "lifetime": "10d"}]}
        port = self.envoy.listen("timely", document, hardened=False)
        self.gateway = Gateway(self.envoy, port, self.upstream)

    def token(self, **more):
        """A good token by that clock."""
        return self.issuer.patient(now=int(self.clock.now()), **more)

    def judges(self):
        """Waits until a new token is let through on every worker; the others are refused all the time."""
        def is_right():
            token = self.token()
            answers = self.gateway.on_every_worker(READ, token)
            for response in self.gateway.on_every_worker(BOB, token):
                assert response.status in (403, 401, 503), response
            assert self.gateway.get(READ).status == 401
            return {one.status for one in answers} == {200}

        until(is_right, 30)
        self.gateway.refused(self.gateway.get(BOB, self.token()), 403, "compartment_other_patient")

    def stop(self):
        try:
            assert self.envoy.wasm_vm_reloads() == 0, self.envoy.log
            assert self.envoy.skipped_filters() == 0, self.envoy.log
        finally:
            for server in [self.envoy, *self.servers]:
                server.stop()


@pytest.fixture(scope="module")
def timely(wasm, tmp_path_factory):
    made = Timely(tmp_path_factory.mktemp("clock"))
    try:
        made.judges()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def on_time(timely):
    yield
    timely.clock.set(0)
    timely.judges()


def refused_everywhere(timely, token, *codes):
    """By one of these reasons, on every worker."""
    for response in timely.gateway.on_every_worker(READ, token):
        record = timely.envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["reason"]) in [
            ("deny" if code.startswith("token") or code.startswith("session") else "error", code)
            for code in codes], record
        assert timely.upstream.with_id(response.header("x-request-id")) == []


@pytest.mark.parametrize("jump", [HOUR, DAY, 80 * YEAR], ids=["hour", "day", "80 years"])
def test_forward_what_was_good_has_expired(timely, jump):
    token = timely.token(lifetime=200)
    assert {one.status for one in timely.gateway.on_every_worker(READ, token)} == {200}
    timely.clock.set(jump)
    refused_everywhere(timely, token, "token_expired")
    timely.judges()
    refused_everywhere(timely, token, "token_expired")
    timely.clock.set(0)
    until(lambda: {one.status for one in timely.gateway.on_every_worker(READ, token)} == {200}, 30)


@pytest.mark.parametrize("jump", [-HOUR, -DAY, -10 * YEAR], ids=["hour", "day", "10 years"])
def test_back_what_was_good_is_of_the_future(timely, jump):
    token = timely.token(lifetime=200)
    assert {one.status for one in timely.gateway.on_every_worker(READ, token)} == {200}
    timely.clock.set(jump)
    refused_everywhere(timely, token, "token_issued_in_future")
    timely.judges()
    refused_everywhere(timely, token, "token_issued_in_future")
    record = timely.envoy.audits()[-1]
    assert record["time"].startswith(time.strftime("%Y-%m-%dT", time.gmtime(timely.clock.now())))


def test_at_the_beginning_of_time_nothing_is_let_through(timely):
    """As on a machine whose clock has no battery."""
    token = timely.token()
    timely.clock.set(-time.time() + 10)
    refused_everywhere(timely, token, "token_issued_in_future")
    for response in timely.gateway.on_every_worker(BOB, timely.token()):
        assert response.status in (401, 403, 503)


def test_a_revoked_token_stays_revoked_whatever_the_clock_says(timely):
    token = timely.token()
    timely.list.set({"jti": peek(token)["jti"]})
    try:
        until(lambda: {one.status for one in timely.gateway.on_every_worker(READ, token)} == {401}, 15)
        for jump in (50, -50, 100, 0):  # within the token's life, but for `iat`
            timely.clock.set(jump)
            for _ in range(5):
                for response in timely.gateway.on_every_worker(READ, token):
                    assert response.status in (401, 503), response
    finally:
        timely.list.set()


def test_records_are_delivered_whatever_the_clock_says(timely):
    seen = set()
    for jump in (DAY, -DAY, YEAR, 0):
        timely.clock.set(jump)
        for _ in range(10):
            response = timely.gateway.get(READ, timely.token())
            seen.add(timely.envoy.audit(response.header("x-request-id"))["id"])
    until(lambda: seen <= {one["id"] for one in timely.collector.records()}, 60)
