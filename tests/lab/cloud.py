"""Rovers at homes all over a small internet, and what they find in the cloud: the signaling and a TURN server."""

from __future__ import annotations

import time
from pathlib import Path

import turn_server
from internet import CLOUD, CLOUD_ADDRESSES, DEVICE, Internet
from nat import Kind
from rovers import Fleet, Rover, Server, wait_until
from turn_server import TurnServer

TOKEN = "a-token-that-the-cloud-shares"
RELAY = 4  # PathQuality's CANDIDATE_RELAY


class CloudFleet(Fleet):
    """Rovers, each at the home of its name."""

    bind = f"{CLOUD_ADDRESSES[0]}:0"

    def __init__(self, folder: Path, homes: dict[str, Kind], secret: str = "") -> None:
        """With a secret, the TURN server takes only credentials that the signaling server has made of it."""
        super().__init__(folder)
        self._homes = homes
        self._started: dict[str, float] = {}
        self.internet = Internet(homes, folder)
        try:
            self.turn = self.started(TurnServer(folder, self.enter(CLOUD), CLOUD_ADDRESSES[0], secret))
            self.turn.wait_until_listening()
            if secret:
                file = folder / "turn_secret"
                file.write_text(secret)
                self.server_arguments = {"turn_secret_file": str(file), "turn_url": self.turn.turn_url("udp")}
        except BaseException:
            self.end()
            raise

    def server(self, token: str = TOKEN) -> Server:
        return super().server(token)

    def rover(self, rover_id: str, topics: dict[str, dict] | None = None, **options) -> Rover:
        self._started[rover_id] = time.time()
        return super().rover(rover_id, topics, **options)

    def described_rover(self, rover_id: str, topics: dict[str, dict] | None = None, **options) -> Rover:
        environment = {"ROVER_LINK_TOKEN": TOKEN, **options.pop("environment", {})}
        return super().described_rover(
            rover_id, topics, environment=environment, **{"interfaces": {"allow": [DEVICE]}, **options}
        )

    def configured(self, kind: Kind) -> dict:
        """Options of a rover that knows its servers by itself."""
        urls = [self.turn.stun_url, self.turn.turn_url("udp")]
        if not kind.passes_udp:
            urls.append(self.turn.turn_url("tcp"))
        return {"ice_servers": urls, "environment": turn_server.ENVIRONMENT}

    def enter(self, program: str) -> list[str]:
        return self.internet.enter(program if program in self._homes else CLOUD)

    def setup_time(self, one: Rover, other: Rover) -> float:
        """From the start of the later one until both were connected, s."""
        connected = max(connected_since(one, other.rover_id), connected_since(other, one.rover_id))
        return connected - max(self._started[one.rover_id], self._started[other.rover_id])

    def end(self) -> list[str]:
        killed = super().end()
        self.internet.end()
        return killed


def connected_since(rover: Rover, peer: str) -> float:
    """When the session with a peer was connected, s since 1970."""
    since = rover.link_quality(peer)["connected_since"]
    return since["sec"] + since["nanosec"] * 1e-9


def is_relayed(rover: Rover, peer: str) -> bool:
    """Do data to this peer go through a TURN server?"""

    def selected() -> dict | None:
        path = rover.path_quality(peer, DEVICE)
        return path if path["selected"] else None

    path = wait_until(selected, f"{rover.rover_id} has selected a path to {peer}")
    return RELAY in (path["local_candidate_type"], path["remote_candidate_type"])
