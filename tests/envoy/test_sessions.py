"""Sessions that end by themselves: idle and over, on every worker, and what many workers at once do to
them."""

import collections
import itertools
import threading
import time
import uuid

import pytest

from gateway import INVALID_TOKEN
from lab.http import Client

TARGET = "/fhir/Patient/ann"
IDLE = 4
LIFETIME = 6
SECONDS = 5  # of hammering


@pytest.fixture(scope="module")
def limited(listen, configuration):
    """Adds a listener with these rules; one capacity, one table, so each has its own."""
    capacities = itertools.count(1_000, 100)

    def add(name, *rules, capacity=None, **changes):
        document = {**configuration(), **changes}
        document["sessions"] = {"capacity": capacity or next(capacities), "rules": list(rules)}
        document["issuers"][0]["require"] = ["sub"]
        return listen(f"sessions-{name}", document, hardened=False)

    return add


@pytest.fixture(scope="module")
def idle(limited):
    """Sessions end when idle for `IDLE` seconds, and no rule fits tokens without a client."""
    return limited("idle", {"clients": ["app-1"], "idle": f"{IDLE}s"})


@pytest.fixture(scope="module")
def lifetime(limited):
    """Sessions end after `LIFETIME` seconds."""
    return limited("lifetime", {"lifetime": f"{LIFETIME}s"})


def session():
    """A name that no other session has."""
    return f"session-{uuid.uuid4()}"


def goes_on(gateway, token):
    """Proves that every worker lets the token through."""
    for response in gateway.on_every_worker(TARGET, token):
        assert response.status == 200, (response.status, response.reason)


def ended(gateway, token, code):
    """Proves that every worker refuses the token for its session's end."""
    for response in gateway.on_every_worker(TARGET, token):
        record = gateway.refused(response, 401, code, INVALID_TOKEN)
        assert record["decision"] == "deny"


def worker_of(gateway, response):
    """The worker that answered."""
    return gateway.envoy.audit(response.header("x-request-id"))["id"].partition("-")[0]


def clients_of_each_worker(gateway, token):
    """A connection to each worker, by the worker's name."""
    found = {}
    for _ in range(200):
        client = Client(gateway.client.port)
        at = gateway.over(client)
        name = worker_of(at, at.get(TARGET, token))
        if name in found:
            client.close()
        found.setdefault(name, at)
        if len(found) == 2:
            return found
    raise AssertionError("one worker answers everything")


def test_a_session_that_was_idle_is_ended_on_every_worker_and_for_every_token(idle, issuer):
    sid = session()
    token = issuer.patient(sid=sid)
    goes_on(idle, token)
    time.sleep(IDLE)
    ended(idle, token, "session_idle")
    # Refreshing the token does not bring it back, nor does asking often; a new session does.
    ended(idle, issuer.patient(sid=sid), "session_idle")
    ended(idle, issuer.patient(sid=sid, key=issuer.keys[1]), "session_idle")
    goes_on(idle, issuer.patient(sid=session()))
    goes_on(idle, issuer.patient(sid=sid, client_id="another"))


def test_use_at_one_worker_keeps_a_session_alive_at_the_other(idle, issuer):
    sid = session()
    token, other_token = issuer.patient(sid=sid), issuer.patient(sid=sid)
    one, other = clients_of_each_worker(idle, issuer.patient(sid=session())).values()
    assert other.get(TARGET, token).status == 200
    until = time.monotonic() + 2 * IDLE
    while time.monotonic() < until:
        assert one.get(TARGET, other_token).status == 200
        time.sleep(0.5)
    # The other one saw nothing of it for twice as long as it may be idle.
    response = other.get(TARGET, token)
    assert response.status == 200, response.reason
    time.sleep(IDLE)
    other.refused(other.get(TARGET, token), 401, "session_idle", INVALID_TOKEN)
    one.refused(one.get(TARGET, other_token), 401, "session_idle", INVALID_TOKEN)


def test_a_request_that_is_denied_later_counts_as_use_and_one_that_is_not_authenticated_does_not(
        idle, issuer):
    used, unused = session(), session()
    until = time.monotonic() + IDLE + 1
    goes_on(idle, issuer.patient(sid=used))
    goes_on(idle, issuer.patient(sid=unused))
    denied, expired = issuer.patient(sid=used, scope=""), issuer.patient(sid=unused, lifetime=-60)
    while time.monotonic() < until:
        assert idle.get(TARGET, denied).status == 403
        idle.refused(idle.get(TARGET, expired), 401, "token_expired", INVALID_TOKEN)
        time.sleep(0.5)
    goes_on(idle, issuer.patient(sid=used))
    ended(idle, issuer.patient(sid=unused), "session_idle")


def test_a_session_ends_with_its_lifetime_however_busy_it_is(lifetime, issuer):
    sid, started = session(), time.monotonic()
    token = issuer.patient(sid=sid)
    while time.monotonic() < started + LIFETIME - 1.5:
        goes_on(lifetime, token)
        time.sleep(0.2)
    time.sleep(max(0, started + LIFETIME - time.monotonic()))
    ended(lifetime, token, "session_over")
    ended(lifetime, issuer.patient(sid=sid), "session_over")


def test_a_session_began_when_the_user_signed_in(lifetime, issuer):
    now = int(time.time())
    ended(lifetime, issuer.patient(sid=session(), auth_time=now - LIFETIME), "session_over")
    goes_on(lifetime, issuer.patient(sid=session(), auth_time=now))
    goes_on(lifetime, issuer.patient(sid=session(), auth_time=0))
    goes_on(lifetime, issuer.patient(sid=session(), auth_time=now + 1_000))
    # Said by any token of the session, it counts for all.
    sid = session()
    goes_on(lifetime, issuer.patient(sid=sid))
    ended(lifetime, issuer.patient(sid=sid, auth_time=now - LIFETIME), "session_over")
    ended(lifetime, issuer.patient(sid=sid), "session_over")


def test_the_first_rule_that_fits_counts(limited, issuer):
    gateway = limited(
        "rules",
        {"roles": ["nurse", "physician"], "lifetime": "100s"},
        {"clients": ["kiosk"], "lifetime": "200s"},
        {"contexts": ["patient"], "lifetime": "300s"},
        {"contexts": ["system"], "roles": ["feed"], "lifetime": "400s"},
        {"lifetime": "500s"})
    now = int(time.time())
    fits = {
        100: [issuer.clinician, {"roles": ["nurse"]}, {"roles": ["clerk", "physician"], "client_id": "kiosk"},
              {"roles": "nurse"}],
        200: [issuer.patient, {"client_id": "kiosk"}, {"client_id": "kiosk", "roles": ["clerk"]}],
        300: [issuer.patient, {}, {"roles": ["feed"]}, {"client_id": "kiosks"}],
        400: [issuer.backend, {"roles": ["feed"]}],
        500: [issuer.clinician, {}, {"roles": ["nurses"]}],
    }
    for lifetime, (token, *claims) in fits.items():
        for more in claims:
            for age, code in [(lifetime - 20, None), (lifetime, "session_over")]:
                made = token(sid=session(), auth_time=now - age, **more)
                response = gateway.get(TARGET, made)
                assert response.reason == code, (lifetime, more, age)


def test_a_token_without_sid_is_a_session_of_its_own_and_one_without_a_name_is_refused(idle, issuer):
    token = issuer.patient()
    goes_on(idle, token)
    nameless = issuer.patient(jti=None)
    for response in idle.on_every_worker(TARGET, nameless):
        idle.refused(response, 401, "session_unnamed", INVALID_TOKEN)
    goes_on(idle, issuer.patient(jti=None, client_id="another"))
    time.sleep(IDLE)
    ended(idle, token, "session_idle")
    goes_on(idle, issuer.patient())


def test_what_is_only_observed_ends_nothing_for_anybody(limited, issuer):
    gateway = limited("observe", {"idle": "2s"}, mode="observe")
    token = issuer.patient(sid=session())
    assert gateway.get(TARGET, token).status == 200
    time.sleep(2.1)
    for _ in range(2):
        response = gateway.get(TARGET, token)
        assert response.status == 200
        record = gateway.envoy.audit(response.header("x-request-id"))
        assert record["reason"] == "session_idle", record


def test_a_form_whose_body_is_awaited_belongs_to_its_session(lifetime, issuer):
    sid = session()
    token = issuer.clinician(sid=sid)
    response = lifetime.send(
        "POST", "/fhir/Observation/_search", token, body=b"code=1",
        headers=[("content-type", "application/x-www-form-urlencoded")])
    assert response.status == 200, response.reason
    ended(lifetime, issuer.clinician(sid=sid, auth_time=1), "session_over")
    response = lifetime.send(
        "POST", "/fhir/Observation/_search", token, body=b"code=1",
        headers=[("content-type", "application/x-www-form-urlencoded")])
    lifetime.refused(response, 401, "session_over", INVALID_TOKEN, method="POST")


def test_of_more_sessions_than_there_is_room_for_the_one_used_longest_ago_is_forgotten(limited, issuer):
    # One set of sixteen.
    gateway = limited("small", {"idle": "2s"}, capacity=1)
    first = issuer.patient(sid=session())
    goes_on(gateway, first)
    time.sleep(2)
    ended(gateway, first, "session_idle")
    second = issuer.patient(sid=session())
    goes_on(gateway, second)
    time.sleep(2)
    ended(gateway, second, "session_idle")
    # Which of both is older is told by whole seconds; these are younger by more than one.
    time.sleep(1.1)
    active = [issuer.patient(sid=session()) for _ in range(15)]
    for token in 2 * active:
        assert gateway.get(TARGET, token).status == 200
    ended(gateway, second, "session_idle")
    for response in gateway.on_every_worker(TARGET, first):
        assert response.status == 200, "it was forgotten and begins anew"


def test_sessions_outlive_a_reload(limited, issuer):
    gateway = limited("reload", {"idle": "2s"}, capacity=777)
    token, busy = issuer.patient(sid=session()), issuer.patient(sid=session())
    goes_on(gateway, token)
    time.sleep(2)
    ended(gateway, token, "session_idle")
    goes_on(gateway, busy)
    again = limited("reload", {"idle": "30m"}, capacity=777)
    ended(again, token, "session_idle")
    goes_on(again, busy)


class Hammer:
    """Threads that send requests for some seconds, each over a connection of its own."""

    def __init__(self, gateway, tokens, threads):
        self.port, self.tokens = gateway.client.port, tokens
        self.answers, self.slowest = collections.Counter(), 0.0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def run(self):
        started = time.monotonic()
        self._until = started + SECONDS
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        return sum(self.answers.values()) / (time.monotonic() - started)

    def _run(self, number):
        answers, slowest, at = collections.Counter(), 0.0, time.monotonic()
        with Client(self.port) as client:
            # Spread out, so that a slow machine too comes round to each session well within `idle`.
            first = number * len(self.tokens) // len(self._threads)
            for token in itertools.islice(itertools.cycle(self.tokens), first, None):
                if time.monotonic() > self._until:
                    break
                response = client.get(TARGET, token)
                answers[response.status, response.reason] += 1
                slowest, at = max(slowest, time.monotonic() - at), time.monotonic()
        with self._lock:
            self.answers += answers
            self.slowest = max(self.slowest, slowest)


@pytest.mark.parametrize("many", [1, 8, 400])
def test_many_requests_at_once_are_all_counted_and_none_is_refused(limited, issuer, many, capsys):
    # One session, eight in one set, and many that begin at the same time. Their tokens grant nothing, which is
    # told after the limits: so nothing slows them down.
    gateway = limited(f"hammer-{many}", {"idle": "3s"}, capacity=1 if many == 8 else 4_000 + many)
    for _ in range(3):
        sessions = [session() for _ in range(many)]
        hammer = Hammer(gateway, [issuer.patient(sid=sid, scope="") for sid in sessions], threads=12)
        rate = hammer.run()
        if hammer.slowest < 1:
            break  # otherwise the machine stood still, and sessions may have ended rightly
    with capsys.disabled():
        print(f"\n{many} sessions, 12 connections: {rate:.0f} requests/s", end=" ")
    assert set(hammer.answers) == {(403, "scope_insufficient")}, hammer.answers
    # That took longer than `idle`: a use that was lost would have ended a session.
    tokens = [issuer.patient(sid=sid) for sid in sessions[:20]]
    for token in tokens:
        assert gateway.get(TARGET, token).status == 200
    time.sleep(3)
    for token in tokens:
        gateway.refused(gateway.get(TARGET, token), 401, "session_idle", INVALID_TOKEN)
