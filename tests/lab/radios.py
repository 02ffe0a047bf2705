"""The radios of two rovers, each in a network namespace: devices of the kernel, and an emulator that is the air between
them (tests/lab/emulator)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from demo.namespaces import Namespaces
from demo.part import Part, PartError

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug/examples/link_emulator")

ANSWER_LIMIT = 5.0  # s for the emulator to do what it is told

# Packets that wait for the emulator where the machine lets it wait; those that wait for the radio wait in its model.
QUEUE_LENGTH = 4096

# The networks of the radios, by version of IP and number of the radio: of which the rovers are the first hosts.
NETWORKS = {4: ("10.78.{}.", 24), 6: ("fd78:{}::", 64)}


class NoRadiosError(Exception):
    """No radios can be emulated here; what needs them was not done."""


def why_no_radios() -> str:
    """Empty if this process can make network namespaces with radios in them; else what the system says."""
    if missing := [tool for tool in ("unshare", "nsenter", "ip") if not shutil.which(tool)]:
        return f"the program {missing[0]} is missing"
    test = ["unshare", "--net", "ip", "tuntap", "add", "dev", "radio", "mode", "tun"]
    tried = subprocess.run(test, capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


class Radios:
    """Both ends of some radios, by the name of their devices; each has an address of these versions of IP.

    The emulator writes what is done to them, and when, to `journal`.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        devices: list[str],
        log: Path,
        emulator: Path = EMULATOR,
        versions: tuple[int, ...] = (4,),
    ) -> None:
        self._namespaces = namespaces
        self._devices = devices
        self._versions = versions
        self.journal = log.with_suffix(".journal")
        if not emulator.exists():
            raise PartError(f"{emulator} is missing; run: cargo build --example link_emulator")
        self._rovers = namespaces.names
        ends = [f"--{side}={namespaces.file_of(rover)}" for side, rover in zip("ab", self._rovers)]
        argv = [str(emulator), *ends, f"--log={self.journal}", *devices]
        self._emulator = Part("link_emulator", argv, dict(os.environ), log)
        self._expect("ready")
        for device in devices:
            for rover in self._rovers:
                self._add_addresses(device, rover, self._rovers.index(rover) + 1)
                namespaces.ip(rover, f"link set {device} txqueuelen {QUEUE_LENGTH} up")

    def set(self, device: str, direction: str = "both", **conditions) -> None:
        """Changes the link of a radio; the keys are those of a path in a scenario file."""
        self._do(self._set(device, direction, **conditions))

    def set_carrier(self, device: str, side: str, is_on: bool) -> None:
        """Lets the kernel of one side say that a radio has a carrier, or has lost it."""
        self._do(self._carrier(device, side, is_on))

    def plug(self, device: str, side: str, is_in: bool) -> None:
        """Pulls the cable of a radio at one side, or plugs it in: the kernel there says so, and nothing passes or all
        does, at the same moment."""
        self._do(self._carrier(device, side, is_in), self._set(device, "both", up=is_in))

    def change_address(self, device: str, rover: str, host: int) -> None:
        """Gives a rover another address on the network of a radio. The journal tells when that began and ended."""
        side = "ab"[self._rovers.index(rover)]
        self.note(f"address {device} {side} changes")
        for version in self._versions:
            self._namespaces.ip(rover, f"-{version} address flush dev {device} scope global")
        self._add_addresses(device, rover, host)
        self.note(f"address {device} {side} changed")

    def address(self, device: str, rover: str, version: int = 4) -> str:
        """The address that a rover has on the network of a radio at first."""
        return f"{self._network(device, version)[0]}{self._rovers.index(rover) + 1}"

    def note(self, text: str) -> None:
        """Writes to the journal that something else was done."""
        self._do(f"note {text}")

    def show(self) -> str:
        """How each link is, and the bytes it was given, dropped, lost and delivered, as the emulator tells it."""
        self._emulator.say("show")
        return self._emulator.next_line(ANSWER_LIMIT)

    @property
    def pid(self) -> int:
        """Of the emulator."""
        return self._emulator.process.pid

    def end(self) -> None:
        """Ends the emulator, and with it the devices."""
        self._emulator.process.stdin.close()
        self._emulator.process.wait(ANSWER_LIMIT)

    def _add_addresses(self, device: str, rover: str, host: int) -> None:
        for version in self._versions:
            prefix, length = self._network(device, version)
            # A radio is no medium on which others could have the same address.
            at_once = " nodad" if version == 6 else ""
            self._namespaces.ip(rover, f"address add {prefix}{host}/{length} dev {device}{at_once}")

    def _network(self, device: str, version: int) -> tuple[str, int]:
        prefix, length = NETWORKS[version]
        return prefix.format(self._devices.index(device)), length

    def _set(self, device: str, direction: str, **conditions) -> str:
        words = [f"{key}={str(value).lower()}" for key, value in conditions.items()]
        return f"set {device} {direction} {' '.join(words)}"

    def _carrier(self, device: str, side: str, is_on: bool) -> str:
        return f"carrier {device} {side} {'on' if is_on else 'off'}"

    def _do(self, *commands: str) -> None:
        """Says them all at once: nothing comes in between."""
        self._emulator.say("\n".join(commands))
        for _ in commands:
            self._expect("ok")

    def _expect(self, answer: str) -> None:
        if (said := self._emulator.next_line(ANSWER_LIMIT)) != answer:
            raise PartError(f"the emulator says {said}")
