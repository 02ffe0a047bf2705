"""The machines of two rovers and the link between them: this machine with its loopback, or two network namespaces
joined by a cable or by emulated radios. A network of its own leads to the signaling server."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.links import Link
from demo.namespaces import Namespaces
from demo.stage import ROVERS, free_port
from radios import Radios

SIGNALING, SIGNALING_DEVICE = dict(zip(ROVERS, ("10.77.0.1", "10.77.0.2"))), "signal"
CABLE = dict(zip(ROVERS, ("10.78.0.1", "10.78.0.2")))

COUNTERS = re.compile(r"(\w+) [ab]_to_[ab]: .*?Counters \{ offered: (\d+)")


class Network:
    """Where programs of both rovers run; use with `with`."""

    def __init__(self, link: Link, emulator: Path, logs: Path) -> None:
        self.link = link
        self._emulator, self._logs = emulator, logs
        self._namespaces: Namespaces | None = None
        self.radios: Radios | None = None

    def __enter__(self) -> Network:
        try:
            if self.link.needs_namespaces:
                self._make()
        except BaseException:
            self.__exit__()
            raise
        host = SIGNALING[ROVERS[1]] if self._namespaces else "127.0.0.1"
        self.server = f"{host}:{free_port()}"
        return self

    def __exit__(self, *_: object) -> None:
        if self.radios:
            self.radios.end()
        if self._namespaces:
            self._namespaces.end()

    def _make(self) -> None:
        self._namespaces = Namespaces(ROVERS, self._logs)
        self._namespaces.join(SIGNALING_DEVICE, SIGNALING)
        if not self.link.radios:
            self._namespaces.join(self.link.device, CABLE)
            return
        self.radios = Radios(self._namespaces, self.link.devices, self._logs / "link_emulator.log", self._emulator)
        for device, conditions in self.link.radios.items():
            self.radios.set(device, **conditions)

    def enter(self, rover: str) -> list[str]:
        """What to put before a command to run it on the machine of a rover."""
        return self._namespaces.enter(rover) if self._namespaces else []

    def address(self, rover: str) -> str:
        """Of a rover on the link."""
        return CABLE[rover] if self._namespaces else "127.0.0.1"

    def set_signaling(self, is_up: bool) -> None:
        """Plain DDS would take the network to the signaling server for a second link."""
        if self._namespaces:
            for rover in ROVERS:
                self._namespaces.ip(rover, f"link set {SIGNALING_DEVICE} {'up' if is_up else 'down'}")

    def set_radios(self, **conditions: bool | float) -> None:
        """Changes the link of every radio without telling anybody; the keys are those of a path in a scenario file."""
        for device in self.link.radios:
            self.radios.set(device, **conditions)

    def offered(self) -> dict[str, int]:
        """Bytes that both kernels have given to each radio so far."""
        sums = dict.fromkeys(self.link.radios, 0)
        if self.radios:
            for device, offered in COUNTERS.findall(self.radios.show()):
                sums[device] += int(offered)
        return sums

    def emulator_cpu(self) -> float:
        """CPU time that the emulator has used so far, s."""
        return cpu_time(self.radios.pid) if self.radios else 0.0


def cpu_time(pid: int) -> float:
    """CPU time that a program has used so far, s, all its threads together."""
    spent = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        spent += int(file.read_text().split()[0])
    return spent / 1e9


def resident(pid: int) -> int:
    """Memory that a program holds, B."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
