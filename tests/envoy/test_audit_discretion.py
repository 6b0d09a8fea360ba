"""Of the values that clients send, the trail has those that it is told to show; of the others a keyed
hash, so that equal ones can be matched. Nothing that phiward writes has a token, a secret or a name."""

import base64
import json
import re
import uuid
from urllib.parse import quote

import fastjsonschema
import pytest

from hostile import ANN, answers, bundle, ok
from lab import tokens
from lab.access_logs import AccessLogService
from lab.processes import ROOT
from lab.servers import Collector
from test_policy import FORM

HASH_KEY, SEAL_KEY = "PHIWARD_AUDIT_HASH_KEY", "PHIWARD_AUDIT_KEY"
# A patient as servers know them, and as clients look for them. None of it is to be written.
NAME, NUMBER, STREET = "Quirinius-Zanzibar", "078-05-1120-zanzibar", "17 Zanzibar Lane"
PRIVATE = (NAME, NUMBER, STREET)
PERSON = {**ANN, "name": [{"family": NAME}], "identifier": [{"value": NUMBER}], "address": [{"text": STREET}]}


@pytest.fixture(scope="module")
def listen_discreet(listen, configuration):
    """Adds a listener whose trail has these settings, with a hash key in the environment of its VM. Its VM
    is its own."""

    def add(name, key, **settings):
        def adjust(manager):
            plugin = manager["http_filters"][0]["typed_config"]["config"]
            plugin["vm_config"]["environment_variables"] = {
                "key_values": {HASH_KEY: key, SEAL_KEY: uuid.uuid4().hex + uuid.uuid4().hex}}

        document = configuration()
        document["audit"] = {"patients": "answers", "hash_key": HASH_KEY, **settings,
                             "seal": {"key": SEAL_KEY, "key_id": "test-1", "every": "1s"}}
        return listen(name, document, vm_id=name, hardened=False, adjust=adjust)

    return add


@pytest.fixture(scope="module")
def discreet(listen_discreet):
    """A listener that shows two parameters, and hashes the others."""
    return listen_discreet("discreet", "a key of this deployment " + uuid.uuid4().hex, show=["_id", "code"])


@pytest.fixture(scope="module")
def elsewhere(listen_discreet):
    """The same under another key."""
    return listen_discreet("elsewhere", "the key of another one " + uuid.uuid4().hex, show=["_id", "code"])


def searched(gateway, token, query, **form):
    """What the record says of the parameters of this search."""
    if form:
        response = gateway.send("POST", f"/fhir/Patient/_search?{query}", token, FORM, form["form"].encode())
    else:
        response = gateway.get(f"/fhir/Patient?{query}", token)
    line = gateway.envoy.audit(response.header("x-request-id"))
    return line["what"]["parameters"]


# What is written of a value.

def test_values_are_shown_of_parameters_that_are_named_and_hashed_of_others(discreet, issuer):
    answers(discreet, *ok(bundle({"resource": PERSON})))
    query = f"_id=1,2&code=8867-4&code:text=x&identifier={NUMBER}&name={NAME}&patient=ann&_id:missing=true"
    found = searched(discreet, issuer.clinician(), query)
    assert [one["name"] for one in found] == [
        "_id", "code", "code:text", "identifier", "name", "patient", "_id:missing"]
    assert [one.get("value") for one in found] == ["1,2", "8867-4", None, None, None, None, None]
    hashes = [one.get("hash") for one in found[2:]]
    assert all(re.fullmatch("[A-Za-z0-9_-]{16}", one) for one in hashes)
    assert len(set(hashes)) == len(hashes)
    assert not any("hash" in one for one in found[:2])


def test_equal_values_have_equal_hashes_wherever_they_come(discreet, issuer):
    number = quote(f"http://hl7.org/fhir/sid/us-ssn|{NUMBER}")
    (first,) = searched(discreet, issuer.clinician(), f"identifier={number}")
    (again,) = searched(discreet, issuer.backend(), f"identifier={number}")
    _, chained, formed = searched(discreet, issuer.clinician(), f"code=1&link:Patient.identifier={number}",
                                  form=f"identifier={number}")
    assert first == again == formed
    assert first["hash"] == chained["hash"]
    (other,) = searched(discreet, issuer.clinician(), f"identifier={NUMBER}")
    assert other["hash"] != first["hash"]


def test_every_worker_hashes_alike_and_another_deployment_does_not(discreet, elsewhere, issuer):
    def hashes(gateway):
        found = gateway.on_every_worker(f"/fhir/Patient?name={NAME}", issuer.clinician())
        return {gateway.envoy.audit(one.header("x-request-id"))["what"]["parameters"][0]["hash"] for one in found}

    here, there = hashes(discreet), hashes(elsewhere)
    assert len(here) == len(there) == 1
    assert here != there


def test_without_a_key_other_values_are_left_out(gateway, issuer):
    assert searched(gateway, issuer.clinician(), f"_id=1&name={NAME}&identifier={NUMBER}") == [
        {"name": "_id", "value": "1"}, {"name": "name"}, {"name": "identifier"}]


def test_a_key_that_is_missing_or_short_lets_nothing_in(listen, configuration, issuer):
    for name, values in (("no-hash-key", {}), ("short-hash-key", {HASH_KEY: "too short"})):
        def adjust(manager):
            plugin = manager["http_filters"][0]["typed_config"]["config"]
            plugin["vm_config"]["environment_variables"] = {"key_values": {"OTHER": "x", **values}}

        document = configuration()
        document["audit"] = {"hash_key": HASH_KEY}
        bare = listen(name, document, vm_id=name, ready=False, hardened=False, adjust=adjust)
        response = bare.get("/fhir/Patient/ann", issuer.patient())
        assert response.status == 503
        line = bare.envoy.audit(response.header("x-request-id"))
        assert (line["decision"], line["reason"]) == ("error", "audit_secret_missing")


PLACES = {
    "a search": lambda g, t: g.get(f"/fhir/Patient?name={NAME}&identifier={NUMBER}", t),
    "a form": lambda g, t: g.send("POST", "/fhir/Patient/_search", t, FORM, f"name={NAME}".encode()),
    "a chain": lambda g, t: g.get(f"/fhir/Observation?subject:Patient.name={NAME}", t),
    "an answer": lambda g, t: g.get("/fhir/Patient/ann", t),
    "a body": lambda g, t: g.send("POST", "/fhir/Patient", t, [("content-type", "application/fhir+json")],
                                  json.dumps(PERSON).encode()),
    "a body that is refused": lambda g, t: g.send("POST", "/fhir/Patient", None, [], NAME.encode()),
    "a batch": lambda g, t: g.send(
        "POST", "/fhir", t, [("content-type", "application/fhir+json")], json.dumps(bundle(
            {"request": {"method": "GET", "url": f"Patient?name={NAME}"}},
            {"request": {"method": "POST", "url": "Patient"}, "resource": PERSON}, kind="batch")).encode()),
    "a batch that is none": lambda g, t: g.send(
        "POST", "/fhir", t, [("content-type", "application/fhir+json")], f'{{"{NAME}":'.encode()),
    "a condition": lambda g, t: g.send(
        "POST", "/fhir/Patient", t, [("content-type", "application/fhir+json"),
                                     ("if-none-exist", f"identifier={NUMBER}")], json.dumps(PERSON).encode()),
    "a header": lambda g, t: g.get("/fhir/Patient/ann", t, headers=[("x-note", NAME), ("cookie", NUMBER)]),
    "a query of no search": lambda g, t: g.get(f"/fhir/Patient/ann?x={NUMBER}", t),
}


@pytest.mark.parametrize("who", ["clinician", "patient", "backend"])
@pytest.mark.parametrize("place", PLACES)
def test_names_and_numbers_of_patients_are_not_written(discreet, issuer, envoy, place, who):
    answers(discreet, *ok(bundle({"resource": PERSON})))
    if place == "an answer":
        answers(discreet, *ok(PERSON))
    start = envoy.log.stat().st_size
    response = PLACES[place](discreet, getattr(issuer, who)())
    line = discreet.envoy.audit(response.header("x-request-id"))
    text = json.dumps([line, *discreet.envoy.parts(line)])
    written = envoy.log.read_bytes()[start:].decode(errors="replace")
    for private in PRIVATE:
        for form in (private, quote(private), base64.b64encode(private.encode()).decode()):
            assert form not in text and form not in written, place


# The whole run.

class Search:
    """Finds tokens, secrets and private texts in what was written: whole, in part (any 40 characters of a
    token are found), and of a token also where it is part of something longer."""

    SIZE = 20

    def __init__(self, encoded=(), texts=()):
        self._blocks = {}
        for text in encoded:
            for run in re.findall(rb"[A-Za-z0-9_-]{20,}", text.encode()):
                for at in range(0, len(run) - self.SIZE + 1, self.SIZE):
                    block = run[at:at + self.SIZE]
                    if len(set(block)) > 8:  # what tests repeat is no secret
                        self._blocks[block] = text
        self._texts = [text.encode() for text in texts]

    def __len__(self):
        return len(self._blocks)

    def found_in(self, data):
        """What of it is in these bytes."""
        found = {text.decode() for text in self._texts if text in data}
        for run in re.finditer(rb"[A-Za-z0-9_-]{20,}", data):
            run = run.group()
            for at in range(len(run) - self.SIZE + 1):
                if (block := run[at:at + self.SIZE]) in self._blocks:
                    found.add(f"{block.decode()} of {self._blocks[block][:40]}…")
                    break
        return found


# Seals and hashes: among so many of them some spell `eyJ`.
RANDOM = re.compile(rb'(?<="tag":)"[A-Za-z0-9_-]{22}"|(?<="head":)"[A-Za-z0-9_-]{43}"|(?<="hash":)"[A-Za-z0-9_-]{16}"')


def hidden():
    """What tests of this run sent or configured that nobody may find in what phiward writes."""
    secrets = [one for one in tokens.secrets if len(one) >= 16]
    return Search([*tokens.signed, *tokens.sent, *secrets], [*secrets, *PRIVATE, "eyJ"])


def written(tmp_path_factory, envoy):
    """What phiward wrote, by itself or by Envoy's loggers, and what collectors kept of it: every log, line
    file and statistic of the run. Left out is what shows the configuration as it was given (`config_dump`,
    the files that Envoy starts from) and what the FHIR servers and issuers of the tests wrote."""
    base = tmp_path_factory.getbasetemp()
    for pattern in ("**/envoy*.log", "**/*.ndjson"):
        for file in base.glob(pattern):
            if file.is_file():
                yield file.name, file.read_bytes()
    for collector in Collector.all:
        yield f"collector {collector.port}", b"\n".join(request.body for _, request in collector.batches)
    for service in AccessLogService.all:
        yield f"access log service {service.port}", b"\n".join(service.messages())
    for path in ("/stats", "/stats/prometheus", "/listeners", "/clusters"):
        yield path, envoy.admin(path).encode()


@pytest.mark.last
def test_no_token_secret_or_name_of_the_whole_run_was_written(tmp_path_factory, discreet, issuer, envoy):
    answers(discreet, *ok(PERSON))
    discreet.allowed(discreet.get("/fhir/Patient/ann", issuer.patient()))
    search = hidden()
    assert len(search) > 10 and tokens.sent
    sources = dict(written(tmp_path_factory, envoy))
    assert "envoy.log" in sources
    found = {name: search.found_in(RANDOM.sub(b'""', data)) for name, data in sources.items()}
    assert not {name: texts for name, texts in found.items() if texts}


@pytest.mark.last
def test_the_search_of_the_whole_run_finds_what_is_there(discreet, issuer):
    token = issuer.patient()
    discreet.allowed(discreet.get("/fhir/Patient/ann", token))
    search = hidden()
    head, claims, signature = token.split(".")
    log = discreet.envoy.log.read_bytes()[-10_000:]
    assert search.found_in(log) == set()
    for planted in (token, head, claims, signature, f"x{signature}y", claims[7:60], signature[100:150], NAME,
                    NUMBER, *[one for one in tokens.secrets if len(one) >= 16]):
        assert search.found_in(log + planted.encode() + b"\n"), planted


@pytest.mark.last
def test_every_line_of_the_whole_run_is_as_its_schema_says(discreet, issuer):
    discreet.allowed(discreet.get("/fhir/Patient/ann", issuer.patient()))
    fits = {name: fastjsonschema.compile(json.loads((ROOT / "docs" / f"{name}.schema.json").read_text()))
            for name in ("audit", "audit-checkpoint")}
    records, checkpoints = discreet.envoy.audits(), discreet.envoy.checkpoints()
    assert records and checkpoints
    for line in records:
        fits["audit"](line)
    for line in checkpoints:
        fits["audit-checkpoint"](line)


@pytest.mark.last
def test_every_part_of_the_whole_run_follows_what_it_is_part_of(gateway, issuer):
    gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient()))
    whole = {line["id"]: line for line in gateway.envoy.audits()}
    for line in gateway.envoy.audits():
        if "part_of" in line:
            first = whole[line["part_of"]]
            assert line["id"].split("-")[0] == first["id"].split("-")[0]
            assert [line.get(name) for name in ("request_id", "decision", "reason", "time", "who")] == [
                first.get(name) for name in ("request_id", "decision", "reason", "time", "who")]
