"""What the rounds came to: medians and quartiles."""

import math
import statistics
from dataclasses import dataclass


@dataclass
class Spread:
    """Median and quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values):
        if len(values) < 2:
            return cls(*values * 3)
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def __str__(self):
        return f"{shown(self.middle)} ({shown(self.low)} to {shown(self.high)})"


@dataclass
class Measured:
    """One row. `all`: µs of processor time of all of Envoy's threads for a request; `main`: of its main
    thread; `adds`: what is more than the listener without a filter, within each round."""

    name: str
    all: Spread
    main: Spread
    adds: Spread
    instructions: Spread
    p50: float
    p99: float


def measured(rows, costs, latencies):
    """By name."""
    return {row.name: _of(row, costs, latencies) for row in rows}


def _of(row, costs, latencies):
    own, plain = costs[row.name], costs[row.over]
    more = [one.all - other.all for one, other in zip(own, plain)]
    p50, p99 = (statistics.median(column) for column in zip(*latencies[row.name]))
    return Measured(
        row.name, Spread.of([one.all for one in own]), Spread.of([one.main for one in own]),
        Spread.of(more), Spread.of([one.instructions for one in own]), p50, p99)


def shown(value):
    """With as many digits as say something."""
    if math.isnan(value):
        return "not available"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
