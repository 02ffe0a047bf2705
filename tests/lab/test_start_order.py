"""Whichever piece of a fleet comes last, rovers connect as soon as it is there: they have waited for it without falling
asleep."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from ending import ending
from lab import ROVERS, Lab
from rovers import wait_until
from strict import IS_STRICT, RUNS, judge

DEVICES = ["wlan0", "wwan0"]
# From the last piece to the connection, s; where times are not asserted it has much longer.
LIMIT, PATIENCE = 2.0, 30.0
# So long the others wait for the last piece, s. Whatever pauses longer and longer between two attempts has come to its
# longest pause by the end of the longer one.
HEAD_START = 30.0 if IS_STRICT else 4.0

CONNECTED = re.compile(r"\[(\d+\.\d+)\] .*\bconnected: peer=")


class PiecemealLab(Lab):
    """A lab whose pieces can be put together in any order. A rover without a network has neither radios nor a way to the
    signaling server."""

    def take_network(self, rover: str) -> None:
        """Sets all interfaces of a rover down, and takes the addresses of its radios."""
        for device in DEVICES:
            self._namespaces.ip(rover, f"address flush dev {device}")
        for device in ["signal", *DEVICES]:
            self._namespaces.ip(rover, f"link set {device} down")

    def give_network(self, rover: str) -> None:
        """Sets them up again, as they were."""
        for device in ["signal", *DEVICES]:
            self._namespaces.ip(rover, f"link set {device} up")
        for device in DEVICES:
            self.radios.change_address(device, rover, host=ROVERS.index(rover) + 1)


def network_of(rover: str) -> Callable[[PiecemealLab], Callable[[], None]]:
    """All are there, and one rover comes into reach."""

    def prepare(lab: PiecemealLab) -> Callable[[], None]:
        lab.server().url()
        lab.take_network(rover)
        start(lab, *ROVERS)
        return lambda: lab.give_network(rover)

    return prepare


def signaling(lab: PiecemealLab) -> Callable[[], None]:
    """Both rovers are there before the server is."""
    server = lab.server()
    server.url()
    server.kill()
    start(lab, *ROVERS)
    return server.start_again


def rover(rover_id: str) -> Callable[[PiecemealLab], Callable[[], None]]:
    """One rover has been there for long."""

    def prepare(lab: PiecemealLab) -> Callable[[], None]:
        (other,) = (other for other in ROVERS if other != rover_id)
        start(lab, other)
        return lambda: start(lab, rover_id)

    return prepare


def start(lab: PiecemealLab, *rovers: str) -> None:
    for rover_id in rovers:
        lab.started(lab.described_rover(rover_id))


@pytest.mark.parametrize(
    "prepare",
    [network_of(ROVERS[0]), network_of(ROVERS[1]), signaling, rover(ROVERS[0]), rover(ROVERS[1])],
    ids=["network of rover_a", "network of rover_b", "signaling server", "rover_a", "rover_b"],
)
def test_rovers_connect_as_soon_as_the_last_piece_is_there(prepare, tmp_path, request):
    times = []
    for number in range(RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with ending(PiecemealLab(folder, DEVICES)) as lab:
            add_last = prepare(lab)
            # That nothing has connected before is what makes the last piece the last one.
            time.sleep(HEAD_START)
            assert not any(connections(lab, rover_id) for rover_id in ROVERS), "connected without the last piece"
            began = time.time()
            add_last()
            for rover_id in ROVERS:
                wait_until(lambda: connections(lab, rover_id), f"{rover_id} connects", PATIENCE)
            times.append(max(connections(lab, rover_id)[0] for rover_id in ROVERS) - began)
    judge(f"connected after the {request.node.callspec.id}", times, LIMIT)


def connections(lab: PiecemealLab, rover_id: str) -> list[float]:
    """When a rover has connected, s since 1970, by its log."""
    return [float(at) for at in CONNECTED.findall(lab.logs().get(rover_id, ""))]
