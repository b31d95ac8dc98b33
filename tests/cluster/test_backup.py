"""The commands that the page has for backups bring everything back: what was there, and what came after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runwright.clock import SystemClock
from runwright.store.postgres import check
from runwright.store.postgres.store import PostgresStore
from runwright.store.queries.runs import listing
from tests.cluster.database import THERE, Primary, a_place, page
from tests.store.rows_of import born, history, write
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("cluster-standby")


async def test_a_base_backup_and_the_wal_since_then_bring_every_run_back(tmp_path: Path):
    async with a_place() as directory:
        first, second = Primary(directory / "first"), Primary(directory / "second")
        await asyncio.to_thread(first.server.make)
        for place in (directory / "backups", directory / "backups" / "wal", second.server.data):
            first.let_in(place)

        def here(commands: str) -> str:
            commands = commands.replace("/backups", str(directory / "backups"))
            return commands.replace(THERE, str(second.server.data))

        with (first.server.data / "postgresql.conf").open("a") as conf:
            conf.write(here(page("archive_mode")))
        try:
            await first.start()
            await first.execute("CREATE DATABASE cluster", page("CREATE ROLE replicator"))
            before = await written(first)
            copied = here(page("-D /backups/base")).replace("-h db", f"-h 127.0.0.1 -p {first.port}")
            await asyncio.to_thread(first.server.shell, copied)
            after = await written(first)
            (switched,) = await first.execute("SELECT pg_walfile_name(pg_switch_wal()) AS name")
            archived = f"SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= '{switched[0]}'"
            await until(lambda: first.execute(archived))
            first.kill()
            await asyncio.to_thread(first.server.shell, here(page("recovery.signal")))
            await second.start()
            await until(lambda: second.execute("SELECT 1 WHERE NOT pg_is_in_recovery()"))
            assert await kept(second) >= {*before, *after}
            assert await check.check(second.url, SystemClock(), lambda *_: None) == []
        finally:
            await first.end()
            await second.end()


async def written(database: Primary) -> list[str]:
    """Write some runs, and return their ids."""
    store = PostgresStore(database.url, SystemClock())
    await store.open()
    made = [history(ended=True) for _ in range(5)]
    await write(store, born(*made))
    await store.close()
    return [each.standing.run_id for each in made]


async def kept(database: Primary) -> set[str]:
    """Return the ids of all runs."""
    store = PostgresStore(database.url, SystemClock())
    await store.open()
    every = await store.fetch(listing(frozenset(), None, newest_first=False), limit=100)
    await store.close()
    return {row[0] for row in every}
