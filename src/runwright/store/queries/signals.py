"""Statements of signals: who waits for one, which are kept, and which jobs one starts."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, delete, func, literal_column, or_, select

from runwright.domain.job import Job
from runwright.domain.signal import Signal
from runwright.store.base import Row
from runwright.store.queries.jobs import job
from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tables import jobs
from runwright.store.wait_tables import job_triggers, kept_signals, signal_waits

_limit = bindparam("limit", type_=Integer)
_waits_of_project = signal_waits.c.project_id == bindparam("project_id")
_kept_of_key = (kept_signals.c.project_id == bindparam("project_id")) & (
    kept_signals.c.event_key == bindparam("event_key")
)
_fresh = kept_signals.c.created_at > bindparam("since")

WAITING = Query(
    select(signal_waits.c.event_key, signal_waits.c.run_id)
    .where(_waits_of_project, signal_waits.c.event_key == bindparam("event_key"))
    .order_by(signal_waits.c.run_id)
    .limit(_limit)
)
# A prefix is a range of keys, of which the largest is never sent: U+10FFFF is no character that a key may end with.
WAITING_BY_PREFIX = Query(
    select(signal_waits.c.event_key, signal_waits.c.run_id)
    .where(
        _waits_of_project,
        signal_waits.c.event_key >= bindparam("event_key"),
        signal_waits.c.event_key < bindparam("beyond"),
    )
    .order_by(signal_waits.c.event_key, signal_waits.c.run_id)
    .limit(_limit)
)
KEPT = Query(
    select(kept_signals.c.signal_id, kept_signals.c.sealed, kept_signals.c.created_at)
    .where(_kept_of_key, _fresh)
    .order_by(kept_signals.c.signal_id)
    .limit(_limit)
)
KEPT_IDS = Query(select(kept_signals.c.signal_id).where(_kept_of_key, _fresh).limit(_limit))
FORGET_KEPT = Query(delete(kept_signals).where(kept_signals.c.created_at <= bindparam("before")))

INSERT_TRIGGER = inserting(job_triggers)
DELETE_TRIGGERS = Query(delete(job_triggers).where(job_triggers.c.job_id == bindparam("job_id")))

_JOB = Job.__struct_fields__
_exact = (job_triggers.c.by_prefix == literal_column("0")) & (job_triggers.c.pattern == bindparam("event_key"))
_wide = (job_triggers.c.by_prefix == literal_column("1")) & (
    func.substr(bindparam("event_key"), 1, func.length(job_triggers.c.pattern)) == job_triggers.c.pattern
)
_within = (job_triggers.c.pattern >= bindparam("event_key")) & (job_triggers.c.pattern < bindparam("beyond"))


def _started(*patterns: object) -> Query:
    chosen = (
        select(job_triggers.c.job_id)
        .where(job_triggers.c.project_id == bindparam("project_id"), or_(*patterns))  # type: ignore[arg-type]
        .distinct()
    )
    return Query(
        select(*(jobs.c[name] for name in _JOB))
        .where(jobs.c.job_id.in_(chosen), jobs.c.deleted_at.is_(None))
        .order_by(jobs.c.job_id)
        .limit(_limit)
    )


STARTED = _started(_exact, _wide)
STARTED_BY_PREFIX = _started(_within, _wide)
"""The jobs that may have a trigger for a key, or for keys with a prefix; whether they do is asked of each."""


def signal(project_id: str, event_key: str, row: Row) -> Signal:
    """Return a kept signal of a row of `KEPT`."""
    signal_id, sealed, created_at = row
    return Signal(signal_id, project_id, event_key, sealed, created_at)


def started(row: Row) -> Job:
    """Return the job of a row."""
    return job(row)
