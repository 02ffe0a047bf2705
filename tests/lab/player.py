"""Plays a scenario in the lab: rovers, messages, what happens to the radios, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab import ROVERS, Lab
from measure import Measured, measure
from rovers import Rover, wait_until, wait_until_connected
from scenario import Scenario, ScenarioError, Step, Stream

TYPE = "std_msgs/msg/UInt8MultiArray"
EVENT_TYPE = "rover_link/msg/HandoverEvent"

# So long may the link take to find its best path, s; a scenario need not have one that stays the best.
SETTLE_LIMIT = 5.0
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
    """What came of a scenario."""

    streams: dict[Stream, Measured]
    handovers: list[Handover]


class Player:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, lab: Lab) -> None:
        self._scenario, self._lab = scenario, lab
        self._streams = scenario.streams(ROVERS)
        self._rovers: dict[str, Rover] = {}

    def play(self) -> Played:
        """Plays it to its end."""
        for path in self._scenario.paths:
            self._lab.radios.set(self._scenario.device(path), **self._scenario.conditions(path))
        self._start()
        start, began = time.monotonic(), time.time()
        for step in self._scenario.steps():
            sleep_until(start + step.at)
            self._take(step)
        end = start + self._scenario.duration
        sleep_until(end)
        published = {stream: self._published(stream) for stream in self._streams}
        measured = {}
        for stream in self._streams:
            arrived = self._arrived(stream, last=published[stream][-1][0])
            counted_from = start + self._scenario.warm_up
            measured[stream] = measure(published[stream], arrived, counted_from, end, 1.0 / stream.rate)
        return Played(measured, self._handovers(began))

    def _start(self) -> None:
        for rover_id in ROVERS:
            names = [stream.name for stream in self._streams if stream.sender == rover_id]
            handover = {"duplicate": self._scenario.duplicate}
            rover = self._lab.rover(rover_id, self._scenario.topics(names), handover=handover)
            rover.graph.subscribe(
                f"{rover.node}/handover_event", type=EVENT_TYPE, durability="transient_local", keeps=1000
            )
            self._rovers[rover_id] = rover
        wait_until_connected(*self._rovers.values())
        for stream in self._streams:
            sender, receiver = self._rovers[stream.sender].graph, self._rovers[stream.receiver].graph
            reliability = "reliable" if self._scenario.is_reliable(stream) else "best_effort"
            receiver.subscribe(stream.received_as, type=TYPE, reliability=reliability)
            sender.advertise(f"/{stream.name}", type=TYPE, reliability=reliability)
            sender.keep_publishing(f"/{stream.name}", rate=stream.rate, seed=str(stream), size=stream.size)
        for stream in self._streams:
            wait_until(lambda: self._count(stream), f"{stream.name} arrives at {stream.receiver}")
        self._settle()

    def _settle(self) -> None:
        """Waits until both rovers have found the path with the least delay."""
        best = self._scenario.device(self._scenario.quickest())
        rovers = list(zip(self._rovers.values(), ROVERS[::-1]))
        deadline = time.monotonic() + SETTLE_LIMIT
        while time.monotonic() < deadline:
            if all(rover.link_quality(peer)["interface"] == best for rover, peer in rovers):
                return
            time.sleep(0.05)

    def _take(self, step: Step) -> None:
        device = self._scenario.device(step.path) if step.path else ""
        radios, (rover_a, rover_b) = self._lab.radios, self._rovers.values()
        match step.action:
            case "set":
                radios.set(device, step.direction, **dict(step.conditions))
            case "carrier_down":
                radios.set(device, up=False)
                radios.set_carrier(device, "a", False)
            case "carrier_up":
                radios.set(device, up=True)
                radios.set_carrier(device, "a", True)
            case "new_address":
                radios.change_address(device, ROVERS[0], host=101)
            case "signaling_down":
                self._lab.server().kill()
            case "signaling_up":
                self._lab.server().start_again()
            case "restart_a" | "restart_b":
                rover = rover_a if step.action == "restart_a" else rover_b
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


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
