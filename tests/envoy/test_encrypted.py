"""Encrypted tokens: decrypted with keys from the VM's environment, then judged like any other."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clinic import by_name
from gateway import INVALID_TOKEN, Issuer
from lab.encryption import EncryptionKey
from lab.http import Client
from lab.tokens import Key

READ = "/fhir/Patient/ann"
RSA_FAILURES_A_SECOND = 20


class Sealed(Issuer):
    """An issuer that encrypts for three keys of ours; the environment has a fourth wrong, a fifth not."""

    def __init__(self, name="https://sealed.clinic.example", prefix="enc"):
        super().__init__(Key("ES256", f"{prefix}-sign"), name=name)
        algorithms = {"rsa": "RSA-OAEP", "large": "RSA-OAEP", "small": "ECDH-ES+A128KW",
                      "ec": "ECDH-ES+A256KW", "wrong": "RSA-OAEP", "gone": "ECDH-ES+A256KW"}
        self.ours = {kind: EncryptionKey(algorithm, f"{prefix}-{kind}", 4096 if kind == "large" else 2048)
                     for kind, algorithm in algorithms.items()}

    def settings(self, required):
        keys = [{"kid": key.kid, "algorithm": key.algorithm, "key": variable(key)}
                for key in self.ours.values()]
        return {"issuer": self.name, "audiences": [self.audience],
                "jwks": {"inline": {"keys": [key.jwk() for key in self.keys]}},
                "encryption": {"required": required, "keys": keys}}

    def environment(self):
        values = {variable(key): key.pem() for kind, key in self.ours.items() if kind != "gone"}
        values[variable(self.ours["ec"])] = self.ours["ec"].packed()
        values[variable(self.ours["wrong"])] = self.ours["ec"].pem()
        return values

    def read(self, kind="ec", header=None, **claims):
        """An encrypted token that may read Patient/ann but for what is given."""
        return self.ours[kind].encrypt(self.patient(**claims), **(header or {}))


def variable(key):
    return "PHIWARD_" + key.kid.upper().replace("-", "_")


@pytest.fixture(scope="module")
def sealed():
    made = Sealed()
    yield made
    made.jwks.stop()


@pytest.fixture(scope="module")
def lax():
    made = Sealed("https://lax.clinic.example", "lax")
    yield made
    made.jwks.stop()


@pytest.fixture(scope="module")
def vault(listen, configuration, sealed, lax):
    """A listener that takes tokens of both; `sealed` must encrypt."""
    document = configuration()
    document["issuers"] = [sealed.settings(True), lax.settings(False)]

    def adjust(manager):
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        values = {**sealed.environment(), **lax.environment()}
        plugin["vm_config"]["environment_variables"] = {"key_values": values}

    gateway = listen("vault", document, ready=False, vm_id="vault", adjust=adjust, hardened=False)
    deadline = time.monotonic() + 15
    while gateway.get(READ, sealed.read()).status == 503:
        assert time.monotonic() < deadline, "the filter did not get ready"
        time.sleep(0.2)
    return gateway


@pytest.fixture(autouse=True)
def another_second():
    """What one test spent of a worker's decryptions is none of the next one's."""
    yield
    time.sleep(0.15)


@pytest.mark.parametrize("kind", ["rsa", "large", "small", "ec"])
def test_every_algorithm_is_decrypted_and_the_token_stays_here(vault, sealed, kind):
    token = sealed.read(kind)
    for _ in range(8):  # each on a new connection: on both workers, and cached there
        vault.client.close()
        vault.allowed(vault.get(READ, token))
    inside = sealed.patient()
    vault.allowed(vault.get(READ, sealed.ours[kind].encrypt(inside)))
    vault.refused(vault.get(READ, inside), 401, "token_encryption_required", INVALID_TOKEN)


def test_an_issuer_that_need_not_encrypt_may(vault, lax):
    vault.allowed(vault.get(READ, lax.patient()))
    vault.allowed(vault.get(READ, lax.read()))


def test_scopes_and_context_of_an_encrypted_token_are_judged(vault, sealed):
    token = sealed.read(scope="patient/Observation.rs")
    vault.refused(vault.get(READ, token), 403, "scope_insufficient", 'Bearer error="insufficient_scope"')
    vault.refused(vault.get("/fhir/Patient/bob", sealed.read()), 403, "compartment_other_patient")


def part(token, place, value):
    parts = token.split(".")
    parts[place] = value(parts[place])
    return ".".join(parts)


def flipped(text):
    return ("B" if text[0] == "A" else "A") + text[1:]


HIDDEN = by_name({
    "token_encrypted": {
        "twice": lambda s, o: s.ours["ec"].encrypt(s.read()),
    },
    "token_header_critical": {"crit": lambda s, o: s.read(header={"crit": ["exp"]})},
    "token_payload_compressed": {"zip": lambda s, o: s.read(header={"zip": "DEF"})},
    "token_header_key_refused": {
        name: lambda s, o, name=name: s.read(header={name: "http://127.0.0.1/"})
        for name in ("jwk", "jku", "x5u", "x5c")},
    "token_content_type_refused": {
        "none": lambda s, o: s.read(header={"cty": None}),
        "another": lambda s, o: s.read(header={"cty": "text"}),
    },
    "token_key_unnamed": {"no kid": lambda s, o: s.read(header={"kid": None})},
    "token_decryption_key_unknown": {
        "unknown": lambda s, o: s.read(header={"kid": "enc"}),
        "of signatures": lambda s, o: s.read(header={"kid": "enc-sign"}),
    },
    "token_encryption_refused": {
        **{name: lambda s, o, name=name: s.read("rsa", header={"alg": name})
           for name in ("RSA1_5", "RSA-OAEP-256", "dir", "none", "A256KW", "ECDH-ES")},
        "A128GCM": lambda s, o: s.read(header={"enc": "A128GCM"}),
        "A256CBC-HS512": lambda s, o: s.read(header={"enc": "A256CBC-HS512"}),
    },
    "token_encrypted_length": {
        "no wrapped key": lambda s, o: part(s.read("rsa"), 1, lambda _: ""),
        "short tag": lambda s, o: part(s.read(), 4, lambda tag: tag[:8]),
        "long iv": lambda s, o: part(s.read(), 2, lambda iv: iv + "AAAA"),
    },
    "token_encoding": {"plus": lambda s, o: part(s.read(), 3, lambda text: "+" + text[1:])},
    "token_ephemeral_key_invalid": {
        "none": lambda s, o: s.read(header={"epk": None}),
        "off the curve": lambda s, o: s.read(
            header={"epk": {"kty": "EC", "crv": "P-256", "x": "Ag" * 21 + "A", "y": "Ag" * 21 + "A"}}),
    },
    "token_decryption_failed": {
        **{f"{kind}, part {place}": lambda s, o, kind=kind, place=place: part(s.read(kind), place, flipped)
           for kind in ("rsa", "ec") for place in (1, 2, 3, 4)},
        "for another key": lambda s, o: o.ours["ec"].encrypt(s.patient(), kid="enc-ec"),
        "short content key": lambda s, o: s.ours["rsa"].encrypt(s.patient(), content_key=b"k" * 16),
    },
    "token_decryption_issuer": {
        "another issuer's key": lambda s, o: o.ours["ec"].encrypt(s.patient()),
        "another issuer's token": lambda s, o: s.ours["ec"].encrypt(o.patient()),
    },
    "token_signature_invalid": {
        "forged": lambda s, o: s.ours["ec"].encrypt(s.patient(key=Key("ES256", "enc-sign"))),
    },
    "token_shape": {"claims": lambda s, o: s.ours["ec"].encrypt('{"sub":"x"}')},
})


@pytest.mark.parametrize("make, code", HIDDEN)
def test_the_client_learns_nothing_but_that_it_is_not_valid(vault, sealed, lax, make, code):
    response = vault.get(READ, make(sealed, lax))
    vault.refused(response, 401, "token_invalid", INVALID_TOKEN, audit=code)


def test_what_is_inside_is_told_once_its_signature_is_proven(vault, sealed):
    now = int(time.time())
    token = sealed.read(iat=now - 200, exp=now - 100)
    record = vault.refused(vault.get(READ, token), 401, "token_expired", INVALID_TOKEN)
    assert "user-1" in str(record)


@pytest.mark.parametrize("kind", ["wrong", "gone"])
def test_a_key_that_the_environment_lacks_stops_its_tokens_only(vault, sealed, kind):
    for _ in range(3):
        vault.refused(vault.get(READ, sealed.read(kind)), 503, "token_decryption_key_missing")
    vault.allowed(vault.get(READ, sealed.read()))


def test_a_flood_of_forgeries_holds_up_nobody_whose_token_is_known(vault, sealed, lax):
    known, forged = sealed.read(), part(sealed.read("rsa"), 3, flipped)
    with Client(vault.client.port) as client:  # one connection: one worker
        over = vault.over(client)
        over.allowed(over.get(READ, known))
        seen = []
        while "token_decryption_busy" not in seen:
            assert len(seen) < 400, "never too many"
            response = over.get(READ, forged)
            seen.append("token_decryption_busy" if response.status == 503 else "failed")
        assert response.header("retry-after") == "1"
        over.allowed(over.get(READ, known))
        over.allowed(over.get(READ, lax.patient()))
        assert len(seen) > RSA_FAILURES_A_SECOND
        time.sleep(1.1)
        over.allowed(over.get(READ, sealed.read()))


def test_valid_tokens_are_not_bounded(vault, sealed):
    tokens = [sealed.read("rsa") for _ in range(3 * RSA_FAILURES_A_SECOND)]
    with ThreadPoolExecutor(4) as pool:
        def send(token):
            with Client(vault.client.port) as client:
                return client.get(READ, token).status
        assert set(pool.map(send, tokens)) == {200}


def test_a_token_that_comes_again_is_not_decrypted_again(vault, sealed):
    token = sealed.read("large")
    with Client(vault.client.port) as client:
        def seconds():
            started = time.perf_counter()
            assert client.get(READ, token).status == 200
            return time.perf_counter() - started
        first, again = seconds(), min(seconds() for _ in range(5))
        assert again < first / 2, (first, again)


def test_no_private_key_is_in_the_log(vault, envoy, sealed, lax):
    log = envoy.log.read_text(errors="replace")
    for issuer in (sealed, lax):
        for key in issuer.ours.values():
            assert key.pem().splitlines()[1] not in log
            assert key.packed()[:80] not in log
