"""One ROS node in a process of its own that keeps a graph busy: many publishers, some that publish often, others that come
and go. Commands and answers are those of `graph_worker.py`."""

from __future__ import annotations

import os
import threading
import time

from rclpy.qos import QoSProfile
from std_msgs.msg import UInt64
from worker import obey, run

QOS = QoSProfile(depth=1000)


class Worker:
    """Each method is a command."""

    def __init__(self, node) -> None:
        self._node = node
        self._publishers: list = []
        self._stop = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._counts: dict[str, int] = {"publish": 0, "change": 0}

    def advertise(self, prefix, count):
        """Makes so many publishers, `<prefix>0` to `<prefix><count - 1>`."""
        self._publishers = [self._node.create_publisher(UInt64, f"{prefix}{n}", QOS) for n in range(count)]

    def matched(self):
        """How many of them have a subscription."""
        return sum(publisher.get_subscription_count() > 0 for publisher in self._publishers)

    def start(self, busy, rate, churn, prefix):
        """From now on the first `busy` topics are published at `rate` each, Hz, and `churn` publishers a second come below
        `prefix` and go again a second later. 0 for none."""
        self._stop.clear()
        self._start("publish", busy * rate, lambda n: self._publishers[n % busy].publish(UInt64(data=n // busy)))
        passing: list = []

        def change(number: int) -> None:
            passing.append(self._node.create_publisher(UInt64, f"{prefix}{number % 1000}", QOS))
            if len(passing) > churn:
                self._node.destroy_publisher(passing.pop(0))

        self._start("change", churn, change)

    def stop(self):
        """Ends what `start` began; gives how often each was done."""
        self._stop.set()
        for thread in self._threads.values():
            thread.join()
        return self._counts

    def notice_times(self, prefix, count):
        """Makes publishers one after the other; gives how long each took to get a subscription, s."""
        times = []
        for number in range(count):
            began = time.monotonic()
            publisher = self._node.create_publisher(UInt64, f"{prefix}{number}", QOS)
            while publisher.get_subscription_count() == 0:
                if time.monotonic() > began + 60.0:
                    raise TimeoutError(f"nobody subscribes {prefix}{number}")
                time.sleep(0.001)
            times.append(time.monotonic() - began)
            self._node.destroy_publisher(publisher)
        return times

    def _start(self, name: str, rate: float, do) -> None:
        if rate:
            self._counts[name] = 0
            self._threads[name] = threading.Thread(target=self._repeat, args=[name, rate, do])
            self._threads[name].start()

    def _repeat(self, name: str, rate: float, do) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * rate)
            while self._counts[name] < due:
                do(self._counts[name])
                self._counts[name] += 1
            time.sleep(0.001)


run(f"many_{os.getpid()}", Worker, obey)
