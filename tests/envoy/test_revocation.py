"""Revoked tokens: every key of an entry, how soon, and what a list that fails does."""

import heapq
import itertools
import json
import threading
import time

import pytest

from lab.http import Client, NoResponse
from lab.servers import Revocations
from lab.tokens import peek

EVERY = 1.0
REVOKED = 'Bearer error="invalid_token"'
TARGET = "/fhir/Patient/ann"
OTHER_ISSUER = "https://auth.other.example"
NOW = int(time.time())
TIMEOUT = 10  # seconds that one call may take
STALE = 6  # seconds after which a list is too old, where a test waits for that


@pytest.fixture(scope="module")
def configured(configuration):
    """Makes a configuration with a revocation list of its own, asked every second."""

    def make(revocations, **settings):
        changed = configuration()
        changed["revocation"].update({
            "cluster": str(revocations.port), "url": revocations.list_url, "every": f"{EVERY:.0f}s",
            **settings})
        changed["issuers"].append({**changed["issuers"][0], "issuer": OTHER_ISSUER})
        return changed

    return make


@pytest.fixture(scope="module")
def listen_to(listen, configured):
    """Adds a listener with such a configuration."""

    def add(name, revocations, ready=True, **settings):
        return listen(f"revocation-{name}", configured(revocations, **settings), ready=ready,
                      hardened=False)

    return add


@pytest.fixture
def revoked(listen_to, spare_lists):
    """A listener with an empty list."""
    lists = spare_lists.pop()
    return listen_to(str(lists.port), lists), lists


def refused(gateway, token):
    """Proves that every worker refuses the token as revoked."""
    for response in gateway.on_every_worker(TARGET, token):
        record = gateway.refused(response, 401, "token_revoked", REVOKED)
        assert record["who"]["jti"] == peek(token)["jti"]
        assert "revocation" not in record


def allowed(gateway, token, freshness="fresh"):
    """Proves that every worker lets the token through, by a list this fresh."""
    for response in gateway.on_every_worker(TARGET, token):
        assert response.status == 200, response
        record = gateway.envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["revocation"]) == ("allow", freshness)


def unavailable(gateway, token, code):
    """Proves that every worker answers 503 and says when to try again."""
    for response in gateway.on_every_worker(TARGET, token):
        gateway.refused(response, 503, code)
        assert response.header("retry-after") == "1"


def until(condition, seconds):
    """Waits for a condition; how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - started


# What an entry names.

class Names:
    """An entry, what a token must say to be revoked by it, and what others say that are not."""

    def __init__(self, entry, hit, *misses, issuer=None, key=0):
        self.entry, self.hit, self.misses = entry, hit, misses
        self.issuer, self.key = issuer, key

    def tokens(self, issuer):
        """The token that is to be revoked, and those that are not."""
        hit = {**self.hit, **({"iss": self.issuer} if self.issuer else {})}
        signed = [issuer.patient(key=issuer.keys[self.key], lifetime=3000, **hit)]
        return signed + [issuer.patient(lifetime=3000, **{**self.hit, **miss}) for miss in self.misses]


EVERYTHING = dict(jti="all-1", sid="all-1", sub="all-1", client_id="all-1", organization="all-1")
ENTRIES = {
    "jti": Names({"jti": "jti-1"}, {"jti": "jti-1"}, {"jti": "jti-10"}, {"jti": "jti-"},
                 {"jti": "JTI-1"}, {"jti": "x", "sid": "jti-1", "sub": "jti-1"}),
    "sub": Names({"sub": "nurse-17"}, {"sub": "nurse-17"}, {"sub": "nurse-1"}, {"sub": "nurse-170"}),
    "sub with odd characters": Names({"sub": 'Zo\u00eb "\\\u2028'}, {"sub": 'Zo\u00eb "\\\u2028'},
                                     {"sub": "Zoe"}),
    "client_id": Names({"client_id": "old-app"}, {"client_id": "old-app"}, {"client_id": "old-app2"}),
    "sid": Names({"sid": "session-1"}, {"sid": "session-1"}, {"sid": "session-2"}),
    "organization": Names({"organization": "closed"}, {"organization": "closed"},
                          {"organization": "open"}),
    "kid": Names({"kid": "ec-1"}, {"sub": "signed-by-ec-1"}, {}, key=1),
    "iss": Names({"iss": OTHER_ISSUER}, {"sub": "of-the-other-issuer"}, {}, issuer=OTHER_ISSUER),
    "issued_before": Names({"issued_before": NOW - 200}, {"now": NOW - 201}, {"now": NOW - 200},
                           {"now": NOW - 100}),
    "sub and issued_before": Names({"sub": "logged-out", "issued_before": NOW - 50},
                                   {"sub": "logged-out", "now": NOW - 51}, {"now": NOW - 50},
                                   {"now": NOW - 10}, {"sub": "still-here"}),
    "sub and client_id": Names({"sub": "user-2", "client_id": "app-2"},
                               {"sub": "user-2", "client_id": "app-2"}, {"sub": "user-3"},
                               {"client_id": "app-3"}),
    "jti, iss and expires": Names(
        {"jti": "listed-1", "iss": "https://auth.clinic.example", "expires": NOW + 3600},
        {"jti": "listed-1"}, {"jti": "listed-2"}),
    "all of them": Names(
        {**EVERYTHING, "patient": "ann", "kid": "rsa-1", "iss": "https://auth.clinic.example",
         "issued_before": NOW + 3600},
        EVERYTHING, *({name: "other"} for name in EVERYTHING)),
}
# Entries that revoke none of these tokens.
MISSES = {
    "expires in the past": Names({"jti": "over-1", "expires": NOW - 100}, {"jti": "over-1"}),
    "another issuer's jti": Names({"jti": "theirs", "iss": OTHER_ISSUER}, {"jti": "theirs"}),
    "another key's jti": Names({"jti": "by-ec", "kid": "ec-1"}, {"jti": "by-ec"}),
    "another patient": Names({"patient": "ben", "sub": "of-ann"}, {"sub": "of-ann"}),
    "a claim that the token lacks": Names({"sub": "no-session", "sid": "x"}, {"sub": "no-session"}),
}


@pytest.fixture(scope="module")
def listed(listen_to, spare_lists, issuer):
    """A listener whose list holds every entry above; all tokens were cached as good before that."""
    lists = spare_lists.pop()
    gateway = listen_to("entries", lists)
    signed = {title: names.tokens(issuer) for title, names in {**ENTRIES, **MISSES}.items()}
    for token in itertools.chain(*signed.values()):
        allowed(gateway, token)
    lists.set(*(names.entry for names in {**ENTRIES, **MISSES}.values()))
    probe = signed["jti"][0]
    until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, probe)), 10)
    return gateway, signed


@pytest.mark.parametrize("title", ENTRIES)
def test_an_entry_revokes_what_matches_all_its_keys_and_nothing_else(listed, title):
    gateway, signed = listed
    hit, *misses = signed[title]
    refused(gateway, hit)
    for token in misses:
        allowed(gateway, token)


@pytest.mark.parametrize("title", MISSES)
def test_an_entry_that_does_not_match_revokes_nothing(listed, title):
    gateway, signed = listed
    for token in signed[title]:
        allowed(gateway, token)


def test_a_patient_is_revoked_however_the_token_names_them(revoked, issuer):
    gateway, lists = revoked
    tokens = [issuer.patient(), issuer.token("patient/*.rs", patient="Patient/ann")]
    other = issuer.token("patient/*.rs user/*.rs", patient="ben", fhirUser="Practitioner/7")
    lists.set({"patient": "ann"})
    until(lambda: gateway.get(TARGET, tokens[0]).status == 401, 3)
    for token in tokens:
        until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, token)), 2)
        refused(gateway, token)
    allowed(gateway, other)


def test_the_emergency_brake_stops_every_token_there_is(revoked, issuer):
    gateway, lists = revoked
    tokens = [issuer.patient(), issuer.backend(), issuer.clinician(key=issuer.keys[1])]
    for token in tokens:
        allowed(gateway, token)
    lists.set({"issued_before": int(time.time()) + 1})
    for token in tokens:
        until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, token)), 3)
        refused(gateway, token)
    time.sleep(max(0, lists.entries[0]["issued_before"] - time.time()))
    allowed(gateway, issuer.patient())


# How soon.

def test_a_cached_token_is_refused_within_a_second_of_the_next_fetch_and_comes_back(revoked, issuer):
    gateway, lists = revoked
    token = issuer.patient()
    allowed(gateway, token)
    lists.wait_fetched()  # the worst moment: the next fetch is as far off as it can be
    lists.set({"jti": peek(token)["jti"]})
    took = slowest_worker(gateway, token, 401)
    assert took < EVERY + 1 + PATIENCE, took
    refused(gateway, token)
    lists.set()
    took = slowest_worker(gateway, token, 200)
    assert took < EVERY + 1 + PATIENCE, took


def slowest_worker(gateway, token, status):
    """Seconds until no worker answers otherwise any more."""
    started, last_other = time.monotonic(), time.monotonic()
    while time.monotonic() - max(last_other, started + EVERY) < 0.3:
        with Client(gateway.client.port) as client:
            if client.get(TARGET, token).status != status:
                last_other = time.monotonic()
        assert time.monotonic() - started < 10
    return last_other - started


def test_a_reload_of_the_same_configuration_never_lets_a_revoked_token_through(
        listen, configured, spare_lists, issuer):
    lists = spare_lists.pop()
    token = issuer.patient()
    lists.set({"jti": peek(token)["jti"]})
    configuration = configured(lists)
    gateway = listen("revocation-reload", configuration, hardened=False)
    refused(gateway, token)
    answers, over = [], threading.Event()
    hammer = threading.Thread(target=hammering, args=(gateway.client.port, token, answers, over))
    hammer.start()
    for number in range(3):
        # Another statistics prefix makes it another listener to Envoy; the filter's configuration,
        # its VM and its shared data stay what they are.
        gateway.envoy.listen("revocation-reload", configuration, hardened=False,
                             adjust=lambda manager: manager.update(stat_prefix=f"reload-{number}"))
    time.sleep(0.2)
    over.set()
    hammer.join()
    statuses = {status for status, _ in answers}
    assert len(answers) > 50
    assert statuses <= {401, 503}, statuses
    assert {reason for _, reason in answers} <= {
        "token_revoked", "keys_unavailable", "revocation_unavailable"}
    refused(gateway, token)


def hammering(port, token, answers, over):
    """Sends the request on new connections until told to stop."""
    while not over.is_set():
        try:
            with Client(port) as client:
                response = client.get(TARGET, token)
        except NoResponse:
            continue  # the port is between two listeners
        answers.append((response.status, response.reason))


# What is not a list, or does not come.

class Story:
    """Something that takes a while, told by a generator that yields how long to wait; all stories
    are told at once."""

    def __init__(self, steps):
        self.steps, self.error = steps, None


def tell(stories):
    """Runs the stories side by side; what fails is kept for the story's own test."""
    order = itertools.count()
    due = [(time.monotonic(), next(order), story) for story in stories]
    heapq.heapify(due)
    while due:
        at, _, story = heapq.heappop(due)
        time.sleep(max(0, at - time.monotonic()))
        try:
            heapq.heappush(due, (time.monotonic() + next(story.steps), next(order), story))
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001, it is raised again where it belongs
            story.error = error


BROKEN = ["error", "garbage", "html", "empty", "truncated", "slow", "huge", "closed", "down"]
DOCUMENTS = {
    "an unknown key in an entry": {"entries": [{"jti": "x", "reason": "lost"}]},
    "an unknown key beside the entries": {"entries": [], "more": True},
    "an entry that names nothing": {"entries": [{"jti": "x"}, {"expires": NOW + 3600}]},
    "a name that is a number": {"entries": [{"jti": 7}]},
    "a key twice": b'{"entries": [{"jti": "x", "jti": "y"}]}',
    "two documents": b'{"entries": []}{"entries": []}',
}


@pytest.fixture(scope="module")
def stories(listen_to, spare_lists, issuer):
    """Every story below, told."""
    told = {}
    for mode in BROKEN:
        told[mode] = Story(goes_stale(*new(listen_to, spare_lists, mode, f"{STALE}s"), issuer, mode))
    gateway, lists = new(listen_to, spare_lists, "documents", "1m")
    told["documents"] = Story(bad_documents(gateway, lists, issuer))
    gateway, lists = new(listen_to, spare_lists, "steady", "3s")
    told["steady"] = Story(stays_fresh(gateway, lists, issuer))
    gateway, lists = new(listen_to, spare_lists, "lenient", "2s", when_stale="allow")
    told["lenient"] = Story(is_allowed_when_stale(gateway, lists, issuer))
    tell(told.values())
    return told


def new(listen_to, spare_lists, name, max_staleness, **settings):
    lists = spare_lists.pop()
    gateway = listen_to(f"story-{name}", lists, ready=False, max_staleness=max_staleness, **settings)
    return gateway, lists


def is_refused_soon(gateway, token):
    """Waits until every worker knows, which is no matter of speed here."""
    until = time.monotonic() + 10
    while any(one.status != 401 for one in gateway.get_everywhere(TARGET, token)) and time.monotonic() < until:
        yield 0.1
    refused(gateway, token)


def goes_stale(gateway, lists, issuer, mode):
    """The last good list stays in force, then is too old; the next good one ends that."""
    good, bad = issuer.patient(), issuer.patient()
    lists.set({"jti": peek(bad)["jti"]})
    yield from is_refused_soon(gateway, bad)
    allowed(gateway, good)
    asked, broke = lists.begun, time.monotonic()
    if mode == "down":
        lists.stop()
    lists.mode = mode
    yield EVERY + 0.2
    while mode != "down" and lists.begun == asked:
        yield 0.1
    yield 0.2
    refused(gateway, bad)
    allowed(gateway, good)
    yield broke + STALE + 0.5 - time.monotonic()
    for token in (good, bad):
        unavailable(gateway, token, "revocation_stale")
    if mode == "slow":
        lists.mode = "ok"
        yield broke + EVERY + TIMEOUT + 3 - time.monotonic()  # only the end of the call brings another
    log = gateway.envoy.log.read_text(errors="replace")
    assert f"revocation list from `{lists.list_url}`: " in log, "the operator is told"
    if mode == "down":
        again = Revocations(port=lists.port)
        again.set(*lists.entries)
        lists = again
    lists.mode = "ok"
    yield from is_refused_soon(gateway, bad)
    allowed(gateway, good)
    lists.stop()


def bad_documents(gateway, lists, issuer):
    """A list that can't be read whole is not read at all."""
    good, bad = issuer.patient(), issuer.patient()
    lists.set({"jti": peek(bad)["jti"]})
    yield from is_refused_soon(gateway, bad)
    for told, (title, document) in enumerate(DOCUMENTS.items()):
        lists.publish(document)
        until = time.monotonic() + 10
        while len(unusable(gateway, lists)) <= told and time.monotonic() < until:
            yield 0.1
        try:
            refused(gateway, bad)
            allowed(gateway, good)
        except AssertionError as error:
            raise AssertionError(f"{title}: {error}") from error
    said = unusable(gateway, lists)
    assert len(said) >= len(DOCUMENTS)
    assert "lost" not in "".join(said), "nothing of the list is quoted"
    lists.publish(b'{"jti": "%s"}\n{"jti": "x"}\n' % peek(good)["jti"].encode())
    yield from is_refused_soon(gateway, good)
    allowed(gateway, bad)


def unusable(gateway, lists):
    """What the log says of documents from there that are no list."""
    log = gateway.envoy.log.read_text(errors="replace")
    return [line for line in log.splitlines()
            if f"revocation list from `{lists.list_url}`: it can't be used" in line]


def stays_fresh(gateway, lists, issuer):
    """A server that says `304` keeps the list fresh, and one instance asks for all three."""
    token = issuer.patient()
    yield 2.0
    began, asked, not_modified = time.monotonic(), lists.begun, lists.not_modified
    yield 4.0
    allowed(gateway, token)
    seconds = time.monotonic() - began
    assert lists.not_modified - not_modified >= 3
    assert lists.not_modified - not_modified == lists.begun - asked, "only the first was sent whole"
    assert 3 <= lists.begun - asked <= seconds / EVERY + 1, (lists.begun - asked, seconds)


def is_allowed_when_stale(gateway, lists, issuer):
    """`when_stale: allow`: judged by the last list, and written down as such."""
    good, bad = issuer.patient(), issuer.patient()
    lists.set({"jti": peek(bad)["jti"]})
    yield from is_refused_soon(gateway, bad)
    lists.mode = "error"
    yield 3.5
    allowed(gateway, good, "stale_allowed")
    refused(gateway, bad)
    lists.mode = "ok"
    yield 2.5
    allowed(gateway, good, "fresh")
    refused(gateway, bad)


def test_an_etag_that_does_not_fit_hides_no_change(revoked, issuer):
    """A server that names every list alike, or says that nothing changed before it gave any."""
    gateway, lists = revoked
    first, second = issuer.patient(), issuer.patient()
    seen = []

    def alike(request):
        seen.append(request.header("if-none-match"))
        return 200, [("etag", '"same"'), ("content-type", "application/json")], lists._body

    lists._ok = alike
    for token in first, second:
        allowed(gateway, token)
        lists.revoke(jti=peek(token)["jti"])
        until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, token)), 5)
        refused(gateway, token)
    until(lambda: seen[-1] == '"same"', 3)
    lists.set({"jti": peek(second)["jti"]})
    until(lambda: all(answer.status == 200 for answer in gateway.on_every_worker(TARGET, first)), 5)
    refused(gateway, second)


def test_not_modified_is_no_first_list(listen_to, spare_lists, issuer):
    lists = spare_lists.pop()
    lists.mode = "lying"
    lists._lying = lambda request: (304, [("etag", '"never"')], b"")
    gateway = listen_to("not-modified", lists, ready=False)
    with_keys(gateway, issuer)
    token = issuer.patient()
    unavailable(gateway, token, "revocation_unavailable")
    log = gateway.envoy.log.read_text(errors="replace")
    assert f"revocation list from `{lists.list_url}`: status 304 although the call named no `ETag`" in log
    lists.set({"jti": peek(token)["jti"]})
    lists.mode = "ok"
    until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, token)), 5)
    refused(gateway, token)
    allowed(gateway, issuer.patient())


@pytest.mark.parametrize("mode", BROKEN)
def test_the_last_good_list_stays_until_it_is_too_old(stories, mode):
    retell(stories[mode])


def test_a_list_with_one_unreadable_entry_is_not_read_at_all(stories):
    retell(stories["documents"])


def test_one_instance_asks_for_all_and_not_modified_counts_as_fresh(stories):
    retell(stories["steady"])


def test_a_stale_list_may_be_allowed_and_is_audited(stories):
    retell(stories["lenient"])


def retell(story):
    if story.error:
        raise story.error


# Never there.

@pytest.mark.parametrize("cluster", ["no-such-cluster", "nobody"])
def test_without_a_first_list_nothing_is_let_through(listen_to, spare_lists, issuer, cluster):
    gateway = listen_to(f"never-{cluster}", spare_lists[0], ready=False, cluster=cluster)
    with_keys(gateway, issuer)
    unavailable(gateway, issuer.patient(), "revocation_unavailable")
    unavailable(gateway, issuer.clinician(), "revocation_unavailable")
    gateway.refused(gateway.get(TARGET), 401, "token_missing", challenge="Bearer realm=")
    gateway.allowed(gateway.get("/fhir/metadata"))


def test_without_a_first_list_requests_may_be_allowed(listen_to, spare_lists, issuer):
    gateway = listen_to("never-lenient", spare_lists[0], ready=False, cluster="nobody",
                        when_stale="allow")
    with_keys(gateway, issuer)
    allowed(gateway, issuer.patient(), "stale_allowed")


def test_the_first_list_ends_the_waiting(listen_to, spare_lists, issuer):
    lists = spare_lists.pop()
    lists.mode = "error"
    gateway = listen_to("first", lists, ready=False)
    with_keys(gateway, issuer)
    token = issuer.patient()
    unavailable(gateway, token, "revocation_unavailable")
    lists.mode = "ok"
    until(lambda: gateway.get(TARGET, token).status == 200, 4)
    until(lambda: all(answer.status == 200 for answer in gateway.on_every_worker(TARGET, token)), 2)
    allowed(gateway, token)


def test_without_the_section_tokens_are_looked_up_in_no_list(listen, configuration, issuer):
    changed = configuration()
    del changed["revocation"]
    gateway = listen("revocation-none", changed, hardened=False)
    allowed(gateway, issuer.patient(), "no_list")


def with_keys(gateway, issuer):
    """Waits until every worker has its keys."""
    def reasons():
        return {answer.reason for answer in gateway.on_every_worker(TARGET, issuer.patient())}
    until(lambda: "keys_unavailable" not in reasons(), 5)


def test_a_long_list_is_looked_up_like_a_short_one(revoked, issuer):
    gateway, lists = revoked
    good, bad = issuer.patient(), issuer.patient()
    many = [{"jti": f"00000000-0000-4000-8000-{number:012d}", "expires": NOW + 3600}
            for number in range(50_000)]
    lists.set(*many[:25_000], {"jti": peek(bad)["jti"]}, *many[25_000:])
    until(lambda: gateway.get(TARGET, bad).status == 401, 6)
    until(lambda: all(answer.status == 401 for answer in gateway.on_every_worker(TARGET, bad)), 2)
    refused(gateway, bad)
    allowed(gateway, good)
    refused(gateway, issuer.patient(jti=many[49_999]["jti"]))
    assert len(json.dumps(lists.entries)) > 3_000_000


PATIENCE = 0.5  # of a machine that does more than this
