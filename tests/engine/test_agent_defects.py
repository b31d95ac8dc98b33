"""What the service that agent runs are modelled on did wrong, each defect under its number, on both databases.

A test is named `test_defect_` and its number, wherever it stands; a house test counts them. Of the 23 there are none
for 22 (passwords of shared threads) and 23 (monthly quotas): there is nothing here that they could be about. Of 12 the
detector of loops, and of 21 the circuit breaker, come with the features that they belong to.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.providers.scripted import Script, Turn
from runwright.agents.tools.port import Fault, Result, Scene
from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.agent_terms import Budget
from runwright.domain.commands import Append
from runwright.domain.events import Draft
from runwright.domain.model_call import Usage
from runwright.domain.persona import PersonaDefinition
from runwright.domain.redaction import compose
from runwright.domain.tools import Ready
from runwright.errors import StaleLease
from tests.engine.acting import Acting, Doing, acting, calling, says
from tests.engine.agents import agent_run, asking
from tests.engine.databases import Database
from tests.engine.talking import Talk
from tests.engine.test_agent_loop import ended
from tests.engine.test_webhooks import PRIVATE, message, posted, signed_by, subscribed
from tests.engine.world import ADMIN, PROJECT, World, all_ended, settled
from tests.executors.endpoint import always, answer, serving
from tests.waiting import until

TURNS = 10
DAY_S = 86_400
SCRIPTS = {
    "story": Script(
        turns=(
            says("Let me look. ", calls=(calling("http", "c1", name="a"), calling("http", "c2", name="b"))),
            says("And do. ", calls=(calling("shell", "c3", name="x"),)),
            says("The ", "end."),
        )
    ),
    "dear": Script(turns=(Turn(text=("So",), usage=Usage(input_tokens=5_000_000, output_tokens=9)),)),
    "slow": Script(turns=(Turn(text=("Once ", "upon ", "a time"), delay_s=5.0),)),
    "asks": Script(turns=(says(calls=(calling("ask_user", "q", question="Which?"),)), says("Good."))),
    "long": Script(
        turns=(
            *(says(f"{n}. ", calls=(calling("http", f"c{n}", name=str(n)),)) for n in range(TURNS - 1)),
            says("End."),
        )
    ),
}
SAYING: dict[str, Any] = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}
Opener = Callable[..., Awaitable[Acting]]


@pytest.fixture
async def opened(database: Database, tmp_path: Path) -> AsyncIterator[Opener]:
    """Return what opens a world that executes agent runs by these scripts, over the test's database."""
    made: list[Acting] = []
    clock = FrozenClock()

    async def opening(http: Doing | None = None, *, starts: bool = True) -> Acting:
        act = await acting(tmp_path / "data", clock, database, SCRIPTS, http)
        made.append(act)
        if starts:
            act.world.engine.start()
        return act

    yield opening
    for act in made:
        if act.world.opened:
            await act.world.crash()
        await act.close()


@pytest.fixture
async def sending(open_world: Callable[..., Awaitable[World]]) -> World:
    """Return a world that may send to this machine."""
    return await open_world(**PRIVATE)


async def logged(act: Acting, run_id: str, type: str) -> list[dict[str, Any]]:
    """Return the data of the events of a type."""
    return [msgspec.json.decode(e.data or b"") for e in await act.world.events(run_id) if e.type == type]


async def speaking(act: Acting) -> str:
    """Start a run and return its id when the model has said its first word."""
    made = await act.start(await act.thread_for("slow"), "Tell")
    await until(lambda: act.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(act.world)
    act.world.clock.advance(5.0)
    await settled(act.world)
    return made.run_id


async def test_defect_1_a_run_that_costs_more_than_there_was_ends_once_and_its_cost_is_kept(opened: Opener):
    act = await opened()
    made = await act.start(await act.thread_for("dear", budget={"cost_microusd": 100_000}), "How much?")
    run = await ended(act, made.run_id)
    assert (run.state, run.attempt) == ("completed", 1)
    assert run.usage.cost_microusd == 5_000_000 + 4 * 9
    assert len(await logged(act, made.run_id, "llm.request")) == 1
    assert act.world.rows("SELECT count(*) FROM attempts") == [(1,)]
    await act.world.check()


async def test_defect_2_after_a_crash_a_run_goes_on_where_it_was_and_repeats_nothing(opened: Opener):
    first = await opened()
    first.shell.open.clear()
    made = await first.start(await first.thread_for("story"), "Tell me a story")
    await until(lambda: first.shell.begun)
    await settled(first.world)
    await first.world.crash()
    second = await opened()
    await second.world.reap(120)
    assert (await ended(second, made.run_id)).state == "completed"
    assert (len(first.http.begun), second.http.begun) == (2, []), "what had ended is not made again"
    assert (len(first.shell.begun), second.shell.begun) == (1, []), "what may have happened is not either"
    turns = [each["turn"] for each in await logged(second, made.run_id, "llm.request")]
    assert turns == [1, 2, 3], "no answer was asked for again"
    await second.world.check()


async def test_defect_3_who_lost_its_lease_writes_nothing_and_ends_nothing(world: World):
    await world.engine.commit.apply(agent_run(world))
    (lost,) = await world.take(worker_id="wrk-1")
    await world.reap(120)
    (run,) = await world.take(worker_id="wrk-2")
    assert run.lease_epoch > lost.lease_epoch
    before = await world.events(run.run_id)
    said = {"content": "late", "role": "assistant", "channel": "final", "segment_id": "s"}
    late = Append(lost.run_id, lost.lease_epoch, (Draft("message.delta", compose(said)),))
    with pytest.raises(StaleLease):
        await world.engine.commit.apply(late)
    with pytest.raises(StaleLease):
        await world.finish(lost, o.Completed())
    assert await world.events(run.run_id) == before
    await world.finish(run, o.Completed())
    with pytest.raises(StaleLease):
        await world.finish(lost, o.Failed(error_class="Late", message=world.redactor.text("late")))
    assert await world.state(run.run_id) == "completed"
    await world.check()


async def test_defect_4_a_cancel_keeps_what_was_said_what_was_used_and_what_it_cost(opened: Opener):
    act = await opened()
    run_id = await speaking(act)
    await act.world.stop(run_id)
    run = await ended(act, run_id)
    assert run.state == "cancelled"
    assert (await act.world.data(run_id, "run.cancelled"))["partial_output"] == "Once "
    (used,) = await logged(act, run_id, "usage.recorded")
    assert run.usage.cost_microusd == used["cost_microusd"] > 0
    assert run.usage.output_tokens == used["output_tokens"] > 0


async def test_defect_5_prompts_are_kept_once_and_no_event_holds_one(opened: Opener):
    act = await opened()
    thread = await act.thread_for("long", prompt="The prompt of the persona.")
    made = await act.start(thread, "What the user said.")
    assert (await ended(act, made.run_id)).state == "completed"
    asked = await logged(act, made.run_id, "llm.request")
    assert [len(each["prompt"]) for each in asked] == [2 + 2 * n for n in range(TURNS)], "each turn names what it told"
    kept = act.world.rows("SELECT key FROM run_values WHERE kind = 'prompt' AND run_id = ?", made.run_id)
    assert {key for (key,) in kept} == {digest for each in asked for digest in each["prompt"]}
    assert len(kept) == 2 * TURNS, "each message once, however many turns were told it"
    log = await act.world.events(made.run_id)
    assert all(b"The prompt of the persona." not in (event.data or b"") for event in log)
    assert all(b"What the user said." not in (event.data or b"") for event in log if event.type == "llm.request")


async def test_defect_6_the_ends_of_lost_agent_runs_are_told_and_signed_with_a_secret_that_was_shown(sending: World):
    async with serving(always(answer(b""))) as endpoint:
        secret = (await subscribed(sending, endpoint.url)).secret
        assert secret
        await sending.engine.commit.apply(agent_run(sending))
        for _ in range(6):
            await sending.take()
            await sending.reap(120)
        ((run_id,),) = sending.rows("SELECT run_id FROM runs")
        assert (await sending.run(run_id)).state == "failed"
        await posted(sending)
        (received,) = endpoint.received
        assert message(received).data.run_id == run_id
        assert signed_by(secret, received)


async def test_defect_7_nothing_waits_while_a_model_streams(opened: Opener):
    act = await opened()
    run_id = await speaking(act)
    await act.agents.inputs.say(act.world.reader(), ADMIN, run_id, "Faster", **{**SAYING, "mode": "steer"})
    assert (await act.world.types(run_id))[-1] == "run.input_received", "the model has said one word of three"
    await act.world.stop(run_id)
    assert (await ended(act, run_id)).state == "cancelled"


async def test_defect_8_whatever_asks_for_a_turn_at_once_one_run_has_it_and_no_slot_is_lost(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    first = await talk.start(thread, "Hello")
    (run,) = await world.take()
    await talk.answer(run, "Hello!")
    asked = [talk.retry(thread) for _ in range(5)] + [talk.start(thread, str(n)) for n in range(5)]
    asked += [talk.start(thread, str(n), on_busy="enqueue") for n in range(5)]
    asked += [talk.start(thread, str(n), on_busy="interrupt") for n in range(5)]
    await asyncio.gather(*asked, return_exceptions=True)
    assert len(talk.active(thread)) == 1
    await world.check()
    while runs := await world.take(5):
        (run,) = runs
        await talk.answer(run, "Yes")
        await world.check()
        assert len(talk.active(thread)) <= 1
    assert world.rows("SELECT run_id FROM run_heads") == []
    assert first.run_id != run.run_id


async def test_defect_10_no_reaper_ends_a_run_that_waits_for_a_person(opened: Opener):
    act = await opened()
    made = await act.start(await act.thread_for("asks"), "Choose")
    await ended(act, made.run_id, "waiting")
    await act.world.reap(30 * DAY_S)
    assert (await act.world.run(made.run_id)).state == "waiting"
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "That one", **SAYING)
    assert (await ended(act, made.run_id)).state == "completed"


async def test_defect_10_nor_one_that_is_silent_under_its_lease(world: World):
    await world.engine.commit.apply(agent_run(world))
    (run,) = await world.take()
    for _ in range(30):
        world.clock.advance(20)
        await world.engine.fleet.touch(await world.engine.fleet.attempt(run.run_id, run.lease_epoch), now=True)
        await world.reap()
    assert await world.state(run.run_id) == "executing"


@pytest.mark.parametrize(("name", "limit"), [("turns", 2), ("tool_calls", 1), ("tokens", 900)])
async def test_defect_12_a_budget_ends_the_run(opened: Opener, name: str, limit: int):
    act = await opened()
    made = await act.start(await act.thread_for("long", budget={name: limit}), "Go on")
    run = await ended(act, made.run_id)
    failed = await act.world.data(made.run_id, "run.failed")
    assert (run.state, failed["reason"], failed["code"]) == ("failed", "budget", "budget.exhausted")
    assert await act.world.data_of(made.run_id, "budget.exhausted", "limit_name") == [name]


async def test_defect_13_a_retry_is_the_run_again_whatever_became_of_the_thread_since(opened: Opener):
    act = await opened()
    thread = await act.thread_for("echo")
    made = await act.start(thread, "Say it", budget=Budget(turns=3))
    await ended(act, made.run_id)
    await act.agents.personas.create(ADMIN, PROJECT, "teller", PersonaDefinition(prompt="Another.", route="local"))
    again = await act.retry(thread)
    run, before = await ended(act, again.run_id), await act.world.run(made.run_id)
    assert run.state == "completed"
    terms, former = run.spec.agent, before.spec.agent
    assert terms is not None
    assert former is not None
    assert (terms.persona_id, terms.route_id, terms.model) == (former.persona_id, former.route_id, former.model)
    assert (terms.budget, terms.retry_of) == (former.budget, made.run_id)


async def test_defect_14_what_was_said_is_heard_once_though_the_worker_is_lost(opened: Opener):
    first = await opened()
    made = await first.start(await first.thread_for("asks"), "Choose")
    run = await ended(first, made.run_id, "waiting")
    assert (await first.world.data(made.run_id, "run.waiting_for_input"))["request_id"]
    await first.agents.inputs.say(first.world.reader(), ADMIN, made.run_id, "The red one", **SAYING)
    await first.world.crash()
    second = await opened()
    await second.world.reap(120)
    run = await ended(second, made.run_id)
    assert run.state == "completed"
    assert [each["result"] for each in await logged(second, made.run_id, "tool.result")] == ["The red one"]
    assert (await second.world.types(made.run_id)).count("run.input_received") == 1


async def test_defect_15_the_database_itself_refuses_a_number_twice(world: World):
    run = await asking(world)
    (row,) = world.rows("SELECT type, lease_epoch, created_at FROM run_events WHERE run_id = ? AND seq = 2", run.run_id)
    with pytest.raises(Exception, match=r"(?i)unique"):
        world.database.change(
            "INSERT INTO run_events (run_id, seq, type, level, actor, message, lease_epoch, created_at, hash)"
            " SELECT run_id, seq, type, level, actor, message, lease_epoch, created_at, hash"
            " FROM run_events WHERE run_id = ? AND seq = 2",
            run.run_id,
        )
    assert row == world.rows("SELECT type, lease_epoch, created_at FROM run_events WHERE seq = 2")[0]


async def test_defect_16_retention_takes_the_log_and_leaves_what_the_run_was_made_with(open_world):
    world = await open_world(retention_days=7)
    talk = Talk(world)
    made = await talk.start(await talk.thread(), "Hello")
    (run,) = await world.take()
    await talk.answer(run, "Hello!")
    before = (await world.run(made.run_id)).spec.agent
    world.clock.advance(8 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    record = await world.record(made.run_id)
    assert record.pruned_at is not None
    assert world.rows("SELECT seq FROM run_events") == []
    assert record.run.spec.agent == before
    assert before is not None
    assert before.persona_id == "default@1"


async def test_defect_17_a_run_speaks_as_the_version_that_it_pinned(opened: Opener):
    act = await opened(starts=False)
    thread = await act.thread_for("echo", prompt="The first version.")
    made = await act.start(thread, "Hello")
    changed = PersonaDefinition(prompt="The second version.", route="story")
    await act.agents.personas.create(ADMIN, PROJECT, "teller", changed)
    act.world.engine.start()
    assert (await ended(act, made.run_id)).state == "completed"
    record = await act.world.record(made.run_id)
    kept = await act.world.reader().values(record, "prompt")
    assert [each.value["system"] for each in kept if "system" in each.value] == ["The first version."]


async def test_defect_19_what_has_ended_leaves_no_work_behind_and_goes_with_retention(open_world):
    world = await open_world(retention_days=7, summary_retention_days=8)
    await world.engine.commit.apply(agent_run(world))
    for _ in range(6):
        await world.take()
        await world.reap(120)
    ((run_id,),) = world.rows("SELECT run_id FROM runs")
    run = await world.run(run_id)
    assert (run.state, run.reason) == ("failed", "crash"), "a run that nobody could execute is no silent one"
    for table in ("run_heads", "ready", "held", "leases", "timers"):
        assert world.rows(f"SELECT run_id FROM {table}") == [], table
    world.clock.advance(20 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT run_id FROM runs") == []


class Failing(Doing):
    """Fails the call of one name, and makes the others."""

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Fail, or do it."""
        if call.arguments.get("name") == "a":
            return Fault("tool.failed", "it broke")
        return await super().call(call, scene)


async def test_defect_20_a_call_that_fails_spoils_no_other(opened: Opener):
    act = await opened(http=Failing("http", "read_only"))
    made = await act.start(await act.thread_for("story"), "Tell me a story")
    assert (await ended(act, made.run_id)).state == "completed"
    results = {each["tool_call_id"]: each.get("error") for each in await logged(act, made.run_id, "tool.result")}
    assert {ident: error and error["code"] for ident, error in results.items()} == {
        "c1": "tool.failed",
        "c2": None,
        "c3": None,
    }
    await all_ended(act.world)
