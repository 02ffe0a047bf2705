"""Services and an action over radios that lose some of all datagrams, with a handover every few seconds: each call is made
once, and answered once or given up; feedback comes in order.

In CI for seconds; as the project has to show it (10,000 calls, a goal of 60 s) with LONG=1 in the environment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from calls import SUCCEEDED, calls_beside
from ending import ending
from lab import ROVERS, Lab
from rovers import DIRECTION_RECEIVE, wait_until, wait_until_connected
from strict import IS_STRICT

IS_LONG = os.environ.get("LONG", "") not in ("", "0")

RADIOS = {"wlan0": {"delay": 0.005, "jitter": 0.001, "loss": 0.01}, "wwan0": {"delay": 0.03, "jitter": 0.005, "loss": 0.01}}

CLIENTS = 8
CALLS = 10_000 if IS_LONG else 600
# A handover is made so often, s.
HANDOVER_PERIOD = 5.0 if IS_LONG else 1.5
# Both radios are there for so long, s.
OVERLAP = 0.5
# When a call is given up, s: far beyond what any of it takes. Callers wait longer: they are to be told before.
TIMEOUT, PATIENCE = 30.0, 40.0

STEPS = 300 if IS_LONG else 50
STEP_PERIOD = 0.2  # s; a goal takes 60 s, in CI 10 s
HANDOVERS = 3

STATE_GOOD = 2  # of rover_link/msg/PathQuality

CLIMB_TYPE = "late_msgs/action/Climb"
SERVER = {
    "service_ids": ["echo"],
    "services": {"echo": {"name": "/echo", "timeout": TIMEOUT}},
    "action_ids": ["climb"],
    "actions": {"climb": {"name": "/climb"}},
}


class Handovers:
    """Takes the radio in use away from a link, each in turn: it falls silent, and comes back while the other is used."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.made = 0

    def make(self) -> None:
        devices = list(RADIOS)
        gone, back = devices[self.made % 2], devices[1 - self.made % 2]
        self._lab.radios.set(back, up=True)
        # The other one has to be there before this one goes.
        time.sleep(OVERLAP)
        self._lab.radios.set(gone, up=False)
        self.made += 1

    @contextmanager
    def every(self, period: float) -> Iterator[None]:
        """Makes one after each period meanwhile."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(period - OVERLAP):
                self.make()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def started(lab: Lab, **options) -> tuple:
    """The rovers, connected by both radios, and a node of the test beside each."""
    for device, conditions in RADIOS.items():
        lab.radios.set(device, **conditions)
    rovers = lab.rover(ROVERS[0], **options), lab.rover(ROVERS[1], **SERVER, **options)
    wait_until_connected(*rovers)
    first, second = RADIOS
    for rover, peer in zip(rovers, ROVERS[::-1]):
        wait_until(lambda: rover.path_quality(peer, first)["selected"], f"{rover.rover_id} uses {first}")
        wait_until(lambda: rover.path_quality(peer, second)["state"] == STATE_GOOD, f"{rover.rover_id} has {second}")
    return *rovers, *(calls_beside(lab, rover) for rover in rovers)


def check_handovers(handovers: Handovers, *rovers) -> None:
    """Both rovers took the other path, each time on a machine that lets them see each fault before it is over."""
    needed = handovers.made if IS_STRICT else 1
    for rover, peer in zip(rovers, ROVERS[::-1]):
        told = wait_until(
            lambda: (told := rover.link_quality(peer)["handovers"]) >= needed and told,
            f"{rover.rover_id} tells of {needed} handovers",
        )
        print(f"{rover.rover_id} tells of {told} handovers of {handovers.made}")


def test_each_call_is_made_once_and_answered_once_or_given_up(tmp_path):
    with ending(Lab(tmp_path, list(RADIOS))) as lab:
        a, b, client, server = started(lab)
        server.serve(service="/echo")
        wait_until(lambda: client.is_ready(service="/rover_b/echo"), "the service is there")
        handovers = Handovers(lab)
        began = time.monotonic()
        client.start_load(service="/rover_b/echo", clients=CLIENTS, count=CALLS, name="call", patience=PATIENCE)
        with handovers.every(HANDOVER_PERIOD):
            wait_until(lambda: client.load()["is_over"], "all calls are over", patience=3600.0)
        took = time.monotonic() - began
        result = client.end_load()
        answers, timed_out = result["answers"], result["timed_out"]
        requests = server.requests(service="/echo")
        durations = sorted(result["durations"])
        print(
            f"{CALLS} calls of {CLIENTS} clients in {took:.1f} s over {handovers.made} handovers: {len(answers)} answered, "
            f"{len(timed_out)} timed out, {len(requests)} requests at the server, {len(requests) - len(set(requests))} twice; "
            f"median {durations[len(durations) // 2]:.3f} s, p99 {durations[len(durations) * 99 // 100]:.3f} s, "
            f"longest {durations[-1]:.3f} s"
        )
        assert result["wrong"] == []
        assert set(answers.values()) == {1}, "an answer came twice"
        assert len(answers) + len(set(timed_out) - set(answers)) == CALLS
        assert len(set(requests)) == len(requests), "the server saw a call twice"
        assert set(answers) <= set(requests)
        assert handovers.made > 0
        check_handovers(handovers, a, b)
        reported = a.topic_statistics("/rover_b/echo", ROVERS[1], DIRECTION_RECEIVE)["remark"]
        assert bool(timed_out) == ("timed out" in reported), reported


def test_an_action_goes_on_over_handovers_with_its_feedback_in_order(tmp_path, late_msgs):
    with ending(Lab(tmp_path, list(RADIOS))) as lab:
        a, b, client, server = started(lab, environment=late_msgs)
        server.serve_action(action="/climb", type=CLIMB_TYPE)
        goal = client.send_goal(action="/rover_b/climb", type=CLIMB_TYPE, name="up", steps=STEPS, period=STEP_PERIOD)
        assert goal, "the goal is accepted"
        handovers = Handovers(lab)
        began = time.monotonic()
        for _ in range(HANDOVERS):
            time.sleep(STEPS * STEP_PERIOD / (HANDOVERS + 1) - OVERLAP)
            handovers.make()
        over = wait_until(lambda: (g := client.goal(name="up"))["status"] and g, "the goal is over", patience=120.0)
        took = time.monotonic() - began
        steps = list(range(1, STEPS + 1))
        wait_until(lambda: client.goal(name="up")["feedback"][-1:] == steps[-1:], "the last feedback comes")
        feedback = client.goal(name="up")["feedback"]
        print(
            f"a goal of {STEPS} steps took {took:.1f} s over {handovers.made} handovers: status {over['status']}, "
            f"{over['reached']} steps reached, {len(feedback)} feedbacks, in order: {feedback == steps}"
        )
        assert (over["status"], over["reached"]) == (SUCCEEDED, STEPS)
        assert feedback == steps
        assert server.executed() == [goal]
        check_handovers(handovers, a, b)
