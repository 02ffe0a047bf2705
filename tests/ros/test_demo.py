"""What the demo counts and how it judges, without anything running."""

import sys
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "scripts"))

from demo.arrivals import Arrivals
from demo.handover import RADIO, RadioLoss
from demo.topics import TOPICS, examined, stamped
from demo.view import View

ODOM, SCAN, IMAGE, MAP = TOPICS


def counted(*numbers, intact=True):
    arrivals = Arrivals()
    for number in numbers:
        arrivals.add(number, 0.001, intact)
    report = arrivals.report()
    return {what: report[what] for what in ("first", "last", "received", "missing", "duplicates", "disordered", "spoilt")}


def run_of(**arrived):
    """What both sides report at the end of a run with ten messages of each topic and one map."""
    arrived = {"odom": range(3, 10), "scan": range(4, 10), "camera/image_raw": range(10), "map": [0]} | arrived
    view = View()
    view.take({"sent": {"odom": 10, "scan": 10, "camera/image_raw": 10, "map": 1}, "done": True})
    arrivals = {}
    for topic, numbers in arrived.items():
        arrivals[topic] = Arrivals()
        for number in numbers:
            arrivals[topic].add(number, 0.001, True)
    view.take({"arrivals": {topic: counts.report() for topic, counts in arrivals.items()}})
    return view


def test_counting_starts_with_the_first_message_that_arrives():
    assert counted(7, 8, 9) == {
        "first": 7, "last": 9, "received": 3, "missing": 0, "duplicates": 0, "disordered": 0, "spoilt": 0,
    }  # fmt: skip


def test_a_gap_is_missing_until_it_is_filled_out_of_order():
    assert counted(0, 3)["missing"] == 2
    late = counted(0, 3, 1)
    assert (late["missing"], late["disordered"], late["received"], late["duplicates"]) == (1, 1, 3, 0)


def test_what_comes_twice_is_counted_once():
    twice = counted(0, 1, 1, 0)
    assert (twice["received"], twice["duplicates"], twice["disordered"]) == (2, 2, 0)


def test_content_that_differs_is_spoilt():
    assert counted(0, 1, intact=False)["spoilt"] == 2


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_message_proves_its_number_and_content(topic):
    message = stamped(topic, 12)
    number, latency, is_intact = examined(topic, message)
    assert (number, is_intact) == (12, True)
    assert 0 <= latency < 5
    message.header.frame_id = "12 00000000"
    assert not examined(topic, message)[2]


def test_a_run_in_which_everything_arrives_is_good():
    view = run_of()
    assert view.is_complete and view.is_good
    assert "ok" in view.verdict()


@pytest.mark.parametrize(
    ("topic", "numbers", "complaint"),
    [
        (ODOM, [3, 4, 6, 7, 8, 9], "1 lost"),
        (ODOM, [3, 4, 5, 6, 7, 8], "1 lost"),
        (ODOM, [3, 5, 4, 6, 7, 8, 9], "1 out of order"),
        (IMAGE, [*range(10), 9], "1 came twice"),
        (SCAN, [4, 5, 7, 8, 9], "only 5 of 6"),
        (SCAN, [4, 5, 5, 6, 7, 8, 9], "1 came twice"),
        (MAP, [], "nothing arrived"),
    ],
)
def test_a_broken_promise_is_named(topic, numbers, complaint):
    view = run_of(**{topic.name: numbers})
    assert view.complaints(topic) == [complaint]
    assert not view.is_good


def test_a_best_effort_topic_may_lose_little():
    view = run_of(scan=[*range(4, 15), *range(16, 30)])
    view.take({"sent": {"odom": 10, "scan": 30, "camera/image_raw": 10, "map": 1}, "done": True})
    assert view.lost(SCAN) == 1
    assert view.is_good


def reported_silence(view, seconds):
    report = {topic.name: Arrivals().report() for topic in TOPICS}
    report["odom"]["silence"] = seconds
    view.take({"arrivals": report})


def test_silence_counts_while_it_is_watched():
    view = View()
    reported_silence(view, 9.0)
    view.watches_silence = True
    reported_silence(view, 0.5)
    reported_silence(view, 0.1)
    view.watches_silence = False
    reported_silence(view, 9.0)
    assert view.silence(ODOM) == 0.5


def test_a_handover_is_shown_by_the_event_that_tells_the_true_reason():
    event = {"completed": True, "from": RADIO, "reason": "interface_down", "preserved": True}
    loss = RadioLoss(stage=None)
    for change, expected in [({}, True), ({"reason": "delay"}, False), ({"completed": False}, False)]:
        view = View()
        view.take({"sent": {}, "done": False, "handovers": [event | change]})
        assert loss.is_shown(view) == expected


def test_the_gap_of_the_subscribers_and_that_of_the_link_are_told_apart():
    event = {"id": 1, "phase": 1, "completed": True, "reason": "interface_down", "text": "gone", "outage": 0.015, "lost": 0}
    view = run_of()
    view.watches_silence = True
    reported_silence(view, 0.5)
    view.take({"sent": {topic.name: 0 for topic in TOPICS}, "handovers": [event]})
    story = RadioLoss(stage=None).story(view)
    assert any("odom: longest gap 480.0 ms beyond the period of 20.0 ms" in line for line in story)
    assert any("nothing received for 15.0 ms, 0 lost" in line for line in story)


def test_a_radio_goes_and_comes_back_in_its_time():
    class Stage:
        def set_radio(self, radio, is_up):
            told.append((radio, is_up))

    told, view = [], run_of()
    loss = RadioLoss(Stage())
    for moment in (0.0, 4.9, 5.1, 9.0, 10.2, 13.3):
        loss.step(moment, view)
        if moment == 9.0:
            assert told == [(RADIO, False)] and view.watches_silence
    assert told == [(RADIO, False), (RADIO, True)] and not view.watches_silence


def test_what_is_on_its_way_is_not_lost_before_the_end():
    view = run_of(odom=range(3, 8))
    assert view.lost(ODOM) == 2
    view.take({"sent": {"odom": 10}, "done": False})
    assert view.lost(ODOM) == 0
    assert not view.is_complete
