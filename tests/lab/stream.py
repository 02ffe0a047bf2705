"""A steady stream of reliable messages between two rovers, and what became of it."""

from __future__ import annotations

import time

from measure import Measured, measure
from rovers import Rover, wait_until, wait_until_received

TYPE = "std_msgs/msg/UInt8MultiArray"
SIZE = 64  # B of content

# What a rover shares with its peers.
NAME = "/stream"
TOPICS = {"stream": {"name": NAME, "delivery": "reliable"}}


def received_as(sender: Rover) -> str:
    return f"/{sender.rover_id}{NAME}"


def advertise(*rovers: Rover) -> None:
    """Makes ready to send; to be called once."""
    for rover in rovers:
        rover.graph.advertise(NAME, type=TYPE)


class Stream:
    """Messages from one rover to another, at an even rate from the beginning until `finish`."""

    def __init__(self, sender: Rover, receiver: Rover, rate: float = 100.0) -> None:
        self._sender, self._receiver, self._rate = sender, receiver, rate
        self._remote = received_as(sender)
        receiver.graph.subscribe(self._remote, type=TYPE)
        sender.graph.keep_publishing(NAME, rate=rate, seed=f"{self._remote} {time.monotonic_ns()}", size=SIZE)

    def wait_until_flowing(self) -> None:
        """From then on nothing may be lost. Tells when that was, by the monotonic clock."""
        so_far = self._receiver.graph.count(self._remote)
        wait_until(
            lambda: self._receiver.graph.count(self._remote) > so_far,
            f"{self._remote} arrives at {self._receiver.rover_id}",
        )
        self._start = time.monotonic()

    def finish(self) -> Measured:
        """Ends the stream, waits for its last message and compares both ends from the time on that it was flowing."""
        end = time.monotonic()
        sender, receiver = self._sender.graph, self._receiver.graph
        digests = sender.stop_publishing(NAME)
        published = list(zip(digests, sender.departures(NAME)))
        wait_until_received(self._receiver, self._remote, digests)
        arrived = list(zip(receiver.received(self._remote), receiver.arrivals(self._remote)))
        receiver.unsubscribe(self._remote)
        return measure(published, arrived, self._start, end, 1.0 / self._rate)


def is_complete(measured: Measured) -> bool:
    """Has each message arrived once and in its turn?"""
    faults = (measured.lost, measured.duplicates, measured.reordered)
    return measured.published > 0 and faults == (0, 0, 0)
