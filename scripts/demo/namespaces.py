"""Network namespaces, one for each rover. They are gone with the last program in them, at the latest with this one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from demo.part import Part, PartError

# What a new network namespace lacks: loopback, with multicast for the discovery of ROS. The program then holds it.
HOLD = "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo && echo ready && exec sleep infinity"

# Set for the run inside a user namespace, so that it does not try for another one.
INSIDE = "ROVER_LINK_DEMO_INSIDE"
ENTER_USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net")

READY_LIMIT = 5.0  # s for a namespace or a device to be ready


class Namespaces:
    """Network namespaces with nothing but loopback in them, by name."""

    def __init__(self, names: tuple[str, ...], logs: Path) -> None:
        self.names = names
        self._holders: dict[str, Part] = {}
        try:
            for name in names:
                program, argv = f"namespace_{name}", ["unshare", "--net", "sh", "-c", HOLD]
                self._holders[name] = Part(program, argv, dict(os.environ), logs / f"{program}.log")
            for holder in self._holders.values():
                holder.next_line(READY_LIMIT)
        except BaseException:
            self.end()
            raise

    def file_of(self, name: str) -> str:
        """The file that stands for a namespace."""
        return f"/proc/{self._holders[name].process.pid}/ns/net"

    def enter(self, name: str) -> list[str]:
        """What to put before a command of this program's to run it inside."""
        return ["nsenter", f"--net={self.file_of(name)}"]

    def enter_from_shell(self, name: str) -> str:
        """What to put before a command of a shell's."""
        user = " -U --preserve-credentials" if INSIDE in os.environ else ""
        return f"nsenter -t {self._holders[name].process.pid} -n{user}"

    def ip(self, name: str, arguments: str) -> str:
        """Runs `ip` inside; returns what it says."""
        return run(*self.enter(name), "ip", *arguments.split())

    def join(self, link: str, addresses: dict[str, str]) -> None:
        """Joins two namespaces by a pair of devices of this name, each with an address, and waits until both run."""
        one, other = addresses
        self.cable((one, link), (other, link))
        for name, address in addresses.items():
            self.start_device(name, link, address)
        for name in addresses:
            self.await_running(name, link)

    def cable(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Joins two namespaces by a pair of devices, which are still down; each end is a namespace and a device."""
        (name, device), (other_name, other_device) = one, other
        peer = ["peer", "name", other_device, "netns", self.file_of(other_name)]
        run("ip", "link", "add", device, "netns", self.file_of(name), "type", "veth", *peer)

    def start_device(self, name: str, device: str, address: str) -> None:
        """Gives a device its address and sets it up."""
        self.ip(name, f"address add {address}/24 dev {device}")
        self.ip(name, f"link set {device} up")

    def await_running(self, name: str, device: str) -> None:
        """Waits for the kernel, which notices a carrier a moment later, on a busy machine half a second.

        Fast DDS takes programs for those of one machine, which share memory, only if they found the same interfaces
        running when they started. Others send images over loopback by UDP, whose socket buffer is smaller than an image:
        even what is reliable then waits for seconds.
        """
        end = time.monotonic() + READY_LIMIT
        while "state UP" not in self.ip(name, f"link show {device}"):
            if time.monotonic() > end:
                raise PartError(f"{device} of {name} got no carrier within {READY_LIMIT:.0f} s")
            time.sleep(0.01)

    def end(self) -> None:
        """Lets go of them."""
        for holder in self._holders.values():
            holder.signal(signal.SIGKILL)
            holder.process.wait()


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


def run(*argv: str) -> str:
    """Runs a program to its end, which has to be a good one; returns what it says."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise PartError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
