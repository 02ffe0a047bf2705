"""Whoever comes late gets what each publisher has latched, exactly: each message once, none missing, none of a publisher
that is gone, however often the rovers lost each other before."""

from __future__ import annotations

import os
from collections import Counter

from rovers import wait_until, wait_until_connected

TRANSFORM = "geometry_msgs/msg/TransformStamped"
MAP = "nav_msgs/msg/OccupancyGrid"
LATCHED = {"durability": "transient_local", "depth": 1}
# Deep enough for all that a late joiner could get, and more.
LISTENS = {"durability": "transient_local", "depth": 100}
TF_STATIC = {"name": "/tf_static", "remote_name": "/tf_static"}
RECONNECTS = int(os.environ.get("RECONNECTS", "10"))


class Latched:
    """Publishers of a topic, and the last message of each."""

    def __init__(self, rover, topic: str, type_name: str, count: int) -> None:
        self.rover, self.topic, self.turns = rover, topic, 0
        self.last: list[str] = []
        for which in range(count):
            rover.graph.advertise(topic, type=type_name, **LATCHED)
            # The first one speaks often: it must not push out what the others said once.
            (*_, last) = rover.graph.publish(topic, which=which, seed=self._seed("first", which), count=4 if which == 0 else 1)
            self.last.append(last)

    def _seed(self, what: str, number: int) -> str:
        return f"{self.rover.rover_id} {what} {number}"

    def publish(self) -> None:
        """Lets the publishers say something new, one after the other."""
        which, self.turns = self.turns % len(self.last), self.turns + 1
        (self.last[which],) = self.rover.graph.publish(self.topic, which=which, seed=self._seed("turn", self.turns))


def assert_a_late_joiner_gets(rover, topic: str, type_name: str, latched: list[str], marker) -> None:
    """Subscribes late. What comes after all that it has to get comes after whatever it must not get, too."""
    rover.graph.subscribe(topic, type=type_name, key="late", **LISTENS)
    wait_until(lambda: set(latched) <= set(rover.graph.received("late")), "the late joiner gets all")
    marker.publish()
    wait_until(lambda: rover.graph.has_any("late", digests=marker.last), "something new arrives")
    received = [digest for digest in rover.graph.received("late") if digest not in set(marker.last) - set(latched)]
    assert Counter(received) == Counter(latched), "each message exactly once"
    rover.graph.unsubscribe("late")


def reconnect(a, b, turn: int) -> None:
    """Restarts one of the rovers, in order or not; the session is lost and made anew."""
    rover = (a, b)[turn % 2]
    if turn % 4 < 2:
        rover.kill()
    else:
        assert rover.stop() == 0
    rover.start()
    wait_until_connected(a, b)


def test_late_joiners_are_exact_after_ten_reconnects(fleet):
    topics = {"tf": TF_STATIC, "map": {"name": "/map"}}
    a, b = fleet.rover("rover_a", topics), fleet.rover("rover_b", accept=["/tf_static", "/rover_a/**"])
    tf, the_map = Latched(a, "/tf_static", TRANSFORM, 3), Latched(a, "/map", MAP, 1)
    wait_until_connected(a, b)
    for turn in range(RECONNECTS + 1):
        for topic, type_name, latched in [("/tf_static", TRANSFORM, tf), ("/rover_a/map", MAP, the_map)]:
            assert_a_late_joiner_gets(b, topic, type_name, list(latched.last), latched)
        if turn < RECONNECTS:
            reconnect(a, b, turn)


def test_who_listens_on_while_the_sender_restarts_gets_each_message_once(fleet):
    a, b = fleet.rover("rover_a", {"tf": TF_STATIC}), fleet.rover("rover_b", accept=["/tf_static"])
    b.graph.subscribe("/tf_static", type=TRANSFORM, **LISTENS)
    tf = Latched(a, "/tf_static", TRANSFORM, 3)
    # What is pushed out before it crosses is gone in ROS too.
    wait_until(lambda: set(tf.last) <= set(b.graph.received("/tf_static")), "all publishers are heard")
    expected = b.graph.received("/tf_static")
    for _ in range(3):
        a.kill()
        a.start()
        wait_until_connected(a, b)
        for _ in tf.last:
            tf.publish()
            wait_until(lambda: b.graph.has_any("/tf_static", digests=[tf.last[(tf.turns - 1) % 3]]), "it arrives")
            expected.append(tf.last[(tf.turns - 1) % 3])
    assert b.graph.received("/tf_static") == expected


def test_what_a_publisher_has_latched_goes_with_it(fleet):
    a, b = fleet.rover("rover_a", {"tf": TF_STATIC}), fleet.rover("rover_b", accept=["/tf_static"])
    tf = Latched(a, "/tf_static", TRANSFORM, 3)
    b.graph.subscribe("/tf_static", type=TRANSFORM, **LISTENS)
    wait_until(lambda: set(tf.last) <= set(b.graph.received("/tf_static")), "all publishers are heard")
    a.graph.unadvertise("/tf_static", which=0)
    wait_until(lambda: len(b.graph.publishers("/tf_static")) == 2, "it is gone at the far side too")
    b.graph.subscribe("/tf_static", type=TRANSFORM, key="late", **LISTENS)
    wait_until(lambda: b.graph.count("late") == 2, "the others' arrive")
    assert Counter(b.graph.received("late")) == Counter(tf.last[1:])


def test_several_rovers_may_latch_on_one_topic(fleet):
    senders = [fleet.rover(f"rover_{name}", {"tf": TF_STATIC}) for name in "bc"]
    a = fleet.rover("rover_a", accept=["/tf_static"])
    latched = [Latched(sender, "/tf_static", TRANSFORM, 2) for sender in senders]
    wait_until_connected(a, *senders)
    everything = [digest for one in latched for digest in one.last]
    assert_a_late_joiner_gets(a, "/tf_static", TRANSFORM, everything, latched[0])


def test_a_backlog_of_a_latched_topic_passes_a_subscriber_by_in_no_part(fleet):
    """A publisher that keeps one sample must not publish the next before a subscriber has this one."""
    a, b = fleet.rover("rover_a", {"map": {"name": "/map"}}), fleet.rover("rover_b")
    the_map = Latched(a, "/map", MAP, 1)
    b.graph.subscribe("/rover_a/map", type=MAP, **LISTENS)
    wait_until(lambda: b.graph.has_any("/rover_a/map", digests=the_map.last), "the map arrives")
    expected = b.graph.received("/rover_a/map")
    for _ in range(2):
        b.pause()
        for _ in range(20):
            # One after the other, so that the node beside it takes each.
            taken = a.topic_statistics("/map", "rover_b")["taken"]
            the_map.publish()
            expected += the_map.last
            wait_until(lambda: a.topic_statistics("/map", "rover_b")["taken"] > taken, "it is taken")
        b.go_on()
        wait_until(lambda: b.graph.has_any("/rover_a/map", digests=the_map.last), "the last one arrives")
    assert b.graph.received("/rover_a/map") == expected
