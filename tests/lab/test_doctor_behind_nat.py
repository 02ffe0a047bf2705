"""What `doctor` finds behind NAT routers, with two STUN and TURN servers in the cloud."""

from __future__ import annotations

import pytest
from cloud import CloudFleet
from doctor import examine, examined, problems
from internet import CLOUD, CLOUD_ADDRESSES
from nat import CONE, DOUBLE, PUBLIC, SYMMETRIC, TCP_ONLY, Kind
from rovers import Rover
from turn_server import ENVIRONMENT, TurnServer

MAPPINGS = {
    PUBLIC: "none",
    CONE: "endpoint_independent",
    DOUBLE: "endpoint_independent",
    SYMMETRIC: "endpoint_dependent",
}
HOMES = {kind.name: kind for kind in (*MAPPINGS, TCP_ONLY)}


class Clinic(CloudFleet):
    """A home behind each kind of NAT, whose rovers are described and do not run."""

    def __init__(self, folder) -> None:
        super().__init__(folder, HOMES)
        try:
            (folder / "second").mkdir()
            self.second = self.started(TurnServer(folder / "second", self.enter(CLOUD), CLOUD_ADDRESSES[1]))
            self.second.wait_until_listening()
        except BaseException:
            self.end()
            raise

    def patient(self, kind: Kind, *servers: str, environment: dict[str, str] = ENVIRONMENT) -> Rover:
        """The rover of a home, which knows these servers."""
        return self.described_rover(kind.name, ice_servers=list(servers), environment=environment)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Clinic(tmp_path_factory.mktemp("doctor"))
    yield fleet
    fleet.end_well()


def outcomes(found: dict) -> dict[str, str]:
    """What came of each TURN server."""
    return {answer["server"]: answer["outcome"] for answer in found["facts"]["turn"]}


@pytest.mark.parametrize("kind", MAPPINGS, ids=lambda kind: kind.name)
def test_two_servers_tell_what_a_nat_does_with_addresses(fleet, kind):
    urls = [fleet.turn.turn_url("udp"), fleet.turn.turn_url("tcp"), fleet.second.stun_url]
    found = examined(fleet.patient(kind, *urls))
    (nat,) = found["facts"]["nat"]
    assert nat["mapping"] == MAPPINGS[kind]
    seen = nat.get("seen", [])
    public = fleet.internet.public_address(kind.name)
    assert all(address.startswith(f"{public}:") for address in ([seen] if isinstance(seen, str) else seen))
    assert all(0 < answer["round_trip_time"] < 5 for answer in found["facts"]["stun"])
    assert outcomes(found) == {url: "lent" for url in urls[:2]}


def test_one_server_alone_does_not_tell_it(fleet):
    found = examined(fleet.patient(CONE, fleet.turn.stun_url))
    (nat,) = found["facts"]["nat"]
    assert nat["mapping"] == "seen_once"
    done = examine(fleet.patient(CONE, fleet.turn.stun_url))
    assert "name a second STUN server" in done.stdout


def test_where_udp_is_blocked_tcp_still_reaches_the_relay(fleet):
    udp, tcp = fleet.turn.turn_url("udp"), fleet.turn.turn_url("tcp")
    found = examined(fleet.patient(TCP_ONLY, udp, tcp), "--timeout=2", status=1)
    assert outcomes(found) == {udp: "silent", tcp: "lent"}
    assert found["facts"]["nat"][0]["mapping"] == "unknown"
    assert {problem["subject"] for problem in problems(found)} == {udp}


def test_a_wrong_credential_is_told_from_silence(fleet):
    udp, tcp = fleet.turn.turn_url("udp"), fleet.turn.turn_url("tcp")
    wrong = {**ENVIRONMENT, "ROVER_LINK_TURN_CREDENTIAL": "wrong"}
    found = examined(fleet.patient(SYMMETRIC, udp, tcp, environment=wrong), status=1)
    assert outcomes(found) == {url: "credential_refused" for url in (udp, tcp)}
    assert all("ROVER_LINK_TURN_CREDENTIAL" in problem["remedy"] for problem in problems(found))
