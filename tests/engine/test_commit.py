"""The commit: commands that arrive together are applied together, in order, and none of them hurts another."""

import asyncio

import pytest
from msgspec.structs import replace

from runwright.client.handlers import job
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.tenancy import Cause
from runwright.engine.requests import Admit, Committed, Request, Take
from runwright.errors import InvalidTransition, NotFound, Overloaded, StaleLease, StoreError
from tests.domain.specimens import log_line
from tests.engine.world import ADMIN, World, failed, settled
from tests.waiting import until

CAUSE = Cause(ADMIN.label)


@job
async def greet(ctx, payload):
    return {"hello": payload.get("name")}


class Transactions:
    """Counts the transactions that a world's commit makes durable."""

    def __init__(self, world: World) -> None:
        self.seen: list[Committed] = []
        world.engine.commit.listeners.append(self.seen.append)

    @property
    def count(self) -> int:
        return len(self.seen)


async def test_commands_that_arrive_together_share_a_transaction(world: World):
    transactions = Transactions(world)
    await asyncio.gather(*(world.submit(world.job()) for _ in range(100)))
    assert transactions.count <= 2, "the first may go alone, the other 99 wait for the disk together"
    await world.check()


async def test_a_transaction_takes_no_more_than_its_maximum(open_world):
    world = await open_world(commit_batch_max=10)
    transactions = Transactions(world)
    await asyncio.gather(*(world.submit(world.job()) for _ in range(35)))
    assert [len(done.runs) for done in transactions.seen] == [10, 10, 10, 5]


async def test_a_group_larger_than_the_maximum_is_still_one_transaction(open_world):
    world = await open_world(commit_batch_max=10)
    transactions = Transactions(world)
    orders = [world.order(world.job()) for _ in range(25)]
    answers = await world.engine.commit.apply_all(orders)
    assert [answer.run_id for answer in answers] == [order.run_id for order in orders]
    assert transactions.count == 1


async def test_commands_are_applied_in_the_order_in_which_they_came(world: World):
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    lines = [c.Append(run_id, run.lease_epoch, (log_line(f"line {n}"),)) for n in range(50)]
    await asyncio.gather(*(world.engine.commit.apply(line) for line in lines))
    assert [e.message for e in await world.events(run_id) if e.type == "log"] == [f"line {n}" for n in range(50)]


async def test_an_answer_comes_only_when_its_command_is_durable(world: World):
    for _ in range(5):
        run_id = await world.submit(world.job())
        assert world.rows("SELECT state FROM runs WHERE run_id = ?", run_id) == [("queued",)]


async def test_listeners_hear_of_a_command_before_its_caller_does(world: World):
    heard: list[str] = []
    world.engine.commit.listeners.append(lambda done: heard.extend(done.events))
    run_id = await world.submit(world.job())
    assert heard == [run_id]


# --- neighbours -------------------------------------------------------------------------------------------------------


async def test_a_refused_command_leaves_its_neighbours_alone(world: World):
    run_ids = [await world.submit(world.job()) for _ in range(3)]
    wrong: list[c.Command] = [
        c.Resume(run_ids[0], CAUSE),
        c.Stop("run_none", "cancel", CAUSE),
        c.Append(run_ids[0], 7, (log_line(),)),
    ]
    right = [c.Stop(run_id, "cancel", CAUSE) for run_id in run_ids]
    answers = await world.engine.commit.apply_all([wrong[0], right[0], wrong[1], right[1], wrong[2], right[2]])
    kinds = [type(answer) for answer in answers]
    assert [kinds[0], kinds[2], kinds[4]] == [InvalidTransition, NotFound, StaleLease]
    assert [answers[i].state for i in (1, 3, 5)] == ["cancelled"] * 3
    await world.check()


async def test_a_command_that_breaks_the_transaction_fails_alone(world: World):
    poison = replace(world.order(world.job()), payload="no bytes, and no text either: \ud800")
    good = [world.order(world.job()) for _ in range(9)]
    orders = [*good[:4], poison, *good[4:]]
    answers = await asyncio.gather(*(world.engine.commit.apply(order) for order in orders), return_exceptions=True)
    assert isinstance(answers[4], Exception)
    assert [type(answer).__name__ for answer in answers].count("Submitted") == 9
    assert len(world.rows("SELECT run_id FROM runs")) == 9
    await world.check()


async def test_a_command_that_the_database_refuses_fails_alone(world: World):
    twice = world.order(world.job())
    await world.engine.commit.apply(twice)
    good = [world.order(world.job()) for _ in range(6)]
    orders = [*good[:3], twice, *good[3:]]
    answers = await asyncio.gather(*(world.engine.commit.apply(order) for order in orders), return_exceptions=True)
    assert isinstance(answers[3], StoreError)
    assert [type(answer).__name__ for answer in answers].count("Submitted") == 6
    await world.check()


async def test_a_store_that_is_gone_answers_everybody(world: World):
    await world.store.close()
    answers = await asyncio.gather(*(world.submit(world.job()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in answers)


async def test_a_caller_that_went_away_does_not_hurt_the_others(world: World):
    tasks = [asyncio.create_task(world.submit(world.job())) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    stayed = [task.result() for task in tasks[1::2]]
    assert all([await world.state(run_id) == "queued" for run_id in stayed])
    await world.check()


# --- commands about one run in one transaction ------------------------------------------------------------------------


async def test_a_take_goes_on_without_the_runs_that_were_stopped_beside_it(world: World):
    run_ids = [await world.submit(world.job()) for _ in range(4)]
    stopped, paused, *others = run_ids
    commit = world.engine.commit
    requests: list[Request] = [
        c.Stop(stopped, "cancel", CAUSE),
        c.Stop(paused, "pause", CAUSE),
        Take(await world.lanes(), 10, "wrk-1"),
    ]
    runs = (await commit.apply_all(requests))[2]
    assert [run.run_id for run in runs] == others
    assert [await world.state(run_id) for run_id in run_ids] == ["cancelled", "paused", "executing", "executing"]
    await world.check()


async def test_a_stop_that_comes_with_the_take_is_known_to_whoever_took_the_run(world: World):
    run_id = await world.submit(world.job())
    answers = await world.engine.commit.apply_all(
        [Take(await world.lanes(), 1, "wrk-1"), c.Stop(run_id, "cancel", CAUSE)]
    )
    assert [(run.run_id, run.stop) for run in answers[0]] == [(run_id, "cancel")]
    await world.check()


async def test_a_run_that_is_paused_and_resumed_at_once_keeps_a_place_in_the_queue(world: World):
    run_id = await world.submit(world.job(max_concurrency=1))
    await world.engine.commit.apply_all([c.Stop(run_id, "pause", CAUSE), c.Resume(run_id, CAUSE)])
    await settled(world)
    await world.check()
    assert [run.run_id for run in await world.take()] == [run_id]


async def test_a_run_that_is_paused_taken_and_resumed_at_once_gets_the_very_place_that_it_was_taken_from(world: World):
    run_id = await world.submit(world.job(), scheduled_at=world.clock.now() + 1_000_000, priority=10)
    world.clock.advance(0.5)
    other = await world.submit(world.job())
    await world.past(0.5)
    ranks = [(await world.run(each)).rank for each in (run_id, other)]
    assert ranks[0] == ranks[1], "the head start ends at whoever is first, so the run has this place again"
    _, taken, resumed = await world.engine.commit.apply_all(
        [c.Stop(run_id, "pause", CAUSE), Take(await world.lanes(), 1, "wrk-1"), c.Resume(run_id, CAUSE)]
    )
    assert (taken, resumed.state) == ([], "queued")
    await world.check()
    assert [run.run_id for run in await world.take(2)] == [run_id, other]


async def test_an_attempt_is_recorded_as_it_ended_whatever_came_after_in_the_same_transaction(world: World):
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    await world.stop(run_id, "pause")
    await world.engine.commit.apply_all([c.Finish(run_id, run.lease_epoch, o.Stopped(), 0.5), c.Resume(run_id, CAUSE)])
    assert [attempt.outcome for attempt in await world.store.attempts(run_id)] == ["paused"]
    assert await world.state(run_id) == "queued"
    await world.check()


@pytest.mark.parametrize(
    ("outcome", "recorded"),
    [
        (o.Completed(), ("completed", None, None)),
        (failed(), ("failed", "ValueError", "boom")),
        (failed(retryable=False), ("failed", "ValueError", "boom")),
        (o.Parked(10**18), ("parked", None, None)),
        (o.Released(), ("released", None, None)),
    ],
)
async def test_every_attempt_is_recorded_with_its_outcome(world: World, outcome, recorded):
    run_id = await world.submit(world.job())
    world.clock.advance(2)
    run = (await world.take())[0]
    world.clock.advance(3)
    await world.finish(run, outcome)
    attempt = (await world.store.attempts(run_id))[0]
    assert (attempt.outcome, attempt.error_class, attempt.error) == recorded
    assert (attempt.attempt, attempt.lease_epoch, attempt.worker_id, attempt.executor) == (1, 1, "wrk-1", "worker")
    assert (attempt.ended_at - attempt.started_at, attempt.queue_wait_us) == (3_000_000, 2_000_000)


async def test_a_lost_attempt_is_recorded_as_crashed(world: World):
    run_id = await world.submit(world.job())
    await world.take()
    await world.reap(31)
    assert [(a.outcome, a.error_class) for a in await world.store.attempts(run_id)] == [("crashed", "WorkerLost")]


# --- admission --------------------------------------------------------------------------------------------------------


async def test_a_full_backlog_refuses_new_runs_and_keeps_nothing_of_them(open_world):
    world = await open_world(commit_backlog_max=10)
    accepted = [asyncio.create_task(world.submit(world.job())) for _ in range(10)]
    await asyncio.sleep(0)
    assert world.engine.commit.backlog == 10
    with pytest.raises(Overloaded) as caught:
        await world.submit(world.job(), idempotency_key="k")
    assert caught.value.retryable
    with pytest.raises(Overloaded):
        await world.engine.commit.apply_all([world.order(world.job())])
    await asyncio.wait(accepted)
    assert len(world.rows("SELECT run_id FROM runs")) == 10
    assert world.rows("SELECT key FROM idempotency") == []
    await world.submit(world.job(), idempotency_key="k")  # and there is room again
    assert world.engine.commit.backlog == 0


async def test_a_full_backlog_refuses_nothing_of_runs_that_exist(open_world):
    world = await open_world(commit_backlog_max=10)
    run_ids = [await world.submit(world.job()) for _ in range(3)]
    first, second = await world.take(2)
    commit, full = world.engine.commit, []
    commands: list[Request] = [
        c.Append(first.run_id, 1, (log_line(),)),
        c.Finish(second.run_id, 1, o.Completed(), 0.5),
        c.Stop(run_ids[2], "cancel", CAUSE),
        Take(await world.lanes(), 5, "wrk-1"),
    ]

    async def apply_when_full(command: Request):
        full.append(commit.backlog)
        return await commit.apply(command)

    waiting = [asyncio.create_task(world.submit(world.job())) for _ in range(10)]
    answers = await asyncio.gather(*map(apply_when_full, commands))
    assert full == [10, 11, 12, 13], "the backlog was full before each of them"
    assert (answers[1].state, answers[2].state) == ("completed", "cancelled")
    await asyncio.wait(waiting)
    await world.check()


# --- what is known beforehand -----------------------------------------------------------------------------------------


async def test_forgetting_what_is_known_of_runs_changes_nothing(world: World):
    world.engine.commit._known_max = 1
    run_ids = [await world.submit(world.job(max_concurrency=2)) for _ in range(5)]
    while runs := await world.take(5):
        for run in runs:
            await world.engine.commit.apply(c.Append(run.run_id, run.lease_epoch, (log_line(),)))
            await world.finish(run, o.Completed())
        await settled(world)
        assert len(world.engine.commit._known) <= 1
    assert [await world.state(run_id) for run_id in run_ids] == ["completed"] * 5
    await world.check()


# --- submit and claim in one ------------------------------------------------------------------------------------------


async def test_a_run_begins_in_the_transaction_that_makes_it_when_a_slot_is_free(open_world):
    world = await open_world(greet)
    transactions = Transactions(world)
    answer = await world.submitted(world.job("greet"), payload={"name": "Ada"})
    assert answer.run is not None
    assert answer.run.state == "executing"
    assert transactions.count == 1
    await until(lambda: transactions.count == 2)
    assert await world.types(answer.run_id) == ["run.created", "run.started", "run.completed"]
    assert world.reader().result(await world.record(answer.run_id)) == {"hello": "Ada"}
    await world.check()


async def test_a_new_run_does_not_overtake_those_that_wait_in_its_lane(open_world):
    world = await open_world(greet)
    older = await world.submit(world.job("greet", max_concurrency=1))
    younger = await world.submit(world.job("greet"))
    assert [await world.state(run_id) for run_id in (older, younger)] == ["queued", "queued"]


@pytest.mark.parametrize("definition", [{"max_concurrency": 1}, {"handler": "unknown-handler"}])
async def test_a_run_waits_in_the_queue_when_it_may_not_begin_at_once(open_world, definition):
    world = await open_world(greet)
    run_id = await world.submit(world.job("greet", **definition))
    assert await world.state(run_id) == "queued"
    await world.check()


async def test_no_more_runs_begin_at_once_than_slots_are_free(open_world):
    gate = asyncio.Event()

    @job
    async def wait(ctx, payload):
        await gate.wait()

    world = await open_world(wait, slots=3)
    answers = await asyncio.gather(*(world.submitted(world.job("wait")) for _ in range(8)))
    assert [answer.run.state for answer in answers] == ["executing"] * 3 + ["queued"] * 5
    world.engine.start()
    gate.set()
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    await world.check()


async def test_a_run_under_a_limit_does_not_begin_in_the_slot_of_one_that_has_none(open_world):
    world = await open_world(greet)
    narrow, free = world.job("greet", max_concurrency=1), world.job("greet")
    orders = [world.order(narrow), world.order(narrow), world.order(free), world.order(free)]
    answers = await world.engine.commit.apply_all(orders)
    assert [answer.run.state for answer in answers] == ["queued", "queued", "executing", "executing"]
    assert world.rows("SELECT used, max FROM limits") == [(1, 1)]


async def test_a_delayed_run_does_not_begin_at_once(open_world):
    world = await open_world(greet)
    run_id = await world.submit(world.job("greet"), scheduled_at=world.clock.now() + 5_000_000)
    assert await world.state(run_id) == "scheduled"
    assert world.engine.workers[0]._reserved == 0


async def test_reserved_slots_come_back_when_the_submit_fails(open_world):
    world = await open_world(greet, slots=2)
    twice = world.order(world.job("greet"))
    await world.engine.commit.apply(twice)
    await settled(world)  # the run has ended, and nobody remembers it
    with pytest.raises(StoreError):
        await world.engine.commit.apply(twice)
    assert world.engine.workers[0]._reserved == 0


async def test_admitting_limits_that_nobody_waits_for_does_nothing(world: World):
    transactions = Transactions(world)
    assert await world.engine.commit.apply(Admit(("job:none",), 1)) is None
    assert transactions.seen[0].events == {}


async def test_a_listener_that_breaks_keeps_nobody_from_their_answer(world: World):
    heard: list[Committed] = []
    world.engine.commit.listeners += [lambda done: done.runs.clear(1), heard.append]  # type: ignore[call-arg]
    run_id = await world.submit(world.job())
    assert await world.state(run_id) == "queued"
    assert len(heard) == 1
