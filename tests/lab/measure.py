"""What became of the messages of one stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

@dataclass(frozen=True)
class Measured:
    """Figures of one stream in one run."""

    published: int
    lost: int
    duplicates: int
    reordered: int
    gap: float  # largest time between two arrivals beyond the period, s
    latencies: list[float]  # s, in ascending order

    def figures(self) -> dict[str, tuple[float, str]]:
        """Value and unit by metric; the percentiles of gaps are those of a single run."""
        gaps = {name: (self.gap, "s") for name in ("gap_p50", "gap_p99", "gap_max")}
        latencies = {
            "latency_p50": (percentile(self.latencies, 0.5), "s"),
            "latency_p99": (percentile(self.latencies, 0.99), "s"),
            "latency_max": (percentile(self.latencies, 1.0), "s"),
        }
        counts = {name: (getattr(self, name), "1") for name in ("lost", "duplicates", "reordered")}
        return {**gaps, **latencies, **counts}


def measure(
    published: list[tuple[str, float]], arrived: list[tuple[str, float]], start: float, end: float, period: float
) -> Measured:
    """Compares what was published from `start` to `end` with what arrived; each message has a digest and a time."""
    departures = {digest: at for digest, at in published if start <= at < end}
    order = {digest: number for number, digest in enumerate(departures)}
    seen: set[str] = set()
    duplicates = reordered = 0
    newest, last, gap = -1, start, 0.0
    latencies = []
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
        latencies.append(at - departures[digest])
    # Silence up to the end counts as well.
    gap = max(gap, end - last)
    lost = len(departures) - len(seen)
    return Measured(len(departures), lost, duplicates, reordered, max(0.0, gap - period), sorted(latencies))


def percentile(ascending: list[float], part: float) -> float:
    """The value that this part of all does not exceed; NaN of none."""
    if not ascending:
        return math.nan
    return ascending[min(len(ascending) - 1, math.ceil(part * len(ascending)) - 1)]
