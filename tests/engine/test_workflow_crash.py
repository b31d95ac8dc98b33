"""However a server ends between any two steps of a workflow, the next one goes on as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.store.base import Row
from runwright.store.query import Query
from tests.engine.databases import Database
from tests.engine.flowing import diamond, flow, launch, settle, steps_of, work_off
from tests.engine.test_cron_crash import Interrupted
from tests.engine.test_cron_servers import Shared
from tests.engine.test_dependencies import errands
from tests.engine.world import PATIENCE_S, World, failed
from tests.postgres import new_database
from tests.waiting import until

EVENTS = {
    "workflow.step_started": 3,
    "workflow.step_ended": 3,
    "workflow.step_skipped": 1,
}


class Writing(Interrupted):
    """Stops before, in and after each transaction; what is only read changes nothing."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        rows: list[Row] = await self.store.fetch(query, **params)
        return rows


async def interrupted(world: World, step: int) -> bool:
    """Let a workflow go on until the store stops at a step; return whether it came so far."""
    store: Any = world.store
    store.left = step
    working = asyncio.create_task(work_off(world, {"left"}), name="commit")
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: working.done() or store.reached.is_set())
    if working.done():
        await working
        return False
    return True


async def test_06_a_crash_between_any_two_steps_changes_nothing(database: Database, tmp_path: Path):
    clock = FrozenClock()

    async def opened() -> World:
        world = World(tmp_path / "data", clock, (), database)
        store: Any = Writing(world.store)
        world.store = store
        return await world.open()

    world = await settle(await opened())
    workflow = await flow(world, diamond("skip_dependents"))
    reached, step = True, 0
    while reached:
        run_id = await launch(world, workflow)
        reached, step = await interrupted(world, step), step + 1
        await world.crash()
        world = await opened()
        await work_off(world, {"left"})
        found = {key: run.state for key, run in (await steps_of(world, run_id)).items()}
        assert found == {"top": "completed", "left": "failed", "right": "completed"}
        assert await world.state(run_id) == "completed"
        types = await world.types(run_id)
        assert {name: types.count(name) for name in EVENTS} == EVENTS
    assert step > 30, "there are more steps than that"
    await world.check()
    await world.crash()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[World]]:
    """Return three servers on one database, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        made = [World(tmp_path / str(number), clock, (), Shared(url)) for number in range(3)]
        for world in made:
            await world.open()
        yield made
        for world in made:
            await world.crash()


async def test_several_servers_lead_workflows_on_and_make_each_step_once(servers: list[World]):
    first = await settle(servers[0])
    workflow = await flow(first, diamond("continue"))
    run_ids = [await launch(first, workflow) for _ in range(5)]
    for _ in range(4):
        looks = [world.round_of(world.engine.inbox.loop) for world in servers]
        leads = [world.engine.flows.advances._lead(run_id) for world in servers for run_id in run_ids]
        await asyncio.gather(*looks, *leads)
        for run in await first.take(10):
            await first.finish(run, failed() if run.spec.step == "left" else o.Completed())
    await errands(first)
    for run_id in run_ids:
        assert set(await steps_of(first, run_id)) == {"top", "left", "right", "bottom"}
        types = await first.types(run_id)
        assert (types.count("workflow.step_started"), types.count("workflow.step_ended")) == (4, 4)
        assert await first.state(run_id) == "completed"
    await first.check()
