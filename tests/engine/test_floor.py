"""Whose turn it is in a thread: one at a time, in order, whoever asks at once; and messages without gaps."""

import asyncio
import random

import pytest

from runwright.domain import outcome as o
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.thread import TextPart
from runwright.engine.requests import Submitted
from runwright.errors import Conflict, NotFound, QuotaExceeded
from tests.engine.talking import Talk
from tests.engine.world import ADMIN, World


async def test_a_run_says_its_input_answers_it_and_leaves_its_answer(world: World):
    talk = Talk(world)
    thread = await talk.thread(title="Greetings")
    made = await talk.start(thread, "Hello?")
    (run,) = await world.take()
    assert run.run_id == made.run_id
    assert await talk.heard(run) == ["Hello?"]
    await talk.answer(run, "Hello!", "looked up a word")
    assert await talk.said(thread) == [(1, "user", "Hello?"), (3, "assistant", "Hello!")]
    await talk.start(thread, "And now?")
    (second,) = await world.take()
    assert await talk.heard(second) == ["Hello?", "looked up a word", "Hello!", "And now?"]


async def test_a_busy_thread_refuses_a_second_run(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    first = await talk.start(thread, "one")
    with pytest.raises(Conflict) as refusal:
        await talk.start(thread, "two")
    assert (refusal.value.code, refusal.value.data) == ("runs.thread_busy", {"run_id": first.run_id})
    assert await talk.said(thread) == [(1, "user", "one")]


async def test_a_line_has_an_end(open_world):
    talk = Talk(await open_world(thread_line_max=2))
    thread = await talk.thread()
    for n in range(3):
        await talk.start(thread, f"{n}", on_busy="enqueue")
    with pytest.raises(QuotaExceeded, match="2 runs stand in the line") as refusal:
        await talk.start(thread, "3", on_busy="interrupt")
    assert refusal.value.code == "runs.line_full"
    assert len(talk.active(thread)) == 1


async def test_of_runs_that_begin_at_once_one_has_the_floor(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    begun = await asyncio.gather(*(talk.start(thread, f"{n}") for n in range(20)), return_exceptions=True)
    assert sum(isinstance(each, Submitted) for each in begun) == 1
    assert len(talk.active(thread)) == 1


async def test_runs_in_line_take_their_turns_in_order_and_speak_when_it_is_theirs(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    made = [await talk.start(thread, f"question {n}", on_busy="enqueue") for n in range(3)]
    assert await talk.said(thread) == [(1, "user", "question 0")]
    for n, each in enumerate(made):
        (run,) = await world.take(5)
        assert run.run_id == each.run_id
        await talk.answer(run, f"answer {n}")
    assert [text for _, _, text in await talk.said(thread)] == [
        "question 0", "answer 0", "question 1", "answer 1", "question 2", "answer 2",
    ]  # fmt: skip
    assert world.rows("SELECT * FROM busy_threads") == world.rows("SELECT * FROM enqueued_runs") == []


@pytest.mark.parametrize("how", ["fail", "cancel", "give up"])
async def test_any_end_gives_the_floor_to_the_next(world: World, how: str):
    talk = Talk(world)
    thread = await talk.thread()
    await talk.start(thread, "first")
    second = await talk.start(thread, "second", on_busy="enqueue")
    (run,) = await world.take(5)
    if how == "fail":
        await world.finish(run, o.Failed(error_class="E", message=RedactedText("broken"), retryable=False))
    elif how == "cancel":
        await world.stop(run.run_id)
        await world.finish(run, o.Stopped())
    else:
        await world.stop(run.run_id)
        await world.reap(60)
    assert (await world.run(second.run_id)).state == "queued"


async def test_one_that_is_cancelled_in_line_says_nothing_and_holds_up_nobody(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    await talk.start(thread, "first")
    second = await talk.start(thread, "second", on_busy="enqueue")
    third = await talk.start(thread, "third", on_busy="enqueue")
    await world.stop(second.run_id)
    (run,) = await world.take(5)
    await talk.answer(run, "done")
    (next_run,) = await world.take(5)
    assert next_run.run_id == third.run_id
    assert "second" not in [text for _, _, text in await talk.said(thread)]


async def test_one_that_interrupts_ends_all_before_it(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    first = await talk.start(thread, "first")
    second = await talk.start(thread, "second", on_busy="enqueue")
    (run,) = await world.take()
    third = await talk.start(thread, "third", on_busy="interrupt")
    assert (await world.run(second.run_id)).reason == "superseded"
    assert (await world.run(first.run_id)).cancel_requested_at is not None
    assert (await world.run(third.run_id)).state == "waiting"
    await world.finish(run, o.Stopped(RedactedText("half a")))
    assert ((await world.run(first.run_id)).reason, (await world.run(third.run_id)).state) == ("superseded", "queued")


async def test_one_that_interrupts_what_has_not_begun_has_the_floor_at_once(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    await talk.start(thread, "first")
    third = await talk.start(thread, "third", on_busy="interrupt")
    assert talk.active(thread) == [(third.run_id, "queued")]


async def test_a_thread_that_is_not_there_has_no_runs(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    await talk.agents.threads.delete(ADMIN, thread.thread_id)
    with pytest.raises(NotFound):
        await talk.start(thread, "hello")


async def test_messages_that_come_at_once_are_numbered_without_gaps(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    say = talk.agents.threads.say
    await asyncio.gather(*(say(ADMIN, thread, "user", [TextPart(f"{n}")]) for n in range(25)), talk.start(thread, "go"))
    assert [seq for seq, _, _ in await talk.said(thread)] == list(range(1, 27))


async def test_an_idempotency_key_makes_one_run_and_says_its_input_once(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    first = await talk.start(thread, "once", idempotency_key="k")
    again = await talk.start(thread, "once", idempotency_key="k")
    assert (again.run_id, again.hit) == (first.run_id, True)
    assert await talk.said(thread) == [(1, "user", "once")]


async def test_a_retry_takes_the_last_turn_back_and_keeps_persona_route_and_model(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    first = await talk.start(thread, "Hello?", model="another-model")
    (run,) = await world.take()
    await talk.answer(run, "Grr.", "a tool said something")
    again = await talk.retry(thread)
    assert await talk.said(thread) == [(1, "user", "Hello?")]
    (second,) = await world.take()
    assert (second.run_id, await talk.heard(second)) == (again.run_id, ["Hello?"])
    terms = second.spec.agent
    assert terms is not None
    assert run.spec.agent is not None
    assert (terms.model, terms.persona_id, terms.route_id) == ("another-model", "default@1", run.spec.agent.route_id)
    assert (terms.retry_of, second.spec.triggered_by) == (first.run_id, "retry")
    assert "run.completed" in await world.types(first.run_id)


async def test_a_retry_after_a_users_word_takes_nothing_back(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    await talk.start(thread, "Hello?")
    (run,) = await world.take()
    await world.finish(run, o.Failed(error_class="E", message=RedactedText("broken"), retryable=False))
    again = await talk.retry(thread)
    assert again.run_id != run.run_id
    assert await talk.said(thread) == [(1, "user", "Hello?")]


async def test_there_is_nothing_to_retry_in_an_empty_thread_and_no_retry_of_what_goes_on(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    with pytest.raises(Conflict) as refusal:
        await talk.retry(thread)
    assert refusal.value.code == "threads.nothing_to_retry"
    await talk.start(thread, "Hello?")
    with pytest.raises(Conflict) as refusal:
        await talk.retry(thread)
    assert refusal.value.code == "runs.thread_busy"


@pytest.mark.parametrize("seed", range(3))
async def test_never_do_two_runs_have_the_floor_whatever_happens_at_once(world: World, seed: int):
    talk, chance = Talk(world), random.Random(seed)
    thread = await talk.thread()

    async def someone(n: int) -> None:
        busy = chance.choice(["reject", "enqueue", "interrupt"])
        try:
            await talk.start(thread, f"{n}", on_busy=busy)
        except Conflict:
            return

    async def worker(name: str) -> None:
        for run in await world.take(2, name):
            assert [each for each, _ in talk.active(thread)] == [run.run_id]
            await end(run)

    async def end(run: Run) -> None:
        standing = await world.run(run.run_id)
        await (world.finish(run, o.Stopped()) if standing.stop else talk.answer(run, f"to {run.run_id}"))

    for _ in range(8):
        await asyncio.gather(*(someone(n) for n in range(chance.randrange(1, 5))))
        assert len(talk.active(thread)) <= 1
        await worker("wrk-1")
        assert len(talk.active(thread)) <= 1
    while talk.active(thread):
        await worker("wrk-1")
    assert world.rows("SELECT * FROM busy_threads") == world.rows("SELECT * FROM enqueued_runs") == []
    seqs = [row[0] for row in world.rows("SELECT seq FROM messages ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))
