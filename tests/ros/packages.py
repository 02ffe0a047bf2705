"""Message packages that a test builds, where the node's build does not look."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path


def built(source: Path, cache, name: str) -> dict[str, str]:
    """The environment with a package of messages that is built from this folder. What was built stays for the next run
    with the same ROS and the same messages and actions."""
    key = hashlib.sha256(os.environ["AMENT_PREFIX_PATH"].encode())
    for file in sorted([*source.rglob("*.msg"), *source.rglob("*.action")]):
        key.update(file.read_bytes())
    folder = cache.mkdir(f"{name}_{key.hexdigest()[:8]}")
    prefix = folder / "install"
    # cmake goes on with what it has built only where the source is in the same place.
    shutil.copytree(source, folder / "source", dirs_exist_ok=True)
    commands = [
        ["cmake", "-S", str(folder / "source"), "-B", str(folder / "build"),
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
