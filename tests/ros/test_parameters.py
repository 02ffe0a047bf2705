"""The six parameter services, as rclpy's client of them sees them: what there is, what it means, and what may be set."""

import json
import re
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from rovers import wait_until, wait_until_open

STRING = "std_msgs/msg/String"
TALK = {"talk": {"name": "/talk", "max_rate": 10}}
DOCUMENTED = Path(get_package_share_directory("rover_link"), "config", "rover.yaml")
BOOL, INTEGER, DOUBLE, TEXT, TEXTS = 1, 2, 3, 4, 9

# What is in force of a parameter that a message shows.
_FIELDS = {BOOL: "bool_value", INTEGER: "integer_value", DOUBLE: "double_value", TEXT: "string_value"}


def shown(value: dict):
    return value[_FIELDS.get(value["type"], "string_array_value")]


def set_one(rover, name, value) -> dict:
    (result,) = rover.graph.set_parameters(node=rover.node, values={name: value})
    return result


def get(rover, *names):
    return [shown(value) for value in rover.graph.get_parameters(node=rover.node, names=list(names))]


def flat(tree: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return found


@pytest.fixture
def rover(fleet):
    return fleet.rover("rover_a", TALK)


def test_every_documented_parameter_is_there_with_its_value_kind_and_description(fleet):
    documented = flat(yaml.safe_load(DOCUMENTED.read_text())["/**"]["ros__parameters"])
    rover = fleet.rover(
        "rover",
        {"odom": {"name": "odom"}},
        service_ids=["get_map"],
        services={"get_map": {"name": "get_map"}},
        action_ids=["navigate"],
        actions={"navigate": {"name": "navigate_to_pose"}},
        peers=[],
        link_quality={"publish_rate": 2.0},
        interfaces={"allow": ["*"]},
    )
    listed = rover.graph.list_parameters(node=rover.node)["names"]
    assert set(listed) == {*documented, "use_sim_time"}
    # Where the test has to differ from the defaults.
    url = documented.pop("signaling_url")
    assert url.startswith("ws://")
    names = list(documented)
    values = rover.graph.get_parameters(node=rover.node, names=names)
    assert {name: shown(value) for name, value in zip(names, values)} == documented
    assert rover.graph.parameter_types(node=rover.node, names=names) == [value["type"] for value in values]
    text = re.sub(r"\s+", " ", re.sub(r"\s*#", " ", DOCUMENTED.read_text()))
    for name, description in zip(names, rover.graph.describe_parameters(node=rover.node, names=names)):
        assert description["name"] == name
        assert len(description["description"]) > 10 and description["description"] in text, name
        may_change = name in ("topic_ids", "accept") or name.startswith("topics.")
        assert description["read_only"] is not may_change, name


def test_descriptors_tell_ranges_and_choices(rover):
    names = ["link_quality.publish_rate", "topics.talk.queue_bytes", "topics.talk.priority", "topics.talk.qos.depth"]
    rate, size, priority, depth = rover.graph.describe_parameters(node=rover.node, names=names)
    assert rate["type"] == DOUBLE and rate["floating_point_range"][0]["to_value"] == 100.0
    assert rate["additional_constraints"] == "above 0 and at most 100"
    assert (size["integer_range"][0]["from_value"], size["integer_range"][0]["to_value"]) == (1, 2**31 - 1)
    assert priority["additional_constraints"] == "one of normal, critical, high, low"
    assert depth["dynamic_typing"]
    (unknown,) = rover.graph.describe_parameters(node=rover.node, names=["no_such"])
    assert unknown["type"] == 0
    assert rover.graph.parameter_types(node=rover.node, names=["no_such", "fleet"]) == [0, TEXT]


def test_names_are_listed_by_block_and_depth(rover):
    def names(prefixes=(), depth=0):
        return rover.graph.list_parameters(node=rover.node, prefixes=prefixes, depth=depth)["names"]

    assert len(names(["handover"])) == 5
    assert names(["topics"], 1) == []
    assert "topics.talk.name" in names(["topics"], 2) and "topics.talk.qos.depth" not in names(["topics"], 2)
    assert names(["fleet", "accept"], 1) == ["accept", "fleet"]
    assert all("." not in name for name in names(depth=1)) and "use_sim_time" in names(depth=1)
    assert "topics.talk.qos" in rover.graph.list_parameters(node=rover.node)["prefixes"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fleet", "north", "`fleet` is read at start only; change it in the parameter file and start the node again"),
        ("rover_id", "rover_z", "read at start only"),
        ("topics.talk.max_rate", -1.0, "topics.talk.max_rate: must be from 0 to 10000, not -1.0"),
        ("topics.talk.max_rate", "fast", "must be a number, not a text"),
        ("topics.talk.priority", "urgent", "use one of normal, critical, high, low"),
        ("topics.talk.max_rat", 1.0, "did you mean `topics.talk.max_rate`"),
        ("topics.talk.name", "/a b", "is no topic name"),
        ("topics.scan.name", "/scan", "`scan` is not in topic_ids; add the id there"),
        ("topic_ids", ["talk", "scan"], "is missing, though `scan` is in topic_ids; add the block"),
        ("accept", ["odom"], "is no pattern of topic names"),
        ("use_sim_time", 1, "`use_sim_time` must be true or false"),
        ("no_such", 1, "there is no such parameter"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_reason_and_changes_nothing(rover, name, value, reason):
    names = rover.graph.list_parameters(node=rover.node)["names"]
    before = get(rover, *names)
    result = set_one(rover, name, value)
    assert not result["successful"] and reason in result["reason"], result
    result = rover.graph.set_parameters(
        node=rover.node, values={"topics.talk.lifespan": 5.0, name: value}, atomically=True
    )
    assert not result["successful"] and reason in result["reason"], result
    assert rover.graph.list_parameters(node=rover.node)["names"] == names
    assert get(rover, *names) == before
    # One after the other, what is right counts.
    good, bad = rover.graph.set_parameters(node=rover.node, values={"topics.talk.lifespan": 5.0, name: value})
    assert good["successful"] and not bad["successful"] and get(rover, "topics.talk.lifespan") == [5.0]


def test_a_change_is_shown_and_told_of(fleet, rover):
    b = fleet.rover("rover_b")
    rover.graph.watch_parameter_events()
    wait_until(lambda: rover.graph.publishers("/parameter_events"), "the node publishes events")
    rover.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(rover, "/talk", b, "/rover_a/talk")
    assert set_one(rover, "topics.talk.max_rate", 5)["successful"]
    assert get(rover, "topics.talk.max_rate") == [5.0], "a whole number will do"
    assert rover.graph.parameter_types(node=rover.node, names=["topics.talk.max_rate"]) == [DOUBLE]
    both = {"topic_ids": ["talk", "scan"], "topics.scan.name": "/scan"}
    assert rover.graph.set_parameters(node=rover.node, values=both, atomically=True)["successful"]
    gone = {"topic_ids": ["talk"], "topics.scan.name": None}
    assert rover.graph.set_parameters(node=rover.node, values=gone, atomically=True)["successful"]
    assert set_one(rover, "topics.talk.max_rate", None)["successful"]
    assert get(rover, "topics.talk.max_rate") == [0.0], "the default"

    def is_told():
        events = rover.graph.parameter_events(node=rover.node)
        return (
            events["changed_parameters"].count("topics.talk.max_rate") == 2
            and events["changed_parameters"].count("topic_ids") == 2
            and "topics.scan.name" in events["new_parameters"]
            and "topics.scan.name" in events["deleted_parameters"]
        )

    wait_until(is_told, "the events")
    assert "parameter changed: topics.talk.max_rate=5.0" in rover.log()


def test_a_file_loaded_at_run_time_brings_a_topic_with_its_block(fleet, rover):
    b = fleet.rover("rover_b")
    file = fleet.folder / "more.yaml"
    more = {"topic_ids": ["talk", "scan"], "topics": {"scan": {"name": "/scan", "priority": "high"}}}
    file.write_text(json.dumps({"/**": {"ros__parameters": more}}))
    assert all(result["successful"] for result in rover.graph.load_parameters(node=rover.node, file=str(file)))
    assert get(rover, "topics.scan.priority") == ["high"]
    rover.graph.advertise("/scan", type=STRING)
    b.graph.subscribe("/rover_a/scan", type=STRING)
    wait_until_open(rover, "/scan", b, "/rover_a/scan")


def test_an_empty_list_is_an_empty_list(rover):
    assert set_one(rover, "accept", [])["successful"]
    assert get(rover, "accept") == [[]]


def test_stamps_follow_the_clock_while_use_sim_time_is_set(fleet, rover):
    def stamp():
        return rover.link_quality("rover_b")["header"]["stamp"]["sec"]

    fleet.rover("rover_b")
    assert get(rover, "use_sim_time") == [False]
    assert stamp() > 1000
    rover.graph.advertise("/clock", type="rosgraph_msgs/msg/Clock", reliability="best_effort")
    assert set_one(rover, "use_sim_time", True)["successful"]

    def is_simulated():
        rover.graph.publish_fields("/clock", fields={"clock": {"sec": 7}})
        return stamp() == 7

    wait_until(is_simulated, "the stamps are those of the clock")
    assert get(rover, "use_sim_time") == [True]
    assert set_one(rover, "use_sim_time", False)["successful"]

    def is_real():
        rover.graph.publish_fields("/clock", fields={"clock": {"sec": 8}})
        return stamp() > 1000

    wait_until(is_real, "the stamps are those of the system again")
    assert set_one(rover, "use_sim_time", True)["successful"]
    wait_until(is_simulated, "and of the clock again")
