"""A PostgreSQL that is lost for ever, and its synchronous standby: every acknowledged run is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.database import Primary, a_place, url_of
from tests.cluster.town import PATIENCE_S, loaded, town
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("cluster-standby"), pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
async def two() -> AsyncIterator[tuple[Primary, Primary]]:
    """Return a PostgreSQL and another one that has all that it acknowledged."""
    async with a_place() as directory:
        first = Primary(directory / "first")
        try:
            await first.make()
            second = await first.standby(directory / "second")
            yield first, second
            await second.end()
        finally:
            await first.end()


async def test_no_acknowledged_run_is_lost_with_the_primary(two: tuple[Primary, Primary], tmp_path: Path):
    first, second = two
    url = url_of(first.address, second.address)
    async with town(tmp_path, dict.fromkeys("AB", url), 2) as pair:
        clients = await pair.clients(11)
        async with loaded(clients, 8), asyncio.timeout(PATIENCE_S):
            await clients.more(10)
            first.kill()
            await until(lambda: all(clients.refusals.values()), patience_s=PATIENCE_S)
            await second.promote()
            await clients.more(20)
        assert await pair.judged(clients) == ""
