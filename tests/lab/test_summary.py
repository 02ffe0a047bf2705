"""How the runs of a scenario become figures, without anything running."""

import math

import summary
from measure import Measured, percentile
from player import Played
from scenario import Scenario

TEXT = """
name = "example"
duration = 2.0

[[path]]
name = "wifi"
kind = "wifi"

[[traffic]]
name = "odom"
rate = 200.0
size = 64
from = "both"

[target]
switches = 1

[target.odom]
gap_p95 = 0.019
lost = 2
"""


def run_with(gap: float, missing: int) -> Measured:
    return Measured(10, [0.0] * missing, 0, 0, gap, [(0.1, 0.005), (0.2, 0.006)])


def test_a_percentile_is_a_value_that_occurred():
    values = [float(number) for number in range(1, 21)]
    assert [percentile(values, part) for part in (0.5, 0.95, 0.99, 1.0)] == [10.0, 19.0, 20.0, 20.0]
    assert percentile([3.0], 0.5) == 3.0 and math.isnan(percentile([], 0.5))


def test_gaps_are_over_runs_latencies_over_messages_and_counts_are_sums():
    runs = [run_with(0.001 * number, missing=number == 7) for number in range(1, 21)]
    values = summary.figures(runs)
    assert [values[f"gap_{part}"] for part in ("p50", "p95", "p99", "max")] == [
        (0.01, "s"), (0.019, "s"), (0.02, "s"), (0.02, "s")
    ]  # fmt: skip
    assert values["latency_p50"] == (0.005, "s") and values["latency_max"] == (0.006, "s")
    assert values["lost"] == (1.0, "1") and values["lost_ratio"] == (1 / 200, "ratio")


def test_each_figure_stands_beside_its_target(tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(TEXT)
    scenario = Scenario(file)
    there, back = scenario.streams(("rover_a", "rover_b"))
    first = {"rover_a": "wlan0", "rover_b": "wlan0"}
    runs = [Played(2.0, {there: run_with(0.019, 2), back: run_with(0.02, 3)}, [], [], first)]
    rows = summary.rows(scenario, runs, "example, without signaling")
    met = {(row["case"], row["metric"]): row["met"] for row in rows if row["target"] is not None}
    assert met == {
        ("odom a_to_b", "gap_p95"): True,
        ("odom a_to_b", "lost"): True,
        ("odom b_to_a", "gap_p95"): False,
        ("odom b_to_a", "lost"): False,
        ("run", "switches"): True,
    }
    (row,) = (row for row in rows if (row["case"], row["metric"]) == ("odom b_to_a", "gap_p95"))
    assert row == {
        "name": "example, without signaling", "case": "odom b_to_a", "policy": "rover_link", "metric": "gap_p95",
        "value": 0.02, "unit": "s", "target": 0.019, "met": False,
    }  # fmt: skip
