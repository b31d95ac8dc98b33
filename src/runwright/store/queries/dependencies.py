"""Statements of dependencies between jobs, and of the runs that they are about."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, bindparam, delete, insert, literal_column, or_, select

from runwright.domain.dependency import Dependency
from runwright.store.base import Row
from runwright.store.graph_tables import job_dependencies as table
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.tables import inbox, runs

_of_job = table.c.job_id == bindparam("job_id")
_limit = bindparam("limit", type_=Integer)

INSERT = inserting(table)
CHANGE = setting(table, "dependency_id", "condition", "on_miss", "max_age_secs", "timeout_secs")
LEAVE = Query(
    insert(inbox).values(run_id=bindparam("run_id"), command=bindparam("command"), created_at=bindparam("created_at"))
)
"""Leave an errand with a change of a job's dependencies; those of runs are left by the commit."""
DELETE = Query(delete(table).where(table.c.dependency_id == bindparam("dependency_id")))
DELETE_OF_JOB = Query(delete(table).where(_of_job))
ONE = Query(rows(table, Dependency, table.c.dependency_id == bindparam("dependency_id")))
OF_JOB = Query(rows(table, Dependency, _of_job).order_by(table.c.dependency_id))
PAGE_OF_JOB = paging(rows(table, Dependency, _of_job), table.c.dependency_id)
NEEDS = Query(select(table.c.job_id, table.c.depends_on_job_id).where(table.c.project_id == bindparam("project_id")))
EDGES = Query(select(table.c.job_id, table.c.depends_on_job_id, table.c.timeout_secs))
UPON = Query(select(table.c.job_id).where(table.c.depends_on_job_id == bindparam("job_id")).order_by(table.c.job_id))

# As the index says it.
_waiting: ColumnElement[bool] = literal_column("(runs.state = 'waiting' AND runs.reason = 'dependency')")
_depending = (_waiting, runs.c.run_id > bindparam("above"))

WAITING = Query(select(runs.c.run_id).where(*_depending).order_by(runs.c.run_id).limit(_limit))
WAITING_OF_JOB = Query(
    select(runs.c.run_id).where(*_depending, runs.c.job_id == bindparam("job_id")).order_by(runs.c.run_id).limit(_limit)
)
WAITING_FOR = Query(
    select(runs.c.run_id)
    .where(
        *_depending,
        runs.c.job_id.in_(select(table.c.job_id).where(table.c.depends_on_job_id == bindparam("job_id"))),
        or_(runs.c.dependency_key.is_(None), runs.c.dependency_key == bindparam("key")),
    )
    .order_by(runs.c.run_id)
    .limit(_limit)
)
"""Runs that may wait for a run of `job_id` with this key: those with the same, and those without one."""

# Only the newest runs of a job are looked through, however many wait in its queue: the scan has an end.
_newest = (
    select(runs.c.run_id, runs.c.state, runs.c.finished_at)
    .where(runs.c.job_id == bindparam("job_id"), runs.c.run_id < bindparam("below"))
    .order_by(runs.c.run_id.desc())
    .limit(bindparam("scan", type_=Integer))
    .subquery()
)
_ended = (_newest.c.finished_at.is_not(None), _newest.c.finished_at <= bindparam("at"))
ENDED = Query(select(_newest).where(*_ended).order_by(_newest.c.run_id.desc()).limit(bindparam("limit", type_=Integer)))
ENDED_OF_KEY = Query(
    select(runs.c.run_id, runs.c.state, runs.c.finished_at)
    .where(
        runs.c.job_id == bindparam("job_id"),
        runs.c.dependency_key == bindparam("key"),
        runs.c.dependency_key.is_not(None),
        runs.c.finished_at.is_not(None),
        runs.c.finished_at <= bindparam("at"),
    )
    .order_by(runs.c.run_id.desc())
    .limit(_limit)
)


def dependency(row: Row) -> Dependency:
    """Return the dependency of a row."""
    return Dependency(**dict(zip(Dependency.__struct_fields__, row, strict=True)))
