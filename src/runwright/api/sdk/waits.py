"""What a running job's code waits for."""

from __future__ import annotations

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.routing import Reply, Routes
from runwright.api.sdk import schemas as wire
from runwright.api.sdk.desk import ROUTE, either, working
from runwright.domain.words import word_of
from runwright.engine.waits import Awaited

routes = Routes(tag="sdk")


@routes.post("/sdk/v1/runs/{run_id}/wait-for-event", **ROUTE, summary="Wait for an event")
async def wait_for_event(call: Call, run_id: str, body: wire.WaitForEventRequest) -> Reply[wire.Waiting]:
    """Park the run until an event of this key comes; the attempt is over, and what its endpoint answers is ignored.

    The run is then dispatched again, in the same attempt: the same call is answered with the event's payload.
    """
    key = either(body.event_key, body.key, "event_key", "key")
    async with working(call, run_id) as desk:
        waits = call.services.engine.waits
        awaited = await waits.event(desk.attempt, key, body.name or key, int(body.timeout_secs * 1e6))
        return desk.over(wire.Waiting, _waiting(key, awaited))


class _Shown(msgspec.Struct, frozen=True):
    run_id: str
    status: str
    event_key: str
    payload: dict[str, object] | None
    expires_at: str | None
    trigger_id: str


def _waiting(key: str, awaited: Awaited) -> _Shown:
    run = awaited.run
    status = "received" if awaited.received else word_of(run)
    due_at = None if run.due_at is None or awaited.received else instants.text(run.due_at)
    return _Shown(run.run_id, status, key, awaited.payload, due_at, f"{run.run_id}.{run.seq}")
