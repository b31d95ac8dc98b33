"""What the runs of a job keep for each other: exact, sealed, bounded, written under a lease alone."""

import asyncio

import pytest

from runwright.domain import outcome as o
from runwright.domain.run import Run
from runwright.engine.memory import Memory
from runwright.errors import NotFound, QuotaExceeded, StaleLease, TooLarge
from tests.engine.signalling import triggered_by
from tests.engine.test_children import admin
from tests.engine.world import ADMIN, PROJECT, World


async def executing(world: World, slug: str = "learner") -> Run:
    """Return an executing run of a job that is stored."""
    if not world.rows("SELECT job_id FROM jobs WHERE slug = ?", slug):
        await triggered_by(world, slug=slug)
    job = await world.engine.jobs.directory.find(admin(world), slug, PROJECT)
    run_id = await world.submit(job)
    (run,) = [run for run in await world.take(100) if run.run_id == run_id]
    return run


def memory(world: World) -> Memory:
    return world.engine.reach.memory


async def kept(world: World, run: Run) -> dict[str, object]:
    return {each.memory_key: each.value for each in await memory(world).recall_all(run)}


async def test_what_a_run_keeps_is_there_for_every_later_run_of_its_job_and_for_no_other(world: World):
    run = await executing(world)
    await memory(world).remember(run, "cursor", {"page": 1})
    await memory(world).remember(run, "cursor", {"page": 2, "secret": "hunter2-the-secret"})
    await memory(world).remember(run, "ü/☃", [1, None])
    await world.finish(run, o.Completed())
    later = await executing(world)
    assert await kept(world, later) == {"cursor": {"page": 2, "secret": "hunter2-the-secret"}, "ü/☃": [1, None]}
    found = await memory(world).recall(later, "cursor")
    assert found is not None
    assert (found.run_id, found.expires_at, found.updated_at) == (run.run_id, None, world.clock.now())
    assert await kept(world, await executing(world, "other")) == {}
    assert "hunter2" not in str(world.rows("SELECT * FROM job_memory"))
    await memory(world).forget(later, "cursor")
    await memory(world).forget(later, "never was")
    assert await kept(world, later) == {"ü/☃": [1, None]}


async def test_a_lease_that_is_over_writes_nothing(world: World):
    run = await executing(world)
    await memory(world).remember(run, "a", 1)
    await world.finish(run, o.Completed())
    for attempt in (memory(world).remember(run, "a", 2), memory(world).forget(run, "a")):
        with pytest.raises(StaleLease):
            await attempt
    assert await kept(world, run) == {"a": 1}


async def test_a_value_is_kept_for_as_long_as_it_was_said(world: World):
    run = await executing(world)
    await memory(world).remember(run, "short", 1, ttl_secs=60)
    await memory(world).remember(run, "long", 2)
    world.clock.advance(59)
    assert await kept(world, run) == {"long": 2, "short": 1}
    world.clock.advance(1)
    assert await kept(world, run) == {"long": 2}
    assert world.rows("SELECT count(*) FROM job_memory") == [(2,)]
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT count(*) FROM job_memory") == [(1,)]


async def test_a_memory_is_bounded_by_value_by_bytes_and_by_keys_whoever_writes_at_once(open_world):
    world = await open_world(memory_value_max_bytes=10, memory_max_bytes=25, memory_keys_max=4)
    runs = [await executing(world) for _ in range(8)]
    with pytest.raises(TooLarge, match="MEMORY_VALUE_MAX_BYTES"):
        await memory(world).remember(runs[0], "a", "x" * 9)
    tries = [memory(world).remember(run, f"k{n}", "x" * 8) for n, run in enumerate(runs)]
    told = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(each).__name__ for each in told) == ["Recalled"] * 2 + ["TooLarge"] * 6
    (first, *_) = await kept(world, runs[0])
    await memory(world).remember(runs[0], first, "y" * 8)
    await memory(world).remember(runs[0], first, 1)
    await memory(world).remember(runs[0], "b", 1)
    await memory(world).remember(runs[0], "c", 1)
    with pytest.raises(QuotaExceeded, match="at most 4 keys"):
        await memory(world).remember(runs[0], "d", 1)
    assert len(await kept(world, runs[0])) == 4


async def test_readers_see_it_redacted_and_operators_erase_it(world: World):
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    run = await executing(world)
    await memory(world).remember(run, "login", {"password": "hunter2-the-secret"})
    job = await world.engine.jobs.directory.find(admin(world), "learner", PROJECT)
    (seen,) = await memory(world).seen(ADMIN, job)
    assert seen.memory_key == "login"
    assert "hunter2" not in str(seen.value)
    await memory(world).erase(ADMIN, job, "login")
    with pytest.raises(NotFound):
        await memory(world).erase(ADMIN, job, "login")
    assert await kept(world, run) == {}


async def test_it_goes_with_the_data_of_the_run_that_kept_it_and_with_the_job(world: World):
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    one, two = await executing(world), await executing(world)
    await memory(world).remember(one, "mine", 1)
    await memory(world).remember(two, "yours", 2)
    for run in (one, two):
        await world.finish(run, o.Completed())
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, one.run_id)
    assert await kept(world, two) == {"yours": 2}
    job = await world.engine.jobs.directory.find(admin(world), "learner", PROJECT)
    await world.engine.jobs.delete(ADMIN, job)
    assert world.rows("SELECT * FROM job_memory") == []
