"""`make bench` runs it: PYTHONPATH=. .lab/venv/bin/python -m benches.proxy --help"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from lab import envoy as lab_envoy
from lab import load
from lab.processes import ROOT, LabError, end_on_signals, stop_all
from lab.servers import Jwks, Revocations

from . import flat, page, plot
from .goals import goals
from .listeners import FLOOR, Listeners
from .measured import measured
from .meter import Meter, pinned, shared_out
from .rounds import Rounds, Side, needed
from .rows import rows
from .traffic import Traffic

RESULTS = ROOT / "target" / "performance.json"


def main():
    options = arguments()
    end_on_signals()
    try:
        reached = run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        stop_all()
    return 1 if options.strict and not reached else 0


def arguments():
    parser = argparse.ArgumentParser(prog="benches.proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="in which all rows take turns (15)")
    parser.add_argument("--requests", type=int, default=3000, help="of a turn, at most (3000)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with this in their name, and bare ones")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the long revocation list (10^6)")
    parser.add_argument("--flat-rounds", type=int, default=9, help="for what must not grow; 0: not measured (9)")
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md as it is")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is not met")
    return parser.parse_args()


def run(options):
    """Measures, prints, writes the page; whether all goals were met."""
    if not hasattr(os, "sched_setaffinity"):
        raise LabError("the benchmark needs Linux: it reads /proc and pins processes to cores")
    for built in lab_envoy.wasm_path(), FLOOR:
        if not built.exists():
            raise LabError(f"{built} is missing: run `make bench`")
    envoys_core, others = shared_out()
    os.sched_setaffinity(0, others)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), envoys_core, envoys_core | others)
        found, counted = side_by_side(lab, options)
        reached = goals(found)
        print_table("", page.requests(found))
        growths = []
        if options.flat_rounds:
            flatness = flat.Flatness(
                lab.envoy, lab.folder, lab.traffic, lab.collector, options.entries, options.requests)
            growths, memory = flatness.run(options.flat_rounds)
            reached.append(memory)
            print_table("", page.flat(growths))
        print_table("", page.goals(reached))
    keep(found, growths, reached)
    if not (options.only or options.no_page) and growths:
        parts = {"machine": page.machine(options.rounds, options.requests, counted),
                 "requests": page.requests(found), "goals": page.goals(reached), "flat": page.flat(growths)}
        page.write(**{name: "\n".join(lines) for name, lines in parts.items()})
        page.PLOT.write_text(plot.svg(found))
    return all(goal.met for goal in reached) and all(one.is_flat for one in growths)


class Lab:
    """The servers around, and Envoys."""

    def __init__(self, folder, envoys_core, cores):
        self.folder, self._core, self._cores = folder, envoys_core, cores
        self.traffic = Traffic(folder)
        self.upstream = load.Upstream(folder)
        self.collector, self.yes = load.Collector(folder, keep=False), load.Collector(folder / "yes", keep=False)
        self.jwks, self.lists = Jwks(*self.traffic.keys.values()), Revocations()

    def envoy(self, name, workers, clusters, pin=True):
        """An Envoy, its listeners and its meter; on the core for Envoy, or on any."""
        clusters = {"fhir": self.upstream.port, "yes": self.yes.port, "collector": self.collector.port,
                    "auth": self.jwks.port, "revocations": self.lists.port, **clusters}
        with pinned(self._core if pin else self._cores):
            envoy = lab_envoy.Envoy(self.folder / name, clusters, workers=workers)
        listeners = Listeners(envoy, self.traffic.keys, self.jwks.jwks_url, self.lists.list_url,
                              self.traffic.patient())
        return envoy, listeners, Meter(envoy.pid)


def side_by_side(lab, options):
    """What the rows came to, and whether instructions were counted."""
    envoy, listeners, meter = lab.envoy("side-by-side", 1, {})
    chosen = [row for row in rows() if options.only in row.name or row.name == row.over]
    ports = listeners.all()
    sides = []
    for row in chosen:
        count = max(1, round(options.requests * row.share))
        walks = row.traffic.startswith("new ")
        file = lab.traffic.file(row.traffic, needed(count, options.rounds + 1))
        sides.append(Side(row.name, ports[row.listener], file, meter, count, row.status, row.records, walks))
    rounds = Rounds(lab.folder, lab.collector)
    for side in sides:
        rounds.send(side, side.warm)
    rounds.quiet()
    meter.rest()
    costs, latencies = rounds.run(sides, options.rounds, told=lambda number: print(
        f"\rround {number + 1} of {options.rounds}", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
    envoy.stop()
    return measured(chosen, costs, latencies), meter.counts_instructions


def print_table(title, lines):
    print(title)
    print("\n".join(lines), flush=True)


def keep(found, growths, reached):
    """The figures as JSON, for whoever wants to compare runs."""
    RESULTS.write_text(json.dumps({
        "rows": list(found.values()), "flat": growths, "goals": reached}, default=vars, indent=1))


if __name__ == "__main__":
    sys.exit(main())
