"""What the endpoints have recorded, and the figures in it. Knows nothing of ROS."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from pathlib import Path

NANOSECONDS = 1e9
FIELDS = 3  # of a message that was taken: number, stamp, arrival


@dataclass(frozen=True)
class Samples:
    """Messages of one topic: when each was published, and those taken with number, departure and arrival; s."""

    published: list[float]
    taken: list[tuple[int, float, float]]

    @classmethod
    def read(cls, publisher: Path, subscriber: Path) -> Samples:
        """Reads what both endpoints have written."""
        numbers = _numbers(subscriber)
        rows = zip(numbers[::FIELDS], numbers[1::FIELDS], numbers[2::FIELDS])
        taken = [(number, stamp / NANOSECONDS, arrival / NANOSECONDS) for number, stamp, arrival in rows]
        return cls([stamp / NANOSECONDS for stamp in _numbers(publisher)], taken)

    def figures(self, start: float, end: float, size: int) -> dict[str, float | None]:
        """Of the messages that were published from `start` to `end`; goodput is of what arrived meanwhile."""
        published = {number for number, at in enumerate(self.published) if start <= at < end}
        seen: set[int] = set()
        latencies: list[float] = []
        duplicates = reordered = 0
        newest = -1
        for number, departure, arrival in self.taken:
            if number not in published:
                continue
            if number in seen:
                duplicates += 1
                continue
            seen.add(number)
            reordered += number < newest
            newest = max(newest, number)
            latencies.append(arrival - departure)
        latencies.sort()
        arrived = sum(start <= arrival < end for _, _, arrival in self.taken)
        return {
            "delivered": len(seen) / len(published) if published else None,
            "lost": len(published) - len(seen),
            "duplicates": duplicates,
            "reordered": reordered,
            "latency_p50": percentile(latencies, 0.5),
            "latency_p99": percentile(latencies, 0.99),
            "latency_max": percentile(latencies, 1.0),
            "goodput": arrived * size / (end - start),
        }

    def first_arrival(self, since: float) -> float | None:
        """How long after a moment the first message arrived."""
        return min((arrival - since for _, _, arrival in self.taken if arrival >= since), default=None)


def percentile(ascending: list[float], part: float) -> float | None:
    """The value that this part of all does not exceed."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(part * len(ascending)) - 1)]


def _numbers(file: Path) -> array:
    """64-bit numbers of this machine."""
    numbers = array("Q")
    numbers.frombytes(file.read_bytes())
    return numbers
