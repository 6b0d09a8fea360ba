"""A process whose wall clock is set while it runs (tests/load/clock.rs). Linux only."""

import struct
import subprocess
import sys
import time
from pathlib import Path

from lab.processes import ROOT

SOURCE, LIBRARY = ROOT / "tests" / "load" / "clock.rs", ROOT / "target" / "liblabclock.so"
WORKS = sys.platform == "linux"


class Clock:
    """A clock that goes as ours does until it is set. `env` goes into the environment of the process."""

    def __init__(self, folder):
        self._file = Path(folder) / "clock"
        self.offset = 0
        self.set(0)
        self.env = {"LD_PRELOAD": str(built()), "LAB_CLOCK": str(self._file)}

    def set(self, offset):
        """From now on it is so many seconds ahead of ours."""
        self.offset = offset
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", int(offset * 1e9)))

    def now(self):
        """Its time, in seconds since 1970."""
        return time.time() + self.offset


def built():
    """The library, compiled when it is older than its source."""
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < SOURCE.stat().st_mtime:
        LIBRARY.parent.mkdir(exist_ok=True)
        fresh = LIBRARY.with_suffix(".new")
        subprocess.run(["rustc", "--edition", "2024", "-O", "--crate-type", "cdylib", "-o", fresh, SOURCE],
                       check=True)
        fresh.replace(LIBRARY)
    return LIBRARY
