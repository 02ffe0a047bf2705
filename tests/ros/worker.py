"""A process that is one ROS node and does what it is told: the loop that `graph_worker.py` and the load of the soak share."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor


def run(name: str, make: Callable, answer: Callable) -> None:
    """Makes a worker of a node of this name, and answers each line of standard input with a line of JSON on standard
    output: `answer(worker, line)`. Ends when standard input does."""
    # Answers only go to standard output; what libraries print goes to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    rclpy.init()
    node = rclpy.create_node(name)
    worker = make(node)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=[executor])
    spinning.start()
    for line in sys.stdin:
        print(json.dumps(answer(worker, line)), file=answers, flush=True)
    rclpy.try_shutdown()
    spinning.join()


def obey(worker: object, line: str) -> dict:
    """Does what a line says, `{"do": NAME, ...}`, by the worker's method of that name: gives `{"result": ...}` or
    `{"error": TEXT}`."""
    command = json.loads(line)
    try:
        return {"result": getattr(worker, command.pop("do"))(**command)}
    except Exception:
        return {"error": traceback.format_exc()}


def _spin(executor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
