"""The configuration as Envoy hands it over: right, wrong, empty, as text, changed under load."""

import base64
import itertools
import json
import socket
import subprocess
import threading
from collections import Counter

import pytest
import yaml

from gateway import BASE, REALM, fresh_id
from lab import envoy as lab_envoy
from lab.http import Client, NoResponse
from lab.processes import LabError, free_port
from lab.tokens import Key

READ = "/fhir/Patient/ann"


@pytest.fixture(scope="module")
def steady(listen, configuration):
    """The listener that the tests try to give a wrong configuration."""
    return listen("steady", configuration())


def plugin(manager):
    return manager["http_filters"][0]["typed_config"]["config"]


def given(wrapped):
    """Hands the filter this message, or none, in place of the configuration."""
    def adjust(manager):
        plugin(manager).pop("configuration")
        if wrapped is not None:
            plugin(manager)["configuration"] = wrapped
    return adjust


def message(name, **members):
    return {"@type": f"type.googleapis.com/google.protobuf.{name}", **members}


# The forms in which it comes.

def test_a_struct_a_text_and_bytes_are_the_same(listen, configuration, issuer):
    text = json.dumps(configuration())
    as_bytes = base64.b64encode(text.encode()).decode()
    for name, document, changes in [
            ("struct", configuration(), {}),
            ("text", text, {}),
            ("spaced", "\n " + json.dumps(configuration(), indent=4) + "\n", {}),
            ("bytes", {}, {"adjust": given(message("BytesValue", value=as_bytes))})]:
        gate = listen(f"form-{name}", document, **changes)
        gate.allowed(gate.get(READ, issuer.patient()))
        gate.refused(gate.get("/fhir/Patient/bob", issuer.patient()), 403, "compartment_other_patient")


EMPTY = {
    "a struct": ({}, {}),
    "no text": ("", {}),
    "blanks": (" \n ", {}),
    "an object as text": ("{}", {}),
    "null": ("null", {}),
    "none at all": ({}, {"adjust": given(None)}),
    "no bytes": ({}, {"adjust": given(message("BytesValue", value=""))}),
    "another empty message": ({}, {"adjust": given(message("Empty", value={}))}),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_configuration_opens_nothing(listen, name):
    document, changes = EMPTY[name]
    port = free_port()
    with pytest.raises(LabError, match="configuration refused: the configuration is empty: expected"):
        listen(f"empty {name}", document, ready=False, port=port, **changes)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the port is open"


# What is wrong, in words.

def changed(**sections):
    """Members of sections, or whole sections, put in place: `fhir={…}`, `issuer={…}`."""
    def change(document):
        for name, members in sections.items():
            if name == "issuer":
                document["issuers"][0].update(members)
            elif isinstance(members, dict):
                document.setdefault(name, {}).update(members)
            else:
                document[name] = members
        return document
    return change


def unlike_any(document):
    """Envoy remembers what it refused, and gives the reason the first time only."""
    document["fhir"]["base_url"] = [BASE, f"https://{fresh_id()}.example"]
    return document


def without(*path):
    def change(document):
        place = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        return document
    return change


def weak(**members):
    jwk = Key("ES256", "k").jwk(**members)
    return changed(issuer={"jwks": {"inline": {"keys": [jwk]}}})


WRONG = {
    "unknown key": (changed(fhir={"bass_path": "/fhir"}),
                    ["/fhir/bass_path: unknown key `bass_path`", "`base_path`"]),
    "unknown section": (changed(revocations={}),
                        ["/revocations: unknown key `revocations`", "`revocation`"]),
    "no API": (without("fhir"), ["`fhir` is missing"]),
    "no issuer": (changed(issuers=[]), ["/issuers"]),
    "issuer twice": (lambda document: {**document, "issuers": document["issuers"] * 2},
                     ["/issuers/1/issuer: ", "stands in `issuers` twice"]),
    "no audience": (changed(issuer={"audiences": []}), ["/issuers/0/audiences: `audiences` is empty"]),
    "alg none": (changed(issuer={"algorithms": ["RS256", "none"]}),
                 ["/issuers/0/algorithms/1", "`none` would accept tokens that nobody signed"]),
    "HS256": (changed(issuer={"algorithms": ["HS256"]}), ["signs with a shared secret"]),
    "no keys": (without("issuers", 0, "jwks"), ["/issuers/0", "`jwks` is missing"]),
    "private key": (weak(d="AAAA"), ["/issuers/0/jwks/inline/keys/0: it has the private member `d`"]),
    "point off the curve": (weak(y=Key("ES256", "k").jwk()["x"]), ["its point is not on the curve"]),
    "key for encryption": (weak(use="enc"), ["its `use` is not `sig`"]),
    "length without unit": (changed(issuer={"max_lifetime": 3600}),
                            ["/issuers/0/max_lifetime: `3600`", "`30s`"]),
    "length of a fraction": (changed(issuer={"clock_skew": 1.5}), ["/issuers/0/clock_skew: `1.5`"]),
    "length without end": (changed(issuer={"clock_skew": 1e300}), ["/issuers/0/clock_skew: `"]),
    "length of null": (changed(issuer={"clock_skew": None}), ["/issuers/0/clock_skew: `null`"]),
    "length of true": (changed(issuer={"clock_skew": True}), ["/issuers/0/clock_skew: `true`"]),
    "skew of an hour": (changed(issuer={"clock_skew": "1h"}), ["/issuers/0/clock_skew: `1h` is too long"]),
    "unknown mode": (changed(mode="off"), ["/mode: ", "`off`", "`enforce` `observe`"]),
    "unknown release": (changed(fhir={"release": "STU3"}), ["/fhir/release: ", "R4"]),
    "list for text": (changed(fhir={"base_path": ["/fhir"]}), ["/fhir/base_path: "]),
    "path that climbs": (changed(fhir={"base_path": "/fhir/.."}), ["/fhir/base_path: "]),
    "passthrough into the API": (changed(fhir={"passthrough": ["/fhir/Patient"]}),
                                 ["/fhir/passthrough", "is below `base_path`"]),
    "public type": (changed(fhir={"public": ["Patient"]}), ["/fhir/public", "Patient"]),
    "three at once": (changed(mode="off", fhir={"bass_path": "/x"}, issuer={"clock_skew": 1}),
                      ["/mode: ", "/fhir/bass_path: ", "/issuers/0/clock_skew: "]),
    "deep": (changed(smart={"x": json.loads("[" * 60 + "]" * 60)}), ["/smart/x: unknown key"]),
    "deeper than is read": (changed(smart={"x": json.loads("[" * 70 + "]" * 70)}), ["more than 64 levels"]),
    "Envoy's own file": (lambda document: {"static_resources": {}, "admin": {}},
                         ["this is a configuration of Envoy", "`configuration.value`"]),
    "plain text": (lambda document: "base_path: /fhir", ["the text is not strict JSON"]),
    "comma too many": (lambda document: json.dumps(document)[:-1] + ",}", ["the text is not strict JSON"]),
    "key twice": (lambda document: '{"mode":"enforce",' + json.dumps({**document, "mode": "observe"})[1:],
                  ["the text is not strict JSON: duplicate member"]),
    "a list": (lambda document: json.dumps([document]), ["expected"]),
    "2 MB": (lambda document: json.dumps(document) + " " * 2_000_000, ["at most 1 MiB"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_refused_in_words_and_the_old_one_stays(
        steady, listen, configuration, issuer, name):
    change, words = WRONG[name]
    with pytest.raises(LabError) as refused:
        listen("steady", change(unlike_any(configuration())), ready=False)
    lines = [line for line in str(refused.value).splitlines() if "configuration refused: " in line]
    for word in words:
        assert any(word in line for line in lines), refused.value
    for response in steady.get_everywhere(READ, issuer.patient()):
        steady.allowed(response)
    steady.refused(steady.get(READ), 401, "token_missing", REALM)


def test_a_refused_configuration_says_nothing_secret(steady, listen, configuration):
    key = {"kty": "oct", "kid": "k", "k": "c2VjcmV0c2VjcmV0"}
    secret = changed(issuer={"jwks": {"inline": {"keys": [key]}}})
    with pytest.raises(LabError) as refused:
        listen("steady", secret(unlike_any(configuration())), ready=False)
    assert "/issuers/0/jwks/inline/keys/0" in str(refused.value)
    assert "c2VjcmV0c2VjcmV0" not in str(refused.value)


def test_another_message_is_no_configuration(listen, configuration):
    with pytest.raises(LabError, match="configuration refused: "):
        listen("duration", {}, ready=False, adjust=given(message("Duration", value="3s")))


def test_envoy_does_not_start_with_a_wrong_configuration(wasm, configuration, tmp_path):
    bootstrap = yaml.safe_load(lab_envoy.SHIPPED.read_text())
    shipped = bootstrap["static_resources"]["listeners"][0]
    wrong = changed(fhir={"bass_path": "/fhir"})(configuration())
    bootstrap["static_resources"] = {
        "listeners": [lab_envoy.listener(shipped, "wrong", free_port(), wrong)],
        "clusters": [lab_envoy.cluster(bootstrap["static_resources"]["clusters"][0], "fhir", free_port())]}
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = free_port()
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(bootstrap))
    done = subprocess.run([lab_envoy.binary(), "--config-path", file, "--use-dynamic-base-id"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "/fhir/bass_path: unknown key `bass_path`" in done.stdout + done.stderr


# Changes while requests come.

class Load:
    """Clients that send one request after another, with and without a token, until they are stopped."""

    def __init__(self, port, tokens):
        self.answers = {token: Counter() for token in tokens}
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=[port, token]) for token in tokens]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _send(self, port, token):
        """A new connection every ten requests, so that old and new workers get some."""
        client = Client(port)
        for number in itertools.count(1):
            if self._stopped.is_set():
                return client.close()
            try:
                self.answers[token][client.get(READ, token).status] += 1
            except NoResponse:
                self.answers[token]["none"] += 1
            if number % 10 == 0:
                client.close()


def test_while_the_configuration_changes_nothing_passes_unchecked(listen, configuration, issuer, upstream):
    """Twenty changes, every fourth a wrong one, under load: whoever had no token never passes, and
    whoever had a good one always does, since keys and list are still there."""
    moving = listen("moving", configuration())
    good, revised, refused = issuer.patient(), itertools.cycle(["narrow", "refuse"]), 0
    upstream.clear()
    with Load(moving.client.port, [None, "forged.a.b", good]) as load:
        for number in range(20):
            document = changed(smart={"search_without_patient": next(revised)})(configuration())
            if number % 4 == 3:
                document["mode"] = "off"
            try:
                listen("moving", document, ready=False)
            except LabError:
                refused += 1
    assert refused == 5
    for token, answers in load.answers.items():
        assert sum(answers.values()) > 100, answers
        assert set(answers) == {200 if token == good else 401}, answers
    assert len(upstream.requests) == load.answers[good][200]
