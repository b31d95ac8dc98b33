"""Conformance tests of the public document's appendix C that need a clock of their own; others stand where they belong.

A test of the appendix is named `test_appendix_c_` and its number, wherever it stands; a house test counts them.
"""

import asyncio

import pytest

from runwright.domain import outcome as o
from runwright.domain.words import word_of
from tests.engine.test_entrusted import HTTP
from tests.engine.test_limits_servers import CLAIMERS, Met, labour
from tests.engine.world import PATIENCE_S, World, failed

RUNS = 60


@pytest.mark.parametrize(("attempts", "word"), [(3, "dead_letter"), (1, "timed_out")])
async def test_appendix_c_4_runs_that_time_out_again_and_again_never_expire(world: World, attempts: int, word: str):
    job = world.job(**HTTP, timeout_secs=300, max_attempts=attempts, retry_initial_delay_secs=60)
    run_id = await world.submit(job, ttl_secs=360)
    for attempt in range(1, attempts + 1):
        (run,) = await world.take(worker_id="local-1")
        await world.finish(run, o.Accepted())
        for _ in range(6):
            await world.past(50)
            if await world.state(run_id) == "executing":
                await world.engine.fleet.touch(await world.engine.fleet.attempt(run_id, run.lease_epoch), now=True)
            await world.reap()
        assert (await world.run(run_id)).error_class == "Timeout"
        if attempt < attempts:
            assert (await world.run(run_id)).reason == "retry"
            await world.past(60)
    run = await world.run(run_id)
    assert (run.state, run.reason, run.attempt, word_of(run)) == ("failed", "timeout", attempts, word)
    assert "run.expired" not in await world.types(run_id)
    await world.check()


@pytest.mark.parametrize(
    ("fields", "delays"),
    [
        ({"retry_strategy": "linear", "retry_initial_delay_secs": 10}, [10, 20, 30, 40]),
        ({"retry_strategy": "fixed", "retry_initial_delay_secs": 7}, [7, 7, 7, 7]),
        ({"retry_strategy": "custom", "retry_delays_secs": [1, 60, 5]}, [1, 60, 5, 5]),
        ({"retry_strategy": "exponential", "retry_max_delay_secs": 3}, [1, 2, 3, 3]),
    ],
)
async def test_appendix_c_6_a_run_rests_as_its_strategy_says_or_as_it_is_asked_to(world: World, fields, delays):
    run_id = await world.submit(world.job(max_attempts=6, **fields))
    for seconds in delays:
        (run,) = await world.take()
        await world.finish(run, failed(message=f"at {world.clock.now()}"))
        assert (await world.run(run_id)).due_at == world.clock.now() + seconds * 1_000_000
        await world.past(seconds)
    (run,) = await world.take()
    await world.finish(run, failed(retry_after_ms=90_000))
    most = fields.get("retry_max_delay_secs", 90)
    assert (await world.run(run_id)).due_at == world.clock.now() + most * 1_000_000, "what asks to wait is waited for"


async def test_appendix_c_18_eight_claimers_never_overlap_where_one_may_be(world: World):
    job = world.job("one", max_concurrency=1)
    await world.engine.commit.apply_all([world.order(job) for _ in range(RUNS)])
    left, met = [RUNS], Met()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(labour(world, f"wrk-{n}", left, met) for n in range(CLAIMERS)))
    assert met.overlaps == []
    assert world.rows("SELECT count(*) FROM attempts") == [(RUNS,)]
    await world.check()
