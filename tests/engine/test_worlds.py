"""What the tests of the engine stand on: a world that crashes leaves nobody behind who works on."""

import asyncio
import math
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runwright.clock import FrozenClock
from tests.engine.databases import PostgresDatabase
from tests.engine.world import World
from tests.postgres import new_database


async def test_a_crash_ends_what_the_store_does_by_itself_in_the_moment_that_its_connections_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with new_database() as url:
        database = PostgresDatabase(url)
        world = await World(tmp_path, FrozenClock(), (), database).open()
        prepare: Any = vars(asyncpg.Connection)["_get_statement"]
        crashing: list[asyncio.Task[None]] = []

        async def prepared(self: Any, query: str, *given: Any, **more: Any) -> Any:
            """Crash when the statement is prepared, and not executed: the answer has come, and nobody woke yet."""
            statement = await prepare(self, query, *given, **more)
            if not crashing and asyncio.current_task() is database._store._keeping:
                crashing.append(asyncio.create_task(world.crash()))
                await asyncio.sleep(0)
            return statement

        monkeypatch.setattr(asyncpg.Connection, "_get_statement", prepared)
        database._store._partitions_at_s = -math.inf
        await world.store.next_timer()
        keeping = database._store._keeping
        assert keeping is not None
        await asyncio.wait([keeping])
        await asyncio.gather(*crashing)
        assert keeping.cancelled()
