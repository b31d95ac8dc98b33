"""However a server ends while an event is sent, sent again under its key it wakes and starts everything once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from runwright.clock import FrozenClock
from tests.engine.databases import Database
from tests.engine.signalling import parked, send, triggered_by
from tests.engine.test_workflow_crash import Writing
from tests.engine.world import PATIENCE_S, World

COUNT = "SELECT count(*) FROM runs WHERE job_id = ?"


async def test_06_a_sent_event_starts_the_jobs_whose_triggers_match_once_across_any_crash(
    database: Database, tmp_path: Path
):
    clock = FrozenClock()

    async def opened() -> World:
        world = World(tmp_path / "data", clock, (), database)
        store: Any = Writing(world.store)
        world.store = store
        return await world.open()

    world, step, reached, steps_seen = await opened(), 0, True, 0
    while reached:
        key = f"order.{step}"
        jobs = [await triggered_by(world, {name: key}, slug=f"{name}-{step}") for name in ("key", "prefix")]
        waiting = await parked(world, key)
        store: Any = world.store
        store.left = step
        sending = asyncio.create_task(send(world, key, idempotency_key=key), name="commit")
        stopped = asyncio.create_task(store.reached.wait())
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([sending, stopped], return_when=asyncio.FIRST_COMPLETED)
        reached = stopped.done()
        stopped.cancel()
        await world.crash()
        world, step, steps_seen = await opened(), step + 1, steps_seen + reached
        answer = await send(world, key, idempotency_key=key)
        assert (answer.woken, len(answer.triggered)) == ((waiting.run_id,), 2)
        assert [world.rows(COUNT, job.job_id) for job in jobs] == [[(1,)], [(1,)]]
        assert (await world.types(waiting.run_id)).count("run.queued") == 1
    assert steps_seen >= 3, "before, in and after the transaction"
    await world.check()
    await world.crash()
