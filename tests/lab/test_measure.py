"""What the lab counts, without anything running."""

from measure import measure

PERIOD = 0.02
START, END = 1.0, 2.0


def measured(arrivals):
    """Of messages 0 to 99, one each period; those from the start on, 50 to 99, count."""
    published = [(str(number), number * PERIOD) for number in range(100)]
    return measure(published, [(str(number), at) for number, at in arrivals], START, END, PERIOD)


def on_time(numbers):
    return [(number, number * PERIOD + 0.005) for number in numbers]


def test_a_steady_stream_has_no_gap_and_loses_nothing():
    result = measured(on_time(range(100)))
    assert (result.published, result.lost, result.duplicates, result.reordered) == (50, 0, 0, 0)
    assert result.gap < 1e-9
    assert abs(result.latencies[-1] - 0.005) < 1e-9


def test_what_is_missing_is_lost_and_makes_a_gap():
    result = measured(on_time([*range(70), *range(75, 100)]))
    assert result.lost == 5
    assert abs(result.gap - 5 * PERIOD) < 1e-9


def test_silence_up_to_the_end_is_a_gap():
    result = measured(on_time(range(75)))
    assert result.lost == 25 and result.gap > 0.4


def test_what_comes_twice_or_late_is_counted():
    late = on_time([51])[0]
    result = measured([*on_time(range(51)), *on_time([52]), late, late, *on_time(range(53, 100))])
    assert (result.lost, result.duplicates, result.reordered) == (0, 1, 1)
