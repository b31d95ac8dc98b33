"""Statements of what jobs remember."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, or_, select

from runwright.domain.memory import Remembered
from runwright.store.base import Row
from runwright.store.memory_tables import job_memory
from runwright.store.queries.shapes import inserting, rows
from runwright.store.query import Query
from runwright.store.tables import jobs, leases

_of_job = job_memory.c.job_id == bindparam("row")
_of_key = job_memory.c.memory_key == bindparam("row_key")
_fresh = or_(job_memory.c.expires_at.is_(None), job_memory.c.expires_at > bindparam("now"))

LEASED = Query(
    select(leases.c.run_id)
    .where(leases.c.run_id == bindparam("run_id"), leases.c.lease_epoch == bindparam("lease_epoch"))
    .with_for_update(read=True)
)
"""Whether a run is executed under a lease, which stays so until the transaction has ended."""
LOCK_JOB = Query(
    select(jobs.c.job_id).where(jobs.c.job_id == bindparam("row"), jobs.c.deleted_at.is_(None)).with_for_update()
)
"""The job: those who write into its memory take turns, and none does when it is gone."""
SIZE = Query(select(func.coalesce(func.sum(job_memory.c.size), 0), func.count()).where(_of_job, _fresh))
INSERT = inserting(job_memory)
DELETE = Query(delete(job_memory).where(_of_job, _of_key))
FORGET_JOB = Query(delete(job_memory).where(_of_job))
FORGET_RUN = Query(delete(job_memory).where(job_memory.c.run_id == bindparam("row")))
FORGET_EXPIRED = Query(delete(job_memory).where(job_memory.c.expires_at <= bindparam("before")))
VALUE = Query(rows(job_memory, Remembered, _of_job, _of_key, _fresh))
ALL = Query(rows(job_memory, Remembered, _of_job, _fresh).order_by(job_memory.c.memory_key))


def remembered(row: Row) -> Remembered:
    """Return what a row says."""
    return Remembered(**dict(zip(Remembered.__struct_fields__, row, strict=True)))
