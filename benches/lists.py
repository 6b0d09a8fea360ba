#!/usr/bin/env python3
"""Revocation lists of 0, 10^4, 10^6 and 10^7 entries in a real Envoy with two workers: how long loading takes, what
an entry costs in memory, what a request costs, and what a refresh with one entry in a hundred changed. Needs
`make build` and about 1 GB; takes some minutes. Prints a table.

    PYTHONPATH=. .lab/venv/bin/python benches/lists.py [SIZE ...]
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lab import envoy as lab_envoy
from lab import tokens
from lab.http import Client
from lab.processes import end_on_signals, stop_all
from lab.servers import Jwks, Server, Upstream

BASE, ISSUER = "https://api.clinic.example/fhir", "https://auth.clinic.example"
PAGE = 50_000
ROUNDS, REQUESTS = 7, 2_000
READ = "/fhir/Patient/ann"
EXPIRES = int(time.time()) + 86_400


class Lists(Server):
    """A list of so many made-up tokens, in pages; changed once, in one entry of a hundred."""

    def __init__(self, size):
        self.size, self.version, self.revoked = size, 1, None
        super().__init__()

    def answer(self, request):
        query = dict(pair.split("=") for pair in request.target.partition("?")[2].split("&") if pair)
        since, page = query.get("since"), int(query.get("page", 0))
        tag = f'"{self.version}-{since}-{page}"'
        fields = [("etag", tag), ("content-type", "application/json")]
        if request.header("if-none-match") == tag:
            return 304, fields, b""
        if since == str(self.version):
            return 200, fields, json.dumps({"since": since, "version": since, "entries": []}).encode()
        return 200, fields, self._changes(page) if since else self._full(page)

    def _full(self, page):
        return self._page(page, self.size, "t", {"total": self.size, "deltas": True}, [])

    def _changes(self, page):
        """As many come as go."""
        changed = self.size // 100
        first, last = page * PAGE, min(changed, (page + 1) * PAGE)
        gone = [f'{{"jti":"t-{place}"}}' for place in range(first, last)]
        return self._page(page, changed, "n", {"since": "1"}, gone)

    def _page(self, page, size, prefix, head, gone):
        first, last = page * PAGE, min(size, (page + 1) * PAGE)
        entries = [f'{{"jti":"{prefix}-{place}","expires":{EXPIRES}}}' for place in range(first, last)]
        if self.revoked and last == size:
            entries.append(json.dumps({"jti": self.revoked, "expires": EXPIRES}))
        head = {"version": str(self.version), **head}
        if last < size:
            head["next"] = str(page + 1)
        if gone:
            head["removed"] = 0
        text = json.dumps(head)[:-1].replace('"removed": 0', f'"removed": [{",".join(gone)}]')
        return f'{text},"entries":[{",".join(entries)}]}}'.encode()


class Proxy:
    """An Envoy with a list of this size."""

    def __init__(self, size, upstream, jwks, key):
        self.size, self.key, self.lists = size, key, Lists(size)
        self.folder = tempfile.TemporaryDirectory()
        clusters = {"fhir": upstream.port, "auth": jwks.port, "revocations": self.lists.port}
        self.envoy = lab_envoy.Envoy(Path(self.folder.name), clusters)
        document = lab_envoy.configuration(BASE, ISSUER, jwks.jwks_url, f"{self.lists.url}/v1/list")
        document["issuers"][0]["jwks"]["refresh"] = "5m"
        document["revocation"].update(every="2s", max_staleness="10m")
        empty, began = self.memory(), time.monotonic()
        self.client = Client(self.envoy.listen("lists", document))
        self.until(self.token(), 200, 600)
        self.load, self.bytes = time.monotonic() - began, self.memory() - empty

    def token(self, **claims):
        return self.key.sign(tokens.claims(ISSUER, BASE, scope="system/*.rs", lifetime=3000, **claims))

    def until(self, token, status, seconds):
        deadline = time.monotonic() + seconds
        while self.client.get(READ, token).status != status:
            assert time.monotonic() < deadline, f"{self.size} entries: not {status} in {seconds} s"
            time.sleep(0.05)

    def memory(self):
        """Bytes of memory that are its own."""
        text = Path(f"/proc/{self.envoy.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def processor(self):
        """Seconds of processor time."""
        fields = Path(f"/proc/{self.envoy.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def request(self, token):
        """µs of processor time of one request, by many."""
        before = self.processor()
        for _ in range(REQUESTS):
            self.client.get(READ, token)
        return (self.processor() - before) / REQUESTS * 1e6

    def refresh(self):
        """Seconds until a token that the changes name is refused, and processor time of it."""
        token = self.token(jti="bad")
        self.until(token, 200, 10)
        before, began = self.processor(), time.monotonic()
        self.lists.revoked, self.lists.version = "bad", 2
        self.until(token, 401, 300)
        return time.monotonic() - began, self.processor() - before


def main():
    sizes = [int(size) for size in sys.argv[1:]] or [0, 10_000, 1_000_000, 10_000_000]
    end_on_signals()
    key = tokens.Key("ES256", "k")
    with Upstream() as upstream, Jwks(key) as jwks:
        proxies = [Proxy(size, upstream, jwks, key) for size in sizes]
        costs = {proxy.size: [] for proxy in proxies}
        good = {proxy.size: proxy.token() for proxy in proxies}
        for _ in range(ROUNDS):
            for proxy in proxies:
                costs[proxy.size].append(proxy.request(good[proxy.size]))
        base = proxies[0].bytes
        print("| entries | loaded after s | MB more than none | bytes an entry | µs a request (± spread) | 1 % changed: "
              "refused after s | processor s |\n|---|---|---|---|---|---|---|")
        for proxy in proxies:
            each = (proxy.bytes - base) / proxy.size if proxy.size >= 100_000 else None
            cost, spread = statistics.median(costs[proxy.size]), statistics.pstdev(costs[proxy.size])
            after, processor = proxy.refresh()
            print(f"| {proxy.size:,} | {proxy.load:.1f} | {(proxy.bytes - base) / 1e6:.1f} | "
                  f"{'' if each is None else f'{each:.1f}'} | {cost:.0f} ± {spread:.0f} | {after:.1f} | "
                  f"{processor:.2f} |", flush=True)
    stop_all()


if __name__ == "__main__":
    main()
