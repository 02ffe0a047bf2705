"""The soak, short: what its checks see, that they hold, and which faults it draws."""

import copy
import random

import ledger
import pytest
from bench.links import WIFI_AND_LTE
from load import LOADS, Load
from random_faults import CALM, KINDS, PAUSES, draw_faults
from soak import errors_in, fault_table, soak, table

# Long enough for each kind of fault to come once.
SECONDS = 180.0


def test_while_networks_fail_nothing_reliable_is_lost_and_all_counters_add_up():
    result = soak(SECONDS, seed=random.randrange(10**6))
    print(table(result))
    assert len(result.faults) >= len(KINDS)
    assert not result.failures, "\n".join([f"--seed={result.seed}", *result.failures, *fault_table(result)])


def test_the_same_seed_draws_the_same_faults_and_all_kinds_come():
    def drawn(seed):
        faults = draw_faults(seed, 3600.0, WIFI_AND_LTE.radios)
        return [(fault.at, fault.duration, fault.name) for fault in faults], {fault.kind for fault in faults}

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1)[1] == set(KINDS)


@pytest.mark.parametrize("seed", range(20))
def test_faults_come_in_time_and_those_of_the_radios_are_over_before_the_next(seed):
    faults = draw_faults(seed, 3600.0, WIFI_AND_LTE.radios)
    begins = [0.0, *(fault.at for fault in faults)]
    # One that is passed over, for it still goes on, leaves twice the pause.
    assert all(PAUSES[0] <= after - before <= 2 * PAUSES[1] for before, after in zip(begins, begins[1:]))
    assert all(fault.over <= 3600.0 - CALM for fault in faults)
    for fault, following in zip(faults, faults[1:]):
        assert fault.kind == "signaling_down" or fault.over < following.at


def test_errors_in_a_log_are_told_and_warnings_are_not():
    errors = ["[ERROR] [2.0] [rover_link]: broken", "[ERROR rover_link::signaling::server] broken", "thread panicked at 1"]
    assert errors_in("\n".join(["[WARN] [1.0] [rover_link]: no error", *errors, "[INFO] fine"])) == errors


def row(topic: str, direction: int, taken: int, messages: int, **others) -> dict:
    """What a node tells of a route; what is taken and not told of is dropped for want of room."""
    counters = {f"dropped_{cause}": 0 for cause in ledger.CAUSES} | {"waiting": 0, "waiting_bytes": 0} | others
    counters["dropped_queue"] = taken - messages - counters["waiting"]
    return {"topic": topic, "direction": direction, "taken": taken, "messages": messages, "peak": [0, 0], **counters}


def reports(count: int) -> dict[str, dict]:
    """Reports of two rovers when `a` has published so many messages of each topic, and every tenth of those that may lose
    some did not leave."""

    def sent(load: Load) -> int:
        return count if load.loses_nothing else count - count // 10

    return {
        "a": {
            "published": {load.name: count for load in LOADS},
            "statistics": [row(load.topic, ledger.SEND, count, sent(load)) for load in LOADS],
        },
        "b": {
            "received": {load.name: {"count": sent(load), "duplicates": 0, "reordered": 0} for load in LOADS},
            "statistics": [row(load.received_as("a"), ledger.RECEIVE, sent(load), sent(load)) for load in LOADS],
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
        lambda a, b: b["received"]["cmd"].update(count=99),
        lambda a, b: b["received"]["cmd"].update(duplicates=1),
        lambda a, b: b["received"]["cmd"].update(reordered=1),
        lambda a, b: a["statistics"][0].update(messages=99),
        lambda a, b: b["statistics"][0].update(taken=99),
        lambda a, b: b["statistics"][0].update(waiting=1),
        lambda a, b: a["statistics"][0].update(dropped_queue=1),
        lambda a, b: b["statistics"][0].update(dropped_expired=1),
        lambda a, b: b["statistics"].pop(0),
    ],
)
def test_what_is_missing_at_rest_is_told(change):
    (failure,) = failures_at_rest(change)
    assert failure.startswith("/cmd from a to b: ")


def test_of_what_is_kept_once_a_subscriber_may_miss_an_older_message_but_the_far_side_may_not():
    def change(at_subscriber, at_far_side):
        def make(a, b):
            b["received"]["map"].update(count=100 - at_subscriber)
            (received,) = (row for row in b["statistics"] if row["topic"] == "/a/map")
            received.update(messages=100 - at_far_side, dropped_queue=at_far_side)

        return make

    assert failures_at_rest(change(at_subscriber=1, at_far_side=0)) == []
    assert failures_at_rest(change(at_subscriber=1, at_far_side=1)) == ["/map from a to b: 1 dropped, though none has to be"]


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
