"""The radios of two rovers, each in a network namespace: devices of the kernel, and an emulator that is the air between
them (tests/lab/emulator)."""

from __future__ import annotations

import os
from pathlib import Path

from demo.namespaces import Namespaces
from demo.part import Part, PartError

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug/examples/link_emulator")

ANSWER_LIMIT = 5.0  # s for the emulator to do what it is told


class Radios:
    """Both ends of some radios, by the name of their devices."""

    def __init__(self, namespaces: Namespaces, devices: list[str], log: Path, emulator: Path = EMULATOR) -> None:
        self._namespaces = namespaces
        self._devices = devices
        if not emulator.exists():
            raise PartError(f"{emulator} is missing; run: cargo build --example link_emulator")
        self._rovers = namespaces.names
        ends = [f"--{side}={namespaces.file_of(rover)}" for side, rover in zip("ab", self._rovers)]
        self._emulator = Part("link_emulator", [str(emulator), *ends, *devices], dict(os.environ), log)
        self._expect("ready")
        for device in devices:
            for rover in self._rovers:
                namespaces.start_device(rover, device, self._address(device, rover))

    def set(self, device: str, direction: str = "both", **conditions) -> None:
        """Changes the link of a radio; the keys are those of a path in a scenario file."""
        words = [f"{key}={str(value).lower()}" for key, value in conditions.items()]
        self._do(f"set {device} {direction} {' '.join(words)}")

    def set_carrier(self, device: str, side: str, is_on: bool) -> None:
        """Lets the kernel of one side say that a radio has a carrier, or has lost it."""
        self._do(f"carrier {device} {side} {'on' if is_on else 'off'}")

    def change_address(self, device: str, rover: str, host: int) -> None:
        """Gives a rover another address on the network of a radio."""
        self._namespaces.ip(rover, f"address flush dev {device} scope global")
        self._namespaces.ip(rover, f"address add {self._network(device)}.{host}/24 dev {device}")

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

    def _address(self, device: str, rover: str) -> str:
        return f"{self._network(device)}.{self._rovers.index(rover) + 1}"

    def _network(self, device: str) -> str:
        return f"10.78.{self._devices.index(device)}"

    def _do(self, command: str) -> None:
        self._emulator.say(command)
        self._expect("ok")

    def _expect(self, answer: str) -> None:
        if (said := self._emulator.next_line(ANSWER_LIMIT)) != answer:
            raise PartError(f"the emulator says {said}")
