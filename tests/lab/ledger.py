"""Whether the counters of two rovers add up: what was published, taken, sent, received and published again.

A report is what `load_worker.py` gives. All functions here return what is wrong, as texts for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from load import LOADS, Load

SEND, RECEIVE = range(2)
CAUSES = ("queue", "expired", "rate", "oversize", "interface", "old", "closed")

Report = dict
Row = dict


def row(report: Report, topic: str, direction: int) -> Row | None:
    """What the node counted of a route."""
    found = (row for row in report["statistics"] if (row["topic"], row["direction"]) == (topic, direction))
    return next(found, None)


def dropped(of: Row) -> int:
    return sum(of[f"dropped_{cause}"] for cause in CAUSES)


def causes(reports: dict[str, Report]) -> Counter:
    """Messages that were dropped, by cause, at both rovers."""
    rows = [row for report in reports.values() for row in report["statistics"]]
    return Counter({cause: sum(row[f"dropped_{cause}"] for row in rows) for cause in CAUSES})


def crossed(reports: dict[str, Report], direction: int) -> int:
    rows = (row for report in reports.values() for row in report["statistics"] if row["direction"] == direction)
    return sum(row["messages"] for row in rows)


def waiting(reports: dict[str, Report]) -> int:
    return sum(row["waiting"] for report in reports.values() for row in report["statistics"])


def at_any_time(rover: str, peer: str, report: Report, earlier: Report | None) -> Iterator[str]:
    """What has to hold at each moment: each message taken is in one counter, no counter falls, no queue is too long."""
    for load in LOADS:
        for topic, direction in ((load.topic, SEND), (load.received_as(peer), RECEIVE)):
            if (now := row(report, topic, direction)) is None:
                continue
            name = f"{rover} {topic}"
            if now["taken"] != now["messages"] + now["waiting"] + dropped(now):
                yield f"{name}: does not add up: {now}"
            most = load.most_waiting()
            for peak, limit, unit in zip(now["peak"], most, ("messages", "bytes")):
                if peak > limit:
                    yield f"{name}: {peak} {unit} wait, {limit} are the most"
            before = row(earlier, topic, direction) if earlier else None
            for counter in ("taken", "messages", *(f"dropped_{cause}" for cause in CAUSES)):
                if before and now[counter] < before[counter]:
                    yield f"{name}: {counter} falls from {before[counter]} to {now[counter]}"


def at_rest(sender: str, receiver: str, reports: dict[str, Report], begin: dict[str, Report]) -> Iterator[str]:
    """What has to hold once nothing is under way, from one rover to the other. `begin` is from the last time that it was
    so, before which the ends may not have known of each other."""
    for load in LOADS:
        name = f"{load.topic} from {sender} to {receiver}"
        sent = row(reports[sender], load.topic, SEND)
        received = row(reports[receiver], load.received_as(sender), RECEIVE)
        if sent is None or received is None:
            yield f"{name}: not shown by both"
            continue
        if sent["messages"] != received["taken"]:
            yield f"{name}: {sent['messages']} sent, {received['taken']} arrived"
        left = sent["waiting"] + received["waiting"]
        if left and not load.is_held:
            yield f"{name}: {left} still wait"
        yield from _at_the_ends(load, name, sender, receiver, reports, begin)


def _at_the_ends(
    load: Load, name: str, sender: str, receiver: str, reports: dict[str, Report], begin: dict[str, Report]
) -> Iterator[str]:
    def since(count) -> int:
        return count(reports) - count(begin)

    sent, received = (load.topic, SEND), (load.received_as(sender), RECEIVE)
    published = since(lambda of: of[sender]["published"][load.name])
    taken = since(lambda of: row(of[sender], *sent)["taken"])
    given = since(lambda of: row(of[receiver], *received)["messages"])
    got = since(lambda of: of[receiver]["received"][load.name]["count"])
    # What is best effort may get lost within ROS.
    if taken != published if load.is_reliable else taken > published:
        yield f"{name}: {published} published, {taken} taken"
    # So may all but the newest of what is kept once, where two come at the same time.
    if got != given if load.is_reliable and not load.is_latched else got > given:
        yield f"{name}: {given} published at the far side, {got} arrived at the subscriber"
    lost = since(lambda of: dropped(row(of[sender], *sent)) + dropped(row(of[receiver], *received)))
    if load.loses_nothing and lost:
        yield f"{name}: {lost} dropped, though none has to be"
    if load.must_arrive and got == 0:
        yield f"{name}: nothing arrived"
    arrivals = reports[receiver]["received"][load.name]
    for fault in ("duplicates", "reordered"):
        if arrivals[fault]:
            yield f"{name}: {arrivals[fault]} {fault}"


def without_effect(sender: str, receiver: str, reports: dict[str, Report]) -> Iterator[str]:
    """Causes that the load is made for and of which nothing was dropped: what was checked without them says little."""
    for load in LOADS:
        rows = (
            row(reports[sender], load.topic, SEND),
            row(reports[receiver], load.received_as(sender), RECEIVE),
        )
        for cause in load.causes:
            if not any(of and of[f"dropped_{cause}"] for of in rows):
                yield f"{load.topic} from {sender}: nothing was dropped for `{cause}`"
