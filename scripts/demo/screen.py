"""A table that is redrawn in place on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable


class Screen:
    """Shows a text in place of the one before, on a terminal; elsewhere a line of `program` now and then."""

    LINE_PERIOD = 2.0  # s

    def __init__(self, program: str = "demo") -> None:
        self._program = program
        self._is_terminal = sys.stdout.isatty()
        self._height = 0
        self._next_line = 0.0

    def show(self, elapsed: float, table: Callable[[], str], line: Callable[[], str]) -> None:
        if self._is_terminal:
            # A line that the terminal had to break would spoil the count.
            width = shutil.get_terminal_size().columns
            lines = [line[:width] for line in (f"{elapsed:.0f} s", *table().split("\n"))]
            self.clear()
            print("\n".join(lines), flush=True)
            self._height = len(lines)
        elif elapsed >= self._next_line:
            self._next_line = elapsed + self.LINE_PERIOD
            print(f"[{self._program}] {elapsed:4.1f} s  {line()}", flush=True)

    def clear(self) -> None:
        if self._height:
            print(f"\x1b[{self._height}A\x1b[J", end="")
            self._height = 0


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines with aligned columns, the first row being the head: text to the left, figures to the right."""
    lines = [""] * len(rows)
    for column in zip(*rows):
        width = max(map(len, column))
        is_text = any(cell[:1].isalpha() for cell in column[1:])
        cells = [cell.ljust(width) if is_text else cell.rjust(width) for cell in column]
        lines = [f"{line}  {cell}" for line, cell in zip(lines, cells)]
    return [line[2:].rstrip() for line in lines]
