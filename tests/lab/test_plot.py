"""What is drawn of a run, without anything running."""

from pathlib import Path
from xml.etree import ElementTree

from live import Flow, Quality
from measure import Measured
from player import Played
from plot import COLOURS, draw
from scenario import Scenario
from test_truth import BLACKHOLE, FAULT, both, played

SCENARIO = Scenario(Path(__file__).resolve().parents[1] / "scenarios/lab-blackhole.toml")
SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ElementTree.Element:
    run = played([BLACKHOLE], both(FAULT + 0.13, "silence"))
    measured = Measured(3, [2.6], 0, 0, 0.16, [(1.0, 0.005), (3.0, 0.03)])
    streams = {stream: measured for stream in SCENARIO.streams(("rover_a", "rover_b"))}
    loss = [Quality(at, "rover_a", "wlan0", {"loss_ratio_sent": ratio}) for at, ratio in ((2.0, 0.0), (3.0, 0.5))]
    run = Played(run.duration, streams, run.handovers, run.journal, run.selected_at_first)
    return ElementTree.fromstring(draw(SCENARIO, run, loss))


def test_each_message_each_loss_and_each_path_is_drawn():
    root = drawn()
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"lab-blackhole, in the lab", "odom a_to_b", "wlan0", "wwan1", "10 ms", "50 % lost"} <= set(texts)
    paths = [element.get("d") for element in root.iter(f"{SVG}path")]
    # Two messages of each of four streams, and then one that was lost.
    assert [path.count("M") for path in paths] == [2] * 4 + [1] * 4
    assert len(list(root.iter(f"{SVG}polyline"))) == 1
    bands = [(element.find(f"{SVG}title").text, element.get("fill")) for element in list(root.iter(f"{SVG}rect"))[1:]]
    assert bands == [
        (f"rover_{side} by {device}", colour) for side in "ab" for device, colour in zip(("wlan0", "wwan1"), COLOURS)
    ]


def test_what_happens_is_a_line_with_a_label():
    labels = [element.text for element in drawn().iter(f"{SVG}text")]
    assert {"2.500 wifi down", "2.630 a to wwan1: silence", "2.692 a: completed"} <= set(labels)


def test_a_gap_so_far_grows_with_silence_and_does_not_shrink():
    flow = Flow()
    flow.add([1.0, 1.005], now=1.005, period=0.005)
    assert (flow.arrived, flow.gap) == (2, 0.0)
    flow.add([], now=1.110, period=0.005)
    assert abs(flow.gap - 0.1) < 1e-9
    flow.add([1.111, 1.116], now=1.116, period=0.005)
    assert flow.arrived == 4 and abs(flow.gap - 0.101) < 1e-9
