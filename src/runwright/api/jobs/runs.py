"""Runs: the list, one run, and the verbs that stop and resume it."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.filters import run_filter
from runwright.api.jobs.verb_schemas import RestartRequest
from runwright.api.jobs.views import run_view
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Routes
from runwright.domain.run import StopKind
from runwright.engine.reader import Filter
from runwright.errors import InvalidTransition
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
    return await page(call, query, run_filter(query, project_id, office.engine.reader(call.actor)), newest_first=True)


@routes.get("/v1/runs/{run_id}/children", scope="runs:read", summary="List child runs")
async def list_children(call: Call, run_id: str, query: PageQuery) -> Page[wire.Run]:
    """List the runs whose parent this run is, oldest first."""
    await call.services.engine.reader(call.actor).run(run_id)
    return await page(call, query, Filter(where={"parent_run_id": run_id}), newest_first=False)


@routes.get("/v1/runs/{run_id}/lineage", scope="runs:read", summary="List the runs that continue each other")
async def list_lineage(call: Call, run_id: str, query: PageQuery) -> Page[wire.Run]:
    """List the runs of the chain that this one belongs to: the first, then those that went on, oldest first."""
    asked = await call.services.engine.reader(call.actor).run(run_id)
    root = asked.run.spec.lineage_root or run_id
    return await page(call, query, Filter(where={"lineage_root": root}), newest_first=False)


async def page(call: Call, query: PageQuery, wanted: Filter, *, newest_first: bool) -> Page[wire.Run]:
    """Return a page of the runs that a filter holds."""
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
        await _stop(call, run_id, "cancel", body.reason, body.last_seen_seq)
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


async def _stop(
    call: Call, run_id: str, kind: StopKind, reason: str | None, last_seen_seq: int | None = None
) -> Record:
    control, reader = call.services.engine.control, call.services.engine.reader(call.actor)
    about = {"reason": reason, "last_seen_seq": last_seen_seq, "request_id": call.request_id}
    return await control.stop(reader, call.actor, run_id, kind, **about)  # type: ignore[arg-type]


def _view(call: Call, record: Record) -> wire.Run:
    office = call.services
    return run_view(office.engine.reader(call.actor), record, office.clock.now(), office.lease_us)
