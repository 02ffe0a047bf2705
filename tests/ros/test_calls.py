"""Services and actions of one rover that are used from another as if they were there: each call is made once and answered
once or given up, and that is told."""

from __future__ import annotations

import re

import pytest
from calls import CANCELED, SUCCEEDED, calls_beside
from rovers import DIRECTION_RECEIVE, wait_until, wait_until_connected

ECHO = {"echo": {"name": "/echo"}}
TRIGGER = "std_srvs/srv/Trigger"
CLIMB = {"climb": {"name": "/climb"}}
CLIMB_TYPE = "late_msgs/action/Climb"


def services(**blocks) -> dict:
    return {"service_ids": list(blocks), "services": blocks}


def actions(**blocks) -> dict:
    return {"action_ids": list(blocks), "actions": blocks}


def wait_until_ready(calls, service: str, is_ready: bool = True) -> None:
    wait_until(lambda: calls.is_ready(service=service) == is_ready, f"{service} is there: {is_ready}")


def remark(rover, topic: str, peer: str, text: str, direction: int = DIRECTION_RECEIVE) -> dict:
    """What the rover tells of a route, once its remark holds the text."""
    return wait_until(
        lambda: re.search(text, (s := rover.topic_statistics(topic, peer, direction))["remark"]) and s,
        f"{rover.rover_id} remarks {text!r} of {topic}",
    )


def call_until_answered(calls, name: str) -> str:
    """Calls until there is an answer, for ROS finds the server of a killed process for a while; gives what was answered."""
    attempts = iter(range(10**6))

    def answer() -> str | None:
        return calls.call(service="/rover_b/echo", text=f"{name} {next(attempts)}", patience=2.0)

    return wait_until(answer, f"a call is answered: {name}")


@pytest.fixture
def pair(fleet):
    """A rover that calls, and one that serves, each with a node of the test."""

    def start(environment=None, **parameters):
        a = fleet.rover("rover_a", environment=environment)
        b = fleet.rover("rover_b", environment=environment, **parameters)
        return a, b, calls_beside(fleet, a), calls_beside(fleet, b)

    return start


def test_calls_of_several_clients_are_made_once_and_each_is_answered(fleet, pair):
    a, b, client, server = pair(**services(**ECHO))
    other = calls_beside(fleet, a, "other")
    server.serve(service="/echo")
    loads = {"one": client, "two": other}
    for name, calls in loads.items():
        calls.start_load(service="/rover_b/echo", clients=4, count=200, name=name, patience=60.0)
    results = []
    for calls in loads.values():
        wait_until(lambda: calls.load()["is_over"], "all calls are answered")
        results.append(calls.end_load())
    assert all(result["wrong"] == result["timed_out"] == [] for result in results)
    answers = results[0]["answers"] | results[1]["answers"]
    assert len(answers) == 400 and set(answers.values()) == {1}
    assert sorted(server.requests(service="/echo")) == sorted(answers)
    sent = wait_until(
        lambda: (s := b.topic_statistics("/echo", "rover_a"))["messages"] == 400 and s, "all answers are counted"
    )
    assert (sent["type"], sent["remark"]) == ("rcl_interfaces/srv/GetParameters", "")
    assert a.topic_statistics("/rover_b/echo", "rover_b", DIRECTION_RECEIVE)["remark"] == ""


def test_a_slow_answer_holds_up_no_other(pair):
    a, b, client, server = pair(**services(echo={"name": "/echo"}, slow={"name": "/slow"}))
    server.serve(service="/slow", delay=-1.0)
    server.serve(service="/echo")
    wait_until_ready(client, "/rover_b/slow")
    client.begin_call(service="/rover_b/slow", text="for ever")
    wait_until(lambda: server.requests(service="/slow"), "the slow call is made")
    assert client.call(service="/rover_b/echo", text="quick") == "quick"
    client.begin_call(service="/rover_b/slow", text="another")
    wait_until(lambda: server.requests(service="/slow") == ["for ever", "another"], "the next one is made too")


def test_the_service_is_there_only_while_the_far_server_is(pair):
    a, b, client, server = pair(**services(**ECHO))
    wait_until_connected(a, b)
    remark(b, "/echo", "rover_a", "no server here", direction=0)
    assert not client.is_ready(service="/rover_b/echo")
    server.serve(service="/echo")
    assert client.call(service="/rover_b/echo", text="here") == "here"
    server.unserve(service="/echo")
    wait_until_ready(client, "/rover_b/echo", False)
    server.serve(service="/echo")
    assert client.call(service="/rover_b/echo", text="again") == "again"
    assert server.requests(service="/echo") == ["here", "again"]


def test_a_name_of_ones_own_is_used_with_the_type_that_is_given(pair):
    named = {"reset": {"name": "reset", "remote_name": "/rover_b/do/reset", "type": TRIGGER, "peers": ["rover_a"]}}
    _, _, client, server = pair(**services(**named))
    server.serve(service="/reset", type=TRIGGER)
    assert client.call(service="/rover_b/do/reset", text="", type=TRIGGER) == ""
    assert server.requests(service="/reset") == [""]


def test_a_call_that_is_not_answered_in_time_is_given_up_and_told_on_both_sides(pair):
    a, b, client, server = pair(**services(echo={"name": "/echo", "timeout": 1.0}))
    server.serve(service="/echo", delay=3.0)
    wait_until_ready(client, "/rover_b/echo")
    assert client.call(service="/rover_b/echo", text="late", patience=6.0) is None
    remark(a, "/rover_b/echo", "rover_b", "1 timed out")
    remark(b, "/echo", "rover_a", "1 timed out", direction=0)
    a.wait_for_log("has not answered in time")
    assert server.requests(service="/echo") == ["late"]


def test_a_call_that_a_server_leaves_unanswered_is_given_up(pair):
    a, b, client, server = pair(**services(**ECHO))
    server.serve(service="/echo", delay=-1.0)
    wait_until_ready(client, "/rover_b/echo")
    client.begin_call(service="/rover_b/echo", text="lost")
    wait_until(lambda: server.requests(service="/echo"), "the call is made")
    server.unserve(service="/echo")
    wait_until_ready(client, "/rover_b/echo", False)
    remark(b, "/echo", "rover_a", "1 given up", direction=0)
    remark(a, "/rover_b/echo", "rover_b", "1 given up", direction=0)
    a.wait_for_log("/rover_b/echo: the peer offers it no more")


def test_a_call_waits_through_a_pause_of_the_link_and_is_made_once(pair):
    a, b, client, server = pair(**services(**ECHO))
    server.serve(service="/echo")
    assert client.call(service="/rover_b/echo", text="before") == "before"
    b.pause()
    client.begin_call(service="/rover_b/echo", text="meanwhile")
    wait_until(lambda: a.link_quality("rover_b")["state"] == 4, "the link is out")
    assert client.is_ready(service="/rover_b/echo"), "the session goes on"
    b.go_on()
    assert client.call(service="/rover_b/echo", text="after") == "after"
    assert server.requests(service="/echo") == ["before", "meanwhile", "after"]


@pytest.mark.parametrize("which", [0, 1], ids=["that calls", "that serves"])
def test_after_the_restart_of_a_rover_calls_go_on_and_none_is_made_again(pair, which):
    a, b, client, server = pair(**services(**ECHO))
    server.serve(service="/echo")
    rover = (a, b)[which]
    answered = [call_until_answered(client, "at first")]
    for number, end in enumerate((rover.stop, rover.kill, rover.stop)):
        end()
        rover.start()
        answered.append(call_until_answered(client, f"run {number}"))
    requests = server.requests(service="/echo")
    assert set(answered) <= set(requests) and len(set(requests)) == len(requests)


def test_a_call_under_way_when_the_session_ends_is_given_up_and_told(pair):
    a, b, client, server = pair(**services(**ECHO))
    server.serve(service="/echo", delay=-1.0)
    wait_until_ready(client, "/rover_b/echo")
    client.begin_call(service="/rover_b/echo", text="lost")
    wait_until(lambda: server.requests(service="/echo"), "the call is made")
    b.stop()
    b.start()
    a.wait_for_log("1 given up")
    remark(a, "/rover_b/echo", "rover_b", "1 given up", direction=0)
    wait_until_ready(client, "/rover_b/echo")
    assert server.requests(service="/echo") == ["lost"]


def test_a_service_that_is_not_accepted_is_refused_and_told_on_both_sides(fleet):
    a = fleet.rover("rover_a", accept=["/rover_b/other"])
    b = fleet.rover("rover_b", **services(echo={"name": "/echo"}, other={"name": "/other"}))
    client, server = calls_beside(fleet, a), calls_beside(fleet, b)
    server.serve(service="/echo")
    server.serve(service="/other")
    remark(b, "/echo", "rover_a", "not accepted from rover_b", direction=0)
    remark(a, "/rover_b/echo", "rover_b", "not accepted from rover_b")
    assert client.call(service="/rover_b/other", text="fine") == "fine"
    assert not client.is_ready(service="/rover_b/echo")


def test_a_service_is_offered_to_its_peers_alone(fleet):
    a, c = fleet.rover("rover_a"), fleet.rover("rover_c")
    b = fleet.rover("rover_b", **services(echo={"name": "/echo", "peers": ["rover_a"]}))
    client, server, other = (calls_beside(fleet, rover) for rover in (a, b, c))
    server.serve(service="/echo")
    wait_until_connected(b, c)
    assert client.call(service="/rover_b/echo", text="mine") == "mine"
    assert not other.is_ready(service="/rover_b/echo")
    assert "/rover_b/echo" not in c.log()


def test_two_peers_get_their_own_answers(fleet):
    a, c = fleet.rover("rover_a"), fleet.rover("rover_c")
    b = fleet.rover("rover_b", **services(**ECHO))
    first, server, second = (calls_beside(fleet, rover) for rover in (a, b, c))
    server.serve(service="/echo")
    for name, calls in (("a", first), ("c", second)):
        calls.start_load(service="/rover_b/echo", clients=2, count=100, name=name, patience=60.0)
    for calls in (first, second):
        wait_until(lambda: calls.load()["is_over"], "all calls are answered")
        result = calls.end_load()
        assert (result["wrong"], result["timed_out"]) == ([], [])
        assert len(result["answers"]) == 100 and set(result["answers"].values()) == {1}
    assert len(set(server.requests(service="/echo"))) == len(server.requests(service="/echo")) == 200
    statistics = [b.topic_statistics("/echo", peer) for peer in ("rover_a", "rover_c")]
    assert all(s["taken"] == s["messages"] + s["waiting"] for s in statistics)
    for peer in ("rover_a", "rover_c"):
        wait_until(lambda: b.topic_statistics("/echo", peer)["messages"] == 100, "each peer got its own")


def test_a_type_that_is_not_installed_at_the_caller_is_refused_with_the_remedy(fleet, late_msgs):
    a = fleet.rover("rover_a")
    b = fleet.rover("rover_b", environment=late_msgs, **actions(**CLIMB))
    server = calls_beside(fleet, b)
    server.serve_action(action="/climb", type=CLIMB_TYPE)
    refused = remark(b, "/climb/_action/send_goal", "rover_a", "not installed", direction=0)
    assert "install late_msgs" in refused["remark"]
    part = remark(a, "/rover_b/climb/_action/send_goal", "rover_b", "not installed")
    assert part["type_mismatch"]


def test_a_service_of_a_peer_is_not_offered_on_nor_put_over_one_of_ones_own(fleet):
    onward = services(far={"name": "/rover_b/echo", "remote_name": "/far"}, echo={"name": "/own"})
    a = fleet.rover("rover_a", **onward)
    b = fleet.rover("rover_b", accept=["/**"], **services(**ECHO, own={"name": "/own", "remote_name": "/own"}))
    client, server = calls_beside(fleet, a), calls_beside(fleet, b)
    server.serve(service="/echo")
    assert client.call(service="/rover_b/echo", text="far") == "far"
    remark(a, "/rover_b/echo", "rover_b", "not offered on", direction=0)
    assert "/far" not in b.log()


def test_an_action_gives_feedback_in_order_and_its_result(pair, late_msgs):
    _, b, client, server = pair(environment=late_msgs, **actions(**CLIMB))
    server.serve_action(action="/climb", type=CLIMB_TYPE)
    goal = client.send_goal(action="/rover_b/climb", type=CLIMB_TYPE, name="up", steps=20, period=0.05)
    over = wait_until(lambda: (g := client.goal(name="up"))["status"] and g, "the goal is over")
    steps = list(range(1, 21))
    assert (over["status"], over["reached"], over["log"]) == (SUCCEEDED, 20, " ".join(map(str, steps)))
    assert wait_until(lambda: client.goal(name="up")["feedback"][-1:] == steps[-1:], "the last feedback comes")
    assert client.goal(name="up")["feedback"] == steps
    assert server.executed() == [goal]


def test_a_goal_is_cancelled_and_another_of_another_client_goes_on(fleet, pair, late_msgs):
    a, b, client, server = pair(environment=late_msgs, **actions(**CLIMB))
    other = calls_beside(fleet, a, "other")
    server.serve_action(action="/climb", type=CLIMB_TYPE)
    cancelled = client.send_goal(action="/rover_b/climb", type=CLIMB_TYPE, name="high", steps=10_000, period=0.05)
    kept = other.send_goal(action="/rover_b/climb", type=CLIMB_TYPE, name="low", steps=30, period=0.05)
    wait_until(lambda: client.goal(name="high")["feedback"], "it gives feedback")
    assert client.cancel_goal(name="high") == 1
    over = wait_until(lambda: (g := client.goal(name="high"))["status"] and g, "the goal is over")
    assert over["status"] == CANCELED and over["reached"] < 10_000
    over = wait_until(lambda: (g := other.goal(name="low"))["status"] and g, "the other goal is over")
    assert (over["status"], over["reached"]) == (SUCCEEDED, 30)
    assert sorted(server.executed()) == sorted([cancelled, kept])


def test_an_action_is_there_only_while_its_server_is_and_accepted_by_its_own_name(fleet, late_msgs):
    a = fleet.rover("rover_a", environment=late_msgs, accept=["/rover_b/climb"])
    b = fleet.rover("rover_b", environment=late_msgs, **actions(**CLIMB))
    client, server = calls_beside(fleet, a), calls_beside(fleet, b)

    def has_server():
        return client.has_action_server(action="/rover_b/climb", type=CLIMB_TYPE)

    wait_until_connected(a, b)
    assert not has_server()
    server.serve_action(action="/climb", type=CLIMB_TYPE)
    wait_until(has_server, "the action is there")
    server.unserve_action(action="/climb")
    wait_until(lambda: not has_server(), "the action is gone")
