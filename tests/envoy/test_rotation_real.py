"""A real authorization server changes its keys: which tokens are good, on every worker, and how soon."""

import base64
import json
import threading
import time

import pytest

from gateway import BASE, INVALID_TOKEN
from lab.auth_server import AuthServer
from lab.http import Client
from test_revocation import PATIENCE
from test_rotation import COOLDOWN

READ = "/fhir/Patient/ann"
REFRESH = 1.0
ANSWERS = 1.0  # seconds that the server may take, busy with log-ins
BOUND = REFRESH + ANSWERS + 1 + PATIENCE


class Turning:
    """An authorization server, in the place, and the cluster, of a server that nobody needs, and a
    listener that takes its tokens: the keys are at a URL, or where the server's metadata say."""

    def __init__(self, place, refresh, spare, folder, listen, configuration):
        spare.stop()
        self.auth = AuthServer(folder, BASE, port=spare.port)
        self.auth.wait()
        document = configuration()
        keys = {"cluster": str(spare.port), "refresh": refresh}
        document["issuers"].append({
            "issuer": self.auth.issuer, "audiences": [BASE],
            "algorithms": ["RS256", "PS256", "ES256", "ES384"],
            "jwks": {**keys, "url": self.auth.jwks_url} if place == "url" else keys})
        self.gate = listen(f"turning-{spare.port}", document, hardened=False)
        agree(self.gate, {log_in(self.auth): 200}, seconds=15)


@pytest.fixture(scope="module")
def turning_by(spare_lists, tmp_path_factory, listen, configuration):
    """Makes such servers."""
    made = []

    def make(place, refresh):
        folder = tmp_path_factory.mktemp("turning")
        made.append(Turning(place, refresh, spare_lists.pop(), folder, listen, configuration))
        return made[-1]

    yield make
    for one in made:
        one.auth.stop()


@pytest.fixture(scope="module", params=["url", "metadata"])
def each_second(turning_by, request):
    """A server whose keys are fetched each second."""
    return turning_by(request.param, f"{REFRESH:.0f}s")


@pytest.fixture
def auth(each_second):
    return each_second.auth


@pytest.fixture
def gate(each_second):
    return each_second.gate


def log_in(auth):
    return auth.log_in("ann", "launch/patient patient/Patient.rs")


def key_of(token):
    header = token.partition(".")[0]
    found = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return found["kid"], found["alg"]


def agree(gate, wanted, since=None, seconds=10):
    """Seconds until no worker answers a token otherwise than wanted any more, from now or an earlier
    moment on."""
    started = last_other = since or time.monotonic()
    until = time.monotonic() + REFRESH
    while time.monotonic() - max(last_other, until) < 0.3:
        for token, status in wanted.items():
            with Client(gate.client.port) as client:
                if client.get(READ, token).status != status:
                    last_other = time.monotonic()
        assert time.monotonic() - started < seconds
    return last_other - started


def good(gate, *tokens):
    for token in tokens:
        assert [answer.status for answer in gate.on_every_worker(READ, token)] == [200, 200]


def unknown(gate, token):
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_key_unknown")


class Using:
    """An app that uses a token all the time, on new connections; `statuses` has the answers."""

    def __init__(self, gate, token):
        self.gate, self.token = gate, token
        self.statuses, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.use)

    def use(self):
        while not self.over.is_set():
            with Client(self.gate.client.port) as client:
                self.statuses.append(client.get(READ, self.token).status)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_a_key_that_is_published_ahead_loses_no_request(auth, gate):
    old = log_in(auth)
    good(gate, old)
    with Using(gate, old) as app:
        before, *_, ahead = auth.rotate(ahead=True)
        assert key_of(log_in(auth))[0] == before, "nothing is signed with the new key yet"
        time.sleep(BOUND)
        assert auth.use_newest()[0] == ahead
        fresh = log_in(auth)
        assert key_of(fresh)[0] == ahead
        good(gate, fresh)
        good(gate, old)
    assert len(app.statuses) > 50 and set(app.statuses) == {200}


def test_a_key_that_signs_at_once_is_good_within_the_refresh(auth, gate, record_property):
    old = log_in(auth)
    good(gate, old)
    with Using(gate, old) as app:
        changed = time.monotonic()
        auth.rotate()
        fresh = log_in(auth)
        took = agree(gate, {fresh: 200}, changed)
    record_property("seconds", took)
    assert took < BOUND, took
    assert set(app.statuses) == {200}
    good(gate, old, fresh)


def test_without_overlap_the_old_token_ends_and_the_new_one_begins_within_the_refresh(
        auth, gate, record_property):
    old = log_in(auth)
    good(gate, old)
    changed = time.monotonic()
    auth.rotate(drop=True)
    fresh = log_in(auth)
    took = agree(gate, {old: 401, fresh: 200}, changed)
    record_property("seconds", took)
    assert took < BOUND, took
    unknown(gate, old)
    good(gate, fresh)


def test_a_dropped_key_takes_its_cached_tokens_with_it_and_no_others(auth, gate, record_property):
    old = log_in(auth)
    auth.rotate()
    fresh = log_in(auth)
    agree(gate, {old: 200, fresh: 200})
    good(gate, old, fresh)
    with Using(gate, fresh) as app:
        assert auth.retire() == [key_of(fresh)[0]]
        took = agree(gate, {old: 401})
    unknown(gate, old)
    record_property("seconds", took)
    assert took < BOUND, took
    assert set(app.statuses) == {200}


@pytest.mark.parametrize("before, after", [("RS256", "ES256"), ("ES384", "PS256")])
def test_the_algorithm_changes_with_the_key(auth, gate, before, after, record_property):
    auth.rotate(before, drop=True)
    old = log_in(auth)
    agree(gate, {old: 200})
    changed = time.monotonic()
    auth.rotate(after)
    fresh = log_in(auth)
    assert (key_of(old)[1], key_of(fresh)[1]) == (before, after)
    took = agree(gate, {old: 200, fresh: 200}, changed)
    good(gate, old, fresh)
    auth.retire()
    gone = agree(gate, {old: 401, fresh: 200})
    unknown(gate, old)
    record_property("seconds", (took, gone))
    assert max(took, gone) < BOUND, (took, gone)


@pytest.mark.parametrize("place", ["url", "metadata"])
def test_keys_that_are_fetched_rarely_are_fetched_when_they_turn(turning_by, place, record_property):
    """The first token under the new key waits for the set, and nobody gets a 401 for it; the set takes
    the old key's tokens along on every worker."""
    turning = turning_by(place, "5m")
    auth, gate = turning.auth, turning.gate
    old = log_in(auth)
    good(gate, old)
    for drop in (False, True):
        time.sleep(COOLDOWN + 0.2)
        auth.rotate(drop=drop)
        fresh = log_in(auth)
        started = time.monotonic()
        good(gate, fresh)
        took = time.monotonic() - started
        gone = agree(gate, {old: 401 if drop else 200, fresh: 200})
        record_property("seconds", (took, gone))
        assert gone < 1 + PATIENCE, gone
    unknown(gate, old)
