"""The routes of workflows: make, change, start them, and tell how the steps of a run stand."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, TAKEN, idempotency_key, key_in_either
from runwright.api.jobs import workflow_schemas as wire
from runwright.api.jobs.run_schemas import TriggeredRun
from runwright.api.jobs.views import found_view, run_view, triggered_view
from runwright.api.pages import Page
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain import workflow as domain
from runwright.domain.accounts import slug_of
from runwright.domain.run import step_run_id
from runwright.domain.words import word_of
from runwright.engine.flows import StepSeen
from runwright.engine.workflow_runs import WorkflowOrder
from runwright.errors import InvalidRequest

routes = Routes("workflows")
NOWHERE = {404: "The project is not the caller's"}


@routes.post(
    "/v1/workflows",
    scope="jobs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE,
    summary="Create a workflow",
)
async def create_workflow(call: Call, body: wire.CreateWorkflowRequest) -> Reply[wire.Workflow]:
    """Create a workflow in a project, in its version 1. Circles, and steps and jobs that are not there, are refused."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    workflows = call.services.engine.flows.definitions
    made = await workflows.create(call.actor, project, _definition(body), idempotency_key(call))
    return Reply(workflow_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/workflows", scope="jobs:read", answers=NOWHERE, summary="List workflows")
async def list_workflows(call: Call, query: wire.WorkflowListQuery) -> Page[wire.Workflow]:
    """List the workflows of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    named = query.project_id
    project = await call.services.tenants.resolve_project(call.actor, named) if named is not None else None
    rows = await call.services.engine.flows.definitions.page(call.actor, project, part(window, "wf"))
    return Page.of(rows, window, workflow_view, lambda row: row.workflow_id)


@routes.get("/v1/workflows/{workflow}", scope="jobs:read", summary="Get a workflow")
async def get_workflow(call: Call, workflow: str, query: wire.WorkflowQuery) -> wire.Workflow:
    """Return a workflow by its id, or by its slug in a project."""
    return workflow_view(await find_workflow(call, workflow, query.project_id))


@routes.patch("/v1/workflows/{workflow}", scope="jobs:write", answers=TAKEN, summary="Change a workflow")
async def update_workflow(
    call: Call, workflow: str, body: wire.UpdateWorkflowRequest, query: wire.WorkflowQuery
) -> wire.Workflow:
    """Change the fields that are named. A change makes a version; runs keep the version that they started with."""
    found = await find_workflow(call, workflow, query.project_id)
    return workflow_view(await call.services.engine.flows.definitions.update(call.actor, found, given(body)))


@routes.delete("/v1/workflows/{workflow}", scope="jobs:write", status=204, summary="Delete a workflow")
async def delete_workflow(call: Call, workflow: str, query: wire.WorkflowQuery) -> None:
    """Delete a workflow. Its runs and versions stay, and those under way go on; its slug is free."""
    found = await find_workflow(call, workflow, query.project_id)
    await call.services.engine.flows.definitions.delete(call.actor, found)


@routes.get("/v1/workflows/{workflow}/versions", scope="jobs:read", summary="List the versions of a workflow")
async def list_workflow_versions(
    call: Call, workflow: str, query: wire.WorkflowVersionQuery
) -> Page[wire.WorkflowVersion]:
    """List the versions of a workflow, oldest first."""
    found = await find_workflow(call, workflow, query.project_id)
    window = query.window(call.services.settings, order="asc")
    rows = await call.services.engine.flows.definitions.versions(call.actor, found, part(window, "wfv"))
    return Page.of(rows, window, version_view, lambda row: row.workflow_version_id)


@routes.post(
    "/v1/workflows/{workflow}/trigger",
    scope="jobs:trigger",
    status=201,
    headers=HEADERS,
    answers={200: "The run that the idempotency key had made before"},
    summary="Start a workflow",
)
async def trigger_workflow(
    call: Call,
    workflow: str,
    query: wire.WorkflowQuery,
    body: wire.TriggerWorkflowRequest = wire.TriggerWorkflowRequest(),  # noqa: B008 - frozen
) -> Reply[TriggeredRun]:
    """Create a run of a workflow: of the kind `workflow`, waiting for its steps; it answers once that is durable."""
    office = call.services
    engine, found = office.engine, await find_workflow(call, workflow, query.project_id)
    project = await office.tenants.resolve_project(call.actor, found.project_id)
    order = _order(call, body)
    made = await engine.flows.runs.submit(
        call.actor, project, found, order, request_id=call.request_id, trace_id=call.trace_id
    )
    now = office.clock.now()
    if made.hit or made.run is None:
        reader = engine.reader(call.actor)
        return Reply(found_view(run_view(reader, await reader.run(made.run_id), now, office.lease_us)), 200)
    return Reply(triggered_view(made.run, engine.values.shown(found.project_id, order.payload), now), 201)


@routes.get("/v1/workflow-runs/{run_id}/steps", scope="runs:read", summary="List the steps of a workflow's run")
async def list_workflow_steps(call: Call, run_id: str) -> list[wire.WorkflowStepRun]:
    """List all steps of a workflow's run, in the order of its definition, with how each stands."""
    engine = call.services.engine
    record = await engine.reader(call.actor).run(run_id)
    return [step_view(run_id, seen) for seen in await engine.flows.steps_of(record)]


async def find_workflow(call: Call, ident: str, project_ident: str | None) -> domain.Workflow:
    """Return the workflow that a path names: by id wherever the caller may see it, by slug in the project."""
    workflows = call.services.engine.flows.definitions
    if project_ident is None and ids.is_id("wf", ident):
        return await workflows.find(call.actor, ident, None)
    project = await call.services.tenants.resolve_project(call.actor, project_ident)
    return await workflows.find(call.actor, ident, project)


def workflow_view(workflow: domain.Workflow) -> wire.Workflow:
    """Return a workflow as the wire shows it."""
    return wire.Workflow(
        **_shown(workflow.definition),
        id=workflow.workflow_id,
        workflow_id=workflow.workflow_id,
        workflow_version_id=workflow.workflow_version_id,
        version=workflow.version,
        org_id=workflow.org_id,
        project_id=workflow.project_id,
        created_at=instants.text(workflow.created_at),
        updated_at=instants.text(workflow.updated_at),
    )


def version_view(version: domain.WorkflowVersion) -> wire.WorkflowVersion:
    """Return a version as the wire shows it."""
    return wire.WorkflowVersion(
        **_shown(version.definition),
        id=version.workflow_version_id,
        workflow_id=version.workflow_id,
        workflow_version_id=version.workflow_version_id,
        version=version.version,
        created_at=instants.text(version.created_at),
        created_by=version.created_by,
    )


def step_view(run_id: str, seen: StepSeen) -> wire.WorkflowStepRun:
    """Return a step of a workflow's run as the wire shows it: as its run stands, or as the workflow's log has it."""
    step, stage, run = seen.step, seen.stage, seen.run
    return wire.WorkflowStepRun(
        id=step_run_id(run_id, step.key),
        workflow_run_id=run_id,
        step_key=step.key,
        job=step.job,
        depends_on=list(step.depends_on),
        on_failure=step.on_failure,
        status=_word(seen),  # type: ignore[arg-type]
        run_id=stage.run_id,
        reused=stage.reused,
        attempt=None if run is None else run.attempt,
        error=stage.error if run is None else run.error,
        error_class=stage.error_class if run is None else run.error_class,
        started_at=None if run is None or run.started_at is None else instants.text(run.started_at),
        finished_at=None if run is None or run.finished_at is None else instants.text(run.finished_at),
    )


def _word(seen: StepSeen) -> str:
    if seen.run is not None:
        return word_of(seen.run)
    if seen.stage.standing == "pending" and seen.over:
        return "skipped"
    return {"cancelled": "canceled", "started": "failed"}.get(seen.stage.standing, seen.stage.standing)


def _shown(definition: domain.WorkflowDefinition) -> dict[str, Any]:
    fields = {name: getattr(definition, name) for name in definition.__struct_fields__}
    return {**fields, "steps": [_step(step) for step in definition.steps]}


def _step(step: domain.Step) -> wire.WorkflowStep:
    fields = {name: getattr(step, name) for name in step.__struct_fields__}
    return wire.WorkflowStep(**{**fields, "depends_on": list(step.depends_on)})


def _order(call: Call, body: wire.TriggerWorkflowRequest) -> WorkflowOrder:
    key = key_in_either(call, body.idempotency_key)
    return WorkflowOrder(**{**msgspec.structs.asdict(body), "idempotency_key": key})


def _definition(body: wire.CreateWorkflowRequest) -> domain.WorkflowDefinition:
    slug = body.slug or slug_of(body.name or "")
    if not slug:
        raise InvalidRequest.at("slug", "is required")
    fields = {name: getattr(body, name) for name in domain.WorkflowDefinition.__struct_fields__}
    return domain.WorkflowDefinition(**{**fields, "slug": slug, "name": body.name or slug})
