"""A program that this one has started, and whose standard output it reads line by line."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

TAIL_LINES = 15

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


class PartError(Exception):
    """A program did not start, ended by itself or did not say what it should."""


class Part:
    """A running program. Its standard output is read line by line, the rest of what it says goes to its log.

    The kernel ends it with this process, even if that is killed without a chance to tidy up.
    """

    def __init__(self, name: str, argv: list[str], env: dict[str, str], log: Path) -> None:
        self.name, self._log = name, log
        self._lines: list[str] = []
        self._pending = b""  # the beginning of a line
        with log.open("w") as file:
            # A session of its own keeps Ctrl-C away from it: programs are stopped in order.
            self.process = subprocess.Popen(
                argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                start_new_session=True, preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )  # fmt: skip
        os.set_blocking(self.process.stdout.fileno(), False)

    def say(self, line: str) -> None:
        """Writes a line to its standard input."""
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def lines(self) -> list[str]:
        """What it has written to standard output since the last call."""
        self._read()
        lines, self._lines = self._lines, []
        return lines

    def next_line(self, limit: float) -> str:
        """The next line of standard output, which must come within `limit` seconds."""
        end = time.monotonic() + limit
        while True:
            has_ended = self.process.poll() is not None
            self._read()
            if self._lines:
                return self._lines.pop(0)
            if has_ended:
                self.check()
            if time.monotonic() > end:
                raise self.error(f"said nothing for {limit:.0f} s")
            time.sleep(0.01)

    def check(self) -> None:
        """Raises if the program has ended by itself."""
        if (status := self.process.poll()) is not None:
            raise self.error(f"ended by itself with status {status}")

    def error(self, what: str) -> PartError:
        return PartError(f"{self.name} {what}\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log, and where that is."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self._log}:", *(f"    {line}" for line in lines)])

    def signal(self, number: int) -> None:
        """Sends a signal to the program and what it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.process.stdout.fileno(), 65536):
                self._pending += chunk
        *lines, self._pending = self._pending.split(b"\n")
        self._lines += [line.decode(errors="replace") for line in lines]
