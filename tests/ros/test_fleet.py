"""A topic that several rovers share both ways under one name: each message once at each, whoever comes and goes."""

from collections import Counter

from rovers import wait_until, wait_until_open, wait_until_received

CHAT = {"chat": {"name": "/chat", "type": "std_msgs/msg/String", "direction": "both"}}
RESTARTS = 10


def join_chat(*rovers):
    for rover in rovers:
        rover.graph.advertise("/chat", type="std_msgs/msg/String")
        rover.graph.subscribe("/chat", type="std_msgs/msg/String")
    wait_until_all_open(*rovers)


def wait_until_all_open(*rovers):
    for sender in rovers:
        for receiver in rovers:
            # Its own messages too: the test's node then has all that a message could echo to.
            wait_until_open(sender, "/chat", receiver, "/chat")


def say(count, seed, *rovers):
    """Lets all rovers publish; gives what was published, when all of it has arrived everywhere."""
    sent = [rover.graph.publish("/chat", count=count, seed=f"{rover.rover_id} {seed}") for rover in rovers]
    for rover in rovers:
        for digests in sent:
            wait_until_received(rover, "/chat", digests)
    return sent


def assert_each_arrived_once(sent, rover):
    received = rover.graph.received("/chat")
    for digests in sent:
        assert [digest for digest in received if digest in digests] == digests
    assert Counter(received).most_common(1)[0][1] == 1, "the probes too"


def test_each_message_arrives_once_at_each_of_three_rovers(fleet):
    rovers = [fleet.rover(f"rover_{name}", CHAT) for name in "abc"]
    join_chat(*rovers)
    first = say(100, "first", *rovers)
    # What came a second time, by whatever way, has come before this.
    second = say(100, "second", *rovers)
    for rover in rovers:
        assert_each_arrived_once(first + second, rover)


def test_restarts_of_either_side_leave_exactly_one_copy(fleet):
    a, b = fleet.rover("rover_a", CHAT), fleet.rover("rover_b", CHAT)
    join_chat(a, b)
    sent = say(5, "before", a, b)
    for restart in range(RESTARTS):
        rover = (a, b)[restart % 2]
        if restart % 4 < 2:
            rover.kill()
        else:
            assert rover.stop() == 0
        rover.start()
        wait_until_all_open(a, b)
        sent += say(5, restart, a, b)
    sent += say(100, "after", a, b)
    for rover in (a, b):
        assert_each_arrived_once(sent, rover)
        # Killed ones are in the graph until their lease ends.
        wait_until(lambda: count_bridges(rover) == 1, f"one bridge publishes /chat at {rover.rover_id}")


def count_bridges(rover):
    return sum("rover_link" in publisher["node"] for publisher in rover.graph.publishers("/chat"))
