"""Keys that turn while requests come: a key that is not in the set is looked for, once for the whole
process, and who asks for it waits; an issuer's metadata says where its keys are."""

import json
import threading
import time

import pytest

from gateway import BASE, INVALID_TOKEN, Issuer
from lab.http import Client
from lab.tokens import Key, jwks

READ = "/fhir/Patient/ann"
# A set that is younger is believed when a key is not in it; an older one is fetched anew.
BELIEVED = 3.5
COOLDOWN = 5


class Rotating:
    """An issuer whose key set a listener fetches every five minutes, unless something makes it."""

    def __init__(self, server, listen, configuration, ready=True, **source):
        self.server, self.first = server, Key("ES256", "first")
        self.issuer = Issuer(self.first, name=f"https://rotating-{server.port}.example")
        self.issuer.jwks.stop()
        server.publish(jwks(self.first))
        document = configuration()
        keys = {"cluster": str(server.port), "url": server.url + "/jwks", "refresh": "5m"}
        document["issuers"].append({
            "issuer": self.issuer.name, "audiences": [BASE], "algorithms": ["RS256", "ES256", "ES384"],
            "jwks": keys | source})
        self.gate = listen(f"rotating-{server.port}", document)
        if ready:
            passes_everywhere(self.gate, self.token())
            self.fetched = time.monotonic()

    def token(self, key=None):
        return self.issuer.patient(key=key or self.first)

    def past(self, seconds):
        """Waits until the last fetch is that old."""
        time.sleep(max(0, self.fetched + seconds - time.monotonic()))


@pytest.fixture
def rotating(spare_lists, listen, configuration):
    """Makes rotating issuers."""
    return lambda **more: Rotating(spare_lists.pop(), listen, configuration, **more)


def passes_everywhere(gate, token):
    answers = gate.on_every_worker(READ, token)
    assert [answer.status for answer in answers] == [200, 200], answers


def at_once(gate, tokens):
    """Sends a read with each of these tokens at the same time; gives status and seconds of each."""
    answers = [None] * len(tokens)

    def send(place, token):
        began = time.monotonic()
        with Client(gate.client.port) as client:
            status = client.get(READ, token).status
        answers[place] = status, time.monotonic() - began

    threads = [threading.Thread(target=send, args=one) for one in enumerate(tokens)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_token_under_a_new_key_waits_for_the_set_and_is_allowed(rotating):
    """Rotation without any overlap: the first request under the new key finds it."""
    made = rotating()
    second = Key("ES384", "second")
    made.past(COOLDOWN + 0.2)
    made.server.publish(jwks(second))
    begun = made.server.begun
    answers = at_once(made.gate, [made.token(second) for _ in range(40)])
    assert {status for status, _ in answers} == {200}, answers
    assert max(seconds for _, seconds in answers) < 3
    assert made.server.begun - begun == 1, "one fetch for forty requests on two workers"
    for response in made.gate.on_every_worker(READ, made.token()):
        made.gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_key_unknown")


def test_rotation_with_overlap_loses_no_request(rotating):
    made = rotating()
    second = Key("RS256", "second")
    made.server.publish(jwks(made.first, second))
    made.past(COOLDOWN + 0.2)
    stop, statuses = threading.Event(), []

    def load():
        with Client(made.gate.client.port) as client:
            while not stop.is_set():
                statuses.append(client.get(READ, made.token()).status)
                statuses.append(client.get(READ, made.token(second)).status)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 50 and set(statuses) == {200}


def test_invented_key_names_make_no_storm(rotating):
    made = rotating()
    made.past(COOLDOWN + 0.2)
    begun, began, sent = made.server.begun, time.monotonic(), 0
    while time.monotonic() - began < 8:
        tokens = [made.issuer.token("patient/*.rs", header={"kid": f"invented-{sent}-{one}"})
                  for one in range(30)]
        answers = at_once(made.gate, tokens)
        # 503: who waited for two seconds on a machine that is busy.
        assert {status for status, _ in answers} <= {401, 503}, answers
        sent += len(tokens)
    fetched, elapsed = made.server.begun - begun, time.monotonic() - began
    assert fetched <= elapsed / COOLDOWN + 1, f"{sent} invented names in {elapsed:.1f} s"


def test_a_request_waits_two_seconds_at_most_for_a_slow_issuer(rotating):
    made = rotating()
    made.past(COOLDOWN + 0.2)
    made.server.mode, made.server.delay = "slow", 20
    second = Key("ES256", "second")
    (status, seconds), = at_once(made.gate, [made.token(second)])
    assert status == 503 and 1.9 < seconds < 6
    response = made.gate.get(READ, made.token(second))
    assert response.header("retry-after") == "2"
    made.gate.refused(response, 503, "keys_on_their_way")
    made.gate.allowed(made.gate.get(READ, made.token()))


def test_a_slow_first_set_is_waited_for(spare_lists, listen, configuration):
    server, key = spare_lists.pop(), Key("ES256", "found")
    server.mode, server.delay = "slow", 0.5
    server.publish(jwks(key))
    issuer = Issuer(key, name="https://slow-at-first.example")
    issuer.jwks.stop()
    document = configuration()
    document["issuers"] = [{
        "issuer": issuer.name, "audiences": [BASE],
        "jwks": {"cluster": str(server.port), "url": server.url + "/jwks"}}]
    gate = listen("slow-at-first", document, ready=False)
    answers = at_once(gate, [issuer.patient() for _ in range(20)])
    assert {status for status, _ in answers} == {200}, answers
    assert max(seconds for _, seconds in answers) > 0.1, "they waited"


def test_forms_and_bodies_wait_as_well(rotating):
    made = rotating()
    second = Key("ES256", "second")
    made.past(COOLDOWN + 0.2)
    made.server.publish(jwks(made.first, second))
    form = [("content-type", "application/x-www-form-urlencoded")]
    response = made.gate.send("POST", "/fhir/Observation/_search", made.token(second), headers=form,
                              body=b"code=8867-4")
    made.gate.allowed(response)


def test_a_client_that_leaves_while_it_waits_harms_nobody(rotating):
    made = rotating()
    made.past(COOLDOWN + 0.2)
    made.server.mode, made.server.delay = "slow", 1.8
    second = Key("ES256", "second")
    for _ in range(20):
        with Client(made.gate.client.port) as client:
            token = made.token(second)
            client.begin(f"GET {READ} HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {token}\r\n\r\n"
                         .encode())
            time.sleep(0.02)
    made.server.publish(jwks(second))
    (status, _), = at_once(made.gate, [made.token(second)])
    assert status in (200, 503)
    deadline = time.monotonic() + 10
    while made.gate.get(READ, made.token(second)).status != 200:
        assert time.monotonic() < deadline


def test_stale_keys_are_distrusted_with_their_cached_tokens(rotating):
    made = rotating(refresh="1s", max_staleness="2s")
    token = made.token()
    passes_everywhere(made.gate, token)
    made.server.mode = "error"
    deadline = time.monotonic() + 10
    while made.gate.get(READ, token).status != 503:
        assert time.monotonic() < deadline
    for response in made.gate.on_every_worker(READ, token):
        made.gate.refused(response, 503, "keys_stale")
    made.server.mode = "ok"
    while made.gate.get(READ, token).status != 200:
        assert time.monotonic() < deadline + 10


# Where the keys are.

def metadata(server, key, **changes):
    """Lets a server answer with an issuer's metadata and, elsewhere, with its key set."""
    document = {"issuer": server.url, "jwks_uri": server.url + "/keys"} | changes

    def answer(request):
        server.asked.append(request.target)
        body = document if "well-known" in request.target else jwks(key)
        return 200, [("content-type", "application/json")], json.dumps(body).encode()

    server.asked, server.answer = [], answer


def by_metadata(listen, configuration, server, name):
    document = configuration()
    document["issuers"].append({
        "issuer": server.url, "audiences": [BASE],
        "jwks": {"cluster": str(server.port), "refresh": "1s"}})
    return listen(name, document)


def test_keys_are_found_by_the_issuers_metadata(spare_lists, listen, configuration):
    server, key = spare_lists.pop(), Key("ES256", "found")
    metadata(server, key)
    gate = by_metadata(listen, configuration, server, "discovered")
    issuer = Issuer(key, name=server.url)
    issuer.jwks.stop()
    passes_everywhere(gate, issuer.patient())
    assert set(server.asked) == {"/.well-known/openid-configuration", "/keys"}


@pytest.mark.parametrize("changes", [
    {"issuer": "https://evil.example"}, {"jwks_uri": "http://evil.example/keys"}, {"jwks_uri": None},
], ids=["another issuer", "another host", "no keys"])
def test_metadata_that_does_not_fit_gives_no_keys(spare_lists, listen, configuration, changes):
    server, key = spare_lists.pop(), Key("ES256", "found")
    metadata(server, key, **changes)
    gate = by_metadata(listen, configuration, server, f"misled-{server.port}")
    issuer = Issuer(key, name=server.url)
    issuer.jwks.stop()
    gate.refused(gate.get(READ, issuer.patient()), 503, "keys_unavailable")
    assert set(server.asked) == {"/.well-known/openid-configuration"}
