#!/usr/bin/env python3
"""What a fleet of proxies pulls when ten million tokens are revoked: full lists, changes, status lists.

Sizes are measured on entries made here; rates are arithmetic on them. Prints the tables of `docs/scale.md`;
`--check` fails when the page has others.
"""

import argparse
import base64
import json
import random
import sys
import uuid
import zlib
from pathlib import Path

PROXIES = 1_000
REVOKED = 10_000_000
PERIOD = 5              # seconds from one pull to the next
LIFETIME = 3_600        # seconds that a token lives, and so an entry
LIVE = 100_000_000      # tokens alive, of which one in ten is revoked
PER_STATUS_LIST = 1 << 20
STATUS_TTL = 300        # seconds that a status list may be used
PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def entries(count, draw):
    """NDJSON of entries by `jti` with `expires`, as an authorization server would write them."""
    now = 1_790_000_000
    return "".join(
        json.dumps({"jti": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
                    "expires": now + draw.randrange(LIFETIME)}, separators=(",", ":")) + "\n"
        for _ in range(count)).encode()


def status_list(draw, revoked):
    """A status list token's bytes: one bit for each token, `lst` deflated, in a signed JWT."""
    bits = bytearray(PER_STATUS_LIST // 8)
    for place in draw.sample(range(PER_STATUS_LIST), round(PER_STATUS_LIST * revoked)):
        bits[place // 8] |= 1 << place % 8
    lst = base64.urlsafe_b64encode(zlib.compress(bytes(bits), 9)).rstrip(b"=")
    return len(base64.urlsafe_b64encode(lst)) + 500


def measured():
    draw = random.Random(7)
    sample = 100_000
    body = entries(sample, draw)
    return {
        "plain": len(body) / sample,
        "status": status_list(draw, REVOKED / LIVE),
        "status_rare": status_list(draw, 0.001),
    }


def human(value, unit="B"):
    for prefix in ["", "k", "M", "G", "T"]:
        if value < 1_000 or prefix == "T":
            return f"{value:.3g} {prefix}{unit}"
        value /= 1_000
    raise AssertionError


def tables():
    size = measured()
    churn = REVOKED / LIFETIME
    change = churn * PERIOD * size["plain"]
    lists = -(-LIVE // PER_STATUS_LIST)
    rows = [
        ("full list, every period", REVOKED * size["plain"], PERIOD),
        ("changes (`?since=`), every period", change, PERIOD),
        ("changes, every 60 s", churn * 60 * size["plain"], 60),
        ("nothing changed (304)", 200, PERIOD),
        ("status lists, every one of them, 1 token in 10 revoked", lists * size["status"], STATUS_TTL),
        ("status lists, every one of them, 1 in 1,000 revoked", lists * size["status_rare"], STATUS_TTL),
        ("status lists, the 5 that a proxy's tokens are in", 5 * size["status"], STATUS_TTL),
    ]
    lines = ["| what is pulled | bytes a pull | seconds | each proxy | the store, 1,000 proxies | "
             "the store behind a CDN of 20 places |", "|---|---|---|---|---|---|"]
    for name, pull, seconds in rows:
        rate = pull / seconds
        lines.append(f"| {name} | {human(pull)} | {seconds} | {human(rate, 'B/s')} | "
                     f"{human(rate * PROXIES, 'B/s')} | {human(rate * 20, 'B/s')} |")
    basis = [
        "| measured here | |", "|---|---|",
        f"| an entry by `jti` (36 characters) with `expires`, NDJSON | {size['plain']:.0f} B |",
        f"| a status list of 2^20 tokens, 1 in 10 revoked | {human(size['status'])} |",
        f"| the same, 1 in 1,000 revoked | {human(size['status_rare'])} |",
        f"| entries that come, and that go, each second | {churn:,.0f} |",
    ]
    start = [
        "| 1,000 proxies that start at once | |", "|---|---|",
        f"| the full list to each | {human(REVOKED * size['plain'] * PROXIES)} |",
        f"| over a link of 10 Gbit/s from the store | "
        f"{REVOKED * size['plain'] * PROXIES / 1.25e9 / 60:,.0f} min |",
        f"| from a CDN of 20 places with 10 Gbit/s each | "
        f"{REVOKED * size['plain'] * PROXIES / 20 / 1.25e9:,.0f} s |",
    ]
    return "\n".join([*basis, "", *lines, "", *start])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare with docs/scale.md")
    found = tables()
    if not arguments.parse_args().check:
        print(found)
    elif found not in PAGE.read_text():
        sys.exit(f"{PAGE.name} has other tables: paste what {Path(__file__).name} prints")


if __name__ == "__main__":
    main()
