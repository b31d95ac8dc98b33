"""Statements of schedules; the commit moves them on by its change sets."""

from __future__ import annotations

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, select

from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.schedule import Schedule
from runwright.store.base import Row
from runwright.store.queries.jobs import job
from runwright.store.queries.shapes import inserting, rows, setting
from runwright.store.query import Query
from runwright.store.tables import jobs, schedules
from runwright.store.tenancy_tables import projects

_of_job = schedules.c.job_id == bindparam("job_id")

INSERT_SCHEDULE = inserting(schedules)
SET_SCHEDULE = setting(schedules, "job_id", "job_version_id", "next_fire_at")
SET_VERSION = setting(schedules, "job_id", "job_version_id")
DELETE_SCHEDULE = Query(delete(schedules).where(_of_job))
SCHEDULE = Query(rows(schedules, Schedule, _of_job))
NEXT_FIRE = Query(select(func.min(schedules.c.next_fire_at)))

_SCHEDULE, _JOB, _PROJECT = (kind.__struct_fields__ for kind in (Schedule, Job, Project))

# What a fire needs is read by one statement: a job and a schedule that it says belong together were so at one moment.
DUE = Query(
    select(
        *(schedules.c[name] for name in _SCHEDULE),
        *(jobs.c[name] for name in _JOB),
        *(projects.c[name] for name in _PROJECT),
    )
    .outerjoin(jobs, (jobs.c.job_id == schedules.c.job_id) & jobs.c.deleted_at.is_(None))
    .outerjoin(projects, projects.c.project_id == schedules.c.project_id)
    .where(schedules.c.next_fire_at <= bindparam("at"))
    .order_by(schedules.c.next_fire_at, schedules.c.job_id)
    .limit(bindparam("limit", type_=Integer))
)


class DueSchedule(msgspec.Struct, frozen=True):
    """A schedule whose fire has come, with its job and its project; None for what is not there any more."""

    schedule: Schedule
    job: Job | None
    project: Project | None


def schedule(row: Row) -> Schedule:
    """Return the schedule of a row."""
    return Schedule(*row)


def due(row: Row) -> DueSchedule:
    """Return what a row of `DUE` holds."""
    of_job = row[len(_SCHEDULE) : -len(_PROJECT)]
    of_project = row[-len(_PROJECT) :]
    return DueSchedule(
        schedule(row[: len(_SCHEDULE)]),
        None if of_job[0] is None else job(of_job),
        None if of_project[0] is None else Project(*of_project),
    )
