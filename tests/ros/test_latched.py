"""Who comes late still gets what `transient_local` promises, whatever it is that comes late."""

from rovers import DIRECTION_RECEIVE, wait_until, wait_until_connected, wait_until_received

MAP = "nav_msgs/msg/OccupancyGrid"
LATCHED = {"durability": "transient_local", "depth": 1}


def publish_map(rover, seed):
    return rover.graph.publish("/map", seed=seed)


def advertise_map(rover):
    rover.graph.advertise("/map", type=MAP, **LATCHED)
    return publish_map(rover, "first")


def subscribe_to_map(rover):
    rover.graph.subscribe("/rover_a/map", type=MAP, **LATCHED)


def wait_for_map(rover):
    """Waits until the map has crossed, without a subscriber."""
    wait_until(
        lambda: rover.topic_statistics("/rover_a/map", "rover_a", DIRECTION_RECEIVE)["messages"] > 0,
        "the map has crossed",
    )


def test_a_late_subscriber_gets_the_map(fleet):
    a, b = fleet.rover("rover_a", {"map": {"name": "/map"}}), fleet.rover("rover_b")
    sent = advertise_map(a)
    wait_for_map(b)
    subscribe_to_map(b)
    wait_until_received(b, "/rover_a/map", sent)
    sent += publish_map(a, "second")
    wait_until_received(b, "/rover_a/map", sent)
    assert b.graph.received("/rover_a/map") == sent


def test_a_late_rover_gets_the_map(fleet):
    a = fleet.rover("rover_a", {"map": {"name": "/map"}})
    advertise_map(a)
    sent = publish_map(a, "second")
    a.wait_for_log("topic=/map remote_topic=/rover_a/map")
    b = fleet.rover("rover_b")
    subscribe_to_map(b)
    wait_until_received(b, "/rover_a/map", sent)
    assert b.graph.received("/rover_a/map") == sent, "the last one only"


def test_the_map_is_there_after_either_rover_was_restarted(fleet):
    a, b = fleet.rover("rover_a", {"map": {"name": "/map"}}), fleet.rover("rover_b")
    sent = advertise_map(a)
    wait_for_map(b)
    for restarted in (a, b, a, b):
        restarted.kill()
        restarted.start()
        wait_until_connected(a, b)
        subscribe_to_map(b)
        wait_until_received(b, "/rover_a/map", sent)
        b.graph.unsubscribe("/rover_a/map")
    subscribe_to_map(b)
    sent = publish_map(a, "second")
    wait_until_received(b, "/rover_a/map", sent)


def test_the_map_comes_once_to_an_early_subscriber_and_to_a_late_one_after_a_reconnect(fleet):
    a, b = fleet.rover("rover_a", {"map": {"name": "/map"}}), fleet.rover("rover_b")
    sent = advertise_map(a)
    subscribe_to_map(b)
    wait_until_received(b, "/rover_a/map", sent)
    a.pause()
    wait_until(lambda: not b.is_connected("rover_a"), "the loss is noticed")
    a.go_on()
    wait_until_connected(a, b)
    assert b.graph.received("/rover_a/map") == sent
    b.graph.unsubscribe("/rover_a/map")
    subscribe_to_map(b)
    wait_until_received(b, "/rover_a/map", sent)
    sent += publish_map(a, "second")
    wait_until_received(b, "/rover_a/map", sent)
    assert b.graph.received("/rover_a/map") == sent


def test_a_late_subscriber_gets_the_map_that_was_published_while_its_rover_was_away(fleet):
    a, b = fleet.rover("rover_a", {"map": {"name": "/map"}}), fleet.rover("rover_b")
    advertise_map(a)
    wait_for_map(b)
    assert b.stop() == 0
    publish_map(a, "second")
    sent = publish_map(a, "third")
    b.start()
    subscribe_to_map(b)
    wait_until_received(b, "/rover_a/map", sent)
    assert b.graph.received("/rover_a/map") == sent


def test_a_late_rover_gets_the_last_message_of_each_publisher(fleet):
    tf = {"name": "/tf", "remote_name": "/tf", "qos": {"depth": 10}}
    a = fleet.rover("rover_a", {"tf": tf})
    sent = []
    for which in range(3):
        a.graph.advertise("/tf", type="geometry_msgs/msg/TransformStamped", **LATCHED)
        sent += a.graph.publish("/tf", which=which, seed=which)
    b = fleet.rover("rover_b", accept=["/tf"])
    for _ in range(2):
        b.graph.subscribe("/tf", type="geometry_msgs/msg/TransformStamped", durability="transient_local", depth=10)
        wait_until(lambda: b.graph.count("/tf") == 3, "all three arrive")
        assert sorted(b.graph.received("/tf")) == sorted(sent)
        b.graph.unsubscribe("/tf")
