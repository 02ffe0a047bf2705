"""Who and what is not wanted is refused, said so on both sides, and published nowhere."""

import re

import pytest
from relay import TamperingRelay
from rovers import (
    DIRECTION_RECEIVE, STATE_CONNECTED, wait_until, wait_until_connected, wait_until_open,
)  # fmt: skip

STRING = "std_msgs/msg/String"
TALK = {"talk": {"name": "/talk", "remote_name": "/talk", "type": STRING}}
ANYTHING = ["/**"]

OK, ERROR = [0], [2]  # of diagnostic_msgs/msg/DiagnosticStatus


def assert_refused(rover, peer, reason):
    """The rover says why it has no session with the peer, wherever an operator may look."""
    status = wait_until(
        lambda: re.search(reason, (status := rover.diagnostics(f"peer {peer}"))["message"]) and status,
        f"/diagnostics of {rover.rover_id} say {reason!r} of {peer}",
    )
    assert status["level"] == ERROR
    quality = rover.link_quality(peer)
    assert quality["state"] != STATE_CONNECTED
    assert not quality["authenticated"]
    assert re.search(rf"{peer}.*{reason}", rover.log())


def assert_silent(sender, receiver):
    """Nothing of the sender's topic shows at the receiver, not even the topic."""
    assert sender.graph.publish("/talk", count=10)
    assert receiver.graph.publishers("/talk") == []


def start_talk(*rovers):
    for rover in rovers:
        rover.graph.advertise("/talk", type=STRING)


@pytest.mark.parametrize("stranger", ["a_stranger", "z_stranger"], ids=["that offers", "that is to be offered"])
def test_a_rover_that_is_not_listed_is_refused(fleet, stranger):
    rover = fleet.rover("rover_a", TALK, peers=["rover_b"], accept=ANYTHING)
    other = fleet.rover(stranger, TALK, accept=ANYTHING)
    friend = fleet.rover("rover_b", peers=["rover_a"], accept=ANYTHING)
    rover.graph.advertise("/talk", type=STRING)
    friend.graph.subscribe("/talk", type=STRING)
    wait_until_open(rover, "/talk", friend, "/talk")
    assert_refused(other, "rover_a", "not listed")
    rover.wait_for_log(f"peer={stranger}: it is not listed")
    assert other.graph.publishers("/talk") == []
    other.graph.advertise("/talk", type=STRING)
    other.graph.publish("/talk", count=10)
    assert [p for p in rover.graph.publishers("/talk") if "rover_link" in p["node"]] == []


def test_a_rover_with_another_fleet_key_is_refused(fleet):
    a = fleet.rover("rover_a", TALK, accept=ANYTHING)
    b = fleet.rover("rover_b", accept=ANYTHING, fleet_key="a key of another fleet")
    start_talk(a)
    assert_refused(a, "rover_b", "key")
    assert_refused(b, "rover_a", "key")
    assert_silent(a, b)


def test_a_rover_without_a_fleet_key_is_refused_by_one_that_has_one(fleet):
    a = fleet.rover("rover_a", TALK, accept=ANYTHING)
    b = fleet.rover("rover_b", accept=ANYTHING, fleet_key="")
    start_talk(a)
    assert_refused(a, "rover_b", "key")
    assert_refused(b, "rover_a", "key")
    assert_silent(a, b)


def test_rovers_without_a_fleet_key_connect_and_say_that_nothing_is_proven(fleet):
    a, b = fleet.rover("rover_a", fleet_key=""), fleet.rover("rover_b", fleet_key="")
    wait_until_connected(a, b)
    for rover, peer in ((a, "rover_b"), (b, "rover_a")):
        assert not rover.link_quality(peer)["authenticated"]
        wait_until(lambda: "not proven" in rover.diagnostics(f"peer {peer}")["message"], "/diagnostics say so")
        assert "WARN" in rover.log() and "no ROVER_LINK_FLEET_KEY" in rover.log()


def test_a_rover_whose_certificate_is_not_the_pinned_one_is_refused(fleet):
    pinned = "sha-256 " + ":".join(["AB"] * 32)
    a = fleet.rover("rover_a", TALK, accept=ANYTHING, peer_fingerprints={"rover_b": pinned})
    b = fleet.rover("rover_b", TALK, accept=ANYTHING)
    start_talk(a)
    assert_refused(a, "rover_b", "pinned")
    assert_silent(a, b)


def test_a_rover_with_the_pinned_certificate_connects(fleet):
    b = fleet.rover("rover_b")
    b.wait_for_log("fingerprint=")
    pinned = re.search(r"fingerprint=(sha-256 [0-9A-F:]+)", b.log())[1]
    a = fleet.rover("rover_a", peer_fingerprints={"rover_b": pinned})
    wait_until_connected(a, b)
    assert a.link_quality("rover_b")["authenticated"]


@pytest.mark.parametrize("token", ["", "another-token"], ids=["without a token", "with another token"])
def test_a_rover_that_the_server_does_not_let_in_says_so(fleet, token):
    url = fleet.server(token="the-token").url()
    a = fleet.rover("rover_a", url=url, environment={"ROVER_LINK_TOKEN": "the-token"}, peers=["rover_b"])
    b = fleet.rover("rover_b", url=url, environment={"ROVER_LINK_TOKEN": token})
    wait_until(lambda: a.diagnostics("signaling")["level"] == OK, "the other one is let in")
    status = wait_until(lambda: (s := b.diagnostics("signaling"))["level"] == ERROR and s, "an error")
    assert "token" in status["message"]
    assert re.search("WARN.*token", b.log())
    assert "the-token" not in a.log() + b.log()
    assert not a.is_connected("rover_b")


def test_a_server_that_swaps_fingerprints_gets_no_session(fleet):
    with TamperingRelay(fleet.server().url()) as relay:
        a = fleet.rover("rover_a", TALK, accept=ANYTHING)
        b = fleet.rover("rover_b", TALK, accept=ANYTHING, url=relay.url)
        start_talk(a)
        wait_until(lambda: relay.swapped > 1, "the relay has swapped fingerprints in two attempts")
        # The reason is DTLS's; what counts is that there is one.
        assert_refused(b, "rover_a", ".")
        assert_silent(a, b)


def test_a_topic_that_is_not_accepted_is_refused_and_reported_on_both_sides(fleet):
    topics = {**TALK, "odom": {"name": "/odom", "type": STRING}}
    a, b = fleet.rover("rover_a", topics), fleet.rover("rover_b")
    start_talk(a)
    wait_until_connected(a, b)
    for rover, peer, direction in ((a, "rover_b", 0), (b, "rover_a", DIRECTION_RECEIVE)):
        statistics = wait_until(
            lambda: (s := rover.topic_statistics("/talk", peer, direction))["remark"] and s, "a remark"
        )
        assert "not accepted" in statistics["remark"]
        assert statistics["messages"] == 0
        wait_until(lambda: "need attention" in rover.diagnostics("topics")["message"], "/diagnostics say so")
        assert re.search("WARN.*/talk is not accepted from rover_a", rover.log())
    assert_silent(a, b)
    # The topic beside it is none the worse for it.
    a.graph.advertise("/odom", type=STRING)
    b.graph.subscribe("/rover_a/odom", type=STRING)
    wait_until_open(a, "/odom", b, "/rover_a/odom")


def test_a_topic_of_another_type_is_refused_and_reported_on_both_sides(fleet):
    a = fleet.rover("rover_a", TALK)
    b = fleet.rover("rover_b", {"talk": {"name": "/talk", "direction": "receive", "type": "std_msgs/msg/Header"}})
    start_talk(a)
    wait_until_connected(a, b)
    for rover, peer, direction in ((a, "rover_b", 0), (b, "rover_a", DIRECTION_RECEIVE)):
        statistics = wait_until(
            lambda: (s := rover.topic_statistics("/talk", peer, direction))["remark"] and s, "a remark"
        )
        assert STRING in statistics["remark"] and "std_msgs/msg/Header" in statistics["remark"]
    assert b.topic_statistics("/talk", "rover_a", DIRECTION_RECEIVE)["type_mismatch"]
    assert_silent(a, b)
