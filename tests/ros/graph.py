"""The test's end of `graph_worker.py`: a ROS node in another process, in a domain of the test's choice."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path

# Far beyond what anything here takes on a machine that has other things to do, s.
PATIENCE = 60.0


class GraphError(Exception):
    """A command failed in the worker."""


class Graph:
    """Each command of the worker is a method: `graph.publish("/odom", count=10)`."""

    # What the process runs.
    worker = "graph_worker.py"

    def __init__(self, environment: dict[str, str], log: Path, enter: list[str]) -> None:
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*enter, sys.executable, str(Path(__file__).with_name(self.worker))],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **options: self._do(name, *arguments, **options)

    def begin_end(self) -> None:
        """Lets the process end, without waiting for it."""
        self.process.stdin.close()

    def end(self) -> None:
        """Sees to it that the process has ended."""
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """Ends the process without its knowing."""
        self.process.kill()
        self.process.wait()

    def _do(self, do: str, /, *topic: str, **options):
        # The one argument without a name is the topic, unless the command is about something else.
        command = {"do": do, **options}
        if topic:
            command[{"parameters": "node", "select_path": "service"}.get(do, "topic")] = topic[0]
        print(json.dumps(command), file=self.process.stdin, flush=True)
        try:
            answer = json.loads(self._answers.get(timeout=2 * PATIENCE))
        except queue.Empty:
            raise GraphError(f"no answer to {do}") from None
        if "error" in answer:
            raise GraphError(answer["error"])
        return answer["result"]

    def _read(self) -> None:
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put('{"error": "the process has ended"}')
