"""The program `doctor`: what it finds with a fleet that runs and with one that does not, as text and as JSON, and its
exit status."""

import json
import socket
from pathlib import Path

import pytest
from doctor import examine, examined, problems, run
from rovers import wait_until_connected

WRONG_FILE = Path(__file__).parents[1] / "config" / "misspelt_key.yaml"
CHAT = {"chat": {"name": "/chat", "type": "std_msgs/msg/String"}}


def test_all_is_well_where_the_server_runs_and_types_are_installed(fleet):
    fleet.rover("rover_b", CHAT).wait_for_log("connected")
    found = examined(fleet.described_rover("rover_a", CHAT, peers=["rover_b"]))
    facts = found["facts"]
    assert (facts["rover_id"], facts["peers"]) == ("rover_a", ["rover_b"])
    assert facts["secrets"]["fleet_key"] is True
    assert facts["signaling"]["outcome"] == "joined"
    assert facts["signaling"]["members"] == [{"rover_id": "rover_b", "is_rover": True}]
    assert facts["topics"] == [
        {"id": "chat", "name": "/chat", "type": "std_msgs/msg/String", "not_installed": None}
    ]
    lo = [of for of in facts["addresses"] if of["interface"] == "lo" and of["address"] == "127.0.0.1"]
    assert [(of["kind"], of["carrier"], of["unused"]) for of in lo] == [("loopback", True, None)]
    # The same as text.
    done = examine(fleet.described_rover("rover_a", CHAT, peers=["rover_b"]))
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("std_msgs/msg/String is installed", "127.0.0.1", "rover_b", "0 problems"):
        assert text in done.stdout


def test_it_makes_no_identity_and_tells_the_one_there_is(fleet):
    rover = fleet.described_rover("rover_a")
    identity = examined(rover)["facts"]["identity"]
    assert identity["state"] == "missing"
    file = Path(identity["file"])
    assert not file.exists()
    fleet.started(rover).wait_for_log("fingerprint=")
    identity = examined(rover)["facts"]["identity"]
    assert identity["state"] == "ready"
    assert f"fingerprint={identity['fingerprint']}" in rover.log()
    file.chmod(0o644)
    found = examined(rover, status=1)
    assert any("chmod 600" in problem["text"] for problem in problems(found))


def test_a_node_that_runs_is_good_news_and_is_not_disturbed(fleet):
    a, b = fleet.rover("rover_a", CHAT), fleet.rover("rover_b", CHAT)
    wait_until_connected(a, b)
    found = examined(a)
    assert found["facts"]["signaling"] == {"outcome": "node_is_member"}
    url = fleet.server().url()
    (finding,) = [finding for finding in found["findings"] if finding["subject"] == url]
    assert finding["mark"] == "ok"
    assert "rover_a" in finding["text"]
    assert a.is_connected("rover_b")
    assert "not connected with the signaling server" not in a.log()


def test_a_server_that_is_down_is_a_problem_with_its_remedy(fleet):
    url = "ws://127.0.0.1:1"
    rover = fleet.described_rover("rover_a", CHAT, url=url)
    found = examined(rover, status=1)
    (problem,) = problems(found)
    assert problem["subject"] == url
    assert "refused" in problem["text"]
    assert "start the signaling server" in problem["remedy"]
    done = examine(rover)
    assert done.returncode == 1
    assert "PROBLEM" in done.stdout
    assert problem["remedy"] in done.stdout
    # The option counts more than the file.
    up = fleet.described_rover("rover_a", CHAT, url=url, launch_arguments={"signaling_url": fleet.server().url()})
    assert examined(up)["facts"]["signaling_url"] == fleet.server().url()


def test_a_server_that_says_nothing_is_given_up(fleet):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "ws://127.0.0.1:{}".format(silent.getsockname()[1])
        done = examine(fleet.described_rover("rover_a", url=url), "--json", "--timeout=2")
    assert done.returncode == 1
    assert json.loads(done.stdout)["facts"]["signaling"] == {"outcome": "silent"}
    assert url in done.stderr, "it says what it waits for"


def test_a_wrong_token_is_a_problem_and_is_not_shown(fleet):
    url = fleet.server(token="sesame").url()
    wrong = fleet.described_rover("rover_a", environment={"ROVER_LINK_TOKEN": "simsalabim"}, url=url)
    done = examine(wrong, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["facts"]["signaling"] == {"outcome": "token_refused"}
    assert "simsalabim" not in done.stdout + done.stderr
    right = fleet.described_rover("rover_a", environment={"ROVER_LINK_TOKEN": "sesame"}, url=url)
    done = examine(right)
    assert done.returncode == 0, done.stdout
    assert "sesame" not in done.stdout + done.stderr


def test_a_type_that_is_not_installed_is_a_problem(fleet):
    topics = {**CHAT, "odd": {"name": "odd", "type": "odd_msgs/msg/Odd"}, "free": {"name": "free"}}
    services = {"reset": {"name": "reset", "type": "std_srvs/srv/Trigger"}, "any": {"name": "any"}}
    actions = {"go": {"name": "go", "type": "odd_msgs/action/Go"}}
    rover = fleet.described_rover(
        "rover_a", topics, service_ids=list(services), services=services, action_ids=list(actions), actions=actions
    )
    found = examined(rover, status=1)
    of_topic, of_action = problems(found)
    assert (of_topic["section"], of_topic["subject"]) == ("topics", "odd")
    assert "odd_msgs/msg/Odd is not installed" in of_topic["text"]
    assert (of_action["section"], of_action["subject"]) == ("services", "go")
    assert "odd_msgs/action/Go_SendGoal is not installed" in of_action["text"]
    assert all("odd_msgs" in problem["remedy"] for problem in (of_topic, of_action))
    assert [topic["id"] for topic in found["facts"]["topics"]] == list(topics)
    assert [service["id"] for service in found["facts"]["services"]] == ["reset", "any", "go"]


def test_servers_that_do_not_answer_are_problems(fleet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        at = "127.0.0.1:{}".format(silent.getsockname()[1])
        servers = [f"stun:{at}", f"turn:{at}"]
        turn = {"ROVER_LINK_TURN_USERNAME": "me", "ROVER_LINK_TURN_CREDENTIAL": "sesame"}
        rover = fleet.described_rover("rover_a", ice_servers=servers, environment=turn)
        found = examined(rover, "--timeout=2", status=1)
    assert {problem["subject"] for problem in problems(found)} == {f"stun:{at}", f"turn:{at}?transport=udp"}
    assert found["facts"]["nat"][0]["mapping"] == "unknown"
    assert [answer["outcome"] for answer in found["facts"]["turn"]] == ["silent"]
    assert "sesame" not in json.dumps(found)


def test_an_interface_that_is_not_allowed_is_told_with_the_reason(fleet):
    rover = fleet.described_rover("rover_a", interfaces={"allow": ["nothing*"]})
    found = examined(rover, status=1)
    lo = [of for of in found["facts"]["addresses"] if of["interface"] == "lo"]
    assert lo and all(of["unused"] == "loopback" for of in lo)
    assert any("interfaces.allow" in problem["remedy"] for problem in problems(found))


def test_a_wrong_configuration_is_told_as_the_node_tells_it(fleet):
    done = run("--json", "--ros-args", "--params-file", str(WRONG_FILE), environment=fleet.environment())
    assert done.returncode == 2
    assert done.stdout == ""
    expected = [l.removeprefix("# error") for l in WRONG_FILE.read_text().splitlines() if l.startswith("# error")]
    assert expected
    for text in expected:
        assert f"{WRONG_FILE}{text}" in done.stderr


@pytest.mark.parametrize("arguments", [["--timeout=0"], ["--no-such"], ["--ros-args", "--params-file", "/nowhere"]])
def test_wrong_arguments_are_refused(fleet, arguments):
    done = run(*arguments, environment=fleet.environment())
    assert done.returncode == 2
    assert done.stderr


def test_help_names_every_option_and_the_exit_status():
    done = run("--help")
    assert done.returncode == 0
    for text in ("--rover-id", "--signaling-url", "--timeout", "--json", "Exit status"):
        assert text in done.stdout
