"""One simulated base for every test that only looks at it."""

import pytest

from training.simulator import Simulated, simulate

SNAPSHOT_WEEK = 120


@pytest.fixture(scope="session")
def base() -> Simulated:
    """The default world: 3,000 accounts, 143 weeks, also as it stood in week 120."""
    return simulate(3000, 143, "default", seed=7, snapshot_week=SNAPSHOT_WEEK)


@pytest.fixture(scope="session")
def earlier(base: Simulated) -> Simulated:
    assert base.earlier is not None
    return base.earlier
