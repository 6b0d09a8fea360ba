"""Security events: the issuer says by itself that a session is over, and each poll acknowledges what the
one before brought."""

import json
import threading
import time
import uuid

import pytest

from gateway import BASE, ISSUER
from lab.servers import Server
from lab.tokens import Key, peek, unsigned

EVERY = 1.0
STALE = 4.0
INVALID = 'Bearer error="invalid_token"'
TARGET = "/fhir/Patient/ann"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
OTHER_ISSUER = "https://auth.other.example"
SECRET = "polling-secret-0123456789~"


class Transmitter(Server):
    """Keeps events until they are acknowledged or refused. `polls` has what every poll said; `answers`,
    when set, gives the answer to a poll instead."""

    def __init__(self, port, issuer):
        self.issuer, self.page, self.answers = issuer, 100, None
        self.sets, self.polls, self.errors, self.acknowledged = {}, [], {}, []
        self.credentials, self.lock = set(), threading.Lock()
        super().__init__(port)

    def answer(self, request):
        with self.lock:
            self.credentials.add(request.header("authorization"))
            poll = json.loads(request.body)
            self.polls.append((time.monotonic(), poll, request))
            if self.answers:
                return self.answers(request)
            for jti in poll.get("ack", []):
                if self.sets.pop(jti, None) is not None:
                    self.acknowledged.append(jti)
            for jti, error in poll.get("setErrs", {}).items():
                self.sets.pop(jti, None)
                self.errors[jti] = error
            given = dict(list(self.sets.items())[:min(self.page, poll["maxEvents"])])
            return 200, [("content-type", "application/json")], json.dumps(
                {"sets": given, "moreAvailable": len(self.sets) > len(given)}).encode()

    def send(self, set_or_claims=None, jti=None, **changes):
        """Offers an event: text as it is, or claims signed; its `jti`."""
        jti = jti or str(uuid.uuid4())
        with self.lock:
            self.sets[jti] = set_or_claims if isinstance(set_or_claims, str) else self.sign(
                self.claims(jti, **changes))
        return jti

    def claims(self, jti, subject=None, event="session-revoked", payload=None, **changes):
        claims = {"iss": self.issuer.name, "aud": BASE, "jti": jti, "iat": int(time.time()),
                  "sub_id": subject or user("nobody"),
                  "events": {CAEP + event: payload if payload is not None
                             else {"event_timestamp": int(time.time())}}, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims, key=None, typ="secevent+jwt", **header):
        return (key or self.issuer.keys[0]).sign(claims, typ=typ, **header)

    def wait(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.sets, self.errors, self.acknowledged)
            time.sleep(0.01)

    def settled(self, *jtis):
        """Waits until these were acknowledged or refused."""
        self.wait(lambda: all(jti in self.acknowledged or jti in self.errors for jti in jtis))

    def polled(self, times=2):
        """Waits for so many further polls."""
        before = len(self.polls)
        self.wait(lambda: len(self.polls) >= before + times, 25)


def user(sub, issuer=ISSUER):
    return {"format": "iss_sub", "iss": issuer, "sub": sub}


def opaque(name):
    return {"format": "opaque", "id": name}


@pytest.fixture(scope="module")
def transmitters(spare_lists, issuer):
    """Makes transmitters, each in the place, and the cluster, of a server that nobody needs."""
    made = []

    def make():
        spare = spare_lists.pop()
        spare.stop()
        made.append(Transmitter(spare.port, issuer))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def settings(configuration):
    """Makes a configuration with one stream of events and without a list."""

    def make(server, **more):
        document = configuration()
        document["issuers"].append({**document["issuers"][0], "issuer": OTHER_ISSUER})
        document["revocation"] = {"events": [{
            "issuer": ISSUER, "audience": BASE, "cluster": str(server.port),
            "url": f"http://events.clinic.example/{uuid.uuid4()}", "every": f"{EVERY:.0f}s",
            "after_restart": "trust", **more}]}
        return document

    return make


@pytest.fixture(scope="module")
def listen_to(listen, settings):
    def add(name, server, adjust=None, **more):
        return listen(f"events-{name}", settings(server, **more), hardened=False, adjust=adjust)
    return add


@pytest.fixture(scope="module")
def transmitter(transmitters):
    return transmitters()


@pytest.fixture(scope="module")
def gate(listen_to, transmitter):
    return listen_to("plain", transmitter)


def refused(gate, token, code="token_revoked", status=401):
    for response in gate.on_every_worker(TARGET, token):
        gate.refused(response, status, code, INVALID if status == 401 else None)


def allowed(gate, token, freshness="fresh"):
    for response in gate.on_every_worker(TARGET, token):
        assert response.status == 200, response
        record = gate.envoy.audit(response.header("x-request-id"))
        # Another issuer's tokens are looked up nowhere.
        expected = freshness if peek(token)["iss"] == ISSUER else "no_list"
        assert (record["decision"], record["revocation"]) == ("allow", expected)


def within(seconds, check):
    """Tries until `check` passes; it must within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def status_of(gate, token):
    return {response.status for response in gate.get_everywhere(TARGET, token)}


# What events do.

SUBJECTS = {
    "iss_sub": (user("u-1"), {"sub": "u-1"}, {"sub": "u-10"}),
    "opaque user": (opaque("u-2"), {"sub": "u-2"}, {"sub": "u-20"}),
    "opaque session": (opaque("s-3"), {"sid": "s-3"}, {"sid": "s-30"}),
    "session": ({"format": "complex", "session": opaque("s-4")}, {"sid": "s-4"},
                {"sid": "s-40", "sub": "s-4"}),
    "jwt_id": ({"format": "jwt_id", "iss": ISSUER, "jti": "t-5"}, {"jti": "t-5"}, {"jti": "t-50"}),
    "user and session": ({"format": "complex", "user": user("u-6"), "session": opaque("s-6")},
                         {"sub": "u-6", "sid": "s-6"}, {"sub": "u-6", "sid": "s-60"}),
    "user, session, tenant, device": (
        {"format": "complex", "user": user("u-7"), "session": opaque("s-7"),
         "tenant": opaque("clinic"), "device": user("laptop")},
        {"sub": "u-7", "sid": "s-7"}, {"sub": "u-70", "sid": "s-7"}),
    "aliases": ({"format": "aliases", "identifiers": [
        {"format": "email", "email": "u8@clinic.example"}, user("u-8")]}, {"sub": "u-8"}, {"sub": "u-80"}),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_revoked_session_ends_on_every_worker_within_a_poll_and_a_second(gate, transmitter, issuer, name):
    subject, hit, miss = SUBJECTS[name]
    past = int(time.time()) - 30
    signed = issuer.patient(now=past, **hit)
    others = [issuer.patient(now=past, **{**hit, **miss}),
              issuer.patient(now=past, iss=OTHER_ISSUER, **hit)]
    for token in (signed, *others):
        allowed(gate, token)
    sent = time.monotonic()
    jti = transmitter.send(subject=subject)
    while status_of(gate, signed) != {401}:
        assert time.monotonic() - sent < 15
    # The last round of requests, each worker several times, took a moment too.
    assert time.monotonic() - sent < EVERY + 1 + 0.5
    refused(gate, signed)
    for token in others:
        allowed(gate, token)
    transmitter.settled(jti)
    assert jti in transmitter.acknowledged
    refused(gate, signed)


@pytest.mark.parametrize("event", ["credential-change", "token-claims-change"])
def test_a_change_ends_older_tokens_and_leaves_younger_ones(gate, transmitter, issuer, event):
    now, sub = int(time.time()), f"changed-{event}"
    old, young = issuer.patient(sub=sub, now=now - 30), issuer.patient(sub=sub, now=now - 9)
    jti = transmitter.send(subject=user(sub), event=event, payload={
        "event_timestamp": now - 10, "credential_type": "password", "change_type": "update"})
    transmitter.settled(jti)
    refused(gate, old)
    allowed(gate, young)


def test_nothing_is_acknowledged_before_it_took_effect(gate, transmitter, issuer):
    token = issuer.patient(sub="in-order", now=int(time.time()) - 5)
    allowed(gate, token)
    first = len(transmitter.polls)
    jti = transmitter.send(subject=user("in-order"))
    transmitter.settled(jti)
    # When the poll with the receipt came in, every worker refused: it is asked right then.
    refused(gate, token)
    polls = transmitter.polls[first:]
    said = [jti in poll.get("ack", []) for _, poll, _ in polls]
    assert said.index(True) >= 1 and polls[said.index(True)][0] - polls[0][0] >= 0.45
    for _, poll, request in transmitter.polls:
        assert (request.method, poll["maxEvents"], poll["returnImmediately"]) == ("POST", 100, True)
        assert request.header("content-type") == "application/json"


def test_events_that_revoke_nothing_are_acknowledged(gate, transmitter, issuer):
    token = issuer.patient(sub="untouched")
    ssf = "https://schemas.openid.net/secevent/ssf/event-type/"
    jtis = [transmitter.send(events={ssf + "verification": {"state": "x"}}, subject=opaque("stream-1")),
            transmitter.send(events={ssf + "stream-updated": {"status": "enabled"}}),
            transmitter.send(subject=user("untouched"), event="device-compliance-change"),
            transmitter.send(subject=user("untouched"), event="session-revoked",
                             payload={"event_timestamp": int(time.time()) - 300})]
    transmitter.settled(*jtis)
    assert set(jtis) <= set(transmitter.acknowledged)
    allowed(gate, token)


# Events that must not be taken.

def bad_sets(transmitter, issuer, sub):
    """Text and the code of the error, by name."""
    stranger = Key("RS256", issuer.keys[0].kid)

    def signed(name, code, header=None, key=None, **changes):
        claims = transmitter.claims(name, subject=user(sub), **changes)
        return transmitter.sign(claims, key=key, **(header or {})), code

    good = signed("cut", None)[0]
    return {
        "typ": signed("typ", "invalid_request", {"typ": "at+jwt"}),
        "no typ": signed("no typ", "invalid_request", {"typ": None}),
        "kid": signed("kid", "invalid_key", {"kid": "nobody"}),
        "no kid": signed("no kid", "invalid_key", {"kid": None}),
        "none": (unsigned(transmitter.claims("none", subject=user(sub)), typ="secevent+jwt",
                          kid=issuer.keys[0].kid), "invalid_key"),
        "signature": signed("signature", "authentication_failed", key=stranger),
        "iss": signed("iss", "invalid_issuer", iss=OTHER_ISSUER),
        "aud": signed("aud", "invalid_audience", aud="https://other.example"),
        "no aud": signed("no aud", "invalid_audience", aud=None),
        "sub": signed("sub", "invalid_request", sub=sub),
        "exp": signed("exp", "invalid_request", exp=int(time.time()) + 600),
        "iat": signed("iat", "invalid_request", iat=int(time.time()) + 600),
        "jti": signed("another", "invalid_request"),
        "no events": signed("no events", "invalid_request", events={}),
        "ahead": signed("ahead", "invalid_request", payload={"event_timestamp": int(time.time()) * 1000}),
        "email": signed("email", "invalid_request", sub_id={"format": "email", "email": "a@b.example"}),
        "no subject": signed("no subject", "invalid_request", sub_id=None),
        "theirs": signed("theirs", "invalid_request", sub_id=user(sub, OTHER_ISSUER)),
        "html": ("<html>Log in</html>", "invalid_request"),
        "cut": (good[:len(good) // 2], "invalid_request"),
        "huge": (good + "A" * 20_000, "invalid_request"),
        "empty": ("", "invalid_request"),
    }


def test_events_that_break_a_rule_are_refused_and_the_others_taken(gate, transmitter, issuer):
    past = int(time.time()) - 5
    spared, hit = issuer.patient(sub="spared", now=past), issuer.patient(sub="hit", now=past)
    theirs = issuer.patient(sub="spared", now=past, iss=OTHER_ISSUER)
    bad = bad_sets(transmitter, issuer, "spared")
    acknowledged = len(transmitter.acknowledged)
    with_all = {name: text for name, (text, _) in bad.items()}
    jti = str(uuid.uuid4())
    with_all[jti] = transmitter.sign(transmitter.claims(jti, subject=user("hit")))
    with transmitter.lock:
        transmitter.sets.update(with_all)
    transmitter.settled(*with_all)
    assert {name: transmitter.errors[name]["err"] for name in bad} == {
        name: code for name, (_, code) in bad.items()}
    assert all(transmitter.errors[name]["description"] for name in bad)
    assert transmitter.acknowledged[acknowledged:] == [jti]
    refused(gate, hit)
    allowed(gate, spared)
    allowed(gate, theirs)
    log = gate.envoy.log.read_text(errors="replace")
    assert "were refused, the first is" in log
    assert not any(text in log for text in with_all.values() if len(text) > 100)


def test_pages_follow_one_another(listen_to, transmitters, issuer):
    server = transmitters()
    server.page = 2
    past = int(time.time()) - 5
    tokens = [issuer.patient(sub=f"page-{n}", now=past) for n in range(5)]
    jtis = [server.send(subject=user(f"page-{n}")) for n in range(5)]
    gate = listen_to("pages", server, every="5s")
    for token in tokens:
        refused(gate, token)
    assert len(server.polls) == 3, "requests waited until the stream was read to its end"
    times = [at for at, _, _ in server.polls]
    assert 0.45 < times[1] - times[0] < 1.6 and 0.45 < times[2] - times[1] < 1.6, times
    server.settled(*jtis)
    assert len(server.polls) == 4


# A transmitter that fails.

FAILURES = {
    "error": lambda _: (500, [], b""),
    "login page": lambda _: (200, [("content-type", "text/html")], b"<html>Log in</html>"),
    "redirect": lambda _: (302, [("location", "/elsewhere")], b""),
    "unauthorized": lambda _: (401, [], b"{}"),
    "cut": lambda _: (200, [], b'{"sets": {'),
    "empty": lambda _: (200, [], b""),
    "no sets": lambda _: (200, [], b"{}"),
    "huge": lambda _: (200, [], b'{"sets": {}}' + b" " * 2_000_000),
    "closed": lambda _: None,
}


@pytest.fixture(scope="module")
def failing(listen_to, transmitters):
    server = transmitters()
    names = {"refuse": "brief", "allow": "lenient"}
    more = {"max_staleness": f"{STALE:.0f}s"}
    return server, {word: listen_to(name, server, when_stale=word, **more)
                    for word, name in names.items()}


def revoked_at(server, gate, token, subject):
    """Sends the event until the gate has it: both ask the same stream, and what one acknowledged the other
    never sees."""
    def again():
        server.send(subject=user(subject))
        time.sleep(0.5)
        refused(gate, token)
    within(15, again)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_stream_that_fails_grows_stale_and_what_it_revoked_stays(failing, issuer, failure):
    server, gates = failing
    past = int(time.time()) - 5
    token, good = issuer.patient(sub=f"gone-{failure}", now=past), issuer.patient(sub="here", now=past)
    for gate in gates.values():
        revoked_at(server, gate, token, f"gone-{failure}")
    within(5, lambda: allowed(gates["refuse"], good))
    server.answers = FAILURES[failure]
    try:
        within(STALE + 4, lambda: refused(gates["refuse"], good, "revocation_events_stale", 503))
        within(2, lambda: allowed(gates["allow"], good, "stale_allowed"))
        refused(gates["allow"], token)
    finally:
        server.answers = None
    within(10, lambda: allowed(gates["refuse"], good))
    refused(gates["refuse"], token)


# What is forgotten, and what is kept.

def test_after_a_start_older_tokens_are_refused(listen_to, transmitters, issuer):
    server = transmitters()
    old = issuer.patient(now=int(time.time()) - 1)
    gate = listen_to("restart", server, after_restart="refuse_older")
    refused(gate, old, "token_predates_events")
    within(5, lambda: allowed(gate, issuer.patient()))


def test_a_new_configuration_goes_on_with_what_is_remembered(listen, settings, transmitters, issuer):
    server = transmitters()
    document = settings(server, after_restart="refuse_older")
    gate = listen("events-reload", document, hardened=False)
    within(5, lambda: allowed(gate, issuer.patient()))
    young = issuer.patient(sid="ended")
    allowed(gate, young)
    server.settled(server.send(subject={"format": "complex", "session": opaque("ended")}))
    refused(gate, young)
    # Nobody would tell it again.
    server.answers = FAILURES["error"]
    document["smart"] = {"search_without_patient": "refuse"}
    again = listen("events-reload", document, hardened=False)
    refused(again, young)
    allowed(again, issuer.patient())


# Who may poll, who may sign.

def with_environment(**variables):
    def adjust(manager):
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["environment_variables"] = {"key_values": variables}
    return adjust


def test_the_token_for_polling_is_sent_and_never_logged(listen, settings, transmitters, issuer, envoy):
    server = transmitters()
    document = settings(server, token="PHIWARD_EVENTS_TOKEN")
    gate = listen("events-secret", document, vm_id="events-secret",
                  adjust=with_environment(PHIWARD_EVENTS_TOKEN=SECRET))
    server.polled()
    allowed(gate, issuer.patient())
    server.answers = FAILURES["unauthorized"]
    server.polled()
    server.answers = None
    assert server.credentials == {f"Bearer {SECRET}"}
    deadline = time.monotonic() + 5
    while "PHIWARD_EVENTS_TOKEN" not in envoy.log.read_text(errors="replace"):
        assert time.monotonic() < deadline, "the log names the variable"
        time.sleep(0.05)
    assert SECRET not in envoy.log.read_text(errors="replace")


def test_without_the_variable_nobody_is_asked_and_requests_are_refused(listen, settings, transmitters, issuer):
    server = transmitters()
    gate = listen("events-no-secret", settings(server, token="PHIWARD_EVENTS_TOKEN"),
                  vm_id="events-no-secret", ready=False)
    time.sleep(2)
    assert server.polls == []
    response = gate.get(TARGET, issuer.patient())
    assert response.status == 503 and response.header("retry-after") == "1"


def test_a_transmitter_with_its_own_keys_signs_events_but_no_tokens(listen_to, transmitters, issuer):
    server, own = transmitters(), Key("ES256", "events-only")
    name = "https://events.clinic.example"
    gate = listen_to("own-keys", server, issuer=name, jwks={"inline": {"keys": [own.jwk()]}})
    past = int(time.time()) - 5
    token = issuer.patient(sub="of-anyone", now=past)
    theirs = issuer.patient(sub="of-anyone", now=past, iss=OTHER_ISSUER)
    allowed(gate, token)

    def signed(jti, key):
        return server.sign(server.claims(jti, subject=opaque("of-anyone"), iss=name), key=key)

    server.settled(server.send(signed("foreign", issuer.keys[0]), jti="foreign"))
    assert server.errors["foreign"]["err"] == "invalid_key"
    allowed(gate, token)
    server.settled(server.send(signed("own", own), jti="own"))
    refused(gate, token)
    refused(gate, theirs)
    response = gate.get(TARGET, own.sign(issuer.claims(iss=name, scope="patient/*.rs", patient="ann")))
    gate.refused(response, 401, "token_invalid", INVALID, audit="token_issuer_unknown")
