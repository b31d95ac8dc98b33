"""The routes of operators: workers elsewhere, and queues."""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Routes
from runwright.api.slices import part, sliced
from runwright.domain.job_options import Queue as QueueName
from runwright.engine import queues as engine
from runwright.engine.workforce import Listed
from runwright.errors import NotFound

routes = Routes("operations")

MISSED = 3
"""Heartbeats without which a worker counts as lost."""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker elsewhere. Without `queues` it takes from every queue; `busy` counts the leases it holds.

    `processes`: it runs commands, too.
    """

    id: str
    project_id: str | None
    name: str
    version: str
    sdk: str
    status: Literal["active", "draining", "lost", "gone"]
    queues: list[str]
    jobs: list[str]
    processes: bool
    slots: int
    busy: int
    started_at: str
    seen_at: str
    drain_requested_at: str | None
    gone_at: str | None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue with ready runs, or a paused one. Each of its lanes is counted up to 1 000; `capped`: there are more."""

    name: str
    ready: int
    capped: bool
    paused: bool
    paused_at: str | None
    paused_by: str | None


@routes.get("/v1/workers", scope="runs:read", summary="List workers")
async def list_workers(call: Call, query: PageQuery) -> Page[Worker]:
    """List the workers that claim runs over REST, newest first, those that are gone for a while too."""
    window = query.window(call.services.settings, order="desc")
    rows = await call.services.engine.workforce.page(call.actor, part(window, "wrk"))
    return Page.of(rows, window, lambda row: _worker(call, row), lambda row: row.worker.worker_id)


@routes.get("/v1/workers/{worker_id}", scope="runs:read", summary="Get a worker")
async def get_worker(call: Call, worker_id: str) -> Worker:
    """Return a worker."""
    return _worker(call, await call.services.engine.workforce.get(call.actor, worker_id))


@routes.post("/v1/workers/{worker_id}/drain", scope="runs:write", summary="Drain a worker")
async def drain_worker(call: Call, worker_id: str) -> Worker:
    """Ask a worker to take no more runs and to end when those that it has have ended."""
    services = call.services.engine
    await services.workforce.drain(call.actor, worker_id)
    services.fleet.nudge(worker_id)
    return _worker(call, await services.workforce.get(call.actor, worker_id))


@routes.get("/v1/queues", scope="runs:read", summary="List queues")
async def list_queues(call: Call, query: PageQuery) -> Page[Queue]:
    """List the queues of the organization that hold ready runs or are paused, by name, which is the cursor, too."""
    found = await call.services.engine.queues.all(call.actor)
    window = query.window(call.services.settings, order="asc")
    return sliced(window, [(0, _queue(each)) for each in found], lambda queue: queue.name)


@routes.post("/v1/queues/{queue}/pause", scope="runs:write", summary="Pause a queue")
async def pause_queue(call: Call, queue: str) -> Queue:
    """Let nobody take from a queue any more; what executes goes on. A paused queue stays paused."""
    return _queue(await call.services.engine.queues.pause(call.actor, _name(queue)))


@routes.post("/v1/queues/{queue}/resume", scope="runs:write", summary="Resume a queue")
async def resume_queue(call: Call, queue: str) -> Queue:
    """Let workers take from a queue again; one that is not paused stays as it is."""
    return _queue(await call.services.engine.queues.resume(call.actor, _name(queue)))


def _name(queue: str) -> str:
    try:
        return msgspec.convert(queue, QueueName)
    except msgspec.ValidationError:
        raise NotFound("queue", queue) from None


def _worker(call: Call, listed: Listed) -> Worker:
    found = listed.worker
    silent_us = call.services.clock.now() - found.seen_at
    return Worker(
        id=found.worker_id,
        project_id=found.project_id,
        name=found.name,
        version=found.version,
        sdk=found.sdk,
        status=_status(listed, silent_us > MISSED * call.services.settings.heartbeat_s * 1e6),
        queues=msgspec.json.decode(found.queues, type=list[str]),
        jobs=msgspec.json.decode(found.handlers, type=list[str]),
        processes=bool(found.processes),
        slots=found.slots,
        busy=listed.busy,
        started_at=instants.text(found.started_at),
        seen_at=instants.text(found.seen_at),
        drain_requested_at=None if found.drain_at is None else instants.text(found.drain_at),
        gone_at=None if found.gone_at is None else instants.text(found.gone_at),
    )


def _status(listed: Listed, silent: bool) -> Literal["active", "draining", "lost", "gone"]:
    if listed.worker.gone_at is not None:
        return "gone"
    if silent:
        return "lost"
    return "active" if listed.worker.drain_at is None else "draining"


def _queue(found: engine.Queue) -> Queue:
    return Queue(
        name=found.name,
        ready=found.ready,
        capped=found.capped,
        paused=found.paused_at is not None,
        paused_at=None if found.paused_at is None else instants.text(found.paused_at),
        paused_by=found.paused_by,
    )
