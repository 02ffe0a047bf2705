"""Topics added, changed and removed at random while data flows on others: those lose nothing.

CHANGES says how many changes; 200 in the long form, a few in CI.
"""

from __future__ import annotations

import os
import random

from rovers import wait_until, wait_until_open

STRING = "std_msgs/msg/String"
CHANGES = int(os.environ.get("CHANGES", "40"))
# Topics that nothing is done to, with the rate at which each is published, Hz.
UNTOUCHED = {"/steady/fast": 100, "/steady/slow": 10, "/matched/by/pattern": 50}
# Topics that come, change and go.
CHANGING = [f"changing_{number}" for number in range(8)]
FIELDS = {
    "priority": ["critical", "high", "normal", "low"],
    "max_rate": [0, 1, 5.5, 100],
    "lifespan": [0, 0.5, 10],
    "queue_messages": [1, 100, 20000],
    "compression": ["none", "zstd"],
    "delivery": ["auto", "reliable", "latest"],
    "remote_name": ["", "/{peer}/elsewhere/{id}"],
    "qos.reliability": ["auto", "best_effort", "reliable"],
    "peers": [["*"], ["rover_b"], []],
}


class Changes:
    """What is in force at a rover, and one random change after the other."""

    def __init__(self, rover, steady: list[str], seed: int) -> None:
        self.rover = rover
        self.steady = steady
        self.random = random.Random(seed)
        self.there: set[str] = set()

    def make_one(self) -> None:
        name = self.random.choice(CHANGING)
        if name not in self.there:
            self._set(self._ids(name, is_there=True), {f"topics.{name}.name": f"/{name}"})
        elif self.random.random() < 0.4:
            block = self.rover.graph.list_parameters(node=self.rover.node, prefixes=[f"topics.{name}"])["names"]
            self._set(self._ids(name, is_there=False), dict.fromkeys(block))
        else:
            field = self.random.choice(list(FIELDS))
            value = self.random.choice(FIELDS[field])
            value = value.replace("{id}", name) if isinstance(value, str) else value
            self._set({f"topics.{name}.{field}": value}, {})

    def _ids(self, name: str, is_there: bool) -> dict:
        self.there = self.there | {name} if is_there else self.there - {name}
        ids = [*self.steady, *sorted(self.there)]
        self.random.shuffle(ids)
        return {"topic_ids": ids}

    def _set(self, first: dict, rest: dict) -> None:
        result = self.rover.graph.set_parameters(node=self.rover.node, values={**first, **rest}, atomically=True)
        assert result["successful"], (first, result)


def test_what_is_not_touched_loses_nothing(fleet):
    topics = {
        "fast": {"name": "/steady/fast"},
        "slow": {"name": "/steady/slow", "priority": "high"},
        "matched": {"name": "/matched/**"},
    }
    a = fleet.rover("rover_a", topics)
    b = fleet.rover("rover_b", {"all": {"name": "/rover_a/**", "direction": "receive"}})
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    first = {}
    for topic in UNTOUCHED:
        a.graph.advertise(topic, type=STRING)
        b.graph.subscribe(f"/rover_a{topic}", type=STRING)
        first[topic] = wait_until_open(a, topic, b, f"/rover_a{topic}")
    for name in CHANGING:
        a.graph.advertise(f"/{name}", type=STRING)
        a.graph.keep_publishing(f"/{name}", rate=20, seed=name)
    for topic, rate in UNTOUCHED.items():
        a.graph.keep_publishing(topic, rate=rate, seed=topic)
    sessions = [rover.link_quality(peer)["connected_since"] for rover, peer in ((a, "rover_b"), (b, "rover_a"))]

    changes = Changes(a, list(topics), seed)
    for number in range(CHANGES):
        changes.make_one()
        if number % 10 == 9:
            # What is received may change as well, without a word to the sender about the rest.
            accepted = ["/{peer}/**"] if number % 20 == 9 else ["/{peer}/elsewhere/*"]
            assert b.graph.set_parameters(node=b.node, values={"accept": accepted})[0]["successful"]

    for topic in UNTOUCHED:
        sent = first[topic] + a.graph.stop_publishing(topic)
        remote = f"/rover_a{topic}"
        wait_until(lambda: b.graph.has_any(remote, digests=sent[-1:]), f"the last message of {topic}")
        received = b.graph.received(remote)
        # The first ones were published before the topic was open.
        assert received == sent[sent.index(received[0]) :], f"{topic}: complete, in order, each once"
    for rover, peer, since in ((a, "rover_b", sessions[0]), (b, "rover_a", sessions[1])):
        assert rover.link_quality(peer)["connected_since"] == since, "it is still the same session"

    # What the changes have left is what is in force: each topic that is there crosses, the others do not.
    reset = {f"topics.{name}.peers": ["*"] for name in changes.there}
    reset |= {f"topics.{name}.remote_name": "" for name in changes.there}
    if reset:
        assert a.graph.set_parameters(node=a.node, values=reset, atomically=True)["successful"]
    for name in CHANGING:
        is_taken = lambda: any(s["node"].endswith("_bridge") for s in a.graph.subscriptions(f"/{name}"))  # noqa: E731
        wait_until(lambda: is_taken() == (name in changes.there), f"{name} is as configured")
    for name in sorted(changes.there):
        b.graph.subscribe(f"/rover_a/{name}", type=STRING, reliability="best_effort")
        wait_until(lambda: b.graph.count(f"/rover_a/{name}") > 0, f"{name} arrives")


def test_a_topic_goes_on_when_another_entry_stands_for_it(fleet):
    a = fleet.rover("rover_a", {"all": {"name": "/steady/*"}})
    b = fleet.rover("rover_b")
    a.graph.advertise("/steady/talk", type=STRING)
    b.graph.subscribe("/rover_a/steady/talk", type=STRING)
    sent = wait_until_open(a, "/steady/talk", b, "/rover_a/steady/talk")
    a.graph.keep_publishing("/steady/talk", rate=100, seed="steady")
    exact = {"topic_ids": ["all", "talk"], "topics.talk.name": "/steady/talk", "topics.talk.lifespan": 600.0}
    pattern = {"topic_ids": ["all"], "topics.talk.name": None, "topics.talk.lifespan": None}
    other = {"topic_ids": ["other"], "topics.other.name": "/**", "topics.all.name": None}
    first = {"topic_ids": ["all"], "topics.all.name": "/steady/*", "topics.other.name": None}
    for values in (exact, pattern, other, first) * 3:
        result = a.graph.set_parameters(node=a.node, values=values, atomically=True)
        assert result["successful"], result
    sent += a.graph.stop_publishing("/steady/talk")
    wait_until(lambda: b.graph.has_any("/rover_a/steady/talk", digests=sent[-1:]), "the last message")
    received = b.graph.received("/rover_a/steady/talk")
    assert received == sent[sent.index(received[0]) :], "complete, in order, each once"
    assert len(a.graph.subscriptions("/steady/talk")) == 1
