"""Many topics and a graph that never rests: all cross, new ones are noticed, and neither memory nor time runs away.

The environment asks for more: TOPICS, BUSY of which are published at RATE, Hz, while CHURN publishers a second come and go,
for DURATION s. The figures are printed; STRICT=1 holds them to limits.

    TOPICS=1000 BUSY=20 RATE=200 CHURN=100 DURATION=20 python3 -m pytest -s tests/ros/test_many_topics.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from graph import PATIENCE, Graph
from rovers import Rover, wait_until, wait_until_open

TOPICS = int(os.environ.get("TOPICS", "60"))
BUSY = int(os.environ.get("BUSY", "5"))
RATE = int(os.environ.get("RATE", "20"))
CHURN = int(os.environ.get("CHURN", "20"))
DURATION = float(os.environ.get("DURATION", "3"))
IS_STRICT = os.environ.get("STRICT", "") not in ("", "0")

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# Memory that a node may take for topics that come and go while it runs, bytes: what it takes for the first ones, and what
# the allocator does with it.
MOST_GROWTH = 64 << 20


class Many(Graph):
    """Each command of the worker is a method."""

    worker = "many_worker.py"


class Usage:
    """What a process uses, by thread."""

    def __init__(self, rover: Rover) -> None:
        self._folder = Path("/proc", str(rover.process.pid))
        self._before = self._ticks()
        self._since = time.monotonic()

    def _ticks(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for task in self._folder.glob("task/*/stat"):
            name, fields = task.read_text().split("(", 1)[1].rsplit(")", 1)
            user, system = fields.split()[11:13]
            found[name] = found.get(name, 0) + int(user) + int(system)
        return found

    def cpu(self) -> dict[str, float]:
        """Parts of a core by thread, since the start."""
        passed = (time.monotonic() - self._since) * TICKS
        return {name: (ticks - self._before.get(name, 0)) / passed for name, ticks in self._ticks().items()}

    def memory(self) -> int:
        """Resident memory, bytes."""
        return int((self._folder / "statm").read_text().split()[1]) * PAGE


def tell(what: str, usage: dict[str, float]) -> float:
    most = sorted(usage.items(), key=lambda item: -item[1])[:5]
    total = sum(usage.values())
    print(f"{what}: {total:.3f} cores; " + ", ".join(f"{name} {part:.3f}" for name, part in most))
    return total


@pytest.fixture
def many(fleet):
    a = fleet.rover("rover_a", {"many": {"name": "/many/**"}, "talk": {"name": "/talk"}})
    worker = Many(a.described.env, a.log_file.with_name("many.log"), a.enter)
    yield a, worker
    worker.begin_end()
    worker.end()


def test_many_topics_cross_while_the_graph_changes(fleet, many):
    a, worker = many
    b = fleet.rover("rover_b")
    a.graph.advertise("/talk", type="std_msgs/msg/String")
    b.graph.subscribe("/rover_a/talk", type="std_msgs/msg/String")
    sent = wait_until_open(a, "/talk", b, "/rover_a/talk")
    began = time.monotonic()
    worker.advertise(prefix="/many/topic_", count=TOPICS)
    wait_until(lambda: worker.matched() == TOPICS, "each topic is taken", patience=PATIENCE + TOPICS)
    print(f"\n{TOPICS} topics taken within {time.monotonic() - began:.2f} s")
    usage = Usage(a)
    time.sleep(DURATION)
    tell("nothing happens", usage.cpu())

    worker.start(busy=BUSY, rate=RATE, churn=0, prefix="")
    usage = Usage(a)
    time.sleep(DURATION)
    busy = tell(f"{BUSY} of them at {RATE} Hz", usage.cpu())
    worker.stop()

    # Twice, for what the first topics that come and go leave behind is the measure for the second ones.
    for memory in (None, usage.memory):
        worker.start(busy=BUSY, rate=RATE, churn=CHURN, prefix="/many/passing_")
        a.graph.keep_publishing("/talk", rate=50, seed=f"{memory}")
        usage = Usage(a)
        before = usage.memory()
        time.sleep(2 * DURATION)
        churning = tell(f"and {CHURN} publishers a second come and go", usage.cpu())
        sent += a.graph.stop_publishing("/talk")
        counts = worker.stop()
        print(f"memory: {before / 1e6:.1f} MB, then {usage.memory() / 1e6:.1f} MB; {counts}")
    assert usage.memory() - before < MOST_GROWTH
    times = sorted(worker.notice_times(prefix="/many/new_", count=20))
    print(f"a new topic is taken within {times[len(times) // 2]:.3f} s, {times[-1]:.3f} s at most")

    wait_until(lambda: b.graph.has_any("/rover_a/talk", digests=sent[-1:]), "the last message")
    received = b.graph.received("/rover_a/talk")
    assert received == sent[sent.index(received[0]) :], "complete, in order, each once"
    assert worker.matched() == TOPICS
    if IS_STRICT:
        assert times[len(times) // 2] < 0.05 or TOPICS > 100
        assert churning < busy + 0.5
