"""Four rovers share two topics both ways, each with each other, while they are restarted at random: each message arrives
once at each of them, whoever published it, and none comes back.

`MESH_SECONDS=600` lets it go on for ten minutes, `SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

from rovers import Rover, wait_until

STRING = "std_msgs/msg/String"
TOPICS = {
    "chat": {"name": "/chat", "type": STRING, "direction": "both"},
    "beacon": {"name": "/beacon", "type": STRING, "direction": "both", "qos": {"reliability": "best_effort"}},
}
RATE = 20.0
SECONDS = float(os.environ.get("MESH_SECONDS", "15"))
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
# Time between two restarts, s.
QUIET = (0.5, 3.0)


class Member:
    """A rover with a node beside it that publishes and listens all the time."""

    def __init__(self, rover: Rover) -> None:
        self.rover = rover
        self.graph = rover.graph
        # When messages to and from it may get lost, by the monotonic clock.
        self.away: list[tuple[float, float]] = []
        for topic, qos in [("/chat", {}), ("/beacon", {"reliability": "best_effort"})]:
            self.graph.advertise(topic, type=STRING, **qos)
            self.graph.subscribe(topic, type=STRING, **qos)
            self.graph.keep_publishing(topic, rate=RATE, seed=rover.rover_id)

    def is_there(self, at: float) -> bool:
        return not any(start <= at <= end for start, end in self.away)


def wait_until_all_heard(senders: list[Member], receivers: list[Member], topic: str = "/chat") -> None:
    """Waits until something that is published from now on has come from each of them to each."""
    for sender in senders:
        first = sender.graph.published_count(topic)
        for receiver in receivers:
            wait_until(
                lambda: receiver.graph.has_any(topic, digests=sender.graph.published(topic, first=first)),
                f"{receiver.rover.rover_id} hears {sender.rover.rover_id}",
            )


def restart(member: Member, members: list[Member], source: random.Random) -> None:
    start = time.monotonic()
    # What was published before has arrived; what is from now on may be on its way when the rover goes.
    wait_until_all_heard(members, members)
    if source.random() < 0.5:
        member.rover.kill()
    else:
        assert member.rover.stop() == 0
    time.sleep(source.choice([0.0, 0.3]))
    member.rover.start()
    wait_until_all_heard([member], members)
    wait_until_all_heard(members, [member])
    member.away.append((start, time.monotonic()))


def test_each_message_arrives_once_at_each_of_four_rovers_that_are_restarted_at_random(fleet):
    print(f"SEED={SEED}")
    source = random.Random(SEED)
    members = [Member(fleet.rover(f"rover_{name}", TOPICS)) for name in "abcd"]
    wait_until_all_heard(members, members)
    opened = time.monotonic()
    for member in members:
        member.away.append((0.0, opened))
    restarts = 0
    while time.monotonic() < opened + SECONDS or restarts < 2:
        time.sleep(source.uniform(*QUIET))
        restart(source.choice(members), members, source)
        restarts += 1
    wait_until_all_heard(members, members)
    checked = sum(check(topic, members) for topic in ("/chat", "/beacon"))
    print(f"{restarts} restarts, {checked} messages had to arrive and did, none came twice")


def check(topic: str, members: list[Member]) -> int:
    """Holds what came against what was published; gives how many messages had to come."""
    published = [(m, list(zip(m.graph.departures(topic), m.graph.stop_publishing(topic)))) for m in members]
    for _, sent in published:
        for receiver in members:
            if topic == "/chat":
                wait_until(lambda: receiver.graph.has_any(topic, digests=[sent[-1][1]]), "the last one arrives")
    count = 0
    for receiver in members:
        received = receiver.graph.received(topic)
        (digest, copies), = Counter(received).most_common(1)
        assert copies == 1, f"{digest} came {copies} times to {receiver.rover.rover_id}"
        if topic == "/beacon":
            # Best effort may lose some; that it crosses at all is seen from all senders.
            assert all(any(d in set(received) for _, d in sent) for _, sent in published)
            continue
        for sender, sent in published:
            due = [d for at, d in sent if sender.is_there(at) and receiver.is_there(at)]
            wanted, pair = set(due), f"{sender.rover.rover_id} to {receiver.rover.rover_id}"
            missing = wanted.difference(received)
            at = [round(moment, 3) for moment, digest in sent if digest in missing]
            assert not missing, f"{pair}: {len(missing)} of {len(due)} are missing, of {at}; {sender.away} {receiver.away}"
            assert [d for d in received if d in wanted] == due, f"{pair}: in another order"
            count += len(due)
    return count
