"""Shows a scenario while it is played: how the paths are, and how long the topics were silent so far."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from demo.screen import Screen, aligned
from lab import ROVERS
from player import path_topic
from rovers import Rover
from scenario import Scenario, Stream

PATH_STATES = ("down", "checking", "good", "suspect", "dead", "probation")
PERIOD = 0.25  # s between two looks; the rovers tell of their paths ten times a second


@dataclass(frozen=True)
class Quality:
    """What a rover told of one of its interfaces."""

    at: float  # s since the beginning
    rover: str
    interface: str
    message: dict

    @property
    def state(self) -> str:
        return PATH_STATES[self.message["state"]]


class Flow:
    """How a stream arrives."""

    def __init__(self) -> None:
        self.arrived = 0
        self.gap = 0.0  # s, longest time between two arrivals beyond the period
        self._last: float | None = None

    def add(self, arrivals: list[float], now: float, period: float) -> None:
        """Takes the arrivals since the last call, s of the monotonic clock."""
        self.arrived += len(arrivals)
        for at in arrivals:
            self._take(at, period)
            self._last = at
        self._take(now, period)

    def _take(self, at: float, period: float) -> None:
        if self._last is not None:
            self.gap = max(self.gap, at - self._last - period)


class Live:
    """Looks on while a scenario is played; `qualities` is all that the rovers told of their interfaces."""

    def __init__(self, scenario: Scenario) -> None:
        self.qualities: list[Quality] = []
        self._scenario = scenario
        self._screen = Screen("lab")
        self._rovers: dict[str, Rover] = {}
        self._flows = {stream: Flow() for stream in scenario.streams(ROVERS)}
        self._skipped: dict[Stream, int] = {}  # what had arrived before the beginning
        self._newest: dict[tuple[str, str], Quality] = {}
        self._start = self._began = 0.0

    def begin(self, rovers: dict[str, Rover], start: float) -> None:
        """Begins to look at the rovers, at this moment of the monotonic clock."""
        self._rovers, self._start = rovers, start
        self._began = time.time() - (time.monotonic() - start)
        for stream in self._flows:
            self._skipped[stream] = rovers[stream.receiver].graph.count(stream.received_as)

    def look(self, until: float) -> None:
        """Shows how things are until shortly before this moment of the monotonic clock."""
        while time.monotonic() + PERIOD < until:
            self._gather()
            self._screen.show(time.monotonic() - self._start, self._table, self._line)
            time.sleep(max(0.0, min(PERIOD, until - PERIOD - time.monotonic())))

    def _topics(self) -> list[tuple[str, str, str]]:
        """Rover, device, and where the rover tells of it."""
        devices = [self._scenario.device(path) for path in self._scenario.paths]
        return [
            (rover, device, path_topic(self._rovers[rover], peer, device))
            for rover, peer in (ROVERS, ROVERS[::-1])
            for device in devices
        ]

    def _gather(self) -> None:
        for rover, device, topic in self._topics():
            for message in self._rovers[rover].graph.messages(topic):
                stamp = message["header"]["stamp"]
                at = stamp["sec"] + stamp["nanosec"] * 1e-9 - self._began
                newest = self._newest.get((rover, device))
                if newest is None or at > newest.at:
                    self._newest[rover, device] = Quality(at, rover, device, message)
                    self.qualities.append(self._newest[rover, device])
        for stream, flow in self._flows.items():
            graph = self._rovers[stream.receiver].graph
            arrivals = graph.arrivals(stream.received_as, first=self._skipped[stream] + flow.arrived)
            flow.add(arrivals, time.monotonic(), 1.0 / stream.rate)

    def _table(self) -> str:
        paths = [["rover", "interface", "used", "state", "RTT ms", "loss out %", "loss in %"]]
        for quality in self._newest.values():
            message = quality.message
            shown = [
                shown_as(message["round_trip_time"], 1e3),
                *(shown_as(message[f"loss_ratio_{way}"], 1e2) for way in ("sent", "received")),
            ]
            used = "yes" if message["selected"] else ""
            paths.append([quality.rover, quality.interface, used, quality.state, *shown])
        streams = [["messages", "arrived", "gap so far ms"]]
        for stream, flow in self._flows.items():
            streams.append([stream.case, str(flow.arrived), f"{flow.gap * 1e3:.0f}"])
        return "\n".join([self._happened(), "", *aligned(paths), "", *aligned(streams)])

    def _line(self) -> str:
        paths = []
        for quality in self._newest.values():
            used = "*" if quality.message["selected"] else ""
            round_trip = shown_as(quality.message["round_trip_time"], 1e3)
            loss = shown_as(quality.message["loss_ratio_sent"], 1e2)
            paths.append(f"{quality.rover} {quality.interface}{used} {quality.state} {round_trip} ms {loss} %")
        gap = max((flow.gap for flow in self._flows.values()), default=0.0)
        return " | ".join([self._happened(), *paths, f"gap so far {gap * 1e3:.0f} ms"])

    def _happened(self) -> str:
        """What happened last."""
        elapsed = time.monotonic() - self._start
        past = [text for at, text in self._scenario.happenings() if at <= elapsed]
        return past[-1] if past else "nothing has happened yet"


def shown_as(value: float, factor: float) -> str:
    """The value in another unit; what is not measured is a dash."""
    return "-" if math.isnan(value) else f"{value * factor:.1f}"
