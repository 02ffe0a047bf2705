"""Two rovers with real kernels, real sockets and real ROS, joined by nothing but emulated radios, and by a network of
its own to the signaling server."""

from __future__ import annotations

from pathlib import Path

from demo.namespaces import Namespaces
from radios import NoRadiosError, Radios, why_no_radios
from rovers import Fleet, Server

ROVERS = ("rover_a", "rover_b")
# The signaling server runs beside rover_b.
SIGNALING = dict(zip(ROVERS, ("10.77.0.1", "10.77.0.2")))
TOKEN = "a-token-that-the-lab-shares"


class Lab(Fleet):
    """A fleet of two, each in a network namespace with these radios; the links are perfect at first.

    The radios have addresses of these versions of IP.
    """

    bind = f"{SIGNALING[ROVERS[1]]}:0"

    def __init__(self, folder: Path, devices: list[str], versions: tuple[int, ...] = (4,)) -> None:
        if reason := why_no_radios():
            raise NoRadiosError(f"no network namespace with a TUN device can be made: {reason}")
        super().__init__(folder)
        self._devices = devices
        self._namespaces = Namespaces(ROVERS, folder)
        try:
            self._namespaces.join("signal", SIGNALING)
            self.radios = Radios(self._namespaces, devices, folder / "emulator.log", versions=versions)
        except BaseException:
            self._namespaces.end()
            raise

    def server(self, token: str = TOKEN) -> Server:
        return super().server(token)

    def described_rover(self, rover_id: str, topics: dict[str, dict] | None = None, **options):
        return super().described_rover(
            rover_id,
            topics,
            environment={"ROVER_LINK_TOKEN": TOKEN, **(options.pop("environment", None) or {})},
            **{"interfaces": {"allow": self._devices}, **options},
        )

    def enter(self, program: str) -> list[str]:
        return self._namespaces.enter(program if program in ROVERS else ROVERS[1])

    def end(self) -> list[str]:
        killed = super().end()
        self.radios.end()
        self._namespaces.end()
        return killed
