"""A rover that is killed and started again, and a link that is gone for seconds: what flows again, when, and what is lost."""

from __future__ import annotations

import re
import time

from ending import ending
from flow import RATE, SIZE, TYPE, Flow
from lab import ROVERS, Lab
from rovers import DIRECTION_RECEIVE, Rover, wait_until, wait_until_connected
from strict import RUNS, judge

# Topics flow for so long before something happens, and nothing is under way any more so long after a rover has died, s.
CALM = 1.0

CONNECTED = re.compile(r"\[(\d+\.\d+)\] .*\bconnected: peer=")

# From the start of the process until topics flow both ways, s.
RESTART_LIMIT = 2.0
# ROS programs that outlive a node which was killed hear of its successor when they announce themselves the next time, which
# Fast DDS does every 3 s, s.
ANNOUNCEMENTS = 3.0

# The length of a hole, from its end to the first message, and the age of commands, s. A machine that has other things to do
# may hold up a message for so much longer.
HOLE, FIRST_LIMIT, LIFESPAN, HELD_UP = 3.0, 0.06, 0.5, 1.5


def start_programs(rover: Rover, peer: Rover) -> None:
    """Programs beside a rover's node that talk to those of a peer."""
    rover.graph.subscribe(f"/{peer.rover_id}/talk", type=TYPE)
    rover.graph.advertise("/talk", type=TYPE)
    rover.graph.keep_publishing("/talk", rate=RATE, seed=rover.rover_id, size=SIZE)


def test_topics_flow_again_after_a_rover_lost_its_power(tmp_path):
    with ending(Lab(tmp_path, ["wlan0", "wwan0"])) as lab:
        rovers = [lab.rover(rover_id, {"talk": {"name": "/talk"}}) for rover_id in ROVERS]
        pairs = [rovers, rovers[::-1]]
        for rover, peer in pairs:
            start_programs(rover, peer)

        def await_more(rover: Rover, peer: Rover, than: int) -> float:
            """When the next message came."""
            topic = f"/{peer.rover_id}/talk"
            wait_until(lambda: rover.graph.count(topic) > than, f"messages come to {rover.rover_id}")
            return rover.graph.arrivals(topic, first=than)[0]

        flowing = []
        for number in range(2 * RUNS):
            for rover, peer in pairs:
                await_more(rover, peer, than=rover.graph.count(f"/{peer.rover_id}/talk"))
            time.sleep(CALM)
            victim, survivor = pairs[number % 2]
            victim.lose_power()
            time.sleep(CALM)
            start_programs(victim, survivor)
            counts = [rover.graph.count(f"/{peer.rover_id}/talk") for rover, peer in pairs]
            began = time.monotonic()
            victim.start()
            flowing.append(max(await_more(*pair, than=count) for pair, count in zip(pairs, counts)) - began)
        judge("topics flow both ways after a rover's power is back", flowing, RESTART_LIMIT)


def test_topics_flow_again_after_a_node_was_killed_and_started_again(tmp_path):
    with ending(Lab(tmp_path, ["wlan0", "wwan0"])) as lab:
        rovers = [lab.rover(rover_id, {"talk": {"name": "/talk"}}) for rover_id in ROVERS]
        flows = [
            Flow(sender.graph, "/talk", receiver.graph, f"/{sender.rover_id}/talk")
            for sender, receiver in (rovers, rovers[::-1])
        ]
        connected, flowing = [], []
        for number in range(2 * RUNS):
            for flow in flows:
                flow.await_more()
            time.sleep(CALM)
            victim = rovers[number % 2]
            victim.kill()
            time.sleep(CALM)
            counts = [flow.count() for flow in flows]
            began, began_by_log = time.monotonic(), time.time()
            victim.start()
            for flow, count in zip(flows, counts):
                flow.await_more(than=count)
            flowing.append(max(flow.arrivals()[count] for flow, count in zip(flows, counts)) - began)
            # Beyond it, it is ROS that has to find out who publishes and who listens.
            connected.append(float(max(CONNECTED.findall(victim.log()))) - began_by_log)
        judge("rovers are connected after a start", connected, RESTART_LIMIT)
        judge("topics flow both ways after a start", flowing, RESTART_LIMIT + ANNOUNCEMENTS)
        for flow in flows:
            flow.stop()
            measured = flow.measured(start=0.0)
            assert (measured.duplicates, measured.reordered) == (0, 0)


def test_a_hole_on_the_only_link_loses_nothing_but_what_outlives_its_lifespan(tmp_path):
    topics = {
        "twist": {"name": "/twist"},
        "command": {"name": "/command", "priority": "critical", "lifespan": LIFESPAN},
    }
    with ending(Lab(tmp_path, ["wlan0"])) as lab:
        lab.radios.set("wlan0", delay=0.005, jitter=0.001, loss=0.005)
        sender, receiver = lab.rover(ROVERS[0], topics), lab.rover(ROVERS[1])
        wait_until_connected(sender, receiver)
        twist, command = (
            Flow(sender.graph, f"/{name}", receiver.graph, f"/{sender.rover_id}/{name}") for name in topics
        )
        for flow in (twist, command):
            flow.await_more()
        start = time.monotonic()
        times = []
        for _ in range(RUNS):
            time.sleep(CALM)
            lab.radios.set("wlan0", up=False)
            time.sleep(HOLE)
            count = twist.count()
            began = time.monotonic()
            lab.radios.set("wlan0", up=True)
            twist.await_more(than=count)
            times.append(twist.arrivals()[count] - began)
        judge("the first message after a hole", times, FIRST_LIMIT)

        twist.stop()
        measured = twist.measured(start)
        assert (measured.lost, measured.duplicates, measured.reordered) == (0, 0, 0)

        command.stop()
        measured = command.measured(start)
        assert (measured.duplicates, measured.reordered) == (0, 0)
        oldest = measured.latencies[-1]
        print(f"commands: {measured.lost} of {measured.published} outlived their lifespan, the oldest came after {oldest:.3f} s")
        assert oldest < LIFESPAN + HELD_UP
        told = [
            sender.topic_statistics("/command", receiver.rover_id),
            receiver.topic_statistics(f"/{sender.rover_id}/command", sender.rover_id, DIRECTION_RECEIVE),
        ]
        assert 0 < measured.lost <= sum(counted["dropped_expired"] for counted in told)
