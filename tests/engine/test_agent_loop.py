"""Agent runs as they execute: streamed, with tools, asked about, stopped, and gone on with after a lost worker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.providers.scripted import Script, Turn
from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.events import Event
from runwright.domain.lane import Lane
from runwright.domain.run import Run
from runwright.engine.attempt import Attempt
from runwright.errors import InvalidTransition, ProviderUnavailable
from tests.engine.acting import Acting, Doing, acting, calling, says
from tests.engine.databases import Database
from tests.engine.talking import Talk
from tests.engine.world import ADMIN, World, settled
from tests.waiting import until

"""What an agent does in its turn is above the store. Deaths and defects are tried on both."""


STORY = Script(
    turns=(
        says("Let me look. ", calls=(calling("http", "c1", name="a"), calling("http", "c2", name="b"))),
        says("And do. ", calls=(calling("shell", "c1", name="x"),)),
        says("The ", "end."),
    )
)
ASKS = Script(turns=(says(calls=(calling("ask_user", "q", question="Which?"),)), says("Good.")))
SPLIT = Script(turns=(says("It is hunter2-", "the-sec", "ret, you see: hunter2-"),))
SLOW = Script(turns=(Turn(text=("Once ", "upon ", "a time"), delay_s=5.0),))
LOOKS = Script(
    turns=(
        says("Let me look. ", calls=(calling("http", "c1", name="a"),)),
        says(calls=(calling("ask_user", "q", question="Which?"),)),
        says("Good."),
    )
)
SCRIPTS = {"story": STORY, "asks": ASKS, "split": SPLIT, "slow": SLOW, "looks": LOOKS}
Opener = Callable[..., Awaitable[Acting]]


@pytest.fixture
async def opened(database: Database, tmp_path: Path) -> AsyncIterator[Opener]:
    """Return what opens a world that executes agent runs, over the test's database."""
    made: list[Acting] = []
    clock = FrozenClock()

    async def opening(
        http: Doing | None = None,
        shell: Doing | None = None,
        trouble: Sequence[ProviderUnavailable] = (),
        **settings: Any,
    ) -> Acting:
        act = await acting(tmp_path / "data", clock, database, SCRIPTS, http, shell, trouble, **settings)
        made.append(act)
        act.world.engine.start()
        return act

    yield opening
    for act in made:
        if act.world.opened:
            await act.world.crash()
        await act.close()


async def ended(act: Acting, run_id: str, *states: str) -> Run:
    """Return the run once it is in one of these states, or terminal."""
    wanted = states or ("completed", "failed", "cancelled")
    for _ in range(20_000):
        run = await act.world.run(run_id)
        if run.state in wanted:
            await settled(act.world)
            return await act.world.run(run_id)
        act.world.clock.advance(0.01)
        await settled(act.world)
    raise AssertionError(await act.world.types(run_id))


async def visible(act: Acting, run_id: str) -> list[str]:
    """Return what the log says beside the lifecycle."""
    return [kind for kind in await act.world.types(run_id) if not kind.startswith("run.")]


async def test_a_run_streams_an_answer_and_leaves_it_in_its_thread(opened):
    act = await opened()
    thread = await act.thread_for("echo")
    made = await act.start(thread, "Good morning")
    run = await ended(act, made.run_id)
    assert run.state == "completed"
    kinds = await visible(act, made.run_id)
    assert kinds[0] == "llm.request"
    assert kinds[-3:] == ["message.completed", "llm.response", "usage.recorded"]
    assert set(kinds[1:-3]) == {"message.delta"}
    assert "".join(await act.world.data_of(made.run_id, "message.delta", "content")) == "Good morning"
    assert await act.said(thread) == [(1, "user", "Good morning"), (2, "assistant", "Good morning")]
    done = await act.world.data(made.run_id, "run.completed")
    assert (done["output"], run.usage.unpriced) == ("Good morning", 0)
    assert run.usage.cost_microusd == run.usage.input_tokens + 4 * run.usage.output_tokens > 0
    await act.world.check()


async def test_a_run_calls_tools_until_the_model_has_its_last_word(opened):
    act = await opened()
    made = await act.start(await act.thread_for("story"), "Tell me a story")
    run = await ended(act, made.run_id)
    assert run.state == "completed"
    assert sorted(call["name"] for call in act.http.made) == ["a", "b"]
    assert [call["name"] for call in act.shell.made] == ["x"]
    assert (await act.world.data(made.run_id, "run.completed"))["output"] == "The end."
    idents = await act.world.data_of(made.run_id, "tool.call", "tool_call_id")
    assert len(set(idents)) == 3, "a name that the model uses again names another call"
    last = (await act.world.data_of(made.run_id, "llm.request", "prompt"))[-1]
    kept = {key for (key,) in act.world.rows("SELECT key FROM run_values WHERE kind = 'prompt'")}
    assert kept >= set(last)
    await act.world.check()


async def test_a_question_parks_the_run_and_the_answer_is_what_the_model_hears(opened):
    act = await opened()
    made = await act.start(await act.thread_for("asks"), "Choose")
    run = await ended(act, made.run_id, "waiting")
    assert (run.reason, run.worker_id) == ("input", None)
    about = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "The red one", **about)
    assert (await ended(act, made.run_id)).state == "completed"
    assert (await act.world.data(made.run_id, "tool.result"))["result"] == "The red one"


@pytest.mark.parametrize(
    ("answer", "made_with"),
    [
        ("yes", [{"name": "x"}]),
        ("no", []),
        ('{"decision": "approve", "arguments": {"name": "hunter2-the-secret"}}', [{"name": "hunter2-the-secret"}]),
    ],
)
async def test_a_risky_call_waits_for_a_person(opened, answer, made_with):
    act = await opened()
    made = await act.start(await act.thread_for("story", risk_threshold="high"), "Tell me a story")
    await ended(act, made.run_id, "waiting")
    about = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, answer, **about)
    assert (await ended(act, made.run_id)).state == "completed"
    assert act.shell.made == made_with
    assert b"hunter2-the-secret" not in b"".join(e.data or b"" for e in await act.world.events(made.run_id))


async def test_a_secret_that_the_model_says_in_pieces_is_said_in_none(opened):
    act = await opened()
    thread = await act.thread_for("split")
    made = await act.start(thread, "What is it?")
    await ended(act, made.run_id)
    events = await act.world.events(made.run_id)
    assert all(b"hunter2-the" not in (event.data or b"") for event in events)
    kinds = await visible(act, made.run_id)
    assert kinds.index("message.completed") > max(at for at, kind in enumerate(kinds) if kind == "message.delta")
    streamed = "".join(await act.world.data_of(made.run_id, "message.delta", "content"))
    assert streamed == (await act.world.data(made.run_id, "llm.response"))["text"]
    assert streamed.endswith(", you see: hunter2-")
    assert (await act.said(thread))[-1] == (2, "assistant", streamed)


async def test_a_secret_in_what_a_tool_says_goes_neither_to_the_log_nor_to_the_model(opened):
    act = await opened(http=Doing("http", "read_only", says={"key": "hunter2-the-secret"}))
    made = await act.start(await act.thread_for("story"), "Tell me a story")
    assert (await ended(act, made.run_id)).state == "completed"
    assert all(b"hunter2" not in (event.data or b"") for event in await act.world.events(made.run_id))


async def test_a_long_output_is_shown_in_part_and_kept_whole(opened):
    act = await opened(http=Doing("http", "read_only", says="x" * 8_185 + "hunter2-the-secret" + "y" * 20_000))
    made = await act.start(await act.thread_for("story"), "Tell me a story")
    await ended(act, made.run_id)
    results = [
        msgspec.json.decode(e.data or b"") for e in await act.world.events(made.run_id) if e.type == "tool.result"
    ]
    assert [each["truncated"] for each in results] == [True, True, False]
    assert (results[0]["artifact"],) in act.world.rows("SELECT key FROM run_values WHERE kind = 'tool_output'")
    events = await act.world.events(made.run_id)
    assert all(len(event.data or b"") < 20_000 for event in events)
    assert all(b"hunter2" not in (event.data or b"") for event in events), "it is cut after it was redacted"


async def test_a_run_that_is_cancelled_keeps_what_was_said_and_what_it_cost(opened):
    act = await opened()
    thread = await act.thread_for("slow")
    made = await act.start(thread, "Tell")
    await until(lambda: act.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(act.world)
    act.world.clock.advance(5.0)
    await settled(act.world)
    await act.world.stop(made.run_id)
    run = await ended(act, made.run_id)
    assert run.state == "cancelled"
    assert (await act.world.data(made.run_id, "run.cancelled"))["partial_output"] == "Once "
    used = await act.world.data(made.run_id, "usage.recorded")
    assert used["estimated"]
    assert run.usage.cost_microusd == used["cost_microusd"] > 0
    assert (await act.said(thread))[-1] == (2, "assistant", "Once ")


@pytest.mark.parametrize("tool", ["http", "shell"])
async def test_a_run_whose_worker_is_lost_in_a_call_goes_on_elsewhere(opened, tool):
    first = await opened()
    stuck = getattr(first, tool)
    stuck.open.clear()
    made = await first.start(await first.thread_for("story"), "Tell me a story")
    for _ in range(1000):
        if stuck.begun:
            break
        await settled(first.world)
    await first.world.crash()
    second = await opened()
    await second.world.reap(120)
    run = await ended(second, made.run_id)
    assert run.state == "completed"
    assert await second.world.data_of(made.run_id, "run.recovered", "recoveries") == [1]
    assert (await second.world.data(made.run_id, "run.completed"))["output"] == "The end."
    if tool == "http":
        assert sorted(call["name"] for call in second.http.made) == ["a", "b"]
        assert set(second.http.begun) == set(first.http.begun), "the same call has the same key, whoever makes it"
    else:
        assert (len(first.shell.begun), second.shell.begun) == (1, [])
        error = (await second.world.data(made.run_id, "tool.result"))["error"]
        assert error["code"] == "tool.outcome_unknown"
    await second.world.check()


async def test_a_run_that_is_paused_says_again_what_it_had_begun_to_say(opened):
    act = await opened()
    made = await act.start(await act.thread_for("slow"), "Tell")
    await until(lambda: act.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(act.world)
    act.world.clock.advance(5.0)
    await settled(act.world)
    await act.world.stop(made.run_id, "pause")
    await ended(act, made.run_id, "paused")
    await act.world.resume(made.run_id)
    assert (await ended(act, made.run_id)).state == "completed"
    asked = await act.world.data_of(made.run_id, "llm.request", "llm_call_id")
    assert await act.world.data_of(made.run_id, "message.reset", "segment_id") == asked[:1]
    assert asked == await act.world.data_of(made.run_id, "usage.recorded", "llm_call_id")


async def test_what_is_said_to_a_run_by_the_way_is_heard_at_its_next_turn(opened):
    act = await opened()
    act.http.open.clear()
    thread = await act.thread_for("story")
    made = await act.start(thread, "Tell me a story")
    for _ in range(1000):
        if len(act.http.begun) == 2:
            break
        await settled(act.world)
    about = {"mode": "steer", "request_id": None, "idempotency_key": None, "asked_by": None}
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "Make it short", **about)
    act.http.open.set()
    assert (await ended(act, made.run_id)).state == "completed"
    asked = [msgspec.json.decode(e.data or b"") for e in await act.world.events(made.run_id) if e.type == "llm.request"]
    (said,) = [e.seq for e in await act.world.events(made.run_id) if e.type == "run.input_received"]
    assert [each.get("heard_seq", 0) for each in asked] == [0, said, 0]
    assert [text for _, role, text in await act.said(thread) if role == "user"] == ["Tell me a story", "Make it short"]


class Hasty:
    """An executor that ends each run where it last looked; somebody speaks to the run before it ends the first time."""

    name = "agent"

    def __init__(self) -> None:
        self.executed = 0
        self.speak: Callable[[str], Awaitable[object]]

    def serves(self, lane: Lane) -> bool:
        """Serve agents."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """End at once."""
        self.executed += 1
        if self.executed == 1:
            await self.speak(attempt.run.run_id)
        else:
            (_, *_, last) = await self.events(attempt.run.run_id)
            attempt.place = (last.seq, last.created_at)
        return o.Completed()

    events: Callable[[str], Awaitable[list[Event]]]


async def test_a_run_that_is_spoken_to_while_it_ends_goes_on_and_hears_it(database, tmp_path):
    hasty, world = Hasty(), World(tmp_path / "data", FrozenClock(), (), database)
    world.beside.append((hasty, 1))
    await world.open()
    try:
        talk = Talk(world)
        about: dict[str, Any] = {"mode": "steer", "request_id": None, "idempotency_key": None, "asked_by": None}
        hasty.speak = lambda run_id: talk.agents.inputs.say(world.reader(), ADMIN, run_id, "Wait!", **about)
        hasty.events = world.events
        world.engine.start()
        made = await talk.start(await talk.thread(), "Hello")
        await until(lambda: hasty.executed == 2)
        await settled(world)
        assert (await world.types(made.run_id))[-2:] == ["run.input_received", "run.completed"]
        await world.check()
    finally:
        await world.crash()


async def test_a_call_that_the_provider_rejects_ends_the_run_and_costs_nothing(opened):
    act = await opened()
    made = await act.start(await act.thread_for("nobody-wrote-this"), "Tell me a story")
    run = await ended(act, made.run_id)
    failed = await act.world.data(made.run_id, "run.failed")
    assert (run.state, failed["code"]) == ("failed", "providers.rejected")
    assert failed["details"] == {"reason": "unsupported"}
    assert (await act.world.data(made.run_id, "usage.recorded"))["cost_microusd"] == run.usage.cost_microusd == 0


async def test_a_long_thread_is_told_from_its_last_turns_on(opened):
    act = await opened()
    thread = await act.thread_for("echo", {"context_window": 1200, "max_output_tokens": 300})
    for number in range(8):
        made = await act.start(thread, f"{number} " + "word " * 100)
        assert (await ended(act, made.run_id)).state == "completed"
    (request,) = [
        msgspec.json.decode(e.data or b"") for e in await act.world.events(made.run_id) if e.type == "llm.request"
    ]
    assert 0 < request["left_out"] < 14
    assert request["left_out"] % 2 == 0, "whole turns: a question and its answer"
    assert request["left_out"] + len(request["prompt"]) - 1 == 15
    made = await act.start(thread, "word " * 2000)
    assert (await ended(act, made.run_id)).state == "failed"
    failed = await act.world.data(made.run_id, "run.failed")
    assert (failed["error_class"], failed["code"]) == ("ContextExceeded", "context.too_long")
    assert await act.world.data_of(made.run_id, "llm.request", "turn") == []


async def test_an_answer_that_breaks_off_is_taken_back_paid_and_asked_for_again(opened):
    act = await opened(trouble=[ProviderUnavailable("It broke off.", reason="cut", billed=True)])
    made = await act.start(await act.thread_for("echo"), "Good morning")
    assert (await ended(act, made.run_id)).state == "completed"
    asked = await act.world.data_of(made.run_id, "llm.request", "llm_call_id")
    assert asked == await act.world.data_of(made.run_id, "usage.recorded", "llm_call_id")
    assert await act.world.data_of(made.run_id, "usage.recorded", "estimated") == [True, False]
    assert await act.world.data_of(made.run_id, "message.reset", "segment_id") == asked[:1]
    assert (await act.world.data(made.run_id, "run.completed"))["output"] == "Good morning"


async def test_a_long_rest_is_waited_for_without_a_worker(opened):
    act = await opened(trouble=[ProviderUnavailable("Later.", reason="busy", retry_after_s=60.0)])
    made = await act.start(await act.thread_for("echo"), "Good morning")
    run = await ended(act, made.run_id, "waiting", "failed")
    assert (run.reason, run.worker_id) == ("timer", None)
    await act.world.past(61)
    assert (await ended(act, made.run_id)).state == "completed"


async def test_a_provider_that_never_answers_ends_the_run(opened):
    act = await opened(trouble=[ProviderUnavailable("Gone.", reason="cut")] * 9)
    made = await act.start(await act.thread_for("echo"), "Good morning")
    assert (await ended(act, made.run_id)).state == "failed"
    assert len(await act.world.data_of(made.run_id, "llm.request", "llm_call_id")) == 5
    failed = await act.world.data(made.run_id, "run.failed")
    assert (failed["code"], failed["details"]) == ("providers.unavailable", {"reason": "cut"})


async def test_how_often_a_model_is_asked_and_how_long_a_worker_rests_with_a_run_are_settings(opened):
    trouble = [ProviderUnavailable("Later.", reason="busy", retry_after_s=3.0)] * 9
    act = await opened(trouble=trouble, model_attempts_max=2, model_rest_s=2)
    made = await act.start(await act.thread_for("echo"), "Good morning")
    assert (await ended(act, made.run_id, "waiting")).reason == "timer"
    await act.world.past(4)
    assert (await ended(act, made.run_id)).state == "failed"
    assert len(await act.world.data_of(made.run_id, "llm.request", "llm_call_id")) == 2


async def test_a_budget_that_is_used_up_ends_the_run(opened):
    act = await opened()
    made = await act.start(await act.thread_for("story", budget={"turns": 2}), "Tell me a story")
    run = await ended(act, made.run_id)
    failed = await act.world.data(made.run_id, "run.failed")
    assert (run.state, failed["reason"], failed["code"]) == ("failed", "budget", "budget.exhausted")
    assert len(await act.world.data_of(made.run_id, "llm.response", "text")) == 2
    assert await act.world.data_of(made.run_id, "budget.warning", "limit_name") == ["turns"]


ABOUT: dict[str, Any] = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}


async def test_a_call_of_a_tool_that_takes_longer_than_the_run_may_is_ended_and_the_run_with_it(opened):
    act = await opened()
    act.shell.open.clear()
    made = await act.start(await act.thread_for("story", budget={"wall_s": 60}), "Tell me a story")
    await until(lambda: act.shell.begun)
    act.world.clock.advance(61)
    run = await ended(act, made.run_id)
    failed = await act.world.data(made.run_id, "run.failed")
    assert (run.state, run.reason, failed["code"]) == ("failed", "budget", "budget.exhausted")
    assert (await act.world.data(made.run_id, "budget.exhausted"))["limit_name"] == "wall_s"
    assert (act.shell.made, run.spec.timeout_s) == ([], None)
    await act.world.check()


async def test_a_run_that_asks_for_more_time_goes_on_with_what_was_broken_off(opened):
    act = await opened()
    act.http.open.clear()
    budget = {"wall_s": 60, "on_exceeded": "ask"}
    made = await act.start(await act.thread_for("story", budget=budget), "Tell me a story")
    await until(lambda: len(act.http.begun) == 2)
    act.world.clock.advance(61)
    assert (await ended(act, made.run_id, "waiting")).reason == "input"
    act.http.open.set()
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "yes", **ABOUT)
    assert (await ended(act, made.run_id)).state == "completed"
    assert sorted(call["name"] for call in act.http.made) == ["a", "b"], "they are made again"
    assert await act.world.data_of(made.run_id, "budget.warning", "limit_name") == []


async def test_an_answer_that_takes_longer_than_the_run_may_is_taken_back_and_paid(opened):
    act = await opened()
    made = await act.start(await act.thread_for("slow", budget={"wall_s": 8}), "Tell")
    await until(lambda: act.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(act.world)
    act.world.clock.advance(5.0)
    await settled(act.world)
    run = await ended(act, made.run_id)
    (asked,) = await act.world.data_of(made.run_id, "llm.request", "llm_call_id")
    assert await act.world.data_of(made.run_id, "message.reset", "segment_id") == [asked]
    assert await act.world.data_of(made.run_id, "usage.recorded", "estimated") == [True]
    assert (run.state, (await act.world.data(made.run_id, "budget.exhausted"))["used"]) == ("failed", 8)


async def test_a_question_that_nobody_answers_in_time_ends_its_run(opened):
    act = await opened()
    made = await act.start(await act.thread_for("asks", answer_within_s=3600), "Choose")
    run = await ended(act, made.run_id, "waiting")
    asked = await act.world.data(made.run_id, "run.waiting_for_input")
    assert run.due_at == asked["due_at"]
    assert run.due_at is not None
    assert 3590 * 1_000_000 < run.due_at - run.since_at <= 3600 * 1_000_000
    await act.world.past(3599)
    assert await act.world.state(made.run_id) == "waiting"
    await act.world.past(2)
    late = await act.world.run(made.run_id)
    assert (late.state, late.reason) == ("failed", "wait_timeout")
    with pytest.raises(InvalidTransition):
        await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "The red one", **ABOUT)
    await act.world.check()


@pytest.mark.parametrize("how", ["cancelled", "late", "answered"])
async def test_what_was_said_before_a_question_stays_in_the_thread_whatever_becomes_of_it(opened, how):
    act = await opened()
    thread = await act.thread_for("looks", answer_within_s=3600)
    made = await act.start(thread, "Look, then choose")
    await ended(act, made.run_id, "waiting")
    if how == "cancelled":
        await act.world.stop(made.run_id)
    elif how == "late":
        await act.world.past(3601)
    else:
        await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "The red one", **ABOUT)
    await ended(act, made.run_id)
    rows = act.world.rows("SELECT role, hidden, run_id FROM messages ORDER BY seq")
    looked = [("user", 0, made.run_id), ("assistant", 1, made.run_id), ("tool", 1, made.run_id)]
    chose = [("assistant", 1, made.run_id), ("tool", 1, made.run_id), ("assistant", 0, made.run_id)]
    assert [tuple(row) for row in rows] == looked + (chose if how == "answered" else [])
    following = await act.start(thread, "And now?")
    await ended(act, following.run_id, "waiting", "failed")  # the script has no more turns than the first run took
    prompts = await act.world.data_of(following.run_id, "llm.request", "prompt")
    assert len(prompts[0]) == 1 + len(rows) + 1, "the next run is told all of it, each message once"
    await act.world.check()


async def test_a_run_whose_worker_is_lost_in_an_answer_says_it_again_and_settles_both(opened):
    first = await opened()
    made = await first.start(await first.thread_for("slow"), "Tell")
    await until(lambda: first.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(first.world)
    first.world.clock.advance(5.0)
    await settled(first.world)
    first.world.clock.advance(0.1)
    await settled(first.world)
    await first.world.crash()
    second = await opened()
    await second.world.reap(120)
    run = await ended(second, made.run_id)
    assert run.state == "completed"
    asked = await second.world.data_of(made.run_id, "llm.request", "llm_call_id")
    assert asked == await second.world.data_of(made.run_id, "usage.recorded", "llm_call_id")
    assert await second.world.data_of(made.run_id, "usage.recorded", "estimated") == [True, False]
    assert await second.world.data_of(made.run_id, "message.reset", "segment_id") == asked[:1]
    assert msgspec.json.decode((await second.world.events(made.run_id))[-1].data or b"")["output"] == "Once upon a time"
