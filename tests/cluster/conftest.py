"""One PostgreSQL with two servers and three workers for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster.database import Primary, primary
from tests.cluster.town import Town, town


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[Primary]:
    async with primary() as made:
        yield made


@pytest.fixture(scope="module")
async def pair(database: Primary, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Serve on A and B, and execute on three workers; all five are processes."""
    directory = tmp_path_factory.mktemp("pair")
    async with town(directory, dict.fromkeys("AB", database.url)) as made:
        yield made
