"""Counts what arrives of one topic. Knows nothing of ROS."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Arrivals:
    """Counting starts with the first message that arrives: nobody promises what was sent before the link was there."""

    first: int | None = None  # number of the first message
    last: int = -1  # highest number
    received: int = 0  # different messages
    duplicates: int = 0
    disordered: int = 0  # came after a later one
    spoilt: int = 0  # content is not what was sent
    since: float | None = None  # when the first came, s of the monotonic clock
    until: float = 0.0  # when the last came
    latency_max: float = 0.0  # s
    _missing: set[int] = field(default_factory=set)
    _latency_sum: float = 0.0
    _window: list[float] = field(default_factory=list)  # latencies since the last report
    _silence: float = 0.0  # longest time between two arrivals since the last report
    _reported: float = field(default_factory=time.monotonic)

    def add(self, number: int, latency: float, is_intact: bool) -> None:
        """Counts a message that has just arrived, with its latency in s."""
        if self.first is None:
            self.first, self.last, self.since = number, number - 1, time.monotonic()
        if number > self.last:
            self._missing.update(range(self.last + 1, number))
            self.last = number
        elif number in self._missing:
            self._missing.remove(number)
            self.disordered += 1
        elif number < self.first:
            self.disordered += 1
            return
        else:
            self.duplicates += 1
            return
        self.received += 1
        now = time.monotonic()
        self._silence = max(self._silence, now - (self.until or now))
        self.until = now
        self.spoilt += not is_intact
        self.latency_max = max(self.latency_max, latency)
        self._latency_sum += latency
        self._window.append(latency)

    def report(self) -> dict:
        """The counts so far, with rate (Hz), mean latency (s) and longest silence (s) since the report before."""
        now, window = time.monotonic(), self._window
        rate = len(window) / (now - self._reported)
        recent = sum(window) / len(window) if window else None
        silence = max(self._silence, now - self.until) if self.received else None
        self._reported, self._window, self._silence = now, [], 0.0
        return {
            "first": self.first,
            "last": self.last,
            "received": self.received,
            "missing": len(self._missing),
            "duplicates": self.duplicates,
            "disordered": self.disordered,
            "spoilt": self.spoilt,
            "since": self.since,
            "silence": silence,
            "rate": rate,
            "rate_mean": (self.received - 1) / (self.until - self.since) if self.received > 1 else 0.0,
            "latency": recent,
            "latency_mean": self._latency_sum / self.received if self.received else None,
            "latency_max": self.latency_max if self.received else None,
        }
