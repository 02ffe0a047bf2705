"""How the lab reads scenario files."""

import pytest
from scenario import Scenario, ScenarioError

TEXT = """
name = "example"
duration = 10.0
loss_everywhere = 0.02

[[path]]
name = "wifi"
kind = "wifi"
delay = 0.005
loss = 0.01

[[path]]
name = "cell"
kind = "cellular"

[[traffic]]
name = "control"
rate = 50.0
size = 64
from = "both"

[[event]]
at = 6.0
every = 2.0
until = 9.0
path = "cell"
action = "carrier_down"

[[event]]
at = 1.0
path = "wifi"
direction = "a_to_b"
set = { delay = 0.105, up = false }
ramp = 0.2
"""


def read(tmp_path, text):
    file = tmp_path / "example.toml"
    file.write_text(text)
    return Scenario(file)


def test_devices_are_called_as_the_kernel_calls_their_kind(tmp_path):
    scenario = read(tmp_path, TEXT)
    assert [scenario.device(path) for path in scenario.paths] == ["wlan0", "wwan1"]
    assert scenario.conditions("wifi") == {"delay": 0.005, "loss": 0.03}


def test_a_ramp_is_climbed_in_steps_and_repetitions_are_told_apart(tmp_path):
    steps = [(step.at, step.action, dict(step.conditions)) for step in read(tmp_path, TEXT).steps()]
    assert steps == [
        (1.0, "set", {"delay": pytest.approx(0.055), "up": False}),
        (1.1, "set", {"delay": pytest.approx(0.105), "up": False}),
        (6.0, "carrier_down", {}),
        (8.0, "carrier_down", {}),
    ]


def test_a_class_that_both_send_is_two_streams(tmp_path):
    streams = read(tmp_path, TEXT).streams(("rover_a", "rover_b"))
    assert [(stream.sender, stream.received_as, stream.case) for stream in streams] == [
        ("rover_a", "/rover_a/control", "control a_to_b"),
        ("rover_b", "/rover_b/control", "control b_to_a"),
    ]


def test_what_is_no_file_or_no_toml_is_refused_by_name(tmp_path):
    with pytest.raises(ScenarioError, match="nothing.toml: No such file"):
        Scenario(tmp_path / "nothing.toml")
    with pytest.raises(ScenarioError, match="example.toml: Invalid value"):
        read(tmp_path, "name =")


def test_what_happens_is_told_in_words(tmp_path):
    assert read(tmp_path, TEXT).happenings() == [
        (1.0, "wifi a→b delay 0.105, down within 0.2 s"),
        (6.0, "cell carrier down"),
        (8.0, "cell carrier down"),
    ]


def test_targets_of_the_run_are_told_from_those_of_a_class(tmp_path):
    scenario = read(tmp_path, TEXT + "[target]\nswitches = 3\n[target.control]\nlost = 0\n")
    assert scenario.run_targets() == {"switches": 3}
    assert scenario.targets("control") == {"lost": 0}


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("rate = 50.0", "rate = 0.0"),
        TEXT.replace("rate = 50.0", "rate = 50.0\nstart = 5.0"),
        TEXT + '[[tcp]]\nname = "update"\npath = "wifi"\nfrom = "a"\n',
        TEXT.replace("carrier_down", "nat_rebind"),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path, text):
    with pytest.raises(ScenarioError, match="example.toml: the lab"):
        read(tmp_path, text)
