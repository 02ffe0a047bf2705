"""What publishers promise about time crosses: deadline and liveliness are offered at the far side, and who breaks them is
told on both."""

from rovers import DIRECTION_RECEIVE, wait_until, wait_until_open

STRING = "std_msgs/msg/String"
TALK = {"talk": {"name": "/talk"}}
DEADLINE = {"deadline": 0.5}
LIVELINESS = {"liveliness": "manual_by_topic", "lease": 0.5}


def talking(fleet, **qos):
    """Two rovers and a topic between them that is published all the time; the far subscriber asks for the same."""
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, **qos)
    b.graph.subscribe("/rover_a/talk", type=STRING, **qos)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    a.graph.keep_publishing("/talk", rate=50.0, seed="promise")
    return a, b


def remarks(a, b):
    sent = a.topic_statistics("/talk", "rover_b")["remark"]
    received = b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)["remark"]
    return sent, received


def assert_told(a, b, at_sender, at_receiver):
    """Lets the publisher fall silent, and speak again."""
    wait_until(lambda: remarks(a, b) == ("", ""), "all is well while it is published")
    a.graph.stop_publishing("/talk")
    told = f"{at_sender!r} and {at_receiver!r} are told"
    wait_until(lambda: all(text in remark for text, remark in zip((at_sender, at_receiver), remarks(a, b))), told)
    for rover, text in ((a, at_sender), (b, at_receiver)):
        rover.wait_for_log(text)
        values = wait_until(
            lambda: any(text in value["value"] for value in rover.diagnostics("topics")["values"]), "/diagnostics say so"
        )
        assert values
    a.graph.keep_publishing("/talk", rate=50.0, seed="again")
    wait_until(lambda: remarks(a, b) == ("", ""), "all is well again")


def test_a_deadline_is_offered_at_the_far_side_and_a_missed_one_is_told_on_both(fleet):
    a, b = talking(fleet, **DEADLINE)
    (offered,) = b.graph.publishers("/rover_a/talk")
    assert offered["deadline"] == 0.5
    assert_told(a, b, "no message came within the deadline of 0.5 s", "within the deadline of 0.5 s that the publishers")


def test_liveliness_is_offered_at_the_far_side_and_told_on_both_where_it_is_lost(fleet):
    a, b = talking(fleet, **LIVELINESS)
    (offered,) = b.graph.publishers("/rover_a/talk")
    assert (offered["liveliness"], offered["lease"]) == ("manual_by_topic", 0.5)
    assert_told(a, b, "has not said for 0.5 s that it is alive", "nothing has come for 0.5 s")


def test_a_subscriber_that_asks_for_a_deadline_that_nobody_promises_is_reported(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, deadline=2.0)
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING, **DEADLINE)

    def is_reported():
        statistics = b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)
        return statistics["qos_mismatch"] and "deadline 0.5 s, but reliable, volatile is offered" in statistics["remark"]

    wait_until(is_reported, "the mismatch is reported")
    # The one that promises nothing goes, and the other one's promise counts: still not enough.
    a.graph.unadvertise("/talk", which=1)
    wait_until(lambda: [p["deadline"] for p in b.graph.publishers("/rover_a/talk")] == [2.0], "it follows the one left")
    wait_until(
        lambda: "deadline 2 s is offered"
        in b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)["remark"],
        "the mismatch is reported anew",
    )
