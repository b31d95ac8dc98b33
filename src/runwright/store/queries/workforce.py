"""Statements of workers elsewhere and of paused queues."""

from __future__ import annotations

from sqlalchemy import bindparam, case, delete, func, select, update

from runwright.domain.workforce import PausedQueue, RemoteWorker
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.tables import leases, paused_queues, runs, workers

_of_org = workers.c.org_id == bindparam("org_id")
_of_project = workers.c.project_id == bindparam("project_id")
_this = workers.c.worker_id == bindparam("worker_id")

WORKER = Query(rows(workers, RemoteWorker, _this))
WORKERS = paging(rows(workers, RemoteWorker, _of_org), workers.c.worker_id)
WORKERS_OF_PROJECT = paging(rows(workers, RemoteWorker, _of_org, _of_project), workers.c.worker_id)
INSERT_WORKER = inserting(workers)
_SAID = ("project_id", "name", "version", "sdk", "queues", "handlers", "processes", "slots")
SET_WORKER = setting(workers, "worker_id", *_SAID, "seen_at", "gone_at")
SEEN = Query(update(workers).where(_this).values(seen_at=bindparam("seen_at")).returning(workers.c.drain_at))
DRAIN = setting(workers, "worker_id", "drain_at")
GONE = setting(workers, "worker_id", "gone_at")
FORGET_WORKERS = Query(delete(workers).where(workers.c.seen_at < bindparam("before")))
DRAINING = Query(select(workers.c.worker_id).where(workers.c.drain_at.is_not(None), workers.c.gone_at.is_(None)))
_asked = (
    select(
        case(
            (runs.c.cancel_requested_at.is_not(None), "cancel"),
            (runs.c.restart_requested_at.is_not(None), "restart"),
            else_="pause",
        )
    )
    .where(runs.c.run_id == leases.c.run_id)
    .scalar_subquery()
)
"""What a run was asked for, looked up for each lease: a join could be read from the other side, through all runs."""
STOPPING = Query(
    select(leases.c.run_id, leases.c.lease_epoch, leases.c.worker_id, _asked).where(leases.c.fence_at.is_not(None))
)
BUSY = Query(select(leases.c.worker_id, func.count()).group_by(leases.c.worker_id))

PAUSED = Query(
    rows(
        paused_queues,
        PausedQueue,
        paused_queues.c.queue >= bindparam("first"),
        paused_queues.c.queue < bindparam("last"),
    ).order_by(paused_queues.c.queue)
)
PAUSED_QUEUE = Query(rows(paused_queues, PausedQueue, paused_queues.c.queue == bindparam("queue")))
PAUSE = inserting(paused_queues)
RESUME = Query(delete(paused_queues).where(paused_queues.c.queue == bindparam("queue")))


def worker(row: tuple[object, ...]) -> RemoteWorker:
    """Return the worker of a row."""
    return RemoteWorker(*row)  # type: ignore[arg-type]


def paused(row: tuple[object, ...]) -> PausedQueue:
    """Return the paused queue of a row."""
    return PausedQueue(*row)  # type: ignore[arg-type]
