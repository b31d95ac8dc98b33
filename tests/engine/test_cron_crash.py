"""However a server ends in the middle of a fire, the next one makes what was not made, and nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runwright.clock import FrozenClock
from runwright.engine.loops import Loop
from runwright.errors import Conflict
from runwright.store.base import Row, Transaction
from runwright.store.query import Query
from tests.engine.databases import Database, PostgresDatabase
from tests.engine.timetable import MINUTE, Town
from tests.engine.world import ADMIN, PATIENCE_S, SECOND
from tests.waiting import until

STEPS = 7
"""Where a round may end: around the look, around the transaction and in it, around the look for the next fire."""


class Interrupted:
    """A store that stops answering at one of the steps of those who use it, for ever or until it is released."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.left: int | None = None
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        await self._step()
        rows: list[Row] = await self.store.fetch(query, **params)
        await self._step()
        return rows

    async def write(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        async def in_the_middle(tx: Transaction) -> Any:
            result = await work(tx)
            await self._step()
            return result

        await self._step()
        written = await self.store.write(in_the_middle)
        await self._step()
        return written

    async def _step(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.reached.set()
            self.left = None
            await self.released.wait()


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("overlap", ["allow", "cancel"])
async def test_appendix_c_17_a_crash_between_any_two_steps_loses_and_doubles_no_fire(
    database: Database, tmp_path: Path, step: int, overlap: str
):
    clock = FrozenClock()
    former = Town(tmp_path, clock, (), database)
    store, former.store = former.store, Interrupted(former.store)
    await former.open()
    job = await former.create(cron="* * * * *", catch_up="all", overlap=overlap)
    await former.look(MINUTE)
    former.clock.advance(MINUTE)
    former.store.left = step
    round_ = asyncio.create_task(_once(former.engine.cron.loop), name="cron")
    async with asyncio.timeout(PATIENCE_S):
        await former.store.reached.wait()
    former.store = store
    await former.crash()
    assert round_.cancelled()

    town = Town(tmp_path, clock, (), database)
    await town.open()
    await town.look()
    now = town.clock.now()
    assert await town.fires(job) == [now - MINUTE * SECOND, now]
    states = sorted(run.state for run in await town.runs_of(job))
    assert states == (["queued", "queued"] if overlap == "allow" else ["cancelled", "queued"])
    schedule = await town.schedule(job)
    assert schedule is not None
    assert (schedule.last_fired_at, schedule.next_fire_at) == (now, now + MINUTE * SECOND)
    await town.close()


async def test_a_round_has_no_more_steps_than_are_tried(database: Database, tmp_path: Path):
    town = Town(tmp_path, FrozenClock(), (), database)
    town.store = Interrupted(town.store)
    await town.open()
    await town.create(cron="* * * * *")
    town.clock.advance(MINUTE)
    town.store.left = STEPS
    await _once(town.engine.cron.loop)
    assert town.store.left == 0
    await town.close()


async def test_a_job_whose_fire_is_being_made_is_not_deleted(database: Database, tmp_path: Path):
    town = Town(tmp_path, FrozenClock(), (), database)
    store = town.store = Interrupted(town.store)
    await town.open()
    job = await town.create(cron="* * * * *")
    town.clock.advance(MINUTE)
    store.left = 3  # in the transaction, all of it written
    firing = asyncio.create_task(_once(town.engine.cron.loop))
    async with asyncio.timeout(PATIENCE_S):
        await store.reached.wait()
        deleting = asyncio.create_task(town.engine.jobs.delete(ADMIN, job))
        if isinstance(database, PostgresDatabase):
            await until(lambda: town.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        store.released.set()
        with pytest.raises(Conflict):
            await deleting
        await firing
    assert [run.state for run in await town.runs_of(job)] == ["queued"]
    assert await town.schedule(job) is not None
    await town.close()


async def _once(loop: Loop) -> None:
    await loop._once()
