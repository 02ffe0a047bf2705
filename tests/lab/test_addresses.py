"""Rovers with addresses of one family, of the other or of both, on one cable; one of them is the signaling server's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from demo.namespaces import Namespaces, run
from rovers import Fleet, Rover, Server, wait_until, wait_until_connected
from stream import TOPICS, Stream, advertise, is_complete

ROVERS = ("rover_a", "rover_b")
DEVICE = "eth0"
TOKEN = "a-token-of-the-cable"

V4 = ("10.79.0.1/24", "10.79.0.2/24")
V6 = ("2001:db8::1/64", "2001:db8::2/64")
# The kernel makes temporary addresses for the prefix of such a one.
V6_WITH_TEMPORARY = tuple(f"{address} mngtmpaddr" for address in V6)

# Settings of the kernel for IPv6: temporary addresses (RFC 8981) are used, and live so long, s; a temporary one is
# followed by the next 2 s before it is no longer preferred. All addresses can be used at once.
SETTINGS = {
    "use_tempaddr": 2,
    "temp_prefered_lft": 5,
    "temp_valid_lft": 9,
    "max_desync_factor": 0,
    "accept_dad": 0,
    "dad_transmits": 0,
}


class Cable(Fleet):
    """Two rovers; `addresses` are those of each, and at the first one of the second rover is the signaling server."""

    def __init__(self, folder: Path, addresses: tuple[list[str], list[str]]) -> None:
        super().__init__(folder)
        server = addresses[1][0].partition("/")[0]
        self.bind = f"[{server}]:0" if ":" in server else f"{server}:0"
        self._namespaces = Namespaces(ROVERS, folder)
        self._namespaces.cable(*((rover, DEVICE) for rover in ROVERS))
        for rover, own in zip(ROVERS, addresses):
            for name, value in SETTINGS.items():
                run(*self.enter(rover), "sh", "-c", f"echo {value} >/proc/sys/net/ipv6/conf/{DEVICE}/{name}")
            self._namespaces.ip(rover, f"link set {DEVICE} up")
            for address in own:
                self._namespaces.ip(rover, f"address add {address} dev {DEVICE}")
        for rover in ROVERS:
            self._namespaces.await_running(rover, DEVICE)

    def connected(self) -> list[Rover]:
        """Starts both rovers and waits until they are connected."""
        rovers = [self.rover(rover, TOPICS) for rover in ROVERS]
        advertise(*rovers)
        wait_until_connected(*rovers)
        return rovers

    def drop_addresses(self, rover_id: str, family: int) -> None:
        """Takes all global addresses of a family, 4 or 6, from a rover."""
        self._namespaces.ip(rover_id, f"-{family} address flush dev {DEVICE} scope global")

    def forbid_stable_addresses(self) -> None:
        """Leaves rovers the temporary addresses alone to reach each other by; signaling is no UDP."""
        for rover, (stable, _) in zip(ROVERS, map(str.split, reversed(V6_WITH_TEMPORARY))):
            self._namespaces.ip(rover, f"-6 rule add to {stable.partition('/')[0]} ipproto udp unreachable")

    def temporary_addresses(self, rover_id: str) -> set[str]:
        lines = self._namespaces.ip(rover_id, f"-6 -oneline address show dev {DEVICE} temporary").splitlines()
        return {line.split()[3].partition("/")[0] for line in lines}

    def server(self, token: str = TOKEN) -> Server:
        return super().server(token)

    def described_rover(self, rover_id: str, topics: dict[str, dict] | None = None, **options) -> Rover:
        environment = {"ROVER_LINK_TOKEN": TOKEN}
        return super().described_rover(
            rover_id, topics, environment=environment, interfaces={"allow": [DEVICE]}, **options
        )

    def enter(self, program: str) -> list[str]:
        return self._namespaces.enter(program if program in ROVERS else ROVERS[1])

    def end(self) -> list[str]:
        killed = super().end()
        self._namespaces.end()
        return killed


@pytest.fixture
def fleet(request, tmp_path):
    fleet = Cable(tmp_path, request.param)
    yield fleet
    fleet.end_well()


def with_addresses(cases: dict[str, tuple[list[str], list[str]]]):
    return pytest.mark.parametrize("fleet", cases.values(), ids=cases.keys(), indirect=True)


@with_addresses(
    {
        "IPv6 only": ([V6[0]], [V6[1]]),
        "IPv6 only with dual stack": ([V6[0]], [V6[1], V4[1]]),
        "IPv4 only with dual stack": ([V4[0]], [V4[1], V6[1]]),
    }
)
def test_rovers_connect_by_the_family_that_both_have(fleet):
    rovers = fleet.connected()
    is_ipv6 = fleet.bind.startswith("[")
    for rover, peer in zip(rovers, reversed(ROVERS)):
        path = wait_until(lambda: selected_path(rover, peer), f"{rover.rover_id} has selected a path")
        assert path["path_count"] == 1
        assert path["local_address"].startswith("[") == path["remote_address"].startswith("[") == is_ipv6
    assert_nothing_is_lost(rovers, lambda: time.sleep(1.0))


@with_addresses({"dual stack": tuple(map(list, zip(V4, V6)))})
def test_rovers_with_both_families_have_a_path_by_each_and_go_on_by_the_other_when_one_goes(fleet):
    rovers = fleet.connected()
    for rover, peer in zip(rovers, reversed(ROVERS)):
        wait_until(lambda: rover.path_quality(peer, DEVICE)["path_count"] == 2, f"{rover.rover_id} has both paths")

    def lose_a_family() -> None:
        time.sleep(1.0)
        is_ipv6 = rovers[0].link_quality(ROVERS[1])["local_address"].startswith("[")
        fleet.drop_addresses(ROVERS[0], 6 if is_ipv6 else 4)
        wait_until(
            lambda: rovers[0].link_quality(ROVERS[1])["local_address"].startswith("[") != is_ipv6,
            "data leave by the other family",
        )
        time.sleep(1.0)

    assert_nothing_is_lost(rovers, lose_a_family)


@with_addresses({"IPv6 with temporary addresses": tuple([address] for address in V6_WITH_TEMPORARY)})
def test_nothing_is_lost_when_the_kernel_replaces_the_temporary_addresses_in_use(fleet):
    fleet.forbid_stable_addresses()
    rovers = fleet.connected()

    def address(rover: Rover, peer: str) -> str:
        return rover.link_quality(peer)["local_address"].rpartition(":")[0].strip("[]")

    def outlive_the_addresses_in_use() -> None:
        for rover, peer in zip(rovers, reversed(ROVERS)):
            in_use = address(rover, peer)
            assert in_use not in (stable.partition("/")[0] for stable in V6)
            wait_until(lambda: in_use not in fleet.temporary_addresses(rover.rover_id), f"{in_use} has gone")
            wait_until(lambda: address(rover, peer) != in_use, "data leave by another one")

    assert_nothing_is_lost(rovers, outlive_the_addresses_in_use)


def selected_path(rover: Rover, peer: str) -> dict | None:
    path = rover.path_quality(peer, DEVICE)
    return path if path["selected"] else None


def assert_nothing_is_lost(rovers: list[Rover], happens) -> None:
    """Lets messages flow both ways while something happens."""
    streams = [Stream(*rovers), Stream(*reversed(rovers))]
    for stream in streams:
        stream.wait_until_flowing()
    happens()
    for stream in streams:
        measured = stream.finish()
        assert is_complete(measured), measured
