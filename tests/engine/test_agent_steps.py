"""Agent steps of runtime runs: the loop of agents over the run's own log, workspace and budget, wherever a server dies.

With `RUNWRIGHT_TEST_SOAK` a server dies behind every event, without it behind some.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.providers.scripted import Script, Turn
from runwright.domain import orchestration
from runwright.domain.agent_terms import Budget
from runwright.domain.course import Course
from runwright.domain.events import Draft
from runwright.domain.globs import Scope
from runwright.domain.persona import PersonaDefinition
from runwright.domain.route import RouteDefinition
from runwright.domain.run import Run
from runwright.domain.runtime_terms import AgentStep, GateStep, ReportStep, RunPolicy
from runwright.errors import InvalidRequest, NotFound
from runwright.governance.step_models import Models
from runwright.sandbox.means import Means
from tests.engine.acting import calling, says
from tests.engine.databases import Database
from tests.engine.test_runtime_deaths import SOAK, Stage
from tests.engine.world import ADMIN, PROJECT, settled

"""What an agent does in its step is above the store. `test_agent_deaths` tries deaths on both."""


WORKS = Script(
    turns=(
        says("Let me ", "see.", calls=(calling("shell", "c1", command="echo one >> lines"),)),
        says(calls=(calling("files", "c1", action="write", path="said", content="hello"),)),
        says("It is ", "done: ", "hunter2-the-secret."),
    )
)
TRIES = Script(
    turns=(
        says(
            calls=(
                calling("files", "f", action="write", path="here", content="x"),
                calling("shell", "s", command="echo x > here"),
                calling("python", "p", code="open('here', 'w').write('x')"),
                calling("http", "h", method="GET", url="https://example.com"),
                calling("ask_user", "q", question="May I?"),
            )
        ),
        says("I could not."),
    )
)
SLOW = Script(turns=(Turn(text=("Once ", "upon ", "a time"), delay_s=5.0),))
TALKS = Script(
    turns=(
        *(says("Word ", "by ", "word", calls=(calling("files", "l", action="list"),)) for _ in range(4)),
        says("End."),
    )
)
SCRIPTS = {"works": WORKS, "tries": TRIES, "slow": SLOW, "talks": TALKS}
WORK, AGAIN = AgentStep(step_id="work", task="Write it."), AgentStep(step_id="again", task="Write it again.")
TWICE = GateStep(step_id="twice", command=("sh", "-c", 'test "$(echo $(cat lines said))" = "one one hello"'))
STEPS = (WORK, AGAIN, TWICE, ReportStep(step_id="report"))
PRICE = {"input": 1_000_000, "output": 4_000_000}
POINTS = (4, 5, 8, 9, 13, 17, 26)
"""Behind these events a server dies, if not behind each: while a model answers, in calls of tools, between steps."""


@pytest.fixture
async def stage(database: Database, tmp_path: Path, means: Means) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "data", database, means, SCRIPTS)
    await made.open()
    for name in SCRIPTS:
        await route(made, name, price=PRICE)
    yield made
    if made.world.opened:
        await made.world.crash()


async def route(stage: Stage, name: str, **more: Any) -> None:
    """Make a route to a script, both of the same name."""
    definition = msgspec.convert({"kind": "scripted", "model": name, **more}, RouteDefinition)
    await stage.agents.routes.create(ADMIN, PROJECT, name, definition)


def by(script: str) -> Models:
    """Return the word that chooses a script."""
    return Models(orchestrator=script)


async def done(stage: Stage, *steps: Any, script: str = "works", **more: Any) -> Run:
    """Make a run and return it when it has ended."""
    run_id = await stage.order(*steps, models=by(script), **more)
    await stage.until(run_id)
    return await stage.world.run(run_id)


def course_of(run: Run) -> Course:
    assert run.course is not None
    return run.course


async def check(stage: Stage, run_id: str) -> None:
    """Check that each step was done once, that its work is there once, and that the log says what the run says."""
    world = stage.world
    run = await world.run(run_id)
    course = course_of(run)
    assert (run.state, course.gate_status) == ("completed", "passed"), await world.types(run_id)
    assert await world.data_of(run_id, "step.completed", "step_id") == [step.ident for step in STEPS]
    assert [step.detail for step in course.done[:2]] == ["It is done: [redacted:known]."] * 2
    told = Course()
    for event in await world.events(run_id):
        told = orchestration.follow(told, [Draft(event.type, event.data)], event.created_at)  # type: ignore[arg-type]
    assert course == told, "the course that is kept is what the log folds into"
    calls = await world.data_of(run_id, "tool.result", "tool_call_id")
    assert len(calls) == len(set(calls)) == 5, "no call has the id of another step's, and none is answered twice"
    assert course.tool_calls == 5
    asked = await world.data_of(run_id, "llm.request", "llm_call_id")
    assert sorted(await world.data_of(run_id, "usage.recorded", "llm_call_id")) == sorted(asked)
    await world.check_run(run)


async def test_wherever_a_server_dies_an_agent_step_goes_on_in_its_conversation(stage: Stage):
    first = await done(stage, *STEPS)
    await check(stage, first.run_id)
    assert len(await stage.world.data_of(first.run_id, "llm.request", "llm_call_id")) == 6
    points = first.seq
    assert points > max(POINTS)
    for at in range(2, points) if SOAK else POINTS:
        run_id = await stage.order(*STEPS, models=by("works"))
        await stage.until(run_id, at)
        await stage.die()
        await stage.until(run_id)
        await check(stage, run_id)
    await stage.world.check()


@pytest.mark.parametrize(("share", "steps"), [(-99, 0), (0.4, 1), (1.2, 2)])
@pytest.mark.parametrize("name", ["tokens", "cost_microusd"])
async def test_no_limit_of_a_run_is_passed_by_all_its_steps_together(stage: Stage, name: str, share: float, steps: int):
    alone = await done(stage, WORK)
    tokens = alone.usage.input_tokens + alone.usage.output_tokens
    one = alone.usage.cost_microusd if name == "cost_microusd" else tokens
    room = max(await stage.world.data_of(alone.run_id, "llm.request", "input_tokens_at_most"))  # of a call, reserved
    limit = max(room + int(one * share), 1)
    run = await done(stage, WORK, AGAIN, AgentStep(step_id="last", task="Once more."), budget=Budget(**{name: limit}))
    course, usage = course_of(run), run.usage
    used = usage.cost_microusd if name == "cost_microusd" else usage.input_tokens + usage.output_tokens
    assert used <= limit
    assert (run.state, course.exhausted) == ("completed", name)
    assert course.stop is not None
    assert course.stop.code == {"tokens": "MAX_TOKENS_EXCEEDED", "cost_microusd": "MAX_COST_EXCEEDED"}[name]
    assert course.open is None
    assert [step.status for step in course.done].count("succeeded") == steps
    types = await stage.world.types(run.run_id)
    assert types.count("budget.exhausted") == 1
    assert types.count("budget.warning") <= 1
    await stage.world.check()


async def test_calls_of_tools_count_with_commands_and_a_limit_is_warned_of_at_the_percentage_of_the_order(stage: Stage):
    run = await done(
        stage, WORK, GateStep(step_id="fine", command=("true",)), AGAIN, budget=Budget(tool_calls=3), warn_at_pct=50
    )
    course = course_of(run)
    assert (course.tool_calls, course.exhausted, course.warned[0]) == (3, "tool_calls", "tool_calls")
    assert await stage.world.data_of(run.run_id, "budget.warning", "used") == [2]


async def test_turns_are_the_limit_of_a_step_and_the_run_goes_on_if_it_may(stage: Stage):
    short = AgentStep(step_id="short", task="Talk.", max_turns=2, on_failure="continue")
    run = await done(stage, short, GateStep(step_id="fine", command=("true",)), script="talks")
    course = course_of(run)
    assert [step.status for step in course.done] == ["failed", "succeeded"]
    assert "turns" in course.done[0].detail
    assert (course.exhausted, course.gate_status, course.stop and course.stop.code) == (None, "passed", "NONE")


@pytest.mark.parametrize("mode", ["advice", "audit_readonly"])
async def test_a_model_cannot_write_where_the_mode_lets_it_not_nor_reach_a_network_or_a_person(stage: Stage, mode: str):
    none = GateStep(step_id="none", command=("sh", "-c", "test ! -e here"))
    run = await done(stage, AgentStep(step_id="try", task="Write."), none, script="tries", mode=mode)
    course = course_of(run)
    assert (run.state, course.gate_status, course.snapshot) == ("completed", "passed", None)
    denied = await stage.world.data_of(run.run_id, "tool.denied", "tool_call_id")
    assert len(denied) == 3, "files:write, http and ask_user are no tools here"
    assert len(await stage.world.data_of(run.run_id, "tool.result", "tool_call_id")) == 3
    results = await stage.world.data_of(run.run_id, "tool.result", "result")
    assert all("ead-only" in str(result) for result in results[:2]), results


async def test_what_a_call_changes_out_of_its_scope_is_undone_and_told_with_its_path_and_the_run_goes_on(stage: Stage):
    there = GateStep(step_id="there", command=("sh", "-c", "test -e lines && test ! -e said"))
    policy = RunPolicy(paths=Scope(allow=("lines",)))
    run = await done(stage, WORK, there, script="works", policy=policy)
    course = course_of(run)
    assert (run.state, course.gate_status, course.denied) == ("completed", "passed", None)
    told = await stage.world.data(run.run_id, "policy.denied")
    assert (told["subject"], told["rule_id"], told["code"]) == ("said", "policy.paths", "PATH_OUT_OF_SCOPE")
    refused = [event for event in await stage.world.events(run.run_id) if b"workspace.refused" in (event.data or b"")]
    assert [event.type for event in refused] == ["tool.result"]
    calls = await stage.world.data_of(run.run_id, "tool.call", "tool_call_id")
    assert told["tool_call_id"] in calls


async def test_a_policy_on_commands_leaves_a_model_no_command_and_a_persona_what_it_confirms_is_refused(stage: Stage):
    run = await done(stage, WORK, script="works", policy=RunPolicy(commands=("true",)))
    assert run.spec.speaks is not None
    assert run.spec.speaks.tools == ("files",)
    assert len(await stage.world.data_of(run.run_id, "tool.denied", "tool_call_id")) == 1
    definition = msgspec.convert({"prompt": "Careful.", "risk_threshold": "medium"}, PersonaDefinition)
    await stage.agents.personas.create(ADMIN, PROJECT, "default", definition)
    run = await done(stage, WORK)
    assert len(await stage.world.data_of(run.run_id, "tool.denied", "tool_call_id")) == 2
    assert (run.state, course_of(run).snapshot) == ("completed", None)


async def begun(stage: Stage, script: str) -> str:
    """Make a run and return it when its model has begun to answer."""
    run_id = await stage.order(WORK, models=by(script))
    async for _ in stage.world.engine.hub.events(run_id, 0, live=True):
        if "llm.request" in await stage.world.types(run_id):
            await settled(stage.world)
            return run_id
    raise AssertionError


async def test_a_run_is_cancelled_in_the_middle_of_an_answer_which_is_settled(stage: Stage):
    run_id = await begun(stage, "slow")
    await stage.world.stop(run_id)
    await stage.until(run_id)
    run = await stage.world.run(run_id)
    stop = course_of(run).stop
    assert (run.state, stop and stop.code) == ("cancelled", "MANUAL_STOP")
    assert len(await stage.world.data_of(run_id, "usage.recorded", "llm_call_id")) == 1
    assert run.usage.open is None
    await stage.world.check()


async def test_a_run_that_was_paused_in_an_answer_asks_again_and_ends(stage: Stage):
    run_id = await begun(stage, "slow")
    await stage.world.stop(run_id, "pause")
    while await stage.world.state(run_id) != "paused":
        await settled(stage.world)
    await stage.world.resume(run_id)
    while not (await stage.world.run(run_id)).terminal:
        stage.world.clock.advance(1)
        await settled(stage.world)
    run = await stage.world.run(run_id)
    assert (run.state, course_of(run).done[0].detail) == ("completed", "Once upon a time")
    assert len(await stage.world.data_of(run_id, "usage.recorded", "llm_call_id")) == 2
    assert await stage.world.data_of(run_id, "step.completed", "status") == ["succeeded"]
    await stage.world.check()


async def test_a_run_whose_model_refuses_has_not_done_its_job_and_says_why_it_refused(stage: Stage):
    await route(stage, "gone")
    run = await done(stage, WORK, script="gone")
    course = course_of(run)
    assert (run.state, course.stop and course.stop.code) == ("failed", "LLM_UNAVAILABLE")
    failed = await stage.world.data(run.run_id, "run.failed")
    assert (failed["code"], failed["details"]) == ("providers.rejected", {"reason": "unsupported"})
    assert [step.status for step in course.done] == ["failed"]


async def test_the_model_is_pinned_when_the_run_is_made(stage: Stage):
    await route(stage, "echo")
    chosen = await stage.order(WORK, models=by("auto"), budget=Budget(cost_microusd=10**9))
    await stage.until(chosen)
    terms = (await stage.world.run(chosen)).spec.speaks
    assert terms is not None
    assert (terms.model, terms.price is None, terms.thread_id) == ("echo", False, "")
    with pytest.raises(InvalidRequest):
        await stage.order(ReportStep(), models=by("works"))
    with pytest.raises(NotFound):
        await stage.order(WORK, models=by("nowhere"))
