"""What is started: the programs of the package, and its examples, which are built in the same way."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_prefix

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/rover_link"


def build_examples() -> None:
    """With the settings of the node, so that all share what is built."""
    command = ["cmake", "--build", BUILD, "--target", "rover_link_benchmark"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def example(name: str) -> Path:
    """One of examples/, and the link emulator."""
    return BUILD / "cargo/release/examples" / name


def program(name: str) -> str:
    """One of the package's programs."""
    return str(Path(get_package_prefix("rover_link"), "lib/rover_link", name))
