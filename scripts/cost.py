#!/usr/bin/env python3
"""What the core costs beside plain str0m: instructions of the same work, counted by valgrind.

Two rovers send each other 2,000 messages a second, on one path and on four. Of two runs of
different length only the difference counts, so that keys and the set-up do not. Exits with 1 if
the core costs more than 15 % on top.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHORT, LONG = 1.5, 2.5  # s
LIMIT = 1.15


def instructions(simulator, scenario, policy, duration):
    """Instructions of one run."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", simulator, scenario,
             "--seeds", "1", "--policy", policy, "--duration", str(duration)],
            capture_output=True, text=True, check=True,
        )
    found = re.search(r"Collected : (\d+)", run.stderr)
    if not found:
        sys.exit(f"cost: valgrind did not say what it collected:\n{run.stderr}")
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("cost: valgrind is missing. Run: apt-get install valgrind")
    subprocess.run(["cargo", "build", "--release", "--example", "simulate"], cwd=ROOT, check=True)
    simulator = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "release/examples/simulate")
    print(f"{'':10}{'str0m':>10}{'rover_link':>12}{'ratio':>8}   instructions per second of the simulation")
    worst = 0.0
    for paths in (1, 4):
        scenario = ROOT / f"tests/scenarios/cost-{paths}.toml"
        cost = {}
        for policy in ("str0m", "rover_link"):
            short, long = (instructions(simulator, scenario, policy, length) for length in (SHORT, LONG))
            cost[policy] = (long - short) / (LONG - SHORT)
        ratio = cost["rover_link"] / cost["str0m"]
        worst = max(worst, ratio)
        name = "1 path" if paths == 1 else f"{paths} paths"
        print(f"{name:10}{cost['str0m'] / 1e6:8.1f} M{cost['rover_link'] / 1e6:10.1f} M{ratio:8.3f}")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
