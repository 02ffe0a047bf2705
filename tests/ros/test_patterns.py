"""Entries whose name is a pattern: a route for each topic that matches, as publishers come and go."""

from rovers import wait_until, wait_until_connected, wait_until_open, wait_until_received

STRING = "std_msgs/msg/String"
INT = "std_msgs/msg/Int32"


def is_bridged(rover, topic) -> bool:
    """Does the rover's node take the messages of the topic?"""
    return any(found["node"].endswith("_bridge") for found in rover.graph.subscriptions(topic))


def advertise(rover, *topics, type=STRING) -> None:
    for topic in topics:
        rover.graph.advertise(topic, type=type)


def cross(sender, topic, receiver, remote) -> None:
    receiver.graph.subscribe(remote, type=STRING)
    wait_until_open(sender, topic, receiver, remote)


def test_topics_that_match_cross_as_they_come_and_are_withdrawn_when_they_have_gone(fleet):
    a, b = fleet.rover("rover_a", {"sensors": {"name": "sensors/**"}}), fleet.rover("rover_b")
    advertise(a, "/sensors/imu", "/sensors/gps/fix", "/other/odom")
    cross(a, "/sensors/imu", b, "/rover_a/sensors/imu")
    cross(a, "/sensors/gps/fix", b, "/rover_a/sensors/gps/fix")
    assert not is_bridged(a, "/other/odom")
    # A driver that is started again finds its route as it was.
    a.graph.unadvertise("/sensors/imu")
    advertise(a, "/sensors/imu")
    wait_until_open(a, "/sensors/imu", b, "/rover_a/sensors/imu")
    assert a.log().count("topic offered: topic=/sensors/imu") == 1
    sent = a.graph.publish("/sensors/gps/fix", count=200)
    wait_until_received(b, "/rover_a/sensors/gps/fix", sent)
    a.graph.unadvertise("/sensors/gps/fix")
    wait_until(lambda: not is_bridged(a, "/sensors/gps/fix"), "the topic is withdrawn")
    advertise(a, "/sensors/gps/fix")
    wait_until_open(a, "/sensors/gps/fix", b, "/rover_a/sensors/gps/fix")
    assert a.log().count("topic offered: topic=/sensors/gps/fix") == 2
    # It has its former number, so what is counted of it counts on.
    wait_until(lambda: a.topic_statistics("/sensors/gps/fix", "rover_b")["messages"] > len(sent), "all are counted")


def test_what_is_excluded_hidden_of_another_type_or_of_the_system_does_not_cross(fleet):
    topics = {
        "texts": {"name": "/**", "type": STRING, "exclude": ["/debug/**", "/camera"]},
    }
    a = fleet.rover("rover_a", topics, launch_arguments={"use_sim_time": "false"})
    b = fleet.rover("rover_b")
    advertise(a, "/debug/x", "/camera", "/_hidden", "/a/_b/c", "/diagnostics_2", "/camera/info")
    advertise(a, "/number", type=INT)
    advertise(a, "/parameter_events", type="rcl_interfaces/msg/ParameterEvent")
    for topic in ("/diagnostics_2", "/camera/info"):
        cross(a, topic, b, f"/rover_a{topic}")
    bridged = {topic for topic in a.graph.topics() if is_bridged(a, topic)}
    assert bridged == {"/diagnostics_2", "/camera/info"}


def test_without_a_type_everything_but_the_systems_own_topics_crosses(fleet):
    a, b = fleet.rover("rover_a", {"all": {"name": "/**"}}), fleet.rover("rover_b")
    wait_until_connected(a, b)
    advertise(a, "/text", "/rover_link_2/text")
    advertise(a, "/number", type=INT)
    advertise(a, "/clock", type="rosgraph_msgs/msg/Clock")
    cross(a, "/text", b, "/rover_a/text")
    cross(a, "/rover_link_2/text", b, "/rover_a/rover_link_2/text")
    wait_until(lambda: is_bridged(a, "/number"), "any type")
    bridged = {topic for topic in a.graph.topics() if is_bridged(a, topic)}
    # Neither /rosout, /parameter_events, /diagnostics, /clock nor the topics of the node.
    assert bridged == {"/text", "/rover_link_2/text", "/number"}


def test_patterns_that_go_both_ways_never_echo(fleet):
    chat = {"chat": {"name": "/chat/**", "direction": "both"}}
    a, b, c = (fleet.rover(name, chat) for name in ("rover_a", "rover_b", "rover_c"))
    rovers = (a, b, c)
    wait_until_connected(*rovers)
    for rover in rovers:
        rover.graph.subscribe("/chat/room", type=STRING)
    advertise(a, "/chat/room")
    for receiver in (b, c):
        wait_until_open(a, "/chat/room", receiver, "/chat/room")
    # Nobody but the bridge publishes it there, so there it is not sent.
    assert not is_bridged(b, "/chat/room") and not is_bridged(c, "/chat/room")
    advertise(b, "/chat/room")
    for receiver in (a, c):
        wait_until_open(b, "/chat/room", receiver, "/chat/room")
    before = [rover.graph.count("/chat/room") for rover in rovers]
    sent = a.graph.publish("/chat/room", count=20, seed="from a") + b.graph.publish(
        "/chat/room", count=20, seed="from b"
    )
    for rover in rovers:
        wait_until(lambda: set(sent) <= set(rover.graph.received("/chat/room")), "all messages arrive")
    for rover, count in zip(rovers, before):
        received = rover.graph.received("/chat/room")[count:]
        assert sorted(received) == sorted(sent), "each once"


def test_the_exact_name_wins_and_then_the_first_pattern(fleet):
    topics = {
        "raw": {"name": "/camera/**/raw", "remote_name": "/{peer}/raw/{name}"},
        "all": {"name": "/**"},
        "odom": {"name": "/odom", "remote_name": "/{peer}/exact"},
        "cmd": {"name": "/cmd", "direction": "receive"},
    }
    a, b = fleet.rover("rover_a", topics), fleet.rover("rover_b")
    advertise(a, "/camera/left/raw", "/camera/left/info", "/odom", "/cmd")
    cross(a, "/camera/left/raw", b, "/rover_a/raw/camera/left/raw")
    cross(a, "/camera/left/info", b, "/rover_a/camera/left/info")
    cross(a, "/odom", b, "/rover_a/exact")
    assert not is_bridged(a, "/cmd"), "an entry that receives names it"
    assert not [topic for topic in b.graph.topics() if topic in ("/rover_a/odom", "/rover_a/camera/left/raw")]


def test_a_pattern_admits_what_matches_with_its_qos(fleet):
    a = fleet.rover("rover_a", {"talk": {"name": "/talk", "remote_name": "/shared/talk"}})
    received = {
        "in": {
            "name": "/shared/*",
            "direction": "receive",
            "exclude": ["/shared/secret"],
            "qos": {"durability": "transient_local", "depth": 5},
        }
    }
    b = fleet.rover("rover_b", received, accept=[])
    advertise(a, "/talk")
    cross(a, "/talk", b, "/shared/talk")
    assert b.graph.publishers("/shared/talk")[0]["durability"] == "transient_local"
    changed = {"topics.talk.remote_name": "/shared/secret"}
    assert a.graph.set_parameters(node=a.node, values=changed)[0]["successful"]
    b.wait_for_log("/shared/secret is not accepted from rover_a")


def test_a_pattern_in_a_namespace_is_relative_to_it(fleet):
    topics = {"sensors": {"name": "sensors/*", "exclude": ["sensors/raw"]}}
    a = fleet.rover("rover_a", topics, launch_arguments={"namespace": "robot"})
    b = fleet.rover("rover_b")
    advertise(a, "/robot/sensors/imu", "/robot/sensors/raw", "/sensors/imu")
    cross(a, "/robot/sensors/imu", b, "/rover_a/robot/sensors/imu")
    assert not is_bridged(a, "/sensors/imu") and not is_bridged(a, "/robot/sensors/raw")


def test_beyond_the_limit_topics_are_left_out_and_that_is_told(fleet):
    written_out = {f"t{number}": {"name": f"/written_out/t{number}"} for number in range(2046)}
    a = fleet.rover("rover_a", {**written_out, "many": {"name": "/many/*"}}, link_quality={"publish_rate": 0.2})
    b = fleet.rover("rover_b")
    topics = [f"/many/m{number}" for number in range(5)]
    advertise(a, *topics)
    wait_until(lambda: "3 topics that patterns match are left out" in a.diagnostics("topics")["message"], "diagnostics")
    a.wait_for_log("is not sent, though `/many/*` matches it: 2048 topics are already", 3)
    assert sum(is_bridged(a, topic) for topic in topics) == 2
    # There is room again once fewer are written out, and what is written out wins where there is none.
    fewer = {"topic_ids": ["t0", "many"]}
    fewer |= {f"topics.{topic}.name": None for topic in written_out if topic != "t0"}
    assert a.graph.set_parameters(node=a.node, values=fewer, atomically=True)["successful"]
    wait_until(lambda: all(is_bridged(a, topic) for topic in topics), "all are sent")
    wait_until(lambda: "left out" not in a.diagnostics("topics")["message"], "diagnostics")
    cross(a, topics[-1], b, f"/rover_a{topics[-1]}")
