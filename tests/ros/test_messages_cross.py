"""Messages of all kinds and sizes arrive as they left: none lost, none twice, in order, content equal."""

from pathlib import Path

import pytest
from packages import built
from rovers import wait_until, wait_until_connected, wait_until_open, wait_until_received

TYPES = [
    "std_msgs/msg/String", "std_msgs/msg/Header", "std_msgs/msg/ColorRGBA", "std_msgs/msg/Float64MultiArray",
    "geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/PolygonStamped", "geometry_msgs/msg/TransformStamped",
    "sensor_msgs/msg/Imu", "sensor_msgs/msg/LaserScan", "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/Image",
    "sensor_msgs/msg/NavSatFix", "sensor_msgs/msg/BatteryState",
    "nav_msgs/msg/Odometry", "nav_msgs/msg/Path", "nav_msgs/msg/OccupancyGrid",
    "diagnostic_msgs/msg/DiagnosticArray",
    "visualization_msgs/msg/Marker", "visualization_msgs/msg/MarkerArray",
]  # fmt: skip
MESSAGES_PER_TYPE = 500
MESSAGES_AT_ONCE = 50


@pytest.fixture(scope="module")
def late_msgs(request):
    """The environment with a message package that the node was not built with."""
    return built(Path(__file__).with_name("late_msgs"), request.config.cache, "late_msgs")


def open_all(sender, receiver, types):
    """Gives the topic of each type, open from end to end."""
    topics = {f"t{index}": type_name for index, type_name in enumerate(types)}
    for name, type_name in topics.items():
        sender.graph.advertise(f"/{name}", type=type_name)
        receiver.graph.subscribe(f"/rover_a/{name}", type=type_name)
    return {name: wait_until_open(sender, f"/{name}", receiver, f"/rover_a/{name}") for name in topics}


def test_ten_thousand_messages_of_twenty_types_arrive_as_they_left(fleet):
    topics = {f"t{index}": {"name": f"/t{index}"} for index in range(len(TYPES))}
    a, b = fleet.rover("rover_a", topics), fleet.rover("rover_b")
    probes = open_all(a, b, TYPES)
    sent = {name: [] for name in topics}
    for batch in range(MESSAGES_PER_TYPE // MESSAGES_AT_ONCE):
        for name in topics:
            sent[name] += a.graph.publish(f"/{name}", count=MESSAGES_AT_ONCE, seed=batch)
    assert sum(map(len, sent.values())) == 10_000
    for name in topics:
        wait_until_received(b, f"/rover_a/{name}", sent[name])
        received = [d for d in b.graph.received(f"/rover_a/{name}") if d not in probes[name]]
        assert received == sent[name], TYPES[int(name[1:])]


def test_messages_of_a_compressed_topic_arrive_as_they_left_in_fewer_bytes(fleet):
    a, b = fleet.rover("rover_a", {"t0": {"name": "/t0", "compression": "zstd"}}), fleet.rover("rover_b")
    probes = open_all(a, b, ["std_msgs/msg/String"])["t0"]
    size, count = 2**20, 8
    sent = [a.graph.publish_fields("/t0", fields={"data": f"wall {n} ".ljust(size, ".")}) for n in range(count)]
    wait_until_received(b, "/rover_a/t0", sent)
    assert [d for d in b.graph.received("/rover_a/t0") if d not in probes] == sent
    assert a.link_quality("rover_b")["bytes_sent"] < size * count / 4


def test_messages_of_a_package_built_after_the_node_arrive_as_they_left(fleet, late_msgs):
    types = ["late_msgs/msg/Reading", "late_msgs/msg/Survey"]
    topics = {f"t{index}": {"name": f"/t{index}"} for index in range(len(types))}
    a = fleet.rover("rover_a", topics, environment=late_msgs)
    b = fleet.rover("rover_b", environment=late_msgs)
    probes = open_all(a, b, types)
    for name in topics:
        sent = a.graph.publish(f"/{name}", count=MESSAGES_PER_TYPE)
        wait_until_received(b, f"/rover_a/{name}", sent)
        assert [d for d in b.graph.received(f"/rover_a/{name}") if d not in probes[name]] == sent


def test_a_type_that_is_not_installed_at_the_receiver_is_refused_with_the_remedy(fleet, late_msgs):
    a = fleet.rover("rover_a", {"survey": {"name": "/survey"}}, environment=late_msgs)
    b = fleet.rover("rover_b")
    a.graph.advertise("/survey", type="late_msgs/msg/Survey")
    wait_until_connected(a, b)
    refused = wait_until(
        lambda: "late_msgs" in (s := a.topic_statistics("/survey", "rover_b"))["remark"] and s,
        "the refusal is reported at the sender",
    )
    assert "install late_msgs" in refused["remark"]
    assert b.graph.publishers("/rover_a/survey") == []


def test_payloads_of_each_size_arrive_and_larger_ones_are_dropped_and_reported(fleet):
    limit = 17 * 2**20
    blob = {"type": "std_msgs/msg/UInt8MultiArray", "max_message_size": limit}
    a = fleet.rover("rover_a", {"blob": {"name": "/blob", **blob}})
    b = fleet.rover("rover_b", {"blob": {"name": "/rover_a/blob", "direction": "receive", **blob}})
    a.graph.advertise("/blob", type=blob["type"])
    b.graph.subscribe("/rover_a/blob", type=blob["type"])
    expected = wait_until_open(a, "/blob", b, "/rover_a/blob")
    expected = [digest for digest in expected if digest in b.graph.received("/rover_a/blob")]
    for size in (1, 2**10, 2**16, 2**20, 16 * 2**20):
        sent = a.graph.publish("/blob", size=size)
        wait_until_received(b, "/rover_a/blob", sent)
        expected += sent
    since = a.link_quality("rover_b")["connected_since"]

    a.graph.publish("/blob", size=limit + 1)
    wait_until(lambda: a.topic_statistics("/blob", "rover_b")["dropped_oversize"] == 1, "the dropped one is counted")
    a.wait_for_log("dropped: topic=/rover_a/blob")
    sent = a.graph.publish("/blob", size=1, seed="after the large one")
    wait_until_received(b, "/rover_a/blob", sent)
    assert b.graph.received("/rover_a/blob")[-len(expected) - 1 :] == expected + sent
    assert a.link_quality("rover_b")["connected_since"] == since, "the session lives on"
