"""A package of messages and actions that the node was not built with: it is built here, where the node's build does not
look."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("late_msgs")


@pytest.fixture(scope="session")
def late_msgs(request) -> dict[str, str]:
    """The environment with the package. What was built stays for the next run with the same ROS."""
    ros = hashlib.sha256(os.environ["AMENT_PREFIX_PATH"].encode()).hexdigest()[:8]
    folder = request.config.cache.mkdir(f"late_msgs_{ros}")
    prefix = folder / "install"
    commands = [
        ["cmake", "-S", str(SOURCE), "-B", str(folder / "build"),
         f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DBUILD_TESTING=OFF", "-Wno-dev"],
        ["cmake", "--build", str(folder / "build"), "--parallel", "2"],
        ["cmake", "--install", str(folder / "build")],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (python_folder,) = {file.parents[1] for file in prefix.rglob("late_msgs/__init__.py")}
    added = {"AMENT_PREFIX_PATH": prefix, "LD_LIBRARY_PATH": prefix / "lib", "PYTHONPATH": python_folder}
    return {name: f"{value}:{os.environ.get(name, '')}" for name, value in added.items()}
