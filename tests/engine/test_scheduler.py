"""What is due moves on, what was not started in time ends, and a clock that jumps ends nothing by itself."""

import pytest

from runwright.domain import outcome as o
from tests.engine.world import SECOND, World, failed, settled
from tests.waiting import until

HOUR = 3600
DAY = 24 * HOUR


async def test_a_delayed_run_is_queued_when_its_time_has_come(world: World):
    run_id = await world.submit(world.job(), scheduled_at=world.clock.now() + 10 * SECOND)
    await world.past(9)
    assert await world.state(run_id) == "scheduled"
    await world.past(1)
    assert await world.state(run_id) == "queued"
    assert await world.types(run_id) == ["run.created", "run.queued"]
    await world.check()


async def test_a_retry_and_a_sleep_come_due(world: World):
    retried, slept = [await world.submit(world.job()) for _ in range(2)]
    runs = {run.run_id: run for run in await world.take(2)}
    await world.finish(runs[retried], failed())
    await world.finish(runs[slept], o.Parked(world.clock.now() + 5 * SECOND))
    await world.past(1)
    assert [await world.state(run_id) for run_id in (retried, slept)] == ["queued", "waiting"]
    await world.past(4)
    assert await world.state(slept) == "queued"
    assert (await world.take())[0].attempt == 2
    await world.check()


async def test_a_run_that_was_not_started_in_time_expires(world: World):
    queued = await world.submit(world.job(), ttl_secs=30)
    delayed = await world.submit(world.job(), ttl_secs=30, scheduled_at=world.clock.now() + 60 * SECOND)
    await world.past(29)
    assert await world.state(queued) == "queued"
    await world.past(1)
    assert [await world.state(run_id) for run_id in (queued, delayed)] == ["expired", "scheduled"]
    await world.past(30)
    assert await world.state(delayed) == "queued"
    await world.past(30)
    assert await world.state(delayed) == "expired"
    await world.check()


async def test_a_run_that_began_never_expires(world: World):
    run_id = await world.submit(world.job(max_attempts=5), ttl_secs=30)
    run = (await world.take())[0]
    await world.past(31)
    assert await world.state(run_id) == "executing"
    await world.finish(run, failed())
    await world.past(100)
    assert await world.state(run_id) == "queued"
    run = (await world.take())[0]
    await world.finish(run, o.Released())
    await world.past(100)
    assert await world.state(run_id) == "queued"
    await world.check()


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_appendix_c_30_a_jump_of_the_clock_expires_nobody_at_once(world: World, jump: int):
    run_id = await world.submit(world.job(), ttl_secs=HOUR)
    await world.past(1)
    world.clock.jump(jump)
    await world.past(0)
    assert await world.state(run_id) == "queued"
    await world.past(29)
    assert await world.state(run_id) == "queued"
    await world.past(1)  # a whole lease later the new time is believed
    assert await world.state(run_id) == ("expired" if jump > 0 else "queued")
    await world.check()


async def test_what_is_due_by_the_new_time_moves_on_all_the_same(world: World):
    run_id = await world.submit(world.job(), scheduled_at=world.clock.now() + HOUR * SECOND)
    await world.past(1)
    world.clock.jump(DAY)
    await world.past(0)
    assert await world.state(run_id) == "queued"


async def test_more_timers_than_a_batch_come_due_one_batch_after_the_other(open_world):
    world = await open_world(scheduler_batch=10)
    at = world.clock.now() + SECOND
    orders = [world.order(world.job(), scheduled_at=at) for _ in range(25)]
    await world.engine.commit.apply_all(orders)
    world.engine.scheduler.loop.start()
    world.clock.advance(1)
    world.engine.scheduler.loop.wake()
    await until(lambda: world.rows("SELECT count(*) FROM ready") == [(25,)])
    await settled(world)
    await world.check()


async def test_the_loop_wakes_for_a_timer_that_is_earlier_than_the_next(open_world):
    world = await open_world()
    loop = world.engine.scheduler.loop
    late = await world.submit(world.job(), scheduled_at=world.clock.now() + 100 * SECOND)
    loop.start()
    await until(lambda: world.clock.sleepers == 1)
    soon = await world.submit(world.job(), scheduled_at=world.clock.now() + 1 * SECOND)
    await until(lambda: loop.rounds == 2)
    world.clock.advance(1)
    await until(lambda: loop.rounds == 3)
    await settled(world)
    assert [await world.state(run_id) for run_id in (soon, late)] == ["queued", "scheduled"]


async def test_timers_that_wait_out_a_jump_do_not_keep_the_loop_busy(open_world):
    world = await open_world()
    loop = world.engine.scheduler.loop
    await world.submit(world.job(), ttl_secs=HOUR)
    loop.start()
    await until(lambda: world.clock.sleepers == 1)
    world.clock.jump(DAY)
    before = loop.rounds
    loop.wake()
    await until(lambda: loop.rounds > before)
    for _ in range(50):
        await settled(world)
    assert loop.rounds <= before + 2


async def test_a_paused_run_comes_due_only_when_it_is_resumed(world: World):
    run_id = await world.submit(world.job(), scheduled_at=world.clock.now() + 10 * SECOND, ttl_secs=HOUR)
    await world.stop(run_id, "pause")
    assert world.rows("SELECT * FROM timers") == []
    await world.past(2 * HOUR)
    assert await world.state(run_id) == "paused"
    await world.resume(run_id)
    assert await world.state(run_id) == "queued"
    await world.past(0)
    assert await world.state(run_id) == "expired"
    await world.check()
