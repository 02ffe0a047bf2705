"""The journal of the emulator: what was done to the radios, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A command that was carried out: `link_emulator --help` has them."""

    at: float  # s since the beginning of the run, negative before it
    words: tuple[str, ...]


def read_journal(file: Path, began: float) -> list[Done]:
    """All commands, with the time since the run began, Unix time, s."""
    done = []
    for line in file.read_text().splitlines():
        moment, *words = line.split()
        done.append(Done(float(moment) - began, tuple(words)))
    return done
