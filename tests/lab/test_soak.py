"""The soak, short: what its checks see, and that they hold."""

import copy

import ledger
import pytest
from load import LOADS
from soak import soak

# Long enough for each cause to lose something.
SECONDS = 6.0


def test_under_mixed_load_all_counters_add_up_and_no_queue_is_too_long():
    result = soak(SECONDS)
    assert not result.failures, "\n".join(result.failures)


def row(topic: str, direction: int, taken: int, messages: int, **others) -> dict:
    """What a node tells of a route; what is taken and not told of is dropped for want of room."""
    counters = {f"dropped_{cause}": 0 for cause in ledger.CAUSES} | {"waiting": 0, "waiting_bytes": 0} | others
    counters["dropped_queue"] = taken - messages - counters["waiting"]
    return {"topic": topic, "direction": direction, "taken": taken, "messages": messages, "peak": [0, 0], **counters}


def reports(count: int) -> dict[str, dict]:
    """Reports of two rovers when `a` has published so many messages of each topic, and every tenth did not leave."""
    sent = count - count // 10
    return {
        "a": {
            "published": {load.name: count for load in LOADS},
            "statistics": [row(load.topic, ledger.SEND, count, sent) for load in LOADS],
        },
        "b": {
            "received": {load.name: {"count": sent, "duplicates": 0, "reordered": 0} for load in LOADS},
            "statistics": [row(load.received_as("a"), ledger.RECEIVE, sent, sent) for load in LOADS],
        },
    }


def failures_at_rest(change) -> list[str]:
    now = reports(100)
    change(now["a"], now["b"])
    return list(ledger.at_rest("a", "b", now, reports(10)))


def test_what_adds_up_is_no_failure():
    assert failures_at_rest(lambda a, b: None) == []
    assert list(ledger.at_any_time("a", "b", reports(100)["a"], reports(10)["a"])) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda a, b: a["published"].update(cmd=101),
        lambda a, b: b["received"]["cmd"].update(count=89),
        lambda a, b: b["received"]["cmd"].update(duplicates=1),
        lambda a, b: b["received"]["cmd"].update(reordered=1),
        lambda a, b: a["statistics"][0].update(messages=91),
        lambda a, b: b["statistics"][0].update(taken=89),
        lambda a, b: b["statistics"][0].update(waiting=1),
        lambda a, b: b["statistics"].pop(0),
    ],
)
def test_what_is_missing_at_rest_is_told(change):
    (failure,) = failures_at_rest(change)
    assert failure.startswith("/cmd from a to b: ")


@pytest.mark.parametrize("counter", ["taken", "messages", "waiting", "dropped_queue", "dropped_closed"])
def test_counters_that_do_not_add_up_are_told(counter):
    report = copy.deepcopy(reports(100)["a"])
    report["statistics"][0][counter] += 1
    (failure,) = ledger.at_any_time("a", "b", report, None)
    assert failure.startswith("a /cmd: does not add up")


def test_a_counter_that_falls_and_a_queue_that_is_too_long_are_told():
    (falls, *_) = ledger.at_any_time("a", "b", reports(99)["a"], reports(100)["a"])
    assert "falls" in falls
    report = reports(100)["a"]
    report["statistics"][0]["peak"] = [10_000, 0]
    (too_long,) = ledger.at_any_time("a", "b", report, None)
    assert "10000 messages wait" in too_long


def test_a_cause_without_effect_is_told():
    told = list(ledger.without_effect("a", "b", reports(100)))
    assert any(text.startswith("/cmd from a") and "closed" in text for text in told)
    assert not any("queue" in text for text in told)
