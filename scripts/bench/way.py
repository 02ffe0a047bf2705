"""The programs between the ends of a stream: two rovers, or none with plain DDS; and the ends themselves."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from bench.network import Network
from bench.programs import example, program
from bench.samples import Samples
from bench.workloads import DDS, Stream, Workload
from demo.part import Part, PartError
from demo.stage import ROVERS, Stage, environment
from domains import reserve_domain

TYPE = "std_msgs/msg/UInt8MultiArray"
READY_LIMIT = 10.0  # s for a program to be ready
LARGE_MESSAGES = 100_000  # B; larger ones do not fit into the shared memory that Fast DDS has by default


class Way:
    """From the publishers on one rover to the subscribers on the other; use with `with`."""

    def __init__(self, stage: Stage, network: Network, workload: Workload, policy: str) -> None:
        self._stage, self._network, self._workload, self._policy = stage, network, workload, policy
        self._ends: dict[tuple[str, str], Part] = {}  # by role and stream
        self.nodes: list[Part] = []
        self.tcp_record = stage.folder / "tcp"

    def __enter__(self) -> Way:
        with contextlib.ExitStack() as stack:
            domains = [_reserve(stack)] * 2 if self._is_dds else [_reserve(stack), _reserve(stack)]
            self._environments = {rover: self._environment(rover, domain) for rover, domain in zip(ROVERS, domains)}
            self._network.set_signaling(not self._is_dds)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._held:
            self._stage.stop([*self._ends.values(), *self.nodes])

    @property
    def _is_dds(self) -> bool:
        return self._policy == DDS

    def start_nodes(self) -> None:
        """Starts both nodes, if there are any, without waiting for them."""
        if self._is_dds:
            return
        for rover, peer in zip(ROVERS, reversed(ROVERS)):
            file = self._stage.folder / f"{rover}.yaml"
            # JSON is YAML too.
            file.write_text(json.dumps({"/**": {"ros__parameters": self._parameters(rover, peer)}}))
            own = [program("rover_link_node"), f"--signaling-url=ws://{self._network.server}"]
            self.nodes.append(self._start(rover, [*own, "--ros-args", "--params-file", str(file)], rover))

    def start_subscribers(self) -> None:
        """Starts them and waits until they are ready."""
        self._start_ends("subscriber", ROVERS[1], lambda _: ["subscribe"])

    def start_publishers(self) -> None:
        """Starts them and waits until they are ready."""
        self._start_ends("publisher", ROVERS[0], lambda of: ["publish", f"--size={of.size}", f"--rate={of.rate}"])

    def start_tcp(self) -> None:
        """Starts a TCP connection over the link, in the direction of the messages."""
        flow = [sys.executable, str(Path(__file__).with_name("tcp_flow.py")), self._network.address(ROVERS[1])]
        receiver = self._start("tcp_receiver", [*flow, f"--record={self.tcp_record}"], ROVERS[1])
        self._ends["tcp", "receiver"] = receiver
        receiver.next_line(READY_LIMIT)
        self._ends["tcp", "sender"] = self._start("tcp_sender", flow, ROVERS[0])

    def await_first(self, stream: Stream, limit: float) -> bool:
        """Waits for the first message of a stream."""
        try:
            self._ends["subscriber", stream.name].next_line(limit)
        except PartError:
            return False
        return True

    def stop_ends(self) -> dict[str, Samples]:
        """Stops them all; tells what they have recorded."""
        self._stage.stop(list(self._ends.values()))
        ends, self._ends = self._ends, {}
        for (role, name), end in ends.items():
            if role != "tcp" and not self._record(role, name).exists():
                raise end.error("stopped without a record of its messages")
        names = [of.name for of in self._workload.streams]
        return {name: Samples.read(self._record("publisher", name), self._record("subscriber", name)) for name in names}

    def spenders(self) -> dict[str, Part]:
        """The node of each rover; with plain DDS the ends themselves, which shows what ROS alone takes."""
        (stream, *_) = self._workload.streams
        ends = [self._ends[role, stream.name] for role in ("publisher", "subscriber")]
        return dict(zip(ROVERS, self.nodes or ends))

    def check(self) -> None:
        """Raises if a program has ended by itself."""
        self._stage.check()

    def _start_ends(self, role: str, rover: str, command: Callable[[Stream], list[str]]) -> None:
        for of in self._workload.streams:
            record = self._record(role, of.name)
            record.unlink(missing_ok=True)
            topic = f"/{ROVERS[0]}/{of.name}" if role == "subscriber" and not self._is_dds else f"/{of.name}"
            options = [f"--topic={topic}", f"--depth={of.depth}", f"--record={record}"]
            options += [] if of.is_reliable else ["--best-effort"]
            argv = [str(example("bench_endpoint")), *options, *command(of)]
            self._ends[role, of.name] = self._start(f"{role}_{of.name}", argv, rover)
        for of in self._workload.streams:
            self._ends[role, of.name].next_line(READY_LIMIT)

    def _record(self, role: str, name: str) -> Path:
        return self._stage.folder / f"{role}_{name}"

    def _parameters(self, rover: str, peer: str) -> dict:
        topics = {of.name: {"name": f"/{of.name}", "type": TYPE, **of.settings} for of in self._workload.streams}
        sent = {"topic_ids": list(topics), "topics": topics} if rover == ROVERS[0] else {}
        return {"rover_id": rover, "peers": [peer], "interfaces": {"allow": self._network.link.devices}, **sent}

    def _environment(self, rover: str, domain: str) -> dict[str, str]:
        own = {**environment(self._stage), "ROS_DOMAIN_ID": domain}
        if self._is_dds and self._network.link.needs_namespaces:
            # Multicast does not pass every radio, and nothing but the link shall carry messages.
            (peer,) = (other for other in ROVERS if other != rover)
            own |= {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
                "ROS_STATIC_PEERS": self._network.address(peer),
                "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
            }
        elif any(of.size > LARGE_MESSAGES for of in self._workload.streams):
            share = get_package_share_directory("rover_link")
            own["FASTRTPS_DEFAULT_PROFILES_FILE"] = f"{share}/config/fastdds_large_messages.xml"
        return own

    def _start(self, name: str, argv: list[str], rover: str) -> Part:
        return self._stage.start(name, [*self._network.enter(rover), *argv], self._environments[rover])


def start_server(stage: Stage, network: Network) -> Part:
    """Starts the signaling server, beside the second rover."""
    argv = [*network.enter(ROVERS[1]), program("signaling_server"), f"--bind={network.server}"]
    server = stage.start("signaling_server", argv, environment(stage))
    server.next_line(READY_LIMIT)
    return server


def _reserve(stack: contextlib.ExitStack) -> str:
    domain, holder = reserve_domain()
    stack.enter_context(holder)
    return str(domain)
