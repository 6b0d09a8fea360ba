"""What is to be reached."""

from dataclasses import dataclass

from .measured import shown
from .rows import (ALLOWED, CACHED_NATIVELY, GARBAGE, NOTHING, new_token, parsed, read,
                   verified_natively)


@dataclass
class Goal:
    """`met`: `None` when it was not measured."""

    name: str
    measured: str = "not measured"
    met: bool | None = None

    @property
    def verdict(self):
        return {True: "yes", False: "no", None: "not measured"}[self.met]


def goals(rows):
    """Those that the rows can tell; `rows` are `measured.Measured` by name."""
    return [_cached(rows), *(_new(rows, algorithm) for algorithm in ("RS256", "ES256")), _garbage(rows),
            _judged(rows)]


def _cached(rows):
    name = "A cached token, allowed, records in batches: adds at most 1.5 times what `jwt_authn` with its cache adds"
    if not {ALLOWED, CACHED_NATIVELY} <= rows.keys():
        return Goal(name)
    own, native = rows[ALLOWED].adds.middle, rows[CACHED_NATIVELY].adds.middle
    return Goal(name, f"{own:.1f} µs to {native:.1f} µs: {own / native:.2f} times", own <= 1.5 * native)


def _new(rows, algorithm):
    name = f"A new {algorithm} token: adds less than `jwt_authn` without its cache"
    if not {new_token(algorithm), verified_natively(algorithm)} <= rows.keys():
        return Goal(name)
    own, native = rows[new_token(algorithm)].adds.middle, rows[verified_natively(algorithm)].adds.middle
    return Goal(name, f"{shown(own)} µs to {shown(native)} µs", own < native)


def _garbage(rows):
    name = "Refusing garbage costs less than an allowed request"
    if not {GARBAGE, ALLOWED} <= rows.keys():
        return Goal(name)
    refused, allowed = rows[GARBAGE].all.middle, rows[ALLOWED].all.middle
    return Goal(name, f"{refused:.1f} µs to {allowed:.1f} µs in all", refused < allowed)


def _judged(rows):
    name = "A patient read of 20 KB: adds at most twice a plain allowed request and one parse of the answer"
    own, parse = read("20 KB"), parsed("20 KB")
    if not {own, parse, ALLOWED, NOTHING} <= rows.keys():
        return Goal(name)
    own, plain = rows[own].adds.middle, rows[ALLOWED].adds.middle
    parse = rows[parse].adds.middle - rows[NOTHING].adds.middle
    most = 2 * (plain + parse)
    return Goal(name, f"{shown(own)} µs to 2 × ({plain:.1f} + {parse:.1f}) = {shown(most)} µs", own <= most)
