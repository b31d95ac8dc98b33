"""Start runs of a job: one, or many in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call, Services
from runwright.api.idempotency import HEADERS, idempotency_key, key_in_either
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.bulk_schemas import BATCH
from runwright.api.jobs.views import found_view, run_view, triggered_view
from runwright.api.routing import Reply, Routes
from runwright.domain.accounts import Project
from runwright.domain.commands import Submit
from runwright.domain.job import Job
from runwright.domain.state import decide
from runwright.domain.words import word_of
from runwright.engine.orders import Order
from runwright.engine.requests import Submitted
from runwright.errors import Error, FieldError, InvalidRequest

routes = Routes(tag="jobs")

YEAR_US = 366 * 86_400_000_000


class InProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The project of a job that is named by its slug."""

    project_id: str | None = None


@routes.post(
    "/v1/jobs/{job}/trigger",
    scope="jobs:trigger",
    status=201,
    headers=HEADERS,
    summary="Trigger a job",
    answers={
        200: "The run that the idempotency key had made before, the one that the trigger joined,"
        " or, for a dry run, the run that would be made"
    },
)
async def trigger(
    call: Call,
    job: str,
    query: InProject,
    body: wire.TriggerRequest = wire.TriggerRequest(),  # noqa: B008 - frozen
) -> wire.TriggeredRun | Reply[wire.TriggeredRun]:
    """Create a run of a job, or join the one that gathers triggers; it answers once that is durable."""
    office = call.services
    project, asked = await _job(call, office, job, query.project_id)
    order = await _order(call, office, project, body, key_in_either(call, body.idempotency_key))
    await office.engine.values.ensure([project.project_id])
    command = _command(call, office, project, asked, order)
    now = office.clock.now()
    payload = office.engine.values.shown(project.project_id, order.payload)
    if body.dry_run:
        return Reply(triggered_view(decide(None, command, now).run, payload, now, dry_run=True), status=200)
    (command,) = await office.engine.releases.ready([command])
    made: Submitted = await office.engine.commit.apply(command)
    if made.hit or made.joined or made.run is None or made.run.spec.gather is not None:
        reader = office.engine.reader(call.actor)
        found = run_view(reader, await reader.run(made.run_id), now, office.lease_us)
        new = not (made.hit or made.joined)
        return Reply(found_view(found, hit=made.hit, joined=made.joined), status=201 if new else 200)
    return triggered_view(made.run, payload, now)


@routes.post(
    "/v1/jobs/{job}/trigger/bulk",
    scope="jobs:trigger",
    status=201,
    headers=HEADERS,
    answer_headers=BATCH,
    answers={200: "All the runs had been made before, by the same idempotency keys"},
    summary="Trigger a job many times in one transaction",
    limit="bulk_body_max_bytes",
)
async def trigger_bulk(
    call: Call, job: str, query: InProject, body: wire.BulkTriggerRequest
) -> Reply[wire.BulkTriggerAnswer]:
    """Create runs from up to `bulk_items_max` items; results come in the order of the items.

    An idempotency key in the header names each item that has no key of its own, together with the item's place.
    """
    office = call.services
    most = office.settings.bulk_items_max
    if len(body.items) > most:
        raise InvalidRequest.at("items", f"at most {most} in one call")
    project, found = await _job(call, office, job, query.project_id)
    operation = office.engine.bulk.operation(call.actor, "trigger", len(body.items), job=found)
    batch_id = operation.batch_id
    await office.engine.values.ensure([project.project_id])
    commands = []
    for place, item in enumerate(body.items):
        with _placed(f"items[{place}]."):
            order = msgspec.structs.replace(await _item(call, office, project, item, place), batch_id=batch_id)
            commands.append(_command(call, office, project, found, order))
    answers = await office.engine.bulk.trigger(operation, await office.engine.releases.ready(commands))
    results = [await _result(call, answer) for answer in answers]
    created = sum(isinstance(answer, Submitted) and not answer.hit for answer in answers)
    answer = wire.BulkTriggerAnswer(batch_id=batch_id, results=results, total=len(results), created=created)
    status = 200 if all(result.idempotency_hit for result in results) else 201
    return Reply(answer, status, {"X-Batch-Id": batch_id})


async def _result(call: Call, answer: Submitted | Error) -> wire.BulkTriggerResult:
    if isinstance(answer, Error):
        return wire.BulkTriggerResult(
            id=None, status=None, idempotency_hit=False, error=answer.detail, code=answer.code
        )
    run = answer.run or (await call.services.engine.reader(call.actor).run(answer.run_id)).run
    return wire.BulkTriggerResult(
        id=answer.run_id,
        status=word_of(run),  # type: ignore[arg-type]
        idempotency_hit=answer.hit,
        error=None,
        code=None,
    )


@contextmanager
def _placed(prefix: str) -> Iterator[None]:
    """Name the item in the paths of what is refused about it."""
    try:
        yield
    except InvalidRequest as refused:
        fields = [FieldError(prefix + field.path, field.message) for field in refused.fields]
        raise InvalidRequest(None if fields else refused.detail, fields=fields, code=refused.code) from None


async def _job(call: Call, office: Services, job: str, project_id: str | None) -> tuple[Project, Job]:
    by_id = ids.is_id("job", job)
    named = None if by_id and project_id is None else await office.tenants.resolve_project(call.actor, project_id)
    found = await office.jobs.directory.find(call.actor, job, named)
    return named or await office.tenants.resolve_project(call.actor, found.project_id), found


async def _item(call: Call, office: Services, project: Project, item: wire.TriggerRequest, place: int) -> Order:
    if item.dry_run:
        raise InvalidRequest.at("dry_run", "a bulk trigger has no dry run; trigger one item alone")
    of_all = idempotency_key(call)
    key = item.idempotency_key or (f"{of_all}#{place}" if of_all is not None else None)
    return await _order(call, office, project, item, key)


async def _order(call: Call, office: Services, project: Project, body: wire.TriggerRequest, key: str | None) -> Order:
    if body.scheduled_at is not None and instants.micros(body.scheduled_at) > office.clock.now() + YEAR_US:
        raise InvalidRequest.at("scheduled_at", "must be within a year from now")
    if body.parent_run_id is not None:
        await _require_parent(call, office, project, body.parent_run_id)
    return Order(
        payload=body.payload,
        tags=body.tags,
        metadata=body.metadata,
        idempotency_key=key,
        scheduled_at=None if body.scheduled_at is None else instants.micros(body.scheduled_at),
        priority=body.priority,
        ttl_secs=body.ttl_secs,
        concurrency_key=body.concurrency_key,
        debounce_key=body.debounce_key,
        batch_key=body.batch_key,
        max_attempts_override=body.max_attempts_override,
        timeout_secs_override=body.timeout_secs_override,
        retry_backoff=body.retry_backoff,
        retry_initial_delay_secs=body.retry_initial_delay_secs,
        retry_max_delay_secs=body.retry_max_delay_secs,
        parent_run_id=body.parent_run_id,
        debug_mode=body.debug_mode,
    )


async def _require_parent(call: Call, office: Services, project: Project, run_id: str) -> None:
    parent = await office.engine.reader(call.actor).run(run_id)
    if parent.run.spec.project_id != project.project_id:
        raise InvalidRequest.at("parent_run_id", "must be a run of the same project")
    if parent.run.terminal:
        raise InvalidRequest.at("parent_run_id", f"the run is {parent.run.state}; an ended run has no children")


def _command(call: Call, office: Services, project: Project, job: Job, order: Order) -> Submit:
    return office.engine.submitter.command(
        call.actor, project, job, order, request_id=call.request_id, trace_id=call.trace_id
    )
