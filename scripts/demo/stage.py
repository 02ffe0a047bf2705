"""Where the demo's programs run: two network namespaces joined by two radios, or simply this machine's loopback.

Everything that is started or made is gone when the stage is left, whatever the reason. Even if this process is killed
without a chance to tidy up, the kernel ends its programs, and the namespaces with the last program in them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROVERS = ("rover_a", "rover_b")
# Both ends of a radio have its name; the addresses are rover_a's and rover_b's.
RADIOS = {"wifi0": ("10.77.1.1", "10.77.1.2"), "cell0": ("10.77.2.1", "10.77.2.2")}

# What a new network namespace lacks: loopback, with multicast for the discovery of ROS. The program then holds it.
HOLD = "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo && echo ready && exec sleep infinity"

# Set for the run inside a user namespace, so that it does not try for another one.
INSIDE = "ROVER_LINK_DEMO_INSIDE"
ENTER_USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net")

READY_LIMIT = 5.0  # s for a namespace to be ready
STOP_LIMIT = 4.0  # s from SIGINT to SIGKILL; a node needs at most 2
TAIL_LINES = 15

# Made for this run only.
SECRETS = {"ROVER_LINK_TOKEN": secrets.token_hex(16), "ROVER_LINK_FLEET_KEY": secrets.token_hex(32)}

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


class PartError(Exception):
    """A program did not start, ended by itself or did not say what it should."""


class Part:
    """A running program. Its standard output is read line by line, the rest of what it says goes to its log."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], log: Path) -> None:
        self.name, self._log = name, log
        self._lines: list[str] = []
        self._pending = b""  # the beginning of a line
        with log.open("w") as file:
            # A session of its own keeps Ctrl-C away from it: programs are stopped in order.
            self.process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file,
                start_new_session=True, preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )  # fmt: skip
        os.set_blocking(self.process.stdout.fileno(), False)

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


class Stage:
    """Starts programs and stops them all; use with `with`. `namespaces` asks for a network namespace for each rover."""

    def __init__(self, logs: Path, namespaces: bool) -> None:
        self.parts: list[Part] = []
        self.unclean: list[str] = []  # programs that did not stop as they should
        self.logs = logs
        self.has_namespaces = namespaces
        self._holders: dict[str, Part] = {}  # keep the namespaces, by rover

    def __enter__(self) -> Stage:
        signal.signal(signal.SIGTERM, _exit_on_signal)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="rover_link_"))  # for what the programs write, removed at the end
        try:
            if self.has_namespaces:
                self._make_namespaces()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # tidying up is bounded, and comes first
        self.stop(self.parts)
        for holder in self._holders.values():
            holder.signal(signal.SIGKILL)
            holder.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def start(self, name: str, argv: list[str], env: dict[str, str], rover: str = ROVERS[0]) -> Part:
        """Starts a program on the machine of a rover."""
        if rover in self._holders:
            argv = ["nsenter", f"--net={self._file_of(rover)}", *argv]
        part = Part(name, argv, env, self.logs / f"{name}.log")
        self.parts.append(part)
        return part

    def check(self) -> None:
        """Raises if any program has ended by itself."""
        for part in self.parts:
            part.check()

    def stop(self, parts: list[Part]) -> None:
        """Stops programs: all at once, orderly if they can."""
        for part in parts:
            part.signal(signal.SIGINT)
        end = time.monotonic() + STOP_LIMIT
        for part in parts:
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(max(0.0, end - time.monotonic()))
            part.signal(signal.SIGKILL)
            if status := part.process.wait():
                self.unclean.append(f"{part.name} stopped with status {status}")
        self.parts = [part for part in self.parts if part not in parts]

    def enter_command(self, rover: str) -> str:
        """What to put before a command to run it on the machine of a rover; empty if that is this one."""
        if rover not in self._holders:
            return ""
        user = " -U --preserve-credentials" if INSIDE in os.environ else ""
        return f"nsenter -t {self._holders[rover].process.pid} -n{user}"

    def _file_of(self, rover: str) -> str:
        return f"/proc/{self._holders[rover].process.pid}/ns/net"

    def _make_namespaces(self) -> None:
        for rover in ROVERS:
            name, argv = f"namespace_{rover}", ["unshare", "--net", "sh", "-c", HOLD]
            self._holders[rover] = Part(name, argv, dict(os.environ), self.logs / f"{name}.log")
        for holder in self._holders.values():
            holder.next_line(READY_LIMIT)
        files = [self._file_of(rover) for rover in ROVERS]
        for radio, addresses in RADIOS.items():
            _run("ip", "link", "add", radio, "netns", files[0], "type", "veth", "peer", "name", radio, "netns", files[1])
            for file, address in zip(files, addresses):
                inside = ("nsenter", f"--net={file}", "ip")
                _run(*inside, "address", "add", f"{address}/24", "dev", radio)
                _run(*inside, "link", "set", radio, "up")


def environment(stage: Stage) -> dict[str, str]:
    """For all programs: the secrets, and no ROS but this machine's."""
    shell = {name: value for name, value in os.environ.items() if name not in ("ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY")}
    ros = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_HOME": str(stage.folder)}
    return {**shell, **SECRETS, **ros}


def why_no_namespaces() -> str:
    """Empty if network namespaces can be made. Where a user namespace helps, starts this program anew inside one."""
    for tool in ("unshare", "nsenter", "ip"):
        if not shutil.which(tool):
            return f"the program {tool} is missing"
    test = ["ip", "link", "add", "type", "veth"]
    as_we_are = subprocess.run(["unshare", "--net", *test], capture_output=True, text=True)
    if as_we_are.returncode == 0:
        return ""
    if INSIDE in os.environ:
        return as_we_are.stderr.strip()
    in_user_namespace = subprocess.run([*ENTER_USER_NAMESPACE, *test], capture_output=True, text=True)
    if in_user_namespace.returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(ENTER_USER_NAMESPACE[0], [*ENTER_USER_NAMESPACE, sys.executable, *sys.argv])
    return in_user_namespace.stderr.strip()


def free_port() -> int:
    """A TCP port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_domains() -> Iterator[str]:
    """ROS domains that no program of this machine takes part in, told by the port that the first one of a domain binds."""
    for domain in range(41, 101):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("", 7410 + 250 * domain))
            yield str(domain)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise PartError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _exit_on_signal(number: int, _: object) -> None:
    sys.exit(128 + number)
