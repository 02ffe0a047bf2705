"""A bag of what sensors say is replayed at one rover, and what arrives at the other one is held against it, message by
message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory
from rovers import wait_until

BAG = Path(__file__).with_name("bag.py")
REQUIREMENTS = Path(__file__).with_name("rosbags-requirements.txt")
SEED = os.environ.get("SEED", "1")
SECONDS = os.environ.get("BAG_SECONDS", "4")


@pytest.fixture(scope="module")
def bag_python(request) -> str:
    """An interpreter that has rosbags; it stays for the next run."""
    folder = request.config.cache.mkdir("rosbags")
    python = folder / "bin" / "python"
    stamp = folder / "stamp"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        without_ros = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
            done = subprocess.run(command, env=without_ros, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_text(REQUIREMENTS.read_text())
    return str(python)


def test_a_bag_that_is_replayed_at_one_rover_arrives_at_the_other_message_by_message(fleet, tmp_path, bag_python):
    bag = tmp_path / "bag"
    print(f"SEED={SEED}")
    written = subprocess.run([bag_python, str(BAG), "write", str(bag), SEED, SECONDS], capture_output=True, text=True)
    assert written.returncode == 0, written.stderr

    # As the README advises where images are large.
    profiles = Path(get_package_share_directory("rover_link"), "config", "fastdds_large_messages.xml")
    environment = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profiles)}
    names = ["/camera/image_raw", "/lidar/points", "/tf", "/odom", "/gps/fix"]
    topics = {name.strip("/").replace("/", "_"): {"name": name} for name in names}
    a = fleet.rover("rover_a", topics, environment=environment)
    b = fleet.rover("rover_b", environment=environment)
    in_bag = a.graph.open_bag(command=[bag_python, str(BAG), "read", str(bag)])
    assert sorted(in_bag) == sorted(names)
    for name, about in in_bag.items():
        b.graph.subscribe(f"/rover_a{name}", type=about["type"])

    def all_open() -> bool:
        closed = [name for name in names if not b.graph.count(f"/rover_a{name}")]
        for name in closed:
            a.graph.play_first(name)
        return not closed

    wait_until(all_open, "all topics are open")
    a.graph.play_bag()
    for name, about in in_bag.items():
        sent = about["digests"]
        assert len(set(sent)) == len(sent) > 0
        arrived = f"the last message of {name} arrives"
        wait_until(lambda: b.graph.received(f"/rover_a{name}")[-1:] == sent[-1:], arrived)
        received = b.graph.received(f"/rover_a{name}")
        # The first one opened the topic, maybe more than once.
        while received[:2] == sent[:1] * 2:
            received.pop(0)
        assert received == sent, name
    print(", ".join(f"{name}: {len(about['digests'])}" for name, about in in_bag.items()))
