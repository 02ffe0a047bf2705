"""The STUN and TURN server of the lab: coturn, with its configuration and all it writes in the folder of the test."""

from __future__ import annotations

import os
from pathlib import Path

from internet import tool
from launch_expand import Process
from rovers import Program

USERNAME, CREDENTIAL = "lab", "a credential that the lab shares"
# What rovers need in their environment when there is no shared secret.
ENVIRONMENT = {"ROVER_LINK_TURN_USERNAME": USERNAME, "ROVER_LINK_TURN_CREDENTIAL": CREDENTIAL}

PORT = 3478
RELAY_PORTS = (50_000, 50_999)
# For so long a nonce is good, s: then rovers have to take another one, which they do within a test this way.
NONCE_LIFETIME = 5


class TurnServer(Program):
    """Serves at this address by UDP and TCP. With a secret, credentials are those made of it and valid for a while;
    without, they are the ones above."""

    def __init__(self, folder: Path, enter: list[str], address: str, secret: str = "") -> None:
        self.address = address
        file = folder / "turn_server.conf"
        file.write_text(configuration(folder, address, secret))
        argv = [*enter, tool("turnserver"), "-c", str(file)]
        super().__init__(Process(argv[0], argv, dict(os.environ)), folder / "turn_server.log")

    @property
    def stun_url(self) -> str:
        return f"stun:{self.address}:{PORT}"

    def turn_url(self, transport: str) -> str:
        """`transport` is that between a rover and the server, udp or tcp."""
        return f"turn:{self.address}:{PORT}?transport={transport}"

    def begin_end(self) -> None:
        # In the background of a script SIGINT is ignored, and coturn leaves that so.
        if self.process.poll() is None:
            self.process.terminate()

    def wait_until_listening(self) -> None:
        for transport in ("UDP", "TCP"):
            self.wait_for_log(f"IPv4. {transport} listener opened on")


def configuration(folder: Path, address: str, secret: str) -> str:
    """The text of a configuration file."""
    lowest, highest = RELAY_PORTS
    credentials = f"lt-cred-mech\nuser={USERNAME}:{CREDENTIAL}"
    if secret:
        credentials = f"use-auth-secret\nstatic-auth-secret={secret}"
    return f"""\
listening-ip={address}
relay-ip={address}
listening-port={PORT}
min-port={lowest}
max-port={highest}
realm=lab
fingerprint
{credentials}
no-tls
no-dtls
no-cli
no-multicast-peers
stale-nonce={NONCE_LIFETIME}
userdb={folder}/turn_server.db
pidfile={folder}/turn_server.pid
log-file=stdout
verbose
"""
