"""Where the lab finds what it shares with the other tests and with the demo."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests/ros"), str(ROOT / "scripts")]
