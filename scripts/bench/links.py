"""The links that are measured: this machine itself, a cable between two network namespaces, and emulated radios with
the conditions of the scenarios in tests/scenarios."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parents[2] / "tests/scenarios"

# What the devices of each kind are called, by which the node knows them too.
DEVICES = {"ethernet": "eth0", "wifi": "wlan0", "cellular": "wwan0", "satellite": "sat0"}
CONDITIONS = ("delay", "jitter", "loss", "rate")


@dataclass(frozen=True)
class Link:
    """One or more paths between two rovers: devices, each with the conditions of its radio."""

    name: str
    radios: dict[str, dict[str, float]] = field(default_factory=dict)  # none: not emulated
    device: str = ""  # of a link that is not emulated

    @property
    def devices(self) -> list[str]:
        return list(self.radios) or [self.device]

    @property
    def needs_namespaces(self) -> bool:
        return self.device != "lo"

    @property
    def rate(self) -> float:
        """Of the first radio, B/s; 0 without a limit."""
        return next(iter(self.radios.values()), {}).get("rate", 0.0)

    @property
    def round_trip(self) -> float:
        """Of the slowest radio, s."""
        return 2 * max((radio["delay"] + radio["jitter"] for radio in self.radios.values()), default=0.0)


def scenario(name: str) -> dict:
    """A scenario file."""
    return tomllib.loads((SCENARIOS / f"{name}.toml").read_text())


def _emulated(*names: str) -> Link:
    radios = {}
    for name in names:
        (path,) = scenario(f"load-{name}")["path"]
        radios[DEVICES[path["kind"]]] = {key: path.get(key, 0.0) for key in CONDITIONS}
    return Link(" and ".join(names), radios)


LOOPBACK = Link("loopback", device="lo")
CABLE = Link("cable", device="eth0")
LADDER = {name: _emulated(name) for name in ("ethernet", "wifi", "fringe", "lte", "bad-lte", "satellite")}
WIFI, LTE = LADDER["wifi"], LADDER["lte"]
WIFI_AND_LTE = _emulated("wifi", "lte")
HUGE, SHARED = _emulated("huge"), _emulated("tcp-fifo")
