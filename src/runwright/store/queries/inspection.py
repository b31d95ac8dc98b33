"""Statements that read a whole database, page by page in the order of its keys."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, exists, select, tuple_

from runwright.domain.events import Event
from runwright.store import rows, tables
from runwright.store.approval_tables import approvals
from runwright.store.graph_tables import workflow_versions, workflows
from runwright.store.memory_tables import job_memory
from runwright.store.query import Query
from runwright.store.spending_tables import reservations
from runwright.store.tables import jobs, limits, run_events, run_heads, run_values, runs, schedules
from runwright.store.tenancy_tables import audit, audit_heads
from runwright.store.thread_tables import messages
from runwright.store.wait_tables import kept_signals, signal_waits

_limit = bindparam("limit", type_=Integer)
_live = (
    runs.c.opening,
    *(runs.c[name] for name in rows.STANDING),
    *(run_heads.c[name].label(f"head_{name}") for name in rows.HEAD),
)
_with_heads = runs.outerjoin(run_heads, run_heads.c.run_id == runs.c.run_id)

RUNS = Query(
    select(
        runs.c.run_id,
        runs.c.genesis,
        runs.c.erased_at,
        runs.c.pruned_at,
        runs.c.pruned_way,
        runs.c.payload,
        runs.c.result,
        *_live,
    )
    .select_from(_with_heads)
    .where(runs.c.run_id > bindparam("after"))
    .order_by(runs.c.run_id)
    .limit(_limit)
)
LIVE = Query(
    select(run_heads.c.run_id, *_live)
    .select_from(run_heads.join(runs, run_heads.c.run_id == runs.c.run_id))
    .where(run_heads.c.run_id > bindparam("after"))
    .order_by(run_heads.c.run_id)
    .limit(_limit)
)
EVENTS = Query(
    select(*(run_events.c[name] for name in Event.__struct_fields__))
    .where(
        run_events.c.run_id >= bindparam("first"),
        run_events.c.run_id <= bindparam("last"),
        tuple_(run_events.c.run_id, run_events.c.seq) > tuple_(bindparam("run_id"), bindparam("seq", type_=Integer)),
    )
    .order_by(run_events.c.run_id, run_events.c.seq)
    .limit(_limit)
)
SEALED = Query(
    select(run_values.c.run_id, run_values.c.kind, run_values.c.key, run_values.c.sealed, runs.c.project_id)
    .select_from(run_values.join(runs, runs.c.run_id == run_values.c.run_id))
    .where(
        tuple_(run_values.c.run_id, run_values.c.kind, run_values.c.key)
        > tuple_(bindparam("run_id"), bindparam("kind"), bindparam("key")),
    )
    .order_by(run_values.c.run_id, run_values.c.kind, run_values.c.key)
    .limit(_limit)
)
KEPT_SIGNALS = Query(
    select(kept_signals.c.signal_id, kept_signals.c.project_id, kept_signals.c.sealed)
    .where(kept_signals.c.signal_id > bindparam("after"))
    .order_by(kept_signals.c.signal_id)
    .limit(_limit)
)
MESSAGES = Query(
    select(messages.c.message_id, messages.c.project_id, messages.c.sealed)
    .where(messages.c.message_id > bindparam("after"), messages.c.deleted_at.is_(None))
    .order_by(messages.c.message_id)
    .limit(_limit)
)
MEMORY = Query(
    select(job_memory.c.job_id, job_memory.c.memory_key, job_memory.c.project_id, job_memory.c.sealed)
    .where(tuple_(job_memory.c.job_id, job_memory.c.memory_key) > tuple_(bindparam("after"), bindparam("after_key")))
    .order_by(job_memory.c.job_id, job_memory.c.memory_key)
    .limit(_limit)
)
APPROVALS = Query(
    select(approvals.c.run_id, approvals.c.checkpoint_id, approvals.c.status, approvals.c.checkpoint)
    .where(approvals.c.run_id >= bindparam("first"), approvals.c.run_id <= bindparam("last"))
    .order_by(approvals.c.run_id, approvals.c.checkpoint_id)
)
LIMITS = Query(select(limits.c.limit_key, limits.c.used).where(limits.c.used != 0))
RECEIPTS = Query(select(audit.c.target, audit.c.data).where(audit.c.action == bindparam("action")))
_has_schedule = jobs.outerjoin(schedules, schedules.c.job_id == jobs.c.job_id)
JOBS = Query(
    select(
        jobs.c.job_id, jobs.c.job_version_id, jobs.c.definition, schedules.c.job_version_id, schedules.c.next_fire_at
    )
    .select_from(_has_schedule)
    .where(jobs.c.deleted_at.is_(None), jobs.c.job_id > bindparam("after"))
    .order_by(jobs.c.job_id)
    .limit(_limit)
)
"""Each job with the version and the next fire of its schedule, or with nothing."""
WORKFLOWS = Query(
    select(workflows.c.workflow_id, workflows.c.definition, workflow_versions.c.definition.label("of_version"))
    .select_from(
        workflows.outerjoin(
            workflow_versions, workflow_versions.c.workflow_version_id == workflows.c.workflow_version_id
        )
    )
    .where(workflows.c.workflow_id > bindparam("after"))
    .order_by(workflows.c.workflow_id)
    .limit(_limit)
)
"""Each workflow, with what its newest version says."""
JOBLESS = Query(
    select(schedules.c.job_id)
    .where(~exists(select(jobs.c.job_id).where(jobs.c.job_id == schedules.c.job_id, jobs.c.deleted_at.is_(None))))
    .order_by(schedules.c.job_id)
    .limit(_limit)
)
AUDIT_HEADS = Query(select(audit_heads.c.org_id, audit_heads.c.number, audit_heads.c.hash))

ORPHANS = {
    table.name: Query(
        select(table.c.run_id)
        .where(~exists(select(runs.c.run_id).where(runs.c.run_id == table.c.run_id)))
        .order_by(table.c.run_id)
        .limit(_limit)
    )
    for table in (
        tables.run_heads,
        tables.run_events,
        tables.run_values,
        tables.attempts,
        tables.ready,
        tables.held,
        tables.leases,
        tables.timers,
        signal_waits,
        reservations,
        approvals,
    )
}
"""Table → the rows that tell of a run which is not there."""
