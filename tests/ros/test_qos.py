"""QoS crosses: as the publishers found have it, unless the configuration says otherwise, and what does not fit is told."""

from rovers import DIRECTION_RECEIVE, wait_until, wait_until_connected, wait_until_open

STRING = "std_msgs/msg/String"
TALK = {"name": "/talk"}


def far_publisher(rover):
    return wait_until(lambda: rover.graph.publishers("/rover_a/talk"), "the topic is published at the receiver")[0]


def test_a_best_effort_topic_is_best_effort_at_the_receiver(fleet):
    a, b = fleet.rover("rover_a", {"talk": TALK}), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, reliability="best_effort")
    b.graph.subscribe("/rover_a/talk", type=STRING, reliability="best_effort")
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    assert far_publisher(b)["reliability"] == "best_effort"


def test_the_weaker_of_two_publishers_decides(fleet):
    a, b = fleet.rover("rover_a", {"talk": TALK}), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, reliability="reliable", durability="transient_local")
    wait_until(lambda: far_publisher(b)["durability"] == "transient_local", "it follows the first publisher")
    a.graph.advertise("/talk", type=STRING, reliability="best_effort", durability="volatile")

    def follows_both():
        found = far_publisher(b)
        return (found["reliability"], found["durability"]) == ("best_effort", "volatile")

    wait_until(follows_both, "it follows the weaker one")
    b.graph.subscribe("/rover_a/talk", type=STRING, reliability="best_effort")
    for which in range(2):
        sent = a.graph.publish("/talk", which=which, seed=which)
        wait_until(
            lambda: b.graph.has_any("/rover_a/talk", digests=sent)
            or sent.extend(a.graph.publish("/talk", which=which, seed=f"{which} {len(sent)}")),
            "both publishers are heard",
        )


def test_the_configuration_wins_on_either_side(fleet):
    offered = {**TALK, "qos": {"durability": "transient_local", "depth": 3}}
    received = {"name": "/rover_a/talk", "direction": "receive", "qos": {"reliability": "best_effort"}}
    a, b = fleet.rover("rover_a", {"talk": offered}), fleet.rover("rover_b", {"talk": received})
    a.graph.advertise("/talk", type=STRING, durability="transient_local", depth=3)
    found = far_publisher(b)
    assert (found["reliability"], found["durability"]) == ("best_effort", "transient_local")


def test_a_subscriber_that_asks_for_more_than_is_offered_is_reported(fleet):
    a, b = fleet.rover("rover_a", {"talk": TALK}), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, reliability="best_effort")
    b.graph.subscribe("/rover_a/talk", type=STRING, reliability="reliable")
    statistics = wait_until(
        # The name of a node comes later than its subscriptions.
        lambda: "/test_" in (s := b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE))["remark"] and s,
        "the mismatch is reported",
    )
    assert statistics["qos_mismatch"]
    assert "requests reliable" in statistics["remark"]
    b.wait_for_log("requests reliable")
    wait_until(lambda: "need attention" in b.diagnostics("topics")["message"], "/diagnostics say so")


def test_a_publisher_that_offers_less_than_is_configured_is_reported(fleet):
    a = fleet.rover("rover_a", {"talk": {**TALK, "qos": {"reliability": "reliable"}}})
    b = fleet.rover("rover_b")
    wait_until_connected(a, b)
    a.graph.advertise("/talk", type=STRING, reliability="best_effort")
    statistics = wait_until(
        lambda: (s := a.topic_statistics("/talk", "rover_b"))["qos_mismatch"] and s, "the mismatch is reported"
    )
    assert "offers best_effort" in statistics["remark"]
    a.wait_for_log("offers best_effort")
