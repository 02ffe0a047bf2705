"""From the start of both nodes to the first message that crosses."""

from __future__ import annotations

import time

from bench.links import LOOPBACK
from bench.network import Network
from bench.row import Figure
from bench.way import Way
from bench.workloads import DDS, Workload, twist
from demo.part import PartError
from demo.stage import Stage

NAME = "start"
TARGET = 1.0  # s
LIMIT = 30.0  # s for the first message
WORKLOAD = Workload(NAME, LOOPBACK, (twist({}, 100.0),))


def start(stage: Stage, network: Network, policy: str) -> list[Figure]:
    """The server and the ends run already; with plain DDS the clock starts with the publisher."""
    (stream,) = WORKLOAD.streams
    with Way(stage, network, WORKLOAD, policy) as way:
        way.start_subscribers()
        began = time.monotonic()
        way.start_publishers()
        if policy != DDS:
            began = time.monotonic()
            way.start_nodes()
        if not way.await_first(stream, LIMIT):
            raise PartError(f"no first message within {LIMIT:.0f} s")
        first = min(arrival for _, _, arrival in way.stop_ends()[stream.name].taken)
    return [Figure(NAME, LOOPBACK.name, policy, "setup", first - began, None if policy == DDS else TARGET)]
