"""The signaling server introduces rovers; once they know each other, its loss is none of theirs."""

from rovers import wait_until, wait_until_connected, wait_until_open, wait_until_received

TALK = {"talk": {"name": "/talk"}}
STRING = "std_msgs/msg/String"


def test_topics_go_on_without_the_server_and_a_third_rover_joins_when_it_is_back(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    since = a.link_quality("rover_b")["connected_since"]

    fleet.server().kill()
    for rover in (a, b):
        wait_until(lambda: rover.diagnostics("signaling")["message"] != "connected", "the loss is reported")
        assert rover.log().count("not connected with the signaling server") == 1
        assert rover.diagnostics("signaling")["level"] == [1], "a warning, for topics go on"
    sent = a.graph.publish("/talk", count=500, seed="without a server")
    wait_until_received(b, "/rover_a/talk", sent)
    assert b.graph.received("/rover_a/talk")[-500:] == sent

    fleet.server().start_again()
    c = fleet.rover("rover_c")
    c.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_connected(a, b, c)
    wait_until_open(a, "/talk", c, "/rover_a/talk")
    sent = a.graph.publish("/talk", count=100, seed="to both")
    for rover in (b, c):
        wait_until_received(rover, "/rover_a/talk", sent)
        assert rover.graph.received("/rover_a/talk")[-100:] == sent
    assert a.link_quality("rover_b")["connected_since"] == since, "the session has lived through it"


def test_a_rover_that_starts_before_the_server_finds_its_peers(fleet):
    server = fleet.server()
    url = server.url()
    server.kill()
    a, b = fleet.rover("rover_a", url=url), fleet.rover("rover_b", url=url)
    for rover in (a, b):
        wait_until(
            lambda: rover.diagnostics("signaling")["level"] == [2],
            "that there is no server is an error while there is no peer",
        )
    server.start_again()
    wait_until_connected(a, b)
