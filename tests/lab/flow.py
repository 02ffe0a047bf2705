"""Messages that flow at a rate from one ROS program of a test to another, over a link or not."""

from __future__ import annotations

import time

from graph import Graph
from measure import Measured, measure
from rovers import wait_until

TYPE = "std_msgs/msg/UInt8MultiArray"
RATE, SIZE = 100.0, 48  # Hz, B


class Flow:
    """From a publisher to a subscriber, whose names for the topic may differ; begins at once."""

    def __init__(self, sender: Graph, topic: str, receiver: Graph, arrives_as: str, reliability: str = "reliable") -> None:
        self._sender, self._topic = sender, topic
        self._receiver, self._arrives_as = receiver, arrives_as
        receiver.subscribe(arrives_as, type=TYPE, reliability=reliability)
        sender.advertise(topic, type=TYPE, reliability=reliability)
        sender.keep_publishing(topic, rate=RATE, seed=arrives_as, size=SIZE)

    def count(self) -> int:
        """Messages that have come."""
        return self._receiver.count(self._arrives_as)

    def await_more(self, than: int | None = None) -> None:
        """Waits until more have come than so many, by default than now."""
        count = self.count() if than is None else than
        wait_until(lambda: self.count() > count, f"messages come on {self._arrives_as}")

    def arrivals(self) -> list[float]:
        """When each message came, by the monotonic clock."""
        return self._receiver.arrivals(self._arrives_as)

    def stop(self) -> None:
        """Ends it and waits for the last message."""
        digests = self._sender.stop_publishing(self._topic)
        self._published = list(zip(digests, self._sender.departures(self._topic)))
        last = digests[-1:]
        wait_until(
            lambda: self._receiver.has_any(self._arrives_as, digests=last), f"the last message comes on {self._arrives_as}"
        )
        self._arrived = list(zip(self._receiver.received(self._arrives_as), self.arrivals()))

    def measured(self, start: float, end: float | None = None) -> Measured:
        """What became of the messages that were published from one moment to another, by default the last one. To be called
        after the end."""
        return measure(self._published, self._arrived, start, time.monotonic() if end is None else end, 1.0 / RATE)
