"""Types: each message type of the installed packages crosses with its content, and one that is defined in another way at
the receiver is refused."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from ament_index_python.resources import get_resource, get_resources
from packages import built
from rovers import DIRECTION_RECEIVE, wait_until, wait_until_connected

MESSAGES = 5
LATE_MSGS = Path(__file__).with_name("late_msgs")


def installed_types() -> list[str]:
    """All message types of the packages on AMENT_PREFIX_PATH."""
    found = []
    for package in sorted(get_resources("rosidl_interfaces")):
        files, _ = get_resource("rosidl_interfaces", package)
        names = [Path(line) for line in files.splitlines() if line.startswith("msg/") and line.endswith(".idl")]
        found += [f"{package}/msg/{name.stem}" for name in names]
    return found


def test_messages_of_each_installed_type_arrive_as_they_left(fleet):
    types = installed_types()
    assert len(types) > 100 and "sensor_msgs/msg/PointCloud2" in types
    names = {f"t{number}": type_name for number, type_name in enumerate(types)}
    a = fleet.rover("rover_a", {name: {"name": f"/{name}"} for name in names})
    b = fleet.rover("rover_b")
    for name, type_name in names.items():
        a.graph.advertise(f"/{name}", type=type_name)
        b.graph.subscribe(f"/rover_a/{name}", type=type_name)
    closed = set(names)

    def all_open() -> bool:
        for name in list(closed):
            if b.graph.count(f"/rover_a/{name}"):
                closed.discard(name)
            else:
                a.graph.publish(f"/{name}", seed=f"probe {time.monotonic_ns()}")
        return not closed

    wait_until(all_open, "all topics are open")
    sent = {name: a.graph.publish(f"/{name}", count=MESSAGES, seed="content") for name in names}
    wrong = []
    for name, digests in sent.items():
        # Those before it are probes: some types have so few values that they may be equal.
        has_all = lambda: b.graph.received(f"/rover_a/{name}")[-MESSAGES:] == digests
        try:
            wait_until(has_all, f"the messages of {names[name]} arrive")
        except AssertionError:
            wrong.append(names[name])
    assert not wrong
    print(f"{len(types)} types, {MESSAGES} messages of each")


@pytest.fixture
def other_definition(request, tmp_path) -> dict[str, str]:
    """The environment with late_msgs in another version: a field of one of its types is an int32 there."""
    source = tmp_path / "late_msgs"
    shutil.copytree(LATE_MSGS, source)
    reading = source / "msg" / "Reading.msg"
    changed = reading.read_text().replace("int64 count", "int32 count")
    assert changed != reading.read_text()
    reading.write_text(changed)
    return built(source, request.config.cache, "late_msgs_changed")


def test_a_type_with_another_definition_at_the_receiver_is_refused_and_both_are_told_why(
    fleet, request, other_definition
):
    late_msgs = built(LATE_MSGS, request.config.cache, "late_msgs")
    topics = {"reading": {"name": "/reading"}, "survey": {"name": "/survey"}, "talk": {"name": "/talk"}}
    a = fleet.rover("rover_a", topics, environment=late_msgs)
    b = fleet.rover("rover_b", environment=other_definition)
    for name in ("Reading", "Survey"):
        # A type that only contains the other one is another one too.
        a.graph.advertise(f"/{name.lower()}", type=f"late_msgs/msg/{name}")
    a.graph.advertise("/talk", type="std_msgs/msg/String")
    wait_until_connected(a, b)
    for name in ("Reading", "Survey"):
        topic = f"/{name.lower()}"
        sender = wait_until(
            lambda: (s := a.topic_statistics(topic, "rover_b"))["remark"] and s["type_mismatch"] and s,
            "the refusal is reported at the sender",
        )
        receiver = wait_until(
            lambda: (r := b.topic_statistics(f"/rover_a{topic}", "rover_a", DIRECTION_RECEIVE))["type_mismatch"] and r,
            "the refusal is reported at the receiver",
        )
        for statistics in (sender, receiver):
            words = f"late_msgs/msg/{name} is RIHS01_", "at the sender, but RIHS01_", "install the same version of late_msgs"
            assert all(text in statistics["remark"] for text in words), statistics["remark"]
        assert b.graph.publishers(f"/rover_a{topic}") == []
        for rover in (a, b):
            rover.wait_for_log(f"late_msgs/msg/{name} is RIHS01_")
    for rover in (a, b):
        wait_until(lambda: "need attention" in rover.diagnostics("topics")["message"], "/diagnostics say so")
    wait_until(lambda: b.graph.publishers("/rover_a/talk"), "the other topic crosses")
