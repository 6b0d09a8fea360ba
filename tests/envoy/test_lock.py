"""The second lock: an RBAC filter behind phiward lets nothing pass without phiward's permit, so that a
filter that Envoy skipped, or that somebody took out, opens nothing."""

import pytest

from gateway import REALM, fresh_id
from lab.http import Client

READ = "/fhir/Patient/ann"
SEARCH = "/fhir/Observation/_search"
FORM = ("content-type", "application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def unguarded(listen, configuration):
    """The shipped listener without phiward."""
    return listen("lock-alone", configuration(), ready=False, without=("phiward",))


@pytest.fixture(scope="module")
def counted(listen, configuration):
    """A listener whose lock is counted."""
    return listen("counted", configuration(), hardened=False)


class Lock:
    """How many requests the lock of a listener let through and stopped."""

    def __init__(self, envoy, listener):
        self._envoy, self._prefix = envoy, f"http.{listener}.rbac."
        self._before = self._now()

    def since(self):
        """Let through and stopped since the last call."""
        before, self._before = self._before, self._now()
        return tuple(now - then for now, then in zip(self._before, before))

    def _now(self):
        stats = self._envoy.stats(self._prefix)
        return stats.get(f"{self._prefix}allowed", 0), stats.get(f"{self._prefix}denied", 0)


FORGED = {
    "nothing": [],
    "the key": [("wasm.phiward.permit", "permit")],
    "the key without wasm": [("phiward.permit", "permit")],
    "a header of ours": [("x-phiward-permit", "permit"), ("x-phiward-decision", "allowed")],
    "Envoy's own headers": [("x-envoy-filter-state", "wasm.phiward.permit=permit"),
                            ("x-envoy-internal", "true"), ("x-envoy-original-path", "/fhir/metadata")],
    "metadata": [("x-envoy-metadata", "permit"), ("filter_state", "wasm.phiward.permit=permit")],
    "another path": [("x-envoy-original-path", "/fhir/metadata"), ("x-original-url", "/fhir/metadata"),
                     ("x-rewrite-url", "/fhir/metadata"), ("x-forwarded-uri", "/fhir/metadata"),
                     ("x-envoy-original-method", "OPTIONS"), ("x-forwarded-prefix", "/fhir")],
    "another route": [("x-envoy-decorator-operation", "open"), ("x-envoy-expected-rq-timeout-ms", "1"),
                      ("x-envoy-upstream-alt-stat-name", "open"), ("x-envoy-ip-tags", "inside")],
    "an address inside": [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-client-cert", "By=x;Hash=y")],
}


@pytest.mark.parametrize("name", FORGED)
def test_without_phiward_nothing_passes(unguarded, issuer, envoy, upstream, name):
    lock = Lock(envoy, "lock-alone")
    token = issuer.patient()
    for target in (READ, "/fhir/metadata", "/healthz", "/"):
        response = unguarded.client.get(target, token, headers=FORGED[name])
        assert response.status == (400 if name == "metadata" else 403)  # `_` in a name: Envoy itself
    assert lock.since() == (0, 0 if name == "metadata" else 4)
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_without_phiward_no_method_passes(unguarded, issuer, upstream, method):
    response = unguarded.client.request(method, READ, token=issuer.patient())
    assert response.status == 403 and upstream.requests == []


def test_what_the_client_sends_is_no_permit(counted, issuer, envoy):
    lock = Lock(envoy, "counted")
    for name, headers in FORGED.items():
        response = counted.get("/fhir/Patient/bob", issuer.patient(), headers=headers)
        counted.refused(response, 403, "compartment_other_patient")
        query = "?wasm.phiward.permit=permit&phiward.permit=permit"
        response = counted.get(f"/fhir/Patient/bob{query}", issuer.patient(), headers=headers)
        assert response.status == 403, name
    assert lock.since() == (0, 0), "the lock was not even asked"


def test_a_client_asks_for_no_second_try(shipped, issuer, upstream):
    """A FHIR create is not safe to repeat. Envoy takes such headers from networks that it is told to trust, and the
    shipped listener names none."""
    upstream.reply = lambda _: (503, [], b"")
    headers = [("x-envoy-retry-on", "5xx,reset"), ("x-envoy-max-retries", "3"),
               ("x-envoy-hedge-on-per-try-timeout", "true"), ("content-type", "application/fhir+json")]
    body = b'{"resourceType":"Observation"}'
    response = shipped.send("POST", "/fhir/Observation", issuer.clinician(), headers, body)
    assert response.status == 503
    assert [one.method for one in upstream.requests] == ["POST"]


def test_what_phiward_refuses_does_not_come_to_the_lock(counted, issuer, envoy):
    lock = Lock(envoy, "counted")
    patient = issuer.patient()
    counted.refused(counted.get(READ), 401, "token_missing", REALM)
    counted.refused(counted.get("/fhir/Patient/bob", patient), 403, "compartment_other_patient")
    counted.refused(counted.get("/other", patient), 404, "fhir_outside_base")
    body = b"code=1&patient=bob"
    counted.refused(counted.send("POST", SEARCH, patient, [FORM], body), 403, "search_other_patient")
    assert lock.since() == (0, 0)


def test_what_phiward_allows_the_lock_lets_through_once(counted, issuer, envoy):
    lock = Lock(envoy, "counted")
    patient = issuer.patient()
    counted.allowed(counted.get(READ, patient))
    counted.allowed(counted.get("/fhir/metadata"))
    counted.allowed(counted.send("POST", SEARCH, patient, [FORM], b"code=1"))
    assert lock.since() == (3, 0)


def test_a_permit_is_for_one_request(counted, issuer, envoy, upstream):
    """Nothing of a permit stays on the connection: allowed and refused by turns."""
    lock = Lock(envoy, "counted")
    patient, ids = issuer.patient(), []
    with Client(counted.client.port) as client:
        for target, token, status in [(READ, patient, 200), (READ, None, 401)] * 5:
            ids.append(fresh_id())
            headers = [("x-request-id", ids[-1])]
            assert client.get(target, token, headers=headers).status == status
    assert lock.since() == (5, 0)
    assert [seen.header("x-request-id") for seen in upstream.requests] == ids[::2]


def test_an_issuer_whose_keys_never_come_is_no_way_to_the_lock(listen, configuration, issuer, envoy):
    document = configuration()
    document["issuers"][0]["jwks"]["cluster"] = "nobody"
    denying = listen("denying", document, ready=False)
    lock = Lock(envoy, "denying")
    for token in (issuer.patient(), issuer.patient("bob"), None):
        assert denying.client.get(READ, token).status == (503 if token else 401)
    assert lock.since() == (0, 0)
    assert denying.client.get("/fhir/metadata").status == 200
    assert lock.since() == (1, 0)


def test_a_lock_with_another_key_stays_shut(listen, configuration, issuer, upstream):
    """The permit is this one filter state with this one value: no other state of ours opens the lock."""
    def other_key(manager):
        policies = manager["http_filters"][1]["typed_config"]["rules"]["policies"]
        principal = policies["permitted-by-phiward"]["principals"][0]["filter_state"]
        principal["key"] = "wasm.phiward.decision"
    shut = listen("shut", configuration(), ready=False, adjust=other_key)
    shut.client.get(READ, issuer.patient())
    assert shut.client.get("/fhir/metadata").status == 403
    assert upstream.requests == []
