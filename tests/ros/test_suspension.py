"""A rover that does nothing for a while, as when its machine is suspended, goes on where it was."""

import time

from rovers import wait_until, wait_until_open, wait_until_received

TALK = {"talk": {"name": "/talk"}}
STRING = "std_msgs/msg/String"

# Far longer than a path takes to be given up, far shorter than a session waits, s.
PAUSE = 10.0


def test_what_is_published_while_a_rover_is_suspended_arrives_in_order(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    since = a.link_quality("rover_b")["connected_since"]

    b.pause()
    paused = time.monotonic()
    sent = a.graph.publish("/talk", count=50, seed="at the beginning")
    a.graph.keep_publishing("/talk", rate=20.0, seed="meanwhile")
    wait_until(lambda: time.monotonic() > paused + PAUSE, "the pause ends")
    b.go_on()
    sent += a.graph.stop_publishing("/talk")
    sent += a.graph.publish("/talk", count=50, seed="after it")

    wait_until_received(b, "/rover_a/talk", sent)
    assert b.graph.received("/rover_a/talk")[-len(sent) :] == sent
    assert a.link_quality("rover_b")["connected_since"] == since, "the session has lived through it"
    b.wait_for_log("networks are looked at anew")
