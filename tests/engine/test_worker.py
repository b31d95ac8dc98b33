"""The worker in the server: it executes what it claims, keeps its leases, tells of stops, and drains without loss."""

import asyncio
import functools
import threading

import pytest
from msgspec.structs import replace

from runwright.client.errors import NonRetryable, RetryLater
from runwright.client.handlers import job
from runwright.domain import commands as c
from runwright.domain.tenancy import Cause
from runwright.engine.requests import Take
from tests.engine.world import SECOND, World, settled
from tests.waiting import until

"""How handlers are executed is above the store. `test_order` and `test_commit` ask both."""


class Gates:
    """Lets a test see each handler begin, and decides when it goes on."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.open = asyncio.Event()

    def handler(self, **options):
        @job(slug="gated", **options)
        async def gated(ctx, payload):
            self.began.append(ctx.run_id)
            await self.open.wait()
            self.ended.append(ctx.run_id)
            return {"attempt": ctx.attempt, "epoch": ctx.lease_epoch}

        return gated


async def all_ended(world: World) -> None:
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    await settled(world)
    await world.check()


# --- executing --------------------------------------------------------------------------------------------------------


async def test_runs_that_wait_in_the_queue_are_claimed_when_the_worker_starts(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    gates.open.set()
    run_ids = [await world.submit(world.job("gated", max_concurrency=100)) for _ in range(20)]
    assert gates.began == []
    world.engine.start()
    await all_ended(world)
    assert sorted(gates.ended) == sorted(run_ids)
    assert {await world.state(run_id) for run_id in run_ids} == {"completed"}


async def test_no_more_runs_execute_at_once_than_there_are_slots(open_world):
    gates = Gates()
    world = await open_world(gates.handler(), slots=3)
    world.engine.start()
    for _ in range(7):
        await world.submit(world.job("gated"))
    await settled(world)
    assert len(gates.began) == 3
    assert world.engine.workers[0].busy == 3
    gates.open.set()
    await all_ended(world)
    assert len(gates.ended) == len(set(gates.ended)) == 7
    assert (world.engine.workers[0].busy, world.engine.workers[0]._reserved) == (0, 0)


async def test_a_worker_takes_the_runs_of_its_handlers_from_every_queue(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    gates.open.set()
    here = [await world.submit(world.job("gated", queue=queue, max_concurrency=9)) for queue in ("one", "two")]
    other = await world.submit(world.job("unknown-handler", queue="one"))
    await until(lambda: sorted(gates.ended) == sorted(here))
    await settled(world)
    assert [await world.state(run_id) for run_id in (*here, other)] == ["completed", "completed", "queued"]


async def test_a_worker_that_is_bound_to_queues_takes_the_runs_of_those_only(open_world):
    gates = Gates()
    world = await open_world(gates.handler(), worker_queues=("mine",))
    world.engine.start()
    gates.open.set()
    there = await world.submit(world.job("gated", queue="theirs", max_concurrency=9))
    here = await world.submit(world.job("gated", queue="mine", max_concurrency=9))
    await until(lambda: gates.ended == [here])
    await settled(world)
    assert [await world.state(run_id) for run_id in (here, there)] == ["completed", "queued"]


async def test_a_run_that_became_ready_without_a_hint_is_found_by_the_slow_poll(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    gates.open.set()
    await settled(world)
    world.engine.commit.listeners.clear()
    await world.submit(world.job("gated", max_concurrency=9))
    await settled(world)
    assert gates.began == []
    world.clock.advance(5)
    await until(lambda: len(gates.ended) == 1)


async def test_a_failed_attempt_is_executed_again_after_its_rest(open_world):
    attempts = []

    @job
    async def flaky(ctx, payload):
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError(f"boom {ctx.attempt}")
        return {"done": True}

    world = await open_world(flaky)
    world.engine.start()
    run_id = await world.submit(world.job("flaky", retry_initial_delay_secs=1))
    for expected in (1, 2):
        await until(lambda expected=expected: len(attempts) == expected)  # type: ignore[misc]
        await settled(world)
        assert await world.state(run_id) == "scheduled"
        await world.past(1)
    await all_ended(world)
    assert attempts == [1, 2, 3]
    assert [a.outcome for a in await world.store.attempts(run_id)] == ["failed", "failed", "completed"]
    assert world.reader().result(await world.record(run_id)) == {"done": True}


async def test_a_sleeping_handler_holds_no_slot_and_goes_on_when_it_is_over(open_world):
    steps = []

    @job
    async def sleeper(ctx, payload):
        steps.append(await ctx.step("once", lambda: ctx.lease_epoch))
        await ctx.sleep(60)
        return {"epoch": ctx.lease_epoch}

    world = await open_world(sleeper, slots=1)
    world.engine.start()
    run_id = await world.submit(world.job("sleeper"))
    await until(lambda: steps)
    await settled(world)
    assert await world.state(run_id) == "waiting"
    assert world.engine.workers[0].busy == 0
    await world.past(60)
    await all_ended(world)
    assert steps == [1, 1], "the step was not repeated under the second lease"
    assert world.reader().result(await world.record(run_id)) == {"epoch": 2}


@pytest.mark.parametrize(
    ("raised", "state", "reason"),
    [
        (ValueError("boom"), "failed", "error"),
        (NonRetryable("never"), "failed", "rejected"),
        (RetryLater(5, "later"), "failed", "error"),
        (ValueError("\ud800 is no character, \x00 is one"), "failed", "error"),
        (StopIteration(), "failed", "error"),
        (TimeoutError("somewhere else"), "failed", "error"),
    ],
)
@pytest.mark.parametrize("sync", [True, False])
async def test_whatever_a_handler_raises_ends_its_attempt(open_world, raised, state, reason, sync):
    @job(slug="broken")
    async def broken(ctx, payload):
        raise raised

    @job(slug="broken")
    def broken_thread(ctx, payload):
        raise raised

    world = await open_world(broken_thread if sync else broken)
    world.engine.start()
    run_id = await world.submit(world.job("broken", max_attempts=1))
    await all_ended(world)
    run = await world.run(run_id)
    assert (run.state, run.reason) == (state, reason)
    assert run.error is not None
    assert run.error.encode()


@pytest.mark.parametrize(
    ("returned", "error_class"),
    [
        (object(), "ResultNotJson"),
        ({"n": float("nan")}, "ResultNotJson"),
        ({1: {2j}}, "ResultNotJson"),
        ({"big": "x" * 2000}, "TooLarge"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_the_attempt_at_once(open_world, returned, error_class):
    @job
    async def odd(ctx, payload):
        return returned

    world = await open_world(odd, body_max_bytes=1024)
    world.engine.start()
    run_id = await world.submit(world.job("odd"))
    await settled(world)
    run = await world.run(run_id)
    assert (run.state, run.error_class, run.reason) == ("failed", error_class, "rejected")
    assert world.rows("SELECT * FROM leases") == []
    await world.check()


async def test_a_run_whose_handler_no_worker_has_waits_for_one_that_has_it(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    run_id = await world.submit(world.job("nobody"))
    await settled(world)
    assert await world.state(run_id) == "queued"


async def test_a_payload_that_cannot_be_opened_fails_the_attempt_and_not_the_worker(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    run_id = await world.submit(world.job("gated", max_concurrency=9, max_attempts=1))
    world.database.change("UPDATE runs SET payload = opening")
    world.engine.start()
    await all_ended(world)
    run = await world.run(run_id)
    assert (run.reason, run.error_class) == ("system", "StoreError")
    gates.open.set()
    await world.submit(world.job("gated"))
    await all_ended(world)
    assert len(gates.ended) == 1


async def test_an_attempt_that_takes_too_long_is_ended_with_a_time_out(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    order = world.order(world.job("gated", max_attempts=1))
    spec = order.spec
    run_id = spec.run_id
    await world.engine.commit.apply(replace(order, spec=replace(spec, timeout_s=0.01)))
    await all_ended(world)
    run = await world.run(run_id)
    assert (run.state, run.reason, run.error_class, run.error) == (
        "failed",
        "timeout",
        "Timeout",
        "the attempt took longer than 0.01 s",
    )


# --- stops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
async def test_a_running_handler_is_told_to_stop_and_confirms(open_world, kind, ends):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    run_id = await world.submit(world.job("gated"))
    await until(lambda: gates.began)
    await world.stop(run_id, kind)
    await until(lambda: world.rows("SELECT * FROM leases") == [])
    assert await world.state(run_id) == ends
    assert (await world.data(run_id, f"run.{ends}"))["confirmed"] is True
    assert gates.ended == []
    await settled(world)
    await world.check()


async def test_a_run_that_was_stopped_as_it_was_claimed_hears_of_it(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    (worker,) = world.engine.workers
    run_id = await world.submit(world.job("gated", max_concurrency=9))
    worker._hold(1)
    requests = [Take(await world.lanes(), 1, worker.worker_id), c.Stop(run_id, "cancel", Cause("user:user_1"))]
    (runs, _) = await world.engine.commit.apply_all(requests)
    worker.assign([(run, (await world.record(run_id)).payload) for run in runs])
    await all_ended(world)
    assert (await world.data(run_id, "run.cancelled"))["confirmed"] is True


async def test_a_paused_handler_goes_on_with_its_last_checkpoint(open_world):
    seen, hold = [], asyncio.Event()

    @job
    async def counting(ctx, payload):
        seen.append(ctx.last_checkpoint)
        if ctx.last_checkpoint is None:
            await ctx.checkpoint({"n": 41})
            await hold.wait()
        return {"n": ctx.last_checkpoint["n"] + 1}

    world = await open_world(counting)
    world.engine.start()
    run_id = await world.submit(world.job("counting"))
    await until(lambda: world.rows("SELECT * FROM run_values"))
    await world.stop(run_id, "pause")
    await until(lambda: world.rows("SELECT * FROM leases") == [])
    assert await world.state(run_id) == "paused"
    await world.resume(run_id)
    await all_ended(world)
    assert seen == [None, {"n": 41}]
    assert world.reader().result(await world.record(run_id)) == {"n": 42}
    assert [a.attempt for a in await world.store.attempts(run_id)] == [1, 1]


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_heartbeats_renew_the_leases_of_all_attempts(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    run_ids = [await world.submit(world.job("gated")) for _ in range(5)]
    await until(lambda: len(gates.began) == 5)
    heartbeat = world.engine.workers[0].loops[1]
    for rounds in range(heartbeat.rounds, heartbeat.rounds + 12):
        world.clock.advance(10)
        await until(functools.partial(lambda seen: heartbeat.rounds > seen, rounds))
    assert {await world.state(run_id) for run_id in run_ids} == {"executing"}
    untils = {until_ for (until_,) in world.rows("SELECT until FROM leases")}
    assert untils == {world.clock.now() + 30 * SECOND}
    gates.open.set()
    await all_ended(world)


async def test_an_attempt_whose_lease_is_gone_is_ended_and_leaves_nothing(open_world):
    gates = Gates()
    written = []

    @job(slug="gated")
    async def late(ctx, payload):
        gates.began.append(ctx.run_id)
        try:
            await gates.open.wait()
        finally:
            written.append(await_late(ctx))

    def await_late(ctx):
        try:
            ctx.log("late")
        except BaseException as lost:  # noqa: BLE001 - what it is, is what is asked
            return type(lost).__name__
        return "kept"

    world = await open_world(late)
    run_id = await world.submit(world.job("gated"))
    await until(lambda: gates.began)
    world.clock.advance(31)
    await world.reap()
    assert await world.state(run_id) == "scheduled"
    (worker,) = world.engine.workers
    await world.round_of(worker.loops[1])
    await until(lambda: worker.busy == 0)
    await settled(world)
    assert written == ["LeaseLost"]
    assert "log" not in await world.types(run_id)
    await world.check()


async def test_an_attempt_that_its_own_worker_claims_anew_is_ended_before_the_next_begins(open_world):
    began, heard, hold = [], [], asyncio.Event()

    @job(slug="gated", retry_initial_delay_secs=0)
    async def gated(ctx, payload):
        began.append(ctx.lease_epoch)
        try:
            await hold.wait()
            return {"epoch": ctx.lease_epoch}
        finally:
            heard.append(ctx.lease_epoch)

    world = await open_world(gated)
    (worker,) = world.engine.workers
    run_id = await world.submit(world.job("gated", retry_initial_delay_secs=0))
    await until(lambda: began == [1])
    world.clock.advance(31)
    await world.reap()
    await world.past(1)
    await world.round_of(worker.loops[0])
    await until(lambda: began == [1, 2])  # no heartbeat told it that the first lease is lost
    await until(lambda: heard == [1])
    assert worker.busy == 1
    hold.set()
    await until(lambda: worker.busy == 0)
    await settled(world)
    assert world.reader().result(await world.record(run_id)) == {"epoch": 2}
    await world.check()


# --- drain ------------------------------------------------------------------------------------------------------------


async def test_a_drain_lets_running_attempts_finish(open_world):
    gates = Gates()
    world = await open_world(gates.handler())
    world.engine.start()
    run_ids = [await world.submit(world.job("gated")) for _ in range(3)]
    await until(lambda: len(gates.began) == 3)
    draining = asyncio.create_task(world.engine.drain())
    await settled(world)
    late = await world.submit(world.job("gated"))
    gates.open.set()
    assert await draining == 0
    assert {await world.state(run_id) for run_id in run_ids} == {"completed"}
    assert await world.state(late) == "queued"
    await world.check()


async def test_a_drain_hands_over_what_does_not_finish_in_time_and_it_counts_for_nothing(open_world):
    gates = Gates()
    world = await open_world(gates.handler(), drain_s=5)
    world.engine.start()
    run_ids = [await world.submit(world.job("gated", max_attempts=1)) for _ in range(3)]
    await until(lambda: len(gates.began) == 3)
    draining = asyncio.create_task(world.engine.drain())
    await settled(world)
    assert not draining.done()
    world.clock.advance(5)
    assert await draining == 3
    for run_id in run_ids:
        run = await world.run(run_id)
        assert (run.state, run.attempt, run.tally.handovers, run.tally.ended) == ("queued", 1, 1, 0)
    await world.check()
    await world.store.close()
    after = await open_world(gates.handler())
    gates.open.set()
    after.engine.start()
    await all_ended(after)
    results = [after.reader().result(await after.record(run_id)) for run_id in run_ids]
    assert results == [{"attempt": 1, "epoch": 2}] * 3


async def test_a_drain_hands_over_what_was_being_claimed_at_that_moment(open_world):
    gates = Gates()
    world = await open_world(gates.handler(), drain_s=0)
    run_ids = [await world.submit(world.job("gated", max_concurrency=9, max_attempts=1)) for _ in range(3)]
    (worker,) = world.engine.workers
    world.engine.start()
    await until(lambda: worker._reserved > 0)  # the claim is on its way to the disk
    await world.engine.drain()
    for run_id in run_ids:
        run = await world.run(run_id)
        assert (run.state, run.tally.ended) == ("queued", 0)
    await world.check()


async def test_a_drain_hands_over_a_run_that_began_with_its_submission_at_that_moment(open_world):
    gates = Gates()
    world = await open_world(gates.handler(), drain_s=0)
    (worker,) = world.engine.workers
    submitting = asyncio.create_task(world.submit(world.job("gated", max_attempts=1)))
    await until(lambda: worker._reserved > 0)
    await world.engine.drain()
    run_id = await submitting
    assert await world.state(run_id) == "queued"
    await world.check()


async def test_a_handler_in_a_thread_is_handed_over_and_what_it_does_later_is_without_effect(open_world):
    written, go_on, done, heard = threading.Event(), threading.Event(), threading.Event(), []

    @job
    def blocking(ctx, payload):
        ctx.log("before")
        written.set()
        go_on.wait(20)
        try:
            ctx.step("late", lambda: 1)
        except BaseException as lost:
            heard.append(type(lost).__name__)
            raise
        finally:
            done.set()

    world = await open_world(blocking, drain_s=0)
    world.engine.start()
    run_id = await world.submit(world.job("blocking"))
    await until(written.is_set)  # before the clock goes on: a thread that starts late must not cost the lease
    await until(lambda: world.rows("SELECT * FROM run_events WHERE type = 'log'") or world.clock.advance(0.025))
    await world.engine.drain()
    assert await world.state(run_id) == "queued"
    go_on.set()
    await until(done.is_set)
    await settled(world)
    assert len(heard) == 1
    assert world.rows("SELECT * FROM run_values") == []
    await world.check()
