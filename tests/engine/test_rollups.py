"""Statistics come from rollups: exactly what became of the runs, each counted once, whatever is lost on the way."""

from collections import Counter
from typing import Any

import pytest

from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.rollups import TOPIC, Rollup
from runwright.engine.rollups import Stats
from tests.engine.world import PROJECT, World, failed

OTHER = Project("proj_2", "org_1", "other", "Other", 1.0, None, 0)
HOUR_US = 3_600_000_000


async def stats(world: World, project_id: str | None = "proj_1", job_id: str | None = None, hours: int = 1) -> Stats:
    """Return the statistics once the outbox is settled."""
    await world.round_of(world.engine.operations.outbox.loop)
    return await world.engine.operations.rollups.of("org_1", project_id, job_id, hours * HOUR_US)


async def some(world: World) -> dict[str, str]:
    """Make runs of two projects that end in several ways, and some that go on; return job by job what is there."""
    job, other = (
        world.job(max_attempts=1),
        world.job("other", project=OTHER, max_attempts=2, retry_initial_delay_secs=0),
    )
    for outcome in (o.Completed(), o.Completed(), failed()):
        await world.submit(job)
        world.clock.advance(0.25)
        run = (await world.take())[0]
        world.clock.advance(1)
        await world.finish(run, outcome)
    await world.stop(await world.submit(job))
    await world.submit(other, OTHER)
    for _ in range(2):
        await world.finish((await world.take())[0], failed())
        await world.past(1)
    await world.submit(job)
    await world.take()
    await world.submit(other, OTHER)
    return {"job": job.job_id, "other": other.job_id}


def depth_of(world: World, project_id: str | None = None) -> dict[str, int]:
    """Return the live runs by state, counted."""
    rows = world.rows("SELECT h.state, r.project_id FROM run_heads h JOIN runs r USING (run_id)")
    return dict(Counter(state for state, project in rows if project_id in (None, project)))


def there(depth: dict[str, int] | None) -> dict[str, int]:
    return {state: count for state, count in (depth or {}).items() if count}


async def test_the_numbers_are_those_of_the_runs(open_world):
    world = await open_world()
    jobs = await some(world)
    mine = (await stats(world)).whole
    assert mine.ends == {"completed": 2, "failed:error": 1, "cancelled:user": 1}
    assert (mine.retries, mine.dead_lettered) == (0, 0)
    theirs = (await stats(world, "proj_2")).whole
    assert (theirs.ended, theirs.retries, theirs.dead_lettered) == (1, 1, 1)
    whole = (await stats(world, None)).whole
    assert whole.ended == 5
    assert (await stats(world, "proj_1", jobs["job"])).whole == mine
    assert (await stats(world, "proj_1", "job_none")).whole == Rollup()
    assert (await world.engine.operations.rollups.of("org_2", None, None, HOUR_US)).whole == Rollup()


async def test_the_depth_is_that_of_the_live_runs(open_world):
    world = await open_world()
    await some(world)
    for project_id in ("proj_1", "proj_2", None):
        assert there((await stats(world, project_id)).depth) == depth_of(world, project_id)
    assert (await stats(world, "proj_1", "job_1")).depth is None


async def test_latencies_tell_queue_and_execution_apart(open_world):
    world = await open_world()
    await some(world)
    whole = (await stats(world)).whole
    from_queue = sorted(whole.queued)
    assert sum(whole.queued.values()) == sum(whole.total.values()) == 4
    assert from_queue[-1] < max(whole.active) < max(whole.total) + 1


async def test_every_end_is_counted_once_over_a_crash(open_world):
    world = await open_world()
    await some(world)
    first = await stats(world, None)
    await world.submit(world.job())
    await world.finish((await world.take())[0], o.Completed())
    await world.crash()
    again = await open_world()
    found = await stats(again, None)
    assert found.whole.ended == first.whole.ended + 1
    assert there(found.depth) == depth_of(again)
    assert (await stats(again, None)).whole == found.whole, "an entry is settled with what is made of it"


async def test_an_entry_whose_consumer_fails_is_dealt_with_later(open_world):
    world = await open_world()
    await some(world)
    consumers: dict[str, Any] = world.engine.operations.outbox._consumers
    consume = consumers[TOPIC]

    async def half(tx: Any, entries: Any) -> None:
        await consume(tx, entries)
        raise ZeroDivisionError

    consumers[TOPIC] = half
    with pytest.raises(ZeroDivisionError):
        await world.round_of(world.engine.operations.outbox.loop)
    consumers[TOPIC] = consume
    assert (await stats(world, None)).whole.ended == 5


async def test_many_entries_are_settled_batch_by_batch(open_world):
    world = await open_world(outbox_batch=2)
    await some(world)
    rounds = 0
    while world.rows("SELECT 1 FROM outbox LIMIT 1"):
        await world.round_of(world.engine.operations.outbox.loop)
        rounds += 1
    assert rounds > 3
    assert (await stats(world, None)).whole.ended == 5


async def test_a_transaction_leaves_one_entry_however_many_runs_it_moves(open_world):
    world = await open_world()
    await world.engine.commit.apply_all([world.order(world.job()) for _ in range(50)])
    assert world.rows("SELECT count(*) FROM outbox") == [(1,)]
    assert there((await stats(world)).depth) == {"queued": 50}


async def test_windows_are_read_by_minutes_or_by_hours_and_old_buckets_are_forgotten(open_world):
    world = await open_world(rollup_minutes_h=2, rollup_hours_days=1)
    await world.submit(world.job())
    await world.finish((await world.take())[0], o.Completed())
    assert [(each.at % 60_000_000, each.rollup.ended) for each in (await stats(world)).buckets] == [(0, 1)]
    assert (await stats(world)).grain == "minute"
    world.clock.advance(2 * 3600 + 61)
    assert (await stats(world)).buckets == []
    assert (await stats(world, hours=5)).whole.ended == 1
    assert (await stats(world, hours=5)).grain == "hour"
    assert len(world.rows("SELECT 1 FROM rollups WHERE grain = 'minute'")) == 3
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT 1 FROM rollups WHERE grain = 'minute'") == []
    world.clock.advance(24 * 3600)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT 1 FROM rollups") == []


async def test_runs_that_were_there_before_are_counted_by_the_migration(open_world):
    world = await open_world()
    await some(world)
    await stats(world)
    kept = world.rows("SELECT org_id, project_id, state, count FROM depths WHERE count > 0 ORDER BY 1, 2, 3")
    counted = world.rows(
        "SELECT runs.org_id, runs.project_id, run_heads.state, count(*)"
        " FROM run_heads JOIN runs USING (run_id) GROUP BY 1, 2, 3"
    )
    assert kept == counted
    assert PROJECT.project_id in {row[1] for row in kept}
