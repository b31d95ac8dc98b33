"""Runs: the list, one run, and the verbs that stop, resume and replay it."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.filters import run_filter
from runwright.api.jobs.verb_schemas import RestartRequest
from runwright.api.jobs.views import found_view, run_view, triggered_view
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Reply, Routes
from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.run import Spec, StopKind
from runwright.engine.control import replay_order
from runwright.engine.reader import Filter
from runwright.errors import Conflict, InvalidTransition
from runwright.store.base import Record

routes = Routes(tag="runs")

NOWHERE = {404: "The project is not the caller's"}


@routes.get("/v1/runs", scope="runs:read", answers=NOWHERE, summary="List runs")
async def list_runs(call: Call, query: wire.RunQuery) -> Page[wire.Run]:
    """List runs, newest first: of one project, or of all that the caller sees."""
    office = call.services
    project_id = None
    if query.project_id is not None:
        project_id = (await office.tenants.resolve_project(call.actor, query.project_id)).project_id
    return await _page(call, query, run_filter(query, project_id, office.engine.reader(call.actor)), newest_first=True)


@routes.get("/v1/runs/{run_id}/children", scope="runs:read", summary="List child runs")
async def list_children(call: Call, run_id: str, query: PageQuery) -> Page[wire.Run]:
    """List the runs whose parent this run is, oldest first."""
    await call.services.engine.reader(call.actor).run(run_id)
    return await _page(call, query, Filter(where={"parent_run_id": run_id}), newest_first=False)


async def _page(call: Call, query: PageQuery, wanted: Filter, *, newest_first: bool) -> Page[wire.Run]:
    office = call.services
    reader = office.engine.reader(call.actor)
    window = query.window(office.settings, order="desc" if newest_first else "asc")
    listed = await reader.runs(wanted, bound=window.bound("run"), limit=window.limit, newest_first=window.newest_first)
    now = office.clock.now()
    items = [run_view(reader, record, now, office.lease_us) for record in listed.records]
    return Page(items, listed.next_cursor, partial=listed.partial)


@routes.get("/v1/runs/{run_id}", scope="runs:read", summary="Get a run")
async def get_run(call: Call, run_id: str) -> wire.Run:
    """Return one run."""
    return _view(call, await call.services.engine.reader(call.actor).run(run_id))


@routes.delete("/v1/runs/{run_id}", scope="runs:write", summary="Cancel a run")
async def cancel_run(call: Call, run_id: str) -> wire.Run:
    """Cancel a run; its children follow. Answers when the executing side confirmed, or after two seconds."""
    return _view(call, await _stop(call, run_id, "cancel", None))


@routes.post("/v1/runs/{run_id}:cancel", scope="runs:write", summary="Cancel a run, again if need be")
async def cancel_run_idempotent(
    call: Call,
    run_id: str,
    body: wire.CancelRequest = wire.CancelRequest(),  # noqa: B008 - frozen
) -> wire.Accepted:
    """Cancel a run; a run that is cancelled already is no conflict."""
    try:
        await _stop(call, run_id, "cancel", body.reason)
    except InvalidTransition:
        record = await call.services.engine.reader(call.actor).run(run_id)
        if record.run.state != "cancelled":
            raise
    return wire.Accepted(ok=True)


@routes.post("/v1/runs/{run_id}/pause", scope="runs:write", summary="Pause a run")
async def pause_run(call: Call, run_id: str) -> wire.Run:
    """Pause a run; one that is paused already stays so."""
    return _view(call, await _stop(call, run_id, "pause", None))


@routes.post("/v1/runs/{run_id}/restart", scope="runs:write", summary="Restart a run")
async def restart_run(
    call: Call,
    run_id: str,
    body: RestartRequest = RestartRequest(),  # noqa: B008 - frozen
) -> wire.Run:
    """Begin a run again in a new attempt, which does not count against `max_attempts`; what it had kept stays.

    It is executing, paused or waiting. A run of the mode `process` goes on with another preset, if one is given.
    """
    office = call.services
    reader = office.engine.reader(call.actor)
    record = await office.engine.control.restart(reader, call.actor, run_id, body.wanted(), request_id=call.request_id)
    return _view(call, record)


@routes.post("/v1/runs/{run_id}/resume", scope="runs:write", summary="Resume a paused run")
async def resume_run(call: Call, run_id: str) -> wire.Run:
    """Let a paused run go on where it stopped."""
    office = call.services
    reader = office.engine.reader(call.actor)
    record = await office.engine.control.resume(reader, call.actor, run_id, request_id=call.request_id)
    return _view(call, record)


@routes.post(
    "/v1/runs/{run_id}/replay",
    scope="runs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | {410: "The data of the run were erased"},
    summary="Replay a run that has ended",
)
async def replay_run(
    call: Call,
    run_id: str,
    body: wire.ReplayRequest = wire.ReplayRequest(),  # noqa: B008 - frozen
) -> Reply[wire.TriggeredRun]:
    """Make a new run of an ended one, linked by `replay_of`: same job version unless `version` is latest."""
    office = call.services
    reader = office.engine.reader(call.actor)
    record = await reader.run(run_id)
    payload = reader.exact_payload(record) or {}
    order = replace(
        replay_order(record, payload, changed=body.payload, patch=body.payload_patch, force=body.force),
        idempotency_key=idempotency_key(call),
        replay_version=body.version,
    )
    project, job = await _again(call, record.run.spec, body.version)
    made = await office.engine.submitter.submit(
        call.actor, project, job, order, request_id=call.request_id, trace_id=call.trace_id
    )
    if made.hit or made.run is None:
        return Reply(found_view(_view(call, await reader.run(made.run_id))), 200)
    return Reply(triggered_view(made.run, office.engine.values.shown(order.payload), office.clock.now()))


async def _again(call: Call, spec: Spec, version: str) -> tuple[Project, Job]:
    """Return the project and the job of a run, the job in the run's own version or in its newest."""
    office = call.services
    if spec.job_id is None:
        raise Conflict(f"a run of the kind {spec.kind} is not replayed; retry it", code="runs.not_a_job")
    job = await office.jobs.directory.find(call.actor, spec.job_id, None)
    if version == "same" and spec.job_version_id is not None:
        pinned = await office.jobs.at_version(call.actor, job, spec.job_version_id)
        # A job that is disabled now starts nothing, whatever its version was.
        job = replace(pinned, definition=replace(pinned.definition, enabled=job.definition.enabled))
    return await office.tenants.resolve_project(call.actor, spec.project_id), job


async def _stop(call: Call, run_id: str, kind: StopKind, reason: str | None) -> Record:
    office = call.services
    reader = office.engine.reader(call.actor)
    return await office.engine.control.stop(reader, call.actor, run_id, kind, reason=reason, request_id=call.request_id)


def _view(call: Call, record: Record) -> wire.Run:
    office = call.services
    return run_view(office.engine.reader(call.actor), record, office.clock.now(), office.lease_us)
