"""What a rover tells of itself: its status topics, /diagnostics and /rosout."""

import math
import time

from graph import PATIENCE
from rovers import DIRECTION_RECEIVE, STATE_CONNECTED, wait_until, wait_until_connected, wait_until_open

INTERFACE_LOOPBACK = 6
CANDIDATE_HOST = 1
STRING = "std_msgs/msg/String"
TALK = {"talk": {"name": "/talk"}}


def test_the_status_topics_have_their_types_and_are_reliable(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    wait_until_connected(a, b)
    expected = {
        "/rover_link/rover_b/link_quality": "rover_link/msg/LinkQuality",
        "/rover_link/rover_b/lo/path_quality": "rover_link/msg/PathQuality",
        "/rover_link/handover_event": "rover_link/msg/HandoverEvent",
        "/rover_link/topic_statistics": "rover_link/msg/TopicStatistics",
        "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
        "/rosout": "rcl_interfaces/msg/Log",
    }
    for topic, type_name in expected.items():
        (publisher,) = wait_until(
            lambda: [p for p in a.graph.publishers(topic) if p["node"] == a.node], f"{topic} is published"
        )
        assert publisher["type"] == type_name
        assert publisher["reliability"] == "reliable"
        latched = topic in ("/rover_link/handover_event", "/rosout")
        assert publisher["durability"] == ("transient_local" if latched else "volatile"), topic


def test_link_and_path_quality_tell_of_the_link_and_what_is_not_measured_is_nan(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    quality = wait_until(
        lambda: not math.isnan((q := a.link_quality("rover_b"))["round_trip_time"]) and q["messages_sent"] and q,
        "the link is measured",
    )
    assert quality["state"] == STATE_CONNECTED and quality["authenticated"]
    assert quality["peer_id"] == "rover_b" and quality["interface"] == "lo"
    assert 0.0 < quality["round_trip_time_min"] <= quality["round_trip_time"] < 1.0
    assert quality["connected_since"]["sec"] > 0
    assert quality["messages_sent"] > 0 and quality["bytes_sent"] > 0 and quality["bytes_received"] > 0
    for field in ("jitter", "loss_ratio_sent", "loss_ratio_received"):
        assert math.isnan(quality[field]) or 0.0 <= quality[field] < 1.0, field
    assert math.isnan(quality["available_bitrate"])
    path = wait_until(lambda: (p := a.path_quality("rover_b"))["selected"] and p, "the path is shown")
    assert path["interface_type"] == INTERFACE_LOOPBACK and path["local_candidate_type"] == CANDIDATE_HOST
    assert path["interface"] == "lo" and path["path_count"] >= 1
    assert path["remote_address"] == quality["remote_address"] != path["local_address"]
    assert math.isnan(path["signal_strength"])


def test_a_signal_strength_that_is_told_is_shown_until_it_is_old(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    wait_until_connected(a, b)
    topic = "/rover_link/signal_strength"
    (subscription,) = wait_until(lambda: a.graph.subscriptions(topic), "the node listens")
    assert subscription["type"] == "rover_link/msg/SignalStrength"
    a.graph.advertise(topic, type="rover_link/msg/SignalStrength")

    def is_shown():
        a.graph.publish_fields(topic, fields={"interface": "lo", "signal_strength": -87.4})
        return a.path_quality("rover_b")["signal_strength"] == -87.0

    wait_until(is_shown, "the strength is shown")

    def is_refused():
        a.graph.publish_fields(topic, fields={"interface": "lo", "signal_strength": 1000.0})
        return "1000 dBm is not from -200 to 50 dBm" in a.log()

    wait_until(is_refused, "what cannot be is told")
    wait_until(lambda: math.isnan(a.path_quality("rover_b")["signal_strength"]), "an old one no longer counts")
    assert a.log().count("1000 dBm is not") == 1


def test_the_status_goes_on_while_no_peer_is_there(fleet):
    a = fleet.rover("rover_a", TALK, peers=["rover_b"])
    quality = a.link_quality("rover_b")
    assert quality["state"] != STATE_CONNECTED and quality["interface"] == ""
    assert math.isnan(quality["round_trip_time"]) and math.isnan(quality["time_since_received"])
    assert quality["connected_since"] == {"sec": 0, "nanosec": 0}
    count = a.graph.count("/rover_link/rover_b/link_quality")
    wait_until(lambda: a.graph.count("/rover_link/rover_b/link_quality") > count + 5, "more messages come")


def test_topic_statistics_count_on_both_sides(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    a.graph.publish("/talk", count=100)
    sent = wait_until(
        lambda: (s := a.topic_statistics("/talk", "rover_b"))["messages"] >= 100 and s, "the sender has counted"
    )
    received = wait_until(
        lambda: (r := b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE))["messages"] >= 100 and r,
        "the receiver has counted",
    )
    assert sent["type"] == received["type"] == STRING
    assert sent["remote_topic"] == received["topic"] == "/rover_a/talk"
    assert sent["remark"] == received["remark"] == ""
    assert not sent["type_mismatch"] and not sent["qos_mismatch"]
    for counted in (sent, received):
        dropped = sum(counted[field] for field in counted if field.startswith("dropped_"))
        assert counted["taken"] == counted["messages"] + counted["waiting"] + dropped
        assert dropped == counted["dropped_closed"], "nothing but what was published before the route was open"
    assert math.isnan(sent["latency_mean"]) and math.isnan(sent["latency_max"]), "the receiver measures"


def test_the_receiver_measures_how_long_messages_take(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")

    def measured():
        a.graph.publish("/talk", count=5)
        statistics = b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)
        return statistics if not math.isnan(statistics["latency_mean"]) else None

    statistics = wait_until(measured, "the latency is known")
    assert 0.0 < statistics["latency_mean"] <= statistics["latency_max"] < PATIENCE

    # What waits while there is no path grows old.
    outage = 1.5
    b.pause()
    a.graph.publish("/talk", count=1)
    time.sleep(outage)
    b.go_on()
    slow = wait_until(
        lambda: (s := b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE))["latency_max"] > outage and s,
        "the slow message is measured",
    )
    assert slow["latency_max"] < PATIENCE
    wait_until(
        lambda: math.isnan(b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)["latency_mean"]),
        "without messages nothing is measured",
    )


def test_diagnostics_come_once_a_second_and_are_good_when_all_is_well(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    wait_until_connected(a, b)
    for component in ("signaling", "peer rover_b", "topics"):
        status = wait_until(
            lambda: (s := a.diagnostics(component))["level"] == [0] and s, f"{component} is well"
        )
        assert status["hardware_id"] == "rover_a"
    count = a.graph.count("/diagnostics")
    wait_until(lambda: a.graph.count("/diagnostics") >= count + 5, "more come")
    stamps = [
        message["header"]["stamp"]["sec"] + message["header"]["stamp"]["nanosec"] * 1e-9
        for message in a.graph.messages("/diagnostics")[-6:]
    ]
    assert 0.8 < (stamps[-1] - stamps[0]) / (len(stamps) - 1) < 1.5, stamps


def test_the_log_is_on_rosout(fleet):
    a, b = fleet.rover("rover_a"), fleet.rover("rover_b")
    wait_until_connected(a, b)
    a.graph.subscribe("/rosout", type="rcl_interfaces/msg/Log", durability="transient_local", keeps=1000)
    assert b.stop() == 0
    record = wait_until(
        lambda: next((r for r in a.graph.messages("/rosout") if "disconnected: peer=rover_b" in r["msg"]), None),
        "the loss of a peer is told",
    )
    assert (record["name"], record["level"]) == ("rover_link", 30), "a warning"


def test_simulated_time_stamps_the_status(fleet):
    a = fleet.rover("rover_a", TALK, peers=["rover_b"], launch_arguments={"use_sim_time": "true"})
    a.graph.advertise("/clock", type="rosgraph_msgs/msg/Clock")

    def is_simulated():
        a.graph.publish_fields("/clock", fields={"clock": {"sec": 1234, "nanosec": 5}})
        return a.link_quality("rover_b")["header"]["stamp"] == {"sec": 1234, "nanosec": 5}

    wait_until(is_simulated, "the stamp follows /clock")
