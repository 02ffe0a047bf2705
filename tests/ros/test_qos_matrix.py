"""What a subscriber at the far side gets is what it would get beside the publisher: for each combination of reliability,
durability and history of both, whether it was there before or came late."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from graph import Graph
from rovers import DIRECTION_RECEIVE, wait_until

STRING = "std_msgs/msg/String"
MESSAGES = 6
# Longer than a message takes to cross while the machine has other things to do, s: the newest of a best effort topic wins.
PAUSE = 0.05


@dataclass(frozen=True)
class Qos:
    reliability: str
    durability: str
    history: str
    depth: int

    def satisfies(self, requested: Qos) -> bool:
        """Does DDS match the two?"""
        is_reliable, is_latched = self.reliability == "reliable", self.durability == "transient_local"
        return (is_reliable or requested.reliability != "reliable") and (
            is_latched or requested.durability != "transient_local"
        )

    def __str__(self) -> str:
        return f"{self.reliability}, {self.durability}, {self.history} {self.depth}"


POLICIES = list(itertools.product(["reliable", "best_effort"], ["transient_local", "volatile"]))
PUBLISHERS = [Qos(*policies, *history) for policies in POLICIES for history in [("keep_last", 4), ("keep_all", 100)]]
SUBSCRIBERS = [Qos(*policies, *history) for policies in POLICIES for history in [("keep_last", 3), ("keep_all", 100)]]


class Side:
    """Subscribers of each kind to each publisher, all on one side of the link."""

    def __init__(self, graph, topics: list[str]) -> None:
        self.graph = graph
        self.topics = topics

    def subscribe(self, when: str, which: list[Qos]) -> None:
        for topic in self.topics:
            for number, qos in enumerate(SUBSCRIBERS):
                if qos in which:
                    self.graph.subscribe(topic, type=STRING, key=f"{topic} {when} {number}", **vars(qos))

    def have(self, of: int, when: str, digests: list[str], which: list[Qos] = SUBSCRIBERS) -> bool:
        """Has each subscriber that matches the publisher got one of these?"""
        matching = [n for n, qos in enumerate(SUBSCRIBERS) if qos in which and PUBLISHERS[of].satisfies(qos)]
        keys = [f"{self.topics[of]} {when} {n}" for n in matching]
        return all(self.graph.has_any(key, digests=digests) for key in keys)

    def received(self, of: int, when: str, number: int, without: set[str]) -> list[str]:
        return [d for d in self.graph.received(f"{self.topics[of]} {when} {number}") if d not in without]


def test_each_pair_gets_over_the_link_what_it_gets_on_one_machine(fleet):
    names = [f"/t{number}" for number in range(len(PUBLISHERS))]
    # ROS does not tell of a history, so it is configured.
    topics = {
        name[1:]: {"name": name, "qos": {"history": qos.history, "depth": qos.depth}}
        for name, qos in zip(names, PUBLISHERS)
    }
    a, b = fleet.rover("rover_a", topics), fleet.rover("rover_b")
    talker = beside(a)
    try:
        for name, qos in zip(names, PUBLISHERS):
            talker.advertise(name, type=STRING, **vars(qos))
        near, far = Side(a.graph, names), Side(b.graph, [f"/rover_a{name}" for name in names])
        sides = [near, far]
        for side in sides:
            side.subscribe("early", SUBSCRIBERS)
        probes = open_all(talker, names, sides)
        for number in range(MESSAGES):
            for name in names:
                talker.publish(name, seed=f"message {number}")
            time.sleep(PAUSE)
        # A subscriber that comes late finds nothing more on its way.
        newest = assert_all_have(talker, names, sides, ["early"], "before the late ones")
        # Those that are promised what is latched come first: while Fast DDS sends it to them, others of the same process
        # may get it too.
        promised = [qos for qos in SUBSCRIBERS if (qos.reliability, qos.durability) == ("reliable", "transient_local")]
        for side in sides:
            side.subscribe("late", promised)
        for of, digests in enumerate(newest):
            if PUBLISHERS[of].durability == "transient_local":
                wait_until(lambda: all(side.have(of, "late", digests, promised) for side in sides), "what is latched")
        for side in sides:
            side.subscribe("late", [qos for qos in SUBSCRIBERS if qos not in promised])
        # Late ones that get nothing old are there when they get something new.
        probes |= open_all(talker, names, sides, ["late"])
        assert_all_have(talker, names, sides, ["early", "late"], "the last")

        differences = []
        for (of, publisher), (number, subscriber), when in itertools.product(
            enumerate(PUBLISHERS), enumerate(SUBSCRIBERS), ["early", "late"]
        ):
            beside_it, over_the_link = (side.received(of, when, number, probes) for side in sides)
            matches = publisher.satisfies(subscriber)
            assert bool(beside_it) == matches, f"{publisher} to {subscriber}, {when}: the test's own idea of DDS"
            if not (publisher.reliability == subscriber.reliability == "reliable"):
                over_the_link, beside_it = as_best_effort(over_the_link, beside_it, when)
            if over_the_link != beside_it:
                differences.append(f"{publisher} to {subscriber}, {when}: {beside_it} became {over_the_link}")
        assert not differences, "\n".join(differences)
    finally:
        talker.begin_end()
        talker.end()


def beside(rover) -> Graph:
    """One more node in the rover's domain, in a process of its own."""
    return Graph(rover.described.env, rover.log_file.with_name(f"{rover.rover_id}_talker.log"), [])


def as_best_effort(one: list[str], other: list[str], when: str) -> tuple[list[str], list[str]]:
    """What two must have alike of which either may have lost some: the order, and the last that was published. To those
    who come late Fast DDS hands what is latched as it happens, since DDS promises them nothing."""
    if when == "late":
        return one[-1:], other[-1:]
    return [d for d in one if d in other], [d for d in other if d in one]


def open_all(talker, names, sides, when=("early",)) -> set[str]:
    """Publishes until all who match have got something; gives what was published."""
    probes: dict[str, list[str]] = {name: [] for name in names}

    def all_have() -> bool:
        for of, name in enumerate(names):
            if not all(side.have(of, w, probes[name]) for side in sides for w in when):
                probes[name] += talker.publish(name, seed=f"probe {time.monotonic_ns()}")
        return all(side.have(of, w, probes[name]) for of, name in enumerate(names) for side in sides for w in when)

    wait_until(all_have, "every pair is open")
    return {digest for digests in probes.values() for digest in digests}


def assert_all_have(talker, names, sides, when, seed) -> list[list[str]]:
    """Publishes one message more on each topic and waits until all who match have got it, unless it may get lost; gives
    what was published."""
    published = [talker.publish(name, seed=seed) for name in names]
    for of, name in enumerate(names):
        if PUBLISHERS[of].reliability == "reliable":
            wait_until(lambda: all(side.have(of, w, published[of]) for side in sides for w in when), f"{name} arrives")
    return published


def test_what_one_publisher_latches_is_not_offered_while_another_one_is_volatile_and_this_is_reported(fleet):
    """The difference that is documented: on one machine the subscriber would match one of the two."""
    a, b = fleet.rover("rover_a", {"talk": {"name": "/talk"}}), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING, durability="transient_local", depth=1)
    a.graph.advertise("/talk", type=STRING, durability="volatile")
    latched = {"durability": "transient_local", "depth": 10}
    b.graph.subscribe("/rover_a/talk", type=STRING, key="latched", **latched)
    b.graph.subscribe("/rover_a/talk", type=STRING, key="volatile")

    def is_reported():
        statistics = b.topic_statistics("/rover_a/talk", "rover_a", DIRECTION_RECEIVE)
        return statistics["qos_mismatch"] and "requests reliable, transient_local" in statistics["remark"]

    wait_until(is_reported, "the mismatch is reported")
    sent: list[str] = []
    for which in range(2):
        wait_until(
            lambda: b.graph.has_any("volatile", digests=sent) or sent.extend(a.graph.publish("/talk", which=which)),
            "both publishers are heard",
        )
    # The volatile one goes: what the other one has latched is there for whoever comes late.
    a.graph.unadvertise("/talk", which=1)
    wait_until(lambda: b.graph.count("latched") > 0, "the latched message arrives")
