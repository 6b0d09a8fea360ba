"""What a test does with the gateway: send a request, then prove what became of it everywhere: at the
client, at the FHIR server and in the audit record."""

import copy
import itertools
import json
import threading
import time
import uuid

import pytest

from lab import tokens
from lab.http import Client
from lab.servers import Jwks

BASE = "https://api.clinic.example/fhir"
ISSUER = "https://auth.clinic.example"

# How `WWW-Authenticate` starts.
REALM = 'Bearer realm="'
INVALID_REQUEST = 'Bearer error="invalid_request"'
INVALID_TOKEN = 'Bearer error="invalid_token"'


class Issuer:
    """An issuer whose keys are in our hands: a key set that Envoy fetches, and tokens made by hand."""

    def __init__(self, *keys, name=ISSUER, audience=BASE):
        self.keys, self.name, self.audience = keys, name, audience
        self.jwks = Jwks(*keys)

    def claims(self, **more):
        """Claims of a good token; `None` leaves one out."""
        return tokens.claims(self.name, self.audience, **more)

    def token(self, scope="", key=None, header=None, **more):
        """A good token but for what is given: scope, claims, header members, another key."""
        return (key or self.keys[0]).sign(self.claims(scope=scope, **more), **(header or {}))

    def patient(self, patient="ann", scope="patient/*.cruds", **more):
        """A token of a patient's app."""
        return self.token(scope, patient=patient, fhirUser=f"Patient/{patient}", **more)

    def clinician(self, scope="user/*.cruds", **more):
        """A token of a clinician's app."""
        return self.token(scope, fhirUser="Practitioner/dr-grey", **more)

    def backend(self, scope="system/*.cruds", **more):
        """A token of a backend service."""
        return self.token(scope, sub="lab-feed", client_id="lab-feed", **more)


class Gateway:
    """One listener of the Envoy under test."""

    def __init__(self, envoy, port, upstream):
        self.envoy, self.upstream = envoy, upstream
        self.client = Client(port)
        self._sent = {}

    def over(self, client):
        """The same listener over another client, for example one of `lab.http2`."""
        other = copy.copy(self)
        other.client = client
        return other

    def get(self, target, token=None, **options):
        return self.send("GET", target, token, **options)

    def get_everywhere(self, target, token=None, workers=2, **options):
        """Sends it over new connections, one after the other, until every worker answered; gives each
        answer before the next is asked for. Which worker it is, only its audit records tell: each
        instance of the filter numbers its own."""
        answered = set()
        for _ in range(200):
            with Client(self.client.port) as client:
                response = self.over(client).get(target, token, **options)
            answered.add(self._worker(response))
            yield response
            if len(answered) == workers:
                return
        raise AssertionError(f"only {len(answered)} of {workers} workers answered")

    def send(self, method, target, token=None, headers=(), body=b"", **options):
        """Sends a request under a fresh `x-request-id`; `options` are those of the client."""
        headers = [("x-request-id", fresh_id()), *headers]
        before = len(self.upstream.requests)
        response = self.client.request(method, target, headers, body, token, **options)
        self._sent[response.header("x-request-id")] = token, before
        return response

    def exchange(self, talk, token=None):
        """What `talk(client, request_id)` gives: a response to a request with this id."""
        before = len(self.upstream.requests)
        response = talk(self.client, fresh_id())
        self._sent[response.header("x-request-id")] = token, before
        return response

    def on_every_worker(self, target, token=None, workers=2, **options):
        """The first answer of each worker to what `get_everywhere` sends; nothing is done in between."""
        answers = {}
        for response in self.get_everywhere(target, token, workers, **options):
            answers.setdefault(self._worker(response), response)
        return list(answers.values())

    def allowed(self, response, audit=None, status=200, probes=()):
        """Proves that the request was let through once, after the lookup of the stored resources
        `probes` (`Type/id`, `Type?criteria`), and audited, and returns what the FHIR server got and the audit record.
        The token stays here."""
        assert response.status == status, _shown(response)
        request_id, token, _ = self._exchange(response)
        (got,) = self._forwarded(response, probes)
        assert got.header("x-request-id") == request_id
        assert got.header("authorization") is None
        record = self._record(request_id, token)
        assert record["decision"] == "allow", record
        assert audit is None or record["reason"] == audit, record
        return got, record

    def refused(self, response, status, code, challenge=None, audit=None, method="GET", probes=()):
        """Proves a refusal, and returns its audit record:

        `status`; `code` in the OperationOutcome; `WWW-Authenticate` starts with `challenge`, or is not
        there; `Cache-Control: no-store`; the audit record has the code `audit` (`code` unless given);
        the FHIR server received nothing but the lookup of the stored resources `probes`; the token is
        in none of it."""
        assert response.status == status, _shown(response)
        request_id, token, _ = self._exchange(response)
        assert self._forwarded(response, probes) == [], "the FHIR server received it"
        if challenge is None:
            assert response.header("www-authenticate") is None, _shown(response)
        else:
            assert (response.header("www-authenticate") or "").startswith(challenge), _shown(response)
        assert response.header("cache-control") == "no-store", _shown(response)
        if method != "HEAD":
            self._outcome(response, code, request_id, token)
        record = self._record(request_id, token)
        assert record["decision"] == ("deny" if status < 500 else "error"), record
        assert record["reason"] == (audit or code), record
        assert record["outcome"]["status"] == status, record
        return record

    def withheld(self, response, status, code, audit=None, probes=()):
        """Proves that the request was let through once and that a refusal took the place of the answer,
        and returns what the FHIR server got and the audit record. The audit record has the code `audit`
        (`code` unless given)."""
        assert response.status == status, _shown(response)
        request_id, token, _ = self._exchange(response)
        (got,) = self._forwarded(response, probes)
        assert got.header("x-request-id") == request_id
        assert got.header("authorization") is None
        assert response.header("cache-control") == "no-store", _shown(response)
        self._outcome(response, code, request_id, token)
        record = self._record(request_id, token)
        assert record["decision"] == ("deny" if status < 500 else "error"), record
        assert record["reason"] == (audit or code), record
        assert record["outcome"]["status"] == status, record
        return got, record

    def stopped_by_envoy(self, send, status):
        """Proves that Envoy itself answers what `send()` sends, before phiward or the FHIR server
        see it, and that this is audited all the same."""
        before, forwarded = len(self._never_seen()), len(self.upstream.requests)
        response = send()
        assert response.status == status, _shown(response)
        assert self.upstream.requests[forwarded:] == [], "the FHIR server received it"
        deadline = time.monotonic() + 5
        while len(records := self._never_seen()[before:]) < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [record["outcome"].get("status") for record in records] == [status]

    def _forwarded(self, response, probes):
        """What the FHIR server got of the client, after the lookups of these stored resources in this
        order, which carry nothing of the client's."""
        _, _, before = self._exchange(response)
        seen = self.upstream.requests[before:]
        lookups, forwarded = seen[:len(probes)], seen[len(probes):]
        assert [(one.method, one.target) for one in lookups] == [
            ("GET", f"/fhir/{probe}") for probe in probes], seen
        for one in lookups:
            names = {name for name, _ in one.headers if not name.startswith("x-envoy-")}
            assert names == {"host", "accept"} | ({"prefer"} if "?" in one.target else set()), one
            assert one.header("prefer") in (None, "handling=strict"), one
            assert (one.header("accept"), one.body) == ("application/fhir+json", b""), one
        return forwarded

    def _worker(self, response):
        return self.envoy.audit(response.header("x-request-id"))["id"].partition("-")[0]

    def _never_seen(self):
        return [one for one in self.envoy.audits() if one["reason"] == "request_never_seen"]

    def _exchange(self, response):
        request_id = response.header("x-request-id")
        assert request_id in self._sent, "not an answer to a request of this gateway"
        return request_id, *self._sent[request_id]

    def _outcome(self, response, code, request_id, token):
        assert response.header("content-type") == "application/fhir+json", _shown(response)
        outcome = response.json()
        assert outcome["resourceType"] == "OperationOutcome", _shown(response)
        assert [issue["severity"] for issue in outcome["issue"]] == ["error"], _shown(response)
        assert response.reason == code, _shown(response)
        assert request_id in outcome["issue"][0]["diagnostics"], _shown(response)
        assert not token or token not in response.body.decode(), "the answer holds the token"

    def _record(self, request_id, token):
        record = self.envoy.audit(request_id)
        assert not token or token not in json.dumps(record), "the audit record holds the token"
        return record


def cases(**codes):
    """Parameter sets for pytest, `(value, code)` of each `code=[value, …]`."""
    return [pytest.param(value, code, id=f"{code}: {_short(value)}")
            for code, values in codes.items() for value in values]


def _short(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 60 else f"{text[:40]}… ({len(text)})"


def narrowed(got, form):
    """Proves that the search that reached the FHIR server is the client's, and confined to the patient
    in its query and in its form: some servers read only one of them."""
    assert got.target.endswith("?patient=Patient%2Fann"), got.target
    assert got.body == form + b"&patient=Patient%2Fann", got.body
    assert got.header("content-length") == str(len(got.body))
    assert got.header("transfer-encoding") is None
    assert got.header("prefer") == "handling=strict"


class Clients:
    """Threads that call `knock` again and again, as long as the block lasts."""

    def __init__(self, count):
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self):
        while not self._over.is_set():
            self.knock()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


def fresh_id():
    """A request id that nothing else has."""
    return f"test-{next(_numbers)}-{uuid.uuid4()}"


def _shown(response):
    return f"{response.status} {response.headers} {response.body[:600]!r}"


_numbers = itertools.count(1)
