"""A package of messages and actions that the node was not built with."""

from __future__ import annotations

from pathlib import Path

import pytest
from packages import built


@pytest.fixture(scope="session")
def late_msgs(request) -> dict[str, str]:
    """The environment with the package."""
    return built(Path(__file__).with_name("late_msgs"), request.config.cache, "late_msgs")
