"""The programs as the launch files start them: names, overrides, a clean stop, errors that tell what to put right."""

import re
import signal
import socket
import time
from pathlib import Path

import pytest
from launch_expand import expand
from rovers import LAUNCH, Program, Rover, Server, wait_until, wait_until_connected, wait_until_open

# Two of many: in the file, and missing from it.
WRONG_FILES = [Path(__file__).parents[1] / "config" / name for name in ("misspelt_key.yaml", "missing_rover_id.yaml")]
CHAT = {"chat": {"name": "/chat", "type": "std_msgs/msg/String", "direction": "both"}}

STOP_TIME = 2.0  # s
BOTH_SIGNALS = pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])


def assert_stops_cleanly(program, by):
    began = time.monotonic()
    assert program.stop(by) == 0
    assert time.monotonic() - began < STOP_TIME
    assert program.leaves_nothing()


@BOTH_SIGNALS
def test_rovers_and_the_server_stop_cleanly_while_they_are_connected(fleet, by):
    a, b = fleet.rover("rover_a", CHAT), fleet.rover("rover_b", CHAT)
    wait_until_connected(a, b)
    assert_stops_cleanly(a, by)
    wait_until(lambda: not b.is_connected("rover_a"), "the other rover notices the stop")
    assert_stops_cleanly(b, by)
    assert_stops_cleanly(fleet.server(), by)


@BOTH_SIGNALS
def test_a_rover_stops_cleanly_without_a_server(fleet, by):
    a = fleet.rover("rover_a", CHAT, url="ws://127.0.0.1:1")
    assert a.diagnostics("signaling")["level"] != [0]
    assert_stops_cleanly(a, by)


def test_the_demo_launch_file_starts_two_rovers_that_share_topics(fleet):
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = "127.0.0.1:{}".format(free.getsockname()[1])
    arguments = {"bind": bind, "domain_a": str(fleet.domain()), "domain_b": str(fleet.domain())}
    described = expand(LAUNCH / "demo.launch.xml", arguments, fleet.environment())
    server = fleet.started(Server(described[0], fleet.folder / "server.log"))
    a = fleet.started(Rover("rover_a", described[1], fleet.folder / "rover_a.log"))
    b = fleet.started(Rover("rover_b", described[2], fleet.folder / "rover_b.log"))
    wait_until_connected(a, b)
    for rover in (a, b):
        rover.graph.advertise("/chat", type="std_msgs/msg/String")
        rover.graph.subscribe("/chat", type="std_msgs/msg/String")
    wait_until_open(a, "/chat", b, "/chat")
    wait_until_open(b, "/chat", a, "/chat")
    a.graph.advertise("/rover_a/odom", type="nav_msgs/msg/Odometry")
    b.graph.subscribe("/rover_a/odom", type="nav_msgs/msg/Odometry")
    wait_until_open(a, "/rover_a/odom", b, "/rover_a/odom")
    for program in (a, b, server):
        assert_stops_cleanly(program, signal.SIGINT)


def test_namespace_remaps_and_launch_arguments_override(fleet):
    topics = {"odom": {"name": "odom"}, "scan": {"name": "scan"}}
    scout = fleet.rover(
        "rover_a",
        topics,
        url="ws://127.0.0.1:1",
        launch_arguments={
            "rover_id": "scout",
            "namespace": "fleet/scout",
            "signaling_url": fleet.server().url(),
            "use_sim_time": "true",
        },
        ros_arguments=["-r", "scan:=/base/scan"],
    )
    b = fleet.rover("rover_b")
    for local, remote in (("/fleet/scout/odom", "/scout/odom"), ("/base/scan", "/scout/scan")):
        scout.graph.advertise(local, type="std_msgs/msg/String")
        b.graph.subscribe(remote, type="std_msgs/msg/String")
        wait_until_open(scout, local, b, remote)
    assert scout.node == "/fleet/scout/rover_link"
    wait_until(lambda: scout.node in scout.graph.nodes(), "the node is seen, which DDS may find after the bridge's own")
    values = scout.graph.parameters(scout.node, names=["rover_id", "signaling_url", "use_sim_time", "peers"])
    assert values[0]["string_value"] == "scout"
    assert values[1]["string_value"] == fleet.server().url()
    assert values[2]["bool_value"] is True
    assert values[3]["string_array_value"] == ["*"]
    wait_until(lambda: scout.is_connected("rover_b"), "the status topics are in the namespace")


@pytest.mark.parametrize("file", WRONG_FILES, ids=lambda file: file.stem)
def test_a_wrong_configuration_is_refused_with_file_and_key(fleet, file):
    (process,) = expand(LAUNCH / "rover.launch.xml", {"params_file": str(file)}, fleet.environment())
    rover = fleet.started(Rover("rover", process, fleet.folder / "rover.log"))
    assert rover.wait() == 2
    # Each fixture says what is wrong with it: `# error:LINE: KEY: TEXT`, or without a line.
    expected = [line.removeprefix("# error") for line in file.read_text().splitlines() if line.startswith("# error")]
    assert expected
    for text in expected:
        assert f"{file}{text}" in rover.log()


def test_a_short_fleet_key_is_warned_of_and_not_shown(fleet):
    rover = fleet.rover("rover_a", fleet_key="sesame")
    rover.wait_for_log("ROVER_LINK_FLEET_KEY")
    assert re.search("WARN.*ROVER_LINK_FLEET_KEY", rover.log())
    assert "sesame" not in rover.log()


def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(fleet):
    rover = fleet.rover("rover_a", environment={"ROVER_LINK_TOKEN": "open sesame"})
    assert rover.wait() == 2
    assert "ROVER_LINK_TOKEN" in rover.log()
    assert "sesame" not in rover.log()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ({"bind": "{taken}"}, 3, "{taken}"),
        ({"bind": "0.0.0.0:0"}, 2, "token"),
        ({"bind": "nowhere"}, 2, "--bind"),
        ({"bind": "127.0.0.1:0", "token_file": "/nowhere/token"}, 2, "/nowhere/token"),
    ],
    ids=["taken", "unprotected", "no address", "no token file"],
)
def test_a_server_that_cannot_run_says_why(fleet, arguments, status, text):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:{}".format(taken.getsockname()[1])
        arguments = {name: value.format(taken=address) for name, value in arguments.items()}
        (process,) = expand(LAUNCH / "signaling_server.launch.xml", arguments, fleet.environment())
        server = fleet.started(Program(process, fleet.folder / "server.log"))
        assert server.wait() == status
    assert text.format(taken=address) in server.log()
