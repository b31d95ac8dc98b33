"""Cancelling many runs at once, and what became of each bulk verb."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs import bulk_schemas as wire
from runwright.api.jobs.bulk_schemas import BATCH
from runwright.api.jobs.filters import unfinished
from runwright.api.jobs.run_schemas import RunQuery
from runwright.api.jobs.runs import NOWHERE
from runwright.api.pages import Page
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain.batch_operations import BatchOperation, BatchResult
from runwright.engine.bulk import Done
from runwright.errors import InvalidRequest

routes = Routes(tag="runs")

_results = msgspec.json.Decoder(list[BatchResult]).decode
_QUERIED = tuple(sorted(set(wire.BulkCancelAllRequest.__struct_fields__) & set(RunQuery.__struct_fields__) - {"limit"}))
_MANY = ("status", "state", "kind")


@routes.post("/v1/runs/bulk-cancel", scope="runs:write", answer_headers=BATCH, summary="Cancel many runs")
async def bulk_cancel(
    call: Call,
    body: wire.BulkCancelRequest = wire.BulkCancelRequest(),  # noqa: B008 - frozen
) -> Reply[wire.BulkCancelAnswer]:
    """Cancel the runs named. One that executes was asked to stop and is not waited for: its `status` says so."""
    engine = call.services.engine
    done = await engine.bulk.cancel(
        engine.reader(call.actor), call.actor, body.run_ids, reason=body.reason, request_id=call.request_id
    )
    return Reply(wire.BulkCancelAnswer(**_counted(done)), headers=_named(done))


@routes.post(
    "/v1/runs/bulk-cancel-all",
    scope="runs:write",
    answer_headers=BATCH,
    answers=NOWHERE,
    summary="Cancel all runs that filters hold",
)
async def bulk_cancel_all(
    call: Call,
    query: wire.BulkCancelAllQuery,
    body: wire.BulkCancelAllRequest = wire.BulkCancelAllRequest(),  # noqa: B008 - frozen
) -> Reply[wire.BulkCancelAllAnswer]:
    """Cancel every unfinished run of a project that the filters hold, oldest first; without filters, all of them."""
    engine = call.services.engine
    reader = engine.reader(call.actor)
    if query.project_id is None and call.actor.project_id is None:
        raise InvalidRequest.at("project_id", "must name the project whose runs are cancelled")
    project = await call.services.tenants.resolve_project(call.actor, query.project_id)
    found = await engine.bulk.matching(reader, unfinished(_query(body), project.project_id, reader), body.limit)
    if body.dry_run:
        return Reply(_previewed(len(found.specs), more=found.more))
    done = await engine.bulk.cancel_found(call.actor, found, reason=body.reason, request_id=call.request_id)
    answer = wire.BulkCancelAllAnswer(**_counted(done), more=done.more, dry_run=False)
    return Reply(answer, headers=_named(done))


@routes.get("/v1/batch-operations", scope="runs:read", answers=NOWHERE, summary="List bulk verbs")
async def list_batches(call: Call, query: wire.BatchListQuery) -> Page[wire.BatchOperationEntry]:
    """List what was done to many runs at once, newest first: of one project, or all that the caller sees."""
    office = call.services
    project_id = call.actor.project_id
    if query.project_id is not None:
        project_id = (await office.tenants.resolve_project(call.actor, query.project_id)).project_id
    window = query.window(office.settings, order="desc")
    rows = await office.engine.batches.page(call.actor, project_id, part(window, "batch"))
    return Page.of(rows, window, _entry, lambda row: row.batch_id)


@routes.get("/v1/batch-operations/{batch_id}", scope="runs:read", summary="Get a bulk verb and its results")
async def get_batch(call: Call, batch_id: str) -> wire.BatchOperation:
    """Return a bulk verb with what became of each item, in their order."""
    found = await call.services.engine.batches.find(call.actor, batch_id)
    results = [_result(result) for result in _results(found.results)]
    return wire.BatchOperation(**msgspec.structs.asdict(_entry(found)), results=results)


def _previewed(total: int, *, more: bool) -> wire.BulkCancelAllAnswer:
    return wire.BulkCancelAllAnswer(results=[], total=total, canceled=0, failed=0, more=more, dry_run=True)


def _query(body: wire.BulkCancelAllRequest) -> RunQuery:
    given = {name: getattr(body, name) for name in _QUERIED}
    given |= {name: [given[name]] if isinstance(given[name], str) else given[name] for name in _MANY}
    if body.payload_contains is not None:
        given["payload_contains"] = msgspec.json.encode(body.payload_contains).decode()
    return RunQuery(**given)


def _counted(done: Done) -> dict[str, Any]:
    results = [
        wire.BulkCancelResult(id=r.id or "", status=r.status or "", error=r.error, code=r.code) for r in done.results
    ]
    canceled = done.operation.created_count
    return {"results": results, "total": len(results), "canceled": canceled, "failed": len(results) - canceled}


def _entry(operation: BatchOperation) -> wire.BatchOperationEntry:
    same = {name: getattr(operation, name) for name in _SAME}
    finished = operation.finished_at
    return wire.BatchOperationEntry(
        id=operation.batch_id,
        created_at=instants.text(operation.created_at),
        finished_at=None if finished is None else instants.text(finished),
        **same,
    )


_SAME = ("project_id", "job_id", "verb", "item_count", "created_count", "created_by")


def _result(result: BatchResult) -> wire.BatchResult:
    return wire.BatchResult(
        id=result.id, status=result.status, new_run_id=result.made, error=result.error, code=result.code
    )


def _named(done: Done) -> dict[str, str]:
    return {"X-Batch-Id": done.operation.batch_id}
