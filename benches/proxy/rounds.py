"""All sides take turns, in another order in each round: what slows the machine down for a while slows
all of them. A side is compared with its own round."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

from lab import load
from lab.processes import LabError

from .meter import Meter

CONNECTIONS, WARM, WARM_WALKING = 16, 200, 20
PACE, PACED = 1000, 300  # requests a second at most, and how many, while latency is measured
BUSY = 0.3  # of its core that Envoy works then, at most
LATENCY_EVERY = 3  # rounds


@dataclass
class Side:
    """What is sent where. `walks`: a turn goes on where the one before ended; all others send the same.
    `records`: a turn ends when the collector has its records."""

    name: str
    port: int
    requests: Path
    meter: Meter
    count: int
    status: int = 200
    records: bool = False
    walks: bool = False
    sent: int = 0

    @property
    def warm(self):
        return WARM_WALKING if self.walks else WARM


class Rounds:
    """Turns of sides. `collector` counts the records of those that send any."""

    def __init__(self, folder, collector, seed=1):
        self._folder, self._collector, self._random = folder, collector, random.Random(seed)

    def run(self, sides, rounds, latency=True, told=lambda _: None):
        """Of each side what a request takes in each round, and p50 and p99 of its latency in some of them.
        `told` is called with the number of each round."""
        costs = {side.name: [] for side in sides}
        latencies = {side.name: [] for side in sides}
        for number in range(rounds):
            told(number)
            for side in self._shuffled(sides):
                costs[side.name].append(self.turn(side))
            if latency and number % LATENCY_EVERY == 0:
                for side in self._shuffled(sides):
                    latencies[side.name].append(self._latency(side, costs[side.name][-1].all))
                self.quiet()
        return costs, latencies

    def turn(self, side):
        """What one request takes."""
        already = self._collector.lines() if side.records else 0
        self.send(side, side.warm)
        before, began = side.meter.read(), time.monotonic()
        self.send(side, side.count)
        if side.records:
            self._until(already + side.warm + side.count)
        seconds = time.monotonic() - began
        return (side.meter.read() - before - side.meter.idle * seconds) * (1 / side.count)

    def send(self, side, count, connections=CONNECTIONS, **options):
        """Sends so many requests, which must be answered with the side's status."""
        if side.walks:
            options["first"] = side.sent
        side.sent += count
        outcome = load.Requests(side.port, side.requests, self._folder, prefix="bench", count=count,
                                connections=connections, **options).outcome()
        if outcome["answered"] != {str(side.status): count}:
            raise LabError(f"`{side.name}`: {outcome}")
        return outcome

    def quiet(self, seconds=1.5):
        """Waits until no records come any more."""
        before = None
        while before != (before := self._collector.lines()):
            time.sleep(seconds)

    def _latency(self, side, cost):
        rate = min(PACE, BUSY * 1e6 / cost)
        outcome = self.send(side, round(PACED * rate / PACE), rate=rate)
        return outcome["p50_us"], outcome["p99_us"]

    def _until(self, lines, seconds=30):
        deadline = time.monotonic() + seconds
        while (come := self._collector.lines()) < lines:
            if time.monotonic() > deadline:
                raise LabError(f"{lines - come} audit records did not come within {seconds} s")
            time.sleep(0.05)

    def _shuffled(self, sides):
        return self._random.sample(sides, len(sides))


def needed(count, rounds):
    """How many requests a side with so many in a turn sends in all."""
    return rounds * (count + WARM_WALKING) + (1 + rounds // LATENCY_EVERY) * PACED
