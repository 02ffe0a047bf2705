"""Publishes what is in a bag, as it was recorded: the bytes as they are, each at its time."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass

from messages import digest, message_class
from rclpy.serialization import deserialize_message


@dataclass
class Recorded:
    topic: str
    at: float
    data: bytes


class BagPlayer:
    """The messages that a command writes to its standard output, as `bag.py read` does."""

    def __init__(self, command: list[str]) -> None:
        self.types: dict[str, str] = {}
        self.messages: list[Recorded] = []
        # The interpreter of the command has modules of its own.
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={}) as reader:
            while line := reader.stdout.readline():
                head = json.loads(line)
                self.types[head["topic"]] = head["type"]
                self.messages.append(Recorded(head["topic"], head["at"], reader.stdout.read(head["size"])))
        if reader.returncode:
            raise RuntimeError(f"{command} ended with status {reader.returncode}")

    def about(self) -> dict[str, dict]:
        """Type and digests of the messages of each topic."""
        return {
            topic: {"type": type_name, "digests": self._digests(topic, message_class(type_name))}
            for topic, type_name in self.types.items()
        }

    def _digests(self, topic: str, of_class) -> list[str]:
        mine = (message.data for message in self.messages if message.topic == topic)
        return [digest(deserialize_message(data, of_class)) for data in mine]

    def first(self, topic: str) -> bytes:
        return next(message.data for message in self.messages if message.topic == topic)

    def play(self, publishers: dict) -> None:
        """Begins to publish all, without waiting for it."""

        def run() -> None:
            start = time.monotonic()
            for message in self.messages:
                time.sleep(max(0.0, start + message.at - time.monotonic()))
                publishers[message.topic].publish(message.data)

        threading.Thread(target=run, daemon=True).start()
