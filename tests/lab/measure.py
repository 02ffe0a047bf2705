"""What became of the messages of one stream."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Figures of one stream in one run."""

    published: int
    missing: list[float]  # when each message that did not arrive was published, s
    duplicates: int
    reordered: int
    gap: float  # largest time between two arrivals beyond the period, s
    deliveries: list[tuple[float, float]]  # when each message that arrived was published, and its latency, s

    @property
    def lost(self) -> int:
        """Messages that did not arrive."""
        return len(self.missing)

    @property
    def latencies(self) -> list[float]:
        """In ascending order, s."""
        return sorted(latency for _, latency in self.deliveries)


def measure(
    published: list[tuple[str, float]], arrived: list[tuple[str, float]], start: float, end: float, period: float
) -> Measured:
    """Compares what was published from `start` to `end` with what arrived; each message has a digest and a time."""
    departures = {digest: at for digest, at in published if start <= at < end}
    order = {digest: number for number, digest in enumerate(departures)}
    seen: set[str] = set()
    duplicates = reordered = 0
    newest, last, gap = -1, start, 0.0
    deliveries = []
    for digest, at in arrived:
        if digest not in departures:
            continue
        if digest in seen:
            duplicates += 1
            continue
        seen.add(digest)
        reordered += order[digest] < newest
        newest = max(newest, order[digest])
        gap, last = max(gap, at - last), at
        deliveries.append((departures[digest], at - departures[digest]))
    # Silence up to the end counts as well.
    gap = max(gap, end - last)
    missing = [at for digest, at in departures.items() if digest not in seen]
    return Measured(len(departures), missing, duplicates, reordered, max(0.0, gap - period), deliveries)


def percentile(ascending: list[float], part: float) -> float:
    """The smallest of the values that this part of all does not exceed; NaN of none."""
    if not ascending:
        return math.nan
    return ascending[max(0, math.ceil(part * len(ascending)) - 1)]
