"""How often a request crosses from the VM to Envoy: each call costs, so one more has to be meant. Counted in
Envoy's own trace of what a filter calls."""

import re
import time
from collections import Counter, defaultdict

import pytest

from lab import envoy as lab_envoy
from lab.http import Client
from lab.servers import Collector

SEARCH = "/fhir/Observation?code=8867-4"
# The address and the TLS version of the client. The clock when the request comes and when it is over.
ALWAYS = {"proxy_get_header_map_pairs": 1, "proxy_get_current_time_nanoseconds": 2, "proxy_set_shared_data": 1,
          "proxy_get_property": 2}
REFUSED = {**ALWAYS, "proxy_set_property": 1, "proxy_send_local_response": 1}
# The token is removed; the permit and the decision are set.
GOES_ON = {**ALWAYS, "proxy_remove_header_map_value": 1, "proxy_set_property": 2}
# Of an answer that is not judged the status is read alone.
UNREAD = {**GOES_ON, "proxy_get_header_map_value": 1}
HELD = {**GOES_ON, "proxy_get_header_map_pairs": 2, "proxy_get_buffer_bytes": 1}
EXPECTED = {
    "a search by a backend": UNREAD,
    "a patient's search, narrowed": {**HELD, "proxy_replace_header_map_value": 3},
    "a patient's read, held": {**HELD, "proxy_replace_header_map_value": 1},
    "another patient's search, refused": REFUSED,
    "garbage, refused": REFUSED,
    "the capability statement": {**ALWAYS, "proxy_set_property": 2, "proxy_get_header_map_value": 1},
}


@pytest.fixture(scope="module")
def traced(wasm, upstream, issuer, revocations, configuration, tmp_path_factory):
    """An Envoy with one worker that writes every call down, with records in batches; and a client."""
    with Collector() as collector:
        clusters = {"fhir": upstream.port, "auth": issuer.jwks.port, "revocations": revocations.port,
                    "collector": collector.port}
        document = configuration()
        document["audit"] = {"sinks": ["collector"],
                             "collector": {"cluster": "collector", "url": f"{collector.url}/"}}
        with lab_envoy.Envoy(tmp_path_factory.mktemp("traced"), clusters, workers=1,
                             wasm_log="trace") as envoy, Client(envoy.listen("traced", document)) as client:
            deadline = time.monotonic() + 30
            while client.get("/fhir/Patient/ann", issuer.patient()).status != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield envoy, client


@pytest.fixture(scope="module")
def requests(issuer):
    """Target, token and status by name."""
    backend, patient = issuer.backend(), issuer.patient()
    return {
        "a search by a backend": (SEARCH, backend, 200),
        "a patient's search, narrowed": (SEARCH, patient, 200),
        "a patient's read, held": ("/fhir/Observation/ann-1", patient, 200),
        "another patient's search, refused": (f"{SEARCH}&patient=bob", patient, 403),
        "garbage, refused": (SEARCH, "garbage", 401),
        "the capability statement": ("/fhir/metadata", None, 200),
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_a_request_makes_these_calls_and_no_more(traced, requests, name):
    target, token, status = requests[name]
    envoy, client = traced
    client.get(target, token)  # so that its token is cached
    seen = []
    for _ in range(5):  # one of them may be the one by which something else became due
        start = envoy.log.stat().st_size
        assert client.get(target, token).status == status
        seen.append(calls(envoy.log, start))
    usual, times = Counter(tuple(sorted(one.items())) for one in seen).most_common(1)[0]
    assert times > 2, seen
    assert dict(usual) == EXPECTED[name]


def calls(log, start, seconds=10):
    """The calls of the first request after so many bytes of the log, by name, once it is over."""
    deadline = time.monotonic() + seconds
    while not (found := _calls(log, start)):
        assert time.monotonic() < deadline, "no whole request in the trace"
        time.sleep(0.02)
    return found


def _calls(log, start):
    """`None` as long as the request is not over."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    found = [line.groups() for line in map(_LINE.search, lines) if line]
    context = next((of for _, way, name, of in found if name == "proxy_on_request_headers"), None)
    stacks, count = defaultdict(list), Counter()
    for thread, way, name, of in found:
        stack = stacks[thread]
        if way == "host->vm":
            stack.append((name, of))
        elif way == "host<-vm" and stack:
            if stack.pop() == ("proxy_on_delete", context):
                return dict(count)
        elif way == "vm->host" and stack and stack[-1] in ((callback, context) for callback in _CALLBACKS):
            count[name.removeprefix("env.")] += 1
    return None


# A line of the trace: thread, direction, function, first argument, which is the context of a callback.
_LINE = re.compile(r"\[(\d+)\]\[trace\].*\[(host->vm|host<-vm|vm->host)\] ([\w.]+)(?:\((\d*))?")
_CALLBACKS = {f"proxy_on_{name}" for name in (
    "context_create", "request_headers", "request_body", "response_headers", "response_body", "done", "log",
    "delete")}
