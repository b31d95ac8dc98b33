"""Doing ended runs again: one, one of the dead letter queue, or many at once."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.jobs import bulk_schemas as bulk
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.bulk_schemas import BATCH
from runwright.api.jobs.runs import NOWHERE
from runwright.api.jobs.views import found_view, run_view, triggered_view
from runwright.api.routing import Reply, Routes
from runwright.domain.batch_operations import BatchResult
from runwright.engine.bulk import Done, made_of
from runwright.engine.reader import Filter
from runwright.engine.replays import Replay
from runwright.engine.requests import Submitted
from runwright.errors import AmbiguousRequest, Conflict

routes = Routes(tag="runs")

GONE = {410: "The data of the run were erased"}


@routes.post(
    "/v1/runs/{run_id}/replay",
    scope="runs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | GONE,
    summary="Replay a run that has ended",
)
async def replay_run(
    call: Call,
    run_id: str,
    body: wire.ReplayRequest = wire.ReplayRequest(),  # noqa: B008 - frozen
) -> Reply[wire.TriggeredRun]:
    """Make a new run of an ended one, linked by `replay_of`: same job version unless `version` is latest."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return await _replayed(call, run_id, Replay(**fields, idempotency_key=idempotency_key(call)))


@routes.post(
    "/v1/runs/{run_id}/dlq-replay",
    scope="runs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | GONE,
    summary="Replay a dead-lettered run",
)
async def replay_dead_letter(call: Call, run_id: str) -> Reply[wire.TriggeredRun]:
    """Make a new run of a dead letter, which leaves the queue; one that has left it already is a conflict."""
    return await _replayed(call, run_id, Replay(dead_letter=True, idempotency_key=idempotency_key(call)))


@routes.post(
    "/v1/runs/bulk-replay",
    scope="runs:write",
    headers=HEADERS,
    answer_headers=BATCH,
    summary="Replay many runs",
)
async def bulk_replay(call: Call, body: bulk.BulkReplayRequest) -> Reply[list[wire.Run]]:
    """Make new runs of ended ones in one transaction; why others were left out stands in the batch operation."""
    asked = Replay(version=body.version, force=body.force, idempotency_key=idempotency_key(call))
    done = await _all(call, "replay", body.run_ids, asked)
    return Reply(await _new_runs(call, done), headers=_named(done))


@routes.post(
    "/v1/runs/bulk-dlq-replay",
    scope="runs:write",
    headers=HEADERS,
    answer_headers=BATCH,
    answers=NOWHERE | {400: "Both run_ids and project_id, or neither", 409: "No run is in the dead letter queue"},
    summary="Replay dead letters",
)
async def bulk_dlq_replay(call: Call, body: bulk.BulkDlqReplayRequest) -> Reply[bulk.BulkDlqReplayAnswer]:
    """Replay the dead letters named, or the oldest ones of a project; problems of single runs stand in `errors`."""
    if (body.run_ids is None) == (body.project_id is None):
        raise AmbiguousRequest("Send run_ids or project_id, and not both.")
    asked = Replay(version=body.version, dead_letter=True, idempotency_key=idempotency_key(call))
    done = await _all(call, "dlq_replay", await _dead_letters(call, body), asked)
    made = await _new_runs(call, done)
    errors = [_problem(result) for result in done.results if result.refused]
    if not made:
        raise Conflict("None of the runs is in the dead letter queue.", code="runs.not_dead_lettered")
    return Reply(bulk.BulkDlqReplayAnswer(replayed=made, count=len(made), errors=errors), headers=_named(done))


async def _replayed(call: Call, run_id: str, asked: Replay) -> Reply[wire.TriggeredRun]:
    office = call.services
    engine, reader = office.engine, office.engine.reader(call.actor)
    made = await engine.replays.command(
        reader,
        call.actor,
        await reader.run(run_id),
        asked,
        office.tenants.resolve_project,
        request_id=call.request_id,
        trace_id=call.trace_id,
    )
    answer: Submitted = await engine.commit.apply(made.command)
    if answer.hit or answer.run is None:
        record = await reader.run(answer.run_id)
        return Reply(found_view(run_view(reader, record, office.clock.now(), office.lease_us)), 200)
    shown = engine.values.shown(answer.run.spec.project_id, made.payload)
    return Reply(triggered_view(answer.run, shown, office.clock.now()))


async def _all(call: Call, verb: str, run_ids: list[str], asked: Replay) -> Done:
    office = call.services
    items, specs = await office.engine.replays.commands(
        office.engine.reader(call.actor),
        call.actor,
        run_ids,
        asked,
        office.tenants.resolve_project,
        request_id=call.request_id,
        trace_id=call.trace_id,
    )
    operation = office.engine.bulk.operation(call.actor, verb, len(items), specs)
    return await office.engine.bulk.submit(operation, items)


async def _dead_letters(call: Call, body: bulk.BulkDlqReplayRequest) -> list[str]:
    if body.project_id is None:
        return body.run_ids or []
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    wanted = Filter(where={"project_id": project.project_id, "dead_letters": True})
    found = await office.engine.bulk.matching(office.engine.reader(call.actor), wanted, body.limit)
    return [spec.run_id for spec in found.specs]


async def _new_runs(call: Call, done: Done) -> list[wire.Run]:
    office = call.services
    reader = office.engine.reader(call.actor)
    records = await reader.records([result.made for result in done.results if result.made is not None])
    now = office.clock.now()
    return [run_view(reader, record, now, office.lease_us) for record in made_of(records, done.results)]


def _problem(result: BatchResult) -> bulk.BulkProblem:
    return bulk.BulkProblem(id=result.id or "", error=result.error or "", code=result.code or "")


def _named(done: Done) -> dict[str, str]:
    return {"X-Batch-Id": done.operation.batch_id}
