"""A workflow makes each of its steps once, in order, whatever fails, is stopped, or is asked at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.commands import Restart, Wake
from runwright.domain.errands import errand
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.replays import Replay
from runwright.errors import AlreadyExists, Conflict, Gone, InvalidRequest, InvalidTransition, NotFound
from runwright.store.base import ChangeSet, Transaction
from tests.engine.flowing import (
    diamond,
    flow,
    launch,
    payload_of,
    result,
    settle,
    standings,
    steps_of,
    turn,
    work_off,
)
from tests.engine.test_dependencies import errands, stored
from tests.engine.world import ADMIN, PROJECT, World, failed

DONE = "completed"


@pytest.fixture
async def town(world: World) -> World:
    """Return a world with a project and four jobs."""
    return await settle(world)


async def test_06_a_diamond_that_completes_hands_results_on(town: World):
    run_id = await launch(town, await flow(town, diamond()), payload={"who": "ada"})
    await errands(town)
    run = await town.run(run_id)
    assert (run.state, run.reason, run.spec.kind, run.spec.triggered_by) == ("waiting", "child", "workflow", "manual")
    assert await standings(town, run_id) == {"top": "queued"}
    await turn(town)
    assert await standings(town, run_id) == {"top": DONE, "left": "queued", "right": "queued"}
    await work_off(town)
    steps = await steps_of(town, run_id)
    assert {run.state for run in steps.values()} == {DONE}
    for key, step in steps.items():
        assert (step.spec.triggered_by, step.spec.kind, step.spec.parent_run_id) == ("workflow", "job", run_id)
        assert step.spec.workflow_step_run_id == f"{run_id}.step.{key}"
    assert await payload_of(town, steps["left"].run_id) == {"who": "ada"}
    assert await payload_of(town, steps["right"].run_id) == {"n": "top"}
    assert await payload_of(town, steps["bottom"].run_id) == {"left": "left", "of": "ada", "first": {"n": "top"}}
    ended = await town.record(run_id)
    assert ended.run.state == DONE
    told = town.engine.values.open(PROJECT.project_id, run_id, "result", ended.result)
    assert told == {"steps": dict.fromkeys(("top", "left", "right", "bottom"), DONE)}
    await town.check()


@pytest.mark.parametrize(
    ("on_failure", "last", "end"),
    [("fail", None, "failed"), ("skip_dependents", None, DONE), ("continue", DONE, DONE)],
)
async def test_06_a_diamond_with_one_failure(town: World, on_failure: str, last: str | None, end: str):
    run_id = await launch(town, await flow(town, diamond(on_failure)))
    await work_off(town, {"left"})
    found = await standings(town, run_id)
    assert (found["top"], found["left"], found["right"], found.get("bottom")) == (DONE, "failed", DONE, last)
    run = await town.run(run_id)
    assert run.state == end
    if end == "failed":
        assert (run.error_class, run.error) == ("StepFailed", "the step 'left' failed: boom")
        assert run.dead_lettered_at is None
    if last is None:
        assert await town.data(run_id, "workflow.step_skipped") == {"step": "bottom", "because": ["left"]}
    else:
        assert (await payload_of(town, (await steps_of(town, run_id))["bottom"].run_id))["left"] is None
    await town.check()


async def test_a_workflow_that_fails_waits_for_what_was_started(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await turn(town)
    for run in await town.take(2):
        if run.spec.step == "left":
            await town.finish(run, failed())
    await errands(town)
    assert await town.state(run_id) == "waiting"
    await work_off(town)
    assert (await town.state(run_id), "bottom" in await steps_of(town, run_id)) == ("failed", False)


async def test_who_leads_a_workflow_on_at_the_same_time_makes_each_step_once(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    advances = town.engine.flows.advances
    while await town.state(run_id) == "waiting":
        await asyncio.gather(*(advances._lead(run_id) for _ in range(3)))
        await steps_of(town, run_id)
        for run in await town.take(10):
            await town.finish(run, o.Completed())
    types = await town.types(run_id)
    assert (types.count("workflow.step_started"), types.count("workflow.step_ended")) == (4, 4)
    await town.check()


async def test_an_errand_that_is_done_again_starts_nothing_again(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await turn(town)

    async def leave(tx: Transaction) -> None:
        await tx.apply(ChangeSet(inbox=[(run_id, errand("advance", run_id))] * 3))

    await town.store.write(leave)
    await errands(town)
    assert len(await steps_of(town, run_id)) == 3
    await work_off(town)
    await town.store.write(leave)
    await errands(town)
    assert len(await steps_of(town, run_id)) == 4
    await town.check()


async def test_what_left_no_errand_is_found_by_the_loop_beneath(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await turn(town)
    for run in await town.take(2):
        await town.finish(run, o.Completed())
    town.database.change("DELETE FROM inbox WHERE entry > ?", -1)
    await town.round_of(town.engine.inbox.loop)
    assert "bottom" not in await standings(town, run_id)
    await town.round_of(town.engine.flows.advances.loop)
    assert (await standings(town, run_id))["bottom"] == "queued"


async def test_cancelling_a_workflow_cancels_its_steps_and_starts_none(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await turn(town)
    await town.stop(run_id)
    await errands(town)
    assert (await town.run(run_id)).state == "cancelled"
    assert await standings(town, run_id) == {"top": DONE, "left": "cancelled", "right": "cancelled"}
    assert (await steps_of(town, run_id))["left"].reason == "parent"
    await town.check()


async def test_a_pause_reaches_the_steps_and_the_resume_lets_go_on_what_it_paused(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await turn(town)
    steps = await steps_of(town, run_id)
    await town.stop(steps["right"].run_id, "pause")
    (left,) = await town.take(1)
    assert left.spec.step == "left"
    await town.stop(run_id, "pause")
    await errands(town)
    left = await town.run(left.run_id)
    assert (left.state, left.pause_requested_at is not None) == ("executing", True)
    await town.resume(run_id)
    await errands(town)
    await town.finish(left, o.Stopped())
    await errands(town)
    assert await standings(town, run_id) == {"top": DONE, "left": "queued", "right": "paused"}
    await town.stop(run_id, "pause")
    await errands(town)
    assert (await town.run(left.run_id)).reason == "parent"
    assert (await town.run(steps["right"].run_id)).reason == "operator"
    await town.resume(steps["right"].run_id)
    for run in await town.take(2):
        await town.finish(run, o.Completed())
    await errands(town)
    assert (await town.state(run_id), "bottom" in await steps_of(town, run_id)) == ("paused", False)
    await town.resume(run_id)
    await work_off(town)
    assert await town.state(run_id) == DONE
    await town.check()


async def test_what_ends_while_a_workflow_is_paused_takes_effect_when_it_is_resumed(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await errands(town)
    (top,) = await town.take(1)
    await town.stop(run_id, "pause")
    await town.finish(top, o.Completed())
    await errands(town)
    assert (await town.state(run_id), await standings(town, run_id)) == ("paused", {"top": DONE})
    await town.resume(run_id)
    await errands(town)
    assert await standings(town, run_id) == {"top": DONE, "left": "queued", "right": "queued"}


async def test_a_workflow_that_takes_too_long_fails_with_its_steps(town: World):
    run_id = await launch(town, await flow(town, diamond(), timeout_secs=60))
    await turn(town)
    await town.past(61)
    await errands(town)
    run = await town.run(run_id)
    assert (run.state, run.reason, run.error) == (
        "failed",
        "wait_timeout",
        "the workflow took longer than its time-out",
    )
    assert await standings(town, run_id) == {"top": DONE, "left": "cancelled", "right": "cancelled"}
    await town.check()


async def test_a_step_whose_run_cannot_be_made_has_failed(town: World):
    steps: list[dict[str, Any]] = [
        {"key": "a", "job": "fetch", "on_failure": "continue"},
        {"key": "b", "job": "left", "depends_on": ["a"]},
        {"key": "c", "job": "right", "depends_on": ["b"]},
    ]
    workflow = await flow(town, steps)
    for slug in ("fetch", "left"):
        job = await town.engine.jobs.directory.find(ADMIN, slug, PROJECT)
        await town.engine.jobs.update(ADMIN, job, {"enabled": False})
    run_id = await launch(town, workflow)
    await errands(town)
    run = await town.run(run_id)
    assert (run.state, await steps_of(town, run_id)) == ("failed", {})
    assert run.error == "the step 'b' failed: the job 'left' is disabled; enable it first"
    assert await town.data_of(run_id, "workflow.step_ended", "error_class") == ["jobs.disabled"] * 2


async def test_a_step_overrides_what_its_job_says(town: World):
    steps = [{"key": "a", "job": "fetch", "max_attempts": 2, "timeout_secs": 7, "retry_initial_delay_secs": 3}]
    run_id = await launch(town, await flow(town, steps), debug_mode=True)
    await errands(town)
    spec = (await steps_of(town, run_id))["a"].spec
    assert (spec.max_attempts, spec.timeout_s, spec.retry.initial_ms, spec.debug_mode) == (2, 7.0, 3000, True)
    (run,) = await town.take(1)
    await town.finish(run, failed())
    await errands(town)
    assert await standings(town, run_id) == {"a": "scheduled"}
    assert await town.state(run_id) == "waiting"


async def test_a_step_that_was_cancelled_by_itself_counts_as_failed(town: World):
    run_id = await launch(town, await flow(town, diamond("skip_dependents")))
    await turn(town)
    await town.stop((await steps_of(town, run_id))["left"].run_id)
    await work_off(town)
    assert await town.data_of(run_id, "workflow.step_skipped", "because") == [["left"]]
    assert await town.state(run_id) == DONE


async def test_a_run_keeps_the_version_that_it_started_with(town: World):
    workflow = await flow(town, diamond())
    run_id = await launch(town, workflow)
    await turn(town)
    definitions = town.engine.flows.definitions
    changed = await definitions.update(ADMIN, workflow, {"steps": ({"key": "only", "job": "join"},)})
    assert (changed.version, changed.workflow_version_id != workflow.workflow_version_id) == (2, True)
    assert (await definitions.update(ADMIN, workflow, {"steps": ({"key": "only", "job": "join"},)})).version == 2
    await definitions.delete(ADMIN, workflow)
    await work_off(town)
    assert set(await steps_of(town, run_id)) == {"top", "left", "right", "bottom"}
    assert await town.state(run_id) == DONE
    with pytest.raises(NotFound):
        await definitions.find(ADMIN, workflow.workflow_id, None)


async def test_what_is_no_workflow_is_refused(town: World):
    wrong: list[tuple[list[dict[str, Any]], str]] = [
        ([{"key": "a", "job": "nothing"}], "steps[0].job"),
        ([{"key": "a", "job": "fetch", "depends_on": ["a"]}], "steps"),
        ([{"key": "a", "job": "fetch", "retry_backoff": "custom"}], "steps[0].retry_backoff"),
    ]
    for steps, path in wrong:
        with pytest.raises(InvalidRequest) as refused:
            await flow(town, steps)
        assert [field.path for field in refused.value.fields] == [path]
    with pytest.raises(msgspec.ValidationError):
        await flow(town, [])
    with pytest.raises(msgspec.ValidationError):
        await flow(town, [{"key": f"s{n}", "job": "fetch"} for n in range(101)])
    await flow(town, diamond())
    with pytest.raises(AlreadyExists):
        await flow(town, diamond())


async def test_a_disabled_workflow_starts_nothing_and_a_key_starts_one_run(town: World):
    workflow = await flow(town, diamond())
    first = await launch(town, workflow, idempotency_key="k")
    assert await launch(town, workflow, idempotency_key="k") == first
    off = await town.engine.flows.definitions.update(ADMIN, workflow, {"enabled": False})
    with pytest.raises(Conflict):
        await launch(town, off)


async def test_a_workflow_is_not_restarted_and_its_own_wait_is_not_woken(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await errands(town)
    with pytest.raises(InvalidTransition):
        await town.engine.commit.apply(Restart(run_id, Cause("user:user_1")))
    await town.engine.commit.apply(Wake(run_id=run_id, on="child", key="run_x", cause=Cause("run:run_x")))
    assert await town.state(run_id) == "waiting"


async def test_runs_that_are_no_steps_leave_no_errand(town: World):
    job = await stored(town, "plain")
    await town.submit(job)
    (run,) = await town.take(1)
    await town.finish(run, result(town, run, {}))
    assert town.rows("SELECT entry FROM inbox") == []


async def again(world: World, run_id: str, **asked: Any) -> str:
    """Replay a run as the API does, and return the id of the new one."""

    async def projects(actor: Actor, ident: str) -> Project:
        return PROJECT

    made = await world.engine.replays.command(
        world.reader(),
        ADMIN,
        await world.record(run_id),
        Replay(**asked),
        projects,
        request_id=None,
        trace_id="t" * 32,
    )
    answer = await world.engine.commit.apply(made.command)
    return str(answer.run_id)


async def test_a_replay_from_what_failed_takes_over_what_completed(town: World):
    workflow = await flow(town, diamond())
    run_id = await launch(town, workflow, payload={"who": "ada"})
    await work_off(town, {"left"})
    first = await steps_of(town, run_id)
    await town.engine.flows.definitions.update(ADMIN, workflow, {"steps": ({"key": "only", "job": "join"},)})
    second = await again(town, run_id, from_failed=True)
    await work_off(town, {"left"})
    assert await standings(town, second) == {"left": "failed"}
    reused = {key: first[key].run_id for key in ("top", "right")}
    steps = await town.data_of(second, "workflow.step_reused", "step")
    runs = await town.data_of(second, "workflow.step_reused", "run_id")
    assert dict(zip(steps, runs, strict=True)) == reused
    third = await again(town, second, from_failed=True)
    await work_off(town)
    made = await steps_of(town, third)
    assert set(made) == {"left", "bottom"}
    assert await payload_of(town, made["bottom"].run_id) == {"left": "left", "of": "ada", "first": {"n": "top"}}
    run = await town.run(third)
    assert (run.state, run.spec.replay_of, run.spec.triggered_by) == (DONE, second, "retry")
    await town.check()


async def test_a_replay_does_all_of_it_again_in_its_version_or_the_newest(town: World):
    workflow = await flow(town, diamond())
    run_id = await launch(town, workflow, payload={"who": "ada"})
    await work_off(town)
    with pytest.raises(Conflict):
        await again(town, run_id)
    await town.engine.flows.definitions.update(ADMIN, workflow, {"steps": ({"key": "only", "job": "join"},)})
    same, latest = await again(town, run_id, force=True), await again(town, run_id, force=True, version="latest")
    await work_off(town)
    assert set(await steps_of(town, same)) == {"top", "left", "right", "bottom"}
    assert set(await steps_of(town, latest)) == {"only"}
    assert await payload_of(town, same) == {"who": "ada"}


async def test_what_a_replay_of_a_workflow_cannot_do_is_refused(town: World):
    run_id = await launch(town, await flow(town, diamond()))
    await work_off(town, {"left"})
    refused: list[dict[str, Any]] = [
        {"from_checkpoint": 1},
        {"from_failed": True, "payload": {}},
        {"from_failed": True, "version": "latest"},
    ]
    for asked in refused:
        with pytest.raises(InvalidRequest):
            await again(town, run_id, **asked)
    top = (await steps_of(town, run_id))["top"].run_id
    with pytest.raises(InvalidRequest):
        await again(town, top, force=True, from_failed=True)
    await town.engine.operations.eraser.erase(town.reader(), ADMIN, top)
    with pytest.raises(Gone):
        await again(town, run_id, from_failed=True)
