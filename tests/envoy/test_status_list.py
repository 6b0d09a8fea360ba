"""Token Status Lists: the issuer says in a list of its own, a few bits for each token, which are good."""

import threading
import time
import zlib

import pytest

from gateway import ISSUER
from lab.http import Client, NoResponse
from lab.servers import Server
from lab.tokens import Key, b64

EVERY = 1.0
STALE = 4.0
INVALID = 'Bearer error="invalid_token"'
TARGET = "/fhir/Patient/ann"


class StatusLists(Server):
    """Serves lists by their path: `lists[path]` is the body, or a function that gives the answer.
    `asked` has the path and `Accept` of every request."""

    def __init__(self, port):
        self.lists, self.asked = {}, []
        super().__init__(port)

    def answer(self, request):
        self.asked.append((request.target, request.header("accept")))
        served = self.lists.get(request.target)
        if callable(served):
            return served(request)
        if served is None:
            return 404, [], b"no such list"
        return 200, [("content-type", "application/statuslist+jwt")], served

    def times(self, path):
        """How often a path was asked for."""
        return sum(target == path for target, _ in self.asked)


class StatusList:
    """One list of the issuer, of 64 statuses: `set({place: status})` signs and serves it."""

    def __init__(self, server, issuer, path, bits=1):
        self.server, self.issuer, self.path, self.bits = server, issuer, path, bits
        self.uri = f"{ISSUER}{path}"

    def set(self, statuses=None, **changes):
        self.serve(self.document(statuses, **changes))
        return self

    def serve(self, body):
        self.server.lists[self.path] = body.encode() if isinstance(body, str) else body

    def document(self, statuses=None, key=None, typ="statuslist+jwt", lst=None, **changes):
        packed = lst if lst is not None else zlib.compress(pack(self.bits, 64, statuses or {}))
        claims = {"sub": self.uri, "iat": int(time.time()) - 1, "exp": int(time.time()) + 3600, "ttl": 1,
                  "status_list": {"bits": self.bits, "lst": b64(packed)}, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return (key or self.issuer.keys[0]).sign(claims, typ=typ)

    def token(self, place, **more):
        """A token whose status stands at this place."""
        return self.issuer.patient(status={"status_list": {"idx": place, "uri": self.uri}}, **more)


def pack(bits, count, statuses):
    """Statuses from the least significant bit of each byte on."""
    packed = bytearray(count * bits // 8)
    for place, status in statuses.items():
        packed[place * bits // 8] |= status << place * bits % 8
    return bytes(packed)


@pytest.fixture(scope="module")
def server(spare_lists):
    """Takes the place, and the cluster, of a server that nobody needs."""
    spare = spare_lists.pop()
    spare.stop()
    with StatusLists(spare.port) as server:
        yield server


@pytest.fixture(scope="module")
def settings(configuration, server):
    """Makes a configuration whose tokens may name the lists below `/lists/`."""

    def make(required=False, **more):
        document = configuration()
        document["revocation"].update(status_required=required, status_lists=[{
            "cluster": str(server.port), "uri": f"{ISSUER}/lists/", "every": "1s", **more}])
        return document

    return make


@pytest.fixture(scope="module")
def listen_to(listen, settings):
    """Adds a listener with such a configuration."""

    def add(name, required=False, **more):
        return listen(f"status-{name}", settings(required, **more), ready=not required, hardened=False)

    return add


@pytest.fixture(scope="module")
def gate(listen_to):
    return listen_to("plain")


@pytest.fixture(scope="module")
def brief(listen_to):
    """Lists are stale soon."""
    return listen_to("brief", max_staleness=f"{STALE:.0f}s")


@pytest.fixture(scope="module")
def lenient(listen_to):
    """Lists are stale soon and judge all the same."""
    return listen_to("lenient", max_staleness=f"{STALE:.0f}s", when_stale="allow")


@pytest.fixture
def new(server, issuer, request):
    """Makes lists that only this test knows."""
    made = []

    def make(bits=1):
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:80]
        made.append(StatusList(server, issuer, f"/lists/{name}/{len(made)}", bits))
        return made[-1]

    return make


def refused(gate, token, code="token_revoked", status=401):
    for response in gate.on_every_worker(TARGET, token):
        gate.refused(response, status, code, INVALID if status == 401 else None)
        assert (response.header("retry-after") is not None) == (status == 503)


def allowed(gate, token, freshness="fresh"):
    for response in gate.on_every_worker(TARGET, token):
        assert response.status == 200, response
        record = gate.envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["revocation"]) == ("allow", freshness)


def slowest_worker(gate, token, status):
    """Seconds until no worker answers otherwise any more."""
    started = last_other = time.monotonic()
    while time.monotonic() - max(last_other, started + EVERY) < 0.5:
        with Client(gate.client.port) as client:
            if client.get(TARGET, token).status != status:
                last_other = time.monotonic()
        assert time.monotonic() - started < 10
    return last_other - started


def until_asked(server, path, more=1):
    """Waits for requests that begin from now on."""
    before, started = server.times(path), time.monotonic()
    while server.times(path) < before + more:
        assert time.monotonic() - started < 15, f"nobody asked for {path}"
        time.sleep(0.02)


def test_the_first_token_waits_for_its_list_which_is_fetched_once_for_all(gate, server, new):
    made = new().set({1: 1})
    answers = []

    def send():
        with Client(gate.client.port) as client:
            answers.append(client.get(TARGET, made.token(0)).status)

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 24
    assert server.times(made.path) <= 2
    assert {accept for path, accept in server.asked if path == made.path} == {"application/statuslist+jwt"}
    refused(gate, made.token(1))


def test_no_list_is_fetched_before_a_verified_token_names_it(gate, server, new):
    made = new().set()
    forged = Key("RS256", "rsa-1").sign(made.issuer.claims(
        scope="patient/*.rs", patient="ann", status={"status_list": {"idx": 0, "uri": made.uri}}))
    for token in (forged, made.token(0, now=1), made.token(0, aud="https://elsewhere.example")):
        for response in gate.on_every_worker(TARGET, token):
            assert response.status == 401
    time.sleep(1)
    assert server.times(made.path) == 0


def test_a_flipped_bit_is_seen_by_every_worker_within_the_ttl_and_flips_back(gate, new):
    made = new().set()
    token, other = made.token(42), made.token(41)
    allowed(gate, token)
    made.set({42: 1})
    took = slowest_worker(gate, token, 401)
    assert took < EVERY + 1 + 0.5, took
    refused(gate, token)
    allowed(gate, other)
    made.set()
    took = slowest_worker(gate, token, 200)
    assert took < EVERY + 1 + 0.5, took
    allowed(gate, token)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_each_status_has_its_meaning(gate, new, bits):
    made = new(bits)
    statuses = {place: status for place, status in enumerate([0, 1, 2, 3, 7, 15, 128, 255])
                if status < 1 << bits}
    made.set(statuses)
    for place, status in statuses.items():
        if status == 0:
            allowed(gate, made.token(place))
        else:
            refused(gate, made.token(place), "token_suspended" if status == 2 else "token_revoked")
    allowed(gate, made.token(63))
    for beyond in (64, 2**32, 2**53 - 1):
        refused(gate, made.token(beyond), "token_status_unlisted")


@pytest.mark.parametrize("status", [
    None, 7, [], "x", {"status_list": None}, {"status_list": []}, {"status_list": {"idx": 1}},
    {"status_list": {"uri": f"{ISSUER}/lists/1"}}, {"status_list": {"idx": -1, "uri": f"{ISSUER}/lists/1"}},
    {"status_list": {"idx": 1.5, "uri": f"{ISSUER}/lists/1"}},
    {"status_list": {"idx": "1", "uri": f"{ISSUER}/lists/1"}},
    {"status_list": {"idx": 2**53, "uri": f"{ISSUER}/lists/1"}},
    {"status_list": {"idx": 1, "uri": ""}}, {"status_list": {"idx": 1, "uri": 5}},
], ids=str)
def test_a_status_that_can_not_be_read_refuses_the_token(gate, issuer, status):
    claims = {**issuer.claims(scope="patient/*.rs", patient="ann"), "status": status}
    token = issuer.keys[0].sign(claims)
    gate.refused(gate.get(TARGET, token), 401, "token_status_invalid", INVALID)


def test_a_token_without_a_status_passes_unless_one_is_required(gate, listen_to, new):
    made = new().set()
    strict = listen_to("strict", required=True)
    allowed(strict, made.token(0))
    for token in (made.issuer.patient(), made.issuer.patient(status={"other": {"id": 1}})):
        refused(strict, token, "token_status_missing")
        allowed(gate, token)


@pytest.mark.parametrize("uri", [
    "https://evil.example/lists/1", f"{ISSUER}/lists", f"{ISSUER}/lists/", f"{ISSUER}/other/1",
    f"{ISSUER}/lists/../other/1", f"{ISSUER}/lists/%2e%2e/other/1", f"{ISSUER}/lists/..;/1",
    f"{ISSUER}/lists//1", f"{ISSUER}/lists/1?x=1", f"{ISSUER}/lists/1#x", f"{ISSUER}/lists/\u00e9",
    f"{ISSUER}/lists/a b", f"{ISSUER}/lists/a\r\nx: y", f"{ISSUER}.evil.example/lists/1",
    f"{ISSUER}:443/lists/1", f"{ISSUER}@evil.example/lists/1", ISSUER.replace("https", "http") + "/lists/1",
    "urn:list:1", "file:///etc/passwd", f"{ISSUER}/lists/{'x' * 2000}",
])
def test_a_list_of_another_place_is_never_fetched(gate, server, issuer, uri):
    token = issuer.patient(status={"status_list": {"idx": 0, "uri": uri}})
    known = {path for path, _ in server.asked}
    refused(gate, token, "token_status_foreign")
    time.sleep(0.1)
    strange = {path for path, _ in server.asked} - known
    assert not strange, strange


GOOD = zlib.compress(pack(1, 64, {}))
# 2 GB of zeros would be a document of 3 MB: this is what fits into one.
BOMB = zlib.compress(bytes(400_000_000), 9)
# What is no such list, and what the operator is told.
LIES = {
    "html": (lambda made: "<html><form>Log in</form></html>", "token_shape"),
    "garbage": (lambda made: b"\x00\xff{]" * 50, "it is not text"),
    "cut short": (lambda made: made.document()[:-40], "it can't be trusted"),
    "white space around it": (lambda made: made.document() + "\n", "token_encoding"),
    "nobody's signature": (lambda made: made.document(key=Key("RS256", "rsa-1")), "token_signature_invalid"),
    "an unknown key": (lambda made: made.document(key=Key("RS256", "other")), "key"),
    "an access token": (lambda made: made.token(0), "token_type_refused"),
    "another typ": (lambda made: made.document(typ="JWT"), "token_type_refused"),
    "no typ": (lambda made: made.document(typ=None), "token_type_refused"),
    "another sub": (lambda made: made.document(sub=made.uri + "0"), "its `sub`"),
    "another iss": (lambda made: made.document(iss="https://evil.example"), "token_issuer_unknown"),
    "from the future": (lambda made: made.document(iat=now() + 600), "token_issued_in_future"),
    "over": (lambda made: made.document(exp=now() - 5), "token_expired"),
    "an older one": (lambda made: made.document(iat=now() - 600), "issued before the one in force"),
    "no ttl at all": (lambda made: made.document(ttl=0), "its `ttl`"),
    "three bits": (lambda made: made.document(status_list={"bits": 3, "lst": b64(GOOD)}), "its `bits`"),
    "not packed": (lambda made: made.document(lst=bytes(8)), "not packed with zlib"),
    "packed and cut short": (lambda made: made.document(lst=GOOD[:-1]), "not packed with zlib"),
    "packed and more": (lambda made: made.document(lst=GOOD + b"x"), "goes on after its end"),
    "a bomb": (lambda made: made.document(lst=BOMB), "larger than `max_bytes`"),
    "too large a document": (lambda made: b"a" * 1_100_000, "more than the 1048576 allowed"),
    "an error": (lambda made: lambda _: (500, [], b"something broke"), "status 500"),
    "a redirect": (lambda made: lambda _: (302, [("location", "/lists/2")], b""), "redirects are not followed"),
    "nothing": (lambda made: lambda _: (200, [], b""), "an empty answer"),
    "a closed connection": (lambda made: lambda _: None, "status 503"),
}


def now():
    return int(time.time())


@pytest.fixture(scope="module")
def lied(gate, server, issuer):
    """A list for each lie: good at first, then all of them are told at once."""
    made = {name: StatusList(server, issuer, f"/lists/lie-{number}") for number, name in enumerate(LIES)}
    for one in made.values():
        one.set({1: 1})
        allowed(gate, one.token(0))
    for name, one in made.items():
        one.serve(LIES[name][0](one))
    for one in made.values():
        until_asked(server, one.path)
    return made


@pytest.mark.parametrize("name", LIES)
def test_a_lie_leaves_the_last_good_list_and_tells_the_operator(gate, lied, name):
    made, told = lied[name], LIES[name][1]

    def said():
        return [line for line in gate.envoy.log.read_text(errors="replace").splitlines()
                if f"status list `{made.uri}`: " in line and told in line]

    deadline = time.monotonic() + 8
    while not said():
        assert time.monotonic() < deadline, f"the operator is not told `{told}`"
        time.sleep(0.1)
    assert "the last good one stays in force until it is stale" in said()[0]
    allowed(gate, made.token(0))
    refused(gate, made.token(1))


def test_the_first_fetch_that_fails_refuses_at_once_and_is_tried_again(gate, server, new):
    made = new()
    response = gate.get(TARGET, made.token(0))
    gate.refused(response, 503, "status_list_unavailable")
    began = time.monotonic()
    refused(gate, made.token(0), "status_list_unavailable", 503)
    assert time.monotonic() - began < 1.5, "nobody waits for what failed"
    made.set({1: 1})
    slowest_worker(gate, made.token(0), 200)
    refused(gate, made.token(1))


def test_a_list_that_can_not_be_fetched_anew_is_stale(brief, lenient, new):
    made = {gate: new().set({1: 1}) for gate in (brief, lenient)}
    for gate, one in made.items():
        allowed(gate, one.token(0))
        one.serve(lambda _: None)
    time.sleep(1.5)
    allowed(brief, made[brief].token(0))
    refused(brief, made[brief].token(1))
    time.sleep(STALE)
    for place in (0, 1):
        refused(brief, made[brief].token(place), "status_list_stale", 503)
    allowed(lenient, made[lenient].token(0), "stale_allowed")
    refused(lenient, made[lenient].token(1))
    for one in made.values():
        one.set({1: 1})
    slowest_worker(brief, made[brief].token(0), 200)
    refused(brief, made[brief].token(1))


def test_a_list_ends_with_its_exp(gate, new):
    made = new()
    body = made.document({1: 1}, exp=int(time.time()) + 3)
    made.serve(body)
    allowed(gate, made.token(0))
    time.sleep(5.5)  # the issuer's clock may be off by a second
    refused(gate, made.token(0), "status_list_stale", 503)
    made.set({1: 1})
    slowest_worker(gate, made.token(0), 200)


def test_where_no_list_could_ever_be_fetched_leniency_lets_through_and_says_so(lenient, new):
    made = new()
    lenient.get(TARGET, made.token(0))
    allowed(lenient, made.token(0), "stale_allowed")
    made.set({0: 1})
    slowest_worker(lenient, made.token(0), 401)


def test_an_empty_list_and_one_of_millions(gate, new):
    made = new()
    made.serve(made.document(lst=zlib.compress(b"")))
    refused(gate, made.token(0), "token_status_unlisted")
    made = new()
    count = 4 * 2**20
    packed = bytearray(count)
    places = {8 * place: place % 3 == 0 for place in (0, 4095, 4096, 1_000_001, 3_000_000, count - 1)}
    for place, is_revoked in places.items():
        packed[place // 8] = is_revoked
    made.serve(made.document(lst=zlib.compress(packed)))
    for place, is_revoked in places.items():
        (refused if is_revoked else allowed)(gate, made.token(place))
    refused(gate, made.token(8 * count), "token_status_unlisted")


def test_a_reload_of_the_same_configuration_never_lets_a_revoked_token_through(gate, settings, new):
    made = new().set({1: 1})
    token = made.token(1)
    refused(gate, token)
    answers, over = [], threading.Event()

    def hammer():
        while not over.is_set():
            try:
                with Client(gate.client.port) as client:
                    answers.append(client.get(TARGET, token).status)
            except NoResponse:
                continue  # the port is between two listeners

    thread = threading.Thread(target=hammer)
    thread.start()
    for number in range(3):
        gate.envoy.listen("status-plain", settings(), hardened=False,
                          adjust=lambda manager: manager.update(stat_prefix=f"reload-{number}"))
    time.sleep(0.2)
    over.set()
    thread.join()
    assert len(answers) > 20 and set(answers) <= {401, 503}, set(answers)
    refused(gate, token)
