"""Rovers that learn of a TURN server, and of credentials that run out, from the signaling server."""

from __future__ import annotations

import time

import pytest
from cloud import CloudFleet, is_relayed
from demo.namespaces import run
from internet import tool
from nat import SYMMETRIC, TCP_ONLY
from rovers import wait_until_connected
from stream import TOPICS, Stream, advertise, is_complete

SECRET = "a-secret-of-both-servers"
HOMES = {"rover_a": SYMMETRIC, "rover_b": SYMMETRIC, "rover_c": TCP_ONLY}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = CloudFleet(tmp_path_factory.mktemp("turn"), HOMES, SECRET)
    yield fleet
    fleet.end_well()


@pytest.mark.parametrize(
    ("home", "transport"), [("rover_a", []), ("rover_c", ["-t"])], ids=["UDP", "TCP where UDP is blocked"]
)
def test_coturns_own_client_relays_with_the_secret(fleet, home, transport):
    client = [tool("turnutils_uclient"), "-y", "-n", "5", "-W", SECRET, *transport, fleet.turn.address]
    said = run(*fleet.internet.enter(home), *client)
    assert "Total lost packets 0" in said, said


def test_rovers_relay_by_what_the_signaling_server_tells_them(fleet):
    rovers = [fleet.rover(rover_id, TOPICS) for rover_id in ("rover_a", "rover_b")]
    advertise(*rovers)
    wait_until_connected(*rovers)
    assert is_relayed(rovers[0], "rover_b") and is_relayed(rovers[1], "rover_a")
    streams = [Stream(*rovers), Stream(*reversed(rovers))]
    for stream in streams:
        stream.wait_until_flowing()
    time.sleep(1.0)
    for stream in streams:
        measured = stream.finish()
        assert is_complete(measured), measured
