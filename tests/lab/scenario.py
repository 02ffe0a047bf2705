"""A scenario file as the lab plays it; tests/scenarios/README.md says what each key means."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

# How the kernel names devices of each kind.
DEVICE_PREFIXES = {"ethernet": "eth", "wifi": "wlan", "cellular": "wwan", "satellite": "sat", "vpn": "tun"}
# Keys of a path that say how its link is.
CONDITIONS = ("delay", "jitter", "reorder", "loss", "burst", "rate", "queue", "discipline", "up", "held")
# Messages count from so long after the beginning on, s.
WARM_UP = 1.0
# A ramp is climbed in steps of this length, s.
RAMP_STEP = 0.1


class ScenarioError(Exception):
    """The file is no scenario that the lab can play."""


@dataclass(frozen=True)
class Stream:
    """Messages of one topic in one direction."""

    name: str
    sender: str
    receiver: str
    rate: float
    size: int
    case: str  # what its figures are called: with the direction, where there is more than one

    @property
    def received_as(self) -> str:
        """Where a peer's topics appear by default."""
        return f"/{self.sender}/{self.name}"


@dataclass(frozen=True)
class Step:
    """What is to be done at one moment, s from the beginning."""

    at: float
    action: str  # `set`, or as in the file
    path: str = ""
    direction: str = "both"
    conditions: tuple[tuple[str, object], ...] = ()


class Scenario:
    """What happens to the link between two rovers, what they send, and how well that has to arrive."""

    def __init__(self, file: Path) -> None:
        self._raw = _read(file)
        self.name = self._raw["name"]
        self.duration = self._raw["duration"]
        self.warm_up = self._raw.get("warm_up", WARM_UP)
        self.duplicate = self._raw.get("duplicate", "on_suspect")
        self.paths = {path["name"]: path for path in self._raw["path"]}
        self.traffic = self._raw["traffic"]
        if any(not traffic["rate"] for traffic in self.traffic):
            raise ScenarioError(f"{file}: the lab publishes at a rate, not as fast as it goes")
        if any(traffic.get("start") for traffic in self.traffic):
            raise ScenarioError(f"{file}: the lab publishes from the beginning on, without `start`")
        if "tcp" in self._raw:
            raise ScenarioError(f"{file}: the lab has no TCP transfers beside the rovers' messages")
        if any(event.get("action") == "nat_rebind" for event in self._events()):
            raise ScenarioError(f"{file}: the lab has no NAT between the radios for `nat_rebind`")

    def device(self, path: str) -> str:
        """Name of the device that stands for a path."""
        number = list(self.paths).index(path)
        return f"{DEVICE_PREFIXES[self.paths[path]['kind']]}{number}"

    def quickest(self) -> str:
        """The path with the least delay at the beginning."""
        return min(self.paths, key=lambda path: self.conditions(path).get("delay", 0.0))

    def conditions(self, path: str) -> dict:
        """How the link of a path is at the beginning."""
        conditions = {key: value for key, value in self.paths[path].items() if key in CONDITIONS}
        if extra := self._raw.get("loss_everywhere"):
            conditions["loss"] = conditions.get("loss", 0.0) + extra
        return conditions

    def streams(self, rovers: tuple[str, str]) -> list[Stream]:
        """All messages, by topic and sender."""
        there, back = (*rovers, "a_to_b"), (*rovers[::-1], "b_to_a")
        ways = {"a": [there], "b": [back], "both": [there, back]}
        streams = []
        for traffic in self.traffic:
            name, publishers = traffic["name"], traffic["from"]
            for sender, receiver, direction in ways[publishers]:
                case = f"{name} {direction}" if publishers == "both" else name
                streams.append(Stream(name, sender, receiver, traffic["rate"], traffic["size"], case))
        return streams

    def topics(self, stream_names: list[str]) -> dict[str, dict]:
        """The parameters of these topics at their sender."""
        return {
            traffic["name"]: {
                "name": f"/{traffic['name']}",
                "delivery": traffic.get("delivery", "reliable"),
                "priority": traffic.get("priority", "normal"),
                "lifespan": float(traffic.get("lifespan", 0.0)),
            }
            for traffic in self.traffic
            if traffic["name"] in stream_names
        }

    def is_reliable(self, stream: Stream) -> bool:
        (traffic,) = (traffic for traffic in self.traffic if traffic["name"] == stream.name)
        return traffic.get("delivery", "reliable") == "reliable"

    def targets(self, name: str) -> dict[str, float]:
        """What a class of messages has to reach, by metric."""
        return self._raw.get("target", {}).get(name, {})

    def run_targets(self) -> dict[str, float]:
        """What the whole run has to reach, by metric."""
        targets = self._raw.get("target", {})
        return {metric: value for metric, value in targets.items() if not isinstance(value, dict)}

    def happenings(self) -> list[tuple[float, str]]:
        """All that happens, in words, each with its moment; a ramp is one."""
        return sorted((at, _words(event)) for event in self._events() for at in self._times(event))

    def steps(self) -> list[Step]:
        """All that happens, in the order of time."""
        now = {path: self.conditions(path) for path in self.paths}
        steps = []
        for at, event in sorted(((at, event) for event in self._events() for at in self._times(event)), key=_first):
            if "action" in event:
                steps.append(Step(at, event["action"], event.get("path", "")))
                continue
            before = now[event["path"]]
            count = max(1, round(event.get("ramp", 0.0) / RAMP_STEP))
            for number in range(count):
                part = (number + 1) / count
                conditions = {key: _between(before.get(key, 0.0), value, part) for key, value in event["set"].items()}
                direction = event.get("direction", "both")
                steps.append(Step(at + number * RAMP_STEP, "set", event["path"], direction, tuple(conditions.items())))
            now[event["path"]] = before | event["set"]
        return sorted(steps, key=lambda step: step.at)

    def _events(self) -> list[dict]:
        return self._raw.get("event", [])

    def _times(self, event: dict) -> list[float]:
        times = [event["at"]]
        while "every" in event and times[-1] + event["every"] <= event.get("until", self.duration):
            times.append(times[-1] + event["every"])
        return times


def _read(file: Path) -> dict:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ScenarioError(f"{file}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{file}: {error}") from None


def _first(pair: tuple):
    return pair[0]


def _words(event: dict) -> str:
    arrow = {"a_to_b": " a→b", "b_to_a": " b→a"}.get(event.get("direction", "both"), "")
    where = f"{event['path']}{arrow} " if "path" in event else ""
    if "action" in event:
        return where + event["action"].replace("_", " ")
    changes = [
        {("up", True): "up", ("up", False): "down"}.get(pair, f"{pair[0]} {pair[1]}") for pair in event["set"].items()
    ]
    ramp = f" within {event['ramp']:g} s" if event.get("ramp") else ""
    return f"{where}{', '.join(changes)}{ramp}"


def _between(before, after, part: float):
    """What a ramp has reached; what is no number changes at once."""
    if isinstance(after, bool) or isinstance(after, str):
        return after
    return before + (after - before) * part
