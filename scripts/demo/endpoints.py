"""The two ROS programs of the demo, which know nothing of the link: `publish` on one rover, `subscribe` on the other.

    python3 -m demo.endpoints publish --duration 20
    python3 -m demo.endpoints subscribe

Each writes one line of JSON per period to standard output, until it is told to stop by SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from functools import partial

import rclpy
from demo.arrivals import Arrivals
from demo.monitor import Monitor
from demo.topics import RECEIVER, SENDER, TOPICS, Topic, examined, stamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

REPORT_PERIOD = 0.5  # s
# The map is subscribed to so long after other topics began to arrive, s: by then it was sent long ago.
LATE_JOIN = 4.0


class Publishers(Node):
    """Publishes each topic at its rate for `duration` seconds, what is latched once."""

    def __init__(self, duration: float) -> None:
        super().__init__("demo_publishers", namespace=SENDER)
        self._sent = {topic.name: 0 for topic in TOPICS}
        self._end = time.monotonic() + duration
        self._monitor = Monitor(self, SENDER)
        for topic in TOPICS:
            publisher = self.create_publisher(topic.type, topic.name, topic.qos)
            if topic.is_latched:
                self._publish(topic, publisher)
            else:
                self.create_timer(1 / topic.rate, partial(self._publish, topic, publisher))
        self.create_timer(REPORT_PERIOD, self._report)

    def _publish(self, topic: Topic, publisher) -> None:
        if time.monotonic() < self._end:
            publisher.publish(stamped(topic, self._sent[topic.name]))
            self._sent[topic.name] += 1

    def _report(self) -> None:
        write({"sent": self._sent, "done": time.monotonic() >= self._end, **self._monitor.report()})


class Subscribers(Node):
    """Counts what arrives of each topic; subscribes late to what is latched."""

    def __init__(self) -> None:
        super().__init__("demo_subscribers", namespace=RECEIVER)
        self._arrivals = {topic.name: Arrivals() for topic in TOPICS}
        self._monitor = Monitor(self, RECEIVER)
        self._late = [topic for topic in TOPICS if topic.is_latched]
        for topic in TOPICS:
            if not topic.is_latched:
                self._subscribe(topic)
        self.create_timer(REPORT_PERIOD, self._report)

    def _subscribe(self, topic: Topic) -> None:
        add = self._arrivals[topic.name].add
        name = f"/{SENDER}/{topic.name}"  # where a peer's topics appear by default
        self.create_subscription(topic.type, name, lambda message: add(*examined(topic, message)), topic.qos)

    def _report(self) -> None:
        begin = min(arrivals.since or math.inf for arrivals in self._arrivals.values())
        if time.monotonic() > begin + LATE_JOIN:
            while self._late:
                self._subscribe(self._late.pop())
        arrivals = {name: arrivals.report() for name, arrivals in self._arrivals.items()}
        write({"arrivals": arrivals, **self._monitor.report()})


def write(report: dict) -> None:
    print(json.dumps(report), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("role", choices=["publish", "subscribe"])
    parser.add_argument("--duration", type=float, default=math.inf, help="of publishing, s")
    arguments = parser.parse_args()
    rclpy.init()
    try:
        rclpy.spin(Publishers(arguments.duration) if arguments.role == "publish" else Subscribers())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
