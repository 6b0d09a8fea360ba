"""What Envoy's threads take."""

import os
import time
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from . import instructions


@dataclass
class Spent:
    """µs of processor time by threads; instructions of the workers, `nan` where none are counted."""

    workers: float
    main: float
    others: float
    instructions: float

    @property
    def all(self):
        return self.workers + self.main + self.others

    def __sub__(self, other):
        return Spent(*(one - two for one, two in zip(astuple(self), astuple(other))))

    def __mul__(self, factor):
        return Spent(*(one * factor for one in astuple(self)))


class Meter:
    """Of one Envoy, whose workers run already."""

    def __init__(self, pid):
        self._pid, self._tasks = pid, Path(f"/proc/{pid}/task")
        self._counters = instructions.Counters(
            int(task.name) for task in self._tasks.iterdir() if _is_worker(task))
        self.idle = Spent(0, 0, 0, 0)

    @property
    def counts_instructions(self):
        return self._counters.works

    def read(self):
        """What they took so far; threads that ended aside."""
        workers = main = others = 0
        for task in self._tasks.iterdir():
            try:
                took = int((task / "schedstat").read_text().split()[0]) / 1000
                if _is_worker(task):
                    workers += took
                elif int(task.name) == self._pid:
                    main += took
                else:
                    others += took
            except (FileNotFoundError, ProcessLookupError):
                pass
        return Spent(workers, main, others, self._counters.read())

    def rest(self, seconds=3):
        """Measures what a second takes while nobody asks: that is no request's."""
        before, began = self.read(), time.monotonic()
        time.sleep(seconds)
        self.idle = (self.read() - before) * (1 / (time.monotonic() - began))


def _is_worker(task):
    return (task / "comm").read_text().startswith("wrk:")


@contextmanager
def pinned(cores):
    """What is started here runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def shared_out():
    """The core for Envoy, and those for all the rest; on a machine with one core the same."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[-1]}, set(cores[:-1]) or {cores[-1]}
