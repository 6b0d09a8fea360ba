"""Tokens that their issuer is asked about (RFC 7662): who is let in, how often it is asked, and what an
issuer that does not answer does."""

import threading
import time

import pytest

from gateway import BASE, INVALID_TOKEN
from lab.auth_server import GATEWAY, OPAQUE_APP, AuthServer
from lab.http import Client
from lab.tokens import Key, claims, opaque
from test_keys import noticed
from test_policy import FORM

READ = "/fhir/Patient/ann"
ISSUER = "https://opaque.clinic.example"
VARIABLE = "PHIWARD_INTROSPECTION_SECRET"
CACHE, CACHE_INACTIVE, PAUSE = 2, 1, 5


def asking(introspection, tokens="opaque", **changes):
    """A configured issuer that is asked."""
    issuer = {
        "issuer": ISSUER, "audiences": [BASE], "require": ["sub"],
        "introspection": {
            "cluster": "introspection", "url": introspection.introspection_url, "client_id": "gateway",
            "client_secret": VARIABLE, "tokens": tokens, "cache": f"{CACHE}s",
            "cache_inactive": f"{CACHE_INACTIVE}s", "timeout": "1500ms", "calls_per_second": 1000, **changes}}
    if changes.get("client_secret_inline"):
        del issuer["introspection"]["client_secret"]
    return issuer


def with_environment(**variables):
    def adjust(manager):
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["environment_variables"] = {"key_values": variables}
    return adjust


@pytest.fixture(scope="module")
def listen_asking(listen, configuration, issuer, introspection):
    """Adds a listener with one more issuer, whose secret is in the environment of its VM. Its VM is its
    own: so are its keys."""

    def add(name, asked, environment=None):
        document = configuration()
        document["issuers"][0]["jwks"] = {"inline": {"keys": [key.jwk() for key in issuer.keys]}}
        document["issuers"].append(asked)
        if environment is None:
            environment = {VARIABLE: introspection.secret}
        return listen(f"introspection-{name}", document, vm_id=f"introspection-{name}",
                      adjust=with_environment(**environment))

    return add


@pytest.fixture(scope="module")
def gate(listen_asking, introspection):
    """A listener whose issuer of opaque tokens is asked."""
    return listen_asking("opaque", asking(introspection))


@pytest.fixture(autouse=True)
def as_usual(introspection):
    yield
    introspection.mode = "ok"


def known(introspection, **more):
    """An opaque token of Ann's app, active at its issuer."""
    return introspection.know(opaque(), **said(**more))


def said(**more):
    return {**claims(ISSUER, BASE, scope="patient/*.rs", patient="ann", token_type="Bearer"), **more}


def at_once(port, tokens):
    """Sends a read with each of these tokens at the same time; gives the answers."""
    answers = [None] * len(tokens)

    def send(place):
        with Client(port) as client:
            answers[place] = client.get(READ, tokens[place])

    threads = [threading.Thread(target=send, args=(place,)) for place in range(len(tokens))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# Opaque tokens.

def test_an_active_token_is_let_in_as_whom_its_issuer_says(gate, introspection):
    token = known(introspection, sub="ann", client_id="app-7")
    for response in gate.get_everywhere(READ, token):
        _, record = gate.allowed(response)
        assert (record["who"]["sub"], record["who"]["client"]) == ("ann", "app-7")
        assert record["who"]["issuer"] == ISSUER
    gate.refused(gate.get("/fhir/Patient/ben", token), 403, "compartment_other_patient")


def test_each_worker_asks_once_as_long_as_the_answer_counts(gate, introspection):
    token = known(introspection)
    started = time.monotonic()
    gate.on_every_worker(READ, token)
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)
    assert introspection.calls(token) == 2 or time.monotonic() - started > CACHE


def test_a_form_with_an_opaque_token(gate, introspection):
    token = known(introspection)
    for _ in range(2):
        response = gate.send("POST", "/fhir/Observation/_search", token, FORM, b"code=8867-4")
        gate.allowed(response)


def test_a_token_that_is_not_active_is_refused_and_that_is_remembered(gate, introspection):
    token = opaque()
    for response in gate.on_every_worker(READ, token):
        record = gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_inactive")
        assert "who" not in record
    token = opaque()
    started = time.monotonic()
    for _ in range(20):
        assert gate.get(READ, token).status == 401
    assert introspection.calls(token) == 1 or time.monotonic() - started > CACHE_INACTIVE


@pytest.mark.parametrize("members, status, reason", [
    ({"aud": "https://other.example"}, 401, "token_audience"),
    ({"aud": None}, 401, "token_claim_missing"),
    ({"sub": None}, 401, "token_claim_missing"),
    ({"iss": "https://other.example"}, 401, "token_issuer_unknown"),
    ({"exp": int(time.time()) - 100}, 401, "token_expired"),
    ({"iat": int(time.time()) - 9999}, 401, "token_lifetime_too_long"),
    ({"token_type": "refresh_token"}, 401, "token_type_refused"),
    ({"token_type": "DPoP"}, 401, "token_binding_unchecked"),
    ({"cnf": {"jkt": "x"}}, 401, "token_binding_unchecked"),
    ({"scope": "patient/Observation.rs"}, 403, "scope_insufficient"),
    ({"iss": None, "jti": None, "token_type": None, "exp": None, "iat": None}, 200, "allowed"),
], ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items())[:40] if isinstance(value, dict) else None)
def test_what_the_issuer_says_is_judged_as_a_tokens_claims(gate, introspection, members, status, reason):
    said_of = {name: value for name, value in {**said(), **members}.items() if value is not None}
    token = introspection.know(opaque(), **said_of)
    response = gate.get(READ, token)
    assert response.status == status, response
    assert gate.envoy.audit(response.header("x-request-id"))["reason"] == reason


def test_elsewhere_an_opaque_token_is_no_token(gateway, gate, issuer, introspection):
    token = known(introspection)
    gateway.refused(gateway.get(READ, token), 401, "token_invalid", INVALID_TOKEN, audit="token_shape")
    signed = issuer.patient(iss=ISSUER)
    gate.refused(gate.get(READ, signed), 401, "token_invalid", INVALID_TOKEN, audit="token_key_unknown")
    assert introspection.calls(signed) == 0


# How often, how long.

def test_requests_with_one_token_wait_for_one_call(gate, introspection):
    token = known(introspection)
    introspection.mode, introspection.delay = "slow", 0.4
    answers = at_once(gate.client.port, [token] * 40)
    assert [answer.status for answer in answers] == [200] * 40
    assert 1 <= introspection.calls(token) <= 2, "each worker asks once"
    assert max(answer.seconds for answer in answers) < 2


def test_each_token_gets_its_own_answer(gate, introspection):
    tokens = [known(introspection) if number % 2 else opaque() for number in range(16)]
    introspection.mode, introspection.delay = "slow", 0.1
    answers = at_once(gate.client.port, tokens)
    assert [answer.status for answer in answers] == [401, 200] * 8


def test_a_token_revoked_at_its_issuer_is_refused_once_the_last_word_is_old(gate, introspection):
    token = known(introspection)
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)
    introspection.forget(token)
    time.sleep(CACHE + 0.2)
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_inactive")


def test_a_token_is_refused_once_it_has_expired_however_long_the_answer_counts(
        listen_asking, introspection):
    asked = {**asking(introspection, cache="1h"), "clock_skew": "0s"}
    gate = listen_asking("long", asked)
    token = introspection.know(opaque(), **said(exp=int(time.time()) + 3))
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)
    time.sleep(3)
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 401, "token_expired", INVALID_TOKEN)


def test_invented_tokens_cost_no_more_calls_than_configured(listen_asking, introspection, issuer):
    """And nobody else waits for them."""
    slow = listen_asking("rate", asking(introspection, calls_per_second=5))
    before, started = len(introspection.asked), time.monotonic()
    answers = []
    storm = threading.Thread(
        target=lambda: answers.extend(at_once(slow.client.port, [opaque() for _ in range(120)])))
    storm.start()
    while storm.is_alive():
        response = slow.get(READ, issuer.patient())
        assert response.status == 200 and response.seconds < 1, response
        time.sleep(0.05)
    seconds = time.monotonic() - started
    assert len(introspection.asked) - before <= 2 * 5 * (seconds + 1)
    assert {answer.status for answer in answers} == {401, 503}
    assert {answer.header("retry-after") for answer in answers if answer.status == 503} == {"2"}


# An issuer that does not answer.

@pytest.mark.parametrize("mode", [
    "error", "redirect", "html", "truncated", "empty", "signed", "twice", "text", "huge", "closed"])
def test_what_is_no_answer_lets_nobody_in_and_calls_no_token_inactive(gate, introspection, mode):
    token = known(introspection)
    introspection.mode = mode
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 503, "introspection_unavailable")
        assert response.header("retry-after") == "2"
    introspection.mode = "ok"
    time.sleep(1.1)
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)


def test_an_issuer_that_is_slow_is_given_up(gate, introspection):
    token = known(introspection)
    introspection.mode, introspection.delay = "slow", 10
    response = gate.get(READ, token)
    gate.refused(response, 503, "introspection_unavailable")
    assert 1.4 < response.seconds < 2.5
    introspection.mode = "ok"
    time.sleep(1.1)
    gate.allowed(gate.get(READ, token))


def test_a_request_waits_two_seconds_and_the_answer_serves_the_next(listen_asking, introspection):
    patient = listen_asking("patient", asking(introspection, timeout="5s", cache="10s"))
    token = known(introspection)
    introspection.mode, introspection.delay = "slow", 3
    response = patient.get(READ, token)
    patient.refused(response, 503, "introspection_unavailable")
    assert 1.9 < response.seconds < 2.8
    time.sleep(1.5)
    patient.allowed(patient.get(READ, token))
    assert introspection.calls(token) == 1


@pytest.mark.parametrize("mode", ["unauthorized", "forbidden"])
def test_an_issuer_that_refuses_the_gateway_is_the_operators_business(
        listen_asking, introspection, mode):
    wrong = listen_asking(mode, asking(introspection))
    token, begin = known(introspection), wrong.envoy.log.stat().st_size
    introspection.mode = mode
    wrong.refused(wrong.get(READ, token), 503, "introspection_unauthorized")
    status = {"unauthorized": 401, "forbidden": 403}[mode]
    noticed(wrong, f"issuer `{ISSUER}` can't be asked about tokens: status {status}", begin)
    introspection.mode = "ok"
    time.sleep(PAUSE + 0.2)
    for response in wrong.get_everywhere(READ, token):
        wrong.allowed(response)
    noticed(wrong, f"issuer `{ISSUER}` answers questions about tokens again", begin)


def test_without_its_secret_nothing_is_asked(listen_asking, introspection, issuer, envoy):
    begin = envoy.log.stat().st_size
    bare = listen_asking("bare", asking(introspection), environment={"OTHER": "x"})
    token = known(introspection)
    for response in bare.on_every_worker(READ, token):
        bare.refused(response, 503, "introspection_secret_missing")
    noticed(bare, "the environment variable that `client_secret` names is not set", begin)
    assert introspection.calls(token) == 0
    bare.allowed(bare.get(READ, issuer.patient()))


def test_the_secret_may_stand_in_the_configuration(listen_asking, introspection):
    asked = asking(introspection, client_secret_inline=introspection.secret)
    inline = listen_asking("inline", asked, environment={})
    for response in inline.get_everywhere(READ, known(introspection)):
        inline.allowed(response)


def test_a_cluster_that_does_not_exist_harms_nobody_else(listen_asking, introspection, issuer, envoy):
    begin = envoy.log.stat().st_size
    lost = listen_asking("lost", asking(introspection, cluster="nowhere"))
    lost.refused(lost.get(READ, known(introspection)), 503, "introspection_unavailable")
    noticed(lost, "does it have a cluster `nowhere`", begin)
    lost.allowed(lost.get(READ, issuer.patient()))


# Signed tokens.

@pytest.fixture(scope="module")
def both(listen_asking, introspection):
    """A listener whose issuer is asked about every token, and the issuer's key."""
    key = Key("ES256", "asked")
    asked = {**asking(introspection, "all"), "jwks": {"inline": {"keys": [key.jwk()]}}}
    return listen_asking("all", asked), key


def signed(key, **more):
    return key.sign(claims(ISSUER, BASE, **{"scope": "patient/*.cruds", "patient": "ann", **more}))


def test_a_signed_token_is_let_in_once_its_issuer_vouches_for_it(both, introspection):
    gate, key = both
    token = introspection.know(signed(key))
    for response in gate.get_everywhere(READ, token):
        gate.allowed(response)
    introspection.forget(token)
    time.sleep(CACHE + 0.2)
    for response in gate.on_every_worker(READ, token):
        record = gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_inactive")
        assert record["who"]["sub"] == "user-1", "its signature is proven"
    gate.allowed(gate.get(READ, known(introspection)))


def test_the_issuers_word_counts_before_what_it_signed(both, introspection):
    gate, key = both
    token = introspection.know(signed(key), scope="patient/Observation.rs")
    response = gate.get(READ, token)
    assert (response.status, response.reason) == (403, "scope_insufficient")


def test_a_forged_token_is_never_asked_about(both, introspection):
    gate, _ = both
    token = introspection.know(signed(Key("ES256", "asked")))
    gate.refused(gate.get(READ, token), 401, "token_invalid", INVALID_TOKEN,
                 audit="token_signature_invalid")
    assert introspection.calls(token) == 0


def test_a_signed_token_is_refused_while_its_issuer_does_not_answer(both, introspection):
    gate, key = both
    token = introspection.know(signed(key))
    introspection.mode = "error"
    record = gate.refused(gate.get(READ, token), 503, "introspection_unavailable")
    assert record["who"]["sub"] == "user-1"


# A real authorization server.

@pytest.fixture(scope="module")
def real(envoy, listen, configuration, tmp_path_factory):
    """oidc-provider, and a listener that takes its opaque tokens."""
    auth = AuthServer(tmp_path_factory.mktemp("opaque"), BASE, port=envoy.clusters["real-opaque"])
    auth.wait()
    document = configuration()
    document["issuers"].append({
        "issuer": auth.issuer, "audiences": [BASE], "require": ["sub"],
        "introspection": {
            "cluster": "real-opaque", "url": auth.introspection_url, "client_id": GATEWAY,
            "client_secret_inline": auth.gateway_secret, "cache": f"{CACHE}s", "cache_inactive": "1s"}})
    yield listen("introspection-real", document), auth
    auth.stop()


def test_a_real_opaque_token_until_it_is_revoked(real):
    gate, auth = real
    token = auth.log_in("ann", "launch/patient patient/*.rs", app=OPAQUE_APP)
    assert "." not in token
    for response in gate.get_everywhere(READ, token):
        _, record = gate.allowed(response)
        assert (record["who"]["sub"], record["who"]["patient"]) == ("ann", "ann")
    gate.refused(gate.get("/fhir/Patient/ben", token), 403, "compartment_other_patient")
    auth.revoke(token)
    time.sleep(CACHE + 0.2)
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 401, "token_invalid", INVALID_TOKEN, audit="token_inactive")


def test_a_real_server_that_goes_away_lets_nobody_in(real):
    gate, auth = real
    token = auth.log_in("ann", "launch/patient patient/*.rs", app=OPAQUE_APP)
    gate.allowed(gate.get(READ, token))
    auth.stop()
    time.sleep(CACHE + 0.2)
    for response in gate.on_every_worker(READ, token):
        gate.refused(response, 503, "introspection_unavailable")
