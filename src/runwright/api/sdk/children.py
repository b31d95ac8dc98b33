"""Runs that a running job's code makes: children, and the run that goes on where this one ends."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.api.context import Call
from runwright.api.jobs.views import run_view
from runwright.api.routing import Reply, Routes
from runwright.api.sdk import schemas as wire
from runwright.api.sdk.desk import ROUTE, Desk, either, working
from runwright.domain.words import word_of
from runwright.engine.requests import Spawned
from runwright.engine.spawning import Spawning
from runwright.engine.waits import Awaited
from runwright.errors import NotFound

routes = Routes(tag="sdk")


@routes.post(
    "/sdk/v1/runs/{run_id}/spawn",
    **ROUTE,
    status=201,
    summary="Start a run of another job",
)
async def spawn_run(call: Call, run_id: str, body: wire.SpawnRequest) -> Reply[wire.SpawnedRun]:
    """Make a child of this run; with `await_completion` this run is parked until that one ends, in one transaction.

    It is then dispatched again, in the same attempt: the same call is answered with what became of the child.
    """
    asked = _asked(body)
    async with working(call, run_id) as desk:
        await _require_own(call, desk, body.project_id)
        if not body.await_completion:
            spawned = await call.services.engine.relations.spawner.spawn(desk.attempt.run, asked)
            return desk.reply(await _spawned(call, desk, spawned))
        limit_us = None if body.await_timeout_secs is None else int(body.await_timeout_secs * 1e6)
        waits = call.services.engine.waits
        awaited = await waits.child(desk.attempt, asked, body.name or asked.job, limit_us)
        return desk.reply(await _awaited(call, desk, awaited))


@routes.post(
    "/sdk/v1/runs/{run_id}/continue", **ROUTE, status=201, summary="Start the run that goes on where this one ends"
)
async def continue_run(
    call: Call,
    run_id: str,
    body: wire.ContinueRequest = wire.ContinueRequest(),  # noqa: B008 - frozen
) -> Reply[wire.SpawnedRun]:
    """Make a run of the same job, linked by `continuation_of`; this one goes on until its code ends it.

    Without a payload it is given this one's.
    """
    async with working(call, run_id) as desk:
        spawner = call.services.engine.relations.spawner
        payload = desk.attempt.payload() if body.payload is None else body.payload
        spawned = await spawner.go_on(desk.attempt.run, payload, body.idempotency_key)
        return desk.reply(await _spawned(call, desk, spawned))


def _asked(body: wire.SpawnRequest) -> Spawning:
    return Spawning(
        job=either(body.job_slug, body.job, "job_slug", "job"),
        payload=body.payload,
        tags=body.tags,
        metadata=body.metadata,
        priority=body.priority,
        concurrency_key=body.concurrency_key,
        ttl_secs=body.ttl_secs,
        idempotency_key=body.idempotency_key,
    )


async def _require_own(call: Call, desk: Desk, named: str | None) -> None:
    """Raise `NotFound` for another project than the run's: children belong to the project of their parent."""
    own = desk.attempt.run.spec.project_id
    if named is not None and named != own:
        project = await call.services.tenants.resolve_project(desk.actor, named)
        if project.project_id != own:
            raise NotFound("project", named)


async def _spawned(call: Call, desk: Desk, spawned: Spawned) -> wire.SpawnedRun:
    return await _run(call, desk, spawned.made.run_id, spawned.made.hit, word_of(spawned.by), None)


async def _awaited(call: Call, desk: Desk, awaited: Awaited) -> wire.SpawnedRun:
    if awaited.made is not None:
        return await _run(call, desk, awaited.made.run_id, awaited.made.hit, word_of(awaited.run), None)
    end = msgspec.convert(awaited.payload, wire.ChildEnd)
    return await _run(call, desk, end.run_id, True, word_of(awaited.run), end)


async def _run(
    call: Call, desk: Desk, run_id: str, hit: bool, parent_status: str, awaited: wire.ChildEnd | None
) -> wire.SpawnedRun:
    office = call.services
    reader = office.engine.reader(desk.actor)
    view = run_view(reader, await reader.run(run_id), office.clock.now(), office.lease_us)
    fields: dict[str, Any] = {name: getattr(view, name) for name in view.__struct_fields__}
    return wire.SpawnedRun(**fields, idempotency_hit=hit, parent_status=parent_status, awaited=awaited, stop=desk.stop)
