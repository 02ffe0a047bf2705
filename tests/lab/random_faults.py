"""What may happen to the networks of two rovers, drawn at random: the same seed gives the same faults.

No rover is killed here: what it has taken dies with it, uncounted, so the counters of a run would prove nothing any more.
tests/lab/test_restart.py does that.
No NAT forgets its ports either: between the namespaces there is none, and one within them would spoil what the kernel
sends in segments, whose checksums it then gets wrong on devices that compute none, as radios here (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random

from lab import ROVERS, Lab

# From the beginning of a fault to that of the next one, s.
PAUSES = (5.0, 20.0)
# Faults of the radios are over before the next one can begin. Each lasts so long, s.
DURATIONS = (0.5, 4.8)
OUTAGES = (1.0, 4.8)
# Signaling may be gone while other things happen.
SIGNALING = (2.0, 30.0)
# The last faults end so long before the run does, s.
CALM = 2.0

LOSS = 0.3
DELAYS = (0.05, 0.5)  # s, one way
# Numbers of new addresses on the network of a radio; lower ones are taken.
FIRST_HOST, LAST_HOST = 10, 250

Act = Callable[[Lab], None]


@dataclass(frozen=True)
class Fault:
    """Something that happens to a network and is made good again."""

    at: float  # s since the beginning
    duration: float  # s
    kind: str
    name: str  # for people
    begin: Act
    end: Act

    @property
    def over(self) -> float:
        """When it is made good, s since the beginning."""
        return self.at + self.duration


@dataclass(frozen=True)
class Kind:
    """How faults of a kind are drawn."""

    durations: tuple[float, float]
    draw: Callable[[Draw], tuple[str, Act, Act]]


class Draw:
    """What chance decides about a fault. `radios` are the conditions of each radio without faults, by device."""

    def __init__(self, seed: int, radios: dict[str, dict[str, float]]) -> None:
        self.chance = Random(seed)
        self.radios = radios
        # Even numbers for one rover, odd ones for the other.
        self._hosts = {rover: cycle(range(FIRST_HOST + number, LAST_HOST, 2)) for number, rover in enumerate(ROVERS)}

    def device(self) -> str:
        return self.chance.choice(list(self.radios))

    def rover(self) -> str:
        return self.chance.choice(ROVERS)

    def direction(self) -> str:
        return self.chance.choice(["a_to_b", "b_to_a"])

    def host(self, rover: str) -> int:
        """Number of an address that nobody has had for long."""
        return next(self._hosts[rover])


def carrier_down(draw: Draw) -> tuple[str, Act, Act]:
    device, side = draw.device(), draw.chance.choice(["a", "b", "both"])
    return f"carrier of {device} down ({side})", *_carriers([device], side)


def outage_with_carriers_down(draw: Draw) -> tuple[str, Act, Act]:
    return "all carriers down", *_carriers(list(draw.radios), "both")


def _carriers(devices: list[str], side: str) -> tuple[Act, Act]:
    def set_all(lab: Lab, is_on: bool) -> None:
        for device in devices:
            lab.radios.set(device, up=is_on)
            lab.radios.set_carrier(device, side, is_on)

    return lambda lab: set_all(lab, False), lambda lab: set_all(lab, True)


def blackhole(draw: Draw) -> tuple[str, Act, Act]:
    device = draw.device()
    return f"blackhole of {device}", *_changes([device], "both", {"up": False}, {"up": True})


def one_way_blackhole(draw: Draw) -> tuple[str, Act, Act]:
    device, direction = draw.device(), draw.direction()
    return f"blackhole of {device} {direction}", *_changes([device], direction, {"up": False}, {"up": True})


def outage(draw: Draw) -> tuple[str, Act, Act]:
    return "blackhole of all radios", *_changes(list(draw.radios), "both", {"up": False}, {"up": True})


def loss(draw: Draw) -> tuple[str, Act, Act]:
    device = draw.device()
    usual = {"loss": draw.radios[device].get("loss", 0.0)}
    return f"loss of {LOSS:.0%} on {device}", *_changes([device], "both", {"loss": LOSS}, usual)


def delay_step(draw: Draw) -> tuple[str, Act, Act]:
    device, delay = draw.device(), round(draw.chance.uniform(*DELAYS), 3)
    usual = {"delay": draw.radios[device].get("delay", 0.0)}
    return f"delay of {delay:.3f} s on {device}", *_changes([device], "both", {"delay": delay}, usual)


def _changes(devices: list[str], direction: str, changed: dict, usual: dict) -> tuple[Act, Act]:
    def set_all(lab: Lab, conditions: dict) -> None:
        for device in devices:
            lab.radios.set(device, direction, **conditions)

    return lambda lab: set_all(lab, changed), lambda lab: set_all(lab, usual)


def new_address(draw: Draw) -> tuple[str, Act, Act]:
    device, rover = draw.device(), draw.rover()
    host = draw.host(rover)
    # It stays: the next one takes its place.
    return f"new address of {rover} on {device}", lambda lab: lab.radios.change_address(device, rover, host), _nothing


def signaling_down(_: Draw) -> tuple[str, Act, Act]:
    return "signaling server killed", lambda lab: lab.server().kill(), lambda lab: lab.server().start_again()


def _nothing(_: Lab) -> None:
    pass


KINDS = {
    "carrier_down": Kind(DURATIONS, carrier_down),
    "blackhole": Kind(DURATIONS, blackhole),
    "one_way_blackhole": Kind(DURATIONS, one_way_blackhole),
    "loss": Kind(DURATIONS, loss),
    "delay_step": Kind(DURATIONS, delay_step),
    "new_address": Kind((0.0, 0.0), new_address),
    "outage": Kind(OUTAGES, outage),
    "carriers_outage": Kind(OUTAGES, outage_with_carriers_down),
    "signaling_down": Kind(SIGNALING, signaling_down),
}


def draw_faults(seed: int, seconds: float, radios: dict[str, dict[str, float]]) -> list[Fault]:
    """Faults for a run of this length, by the time at which they begin. All kinds come once before one comes again."""
    draw = Draw(seed, radios)
    faults: list[Fault] = []
    at, last_over = 0.0, {}
    for kind in _in_turn(draw.chance):
        at += draw.chance.uniform(*PAUSES)
        duration = draw.chance.uniform(*KINDS[kind].durations)
        name, begin, end = KINDS[kind].draw(draw)
        if at >= seconds - CALM - KINDS[kind].durations[0]:
            return faults
        # What is still going on cannot begin.
        if at > last_over.get(kind, 0.0):
            fault = Fault(at, min(duration, seconds - CALM - at), kind, name, begin, end)
            faults.append(fault)
            last_over[kind] = fault.over
    raise AssertionError("kinds come round for ever")


def _in_turn(chance: Random) -> Iterator[str]:
    while True:
        yield from chance.sample(list(KINDS), len(KINDS))
