"""Two ROS programs of one rover talk over its loopback, and notice nothing of its radios."""

from __future__ import annotations

import time

from ending import ending
from flow import Flow
from graph import Graph
from lab import ROVERS, Lab
from rovers import wait_until_connected
from strict import IS_STRICT, judge

DEVICES = ["wlan0", "wwan0"]
# So long the radios stay, and so long they then go and come, s; the carriers change so often, s.
QUIET, RESTLESS, CHANGES = (10.0, 30.0, 0.5) if IS_STRICT else (5.0, 10.0, 0.5)
# The longest gap while they go and come, beyond the longest while they stay, s. On a machine that has other things to do
# any program may have to wait for longer.
LIMIT, PATIENCE = 0.02, 1.0


class UdpLab(Lab):
    """A lab where messages between the programs of a rover go over loopback and not through shared memory."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}


def test_programs_of_one_rover_are_not_disturbed_when_all_its_radios_go_and_come(tmp_path):
    with ending(UdpLab(tmp_path, DEVICES)) as lab:
        rovers = [lab.rover(rover_id, {"talk": {"name": "/talk"}}) for rover_id in ROVERS]
        wait_until_connected(*rovers)
        one, peer = rovers
        other = Graph(one.described.env, tmp_path / "other_graph.log", lab.enter(one.rover_id))
        try:
            crossing = Flow(one.graph, "/talk", peer.graph, f"/{one.rover_id}/talk")
            local = {
                reliability: Flow(one.graph, f"/{reliability}", other, f"/{reliability}", reliability)
                for reliability in ("reliable", "best_effort")
            }
            for flow in (crossing, *local.values()):
                flow.await_more()
            start = time.monotonic()
            time.sleep(QUIET)
            middle = time.monotonic()
            let_carriers_go_and_come(lab)
            end = time.monotonic()
            crossing.await_more()
            for reliability, flow in local.items():
                flow.stop()
                quiet, restless = flow.measured(start, middle), flow.measured(middle, end)
                print(f"{reliability}: longest gap {quiet.gap:.4f} s, while radios go and come {restless.gap:.4f} s")
                for measured in (quiet, restless):
                    assert (measured.lost, measured.duplicates, measured.reordered) == (0, 0, 0), reliability
                longer = restless.gap - quiet.gap
                assert longer < PATIENCE
                judge(f"{reliability}: longer gap while radios go and come", [longer], LIMIT)
        finally:
            other.begin_end()
            other.end()


def let_carriers_go_and_come(lab: Lab) -> None:
    deadline = time.monotonic() + RESTLESS
    while time.monotonic() < deadline:
        for is_on in (False, True):
            for device in DEVICES:
                lab.radios.set(device, up=is_on)
                lab.radios.set_carrier(device, "both", is_on)
            time.sleep(CHANGES)
