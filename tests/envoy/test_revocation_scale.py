"""Long revocation lists: pages, changes, and what goes wrong with them, through the real Envoy."""

import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.http import Client
from lab.tokens import peek
from test_revocation import (EVERY, PATIENCE, TARGET, allowed, configured, hammering, listen_to, refused,
                             slowest_worker, until, with_keys)

__all__ = ["configured", "listen_to"]
NOW = int(time.time())


class Versions:
    """Serves every version of a list, in pages and by what changed, in place of a list server's one
    document. `asked` has the query of each request."""

    def __init__(self, server, page=100, deltas=True):
        self.server, self.page, self.deltas = server, page, deltas
        self.versions, self.asked = [{}], []
        self.gone = False
        self.between = lambda: None  # called before each further page
        self.shown = None  # the version that is served, if not the last
        server._ok = self.answer

    def publish(self, add=(), remove=()):
        """The next version: with these entries, and without those."""
        entries = dict(self.versions[-1])
        for entry in remove:
            del entries[named(entry)]
        entries.update({named(entry): entry for entry in add})
        self.versions.append(entries)

    def answer(self, request):
        query = {name: value for name, [value] in parse_qs(urlsplit(request.target).query).items()}
        self.asked.append(query)
        if "page" in query:
            self.between()
        if "since" in query and self.gone:
            return 410, [], b"too long ago"
        version = len(self.versions) - 1 if self.shown is None else self.shown
        now, start = self.versions[version], int(query.get("page", 0))
        if "since" in query:
            before = self.versions[int(query["since"])]
            rows = [("entries", now[name]) for name in now.keys() - before.keys()]
            rows += [("removed", before[name]) for name in before.keys() - now.keys()]
        else:
            rows = [("entries", entry) for entry in now.values()]
        document = {"version": str(version), "deltas": self.deltas, "entries": []}
        if "since" in query:
            document.update(since=query["since"], removed=[])
        for kind, entry in rows[start:start + self.page]:
            document[kind].append(entry)
        if start + self.page < len(rows):
            document["next"] = str(start + self.page)
        return 200, [("content-type", "application/json")], json.dumps(document).encode()


def named(entry):
    return json.dumps({name: value for name, value in entry.items() if name != "expires"})


def revoking(token):
    return {"jti": peek(token)["jti"], "expires": NOW + 7200}


def many(count, word="many"):
    return [{"jti": f"{word}-{number:08d}", "iss": "https://auth.clinic.example", "expires": NOW + 3600}
            for number in range(count)]


def everywhere(gateway, token, status, seconds):
    """Waits until every worker answers so."""
    return until(lambda: all(answer.status == status for answer in gateway.on_every_worker(TARGET, token)),
                 seconds)


def logged(gateway, problem):
    """Waits until it is said of this listener's list."""
    url = gateway.listed
    until(lambda: any(url in line and problem in line for line in
                      gateway.envoy.log.read_text(errors="replace").splitlines()), 10)


@pytest.fixture
def versions(listen_to, spare_lists):
    """A listener whose list has pages of ten and says what changed."""
    server = spare_lists.pop()
    served = Versions(server, page=10)
    gateway = listen_to(f"versions-{server.port}", server)
    gateway.listed = server.list_url
    return gateway, served


def test_a_list_of_many_pages_is_in_force_as_a_whole(versions, issuer):
    gateway, served = versions
    good, first, bad = issuer.patient(), issuer.patient(), issuer.patient()
    served.publish([revoking(first)])
    everywhere(gateway, first, 401, 5)
    served.deltas, served.page = False, 20_000
    entries = many(200_000)
    served.publish(entries[:90_000] + [revoking(bad)] + entries[90_000:])
    served.gone = True
    took = until(lambda: len([query for query in served.asked if "page" in query]) >= 10, 60)
    while gateway.get(TARGET, bad).status != 401:
        assert gateway.get(TARGET, first).status == 401, "the list before stays until the new one is whole"
        assert took < 60
        time.sleep(0.05)
    everywhere(gateway, bad, 401, 3)
    for token in (first, bad, issuer.patient(jti=entries[0]["jti"]), issuer.patient(jti=entries[-1]["jti"])):
        refused(gateway, token)
    allowed(gateway, good)
    allowed(gateway, issuer.patient(jti="many-00200000"))


def test_what_changed_is_in_force_within_a_second_of_the_next_fetch(versions, issuer):
    gateway, served = versions
    tokens = [issuer.patient() for _ in range(25)]
    for token in tokens:
        allowed(gateway, token)
    served.publish([revoking(token) for token in tokens])
    everywhere(gateway, tokens[0], 401, 5)
    for token in tokens:
        refused(gateway, token)
    served.publish(remove=[revoking(token) for token in tokens[:12]])
    took = slowest_worker(gateway, tokens[0], 200)
    assert took < EVERY + 1 + PATIENCE, took
    for token in tokens[:12]:
        allowed(gateway, token)
    for token in tokens[12:]:
        refused(gateway, token)
    until(lambda: served.asked[-1].get("since") == "2", 5)
    assert {query.get("since") for query in served.asked} == {None, "0", "1", "2"}
    assert sum("since" not in query for query in served.asked) == 1, "the full list was asked for once"


def test_changes_of_a_long_list_come_at_once(versions, issuer):
    gateway, served = versions
    served.page = 50_000
    bad, back = issuer.patient(), issuer.patient()
    served.publish(many(100_000) + [revoking(back)])
    everywhere(gateway, back, 401, 30)
    allowed(gateway, bad)
    served.publish([revoking(bad), *many(1_000, "more")], remove=[revoking(back), *many(1_000)])
    took = slowest_worker(gateway, bad, 401)
    assert took < EVERY + 1 + PATIENCE, took
    everywhere(gateway, back, 200, 2)
    refused(gateway, issuer.patient(jti="more-00000999"))
    refused(gateway, issuer.patient(jti="many-00001000"))
    allowed(gateway, issuer.patient(jti="many-00000999"))


def test_changes_that_are_gone_bring_the_full_list_at_once(versions, issuer):
    gateway, served = versions
    bad = issuer.patient()
    served.gone = True
    served.publish([revoking(bad)])
    took = slowest_worker(gateway, bad, 401)
    assert took < EVERY + 1 + PATIENCE, took
    refused(gateway, bad)


def test_a_list_that_goes_back_is_refused_until_it_goes_on(versions, issuer):
    gateway, served = versions
    first, second = issuer.patient(), issuer.patient()
    served.publish([revoking(first)])
    everywhere(gateway, first, 401, 5)
    served.deltas = False
    served.gone, served.shown = True, 0
    logged(gateway, "version `0` is older than `1`, which is in force")
    refused(gateway, first)
    served.publish([revoking(second)])
    served.shown = None
    everywhere(gateway, second, 401, 15)
    refused(gateway, first)


def test_pages_of_two_versions_are_no_list(versions, issuer):
    gateway, served = versions
    first, second = issuer.patient(), issuer.patient()
    served.gone = True
    served.publish([revoking(first)])
    everywhere(gateway, first, 401, 5)
    served.between = lambda: served.publish([revoking(issuer.patient())])
    served.publish([revoking(second), *many(25, "torn")])
    logged(gateway, "the list changed from one page to the next")
    refused(gateway, first)
    allowed(gateway, second)
    served.between = lambda: None
    everywhere(gateway, second, 401, 15)


def test_changes_since_another_version_are_refused(versions, issuer):
    gateway, served = versions
    bad = issuer.patient()
    served.publish()
    until(lambda: served.asked[-1].get("since") == "1", 5)
    original = served.answer

    def lying(request):
        status, headers, body = original(request)
        document = json.loads(body)
        if "since" in document:
            document["since"] = "0"
        return status, headers, json.dumps(document).encode()

    served.server._ok = lying
    served.publish([revoking(bad)])
    logged(gateway, "since another version than was asked for")
    allowed(gateway, bad)
    served.server._ok = original
    everywhere(gateway, bad, 401, 10)


def test_a_reload_goes_on_with_a_long_list(listen, configured, spare_lists, issuer):
    lists = spare_lists.pop()
    served = Versions(lists, page=20_000)
    token = issuer.patient()
    served.publish(many(60_000) + [revoking(token)])
    document = configured(lists)
    gateway = listen("scale-reload", document, hardened=False)
    everywhere(gateway, token, 401, 20)
    answers, over = [], threading.Event()
    hammer = threading.Thread(target=hammering, args=(gateway.client.port, token, answers, over))
    hammer.start()
    for number in range(2):
        gateway.envoy.listen("scale-reload", document, hardened=False,
                             adjust=lambda manager: manager.update(stat_prefix=f"scale-{number}"))
    time.sleep(0.3)
    over.set()
    hammer.join()
    assert {status for status, _ in answers} <= {401, 503}, answers
    refused(gateway, token)
    assert sum("since" not in query and "page" not in query for query in served.asked) == 1


def test_requests_wait_for_the_first_list(listen_to, spare_lists, issuer):
    lists = spare_lists.pop()
    lists.mode, lists.delay = "slow", 1.0
    gateway = listen_to("first-wait", lists, ready=False)
    bad = issuer.patient()
    lists.set(revoking(bad))
    until(lambda: lists.begun > 0, 5)
    with Client(gateway.client.port) as client:
        answer = client.get(TARGET, bad)
    assert answer.status == 401 and answer.reason == "token_revoked", answer
    lists.mode = "ok"
    with_keys(gateway, issuer)
    allowed(gateway, issuer.patient())
