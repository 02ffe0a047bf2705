"""Plays a scenario in the lab: rovers, messages, what happens to the radios, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from journal import Done, read_journal
from lab import ROVERS, Lab
from measure import Measured, measure
from rovers import Rover, wait_until, wait_until_connected
from scenario import Scenario, ScenarioError, Step, Stream

TYPE = "std_msgs/msg/UInt8MultiArray"
EVENT_TYPE = "rover_link/msg/HandoverEvent"
PATH_TYPE = "rover_link/msg/PathQuality"

# The link has settled when both rovers sent by the best path for so long, s: a session that has just begun takes paths
# as they come, and tells of no handover. So long may it take; a scenario need not have a path that stays the best.
SETTLE_TIME, SETTLE_LIMIT = 2.2, 10.0
# So long may the last messages take, s.
DRAIN_LIMIT = 10.0


PHASES = ("started", "completed", "failed", "path lost", "path recovered")
REASONS = (
    "unknown", "interface_down", "interface_up", "silence", "loss", "delay", "preference", "peer_request", "manual",
    "address_changed", "peer_restarted",
)  # fmt: skip


@dataclass(frozen=True)
class Handover:
    """One phase of a handover, as a rover told it."""

    at: float  # s since the beginning
    rover: str
    event: dict

    @property
    def phase(self) -> str:
        return PHASES[self.event["phase"]]

    @property
    def reason(self) -> str:
        return REASONS[self.event["reason"]]

    def __str__(self) -> str:
        return f"handover {self.event['handover_id']} {self.phase}, {self.reason}: {self.event['reason_text']}"


@dataclass(frozen=True)
class Played:
    """What came of a scenario. Times are in s since the beginning."""

    duration: float
    streams: dict[Stream, Measured]
    handovers: list[Handover]
    journal: list[Done]
    selected_at_first: dict[str, str]  # the interface by which each rover sent

    def selected(self, rover: str, at: float) -> str:
        """The interface by which a rover sent at that moment."""
        return [interface for moment, interface in self.selections(rover) if moment <= at][-1]

    def selections(self, rover: str) -> list[tuple[float, str]]:
        """The interfaces by which a rover sent, each with the moment from which on."""
        started = [each for each in self.handovers if (each.rover, each.phase) == (rover, "started")]
        return [(0.0, self.selected_at_first[rover]), *((each.at, each.event["to_interface"]) for each in started)]

    def switches(self) -> int:
        """Handovers from one path to another, of the rover that had more."""
        return max(len(self.selections(rover)) - 1 for rover in self.selected_at_first)


class Watch(Protocol):
    """Looks on while a scenario is played."""

    def begin(self, rovers: dict[str, Rover], start: float) -> None:
        """The messages flow; the scenario begins at this moment of the monotonic clock.

        The nodes beside the rovers have subscribed to what these tell of their paths.
        """

    def look(self, until: float) -> None:
        """Nothing happens until this moment of the monotonic clock."""


class Player:
    """One run of a scenario; `without_signaling` stops the signaling server before it begins."""

    def __init__(
        self, scenario: Scenario, lab: Lab, *, without_signaling: bool = False, watch: Watch | None = None
    ) -> None:
        self._scenario, self._lab = scenario, lab
        self._without_signaling = without_signaling
        self._watch = watch
        self._streams = scenario.streams(ROVERS)
        self._rovers: dict[str, Rover] = {}

    def play(self) -> Played:
        """Plays it to its end."""
        for path in self._scenario.paths:
            self._lab.radios.set(self._scenario.device(path), **self._scenario.conditions(path))
        self._start()
        if self._without_signaling:
            self._lab.server().kill()
            self._lab.radios.note("signaling down")
        selected = {rover_id: self._selected(rover_id) for rover_id in ROVERS}
        start, began = time.monotonic(), time.time()
        if self._watch:
            self._watch.begin(self._rovers, start)
        for step in self._scenario.steps():
            self._sleep_until(start + step.at)
            self._take(step)
        end = start + self._scenario.duration
        self._sleep_until(end)
        published = {stream: self._published(stream) for stream in self._streams}
        measured = {}
        for stream in self._streams:
            arrived = self._arrived(stream, last=published[stream][-1][0])
            departures, arrivals = ([(digest, at - start) for digest, at in of] for of in (published[stream], arrived))
            warm_up, duration = self._scenario.warm_up, self._scenario.duration
            measured[stream] = measure(departures, arrivals, warm_up, duration, 1.0 / stream.rate)
        journal = read_journal(self._lab.radios.journal, began)
        return Played(self._scenario.duration, measured, self._handovers(began), journal, selected)

    def _start(self) -> None:
        for rover_id in ROVERS:
            names = [stream.name for stream in self._streams if stream.sender == rover_id]
            handover = {"duplicate": self._scenario.duplicate}
            self._rovers[rover_id] = self._lab.rover(rover_id, self._scenario.topics(names), handover=handover)
        for rover_id, peer in (ROVERS, ROVERS[::-1]):
            rover = self._rovers[rover_id]
            rover.graph.subscribe(
                f"{rover.node}/handover_event", type=EVENT_TYPE, durability="transient_local", keeps=1000
            )
            for device in map(self._scenario.device, self._scenario.paths):
                rover.graph.subscribe(path_topic(rover, peer, device), type=PATH_TYPE, keeps=10)
        for stream in self._streams:
            sender, receiver = self._rovers[stream.sender].graph, self._rovers[stream.receiver].graph
            reliability = "reliable" if self._scenario.is_reliable(stream) else "best_effort"
            receiver.subscribe(stream.received_as, type=TYPE, reliability=reliability)
            sender.advertise(f"/{stream.name}", type=TYPE, reliability=reliability)
        wait_until_connected(*self._rovers.values())
        for stream in self._streams:
            sender = self._rovers[stream.sender].graph
            sender.keep_publishing(f"/{stream.name}", rate=stream.rate, seed=str(stream), size=stream.size)
        for stream in self._streams:
            wait_until(lambda: self._count(stream), f"{stream.name} arrives at {stream.receiver}")
        self._settle()

    def _settle(self) -> None:
        """Waits until both rovers have found the path with the least delay, and stay with it."""
        best = self._scenario.device(self._scenario.quickest())
        since = time.monotonic()
        deadline = since + SETTLE_LIMIT
        while since + SETTLE_TIME > (now := time.monotonic()) and now < deadline:
            if any(self._selected(rover_id) != best for rover_id in ROVERS):
                since = now
            time.sleep(0.05)

    def _selected(self, rover_id: str) -> str:
        """The interface by which a rover sends."""
        (peer,) = set(ROVERS) - {rover_id}
        return self._rovers[rover_id].link_quality(peer)["interface"]

    def _sleep_until(self, moment: float) -> None:
        if self._watch:
            self._watch.look(moment)
        time.sleep(max(0.0, moment - time.monotonic()))

    def _take(self, step: Step) -> None:
        device = self._scenario.device(step.path) if step.path else ""
        radios, (rover_a, rover_b) = self._lab.radios, self._rovers.values()
        match step.action:
            case "set":
                radios.set(device, step.direction, **dict(step.conditions))
            case "carrier_down" | "carrier_up":
                radios.plug(device, "a", is_in=step.action == "carrier_up")
            case "new_address":
                radios.change_address(device, ROVERS[0], host=101)
            case "signaling_down":
                self._lab.server().kill()
                radios.note("signaling down")
            case "signaling_up":
                self._lab.server().start_again()
                radios.note("signaling up")
            case "restart_a" | "restart_b":
                rover = rover_a if step.action == "restart_a" else rover_b
                radios.note(f"restart {rover.rover_id}")
                rover.kill()
                rover.start()
            case other:
                raise ScenarioError(f"the lab cannot play `{other}`")

    def _count(self, stream: Stream) -> int:
        return self._rovers[stream.receiver].graph.count(stream.received_as)

    def _published(self, stream: Stream) -> list[tuple[str, float]]:
        graph = self._rovers[stream.sender].graph
        digests = graph.stop_publishing(f"/{stream.name}")
        return list(zip(digests, graph.departures(f"/{stream.name}")))

    def _arrived(self, stream: Stream, last: str) -> list[tuple[str, float]]:
        """What has arrived once the last message has, or had its time to."""
        graph = self._rovers[stream.receiver].graph
        deadline = time.monotonic() + DRAIN_LIMIT
        while not graph.has_any(stream.received_as, digests=[last]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return list(zip(graph.received(stream.received_as), graph.arrivals(stream.received_as)))

    def _handovers(self, began: float) -> list[Handover]:
        """All phases since the beginning, in the order of time."""
        handovers = []
        for rover_id, rover in self._rovers.items():
            for event in rover.graph.messages(f"{rover.node}/handover_event"):
                stamp = event["header"]["stamp"]
                at = stamp["sec"] + stamp["nanosec"] * 1e-9 - began
                if at >= 0.0:
                    handovers.append(Handover(at, rover_id, event))
        return sorted(handovers, key=lambda handover: handover.at)


def path_topic(rover: Rover, peer: str, device: str) -> str:
    """Where a rover tells of its paths from this device to the peer."""
    return f"{rover.node}/{peer}/{device}/path_quality"
