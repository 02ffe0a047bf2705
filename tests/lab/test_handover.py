"""A radio is lost while messages flow, with real kernels, real sockets and real ROS."""

from pathlib import Path

import pytest
from play import play
from player import Played
from scenario import Scenario

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"

# The largest gap that is no failure here, s: the targets are for a machine that has nothing else to do.
GAP_LIMIT = 1.0


@pytest.mark.parametrize(
    ("file", "reasons"),
    [("1-s", {"interface_down"}), ("2-s", {"silence", "loss"})],
    ids=["the cable is pulled", "the radio falls silent"],
)
def test_nothing_reliable_is_lost_with_a_radio_and_the_handover_is_told_with_its_reason(file, reasons):
    scenario = Scenario(SCENARIOS / f"{file}.toml")
    (event,) = scenario.steps()
    played = play(scenario)
    for stream, measured in played.streams.items():
        print(f"{stream.name}: gap {measured.gap:.3f} s, {measured.lost} of {measured.published} lost")
        assert measured.published > 0 and measured.duplicates == 0
        if scenario.is_reliable(stream):
            assert (measured.lost, measured.reordered) == (0, 0)
            assert measured.gap < GAP_LIMIT
    lost, kept = map(scenario.device, ("wifi", "cell"))
    completed = completed_from(played, "rover_a", lost, event.at)
    assert completed.event["to_interface"] == kept
    assert completed.reason in reasons, completed
    assert completed.event["session_preserved"] and not completed.event["ice_restart"]
    # Each direction is decided by its sender.
    assert completed_from(played, "rover_b", lost, event.at).event["to_interface"] == kept


def completed_from(played: Played, rover: str, interface: str, since: float):
    """The first handover of a rover away from this interface that was completed after this moment."""
    for handover in played.handovers:
        is_it = handover.rover == rover and handover.event["from_interface"] == interface
        if is_it and handover.phase == "completed" and handover.at >= since:
            return handover
    raise AssertionError(f"{rover} tells of no handover away from {interface}: {list(map(str, played.handovers))}")
