"""What the lab makes of events beside the journal, without anything running."""

import pytest
from journal import Done
from player import PHASES, REASONS, Handover, Played
from truth import LOOSE, STRICT, compare

FAULT = 2.5
BLACKHOLE = (FAULT, "set wlan0 both up=false")
CABLE = ((FAULT, "carrier wlan0 a off"), BLACKHOLE)


def played(commands, handovers) -> Played:
    """A run of 6 s: first 5 ms by wlan0, with 30 ms by wwan1 beside it."""
    before = [(-9.0, "set wlan0 both delay=0.005 rate=0"), (-9.0, "set wwan1 both delay=0.030 rate=0")]
    journal = [Done(at, tuple(command.split())) for at, command in [*before, *commands]]
    return Played(6.0, {}, handovers, journal, {"rover_a": "wlan0", "rover_b": "wlan0"})


def handover(rover, at, reason, detection=0.13, switch=0.062, left="wlan0", taken="wwan1", number=1, between=None):
    """Both phases of a handover that began at that moment."""
    event = {
        "handover_id": number,
        "reason": REASONS.index(reason),
        "reason_text": "",
        "from_interface": left,
        "to_interface": taken,
        "session_preserved": True,
        "ice_restart": False,
        "detection_duration": detection,
        "switch_duration": float("nan"),
    }
    started = Handover(at, rover, {**event, "phase": PHASES.index("started")})
    ended = at + (switch if between is None else between)
    return [started, Handover(ended, rover, {**event, "phase": PHASES.index("completed"), "switch_duration": switch})]


def both(*arguments, **options):
    return [phase for rover in ("rover_a", "rover_b") for phase in handover(rover, *arguments, **options)]


def wrong(commands, handovers, tolerance=STRICT):
    return compare(played(commands, handovers), tolerance).wrong


def test_what_is_true_is_not_complained_about():
    truth = compare(played([BLACKHOLE], both(FAULT + 0.13, "silence")), STRICT)
    assert (truth.wrong, truth.unexplained) == ([], [])
    assert [notice.fault.rover for notice in truth.notices] == ["rover_a", "rover_b"]
    assert [notice.detection for notice in truth.notices] == [pytest.approx(0.13)] * 2
    assert wrong(CABLE, both(FAULT + 0.004, "interface_down", detection=0.01)) == []


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        (both(FAULT + 0.13, "loss"), "left for loss, not for silence"),
        (both(FAULT + 0.13, "silence", detection=0.09), "detection_duration is 90.0 ms"),
        (both(FAULT + 0.13, "silence", detection=0.16), "detection_duration is 160.0 ms"),
        (both(FAULT + 0.13, "silence", detection=float("nan")), "detection_duration is nan ms"),
        (both(FAULT + 0.13, "silence", switch=0.062, between=0.09), "switch_duration, by the stamps"),
        (both(FAULT + 0.13, "silence", switch=0.09), "switch_duration, by the delays"),
        (both(FAULT + 0.13, "silence", switch=0.05), "switch_duration, by the delays"),
        (both(FAULT + 0.13, "silence")[::2], "was not completed"),
        ([], "tells of no handover away from wlan0"),
        (both(FAULT - 0.2, "silence", taken="wlan0"), "tells of no handover away from wlan0"),
    ],
)
def test_what_is_not_true_is_told_of_each_rover(told, complaint):
    complaints = wrong([BLACKHOLE], told)
    assert len(complaints) == 2 and all(complaint in text for text in complaints), complaints


def test_silence_is_true_as_well_once_there_was_enough_of_it():
    assert wrong(CABLE, both(FAULT + 0.13, "silence")) == []
    assert len(wrong(CABLE, both(FAULT + 0.05, "silence", detection=0.05))) == 2


def test_a_slow_machine_may_be_slow_but_nothing_is_faster_than_the_delays():
    late = both(FAULT + 0.5, "silence", detection=0.9, switch=0.4)
    assert wrong([BLACKHOLE], late, LOOSE) == []
    assert len(wrong([BLACKHOLE], both(FAULT + 0.13, "silence", switch=0.03), LOOSE)) == 2


def test_of_a_direction_that_dies_only_its_sender_has_to_tell():
    one_way = (FAULT, "set wlan0 a_to_b up=false")
    # The report comes back by the quick path.
    assert wrong([one_way], handover("rover_a", FAULT + 0.13, "silence", switch=0.036)) == []
    (complaint,) = wrong([one_way], handover("rover_b", FAULT + 0.13, "silence"))
    assert complaint.startswith("rover_a tells of no handover")


def test_a_path_that_fades_is_left_for_its_loss():
    fading = [(1.5 + 0.1 * step, f"set wlan0 both loss={0.01 * step}") for step in range(30)]
    assert wrong(fading, both(3.0, "loss", detection=0.001)) == []
    assert len(wrong(fading, both(3.0, "delay"))) == 2
    assert len(wrong(fading, [])) == 2


def test_a_new_address_may_take_a_while():
    change = [(FAULT, "note address wlan0 a changes"), (FAULT + 0.05, "note address wlan0 a changed")]
    assert wrong(change, both(FAULT + 0.045, "interface_down", detection=0.001)) == []
    assert len(wrong(change, both(FAULT + 0.12, "interface_down", detection=0.001))) == 2


def test_a_path_that_is_back_soon_or_not_in_use_need_not_be_left():
    blink = [BLACKHOLE, (FAULT + 0.1, "set wlan0 both up=true")]
    assert wrong(blink, []) == []
    assert wrong([(FAULT, "set wwan1 both up=false")], []) == []
    assert wrong([BLACKHOLE, (FAULT, "set wwan1 both up=false")], []) == []


def test_each_time_a_path_in_use_goes_it_has_to_be_left():
    flapping = [(2.0, "set wlan0 both up=false"), (2.5, "set wlan0 both up=true"), (5.0, "set wlan0 both up=false")]
    once = both(2.13, "silence")
    back = both(4.6, "preference", left="wwan1", taken="wlan0", number=2)
    assert wrong(flapping, once) == []
    assert len(wrong(flapping, once + back)) == 2
    assert wrong(flapping, once + back + both(5.13, "silence", number=3)) == []


@pytest.mark.parametrize("reason", ["silence", "loss", "interface_down", "address_changed", "unknown"])
def test_a_handover_without_a_cause_is_told(reason):
    truth = compare(played([], handover("rover_a", 1.0, reason)), LOOSE)
    assert truth.wrong == [] and len(truth.unexplained) == 1
