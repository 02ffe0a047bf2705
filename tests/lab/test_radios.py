"""The radios themselves: what passes them, what the journal tells, and what becomes of tests where there are none."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from demo.namespaces import Namespaces
from demo.part import Part
from journal import read_journal
from radios import NoRadiosError, Radios, why_no_radios

LAB = Path(__file__).resolve().parent
LIMIT = 10.0  # s for a datagram to come back

# Answers a datagram, and sends one and waits for the answer.
ECHO = """
import socket, sys
own = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
own.bind((sys.argv[1], 5000))
print("ready", flush=True)
own.sendto(*own.recvfrom(100))
"""
ASK = """
import socket, sys, time
own = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
own.settimeout(10)
began = time.monotonic()
own.sendto(b"hello", (sys.argv[1], 5000))
assert own.recv(100) == b"hello"
print(time.monotonic() - began, flush=True)
"""


@pytest.fixture
def namespaces(tmp_path):
    if reason := why_no_radios():
        raise NoRadiosError(reason)
    namespaces = Namespaces(("one", "other"), tmp_path)
    yield namespaces
    namespaces.end()


@pytest.mark.parametrize("version", [4, 6])
def test_both_versions_of_ip_pass_with_the_delay_of_the_link(namespaces, tmp_path, version):
    radios = Radios(namespaces, ["wlan0"], tmp_path / "emulator.log", versions=(4, 6))
    radios.set("wlan0", delay=0.05)
    address = radios.address("wlan0", "other", version)
    argv = [
        [*namespaces.enter(name), sys.executable, "-c", code, address] for name, code in (("other", ECHO), ("one", ASK))
    ]
    echo = Part("echo", argv[0], dict(os.environ), tmp_path / "echo.log")
    assert echo.next_line(LIMIT) == "ready"
    ask = Part("ask", argv[1], dict(os.environ), tmp_path / "ask.log")
    assert float(ask.next_line(2 * LIMIT)) >= 0.1
    ask.process.wait(LIMIT)
    echo.process.wait(LIMIT)
    radios.end()


def test_the_journal_has_each_command_at_its_time_and_nothing_that_was_refused(namespaces, tmp_path):
    radios = Radios(namespaces, ["wlan0"], tmp_path / "emulator.log")
    began = time.time()
    radios.plug("wlan0", "a", is_in=False)
    radios.change_address("wlan0", "one", host=101)
    radios.show()
    with pytest.raises(Exception, match="there is no radio"):
        radios.set("wlan1", up=False)
    assert "10.78.0.101/24" in namespaces.ip("one", "address show dev wlan0")
    radios.end()
    journal = read_journal(radios.journal, began)
    assert [" ".join(done.words) for done in journal] == [
        "carrier wlan0 a off",
        "set wlan0 both up=false",
        "note address wlan0 a changes",
        "note address wlan0 a changed",
    ]
    times = [done.at for done in journal]
    assert times == sorted(times) and 0.0 <= times[0] and times[-1] <= time.time() - began


def test_where_there_are_no_radios_tests_are_skipped_and_that_is_said_loudly(tmp_path):
    # As on a machine without the program that makes namespaces.
    for tool in ("ip", "nsenter"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "/")
    tests = [LAB / "test_radios.py", "-k", "both_versions", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *map(str, tests)], env=environment, capture_output=True, text=True
    )
    assert "2 skipped" in done.stdout and "passed" not in done.stdout, done.stdout + done.stderr
    assert "NOT TESTED: rovers with emulated radios" in done.stdout
    assert "the program unshare is missing" in done.stdout
