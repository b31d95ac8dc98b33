"""A job with a rate lets so many runs into their queue within any window, on however many servers they are made."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.job import Job
from runwright.domain.rates import Rate, turn
from runwright.domain.words import word_of
from tests.engine.signalling import triggered_by
from tests.engine.test_cron_servers import Shared
from tests.engine.world import ADMIN, SECOND, World, failed
from tests.postgres import new_database


async def limited(world: World, most: int = 3, window_secs: float = 60, **fields: object) -> Job:
    """Return a stored job with a rate."""
    rate = {"max": most, "window_secs": window_secs}
    return await triggered_by(world, slug="slow", rate_limit=rate, **fields)


def begins(world: World) -> list[int]:
    """Return when each run may enter its queue, in seconds from the first, as it stands now."""
    rows = world.rows("SELECT instants FROM job_rates")
    instants = [int.from_bytes(bytes(rows[0][0])[n : n + 8], "big") for n in range(0, len(rows[0][0]), 8)]
    return [(at - instants[0]) // SECOND for at in instants]


@given(
    most=st.integers(1, 5),
    window=st.integers(1, 20),
    asked=st.lists(st.integers(0, 15), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_no_window_holds_more_than_it_may_and_nobody_is_overtaken(most: int, window: int, asked: list[int]):
    rate, kept, now, given_out = Rate(max=most, window_secs=window), b"", 0, []
    for pause in asked:
        now += pause * SECOND // 3
        at, kept = turn(kept, rate, now)
        assert at >= now
        given_out.append(at)
    assert given_out == sorted(given_out)
    assert all(b - a >= window * SECOND for a, b in zip(given_out, given_out[most:], strict=False))


async def test_runs_beyond_the_rate_are_put_off_to_their_turn_in_order(world: World):
    job = await limited(world)
    run_ids = [await world.submit(job) for _ in range(8)]
    assert [await world.state(run_id) for run_id in run_ids] == ["queued"] * 3 + ["scheduled"] * 5
    assert begins(world) == [0, 0, 0, 60, 60, 60, 120, 120]
    late = await world.run(run_ids[3])
    assert (late.reason, late.due_at, word_of(late)) == ("rate_limit", world.clock.now() + 60 * SECOND, "delayed")
    assert await world.types(run_ids[3]) == ["run.created", "run.rescheduled"]
    await world.check()
    entered = [len(await world.take(100))]
    for _ in range(2):
        await world.past(59.9)
        assert await world.take(100) == []
        await world.past(0.1)
        entered.append(len(await world.take(100)))
    assert entered == [3, 3, 2]
    await world.check()


async def test_one_transaction_lets_in_no_more_than_many(world: World):
    job = await limited(world, most=2)
    answers = await world.engine.commit.apply_all([world.order(job) for _ in range(5)])
    assert [answer.run.state for answer in answers] == ["queued"] * 2 + ["scheduled"] * 3, "the callers are told"
    assert begins(world) == [0, 0, 60, 60, 120]
    await world.check()


async def test_a_delayed_run_asks_when_it_is_due_and_takes_nobodys_turn_before(world: World):
    job = await limited(world, most=1)
    far = await world.submit(job, scheduled_at=world.clock.now() + 600 * SECOND)
    near = await world.submit(job)
    assert (await world.state(near), await world.state(far)) == ("queued", "scheduled")
    await world.past(600)
    assert await world.state(far) == "queued"


async def test_a_retry_asks_no_more_and_a_time_to_live_moves_with_the_turn(world: World):
    job = await limited(world, most=1, max_attempts=2, retry_initial_delay_secs=1)
    first = await world.submit(job)
    second = await world.submit(job, ttl_secs=30)
    (run,) = await world.take()
    await world.finish(run, failed())
    await world.past(1)
    (run,) = await world.take()
    assert (run.run_id, run.attempt) == (first, 2)
    await world.finish(run, o.Completed())
    await world.past(59)
    assert await world.state(second) == "queued", "it expires 30 s after its turn, not after its trigger"
    await world.check()


async def test_why_tells_of_the_rate_and_a_deleted_job_takes_it_along(world: World):
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    job = await limited(world, most=1)
    run_ids = [await world.submit(job) for _ in range(2)]
    why = await world.engine.explainer.why(await world.run(run_ids[1]), world.clock.now())
    assert "rate_limit" in why.message
    for run_id in run_ids:
        await world.stop(run_id)
    await world.engine.jobs.delete(ADMIN, job)
    assert world.rows("SELECT * FROM job_rates") == []


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("here", "there")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.crash()


async def test_two_servers_share_one_rate(servers: tuple[World, World]):
    job = await limited(servers[0], most=4)
    await asyncio.gather(*(servers[n % 2].submit(job) for n in range(20)))
    assert begins(servers[0]) == [0] * 4 + [60] * 4 + [120] * 4 + [180] * 4 + [240] * 4
    await servers[0].check()
