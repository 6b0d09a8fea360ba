"""The ways in which Envoy lets a request, or an answer, go on without asking the filter about it. Each is brought
about in an Envoy of its own, and the lock behind phiward or what phiward knows by itself refuses: the FHIR server
receives nothing, or the client gets nothing of the answer. `SECURITY.md` lists them all."""

import json
import os
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import crippled
from gateway import REALM, Gateway
from hostile import FHIR_JSON, FOREIGN, MARK, OWN, answers, bundle, chunked, ok, shows
from lab.http import Client, NoResponse
from lab.processes import LabError
from lab.servers import Upstream
from test_export_files import WithTrailers
from test_revocation import until

READ, OTHER, SEARCH = "/fhir/Patient/ann", "/fhir/Patient/ben", "/fhir/Observation/_search"
BY_ID = "/fhir/Observation/ann-1"
FORM = ("content-type", "application/x-www-form-urlencoded")
MANY = [(f"x-{number}", "1") for number in range(crippled.FIELDS)]
WAIT = 20  # seconds for what comes at once on a machine that has nothing else to do


class Own:
    """An Envoy of its own with one worker, which every request comes to."""

    def __init__(self, folder, wasm, upstream, issuer, revocations, configuration):
        self.folder, self.wasm = folder, wasm
        self.upstream, self.issuer, self.configuration = upstream, issuer, configuration
        self.mirror, self.raw = Upstream(), RawServer()
        self.envoy = WithTrailers(folder, {
            "fhir": upstream.port, "auth": issuer.jwks.port, "revocations": revocations.port,
            "mirror": self.mirror.port, "raw": self.raw.port}, workers=1, more=("--drain-time-s", "1"))
        self.broken = crippled.broken(wasm, folder)
        # Envoy compiles each of the two filters once, as long as somebody has it.
        self.listen("right")
        self.listen("broken", wasm=self.broken, vm_id="broken")
        self.kept = self.envoy.listeners()

    def listen(self, name, document=None, ready=True, **changes):
        """A listener; unless it is never to be, it is waited for until it lets through what it should."""
        port = self.envoy.listen(name, document or self.configuration(), **changes)
        gate = Gateway(self.envoy, port, self.upstream)
        if ready:
            until(lambda: self.asked(gate, READ).status == 200, WAIT)
            self.upstream.clear()
        return gate

    def asked(self, gate, target, method="GET", token="", headers=(), body=b""):
        """The answer on a connection of its own; status 0: the connection ended without one. The token is a
        patient's unless it is given."""
        token = self.issuer.patient() if token == "" else token
        with Client(gate.client.port) as client:
            try:
                return client.request(method, target, headers, body, token)
            except NoResponse as lost:
                assert MARK not in str(lost)
                return Lost

    def failing(self, name, failure, document=None, ready=False, **changes):
        """A listener with a filter that fails to start."""
        return self.listen(name, document, ready, wasm=self.broken, vm_id=name, adjust=fails(failure), **changes)

    def shut(self, gate, status=403):
        """Proves that nothing passes."""
        self.upstream.clear()
        for token in (self.issuer.patient(), self.issuer.clinician(), None):
            for method, target in (("GET", READ), ("GET", "/fhir/metadata"), ("GET", "/other"), ("DELETE", READ)):
                assert self.asked(gate, target, method, token).status == status
            response = self.asked(gate, SEARCH, "POST", token, [FORM], b"code=1")
            assert response.status == status
        assert self.upstream.requests == []

    def judges(self, gate):
        """Proves that phiward decides there."""
        self.upstream.clear()
        until(lambda: self.asked(gate, READ).status == 200, WAIT)
        self.upstream.clear()
        gate.refused(gate.get(READ), 401, "token_missing", REALM)
        gate.refused(gate.get(OTHER, self.issuer.patient()), 403, "compartment_other_patient")

    def taken_up(self):
        """How often the latest revocation list was taken up: by each of up to eight instances once, unless somebody
        overwrites what one of them publishes."""
        log = self.envoy.log.read_text(errors="replace")
        versions = Counter(map(int, re.findall(r"revocation list, version `(\d+)`", log)))
        return versions[max(versions)]

    def access_log(self, request_id):
        """The line of a request."""
        lines = self.envoy.log.read_text(errors="replace").splitlines()
        return next((line for line in lines if line.endswith(f" {request_id}")), None)

    def stop(self):
        for server in self.envoy, self.mirror, self.raw:
            server.stop()


class Lost:
    """No answer came."""

    status, headers, body = 0, [], b""


class RawServer:
    """Sends these bytes to whoever connects and asks for something."""

    def __init__(self):
        self.bytes = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.bytes)

    def stop(self):
        self._listening.close()


@pytest.fixture(scope="module")
def own(wasm, upstream, issuer, revocations, configuration, tmp_path_factory):
    made = Own(tmp_path_factory.mktemp("unchecked"), wasm, upstream, issuer, revocations, configuration)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def no_listener_left(own):
    yield
    own.upstream.clear()
    for name in own.envoy.listeners():
        if name not in own.kept:
            own.envoy.unlisten(name)


def plugin(manager):
    return manager["http_filters"][0]["typed_config"]["config"]


def text(value):
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def fails(failure):
    def adjust(manager):
        plugin(manager)["vm_config"]["configuration"] = text("x" * crippled.FAILURES[failure])
    return adjust


def routes(*wanted):
    def adjust(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"] = list(wanted)
    return adjust


def route(path="/", cluster="fhir", **more):
    return {"match": {"prefix": path}, "route": {"cluster": cluster, "timeout": "30s", **more}}


# The filter fails on a worker, and Envoy goes on without it.

@pytest.mark.parametrize("failure", ["configure, false", "configure, trap", "start, false"])
def test_a_filter_that_fails_to_start_on_a_worker_leaves_every_request_to_the_lock(own, failure):
    """And its VM is spoiled for later configurations, which Envoy refuses: the lock stays shut until the filter is
    loaded anew."""
    before = own.envoy.skipped_filters()
    gate = own.failing(failure, failure)
    assert own.envoy.skipped_filters() > before, "the filter is there"
    own.shut(gate)
    with pytest.raises(LabError, match="Wasm"):
        own.failing(failure, failure, {**own.configuration(), "mode": "observe"})
    own.shut(gate)
    own.judges(own.listen(failure))


def test_without_the_lock_such_a_filter_lets_everything_through(own):
    """That it is the lock which holds."""
    gate = own.failing("open", "configure, false", without=("phiward-lock",))
    assert own.asked(gate, OTHER, token=None).status == 200
    assert [one.target for one in own.upstream.requests] == [OTHER]


def test_a_new_configuration_that_fails_on_a_worker_leaves_every_request_to_the_lock(own):
    """Three instances take the first configuration, a trial run the second, and no worker."""
    own.judges(own.failing("later", "configure anew, false"))
    before = own.envoy.skipped_filters()
    document = own.configuration()
    document["smart"] = {"search_without_patient": "refuse"}
    gate = own.failing("later", "configure anew, false", document)
    assert own.envoy.skipped_filters() > before
    own.shut(gate)


# The filter comes later than its listener (ECDS), as Istio brings it.

class Discovered:
    """phiward by extension configuration discovery, from a file."""

    def __init__(self, own, name, default=None):
        self._own, self._name, self._default, self._version = own, name, default, 0
        self._file = own.folder / f"{name}.json"

    def adjust(self, manager):
        """Moves the filter into the file."""
        self._filter = manager["http_filters"][0]["typed_config"]
        self.publish()
        types = ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"]
        discovery = {"config_source": {"path_config_source": {"path": str(self._file)}, "resource_api_version": "V3"},
                     "type_urls": types}
        if self._default:
            types.append(self._default["@type"])
            discovery["default_config"] = self._default
        manager["http_filters"][0] = {"name": self._name, "config_discovery": discovery}

    def publish(self, document=None, **vm):
        """Puts it there, or a changed one: another configuration, or members of `vm_config`."""
        config = self._filter["config"]
        if document is not None:
            config["configuration"]["value"] = document
        config["vm_config"].update(vm)
        self._version += 1
        resource = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                    "name": self._name, "typed_config": self._filter}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({"version_info": str(self._version), "resources": [resource]}))
        os.replace(fresh, self._file)

    def outcomes(self):
        """How many configurations Envoy took from the file, and how many it refused."""
        prefix = f"extension_config_discovery.http_filter.{self._name}."
        stats = self._own.envoy.stats(prefix)
        return stats.get(f"{prefix}config_reload", 0), stats.get(f"{prefix}config_fail", 0)


DENY = {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "DENY", "policies": {"all": {
            "permissions": [{"any": True}], "principals": [{"any": True}]}}}}


@pytest.mark.parametrize("default, status", [(None, 500), (DENY, 403)], ids=["no default", "a default that denies"])
def test_a_filter_that_is_discovered_and_refused_lets_nothing_through(own, default, status):
    discovered = Discovered(own, f"first-{status}", default)
    gate = own.listen("discovered", {**own.configuration(), "mode": "off"}, ready=False, adjust=discovered.adjust)
    until(lambda: discovered.outcomes()[1] > 0, WAIT)
    own.shut(gate, status)


def test_a_filter_that_is_discovered_stays_when_the_next_one_is_refused(own):
    discovered = Discovered(own, "next")
    gate = own.listen("discovered", adjust=discovered.adjust)
    own.judges(gate)
    discovered.publish({**own.configuration(), "mode": "off"})
    until(lambda: discovered.outcomes()[1] == 1, WAIT)
    own.judges(gate)
    # And when it fails on the workers only, the lock is left.
    taken = discovered.outcomes()[0]
    discovered.publish(own.configuration(), vm_id="discovered", configuration=text("x"),
                       code={"local": {"filename": str(own.broken)}})
    until(lambda: discovered.outcomes()[0] > taken, WAIT)
    own.shut(gate)


# The filter traps.

def policy(name, **more):
    def adjust(manager):
        plugin(manager)["failure_policy"] = name
        manager.update(more)
    return adjust


@pytest.mark.parametrize("named", ["FAIL_OPEN", "FAIL_CLOSED", "FAIL_RELOAD"])
def test_a_trap_opens_nothing_whatever_the_policy(own, named):
    """Neither for the request that traps, nor for one that waits for its answer, nor for later ones: where Envoy then
    goes around the filter, the lock refuses."""
    gate = own.listen(named, wasm=own.broken, vm_id=named, adjust=policy(named))
    arrived, may_go_on = threading.Event(), threading.Event()

    def reply(_):
        arrived.set()
        may_go_on.wait(WAIT)
        return ok(FOREIGN)

    own.upstream.reply = reply
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(own.asked, gate, BY_ID)
        assert arrived.wait(WAIT)
        trapped = own.asked(gate, READ, token=None, headers=MANY)
        may_go_on.set()
        answer = waiting.result()
    assert trapped.status == 503
    assert answer.status in (0, 503) and not shows(answer, MARK)
    assert [one.target for one in own.upstream.requests] == [BY_ID]
    # What was on its way has no record, for its filter is gone: only Envoy's access log has it.
    (request,) = own.upstream.requests
    until(lambda: own.access_log(request.header("x-request-id")), WAIT)
    assert " allowed " in own.access_log(request.header("x-request-id"))
    assert request.header("x-request-id") not in {one.get("request_id") for one in own.envoy.audits()}
    if named == "FAIL_RELOAD":
        own.judges(gate)
    else:
        own.shut(gate, 403 if named == "FAIL_OPEN" else 503)


def test_a_trap_on_the_way_back_lets_nothing_of_the_answer_through(own):
    gate = own.listen("traps", wasm=own.broken, vm_id="traps")
    long = {**FOREIGN, "note": [{"text": "x" * crippled.BYTES}]}
    for answer in (ok(FOREIGN, *MANY), ok(long)):
        answers(gate, *answer)
        response = own.asked(gate, BY_ID)
        assert response.status in (0, 503) and not shows(response, MARK), response
        own.judges(gate)


def test_a_trap_during_a_lookup_writes_nothing(own):
    """The request then waits until its stream ends by a timeout."""
    adjust = policy("FAIL_RELOAD", stream_idle_timeout="1s")
    gate = own.listen("lookups", wasm=own.broken, vm_id="lookups", adjust=adjust)
    answers(gate, *ok(OWN, *MANY))
    response = own.asked(gate, BY_ID, "PUT", headers=[FHIR_JSON], body=json.dumps(OWN).encode())
    assert response.status in (0, 408, 503, 504)
    assert [one.method for one in own.upstream.requests] == ["GET"], "the lookup, and not the write"


# Configured so that the filter is not asked, or not about everything.

FILTER_OFF = {"phiward": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}}


def off_on_a_route(manager):
    routes({**route(), "typed_per_filter_config": FILTER_OFF})(manager)


def off_on_the_host(manager):
    manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = FILTER_OFF


def off_everywhere(manager):
    manager["http_filters"][0]["disabled"] = True


@pytest.mark.parametrize("adjust", [off_on_a_route, off_on_the_host, off_everywhere])
def test_where_phiward_is_turned_off_the_lock_stays_shut(own, adjust):
    own.shut(own.listen("off", ready=False, adjust=adjust))


def test_a_client_that_picks_a_route_without_phiward_comes_to_the_lock(own):
    picked = {**route(), "typed_per_filter_config": FILTER_OFF}
    picked["match"]["headers"] = [{"name": "x-route", "present_match": True}]
    gate = own.listen("picked", adjust=routes(picked, route()))
    own.judges(gate)
    for token in (None, own.issuer.patient()):
        assert own.asked(gate, READ, token=token, headers=[("x-route", "1")]).status == 403
    assert own.upstream.requests == []


def test_where_bodies_are_not_held_nothing_passes_that_needs_one(own):
    """Envoy without `allow_on_headers_stop_iteration` never hands over a body that is waited for."""
    def adjust(manager):
        del plugin(manager)["allow_on_headers_stop_iteration"]
        manager["stream_idle_timeout"] = "1s"
    gate = own.listen("held", ready=False, adjust=adjust)
    until(lambda: own.asked(gate, "/fhir/Observation", token=own.issuer.clinician()).status == 200, WAIT)
    own.upstream.clear()
    answers(gate, *ok(FOREIGN))
    response = own.asked(gate, BY_ID)
    assert response.status in (0, 408, 503, 504) and not shows(response, MARK), response
    own.upstream.clear()
    for form in (b"code=1", b"patient=ben"):
        assert own.asked(gate, SEARCH, "POST", headers=[FORM], body=form).status in (0, 408, 503, 504)
    assert own.upstream.requests == []


def restricted(own, name, vm=None):
    """phiward with everything that it calls and is called by but for this one, in a VM of its own."""
    imports, exports = crippled.abi(own.wasm)

    def adjust(manager):
        if name not in WITHOUT:  # What waits for an answer that never comes.
            manager["stream_idle_timeout"] = "1s"
        config = plugin(manager)
        config["capability_restriction_config"] = {"allowed_capabilities": {
            one: {} for one in (*imports, *exports) if one != name}}
        config["vm_config"]["configuration"] = text(vm or name)
    return own.listen(name, ready=False, adjust=adjust)


def escapes(own, gate):
    """What passes that should not."""
    forged = own.issuer.patient()[:-8] + "AAAAAAAA"
    answers(gate, *ok(FOREIGN))
    found = []
    for title, target, token in (
            ("no token", READ, None), ("a forged one", READ, forged), ("another patient", OTHER, "")):
        own.upstream.requests.clear()
        own.asked(gate, target, token=token)
        found += [title] * len(own.upstream.requests)
    own.upstream.requests.clear()
    own.asked(gate, SEARCH, "POST", headers=[FORM], body=b"patient=ben")
    found += ["a form about another"] * len(own.upstream.requests)
    own.asked(gate, BY_ID, "DELETE")
    found += ["a write"] * len([one for one in own.upstream.requests if one.method == "DELETE"])
    found += ["a resource"] * shows(own.asked(gate, BY_ID), MARK)
    answers(gate, *ok(bundle({"resource": FOREIGN})))
    found += ["a search"] * shows(own.asked(gate, "/fhir/Observation?code=1"), MARK)
    answers(gate, *chunked(FOREIGN, b"x-done: yes\r\n"))
    found += ["a resource with trailers"] * shows(own.asked(gate, BY_ID), MARK)
    return found


# What passes although phiward refuses it, by what a restriction takes away. Nothing else may.
WITHOUT = {
    "proxy_on_response_body": ["a resource", "a search"],
    "proxy_on_response_trailers": ["a resource with trailers"],
}


@pytest.mark.parametrize("name", [
    "proxy_on_vm_start", "proxy_on_configure", "proxy_on_context_create", "proxy_on_tick",
    "proxy_on_request_headers", "proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_http_call_response",
    "proxy_on_response_headers", "proxy_on_response_body", "proxy_on_response_trailers", "proxy_on_log",
    "proxy_get_header_map_pairs", "proxy_get_buffer_bytes", "proxy_get_property", "proxy_get_shared_data",
    "proxy_get_current_time_nanoseconds", "proxy_call_foreign_function", "proxy_http_call", "proxy_set_shared_data",
    "proxy_set_property", "proxy_set_buffer_bytes", "proxy_remove_header_map_value", "proxy_replace_header_map_value",
    "proxy_set_tick_period_milliseconds", "proxy_send_local_response", "proxy_continue_stream", "proxy_log",
    "random_get"])
def test_what_a_restriction_takes_away_opens_nothing_but_what_is_told(own, name):
    """A list of capabilities that leaves out a callback for answers' bodies lets answers pass: SECURITY.md says so.
    The keys and lists are there already, from the VM that has everything."""
    try:
        gate = restricted(own, name)
    except LabError:
        return  # Envoy does not take it
    assert escapes(own, gate) == WITHOUT.get(name, []), name


def test_a_restriction_takes_nothing_from_another_listener(own):
    """Although the rest of what makes a VM is the same: `vm_id`, code and configuration of the VM."""
    taken_away = "proxy_on_response_body"

    def same(manager):
        plugin(manager)["vm_config"]["configuration"] = text("same")
    assert escapes(own, restricted(own, taken_away, "same")) == WITHOUT[taken_away]
    gate = own.listen("another", ready=False, adjust=same)
    assert escapes(own, gate) == []
    own.judges(gate)


# What becomes of a request behind phiward.

def test_an_internal_redirect_is_judged_anew(own):
    """Its permit does not go with it: phiward judges the place that the server names, by the token if it is still
    there, and where phiward is turned off the lock refuses."""
    redirect = {"internal_redirect_policy": {"max_internal_redirects": 3}}
    off = {**route(OTHER), "typed_per_filter_config": FILTER_OFF}

    def redirected(gate):
        place = f"http://127.0.0.1:{gate.client.port}{OTHER}"
        elsewhere = (302, [("location", place)], b"")
        own.upstream.reply = lambda request: elsewhere if request.target == READ else ok(FOREIGN)
        response = own.asked(gate, READ)
        assert [one.target for one in own.upstream.requests] == [READ]
        own.upstream.clear()
        return response.status

    gate = own.listen("redirects", adjust=routes(route(**redirect)))
    assert redirected(gate) == 401, "the token stays at the gateway"
    keeping = {**own.configuration(), "forward": {"token": "keep"}}
    gate = own.listen("redirects", keeping, adjust=routes(route(**redirect)))
    assert redirected(gate) == 403
    for document in (None, keeping):
        gate = own.listen("redirects", document, adjust=routes(off, route(**redirect)))
        assert redirected(gate) == 403


def test_a_mirror_gets_what_was_permitted_and_nothing_else(own):
    gate = own.listen("mirrored", adjust=routes(route(request_mirror_policies=[{"cluster": "mirror"}])))
    own.mirror.clear()
    own.judges(gate)
    patient = own.issuer.patient()
    gate.refused(gate.send("POST", SEARCH, patient, [FORM], b"patient=ben"), 403, "search_other_patient")
    gate.allowed(gate.get("/fhir/Observation?code=last", patient))
    last = "/fhir/Observation?code=last&patient=Patient%2Fann"
    until(lambda: last in [one.target for one in own.mirror.requests], WAIT)
    assert {one.target for one in own.mirror.requests} == {READ, last}
    assert {one.header("authorization") for one in own.mirror.requests} == {None}


def test_of_repeated_requests_each_is_the_permitted_one_and_the_answer_is_judged(own):
    """By a retry after an error, and by hedging while the first answer is awaited."""
    gate = own.listen("repeating", adjust=routes(
        route(retry_policy={"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "1s"},
              hedge_policy={"hedge_on_per_try_timeout": True})))
    own.judges(gate)
    second = threading.Event()

    def fails_first(_):
        return ok(FOREIGN) if len(own.upstream.requests) > 1 else (503, [], b"")

    def is_slow_first(_):
        if len(own.upstream.requests) == 1:
            second.wait(WAIT)
        second.set()
        return ok(FOREIGN)

    for reply in (fails_first, is_slow_first):
        own.upstream.clear()
        own.upstream.reply = reply
        response = own.asked(gate, BY_ID)
        assert (response.status, response.reason) == (403, "compartment_not_member")
        assert len(own.upstream.requests) >= 2 and not shows(response, MARK)
        assert {(one.target, one.header("authorization")) for one in own.upstream.requests} == {(BY_ID, None)}
    own.upstream.clear()
    own.upstream.reply = fails_first
    assert own.asked(gate, OTHER).status == 403 and own.upstream.requests == []


def test_what_envoy_answers_in_the_servers_place_is_judged_as_its_answer(own):
    """A route that answers by itself, with what a cache or another filter could have."""
    direct = {"match": {"prefix": BY_ID}, "direct_response": {
        "status": 200, "body": {"inline_string": json.dumps(FOREIGN)}},
        "response_headers_to_add": [{"header": {"key": FHIR_JSON[0], "value": FHIR_JSON[1]},
                                     "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
    gate = own.listen("direct", adjust=routes(direct, route()))
    response = own.asked(gate, BY_ID)
    assert response.status in (403, 406) and not shows(response, MARK), response


@pytest.mark.parametrize("proxied", [False, True], ids=["as shipped", "with proxy_100_continue"])
def test_interim_answers_show_nothing_unless_envoy_is_told_to_pass_them_on(own, proxied):
    """103 (Early Hints) comes before what phiward is asked about. SECURITY.md says what to leave out."""
    body = json.dumps(FOREIGN).encode()
    own.raw.bytes = (
        f"HTTP/1.1 103 Early Hints\r\nlink: </{MARK}>\r\n\r\n"
        f"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n").encode() + body

    def adjust(manager):
        manager["proxy_100_continue"] = proxied
        routes(route(BY_ID, "raw"), route())(manager)
    gate = own.listen("interim", adjust=adjust)
    with socket.create_connection(("127.0.0.1", gate.client.port), WAIT) as connection:
        connection.sendall(f"GET {BY_ID} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
                           f"authorization: Bearer {own.issuer.patient()}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.count(MARK.encode()) == proxied, answer
    assert b"compartment_not_member" in answer and b"resourceType\":\"Observation" not in answer, answer


# Upgrades and tunnels.

UPGRADE = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
           ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")]
H2C = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")]


def test_no_tunnel_is_opened_to_who_may_not_ask(own):
    """Where the listener allows WebSocket and CONNECT, which `envoy/envoy.yaml` does not."""
    def adjust(manager):
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
        tunnel = {"cluster": "fhir", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        routes({"match": {"connect_matcher": {}}, "route": tunnel}, route())(manager)
    gate = own.listen("tunnels", adjust=adjust)
    own.judges(gate)
    own.upstream.clear()
    for headers in (UPGRADE, H2C):
        for target, token in ((READ, None), (OTHER, own.issuer.patient())):
            assert own.asked(gate, target, token=token, headers=headers).status in (400, 401, 403)
    for token in (None, own.issuer.patient(), own.issuer.clinician()):
        for target in ("fhir.internal:80", f"127.0.0.1:{own.upstream.port}"):
            response = own.asked(gate, target, "CONNECT", token, [("host", target)])
            assert response.status in (0, 400, 403, 404, 405), response
    assert own.upstream.requests == []


def test_the_shipped_listener_takes_no_upgrade(own):
    gate = own.listen("plain")
    for token in (None, own.issuer.clinician()):
        for target in (READ, "/fhir/metadata"):
            assert own.asked(gate, target, token=token, headers=UPGRADE).status in (400, 401, 403)
    assert own.upstream.requests == []


def test_upgrades_with_filters_of_their_own_come_to_the_lock(own):
    def adjust(manager):
        manager["upgrade_configs"] = [{"upgrade_type": "websocket", "filters": manager["http_filters"][1:]}]
    gate = own.listen("upgrades", adjust=adjust)
    for token in (None, own.issuer.patient(), own.issuer.clinician()):
        assert own.asked(gate, READ, token=token, headers=UPGRADE).status == 403
    assert own.upstream.requests == []


# Other filters and plugins.

def test_a_path_that_a_filter_in_front_rewrote_is_the_one_that_is_judged(own):
    script = f"""function envoy_on_request(handle)
      handle:headers():replace(":path", "{OTHER}")
      handle:clearRouteCache()
    end"""

    def adjust(manager):
        manager["http_filters"].insert(0, {"name": "rewrite", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script}}})
    gate = own.listen("rewritten", ready=False, adjust=adjust)
    until(lambda: own.asked(gate, READ, token=own.issuer.patient("ben")).status == 200, WAIT)
    assert {one.target for one in own.upstream.requests} == {OTHER}
    own.upstream.clear()
    response = own.asked(gate, READ)
    assert (response.status, response.reason) == (403, "compartment_other_patient")
    assert own.upstream.requests == []


def meddler(own, vm_id, key):
    """A plugin in front of phiward that sets the permit, and writes garbage in the shared data of a `vm_id`."""
    made = crippled.meddling(own.folder)

    def adjust(manager):
        manager["http_filters"].insert(0, {"name": "meddler", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "meddler", "configuration": text(key),
                "vm_config": {"vm_id": vm_id, "runtime": "envoy.wasm.runtime.v8",
                              "code": {"local": {"filename": str(made)}}}}}})
    return adjust


def list_key(own):
    configured = own.configuration()["revocation"]
    return crippled.shared_key("head", "revocation", configured["cluster"], configured["url"])


def test_a_permit_that_another_plugin_sets_is_no_permit_of_phiwards(own):
    """What phiward refuses it answers itself: the lock is not asked."""
    own.judges(own.listen("permitting", adjust=meddler(own, "another", "x")))
    own.upstream.clear()


@pytest.mark.parametrize("shared", [False, True], ids=["another vm_id", "the same vm_id"])
def test_garbage_in_shared_data_lets_nobody_in(own, revocations, shared):
    """What it overwrites is fetched and published again. A plugin of another `vm_id` can't even write it."""
    revoked = own.issuer.patient(jti="revoked-for-good")
    revocations.revoke(jti="revoked-for-good")
    try:
        gate = own.listen("quiet")
        until(lambda: own.asked(gate, READ, token=revoked).status == 401, WAIT)
        own.upstream.clear()
        vm_id = "phiward" if shared else "another"
        gate = own.listen("meddled", ready=False, adjust=meddler(own, vm_id, list_key(own)))
        good, ends = set(), time.monotonic() + 2
        while time.monotonic() < ends or shared and own.taken_up() < 10:
            good.add(own.asked(gate, READ).status)
            assert time.monotonic() < ends + 3 * WAIT, "it changed nothing"
        assert good <= ({200, 503} if shared else {200})
        assert shared or own.taken_up() < 10
        own.upstream.clear()
        assert {own.asked(gate, READ, token=revoked).status for _ in range(50)} <= {401, 503}
        assert own.upstream.requests == []
    finally:
        revocations.set()
