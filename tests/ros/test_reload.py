"""`~/reload` reads the parameter files again: what may change is applied, what may not is named, and what is wrong changes
nothing."""

import json

from rovers import wait_until, wait_until_connected, wait_until_open

STRING = "std_msgs/msg/String"


class File:
    """The parameter file of a rover, which a test edits."""

    def __init__(self, fleet, rover) -> None:
        self.path = fleet.folder / f"{rover.rover_id}.yaml"
        self.parameters = json.loads(self.path.read_text())["/**"]["ros__parameters"]

    def write(self, **changes) -> None:
        self.parameters.update(changes)
        self.path.write_text(json.dumps({"/**": {"ros__parameters": self.parameters}}, indent=2))


def reload(rover) -> dict:
    return rover.graph.trigger(service=f"{rover.node}/reload")


def start(fleet):
    a, b = fleet.rover("rover_a", {"talk": {"name": "/talk"}}), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    return a, b, wait_until_open(a, "/talk", b, "/rover_a/talk")


def test_topics_come_and_go_and_the_others_go_on(fleet):
    a, b, sent = start(fleet)
    a.graph.advertise("/scan", type=STRING)
    b.graph.subscribe("/rover_a/scan", type=STRING)
    file = File(fleet, a)
    assert reload(a) == {"success": True, "message": "nothing changed"}
    for count in range(3):
        file.write(topic_ids=["talk", "scan"], topics={"talk": {"name": "/talk"}, "scan": {"name": "/scan"}})
        assert reload(a) == {"success": True, "message": "topics changed: scan"}
        wait_until_open(a, "/scan", b, "/rover_a/scan")
        sent += a.graph.publish("/talk", count=50, seed=f"with {count}")
        file.write(topic_ids=["talk"], topics={"talk": {"name": "/talk"}})
        assert reload(a)["success"]
        sent += a.graph.publish("/talk", count=50, seed=f"without {count}")
        wait_until(lambda: not a.graph.subscriptions("/scan"), "the topic is not taken any more")
    wait_until(lambda: b.graph.has_any("/rover_a/talk", digests=sent[-1:]), "the last message")
    received = b.graph.received("/rover_a/talk")
    # The first ones were published before the topic was open.
    assert received == sent[sent.index(received[0]) :], "complete, in order, each once"
    assert a.log().count("connected: peer=rover_b") == 1


def test_what_is_wrong_is_said_with_file_line_and_remedy_and_changes_nothing(fleet):
    a, b, _ = start(fleet)
    file = File(fleet, a)
    file.write(topic_ids=["talk", "scan"], topics={"talk": {"name": "/talk", "max_rate": -1}})
    answer = reload(a)
    assert not answer["success"]
    line = next(n for n, text in enumerate(file.path.read_text().splitlines(), 1) if "max_rate" in text)
    assert f"{file.path}:{line}: topics.talk.max_rate: must be from 0 to 10000, not -1.0" in answer["message"]
    assert "topics.scan: is missing, though `scan` is in topic_ids" in answer["message"]
    file.path.write_text("/**:\n  ros__parameters: {rover_id: [\n")
    answer = reload(a)
    assert not answer["success"] and answer["message"].startswith("ROS refuses the arguments: ")
    file.path.unlink()
    answer = reload(a)
    assert not answer["success"] and str(file.path) in answer["message"]
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    file.write(topics={"talk": {"name": "/talk"}}, topic_ids=["talk"])
    assert reload(a) == {"success": True, "message": "nothing changed"}


def test_what_counts_from_the_start_is_named_and_the_rest_applied(fleet):
    a, b, _ = start(fleet)
    file = File(fleet, a)
    file.write(fleet="north", link_quality={"publish_rate": 3.0}, accept=["/{peer}/**", "/x"])
    assert reload(a) == {
        "success": True,
        "message": "accept changed; read at start only, so start the node again for: fleet, link_quality.publish_rate",
    }
    (accept,) = a.graph.get_parameters(node=a.node, names=["accept"])
    assert accept["string_array_value"] == ["/{peer}/**", "/x"]
    (name,) = a.graph.get_parameters(node=a.node, names=["fleet"])
    assert name["string_value"] == "default"
    wait_until_open(a, "/talk", b, "/rover_a/talk")


def test_it_takes_back_what_was_set_at_run_time(fleet):
    a, _, _ = start(fleet)
    values = {"topics.talk.priority": "high"}
    assert a.graph.set_parameters(node=a.node, values=values)[0]["successful"]
    assert reload(a) == {"success": True, "message": "topics changed: talk"}
    (priority,) = a.graph.get_parameters(node=a.node, names=["topics.talk.priority"])
    assert priority["string_value"] == "normal"


def test_what_is_accepted_from_now_on_opens_and_what_is_not_closes(fleet):
    a = fleet.rover("rover_a", {"talk": {"name": "/talk", "remote_name": "/from_a/talk"}})
    b = fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/from_a/talk", type=STRING)
    wait_until_connected(a, b)
    b.wait_for_log("/from_a/talk is not accepted from rover_a")
    file = File(fleet, b)
    for count in range(1, 3):
        file.write(accept=["/from_a/*"])
        assert reload(b)["success"]
        wait_until_open(a, "/talk", b, "/from_a/talk")
        file.write(accept=[])
        assert reload(b)["success"]
        b.wait_for_log("/from_a/talk is not accepted from rover_a", count + 1)
        wait_until(lambda: not b.graph.publishers("/from_a/talk"), "nothing is published under the name")
        statistics = wait_until(lambda: (s := a.topic_statistics("/talk", "rover_b"))["remark"] and s, "a remark")
        assert "not accepted" in statistics["remark"]
    # An entry of its own accepts as well.
    file.write(topic_ids=["in"], topics={"in": {"name": "/from_a/talk", "direction": "receive"}})
    assert reload(b)["success"]
    wait_until_open(a, "/talk", b, "/from_a/talk")
