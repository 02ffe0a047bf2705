"""What the benchmark reckons, without anything running."""

import sys
from array import array
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "scripts"))

from bench.others import parsed
from bench.row import Figure, Figures, is_met, readable, table
from bench.samples import Samples, percentile
from bench.tcp_flow import goodput

PERIOD, LATENCY = 0.01, 0.002
START, END = 1.0, 2.0


def samples(taken):
    """Messages 0 to 299, one each period; those from the start to the end, 100 to 199, count."""
    published = [number * PERIOD for number in range(300)]
    return Samples(published, [(number, published[number], published[number] + LATENCY) for number in taken])


def figures(taken):
    return samples(taken).figures(START, END, size=1000)


def test_all_that_was_published_meanwhile_arrives():
    result = figures(range(300))
    assert (result["delivered"], result["lost"], result["duplicates"], result["reordered"]) == (1.0, 0, 0, 0)
    assert result["latency_p50"] == pytest.approx(LATENCY) == result["latency_max"]
    assert result["goodput"] == pytest.approx(100 * 1000 / (END - START))


def test_what_is_missing_at_the_end_is_lost_too():
    result = figures([*range(120), *range(125, 190)])
    assert (result["delivered"], result["lost"]) == (0.85, 15)


def test_what_comes_twice_or_late_is_counted_once():
    result = figures([*range(150), 151, 150, 150, *range(152, 300)])
    assert (result["lost"], result["duplicates"], result["reordered"]) == (0, 1, 1)


def test_nothing_that_arrives_has_no_latency_and_delivers_nothing():
    result = figures([])
    assert (result["delivered"], result["latency_p99"], result["goodput"]) == (0.0, None, 0.0)


def test_the_first_arrival_after_a_moment_is_found():
    assert samples(range(300)).first_arrival(1.005) == pytest.approx(0.01 + LATENCY - 0.005)
    assert samples(range(50)).first_arrival(1.0) is None


def test_records_are_read_as_the_endpoints_write_them(tmp_path):
    publisher, subscriber = tmp_path / "publisher", tmp_path / "subscriber"
    publisher.write_bytes(array("Q", [1_000_000_000, 2_000_000_000]))
    subscriber.write_bytes(array("Q", [1, 2_000_000_000, 2_500_000_000]))
    read = Samples.read(publisher, subscriber)
    assert (read.published, read.taken) == ([1.0, 2.0], [(1, 2.0, 2.5)])


def test_a_percentile_is_a_value_that_was_measured():
    ascending = [float(number) for number in range(1, 101)]
    assert [percentile(ascending, part) for part in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([], 0.5) is None


def row(metric, values, target=None):
    collected = Figures()
    for value in values:
        collected.add(Figure("name", "case", "rover_link", metric, value, target))
    (only,) = collected.rows()
    return only


def test_a_row_is_the_median_of_its_runs():
    median = row("latency_p99", [0.1, 0.5, 0.2, 0.4, 0.3], target=0.3)
    assert (median.value, median.runs, median.least, median.most, median.met) == (0.3, 5, 0.1, 0.5, True)


def test_a_run_without_a_figure_is_worse_than_any_other():
    assert row("latency_p99", [0.1, 0.2, None], target=0.1).value == 0.2
    assert row("goodput", [100.0, 200.0, None], target=100.0).value == 100.0
    nothing = row("latency_p99", [0.1, None, None], target=1.0)
    assert (nothing.value, nothing.met) == (None, False)


def test_more_is_better_of_some_figures_and_less_of_others():
    assert is_met("goodput", 2.0, 1.0) and not is_met("goodput", 1.0, 2.0)
    assert is_met("latency_p50", 1.0, 2.0) and not is_met("latency_p50", 2.0, 1.0)
    assert not is_met("delivered", None, 0.0)


def test_the_table_puts_plain_dds_beside_the_link():
    collected = Figures()
    for policy in ("dds", "rover_link"):
        for metric in ("latency_p50", "goodput"):
            collected.add(Figure("name", "case", policy, metric, 1.0))
    _, *rows = table(collected.rows())
    assert [(cells[2], cells[3]) for cells in rows] == [
        ("dds", "latency_p50"), ("rover_link", "latency_p50"), ("dds", "goodput"), ("rover_link", "goodput"),
    ]  # fmt: skip


def test_rows_of_another_program_are_read_from_its_lines():
    what = '"name":"loopback","case":"1 KiB","policy":"str0m","metric":"goodput"'
    line = f'{{{what},"value":1.5,"unit":"B/s","target":null,"met":null}}'
    (row,) = parsed(f"# begun\n{line}\n")
    assert (row.name, row.policy, row.value, row.met) == ("loopback", "str0m", 1.5, None)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00123, "s", "1.23 ms"),
        (1.5, "s", "1.50 s"),
        (25e6, "B/s", "200 Mbit/s"),
        (300.0, "B/s", "300 B/s"),
        (41.7e6, "B", "41.7 MB"),
        (0.995, "ratio", "99.5 %"),
        (3, "1", "3"),
        (0.0123, "s/MB", "0.0123 s/MB"),
        (None, "s", "-"),
    ],
)
def test_figures_are_written_in_readable_units(value, unit, text):
    assert readable(value, unit) == text


def test_what_tcp_carried_is_what_came_in_the_time_that_is_measured(tmp_path):
    record = tmp_path / "tcp"
    record.write_bytes(array("Q", [1_000_000_000, 500, 1_500_000_000, 900, 3_500_000_000, 4_900]))
    assert goodput(record, 1.0, 3.0) == pytest.approx(200)
    assert goodput(record, 0.0, 4.0) == pytest.approx(1_225)
    record.write_bytes(b"")
    assert goodput(record, 0.0, 4.0) == 0.0
