"""Where the demo's programs run: two network namespaces joined by two radios, or simply this machine's loopback.

Everything that is started or made is gone when the stage is left, whatever the reason.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from demo.namespaces import Namespaces
from demo.part import Part

ROVERS = ("rover_a", "rover_b")
# Both ends of a radio have its name; the addresses are rover_a's and rover_b's.
RADIOS = {"wlan0": ("10.77.1.1", "10.77.1.2"), "wwan0": ("10.77.2.1", "10.77.2.2")}

STOP_LIMIT = 4.0  # s from SIGINT to SIGKILL; a node needs at most 2

# Made for this run only.
SECRETS = {"ROVER_LINK_TOKEN": secrets.token_hex(16), "ROVER_LINK_FLEET_KEY": secrets.token_hex(32)}


class Stage:
    """Starts programs and stops them all; use with `with`. `namespaces` asks for a network namespace for each rover."""

    def __init__(self, logs: Path, namespaces: bool) -> None:
        self.parts: list[Part] = []
        self.unclean: list[str] = []  # programs that did not stop as they should
        self.logs = logs
        self.has_namespaces = namespaces
        self._namespaces: Namespaces | None = None

    def __enter__(self) -> Stage:
        signal.signal(signal.SIGTERM, _exit_on_signal)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="rover_link_"))  # for what the programs write, removed at the end
        try:
            if self.has_namespaces:
                self._namespaces = Namespaces(ROVERS, self.logs)
                for radio, addresses in RADIOS.items():
                    self._namespaces.join(radio, dict(zip(ROVERS, addresses)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # tidying up is bounded, and comes first
        self.stop(self.parts)
        if self._namespaces:
            self._namespaces.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def start(self, name: str, argv: list[str], env: dict[str, str], rover: str = ROVERS[0]) -> Part:
        """Starts a program on the machine of a rover."""
        if self._namespaces:
            argv = [*self._namespaces.enter(rover), *argv]
        part = Part(name, argv, env, self.logs / f"{name}.log")
        self.parts.append(part)
        return part

    def check(self) -> None:
        """Raises if any program has ended by itself."""
        for part in self.parts:
            part.check()

    def stop(self, parts: list[Part]) -> None:
        """Stops programs: all at once, orderly if they can."""
        for part in parts:
            part.signal(signal.SIGINT)
        end = time.monotonic() + STOP_LIMIT
        for part in parts:
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(max(0.0, end - time.monotonic()))
            part.signal(signal.SIGKILL)
            if status := part.process.wait():
                self.unclean.append(f"{part.name} stopped with status {status}")
        self.parts = [part for part in self.parts if part not in parts]

    def set_radio(self, radio: str, is_up: bool) -> None:
        """Takes a radio of the first rover away, or brings it back."""
        self._namespaces.ip(ROVERS[0], f"link set {radio} {'up' if is_up else 'down'}")

    def enter_command(self, rover: str) -> str:
        """What to put before a command to run it on the machine of a rover; empty if that is this one."""
        return self._namespaces.enter_from_shell(rover) if self._namespaces else ""


def environment(stage: Stage) -> dict[str, str]:
    """For all programs: the secrets, and no ROS but this machine's."""
    shell = {name: value for name, value in os.environ.items() if name not in ("ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY")}
    ros = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_HOME": str(stage.folder)}
    return {**shell, **SECRETS, **ros}


def free_port() -> int:
    """A TCP port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_domains() -> Iterator[str]:
    """ROS domains that no program of this machine takes part in, told by the port that the first one of a domain binds."""
    for domain in range(41, 101):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("", 7410 + 250 * domain))
            yield str(domain)


def _exit_on_signal(number: int, _: object) -> None:
    sys.exit(128 + number)
