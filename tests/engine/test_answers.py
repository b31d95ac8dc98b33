"""Answers to what agent runs ask: one of many wins, its value is kept exact, and no answer in time is an end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright.clock import FrozenClock
from runwright.domain.chain import genesis, verify
from runwright.domain.commands import IdempotencyKey
from runwright.domain.run import Run
from runwright.errors import IdempotencyMismatch, InvalidTransition, NotFound
from tests.engine.agents import agent_run, answering, asking
from tests.engine.test_cron_servers import Shared
from tests.engine.world import SECOND, World
from tests.postgres import new_database


async def test_of_200_answers_at_once_one_is_taken_and_the_others_are_refused(world: World):
    run = await asking(world)
    answers = [answering(world, run, f"answer {n}") for n in range(200)]
    heard = await asyncio.gather(*map(world.engine.commit.apply, answers), return_exceptions=True)
    (winner,) = [n for n, answer in enumerate(heard) if isinstance(answer, Run)]
    refused = [answer for answer in heard if isinstance(answer, InvalidTransition)]
    assert [refusal.code for refusal in refused] == ["runs.not_waiting"] * 199
    assert await world.data_of(run.run_id, "run.input_received", "content") == [f"answer {winner}"]
    (kept,) = await world.store.values(run.run_id, "input")
    assert await world.engine.values.unpack("proj_1", kept) == {"content": f"answer {winner}"}
    assert (await world.run(run.run_id)).state == "queued"


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Return two servers on one database, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("first", "second")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.crash()


async def test_two_servers_of_one_database_take_one_answer(servers: tuple[World, World]):
    one, two = servers
    run = await asking(one)
    sides = [side for _ in range(20) for side in (one, two)]
    heard = await asyncio.gather(
        *(side.engine.commit.apply(answering(side, run, f"answer {n}")) for n, side in enumerate(sides)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Run) for answer in heard) == 1
    assert (await one.types(run.run_id)).count("run.input_received") == 1


async def test_an_answer_that_its_key_names_again_was_heard_and_is_not_heard_twice(world: World):
    run = await asking(world)
    key = IdempotencyKey(f"proj_1/runs.input/{run.run_id}", "key-1", "f" * 64)
    for _ in range(2):
        heard = await world.engine.commit.apply(answering(world, run, "blue", idempotency=key))
        assert heard.run_id == run.run_id
    other = IdempotencyKey(key.scope, key.key, "0" * 64)
    with pytest.raises(IdempotencyMismatch):
        await world.engine.commit.apply(answering(world, run, "red", idempotency=other))
    assert (await world.types(run.run_id)).count("run.input_received") == 1


async def test_a_question_that_nobody_answers_ends_the_run_at_its_deadline(world: World):
    run = await asking(world, world.clock.now() + 60 * SECOND)
    await world.past(59)
    assert await world.state(run.run_id) == "waiting"
    await world.past(2)
    ended = await world.run(run.run_id)
    assert (ended.state, ended.reason) == ("failed", "wait_timeout")
    with pytest.raises(Exception, match="failed"):
        await world.engine.commit.apply(answering(world, run, "too late"))


async def test_a_run_hears_who_steers_it_and_goes_on(world: World):
    await world.engine.commit.apply(agent_run(world))
    (run,) = await world.take()
    await world.engine.commit.apply(answering(world, run, "rather the red one", "steer"))
    assert await world.state(run.run_id) == "executing"
    assert await world.data_of(run.run_id, "run.input_received", "content") == ["rather the red one"]


async def test_nobody_speaks_to_a_run_that_is_not_there(world: World):
    run = await asking(world)
    with pytest.raises(NotFound):
        await world.engine.commit.apply(answering(world, run, "hello", run_id="run_0"))


async def test_the_log_of_an_answered_run_is_whole(world: World):
    run = await asking(world)
    await world.engine.commit.apply(answering(world, run, "blue"))
    await world.take()
    events = await world.events(run.run_id)
    assert [event.type for event in events] == [
        "run.started",
        "run.claimed",
        "run.waiting_for_input",
        "run.input_received",
        "run.queued",
        "run.claimed",
    ]
    opening = world.rows("SELECT opening FROM runs")[0][0]
    assert verify(genesis(bytes(opening)), [event.link() for event in events]) is None


async def test_a_run_whose_worker_was_lost_goes_on_elsewhere_in_its_attempt(world: World):
    await world.engine.commit.apply(agent_run(world))
    (run,) = await world.take()
    await world.reap(60)
    await world.reap(60)
    back = await world.run(run.run_id)
    assert (back.state, back.attempt, back.tally.recoveries) == ("queued", 1, 1)
    (again,) = await world.take(worker_id="wrk-2")
    assert (again.attempt, again.lease_epoch) == (1, 2)
    (attempt,) = await world.store.attempts(run.run_id)
    assert attempt.outcome == "crashed"
