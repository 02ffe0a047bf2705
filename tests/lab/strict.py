"""Whether times are asserted, and over how many runs: only a machine that has nothing else to do can be held to
milliseconds. STRICT=1 in the environment asks for it, RUNS says how often; by default once, and times are only printed."""

from __future__ import annotations

import os

from measure import percentile

IS_STRICT = os.environ.get("STRICT", "") not in ("", "0")
RUNS = int(os.environ.get("RUNS", "20" if IS_STRICT else "1"))
# Of so many runs in a hundred the time has to be within its limit.
PART = 0.95


def judge(what: str, times: list[float], limit: float) -> None:
    """Prints times, s, of all runs, and where times are asserted holds them to a limit."""
    assert times, f"{what}: nothing was measured"
    reached = percentile(sorted(times), PART)
    print(f"{what}: p95 {reached:.3f} s, most {max(times):.3f} s of {len(times)}, limit {limit:.3f} s")
    if IS_STRICT:
        assert reached <= limit, f"{what}: p95 is {reached:.3f} s, limit {limit:.3f} s"
