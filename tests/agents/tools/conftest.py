"""The sandbox of this machine, found once for all tests of a module."""

from collections.abc import AsyncIterator

import pytest

from runwright.sandbox.means import Means
from tests.agents.tools.bench import Bench


@pytest.fixture
async def bench(means: Means) -> AsyncIterator[Bench]:
    """Return the tools of a new run."""
    async with Bench(means) as bench:
        yield bench
