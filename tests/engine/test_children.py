"""Runs that make others: children whose ends they may wait for, and continuations."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.run import Run, Wait
from runwright.engine.reader import Filter
from runwright.engine.requests import Spawn, Spawned
from runwright.engine.spawning import Spawning
from runwright.engine.values import encode
from runwright.errors import Conflict, IdempotencyMismatch, NotFound, StaleLease
from tests.engine.signalling import delivered, triggered_by
from tests.engine.test_control import inbox_emptied
from tests.engine.test_cron_servers import Shared
from tests.engine.world import PROJECT, SECOND, World, failed
from tests.postgres import new_database

STEP = "ctx.spawn:child"


async def family(world: World) -> Run:
    """Return an executing run, in a project that has the job `child`."""
    if not world.rows("SELECT job_id FROM jobs"):
        await triggered_by(world, slug="child", max_attempts=1)
        await triggered_by(world, slug="parent")
    job = await world.engine.jobs.directory.find(admin(world), "parent", PROJECT)
    run_id = await world.submit(job)
    return await taken(world, run_id)


def admin(world: World) -> Any:
    return world.reader()._actor


async def taken(world: World, run_id: str) -> Run:
    """Claim whatever is ready, and return this one of it."""
    (run,) = [run for run in await world.take(100) if run.run_id == run_id]
    return run


async def spawned(world: World, parent: Run, **asked: Any) -> Spawned:
    return await world.engine.relations.spawner.spawn(parent, Spawning(job="child", **asked))


async def awaited(world: World, parent: Run, within_s: float | None = None, **asked: Any) -> tuple[str, Run]:
    """Spawn a child and wait for it in one transaction; return its id and the parent."""
    submit, said = await world.engine.relations.spawner.child(parent, Spawning(job="child", **asked))
    until = None if within_s is None else world.clock.now() + int(within_s * SECOND)
    parked = o.Parked(until, Wait("child", "", STEP))
    by = c.Finish(parent.run_id, parent.lease_epoch, parked, 0.5, (said,))
    made: Spawned = await world.engine.commit.apply(Spawn(submit=submit, by=by))
    return made.made.run_id, made.by


def result(world: World, run: Run, value: dict[str, Any]) -> o.Completed:
    return o.Completed(None, world.engine.values.seal("proj_1", run.run_id, "result", encode(value)))


async def test_a_run_makes_another_and_its_log_says_so(world: World):
    parent = await family(world)
    made = (await spawned(world, parent, payload={"n": 1})).made
    child = await world.run(made.run_id)
    assert (child.spec.parent_run_id, child.spec.triggered_by) == (parent.run_id, "spawn")
    assert child.spec.created_by == f"run:{parent.run_id}"
    assert await world.data(parent.run_id, "child.spawned") == {"child_run_id": child.run_id, "job": "child"}
    assert await world.state(parent.run_id) == "executing"
    await world.check()


async def test_appendix_c_3_a_parent_that_waits_is_resumed_with_the_result_of_its_child(world: World):
    parent = await family(world)
    child_id, waiting = await awaited(world, parent, payload={"n": 1})
    assert (waiting.state, waiting.reason, waiting.owns_slots) == ("waiting", "child", False)
    child = await taken(world, child_id)
    await world.finish(child, result(world, child, {"secret": "hunter2-the-secret"}))
    await inbox_emptied(world)
    assert await world.state(parent.run_id) == "queued"
    assert await delivered(world, parent.run_id) == {
        STEP: {
            "run_id": child_id,
            "status": "completed",
            "result": {"secret": "hunter2-the-secret"},
            "error": None,
            "error_class": None,
        }
    }
    again = await taken(world, parent.run_id)
    assert (again.attempt, again.lease_epoch) == (1, 2)
    await world.check()


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_a_parent_is_told_of_a_child_that_did_not_complete(world: World, end: str):
    parent = await family(world)
    child_id, _ = await awaited(world, parent)
    child = await taken(world, child_id)
    if end == "failed":
        await world.finish(child, failed("ValueError", "boom"))
    else:
        await world.stop(child_id)
        await world.finish(child, o.Stopped())
    await inbox_emptied(world)
    told = (await delivered(world, parent.run_id))[STEP]
    expected = ("failed", "ValueError", "boom") if end == "failed" else ("canceled", None, None)
    assert (told["status"], told["error_class"], told["error"]) == expected
    assert await world.state(parent.run_id) == "queued"


async def test_a_child_that_ended_before_its_parent_waits_wakes_it_all_the_same(world: World):
    parent = await family(world)
    made = (await spawned(world, parent)).made
    child = await taken(world, made.run_id)
    await world.finish(child, o.Completed())
    await inbox_emptied(world)
    waiting = await world.finish(parent, o.Parked(None, Wait("child", child.run_id, STEP)))
    assert waiting.state == "waiting"
    await inbox_emptied(world)
    assert await world.state(parent.run_id) == "queued"
    assert (await delivered(world, parent.run_id))[STEP]["status"] == "completed"
    await world.check()


async def test_the_end_of_a_child_that_is_told_twice_wakes_once(world: World):
    parent = await family(world)
    child_id, _ = await awaited(world, parent)
    await world.finish(await taken(world, child_id), o.Completed())
    await world.engine.relations.children.tell_parent(child_id, b"null")
    before = await world.events(parent.run_id)
    await inbox_emptied(world)
    assert await world.events(parent.run_id) == before
    assert world.rows("SELECT * FROM inbox") == []


async def test_a_parent_that_does_not_wait_hears_nothing(world: World):
    parent = await family(world)
    made = (await spawned(world, parent)).made
    await world.finish(await taken(world, made.run_id), o.Completed())
    before = await world.events(parent.run_id)
    await inbox_emptied(world)
    assert await world.events(parent.run_id) == before


async def test_a_wait_for_a_child_has_a_limit(world: World):
    parent = await family(world)
    child_id, _ = await awaited(world, parent, within_s=10)
    await world.past(11)
    assert (await world.run(parent.run_id)).reason == "wait_timeout"
    await world.finish(await taken(world, child_id), o.Completed())
    await inbox_emptied(world)
    await world.check()


async def test_a_cancelled_parent_takes_the_child_that_it_waits_for_along(world: World):
    parent = await family(world)
    child_id, _ = await awaited(world, parent)
    await world.stop(parent.run_id)
    await inbox_emptied(world)
    assert (await world.state(child_id), (await world.run(child_id)).reason) == ("cancelled", "parent")
    await inbox_emptied(world)
    assert await world.state(parent.run_id) == "cancelled"


async def test_a_lease_that_has_moved_on_makes_no_run(world: World):
    parent = await family(world)
    await world.finish(parent, o.Released())
    for spawning in (spawned(world, parent), awaited(world, parent)):
        with pytest.raises(StaleLease):
            await spawning
    assert len(world.rows("SELECT run_id FROM runs")) == 1


async def test_a_child_with_an_idempotency_key_is_made_once_and_waited_for_as_it_is(world: World):
    parent = await family(world)
    first = (await spawned(world, parent, idempotency_key="k")).made
    again = (await spawned(world, parent, idempotency_key="k")).made
    assert (again.run_id, again.hit) == (first.run_id, True)
    assert (await world.types(parent.run_id)).count("child.spawned") == 1
    with pytest.raises(IdempotencyMismatch):
        await awaited(world, parent, idempotency_key="k", payload={"n": 2})
    assert await world.state(parent.run_id) == "executing"
    await world.finish(await taken(world, first.run_id), o.Completed())
    await inbox_emptied(world)
    child_id, waiting = await awaited(world, parent, idempotency_key="k")
    assert (child_id, waiting.state) == (first.run_id, "waiting")
    await inbox_emptied(world)
    assert await world.state(parent.run_id) == "queued"
    await world.check()


async def test_nobody_waits_for_a_run_that_is_not_a_child_of_its_own(world: World):
    parent = await family(world)
    other = await world.submit(world.job())
    for stranger in (other, "run_" + "0" * 32, parent.run_id):
        with pytest.raises(NotFound):
            await world.finish(parent, o.Parked(None, Wait("child", stranger, STEP)))
    assert await world.state(parent.run_id) == "executing"


@pytest.mark.parametrize("turns", range(0, 20, 3))
async def test_a_crash_at_any_moment_between_the_end_and_the_wake_loses_nothing(open_world, turns: int):
    world = await open_world()
    parent = await family(world)
    child_id, _ = await awaited(world, parent)
    await world.finish(await taken(world, child_id), o.Completed())
    telling = asyncio.create_task(world.round_of(world.engine.inbox.loop), name="inbox")
    for _ in range(turns):
        await asyncio.sleep(0)
    await world.crash()
    await asyncio.gather(telling, return_exceptions=True)
    world = await open_world()
    await inbox_emptied(world)
    assert await world.state(parent.run_id) == "queued"
    assert (await world.types(parent.run_id)).count("run.queued") == 1
    assert world.rows("SELECT * FROM inbox") == []
    await world.check()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("here", "there")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.close()


async def test_a_child_that_ends_on_one_server_while_its_parent_parks_on_another_wakes_it(
    servers: tuple[World, World],
):
    here, there = servers
    for _ in range(15):
        parent = await family(here)
        made = (await spawned(here, parent)).made
        child = await taken(here, made.run_id)
        park = c.Finish(parent.run_id, parent.lease_epoch, o.Parked(None, Wait("child", child.run_id, STEP)), 0.5)
        await asyncio.gather(here.engine.commit.apply(park), there.finish(child, o.Completed()))
        await asyncio.gather(inbox_emptied(here), inbox_emptied(there))
        assert await here.state(parent.run_id) == "queued"
        assert (await here.types(parent.run_id)).count("run.queued") == 1
        await here.finish(await taken(here, parent.run_id), o.Completed())
    await here.check()


# --- continuations ----------------------------------------------------------------------------------------------------


async def test_a_run_is_continued_by_others_that_know_their_line(open_world):
    world = await open_world(lineage_max=2)
    run = first = await family(world)
    go_on = world.engine.relations.spawner.go_on
    ids = [first.run_id]
    for depth in (1, 2):
        world.clock.advance(0.001)
        made = (await go_on(run, {"n": depth}, None)).made
        assert (await world.data(run.run_id, "run.continued"))["run_id"] == made.run_id
        assert await world.state(run.run_id) == "executing", "it is not ended by that"
        run = await taken(world, made.run_id)
        spec = run.spec
        assert (spec.continuation_of, spec.lineage_depth, spec.triggered_by) == (ids[-1], depth, "spawn")
        assert (spec.parent_run_id, spec.handler) == (None, "parent")
        ids.append(run.run_id)
    with pytest.raises(Conflict, match="continuation"):
        await go_on(run, None, None)
    listed = await world.reader().runs(
        Filter(where={"lineage_root": first.run_id}), bound=None, limit=10, newest_first=False
    )
    assert [record.run.run_id for record in listed.records] == ids
    await world.stop(first.run_id)
    await inbox_emptied(world)
    assert (await world.run(run.run_id)).stop is None, "a continuation is no child"


async def test_a_continuation_with_an_idempotency_key_is_made_once(world: World):
    run = await family(world)
    go_on = world.engine.relations.spawner.go_on
    made = [(await go_on(run, {"n": 1}, "k")).made for _ in range(2)]
    assert made[0].run_id == made[1].run_id
    assert [each.hit for each in made] == [False, True]
