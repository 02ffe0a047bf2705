"""Rovers behind all kinds of NAT connect, directly wherever connectivity checks can get through and by TURN elsewhere,
and lose nothing when a router forgets them or the signaling server goes."""

from __future__ import annotations

import os
import time
from itertools import combinations_with_replacement

import pytest
from cloud import CloudFleet, connected_since, is_relayed
from nat import (
    ADDRESS_RESTRICTED, CONE, DOUBLE, PORT_RESTRICTED, PUBLIC, SYMMETRIC, TCP_ONLY, Kind, is_direct_possible,
)  # fmt: skip
from rovers import Rover, wait_until, wait_until_connected, wait_until_open
from stream import NAME, TOPICS, TYPE, Stream, advertise, is_complete, received_as

KINDS = (PUBLIC, CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED, SYMMETRIC, DOUBLE)
PAIRS = [*combinations_with_replacement(KINDS, 2), *((TCP_ONLY, kind) for kind in (PUBLIC, SYMMETRIC, TCP_ONLY))]

# The largest gap that is no failure here, s: the target is for a machine that has nothing else to do.
GAP_LIMIT = 3.0
# With STRICT=1, beyond two round trips, s.
STRICT_GAP_LIMIT = 0.150
IS_STRICT = os.environ.get("STRICT") == "1"

# How long a stream flows before and after what happens to it, s.
BEFORE, AFTER = 1.0, 2.0


def rover_ids(one: Kind, other: Kind) -> tuple[str, str]:
    """The rovers of a pair; there are two of a kind, each behind a router of its own, where both are of it."""
    return one.name, other.name if other != one else f"{other.name}_2"


def title(one: Kind, other: Kind) -> str:
    return f"{one.name} x {other.name}"


def named_pairs(pairs: list[tuple[Kind, Kind]]):
    return pytest.mark.parametrize(("one", "other"), pairs, ids=[title(*pair) for pair in pairs])


class Rovers(CloudFleet):
    """A rover behind each kind of NAT, and a second one for the pair of its own kind. Only pairs are peers."""

    def __init__(self, folder) -> None:
        homes = {name: kind for pair in PAIRS for name, kind in zip(rover_ids(*pair), pair)}
        super().__init__(folder, homes)
        try:
            self._rovers = {name: self._start(name, kind) for name, kind in homes.items()}
            advertise(*self._rovers.values())
        except BaseException:
            self.end()
            raise

    def _start(self, rover_id: str, kind: Kind) -> Rover:
        pairs = [rover_ids(*pair) for pair in PAIRS]
        peers = [peer for pair in pairs for peer in pair if rover_id in pair and peer != rover_id]
        # So many rovers on one machine had better not talk too much about themselves.
        quiet = {"link_quality": {"publish_rate": 4.0}}
        return self.rover(rover_id, TOPICS, peers=peers, **quiet, **self.configured(kind))

    def pair(self, one: Kind, other: Kind) -> tuple[Rover, Rover]:
        return tuple(self._rovers[rover_id] for rover_id in rover_ids(one, other))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Rovers(tmp_path_factory.mktemp("nat"))
    yield fleet
    fleet.end_well()


@named_pairs(PAIRS)
def test_a_pair_connects_directly_where_checks_can_get_through_and_by_turn_elsewhere(fleet, tell, one, other):
    a, b = fleet.pair(one, other)
    wait_until_connected(a, b)
    if is_direct_possible(one, other):
        wait_until(lambda: not is_relayed(a, b.rover_id), "the first one sends directly")
        wait_until(lambda: not is_relayed(b, a.rover_id), "the other one sends directly")
    else:
        assert is_relayed(a, b.rover_id) and is_relayed(b, a.rover_id)
    for sender, receiver in ((a, b), (b, a)):
        receiver.graph.subscribe(received_as(sender), type=TYPE)
        wait_until_open(sender, NAME, receiver, received_as(sender))
        receiver.graph.unsubscribe(received_as(sender))
    way = "direct" if is_direct_possible(one, other) else "relay"
    tell(f"{title(one, other)}: {way}, connected after {fleet.setup_time(a, b):.2f} s")


@named_pairs([(PORT_RESTRICTED, PORT_RESTRICTED), (SYMMETRIC, PUBLIC), (DOUBLE, CONE), (SYMMETRIC, SYMMETRIC)])
def test_nothing_is_lost_when_the_routers_of_one_forget_it(fleet, tell, one, other):
    a, b = fleet.pair(one, other)
    streams = {"out": Stream(a, b), "in": Stream(b, a)}
    for stream in streams.values():
        stream.wait_until_flowing()
    time.sleep(BEFORE)
    round_trip = a.link_quality(b.rover_id)["round_trip_time"]
    fleet.internet.forget(a.rover_id)
    time.sleep(AFTER)
    for way, stream in streams.items():
        measured = stream.finish()
        tell(f"{title(one, other)}: forgotten, gap {measured.gap * 1e3:.0f} ms {way}, RTT {round_trip * 1e3:.1f} ms")
        assert is_complete(measured), measured
        # A relay has to be asked for another address first.
        is_strict = IS_STRICT and is_direct_possible(one, other)
        assert measured.gap < (2 * round_trip + STRICT_GAP_LIMIT if is_strict else GAP_LIMIT)


def test_all_goes_on_without_the_signaling_server(fleet):
    pairs = [fleet.pair(CONE, PORT_RESTRICTED), fleet.pair(SYMMETRIC, SYMMETRIC)]
    began = [connected_since(a, b.rover_id) for a, b in pairs]
    fleet.server().kill()
    streams = [Stream(*pair) for pair in pairs]
    for stream in streams:
        stream.wait_until_flowing()
    time.sleep(AFTER)
    assert all(is_complete(stream.finish()) for stream in streams)
    assert began == [connected_since(a, b.rover_id) for a, b in pairs], "the sessions have lived through it"
