"""Everything that can befall a path, once each, with real kernels, real sockets and real ROS: the scenarios lab-* of
tests/scenarios. How long it takes is measured by: make lab STRICT=1 RUNS=20"""

from pathlib import Path

import pytest
from lab import ROVERS
from play import play
from player import Played
from scenario import Scenario
from truth import LOOSE, compare

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
FAULTS = sorted(file.stem for file in SCENARIOS.glob("lab-*.toml"))

# The rovers that have to leave a path, where it is not both: each direction is decided by its sender.
CONCERNED = {"lab-one-way-blackhole": {ROVERS[0]}}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_survived_and_told_truly_with_the_signaling_server_stopped(name):
    check(Scenario(SCENARIOS / f"{name}.toml"), without_signaling=True)


# What the link does about a path has nothing to do with the server. That its presence does no harm, two faults show:
# one that the kernel tells of, and one that it does not.
@pytest.mark.parametrize("name", ["lab-carrier-down", "lab-blackhole"])
def test_a_fault_is_survived_and_told_truly_while_the_signaling_server_runs(name):
    check(Scenario(SCENARIOS / f"{name}.toml"), without_signaling=False)


def check(scenario: Scenario, without_signaling: bool) -> None:
    played = play(scenario, without_signaling=without_signaling)
    for stream, measured in played.streams.items():
        print(f"{stream.case}: gap {measured.gap:.3f} s, {measured.lost} of {measured.published} lost")
        assert measured.deliveries and (measured.duplicates, measured.reordered) == (0, 0), stream
        if scenario.is_reliable(stream):
            assert measured.lost == 0, stream
    truth = compare(played, LOOSE)
    print("\n".join([*map(str, truth.notices), *truth.unexplained]))
    assert not truth.wrong, story(played)
    told = {notice.fault.rover for notice in truth.notices}
    assert told == CONCERNED.get(scenario.name, set(ROVERS)), story(played)
    was_stopped = any(done.words == ("note", "signaling", "down") for done in played.journal)
    assert was_stopped == without_signaling


def story(played: Played) -> str:
    """For whoever has to find out why."""
    done = [(done.at, " ".join(done.words)) for done in played.journal]
    told = [(handover.at, f"{handover.rover}: {handover}") for handover in played.handovers]
    return "\n".join(f"{at:8.3f} s  {what}" for at, what in sorted(done + told))
