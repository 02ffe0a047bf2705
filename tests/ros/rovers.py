"""A fleet for a test: the signaling server and rovers as the launch files start them, each rover in a ROS domain of its
own, with a node of the test beside it. All that was started ends with the test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from domains import reserve_domain
from graph import PATIENCE, Graph
from launch_expand import Process, expand

LAUNCH = Path(get_package_share_directory("rover_link"), "launch")
FLEET_KEY = "a key that the tests share"

STATE_DOWN, STATE_CONNECTING, STATE_CONNECTED, STATE_DEGRADED, STATE_OUTAGE = range(5)
DIRECTION_SEND, DIRECTION_RECEIVE = range(2)

# How often a condition is looked at, s.
_INTERVAL = 0.05


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE):
    """Looks until the condition holds, and gives what it gave."""
    deadline = time.monotonic() + patience
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(_INTERVAL)


class Program:
    """One of the package's programs, which can be stopped, killed and started again."""

    def __init__(self, process: Process, log: Path) -> None:
        self.described = process
        self.log_file = log
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.described.argv,
                env=self.described.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, by: signal.Signals = signal.SIGINT) -> int:
        """Asks it to stop; gives its exit status, negative for the signal that ended it."""
        self.process.send_signal(by)
        return self.wait()

    def kill(self) -> None:
        """Gives it no time for a good-bye."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Makes it deaf and mute, as a rover without any network."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends the pause."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Waits for it to end by itself; gives its exit status."""
        return self.process.wait(PATIENCE)

    def must_run(self) -> None:
        """Nothing more is to be waited for from a program that has ended by itself."""
        status = self.process.poll()
        assert status is None, f"{self.log_file.stem} has ended with status {status}"

    def leaves_nothing(self) -> bool:
        """Is its process group empty?"""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Waits until the log holds the text so often, over all starts."""

        def is_there() -> bool:
            self.must_run()
            return self.log().count(text) >= count

        wait_until(is_there, f"{text!r} in the log of {self.log_file.stem}")

    def begin_end(self) -> None:
        """Asks what still runs to stop, without waiting for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.go_on()

    def end(self) -> bool:
        """Sees to it that nothing is left; was that so of its own accord?"""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        if self.leaves_nothing():
            return True
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return False


class Server(Program):
    """The signaling server."""

    def url(self) -> str:
        pattern = re.compile(r"Server listening on (\S+)")
        wait_until(lambda: pattern.search(self.log()), "the server listens")
        return f"ws://{pattern.search(self.log())[1]}"

    def start_again(self) -> None:
        """Starts at the same address as before."""
        bind = self.url().removeprefix("ws://")
        self.described.argv = [f"--bind={bind}" if a.startswith("--bind=") else a for a in self.described.argv]
        self.start()


class Rover(Program):
    """A rover's node, and the test's own node in the same domain; `enter` comes before the commands of both."""

    def __init__(self, rover_id: str, process: Process, log: Path, enter: Sequence[str] = ()) -> None:
        super().__init__(process, log)
        process.argv = [*enter, *process.argv]
        self.rover_id = rover_id
        self.enter = list(enter)
        (namespace,) = {argument.removeprefix("__ns:=") for argument in process.argv if argument.startswith("__ns:=")}
        self.node = f"{namespace.rstrip('/')}/rover_link"
        self._graph: Graph | None = None
        self._status: set[str] = set()

    def start_graph(self) -> None:
        """Starts the test's node, which takes a while, without waiting for it."""
        log = self.log_file.with_name(f"{self.rover_id}_graph.log")
        self._graph = Graph(self.described.env, log, self.enter)

    @property
    def graph(self) -> Graph:
        if self._graph is None:
            self.start_graph()
        return self._graph

    def start(self) -> None:
        # What the process before it said is of no interest.
        for topic in self._status:
            self.graph.unsubscribe(topic)
        self._status.clear()
        super().start()

    def lose_power(self) -> None:
        """Ends the node and the program beside it without their knowing; both are to be started again."""
        self.kill()
        self.graph.kill()
        self._graph = None
        self._status.clear()

    def link_quality(self, peer: str) -> dict:
        """The newest message about the link to a peer, the first one if there was none yet."""
        topic = f"{self.node}/{peer}/link_quality"
        return self._newest(topic, "rover_link/msg/LinkQuality", lambda message: message)

    def path_quality(self, peer: str, interface: str = "lo") -> dict:
        """The newest message about an interface towards a peer, the first one if there was none yet."""
        topic = f"{self.node}/{peer}/{interface}/path_quality"
        return self._newest(topic, "rover_link/msg/PathQuality", lambda message: message)

    def topic_statistics(self, topic: str, peer: str, direction: int = DIRECTION_SEND) -> dict:
        """The newest message about a route, the first one if there was none yet."""

        def wanted(message):
            is_it = (message["topic"], message["peer_id"], message["direction"]) == (topic, peer, direction)
            return message if is_it else None

        return self._newest(f"{self.node}/topic_statistics", "rover_link/msg/TopicStatistics", wanted)

    def diagnostics(self, component: str) -> dict:
        """The newest status of a component, the first one if there was none yet."""

        def wanted(message):
            return next((s for s in message["status"] if s["name"] == f"rover_link: {component}"), None)

        return self._newest("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", wanted)

    def is_connected(self, peer: str) -> bool:
        # A machine that has other things to do may make a path look poor for a moment.
        return self.link_quality(peer)["state"] in (STATE_CONNECTED, STATE_DEGRADED)

    def begin_end(self) -> None:
        super().begin_end()
        if self._graph is not None:
            self._graph.begin_end()

    def end(self) -> bool:
        if self._graph is not None:
            self._graph.end()
        return super().end()

    def _newest(self, topic: str, type_name: str, wanted: Callable[[dict], dict | None]) -> dict:
        if topic not in self._status:
            self.graph.subscribe(topic, type=type_name, depth=200, keeps=50)
            self._status.add(topic)

        def found() -> dict | None:
            self.must_run()
            return next(filter(None, map(wanted, reversed(self.graph.messages(topic)))), None)

        return wait_until(found, f"{self.rover_id} publishes {topic}")


class Fleet:
    """All that one test starts."""

    # Where the signaling server listens.
    bind = "127.0.0.1:0"
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        # Nodes of the test besides those of the rovers.
        self.workers: list[Graph] = []
        self._holders: list = []
        self._server: Server | None = None
        # Launch arguments of the signaling server, besides where it listens.
        self.server_arguments: dict[str, str] = {}

    def server(self, token: str = "") -> Server:
        """The signaling server, on a port of its own; `token` counts when it is asked for the first time."""
        if self._server is None:
            environment = {**os.environ, "ROVER_LINK_TOKEN": token}
            arguments = {"bind": self.bind, **self.server_arguments}
            (process,) = expand(LAUNCH / "signaling_server.launch.xml", arguments, environment)
            process.argv = [*self.enter("signaling_server"), *process.argv]
            self._server = self.started(Server(process, self.folder / "server.log"))
        return self._server

    def rover(self, rover_id: str, topics: dict[str, dict] | None = None, **options) -> Rover:
        """A rover that runs, with a node of the test beside it; the options are those of `described_rover`."""
        rover = self.started(self.described_rover(rover_id, topics, **options))
        rover.start_graph()
        return rover

    def described_rover(
        self,
        rover_id: str,
        topics: dict[str, dict] | None = None,
        *,
        url: str | None = None,
        fleet_key: str = FLEET_KEY,
        environment: dict[str, str] | None = None,
        ros_arguments: list[str] | None = None,
        launch_arguments: dict[str, str] | None = None,
        **parameters,
    ) -> Rover:
        """A rover that is to be started; by default it shares with the whole fleet."""
        parameters = {
            "rover_id": rover_id,
            "signaling_url": url or self.server().url(),
            "peers": ["*"],
            "interfaces": {"allow": ["lo"]},
            "link_quality": {"publish_rate": 10.0},
            "topic_ids": list(topics or {}),
            **({"topics": topics} if topics else {}),
            **parameters,
        }
        file = self.folder / f"{rover_id}.yaml"
        # JSON is YAML too.
        file.write_text(json.dumps({"/**": {"ros__parameters": parameters}}, indent=2))
        environment = {**self.environment(), "ROVER_LINK_FLEET_KEY": fleet_key, **(environment or {})}
        launch_arguments = {"params_file": str(file), **(launch_arguments or {})}
        (process,) = expand(LAUNCH / "rover.launch.xml", launch_arguments, environment)
        process.argv += ros_arguments or []
        return Rover(rover_id, process, self.folder / f"{rover_id}.log", self.enter(rover_id))

    def enter(self, program: str) -> list[str]:
        """What to put before a command, for it to run where the program of this name runs: a rover, or the server."""
        return []

    def environment(self) -> dict[str, str]:
        """That of a rover: a domain of its own, nothing from the user's home."""
        return {
            **os.environ,
            "ROS_DOMAIN_ID": str(self.domain()),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_HOME": str(self.folder / "ros_home"),
            "ROVER_LINK_FLEET_KEY": FLEET_KEY,
            "ROVER_LINK_TOKEN": "",
        }

    def domain(self) -> int:
        """A ROS domain that is nobody else's until the test ends."""
        domain, holder = reserve_domain()
        self._holders.append(holder)
        return domain

    def started(self, program):
        """Starts the program, and ends it with the test."""
        self.programs.append(program)
        program.start()
        return program

    def logs(self) -> dict[str, str]:
        return {file.stem: file.read_text(errors="replace") for file in sorted(self.folder.glob("*.log"))}

    def end(self) -> list[str]:
        """Ends all that runs, as they end in the field: killed processes leave shared memory behind. Gives what had to
        be killed."""
        for worker in self.workers:
            worker.begin_end()
        for program in self.programs:
            program.begin_end()
        for worker in self.workers:
            worker.end()
        killed = [program.log_file.stem for program in self.programs if not program.end()]
        for holder in self._holders:
            holder.close()
        return killed

    def end_well(self) -> None:
        """Ends all that runs. Fails if something had to be killed for that, or if a program has panicked."""
        killed = self.end()
        assert not killed, f"had to be killed: {killed}"
        for name, log in self.logs().items():
            assert "panicked at" not in log, f"a panic in {name}.log"


def wait_until_connected(*rovers: Rover) -> None:
    """Waits until each of them is connected with each other one."""
    for rover in rovers:
        for peer in rovers:
            if peer is not rover:
                wait_until(
                    lambda: rover.is_connected(peer.rover_id), f"{rover.rover_id} is connected to {peer.rover_id}"
                )


def wait_until_open(sender: Rover, topic: str, receiver: Rover, remote: str) -> list[str]:
    """Publishes until something arrives: from then on nothing may be lost. Gives the digests of what was published.

    Both topics must have been advertised and subscribed.
    """
    probes: list[str] = []

    def arrives() -> bool:
        sender.must_run()
        receiver.must_run()
        if receiver.graph.has_any(remote, digests=probes):
            return True
        probes.extend(sender.graph.publish(topic, seed=f"probe {sender.rover_id} {time.monotonic_ns()}"))
        return False

    wait_until(arrives, f"{topic} of {sender.rover_id} reaches {remote} of {receiver.rover_id}")
    return probes


def wait_until_received(rover: Rover, topic: str, digests: list[str]) -> None:
    """Waits until the last of the messages has come, whichever others have."""
    last = digests[-1:]
    wait_until(
        lambda: rover.graph.has_any(topic, digests=last), f"the last message arrives on {topic} of {rover.rover_id}"
    )
