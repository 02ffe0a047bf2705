"""A table that is redrawn in place on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable


class Screen:
    """Shows a text in place of the one before, on a terminal; elsewhere a line now and then."""

    LINE_PERIOD = 2.0  # s

    def __init__(self) -> None:
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
            print(f"[demo] {elapsed:4.1f} s  {line()}", flush=True)

    def clear(self) -> None:
        if self._height:
            print(f"\x1b[{self._height}A\x1b[J", end="")
            self._height = 0


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines with aligned columns: text to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    is_text = [any(cell[:1].isalpha() for cell in column) for column in list(zip(*rows[1:])) or [()] * len(widths)]
    return [
        "  ".join(cell.ljust(width) if text else cell.rjust(width) for cell, width, text in zip(row, widths, is_text)).rstrip()
        for row in rows
    ]
