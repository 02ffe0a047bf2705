"""What all tests share: a fleet that ends with the test, and the logs of a test that fails."""

import pytest
from failed_logs import pytest_runtest_makereport  # noqa: F401  (pytest finds it here)
from late import late_msgs  # noqa: F401
from rovers import Fleet


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.end_well()
