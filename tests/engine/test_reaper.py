"""A lost worker's runs come back, a stop that nobody obeys is enforced, and a jumping clock takes nothing away."""

from typing import Any

import pytest

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.tenancy import Cause
from runwright.errors import StaleLease, StoreError
from tests.domain.specimens import log_line
from tests.engine.agents import agent_run
from tests.engine.world import World
from tests.waiting import until

DAY = 86_400


async def leased(world: World, **definition: Any):
    run_id = await world.submit(world.job(**definition))
    return (await world.take())[0], run_id


async def beat(world: World, run, worker_id: str = "wrk-1") -> list[str]:
    """Renew a lease as a worker's heartbeat does."""

    async def renew(tx):
        return await tx.renew(worker_id, [(run.run_id, run.lease_epoch, tx.now + 30_000_000)])

    return await world.store.write(renew)


async def test_a_run_whose_lease_ran_out_is_tried_again(world: World):
    _, run_id = await leased(world)
    await world.reap(29)
    assert await world.state(run_id) == "executing"
    await world.reap(1)
    run = await world.run(run_id)
    assert (run.state, run.reason, run.error_class) == ("scheduled", "retry", "WorkerLost")
    await world.check()


async def test_a_run_without_attempts_left_fails_as_crashed(world: World):
    _, run_id = await leased(world, max_attempts=1)
    await world.reap(31)
    run = await world.run(run_id)
    assert (run.state, run.reason, run.dead_lettered_at) == ("failed", "crash", None)


async def test_heartbeats_keep_a_lease_however_long_the_work_is_silent(world: World):
    run, run_id = await leased(world)
    for _ in range(20):
        await world.reap(10)
        assert await beat(world, run) == []
    assert await world.state(run_id) == "executing"


async def test_a_lease_that_was_renewed_after_the_look_is_not_taken(world: World):
    run, run_id = await leased(world)
    world.clock.advance(31)
    seen = (await world.store.lapsed(world.clock.now(), 10))[0]
    assert await beat(world, run) == []
    answers = await world.engine.commit.apply_all(
        [c.Lose(seen.run_id, seen.lease_epoch, 0.5), c.Fence(seen.run_id, seen.lease_epoch)]
    )
    assert answers == [None, None]
    assert await world.state(run_id) == "executing"


async def test_a_lost_worker_can_change_nothing_any_more(world: World):
    run, run_id = await leased(world)
    await world.reap(31)
    before = await world.events(run_id)
    late: list[c.Command] = [
        c.Append(run_id, run.lease_epoch, (log_line("late"),), (c.Value("output", "late", b"late"),)),
        c.Finish(run_id, run.lease_epoch, o.Completed(None, b"late"), 0.5),
    ]
    answers = await world.engine.commit.apply_all(late)
    assert [type(answer) for answer in answers] == [StaleLease, StaleLease]
    assert await beat(world, run) == [run_id]
    await world.past(1)
    assert (await world.take())[0].lease_epoch == run.lease_epoch + 1
    answers = await world.engine.commit.apply_all(late)  # executing again, under another lease
    assert [type(answer) for answer in answers] == [StaleLease, StaleLease]
    assert await beat(world, run) == [run_id]
    assert (await world.events(run_id))[: len(before)] == before
    assert await world.store.values(run_id, "output") == []
    assert (await world.record(run_id)).result is None
    await world.check()


# --- stop requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
async def test_a_stop_that_is_confirmed_says_so(world: World, kind, ends):
    run, run_id = await leased(world)
    await world.stop(run_id, kind)
    assert await world.state(run_id) == "executing"
    await world.finish(run, o.Stopped())
    assert await world.state(run_id) == ends
    assert (await world.data(run_id, f"run.{ends}"))["confirmed"] is True
    await world.check()


async def test_an_agent_run_goes_on_after_as_many_lost_workers_as_the_setting_says(open_world):
    world = await open_world(agent_recoveries_max=1)
    run_id = (await world.engine.commit.apply(agent_run(world))).run_id
    for state in ("queued", "failed"):
        await world.take()
        await world.reap(31)
        assert await world.state(run_id) == state


@pytest.mark.parametrize(("kind", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
async def test_a_stop_that_nobody_confirms_is_fenced_and_a_late_finish_leaves_nothing(world: World, kind, ends):
    run, run_id = await leased(world)
    await world.stop(run_id, kind)
    await world.reap(9)
    await beat(world, run)
    assert await world.state(run_id) == "executing", "the grace is ten seconds"
    await world.reap(1)
    assert await world.state(run_id) == ends, "heartbeats do not help"
    assert (await world.data(run_id, f"run.{ends}"))["confirmed"] is False
    before, value = await world.record(run_id), c.Value("output", "late", b"late")
    for late in (
        c.Finish(run_id, run.lease_epoch, o.Completed(None, b"late"), 0.5, (log_line("late"),)),
        c.Append(run_id, run.lease_epoch, (log_line("late"),), (value,)),
    ):
        with pytest.raises(StaleLease):
            await world.engine.commit.apply(late)
    assert await world.record(run_id) == before
    assert "log" not in await world.types(run_id)
    assert await world.store.values(run_id, "output") == []
    await world.check()


async def test_a_completion_in_time_wins_over_the_stop(world: World):
    run, run_id = await leased(world)
    await world.stop(run_id)
    await world.finish(run, o.Completed())
    await world.reap(11)
    assert await world.state(run_id) == "completed"
    await world.check()


async def test_a_worker_that_is_lost_after_a_stop_request_ends_it_unconfirmed(open_world):
    world = await open_world(stop_grace_s=100)
    _, run_id = await leased(world)
    await world.stop(run_id)
    await world.reap(31)
    assert await world.state(run_id) == "cancelled"
    assert (await world.data(run_id, "run.cancelled"))["confirmed"] is False


async def test_a_cancel_after_a_pause_request_has_its_own_grace(world: World):
    _, run_id = await leased(world)
    await world.stop(run_id, "pause")
    world.clock.advance(9)
    await world.stop(run_id, "cancel")
    await world.reap(2)
    assert await world.state(run_id) == "executing"
    await world.reap(8)
    assert await world.state(run_id) == "cancelled"


async def test_the_loop_is_there_when_a_grace_is_over(open_world):
    world = await open_world(reaper_s=600)
    loop = world.engine.reaper.loop
    loop.start()
    await until(lambda: world.clock.sleepers == 1)
    _, run_id = await leased(world)
    await world.stop(run_id)
    await until(lambda: loop.rounds == 2 and world.clock.sleepers == 1)
    world.clock.advance(10)
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    assert await world.state(run_id) == "cancelled"


# --- clocks and outages -----------------------------------------------------------------------------------------------


async def test_appendix_c_30_a_clock_that_jumps_a_day_reaps_nobody_who_still_beats(world: World):
    run, run_id = await leased(world)
    await world.reap(1)
    world.clock.jump(DAY)
    await world.reap()
    assert await world.state(run_id) == "executing"
    for _ in range(6):
        await beat(world, run)
        await world.reap(9)
    assert await world.state(run_id) == "executing"


async def test_after_a_jump_a_lost_worker_is_found_one_lease_later(world: World):
    _, run_id = await leased(world)
    await world.reap(1)
    world.clock.jump(DAY)
    await world.reap()
    await world.reap(29)
    assert await world.state(run_id) == "executing"
    await world.reap(1)
    assert await world.state(run_id) == "scheduled"


async def test_a_small_step_of_the_clock_is_no_jump(world: World):
    _, run_id = await leased(world)
    await world.reap(1)
    world.clock.jump(14)
    await world.reap(15)
    assert await world.state(run_id) == "scheduled"


async def test_an_outage_of_the_store_gives_everybody_a_whole_lease(world: World):
    run, run_id = await leased(world)
    with world.database.unreadable(), pytest.raises(StoreError):
        await world.reap(60)
    await world.reap(1)
    assert await world.state(run_id) == "executing"
    assert await beat(world, run) == []
    await world.reap(29)
    assert await world.state(run_id) == "executing"


async def test_a_store_that_could_not_write_was_out_of_reach_too(world: World):
    run, run_id = await leased(world)
    with world.database.unwritable(), pytest.raises(StoreError):
        await world.reap(60)
    await world.reap(1)
    assert await world.state(run_id) == "executing", "nobody could renew while nobody could write"
    assert await beat(world, run) == []


async def test_leases_of_a_process_that_is_gone_are_lost_when_they_run_out(open_world):
    world = await open_world()
    run_id = await world.submit(world.job())
    await world.take(worker_id="local-wrk_1")
    await world.crash()
    world.clock.advance(31)
    world = await open_world()
    await world.reap()
    await world.reap(31)
    assert await world.state(run_id) == "scheduled"
    await world.check()


async def test_every_lost_lease_is_found_however_many_there_are(open_world):
    world = await open_world()
    world.engine.reaper._batch = 10
    orders = [world.order(world.job()) for _ in range(25)]
    await world.engine.commit.apply_all(orders)
    await world.take(25)
    loop = world.engine.reaper.loop
    world.clock.advance(31)
    loop.start()
    await until(lambda: world.rows("SELECT run_id FROM leases") == [])
    await world.check()


async def test_a_fence_does_not_wait_behind_leases_that_may_not_be_judged_yet(open_world):
    world = await open_world(stop_grace_s=5)
    world.engine.reaper._batch = 3
    await world.engine.commit.apply_all([world.order(world.job()) for _ in range(9)])
    silent = await world.take(9)
    world.clock.advance(0.001)
    asked, _ = await leased(world)
    await world.reap(1)
    await world.engine.commit.apply(c.Stop(asked.run_id, "cancel", Cause("user:user_1")))
    world.clock.jump(DAY)
    await beat(world, asked)
    await world.reap(5)
    assert await world.state(asked.run_id) == "cancelled"
    assert {await world.state(run.run_id) for run in silent} == {"executing"}
