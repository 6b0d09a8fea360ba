"""Envoy dies and comes back: what it knew of keys, revoked tokens, events and sessions is gone with its
memory. Until it knows again, nothing passes unchecked."""

import threading
import time

import pytest

from gateway import BASE, INVALID_TOKEN, ISSUER, Clients, Gateway, Issuer
from lab.envoy import Envoy
from lab.http import Client, NoResponse
from lab.servers import Revocations, Upstream
from lab.tokens import Key, peek
from test_events import Transmitter, user
from test_revocation import until
from test_status_list import StatusList, StatusLists

READ = "/fhir/Patient/ann"
SLOW = 1.5  # seconds that a slow server takes
WAITS = 2.0  # seconds that a request waits at most


class Own:
    """An Envoy of its own with two workers, and all servers that it needs. `good` and `bad` are tokens
    that it was seen to let through and to refuse."""

    def __init__(self, folder, configuration, revocation, **more):
        self.issuer = Issuer(Key("ES256", "own"))
        self.upstream, self.keys = Upstream(), self.issuer.jwks
        self.list, self.statuses = Revocations(), StatusLists(0)
        self.events = Transmitter(0, self.issuer)
        document = {**configuration(), **more}
        document["issuers"][0]["jwks"]["url"] = self.keys.jwks_url
        document["revocation"] = revocation(self)
        self.envoy = Envoy(folder, {
            "fhir": self.upstream.port, "auth": self.keys.port, "revocations": self.list.port,
            "statuses": self.statuses.port, "events": self.events.port})
        port = self.envoy.listen("own", document, hardened=False)
        self.gateway = Gateway(self.envoy, port, self.upstream)
        self.good, self.bad = self.issuer.patient(), self.issuer.patient()

    def everywhere(self, token, status, seconds=15):
        """Waits until every worker answers so; the last answers."""
        answers = []

        def same():
            answers[:] = self.gateway.on_every_worker(READ, token)
            return {answer.status for answer in answers} == {status}

        until(same, seconds)
        return answers

    def told_apart(self):
        """Waits until every worker lets the good token through, and refuses the bad one."""
        self.everywhere(self.good, 200)
        for response in self.everywhere(self.bad, 401):
            self.gateway.refused(response, 401, "token_revoked", INVALID_TOKEN)

    def refused(self, token, status, code):
        for response in self.gateway.on_every_worker(READ, token):
            self.gateway.refused(response, status, code, INVALID_TOKEN if status == 401 else None)

    def dies(self):
        self.envoy.kill()
        self.gateway.client.close()
        self.upstream.clear()

    def stop(self):
        try:
            assert self.envoy.wasm_vm_reloads() == 0, self.envoy.log
            assert self.envoy.skipped_filters() == 0, self.envoy.log
        finally:
            for server in self.envoy, self.upstream, self.keys, self.list, self.statuses, self.events:
                server.stop()


class Knocking(Clients):
    """Clients that try both tokens on new connections all the time. `answers` has which of the two it
    was, status and reason."""

    def __init__(self, own, clients=4):
        super().__init__(clients)
        self.own, self.answers = own, []

    def knock(self):
        for name in ("good", "bad"):
            try:
                with Client(self.own.gateway.client.port) as client:
                    answer = client.request("GET", READ, [("x-which", name)], token=getattr(self.own, name))
                self.answers.append((name, answer.status, answer.reason))
            except NoResponse:
                time.sleep(0.01)  # nobody listens yet

    def statuses(self, name):
        return {status for which, status, _ in self.answers if which == name}

    def reasons(self):
        return {reason for *_, reason in self.answers if reason}


@pytest.fixture
def own(wasm, tmp_path, configuration):
    """Makes an Envoy of its own: `own(revocation, **more)`, where `revocation` gives that section for its
    servers, and `more` is changed in the configuration."""
    made = []

    def make(revocation, **more):
        made.append(Own(tmp_path / f"own-{len(made)}", configuration, revocation, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def listed(**settings):
    """A revocation list."""
    return lambda own: {"cluster": "revocations", "url": own.list.list_url, "every": "1s",
                        "max_staleness": "1m", **settings}


def with_statuses(own):
    """Status lists beside the revocation list."""
    return {**listed()(own), "status_lists": [
        {"cluster": "statuses", "uri": f"{ISSUER}/lists/", "every": "1s"}]}


def with_events(after_restart):
    """Events alone."""
    return lambda own: {"events": [{
        "issuer": ISSUER, "audience": BASE, "cluster": "events", "url": "http://events.clinic.example/poll",
        "every": "1s", "after_restart": after_restart}]}


# What is lost and fetched again.

@pytest.mark.parametrize("lost, code", [
    ("list", "revocation_unavailable"), ("keys", "keys_unavailable"), ("statuses", "status_list_unavailable"),
])
def test_nothing_passes_until_what_was_lost_is_there_again(own, lost, code):
    made = own(with_statuses)
    statuses = StatusList(made.statuses, made.issuer, "/lists/1").set({1: 1})
    if lost == "statuses":
        made.good, made.bad = statuses.token(0), statuses.token(1)
    else:
        made.list.set({"jti": peek(made.bad)["jti"]})
    made.told_apart()
    server = getattr(made, lost)
    server.stop()
    made.dies()
    with Knocking(made) as knocking:
        made.envoy.start()
        time.sleep(3)
    assert len(knocking.answers) >= 8
    assert knocking.statuses("good") == knocking.statuses("bad") == {503}
    assert code in knocking.reasons() <= {"keys_unavailable", "revocation_unavailable", code}
    assert made.upstream.requests == []
    for token in made.good, made.bad:
        for response in made.gateway.on_every_worker(READ, token):
            made.gateway.refused(response, 503, code)
    with Knocking(made) as knocking:
        server.start_again()
        made.everywhere(made.bad, 401)
        made.everywhere(made.good, 200)
    assert 200 in knocking.statuses("good") <= {200, 503}
    assert 401 in knocking.statuses("bad") <= {401, 503}
    assert {request.header("x-which") for request in made.upstream.requests} == {"good", None}, (
        "None: `everywhere`, whose answers with 200 are the good token's")
    made.told_apart()


def test_requests_wait_for_a_slow_list_and_get_the_right_answer(own):
    made = own(listed())
    made.list.set({"jti": peek(made.bad)["jti"]})
    made.told_apart()
    made.dies()
    made.list.mode, made.list.delay, asked = "slow", SLOW, made.list.begun
    made.envoy.start()
    until(lambda: made.list.begun > asked, 5)
    answers = at_once(made, [made.good, made.bad] * 15)
    for token, right in (made.good, 200), (made.bad, 401):
        own_answers = [(answer.status, answer.seconds) for which, answer in answers if which == token]
        # On a machine that is busy some may have waited for as long as they may.
        late = [seconds for status, seconds in own_answers if status == 503]
        assert {status for status, _ in own_answers} <= {right, 503}, own_answers
        assert all(seconds > WAITS - 0.2 for seconds in late), own_answers
        assert any(status == right and seconds > 0.3 for status, seconds in own_answers), own_answers
    for _, answer in answers:
        if answer.status == 200:
            assert made.envoy.audit(answer.header("x-request-id"))["revocation"] == "fresh"
    assert len(made.upstream.requests) == sum(answer.status == 200 for _, answer in answers)
    made.list.mode = "ok"
    made.told_apart()


def at_once(made, tokens):
    """Sends a read with each token at the same time, on connections of their own."""
    answers = []

    def send(token):
        with Client(made.gateway.client.port) as client:
            answers.append((token, client.get(READ, token)))

    threads = [threading.Thread(target=send, args=[token]) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(tokens)
    return answers


def test_who_allows_stale_lists_allows_none_as_well_and_it_is_written_down(own):
    """`when_stale: allow`: until the first list of the new Envoy is there, the revoked token passes."""
    made = own(listed(when_stale="allow"))
    made.list.set({"jti": peek(made.bad)["jti"]})
    made.told_apart()
    made.list.stop()
    made.dies()
    made.envoy.start()
    for token in made.good, made.bad:
        for response in made.everywhere(token, 200):
            assert made.envoy.audit(response.header("x-request-id"))["revocation"] == "stale_allowed"
    made.list.start_again()
    made.told_apart()
    for response in made.everywhere(made.good, 200):
        assert made.envoy.audit(response.header("x-request-id"))["revocation"] == "fresh"


# What nobody tells again.

@pytest.mark.parametrize("after_restart", ["refuse_older", "trust"])
def test_events_are_not_told_twice(own, after_restart):
    made = own(with_events(after_restart))
    made.good, made.bad = None, None

    def settled():
        made.good = made.good or made.issuer.patient()
        answers = made.gateway.on_every_worker(READ, made.good)
        if {answer.status for answer in answers} == {401}:
            made.good = None  # it is older than the first poll
        return {answer.status for answer in answers} == {200}

    until(settled, 15)
    made.bad = made.issuer.patient(sub="revoked")
    made.everywhere(made.bad, 200)
    made.events.settled(made.events.send(subject=user("revoked")))
    made.told_apart()
    made.events.stop()
    made.dies()
    with Knocking(made) as knocking:
        made.envoy.start()
        time.sleep(3)
    assert knocking.statuses("good") == knocking.statuses("bad") == {503}
    assert made.upstream.requests == []
    made.events.start_again()
    if after_restart == "trust":
        made.everywhere(made.good, 200)
        made.everywhere(made.bad, 200)  # as its name says
        return
    for token in made.good, made.bad:
        made.everywhere(token, 401)
        made.refused(token, 401, "token_predates_events")
    assert made.upstream.requests == []
    made.good = None
    until(settled, 10)


def test_sessions_begin_anew_but_those_that_say_when_they_began(own):
    rules = [{"idle": "2s", "lifetime": "1m"}]
    made = own(listed(), sessions={"capacity": 1_000, "rules": rules})
    old = made.issuer.patient(sid="old", auth_time=int(time.time()) - 100)
    left = made.issuer.patient(sid="left")
    made.everywhere(left, 200)
    made.refused(old, 401, "session_over")
    time.sleep(2.1)
    made.refused(left, 401, "session_idle")
    made.dies()
    made.envoy.start()
    made.everywhere(left, 200)
    made.everywhere(old, 401)
    made.refused(old, 401, "session_over")
