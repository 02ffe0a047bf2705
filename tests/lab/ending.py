"""A lab that ends whatever happens, and shows the logs if something has failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lab import Lab

TAIL = 4000  # characters of each log


@contextmanager
def ending(lab: Lab) -> Iterator[Lab]:
    """Ends the lab with the block. Raises if a program had to be killed for that, or if one has panicked."""
    try:
        yield lab
    except BaseException:
        for name, log in lab.logs().items():
            print(f"--- the end of {name}.log\n{log[-TAIL:]}", file=sys.stderr)
        lab.end()
        raise
    lab.end_well()
