"""An issuer's key set as it is fetched over an Envoy cluster: late, turned, broken, hostile."""

import hashlib
import re
import time

import pytest

from gateway import BASE, INVALID_TOKEN, Issuer
from lab.tokens import Key, b64, claims, jwks, signing_input

READ = "/fhir/Patient/ann"


@pytest.fixture(scope="module")
def gate(listen, configuration, turning):
    """A listener by whose key set the tests turn."""
    made = listen("turning", document(configuration, turning, "/jwks"))
    settle(made, turning.patient(), "allowed")
    return made


@pytest.fixture
def keys(gate, turning):
    """The key set: after each test it holds the first key again, and is served as it should."""
    yield turning.jwks
    turning.jwks.mode = "ok"
    turning.jwks.set(*turning.keys)
    settle(gate, turning.patient(), "allowed")


def document(configuration, turning, path, name=None):
    """The session's configuration with the turning issuer, whose keys are at this path."""
    changed = configuration()
    changed["issuers"].append({
        "issuer": name or turning.name, "audiences": [BASE],
        "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        "jwks": {"cluster": "turning", "url": turning.jwks.url + path, "refresh": "1s"}})
    return changed


def settle(gate, token, reason, seconds=8):
    """Waits until every worker decides so; then proves it on each."""
    deadline = time.monotonic() + seconds
    while True:
        answers = gate.on_every_worker(READ, token)
        reasons = {gate.envoy.audit(one.header("x-request-id"))["reason"] for one in answers}
        if reasons == {reason}:
            return answers
        assert time.monotonic() < deadline, f"{reasons} instead of {reason}"
        time.sleep(0.05)


def noticed(gate, pattern, since, seconds=10):
    """Waits for this line in Envoy's log after its first `since` bytes."""
    deadline = time.monotonic() + seconds
    while not (found := re.search(pattern, log(gate)[since:])):
        assert time.monotonic() < deadline, f"not in the log: {pattern}"
        time.sleep(0.02)
    return found[0]


def log(gate):
    return gate.envoy.log.read_text(errors="replace")


def refused_everywhere(gate, token, reason):
    for response in settle(gate, token, reason):
        gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit=reason)


# The first fetch.

def test_before_the_first_key_set_every_token_waits(listen, configuration, turning, issuer):
    turning.jwks.mode = "closed"
    name = "https://late.clinic.example"
    late = listen("late", document(configuration, turning, "/late", name))
    for response in late.on_every_worker(READ, turning.patient(iss=name)):
        record = late.refused(response, 503, "keys_unavailable")
        assert record["decision"] == "error"
        assert response.header("retry-after") == "2"
    late.allowed(late.get(READ, issuer.patient()))
    turning.jwks.mode = "ok"
    settle(late, turning.patient(iss=name), "allowed")


def test_a_forged_token_is_not_told_from_a_good_one_before_the_keys_are_there(
        listen, configuration, turning):
    name = "https://closed.clinic.example"
    unknown = document(configuration, turning, "/never", name)
    unknown["issuers"][1]["jwks"]["cluster"] = "nobody"
    closed = listen("closed", unknown)
    for token in (turning.patient(iss=name), Key("ES256", "stranger").sign(turning.claims(iss=name))):
        closed.refused(closed.get(READ, token), 503, "keys_unavailable")


def test_an_issuer_whose_cluster_does_not_exist_harms_nobody_else(
        listen, configuration, turning, issuer, envoy):
    name = "https://lost.clinic.example"
    wrong = document(configuration, turning, "/jwks", name)
    wrong["issuers"][1]["jwks"]["cluster"] = "nowhere"
    begin = envoy.log.stat().st_size
    lost = listen("lost", wrong)
    for response in lost.on_every_worker(READ, turning.patient(iss=name)):
        lost.refused(response, 503, "keys_unavailable")
    for response in lost.get_everywhere(READ, issuer.patient()):
        lost.allowed(response)
    noticed(lost, "does it have a cluster `nowhere`", begin)


# Turning keys.

def test_a_new_key_is_adopted_by_every_worker(gate, keys, turning):
    second = Key("RS256", "second")
    refused_everywhere(gate, turning.patient(key=second), "token_key_unknown")
    keys.set(*turning.keys, second)
    settle(gate, turning.patient(key=second), "allowed")
    settle(gate, turning.patient(), "allowed")


def test_a_key_that_is_gone_takes_its_cached_tokens_with_it(gate, keys, turning):
    token = turning.patient()
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)
    second = Key("EdDSA", "second")
    keys.set(second)
    settle(gate, turning.patient(key=second), "allowed")
    refused_everywhere(gate, token, "token_key_unknown")
    keys.set(*turning.keys, second)
    settle(gate, token, "allowed")


def test_another_key_under_the_old_name_is_another_key(gate, keys, turning):
    token = turning.patient()
    settle(gate, token, "allowed")
    keys.set(Key("ES256", "first"))
    refused_everywhere(gate, token, "token_signature_invalid")


# A fetch that brings nothing leaves the last good set.

BROKEN = {
    "error": "status 500",
    "closed": "status 503",
    "garbage": "it is not JSON",
    "html": "it is not JSON",
    "truncated": "it is not JSON",
    "empty": "an empty answer",
    "nothing": "no key in it can be used",
    "huge": "no answer: .*larger than Envoy buffers",
}


@pytest.mark.parametrize("mode", BROKEN)
def test_a_broken_answer_leaves_the_last_good_set(gate, keys, turning, mode):
    begin = gate.envoy.log.stat().st_size
    if mode == "nothing":
        keys.set()
    else:
        keys.set(Key("ES256", "second"))
        keys.mode = mode
    noticed(gate, f"no new keys of issuer `{turning.name}`: {BROKEN[mode]}", begin)
    for response in gate.get_everywhere(READ, turning.patient()):
        gate.allowed(response)


def members_of(*keys):
    return [key.jwk() for key in keys]


@pytest.mark.parametrize("broken, why", [
    (lambda first: {"keys": members_of(first, Key("ES256", "first"))}, "two of its keys have the `kid`"),
    (lambda first: {"keys": members_of(first), "x": " " * 300_000}, "more than the 262144 allowed"),
    (lambda first: {"keys": members_of(first) * 101}, "it has more than 100 keys"),
    (lambda first: members_of(first), "it is not a JWK Set"),
    (lambda first: {"error": "not found"}, "it is not a JWK Set"),
    (lambda first: {"keys": {"first": first.jwk()}}, "it is not a JWK Set"),
], ids=["two keys alike", "300 KB", "101 keys", "a list", "an error", "keys as an object"])
def test_a_document_that_is_no_key_set_leaves_the_last_good_one(gate, keys, turning, broken, why):
    begin = gate.envoy.log.stat().st_size
    keys.publish(broken(turning.keys[0]))
    noticed(gate, f"no new keys of issuer `{turning.name}`: .*{why}", begin)
    for response in gate.get_everywhere(READ, turning.patient()):
        gate.allowed(response)


def test_an_issuer_that_does_not_answer_is_given_up_after_five_seconds(gate, keys, turning):
    keys.mode, keys.delay = "slow", 20
    begin, started = gate.envoy.log.stat().st_size, time.monotonic()
    noticed(gate, f"no new keys of issuer `{turning.name}`: status 504", begin)
    assert time.monotonic() - started < 8
    for response in gate.get_everywhere(READ, turning.patient()):
        gate.allowed(response)


# Keys that must not be trusted, each with a token that it truly signed.

def forged_with_exponent_one(payload):
    """With e = 1 a signature is the padded digest itself (RFC 8017 section 9.2): anybody can write it."""
    text = signing_input({"alg": "RS256", "typ": "at+jwt", "kid": "exponent-1"}, payload)
    digest = hashlib.sha256(text.encode()).digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    return f"{text}.{b64(bytes([0, 1]) + bytes([255]) * (253 - len(info)) + bytes(1) + info)}"


def weak_keys(turning):
    """Name to JWK, and name to a token under it."""
    rsa = ["encryption", "operations", "private", "other-alg", "exponent-1", "leading-zero"]
    made = {name: Key("RS256", name) for name in rsa}
    made |= {name: Key("ES256", name) for name in ["off-curve", "other-curve"]}
    made["rsa-1024"] = Key("RS256", "rsa-1024", 1024)
    changes = {
        "encryption": {"use": "enc"}, "operations": {"key_ops": ["sign", "encrypt"], "use": None},
        "private": {"d": "AQAB"}, "other-alg": {"alg": "RSA-OAEP"}, "exponent-1": {"e": "AQ"},
        "off-curve": {"y": made["off-curve"].jwk()["x"]}, "other-curve": {"crv": "secp256k1"},
        "leading-zero": {"n": "AA" + made["leading-zero"].jwk()["n"]},
    }
    jwks = {name: key.jwk(**changes.get(name, {})) for name, key in made.items()}
    jwks["secret"] = {"kty": "oct", "kid": "secret", "k": b64(b"secret" * 8), "alg": "HS256"}
    good = claims(turning.name, BASE, scope="patient/*.rs", patient="ann")
    signed = {name: key.sign(good) for name, key in made.items()}
    signed["exponent-1"] = forged_with_exponent_one(good)
    return jwks, signed


def test_a_weak_key_is_left_out_and_the_good_ones_stay(gate, keys, turning):
    begin = gate.envoy.log.stat().st_size
    jwks, signed = weak_keys(turning)
    good = Key("ES256", "second")
    keys.set(*turning.keys, *jwks.values(), good)
    settle(gate, turning.patient(key=good), "allowed")
    told = noticed(gate, f"new keys of issuer `{turning.name}`: 2 in force.*", begin)
    for place, name in enumerate(jwks, start=1):
        assert f"keys/{place} is not used" in told, f"{name}: {told}"
    for name, token in signed.items():
        response = gate.get(READ, token)
        gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_key_unknown")


# Who fetches.

def test_one_instance_fetches_for_all(spare_lists, listen, configuration):
    """Two workers and the main thread tick for each of six configurations; each second, one of the
    eighteen fetches. The key set is theirs alone: other issuers of the session's set, and other VMs,
    fetch that for themselves."""
    server, key = spare_lists.pop(), Key("ES256", "shared")
    server.publish(jwks(key))
    issuer = Issuer(key, name=f"https://shared-{server.port}.example")
    issuer.jwks.stop()
    gates = []
    for skew in range(6):
        shared = configuration()
        shared["issuers"].append({
            "issuer": issuer.name, "audiences": [BASE], "clock_skew": f"{skew}s",
            "jwks": {"cluster": str(server.port), "url": server.url + "/jwks", "refresh": "1s"}})
        gates.append(listen(f"shared-{skew}", shared))
    for gate in gates:
        settle(gate, issuer.patient(), "allowed")
    began, before, unchanged = time.monotonic(), server.begun, server.not_modified
    time.sleep(6)
    elapsed, fetched = time.monotonic() - began, server.begun - before
    assert elapsed * 0.4 <= fetched <= elapsed * 1.1 + 2
    assert abs(server.not_modified - unchanged - fetched) <= 1, "with the ETag of the set in force"


def test_unknown_key_names_fetch_nothing(gate, keys, turning):
    """A client that invents names can't make the gateway ask its issuer more often."""
    began, before = time.monotonic(), keys.begun
    for number in range(200):
        response = gate.get(READ, turning.token("patient/*.rs", header={"kid": f"invented-{number}"}))
        assert response.status == 401
    assert keys.begun - before <= (time.monotonic() - began) * 3 + 3
