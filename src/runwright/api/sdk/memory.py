"""What a running job's code keeps for later runs of its job, and what it finds of earlier ones."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.routing import Reply, Routes
from runwright.api.sdk import schemas as wire
from runwright.api.sdk.desk import ROUTE, either, working
from runwright.domain.memory import Recalled
from runwright.errors import NotFound

routes = Routes(tag="sdk")


@routes.post("/sdk/v1/runs/{run_id}/memory", **ROUTE, status=201, summary="Keep a value for every run of the job")
async def set_memory(call: Call, run_id: str, body: wire.MemoryRequest) -> Reply[wire.SavedMemory]:
    """Keep a value under a key, in place of an earlier one, for every run of the job; exact, sealed where it lies."""
    key = either(body.memory_key, body.key, "memory_key", "key")
    async with working(call, run_id) as desk:
        kept = await call.services.engine.reach.memory.remember(desk.attempt.run, key, body.value, body.ttl_secs)
        return desk.saved(wire.SavedMemory, _own(kept))


@routes.get("/sdk/v1/runs/{run_id}/memory", **ROUTE, summary="List what the job remembers")
async def list_own_memory(call: Call, run_id: str) -> Reply[list[wire.OwnMemory]]:
    """Return all that the job remembers, by key, exact."""
    async with working(call, run_id) as desk:
        kept = await call.services.engine.reach.memory.recall_all(desk.attempt.run)
        return desk.reply([_own(each) for each in kept])


@routes.get("/sdk/v1/runs/{run_id}/memory/{key}", **ROUTE, summary="Get a value that the job remembers")
async def get_own_memory(call: Call, run_id: str, key: str) -> Reply[wire.OwnMemory]:
    """Return what the job remembers under a key, exact."""
    async with working(call, run_id) as desk:
        kept = await call.services.engine.reach.memory.recall(desk.attempt.run, key)
        if kept is None:
            raise NotFound("value", key)
        return desk.reply(_own(kept))


@routes.delete("/sdk/v1/runs/{run_id}/memory/{key}", **ROUTE, status=204, summary="Forget a value of the job")
async def delete_own_memory(call: Call, run_id: str, key: str) -> Reply[None]:
    """Forget what the job remembers under a key; where that is nothing, nothing happens."""
    async with working(call, run_id) as desk:
        await call.services.engine.reach.memory.forget(desk.attempt.run, key)
        return desk.reply(None)


def _own(kept: Recalled) -> wire.OwnMemory:
    return wire.OwnMemory(
        memory_key=kept.memory_key,
        value=kept.value,
        run_id=kept.run_id,
        expires_at=None if kept.expires_at is None else instants.text(kept.expires_at),
        updated_at=instants.text(kept.updated_at),
    )
