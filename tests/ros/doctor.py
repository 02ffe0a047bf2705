"""The program `doctor`, run for a rover as a test describes it, whether its node runs or not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_prefix
from graph import PATIENCE
from rovers import Rover

DOCTOR = Path(get_package_prefix("rover_link"), "lib", "rover_link", "doctor")


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Runs it until its end, with the standard streams as text."""
    return _run([str(DOCTOR), *arguments], os.environ if environment is None else environment)


def examine(rover: Rover, *options: str) -> subprocess.CompletedProcess:
    """Runs it where the rover's node would run, with the same arguments and environment."""
    node = rover.described
    at = node.argv.index(node.executable)
    return _run([*node.argv[:at], str(DOCTOR), *options, *node.argv[at + 1 :]], node.env)


def examined(rover: Rover, *options: str, status: int = 0) -> dict:
    """What it writes as JSON, with the exit status that goes with it."""
    done = examine(rover, "--json", *options)
    assert done.returncode == status, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["is_well"] is (status == 0)
    return found


def problems(found: dict) -> list[dict]:
    """The findings that are problems."""
    return [finding for finding in found["findings"] if finding["mark"] == "problem"]


def _run(argv: list[str], environment) -> subprocess.CompletedProcess:
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PATIENCE)
