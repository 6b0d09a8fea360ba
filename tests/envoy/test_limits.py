"""Too much of everything: a refusal or an answer, never a trap, and memory that stays where it was."""

import itertools
import random
import threading
import time
from collections import Counter

import pytest

from gateway import INVALID_REQUEST, INVALID_TOKEN, REALM, fresh_id
from lab.http import Client
from lab.tokens import Key, b64
from test_rotation import Rotating

READ = "/fhir/Patient/ann"
MEGABYTE = 1_000_000


# One request.

def test_100_kb_of_scopes_are_refused(gateway, shipped, issuer):
    scopes = " ".join(f"patient/Observation.rs?code={number}" for number in range(3100))
    assert len(scopes) > 100_000
    token = issuer.patient(scope=scopes)
    response = gateway.get(READ, token)
    gateway.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_too_large")
    shipped.stopped_by_envoy(lambda: shipped.get(READ, token), 431)


@pytest.mark.parametrize("more", ["patient/Patient.rs", "patient/Observation.rs?code=1", "garbage.x"])
def test_as_many_scopes_as_a_token_holds_are_judged(gateway, issuer, more):
    token = issuer.patient(scope=" ".join(["patient/*.r", *[more] * (11_000 // (len(more) + 1))]))
    assert 14_000 < len(token) < 16_384
    gateway.allowed(gateway.get(READ, token))
    gateway.refused(gateway.get("/fhir/Patient/bob", token), 403, "compartment_other_patient")


def test_500_headers_are_read(gateway, shipped, issuer):
    headers = [(f"x-header-{number}", "value") for number in range(500)]
    got, _ = gateway.allowed(gateway.get(READ, issuer.patient(), headers=headers))
    assert sum(name.startswith("x-header-") for name, _ in got.headers) == 500
    gateway.refused(gateway.get(READ, headers=headers), 401, "token_missing", REALM)
    shipped.stopped_by_envoy(lambda: shipped.get(READ, issuer.patient(), headers=headers), 431)


def test_500_identity_headers_are_removed(gateway, issuer):
    headers = [(f"x-phiward-{number}", "root") for number in range(500)]
    headers += [("x-phiward-subject", "root")] * 500
    got, _ = gateway.allowed(gateway.get(READ, issuer.patient(), headers=headers))
    assert not [name for name, _ in got.headers if name.startswith("x-phiward")]


def test_a_header_of_60_kb_is_read(gateway, shipped, issuer):
    headers = [("x-long", "x" * 60_000)]
    got, _ = gateway.allowed(gateway.get(READ, issuer.patient(), headers=headers))
    assert got.header("x-long") == "x" * 60_000
    shipped.stopped_by_envoy(lambda: shipped.get(READ, issuer.patient(), headers=headers * 2), 431)


@pytest.mark.parametrize("headers, code, challenge", [
    ([("x-long", "x" * 900_000)], "token_missing", REALM),
    ([(f"x-{number}", "x" * 900) for number in range(900)], "token_missing", REALM),
    ([("authorization", "Bearer " + "x" * 900_000)], "token_too_large", INVALID_TOKEN),
    ([("authorization", "x" * 900_000)], "token_scheme_unsupported", REALM),
    ([("authorization", "Bearer " + "," * 900_000)], "token_duplicate", INVALID_REQUEST),
    ([("if-none-exist", "x" * 900_000)], "token_missing", REALM),
], ids=["one", "many", "token", "scheme", "commas", "criteria"])
def test_900_kb_of_headers_are_no_way_around(gateway, headers, code, challenge):
    status = 400 if challenge == INVALID_REQUEST else 401
    public = "token_invalid" if challenge == INVALID_TOKEN else code
    gateway.refused(gateway.get(READ, headers=headers), status, public, challenge, audit=code)


def test_1000_parameters_are_judged(gateway, issuer):
    token = issuer.clinician()
    query = "&".join(["code=1"] * 999)
    _, record = gateway.allowed(gateway.get(f"/fhir/Observation?{query}&code=2", token))
    assert len(record["what"]["parameters"]) <= 1000
    response = gateway.get(f"/fhir/Observation?{query}&code=2&code=3", token)
    gateway.refused(response, 400, "parameters_too_many")
    other = gateway.get(f"/fhir/Observation?{query}&patient=bob", issuer.patient())
    gateway.refused(other, 403, "search_other_patient")


# Many requests.

def grown(envoy, send, warm_up, times):
    """Sends `warm_up` times and then so often; how much the process has grown since the warm-up."""
    for _ in range(warm_up):
        send()
    before = envoy.resident_bytes()
    for _ in range(times):
        send()
    return envoy.resident_bytes() - before


def test_garbage_leaves_nothing_behind(spare_lists, listen, configuration, envoy):
    """3000 tokens, each another: keys that do not exist, signatures that do not verify, noise. The key
    set, fetched each second, is this listener's alone."""
    made = Rotating(spare_lists.pop(), listen, configuration, refresh="1s")
    issuer, client, keys = made.issuer, made.gate.client, made.server
    good, noise, fetched = issuer.patient().split("."), random.Random(1), keys.begun
    makers = itertools.cycle([
        lambda: f"{good[0]}.{good[1]}.{b64(noise.randbytes(256))}",
        lambda: made.first.sign(issuer.claims(), kid=f"invented-{noise.random()}"),
        lambda: ".".join(b64(noise.randbytes(noise.randrange(1, 3000))) for _ in range(3)),
        lambda: b64(noise.randbytes(noise.randrange(1, 12_000))),
    ])
    answers = Counter()

    def send():
        answers[client.get(READ, next(makers)()).status] += 1

    started = time.monotonic()
    assert grown(envoy, send, 1000, 2000) < 4 * MEGABYTE
    assert answers == {401: 3000}
    assert keys.begun - fetched <= (time.monotonic() - started) * 1.1 + 2, "none fetched a key"


def test_the_cache_of_verified_tokens_is_bounded(gateway, issuer, envoy):
    """More good tokens than the caches of both workers may hold: 20 MB each. What a token takes is mostly
    its scopes."""
    scope = "patient/*.r " + "x" * 11_000

    def send():
        token = issuer.patient(key=issuer.keys[1], scope=scope)
        assert gateway.client.get(READ, token).status == 200

    assert grown(envoy, send, 3000, 1000) < 4 * MEGABYTE  # unbounded: more than 11


def test_requests_at_once_are_each_judged_and_audited_once(gateway, issuer, envoy, upstream):
    """Eight clients, allowed and refused by turns, for two seconds."""
    patient, forged = issuer.patient(), Key("RS256", "rsa-1").sign(issuer.claims())
    kinds = [
        (READ, patient, 200, "allowed"),
        ("/fhir/Patient/bob", patient, 403, "compartment_other_patient"),
        (READ, None, 401, "token_missing"),
        (READ, forged, 401, "token_signature_invalid"),
        ("/fhir/Observation?code=1", patient, 200, "allowed"),
        ("/other", patient, 404, "fhir_outside_base"),
    ]
    sent, end = {}, time.monotonic() + 2

    def client(number):
        with Client(gateway.client.port) as connection:
            for target, token, status, reason in itertools.islice(itertools.cycle(kinds), number, None):
                if time.monotonic() > end:
                    return
                request_id = fresh_id()
                response = connection.get(target, token, headers=[("x-request-id", request_id)])
                sent[request_id] = status, reason, response.status

    threads = [threading.Thread(target=client, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) > 500
    wrong = {one: got for one, got in sent.items() if got[0] != got[2]}
    assert not wrong
    for request_id, (status, reason, _) in sent.items():
        record = envoy.audit(request_id)  # one, or it raises
        assert (record["outcome"]["status"], record["reason"]) == (status, reason)
    forwarded = Counter(seen.header("x-request-id") for seen in upstream.requests)
    assert forwarded == {one: 1 for one, (status, *_) in sent.items() if status == 200}
