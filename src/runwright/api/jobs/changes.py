"""What may be changed of a run: when it begins, whether it is recorded, its key, and whether it is a dead letter."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs import bulk_schemas as wire
from runwright.api.jobs.filters import run_filter
from runwright.api.jobs.run_schemas import Run, RunQuery
from runwright.api.jobs.runs import NOWHERE, page
from runwright.api.jobs.triggers import YEAR_US
from runwright.api.jobs.views import run_view
from runwright.api.pages import Page
from runwright.api.routing import Routes
from runwright.errors import InvalidRequest
from runwright.store.base import Record

routes = Routes(tag="runs")


@routes.get("/v1/runs/dlq", scope="runs:read", answers=NOWHERE, summary="List dead letters")
async def list_dead_letters(call: Call, query: RunQuery) -> Page[Run]:
    """List the runs that used up their attempts and were not replayed or discarded since, newest first."""
    office = call.services
    project_id = None
    if query.project_id is not None:
        project_id = (await office.tenants.resolve_project(call.actor, query.project_id)).project_id
    wanted = run_filter(query, project_id, office.engine.reader(call.actor))
    wanted = replace(wanted, where={**wanted.where, "dead_letters": True})
    return await page(call, query, wanted, newest_first=True)


@routes.post("/v1/runs/{run_id}/discard", scope="runs:write", summary="Discard a dead letter")
async def discard_run(call: Call, run_id: str) -> Run:
    """Take a run off the dead letter queue for good; the audit log says who."""
    engine = call.services.engine
    return _view(call, await engine.amend.discard(engine.reader(call.actor), call.actor, run_id))


@routes.post("/v1/runs/{run_id}/reschedule", scope="runs:write", summary="Reschedule a run that has not begun")
async def reschedule_run(call: Call, run_id: str, body: wire.RescheduleRequest) -> Run:
    """Let a run begin at another time, and until when it may begin move with it."""
    engine = call.services.engine
    at = instants.micros(body.scheduled_at)
    if at > call.services.clock.now() + YEAR_US:
        raise InvalidRequest.at("scheduled_at", "must be within a year from now")
    reader, request_id = engine.reader(call.actor), call.request_id
    record = await engine.amend.reschedule(reader, call.actor, run_id, at, body.payload, request_id=request_id)
    return _view(call, record)


@routes.get("/v1/runs/{run_id}/debug", scope="runs:read", summary="Tell whether attempts are recorded")
async def get_debug_mode(call: Call, run_id: str) -> wire.DebugMode:
    """Tell whether the attempts that begin from now on record what is handed over and what comes back."""
    record = await call.services.engine.reader(call.actor).run(run_id)
    return wire.DebugMode(run_id=run_id, debug_mode=record.run.debug_mode)


@routes.post("/v1/runs/{run_id}/debug", scope="runs:write", summary="Switch the recording of attempts on or off")
async def debug_run(
    call: Call,
    run_id: str,
    body: wire.DebugRequest = wire.DebugRequest(),  # noqa: B008 - frozen
) -> wire.DebugMode:
    """Let the attempts that begin from now on record what is handed over and what comes back, or not."""
    engine = call.services.engine
    reader, on = engine.reader(call.actor), body.debug_mode
    record = await engine.amend.debug(reader, call.actor, run_id, on, request_id=call.request_id)
    return wire.DebugMode(run_id=run_id, debug_mode=record.run.debug_mode)


@routes.delete("/v1/runs/{run_id}/idempotency-key", scope="runs:write", summary="Free the idempotency key of a run")
async def free_key(call: Call, run_id: str) -> wire.FreedKey:
    """Let the next request with this key make a run of its own; the run goes on showing which key made it."""
    engine = call.services.engine
    freed = await engine.amend.free_key(engine.reader(call.actor), call.actor, run_id)
    return wire.FreedKey(status="reset" if freed else "unset", run_id=run_id)


def _view(call: Call, record: Record) -> Run:
    office = call.services
    return run_view(office.engine.reader(call.actor), record, office.clock.now(), office.lease_us)
