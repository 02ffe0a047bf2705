"""What the three launch files start, argument by argument."""

from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch_expand import LaunchFileError, expand

SHARE = Path(get_package_share_directory("rover_link"))
PROGRAMS = Path(get_package_prefix("rover_link"), "lib", "rover_link")
NODE = str(PROGRAMS / "rover_link_node")
SERVER = str(PROGRAMS / "signaling_server")
NO_TURN = ["--turn-url=", "--turn-secret-file="]

ROVER = SHARE / "launch/rover.launch.xml"
SIGNALING_SERVER = SHARE / "launch/signaling_server.launch.xml"
DEMO = SHARE / "launch/demo.launch.xml"


def expand_text(tmp_path, text, arguments=None, environment=None):
    file = tmp_path / "some.launch.xml"
    file.write_text(f"<launch>{text}</launch>")
    return expand(file, arguments, environment)


def node_argv(*, rover_id="", signaling_url="", log_level="info", namespace="/", params_file, more=()):
    return [
        NODE, f"--rover-id={rover_id}", f"--signaling-url={signaling_url}", "--ros-args", "--log-level", log_level,
        "--ros-args", "-r", "__node:=rover_link", "-r", f"__ns:={namespace}", "--params-file", str(params_file), *more,
    ]  # fmt: skip


def test_what_the_launch_files_start_is_installed():
    for file in (ROVER, SIGNALING_SERVER, DEMO):
        for process in expand(file):
            assert Path(process.executable).is_file(), process.executable
            for option, value in zip(process.argv, process.argv[1:]):
                assert option != "--params-file" or Path(value).is_file(), value


def test_a_rover_takes_everything_from_the_parameter_file_by_default():
    (rover,) = expand(ROVER)
    assert rover.argv == node_argv(params_file=SHARE / "config/rover.yaml", more=["-p", "use_sim_time:=false"])


def test_each_argument_of_a_rover_overrides():
    arguments = {
        "rover_id": "scout",
        "params_file": "/etc/rovers/scout.yaml",
        "namespace": "fleet/scout",
        "signaling_url": "wss://base.example:3001/a b",
        "start_signaling": "false",
        "use_sim_time": "true",
        "log_level": "debug",
    }
    (rover,) = expand(ROVER, arguments)
    assert rover.argv == node_argv(
        rover_id="scout",
        signaling_url="wss://base.example:3001/a b",
        log_level="debug",
        namespace="/fleet/scout",
        params_file="/etc/rovers/scout.yaml",
        more=["-p", "use_sim_time:=true"],
    )


def test_a_rover_starts_the_signaling_server_too_when_asked():
    server, rover = expand(ROVER, {"start_signaling": "true", "log_level": "warn"})
    assert server.argv[:3] == [SERVER, "--bind=127.0.0.1:3001", "--token-file="]
    assert server.env["RUST_LOG"] == "warn"
    assert rover.argv[0] == NODE
    with pytest.raises(LaunchFileError, match="true or false"):
        expand(ROVER, {"start_signaling": "perhaps"})


def test_the_rover_stays_in_the_domain_of_the_shell():
    (rover,) = expand(ROVER, environment={"ROS_DOMAIN_ID": "7"})
    assert rover.env == {"ROS_DOMAIN_ID": "7"}


def test_the_signaling_server_listens_on_loopback_by_default():
    (server,) = expand(SIGNALING_SERVER)
    assert server.argv == [SERVER, "--bind=127.0.0.1:3001", "--token-file=", *NO_TURN, "--ros-args"]
    assert server.env["RUST_LOG"] == "info"


def test_each_argument_of_the_signaling_server_overrides():
    turn = {"turn_url": "turn:192.0.2.1", "turn_secret_file": "/run/secret"}
    (server,) = expand(
        SIGNALING_SERVER, {"bind": "[::]:4000", "token_file": "/run/a token", "log_level": "debug", **turn}
    )
    own = ["--bind=[::]:4000", "--token-file=/run/a token", "--turn-url=turn:192.0.2.1", "--turn-secret-file=/run/secret"]
    assert server.argv == [SERVER, *own, "--ros-args"]
    assert server.env["RUST_LOG"] == "debug"


def test_the_demo_starts_a_server_and_two_rovers_in_domains_of_their_own():
    server, rover_a, rover_b = expand(DEMO)
    assert server.argv == [SERVER, "--bind=127.0.0.1:3001", "--token-file=", *NO_TURN, "--ros-args"]
    for rover, name in ((rover_a, "rover_a"), (rover_b, "rover_b")):
        assert rover.argv == [
            NODE, "--signaling-url=ws://127.0.0.1:3001", "--ros-args", "--log-level", "info",
            "--ros-args", "-r", "__node:=rover_link", "-r", f"__ns:=/{name}",
            "--params-file", str(SHARE / f"config/demo_{name}.yaml"),
        ]  # fmt: skip
    assert rover_a.env["ROS_DOMAIN_ID"] == "41"
    assert rover_b.env["ROS_DOMAIN_ID"] == "42"


def test_each_argument_of_the_demo_overrides():
    arguments = {"bind": "127.0.0.1:4444", "domain_a": "11", "domain_b": "12", "log_level": "error"}
    server, rover_a, rover_b = expand(DEMO, arguments)
    assert server.argv[1] == "--bind=127.0.0.1:4444"
    assert server.env["RUST_LOG"] == "error"
    for rover, domain in ((rover_a, "11"), (rover_b, "12")):
        assert rover.argv[1:5] == ["--signaling-url=ws://127.0.0.1:4444", "--ros-args", "--log-level", "error"]
        assert rover.env["ROS_DOMAIN_ID"] == domain


def test_no_secret_is_an_argument_or_a_parameter():
    for file in (ROVER, SIGNALING_SERVER, DEMO):
        text = file.read_text()
        assert "FLEET_KEY" not in text
        assert "$(env ROVER_LINK_" not in text


# The expansion itself, where launch has rules that surprise.


def test_arguments_of_an_include_stay_set_after_it_unless_a_group_ends_their_scope(tmp_path):
    included = tmp_path / "included.launch.xml"
    included.write_text('<launch><arg name="x" default="inner"/></launch>')
    include = f'<include file="{included}"><arg name="x" value="given"/></include>'
    node = '<node pkg="rover_link" exec="rover_link_node" args="$(var x)"/>'

    (leaked,) = expand_text(tmp_path, include + node)
    assert leaked.argv[1] == "given"
    (scoped,) = expand_text(tmp_path, f'<let name="x" value="outer"/><group>{include}</group>{node}')
    assert scoped.argv[1] == "outer"


def test_namespaces_nest_and_an_absolute_one_starts_anew(tmp_path):
    (nested, absolute, outside) = expand_text(
        tmp_path,
        """<group>
          <push-ros-namespace namespace="a"/>
          <node pkg="rover_link" exec="rover_link_node" namespace="b"/>
          <node pkg="rover_link" exec="rover_link_node" namespace="/c"/>
        </group>
        <node pkg="rover_link" exec="rover_link_node"/>""",
    )
    assert nested.argv[-1] == "__ns:=/a/b"
    assert absolute.argv[-1] == "__ns:=/c"
    assert outside.argv[1:] == ["--ros-args"]


def test_remaps_come_last_and_conditions_apply_to_them_too(tmp_path):
    (node,) = expand_text(
        tmp_path,
        """<node pkg="rover_link" exec="rover_link_node">
          <remap from="odom" to="/base/odom"/>
          <remap from="scan" to="/base/scan" unless="$(env NO_SCAN false)"/>
          <param name="rover_id" value="a"/>
        </node>""",
        environment={"NO_SCAN": "1"},
    )
    assert node.argv[1:] == ["--ros-args", "-p", "rover_id:=a", "-r", "odom:=/base/odom"]


def test_text_is_split_into_arguments_but_a_substitution_is_not(tmp_path):
    (node,) = expand_text(
        tmp_path,
        """<arg name="a" default="one two"/><arg name="empty" default=""/>
        <node pkg="rover_link" exec="rover_link_node" args="-x 'y z' --a=$(var a)/$(var a) $(var empty) $(var a)end -q"/>""",
    )
    assert node.argv[1:-1] == ["-x", "y z", "--a=one two/one two", "", "one twoend", "-q"]


@pytest.mark.parametrize(
    "text",
    [
        "<executable cmd='ls'/>",
        "<node pkg='rover_link' exec='rover_link_node' respawn='true'/>",
        "<node pkg='rover_link' exec='rover_link_node' args='$(eval 1)'/>",
        "<node pkg='rover_link' exec='rover_link_node' args='$(var unset)'/>",
        "<node pkg='rover_link' exec='rover_link_node'><arg name='x' default=''/></node>",
        "<arg name='required'/>",
        "<let name='x' value='$(env UNSET)'/>",
    ],
)
def test_what_is_not_known_is_an_error(tmp_path, text):
    with pytest.raises(LaunchFileError):
        expand_text(tmp_path, text, environment={})
