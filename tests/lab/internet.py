"""A small internet: one segment with all public addresses, a cloud on it, and homes with a host each, on the segment or
behind NAT routers. Everything is a network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from demo.namespaces import Namespaces, run
from demo.part import PartError
from nat import LAN, WAN, Kind, rules

# The namespace with the servers; it has two addresses.
CLOUD = "cloud"
CLOUD_ADDRESSES = ("203.0.113.1", "203.0.113.2")
# The device of a host or of the cloud.
DEVICE = "eth0"

SEGMENT = "segment"
# Takes what is for private addresses, and drops it without a word, as providers do.
PROVIDER = "203.0.113.254"
FIRST_HOME = 10  # on the segment

PATIENCE = 10.0  # s for what is sure to come

# Where Debian keeps what root alone is meant to use.
TOOL_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def tool(name: str) -> str:
    """The path of a program of the system's."""
    if found := shutil.which(name, path=TOOL_PATH):
        return found
    raise PartError(f"the program {name} is missing; run: make test, which installs it")


class Internet:
    """Homes by name, each with what stands between its host and the internet."""

    def __init__(self, homes: dict[str, Kind], folder: Path) -> None:
        self._homes = list(homes)
        self._nft, self._conntrack = tool("nft"), tool("conntrack")
        self._routers = {home: [f"{home}_router_{n}" for n in range(kind.routers)] for home, kind in homes.items()}
        names = [SEGMENT, CLOUD, *homes, *(router for routers in self._routers.values() for router in routers)]
        self._ports = itertools.count()
        self._folder = folder / "internet"
        self._folder.mkdir()
        self._namespaces = Namespaces(tuple(names), self._folder)
        try:
            self._build(homes)
        except BaseException:
            self.end()
            raise

    def enter(self, name: str) -> list[str]:
        """What to put before a command to run it at this home's host, or in the cloud."""
        return self._namespaces.enter(name)

    def forget(self, home: str) -> None:
        """Lets the routers of a home forget all bindings, as when they are started anew."""
        for router in self._routers[home]:
            self._load_rules(router)
            run(*self.enter(router), self._conntrack, "--flush")

    def public_address(self, home: str) -> str:
        """Where the internet sees the host of a home."""
        return f"203.0.113.{FIRST_HOME + self._homes.index(home)}"

    def socket(
        self, name: str, address: str = "", port: int = 0, kind: socket.SocketKind = socket.SOCK_DGRAM
    ) -> socket.socket:
        """A socket of a home's host or of the cloud, for use by this process."""
        with self._inside(name):
            made = socket.socket(socket.AF_INET, kind)
        made.settimeout(PATIENCE)
        made.bind((address, port))
        return made

    def end(self) -> None:
        self._namespaces.end()

    def _build(self, homes: dict[str, Kind]) -> None:
        self._namespaces.ip(SEGMENT, "link add bridge type bridge")
        self._namespaces.start_device(SEGMENT, "bridge", PROVIDER)
        self._attach(CLOUD, DEVICE, *CLOUD_ADDRESSES)
        # Homes of one kind have the same private addresses, as makers of routers have their habits.
        kinds = list(dict.fromkeys(homes.values()))
        for home, kind in homes.items():
            self._build_home(home, kind, kinds.index(kind))
        for name in (CLOUD, *homes):
            self._namespaces.await_running(name, DEVICE)

    def _build_home(self, home: str, kind: Kind, network: int) -> None:
        """Goes inwards from the internet: each router has its WAN on the network that the one before it made."""
        chain = [*self._routers[home], home]
        self._attach(chain[0], WAN if kind.routers else DEVICE, self.public_address(home))
        # The last network is that of the home; those before it are the provider's (RFC 6598).
        networks = [*(f"100.{64 + n}.{network}" for n in range(kind.routers - 1)), f"192.168.{network}"]
        for outer, inner, prefix in zip(chain, chain[1:], networks):
            device = DEVICE if inner == home else WAN
            self._namespaces.cable((outer, LAN), (inner, device))
            self._namespaces.start_device(outer, LAN, f"{prefix}.1")
            self._namespaces.start_device(inner, device, f"{prefix}.2")
            self._namespaces.ip(inner, f"route add default via {prefix}.1")
        for router in self._routers[home]:
            (self._folder / f"{router}.nft").write_text(rules(kind))
            self._load_rules(router)
            run(*self.enter(router), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def _attach(self, name: str, device: str, *addresses: str) -> None:
        """Connects a namespace with the segment."""
        port = f"port{next(self._ports)}"
        self._namespaces.cable((name, device), (SEGMENT, port))
        self._namespaces.ip(SEGMENT, f"link set {port} master bridge up")
        for address in addresses:
            self._namespaces.start_device(name, device, address)
        self._namespaces.ip(name, f"route add default via {PROVIDER}")

    def _load_rules(self, router: str) -> None:
        """Replaces the rules, and with them all that they have learnt."""
        run(*self.enter(router), self._nft, "-f", str(self._folder / f"{router}.nft"))

    @contextlib.contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        """This thread is in a namespace for as long."""
        with open("/proc/thread-self/ns/net") as home, open(self._namespaces.file_of(name)) as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())


def _set_namespace(file: int) -> None:
    if _libc.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
