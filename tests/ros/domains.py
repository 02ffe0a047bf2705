"""ROS domains that nobody else on this machine uses, as far as the tests of this project go."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from pathlib import Path

# Higher domains use ports that Linux gives to outgoing connections.
HIGHEST_DOMAIN = 101

_turn = itertools.count(os.getpid())


def reserve_domain() -> tuple[int, object]:
    """A domain and what holds it: close that to give the domain back, as the end of the process does too.

    Domains are used in turn, so that what a killed process left behind in one is forgotten before it comes round again.
    """
    for number in itertools.islice(_turn, HIGHEST_DOMAIN):
        domain = number % HIGHEST_DOMAIN + 1
        holder = Path(tempfile.gettempdir(), f"rover_link_domain_{domain}.lock").open("w")
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return domain, holder
        except BlockingIOError:
            holder.close()
    raise RuntimeError("all ROS domains are taken")
