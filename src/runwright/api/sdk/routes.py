"""What a running job's code reads back, and how it tells the end."""

from __future__ import annotations

from typing import Any

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs.views import run_view
from runwright.api.routing import Reply, Routes
from runwright.api.sdk import schemas as wire
from runwright.api.sdk.desk import ROUTE, Desk, working
from runwright.domain.outcome import Outcome
from runwright.engine.calls import Working
from runwright.errors import NotFound

routes = Routes(tag="sdk")


@routes.get("/sdk/v1/runs/{run_id}/payload", **ROUTE, summary="Get the run's payload")
async def get_payload(call: Call, run_id: str) -> Reply[dict[str, Any]]:
    """Return the payload as it was given."""
    async with working(call, run_id) as desk:
        return desk.reply(desk.attempt.payload() or {})


@routes.get("/sdk/v1/runs/{run_id}/checkpoint", **ROUTE, summary="Get the run's last checkpoint")
async def get_last_checkpoint(call: Call, run_id: str) -> Reply[wire.OwnCheckpoint]:
    """Return the state to go on from, exact: saved by an earlier attempt, or that of a replay's `from_checkpoint`."""
    async with working(call, run_id) as desk:
        kept = await call.services.engine.calls.last_checkpoint(desk.attempt)
        if kept is None:
            raise NotFound("checkpoint", "last")
        at = instants.text(kept.updated_at)
        return desk.reply(wire.OwnCheckpoint(run_id=run_id, sequence=int(kept.key), state=kept.value, created_at=at))


@routes.get("/sdk/v1/runs/{run_id}/secrets", **ROUTE, summary="Get what the run is given beside its payload")
async def get_own_secrets(call: Call, run_id: str) -> Reply[wire.OwnSecrets]:
    """Return the secrets and the variables of the run, as they are now; cut off when the attempt ends."""
    async with working(call, run_id) as desk:
        given = await desk.attempt.provision()
        reply = desk.reply(wire.OwnSecrets(run_id=run_id, secrets=given.secrets, env=given.variables))
        reply.headers = {**reply.headers, "cache-control": "no-store"}
        return reply


@routes.get("/sdk/v1/runs/{run_id}/state", **ROUTE, summary="List what the run keeps")
async def list_own_state(call: Call, run_id: str) -> Reply[list[wire.OwnState]]:
    """Return all that the run keeps, by key, exact."""
    async with working(call, run_id) as desk:
        kept = await call.services.engine.calls.state(desk.attempt)
        return desk.reply([_own(run_id, value) for value in kept])


@routes.get("/sdk/v1/runs/{run_id}/state/{key}", **ROUTE, summary="Get a value that the run keeps")
async def get_own_state(call: Call, run_id: str, key: str) -> Reply[wire.OwnState]:
    """Return what the run keeps under a key, exact."""
    async with working(call, run_id) as desk:
        kept = await call.services.engine.calls.state(desk.attempt, key)
        if not kept:
            raise NotFound("value", key)
        return desk.reply(_own(run_id, kept[0]))


@routes.delete("/sdk/v1/runs/{run_id}/state/{key}", **ROUTE, status=204, summary="Forget a value of the run")
async def delete_state(call: Call, run_id: str, key: str) -> Reply[None]:
    """Forget what the run keeps under a key; where nothing is kept, nothing happens."""
    async with working(call, run_id) as desk:
        await call.services.engine.calls.forget(desk.attempt, key)
        return desk.reply(None)


@routes.post("/sdk/v1/runs/{run_id}/complete", **ROUTE, summary="Complete the run")
async def complete_run(
    call: Call,
    run_id: str,
    body: wire.CompleteRequest = wire.CompleteRequest(),  # noqa: B008 - frozen
) -> Reply[wire.EndedRun]:
    """End the run well, with its result. It stands, even where a stop was asked for."""
    async with working(call, run_id) as desk:
        return await _finish(call, desk, desk.attempt.completed(body.result))


@routes.post("/sdk/v1/runs/{run_id}/fail", **ROUTE, summary="Fail the run's attempt")
async def fail_run(call: Call, run_id: str, body: wire.FailRequest) -> Reply[wire.EndedRun]:
    """End the attempt badly. The job's retry policy decides what follows; a stop that was asked for is confirmed."""
    async with working(call, run_id) as desk:
        failed = desk.attempt.failed(body.error_class, body.error, retryable=body.retryable)
        return await _finish(call, desk, failed)


async def _finish(call: Call, desk: Desk, outcome: Outcome) -> Reply[wire.EndedRun]:
    office = call.services
    await office.engine.fleet.finish(desk.attempt, outcome)
    reader = office.engine.reader(desk.actor)
    run = run_view(reader, await reader.run(desk.run_id), office.clock.now(), office.lease_us)
    return desk.over(wire.EndedRun, run)


def _own(run_id: str, kept: Working) -> wire.OwnState:
    at = instants.text(kept.updated_at)
    return wire.OwnState(run_id=run_id, state_key=kept.key, value=kept.value, updated_at=at)
