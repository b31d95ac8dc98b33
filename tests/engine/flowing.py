"""Workflows for the tests of the engine: jobs that lie in the database, a diamond of them, and who works it off."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from runwright.domain import outcome as o
from runwright.domain.run import Run
from runwright.domain.workflow import Workflow, WorkflowDefinition
from runwright.engine.values import encode
from runwright.engine.workflow_runs import WorkflowOrder
from tests.engine.test_dependencies import errands, stored
from tests.engine.world import ADMIN, PROJECT, World, failed

JOBS = ("fetch", "left", "right", "join")


async def settle(world: World, **definition: Any) -> World:
    """Return a world with four jobs."""
    for slug in JOBS:
        await stored(world, slug, **{"max_attempts": 1, **definition})
    return world


def diamond(on_failure: str = "fail") -> list[dict[str, Any]]:
    """Return four steps: one, then two beside each other, then one that waits for both."""
    template = {"left": "{{steps.left.result.n}}", "of": "{{payload.who}}", "first": "{{steps.top.result}}"}
    return [
        {"key": "top", "job": "fetch"},
        {"key": "left", "job": "left", "depends_on": ["top"], "on_failure": on_failure},
        {"key": "right", "job": "right", "depends_on": ["top"], "payload_template": {"n": "{{steps.top.result.n}}"}},
        {"key": "bottom", "job": "join", "depends_on": ["left", "right"], "payload_template": template},
    ]


async def flow(world: World, steps: list[dict[str, Any]], slug: str = "flow", **options: Any) -> Workflow:
    """Return a workflow that lies in the database."""
    definition = msgspec.convert({"name": slug, "slug": slug, "steps": steps, **options}, WorkflowDefinition)
    return (await world.engine.flows.definitions.create(ADMIN, PROJECT, definition)).value


async def launch(world: World, workflow: Workflow, **order: Any) -> str:
    """Make a run of a workflow and return its id."""
    made = WorkflowOrder(**order)
    runs = world.engine.flows.runs
    return (await runs.submit(ADMIN, PROJECT, workflow, made, request_id="req_1", trace_id="t" * 32)).run_id


async def steps_of(world: World, run_id: str) -> dict[str, Run]:
    """Return the runs of a workflow's steps: one for each step, or the test fails."""
    found: dict[str, Run] = {}
    for (child,) in world.rows("SELECT run_id FROM runs WHERE parent_run_id = ? ORDER BY run_id", run_id):
        run = await world.run(child)
        assert run.spec.step is not None
        assert run.spec.step not in found, "a step has one run"
        found[run.spec.step] = run
    return found


async def standings(world: World, run_id: str) -> dict[str, str]:
    """Return the states of the steps' runs."""
    return {key: run.state for key, run in (await steps_of(world, run_id)).items()}


def result(world: World, run: Run, value: Any) -> o.Completed:
    """Return the outcome of an attempt that gives a result."""
    values, encoded = world.engine.values, encode(value)
    sealed = values.seal(PROJECT.project_id, run.run_id, "result", encoded)
    return o.Completed(values.ref(PROJECT.project_id, encoded), sealed)


async def payload_of(world: World, run_id: str) -> Any:
    """Return the payload of a run, exact."""
    record = await world.record(run_id)
    return world.engine.values.payload(record.run.spec, record.payload)


async def turn(world: World, failing: Container[str | None] = ()) -> bool:
    """Do all errands, claim what is ready, and end what executes, also what was claimed before a crash."""
    await errands(world)
    await world.take(10)
    executing = [run_id for (run_id,) in world.rows("SELECT run_id FROM leases ORDER BY run_id")]
    for run_id in executing:
        run = await world.run(run_id)
        await world.finish(run, failed() if run.spec.step in failing else result(world, run, {"n": run.spec.step}))
    await errands(world)
    return bool(executing)


async def work_off(world: World, failing: Container[str | None] = ()) -> None:
    """Let everything go on until nothing does any more."""
    while await turn(world, failing):
        pass
