"""What calls of models reserve and cost: kept in one transaction with the log, given back at any end, never over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.providers.scripted import Script
from runwright.clock import FrozenClock
from runwright.domain import agent_events as a
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.events import Draft
from runwright.domain.instants import DAY_US
from runwright.domain.persona import PersonaDefinition
from runwright.domain.redaction import RedactedText, compose
from runwright.domain.route import RouteDefinition
from runwright.domain.run import Run
from runwright.domain.shared_budget import Scope
from runwright.domain.thread import Thread
from runwright.errors import NotFound, Overtaken
from runwright.store.inspection import inspect
from tests.engine.acting import Acting, acting, calling, says
from tests.engine.databases import Database
from tests.engine.talking import Talk
from tests.engine.test_cron_servers import Shared
from tests.engine.world import ADMIN, PROJECT, World, settled
from tests.postgres import new_database

HALF_A_DOLLAR = 500_000
OVER = "NEW.settled_microusd + NEW.reserved_microusd > NEW.limit_microusd OR NEW.reserved_microusd < 0"
WITNESS = {
    "sqlite": (
        "CREATE TABLE overs (settled BIGINT, reserved BIGINT)",
        f"CREATE TRIGGER witness BEFORE UPDATE ON budgets WHEN {OVER}"
        " BEGIN INSERT INTO overs VALUES (NEW.settled_microusd, NEW.reserved_microusd); END",
    ),
    "postgresql": (
        "CREATE TABLE overs (settled BIGINT, reserved BIGINT)",
        "CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " INSERT INTO overs VALUES (NEW.settled_microusd, NEW.reserved_microusd); RETURN NEW; END$$",
        f"CREATE TRIGGER witness BEFORE UPDATE ON budgets FOR EACH ROW WHEN ({OVER}) EXECUTE FUNCTION witness()",
    ),
}
"""What makes the database itself note each moment at which more is settled and reserved than the limit is."""


def asked(ident: str, microusd: int | None) -> Draft:
    """Return the record of a call of a model that begins."""
    told = a.ModelRequested(
        llm_call_id=ident,
        turn=1,
        provider="scripted",
        model="story",
        prompt=[],
        input_tokens_at_most=100,
        max_output_tokens=10,
        reserved_microusd=microusd,
    )
    return Draft("llm.request", compose(told))


def used(ident: str, microusd: int | None) -> Draft:
    """Return the record of what a call used."""
    told = a.UsageRecorded(
        llm_call_id=ident,
        provider="scripted",
        model="story",
        input_tokens=50,
        cached_tokens=20,
        output_tokens=5,
        cost_microusd=microusd,
    )
    return Draft("usage.recorded", compose(told))


async def limited(talk: Talk, limit: int, scope: Scope = "project", thread: Thread | None = None) -> None:
    await talk.agents.budgets.set(ADMIN, PROJECT, scope, thread, limit)


def standing(talk: Talk) -> dict[str, tuple[int, int]]:
    """Return what is settled and reserved of each budget, as it is stored."""
    rows = talk.world.rows("SELECT scope, settled_microusd, reserved_microusd FROM budgets")
    return {scope: (spent, reserved) for scope, spent, reserved in rows}


def records(talk: Talk) -> list[tuple[Any, ...]]:
    return talk.world.rows("SELECT llm_call_id, cost_microusd, estimated FROM usage_records ORDER BY llm_call_id")


async def begun(talk: Talk, thread: Thread | None = None) -> Run:
    """Return a run of a thread of its own, claimed."""
    made = await talk.start(thread or await talk.thread(), "Go on")
    (run,) = [run for run in await talk.world.take(5) if run.run_id == made.run_id]
    return run


async def append(talk: Talk, run: Run, *drafts: Draft) -> Run:
    done: Run = await talk.world.engine.commit.apply(c.Append(run.run_id, run.lease_epoch, drafts))
    return done


async def test_a_call_is_reserved_with_its_request_and_settled_with_its_usage(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    for scope in ("project", "day"):
        await limited(talk, 1_000, scope)
    await limited(talk, 500, "thread", thread)
    run = await begun(talk, thread)
    await append(talk, run, asked("llm_1", 400))
    assert standing(talk) == dict.fromkeys(("project", "day", "thread"), (0, 400))
    with pytest.raises(Overtaken):
        await append(talk, run, asked("llm_2", 101))
    await append(talk, run, used("llm_1", 70))
    assert standing(talk) == dict.fromkeys(("project", "day", "thread"), (70, 0))
    assert records(talk) == [("llm_1", 70, 0)]
    with pytest.raises(Overtaken):
        await append(talk, run, asked("llm_2", 431))
    await append(talk, run, asked("llm_2", 430))
    await world.finish(run, o.Completed(), drafts=(used("llm_2", 430),))
    assert standing(talk)["thread"] == (500, 0)
    await world.check()


async def test_what_is_refused_leaves_nothing(world: World):
    talk = Talk(world)
    await limited(talk, 100)
    run = await begun(talk)
    before = await world.types(run.run_id)
    for microusd in (101, None):
        with pytest.raises(Overtaken):
            await append(talk, run, asked("llm_1", microusd))
    assert (await world.types(run.run_id), standing(talk)) == (before, {"project": (0, 0)})
    assert world.rows("SELECT * FROM reservations") == []


async def test_of_calls_in_one_transaction_no_more_begin_than_fit(world: World):
    talk = Talk(world)
    await limited(talk, 250)
    runs = [await begun(talk) for _ in range(4)]
    commands = [c.Append(run.run_id, run.lease_epoch, (asked(f"llm_{n}", 100),)) for n, run in enumerate(runs)]
    answers = await world.engine.commit.apply_all(commands)
    assert [isinstance(each, Overtaken) for each in answers] == [False, False, True, True]
    assert standing(talk) == {"project": (0, 200)}
    await world.check()


@pytest.mark.parametrize("how", ["cancelled", "failed", "fenced", "lost for good", "lost and cancelled"])
async def test_whatever_ends_a_run_nothing_stays_reserved_and_its_open_call_is_settled(world: World, how: str):
    talk = Talk(world)
    await limited(talk, 1_000)
    made = await talk.start(await talk.thread(), "Go on")
    (run,) = await world.take()
    await append(talk, run, asked("llm_1", 400))
    match how:
        case "cancelled":
            await world.stop(run.run_id)
            await world.finish(run, o.Stopped())
        case "failed":
            await world.finish(run, o.Failed(error_class="E", message=RedactedText("no"), retryable=False))
        case "fenced":
            await world.stop(run.run_id)
            await world.reap(60)
        case "lost for good":
            for _ in range(world.settings.agent_recoveries_max):
                await world.reap(120)
                assert (await world.state(run.run_id), standing(talk)) == ("queued", {"project": (0, 400)})
                await world.take()
            await world.reap(120)
        case "lost and cancelled":
            await world.reap(120)
            await world.stop(run.run_id)
    ended = await world.run(made.run_id)
    assert ended.terminal
    assert standing(talk) == {"project": (400, 0)}
    assert world.rows("SELECT * FROM reservations") == []
    assert records(talk) == [("llm_1", 400, 1)]
    assert (ended.usage.cost_microusd, ended.usage.open) == (400, None)
    assert (await world.types(run.run_id))[-2] == "usage.recorded"
    await world.check()


async def test_the_budget_of_a_day_begins_anew_and_what_is_under_way_counts_where_it_ends(world: World):
    talk = Talk(world)
    await limited(talk, 1_000, "day")
    run = await begun(talk)
    await append(talk, run, asked("llm_1", 600))
    await append(talk, run, used("llm_1", 600))
    with pytest.raises(Overtaken):
        await append(talk, run, asked("llm_2", 401))
    await append(talk, run, asked("llm_2", 300))
    world.clock.advance(DAY_US / 1e6)
    found = await talk.agents.budgets.find(ADMIN, PROJECT.project_id, "day", None, world.clock.now())
    assert (found.settled_microusd, found.reserved_microusd, found.left_microusd) == (0, 300, 700)
    await append(talk, run, used("llm_2", 250))
    assert standing(talk) == {"day": (250, 0)}
    await append(talk, run, asked("llm_3", 750))
    await world.check()


async def test_a_budget_counts_what_begins_after_it_was_set_and_forgets_all_when_it_is_removed(world: World):
    talk = Talk(world)
    run = await begun(talk)
    await append(talk, run, asked("llm_1", 600))
    await limited(talk, 1_000)
    await append(talk, run, used("llm_1", 600))
    assert standing(talk) == {"project": (0, 0)}
    await append(talk, run, asked("llm_2", 600))
    found = await talk.agents.budgets.find(ADMIN, PROJECT.project_id, "project", None, 0)
    await talk.agents.budgets.remove(ADMIN, found)
    await limited(talk, 1_000)
    await append(talk, run, used("llm_2", 600))
    assert standing(talk) == {"project": (0, 0)}
    assert [cost for _, cost, _ in records(talk)] == [600, 600]
    await world.check()


async def test_the_budget_of_a_thread_goes_with_it(world: World):
    talk = Talk(world)
    thread = await talk.thread()
    await limited(talk, 1_000, "thread", thread)
    await talk.agents.threads.delete(ADMIN, thread.thread_id)
    assert world.rows("SELECT * FROM budgets") == []
    with pytest.raises(NotFound):
        await limited(talk, 1_000, "thread", thread)


async def test_a_job_run_and_its_reports_ask_no_budget(world: World):
    talk = Talk(world)
    await limited(talk, 1)
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    told = {"provider": "p", "model": "m", "cost_microusd": 50}
    await append(talk, run, Draft("usage.reported", world.redactor.data(told)))
    await world.finish(run, o.Completed())
    assert (await world.run(run_id)).usage.cost_microusd == 50
    assert (standing(talk), records(talk)) == ({"project": (0, 0)}, [])


async def test_the_check_finds_what_is_reserved_for_nobody_and_usage_that_does_not_add_up(world: World):
    talk = Talk(world)
    await limited(talk, 1_000)
    run = await begun(talk)
    await append(talk, run, asked("llm_1", 600))
    await append(talk, run, used("llm_1", 500), asked("llm_2", 100))
    assert await findings(world) == []
    world.database.change("UPDATE budgets SET reserved_microusd = 300")
    world.database.change("UPDATE usage_records SET cost_microusd = 1")
    assert {(each.where, each.how.partition(" ")[0]) for each in await findings(world)} == {
        ("budget", "300"),
        ("usage", "its"),
    }


async def findings(world: World) -> list[Any]:
    return await inspect(world.store, world.artifacts, 1, lambda *_: None, None)


# --- the loop under budgets -------------------------------------------------------------------------------------------

STORY = Script(
    turns=(
        says(*["so "] * 30, calls=(calling("http", "c1", name="a"),)),
        says(*["and "] * 40, calls=(calling("http", "c2", name="b"),)),
        says(*["then "] * 100),
    )
)


@asynccontextmanager
async def servers(tmp_path: Path, databases: list[Database]) -> AsyncIterator[list[Acting]]:
    """Give servers that execute agent runs, ten at a time each, under one clock."""
    clock = FrozenClock()
    made: list[Acting] = []
    for number, database in enumerate(databases):
        act = await acting(tmp_path / f"server-{number}", clock, database, {"story": STORY}, slots=10)
        made.append(act)
        act.world.engine.start()
    try:
        yield made
    finally:
        for act in made:
            await act.world.crash()
            await act.close()


async def story(act: Acting, **persona: Any) -> None:
    """Let threads be answered by a script, at a price at which twenty of them cost more than half a dollar."""
    price = {"input": 20_000_000, "output": 400_000_000}
    given = {"kind": "scripted", "model": "story", "price": price, "max_output_tokens": 60}
    route = msgspec.convert(given, RouteDefinition)
    await act.agents.routes.create(ADMIN, PROJECT, "story", route)
    definition = msgspec.convert({"prompt": "Tell.", "route": "story", "tools": ["http"], **persona}, PersonaDefinition)
    await act.agents.personas.create(ADMIN, PROJECT, "teller", definition)


async def all_ended(acts: list[Acting]) -> None:
    """Let time pass until no run is live any more."""
    for _ in range(2_000):
        if not acts[0].world.rows("SELECT run_id FROM run_heads LIMIT 1"):
            break
        acts[0].world.clock.advance(0.1)
        for act in acts:
            await settled(act.world)
    for act in acts:
        await settled(act.world)


async def spend_together(acts: list[Acting], kind: str) -> None:
    """Twenty runs spend from one budget at once; what they spent is checked to the micro-dollar."""
    first = acts[0]
    await story(first)
    await limited(first, HALF_A_DOLLAR)
    for statement in WITNESS[kind]:
        first.world.database.change(statement)
    threads = [await first.thread(persona_id="teller") for _ in range(20)]
    made = await asyncio.gather(
        *(acts[n % len(acts)].start(thread, "Tell me a story") for n, thread in enumerate(threads))
    )
    await all_ended(acts)
    assert first.world.rows("SELECT * FROM overs") == []
    runs = [await first.world.run(each.run_id) for each in made]
    assert {(run.state, run.reason) for run in runs} == {("completed", None), ("failed", "budget")}
    ((spent, reserved),) = standing(first).values()
    assert reserved == 0
    assert spent <= HALF_A_DOLLAR
    assert spent == sum(run.usage.cost_microusd for run in runs) == sum(cost for _, cost, _ in records(first))
    assert spent > HALF_A_DOLLAR * 9 // 10, "what others have reserved is waited for, not taken for spent"
    begun, ended = [
        first.world.rows("SELECT count(*) FROM run_events WHERE type = ?", name)[0][0]
        for name in ("llm.request", "usage.recorded")
    ]
    assert begun == ended == len(records(first))
    assert first.world.rows("SELECT * FROM reservations") == []
    await first.world.check()


@pytest.mark.timeout(120)
async def test_twenty_runs_under_one_budget_spend_no_micro_dollar_over_it(
    database: Database, database_kind: str, tmp_path: Path
):
    async with servers(tmp_path, [database]) as acts:
        await spend_together(acts, database_kind)


@pytest.mark.timeout(120)
async def test_two_servers_under_one_budget_spend_no_micro_dollar_over_it(tmp_path: Path):
    with new_database() as url:
        async with servers(tmp_path, [Shared(url), Shared(url)]) as acts:
            await spend_together(acts, "postgresql")


async def test_a_run_under_a_spent_budget_asks_and_goes_on_when_it_is_raised(database: Database, tmp_path: Path):
    async with servers(tmp_path, [database]) as (act,):
        await story(act, budget={"on_exceeded": "ask"})
        await limited(act, 1)
        made = await act.start(await act.thread(persona_id="teller"), "Tell me a story")
        for _ in range(200):
            if await act.world.state(made.run_id) == "waiting":
                break
            act.world.clock.advance(0.1)
            await settled(act.world)
        assert (await act.world.data(made.run_id, "budget.exhausted"))["scope"] == "project"
        await limited(act, HALF_A_DOLLAR)
        about: Any = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}
        await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "yes", **about)
        await all_ended([act])
        assert await act.world.state(made.run_id) == "completed"
