"""Statements of jobs and their versions."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, exists, select

from runwright.domain.job import Job, JobDefinition, JobVersion
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.tables import job_secrets, job_versions, jobs, run_heads, runs

_is_there = jobs.c.deleted_at.is_(None)
_of_org = jobs.c.org_id == bindparam("org_id")
_of_project = jobs.c.project_id == bindparam("project_id")
_by_id = jobs.c.job_id == bindparam("job_id")

INSERT_JOB = inserting(jobs)
SET_JOB = setting(jobs, "job_id", "slug", "version", "job_version_id", "definition", "updated_at")
DELETE_JOB = setting(jobs, "job_id", "deleted_at")
JOB = Query(rows(jobs, Job, _by_id, _is_there))
JOB_BY_SLUG = Query(rows(jobs, Job, _of_project, jobs.c.slug == bindparam("slug"), _is_there))
JOBS = paging(rows(jobs, Job, _of_org, _is_there), jobs.c.job_id)
JOBS_OF_PROJECT = paging(rows(jobs, Job, _of_project, _is_there), jobs.c.job_id)

INSERT_VERSION = inserting(job_versions)
VERSIONS = paging(
    rows(job_versions, JobVersion, job_versions.c.job_id == bindparam("job_id")), job_versions.c.job_version_id
)

VERSION = Query(rows(job_versions, JobVersion, job_versions.c.job_version_id == bindparam("job_version_id")))

# Live runs are few, ended ones are many: the search walks the heads and looks each run up, never a job's whole history.
LIVE_RUN = Query(
    select(run_heads.c.run_id)
    .where(
        exists(select(runs.c.run_id).where(runs.c.run_id == run_heads.c.run_id, runs.c.job_id == bindparam("job_id")))
    )
    .limit(1)
)

_secret_of_job = job_secrets.c.job_id == bindparam("job_id")
SECRET = Query(select(job_secrets.c.sealed, job_secrets.c.previous, job_secrets.c.previous_until).where(_secret_of_job))
INSERT_SECRET = inserting(job_secrets)
SET_SECRET = setting(job_secrets, "job_id", "sealed", "previous", "previous_until", "changed_at")
DELETE_SECRET = Query(delete(job_secrets).where(_secret_of_job))

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Stored(JobDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A definition as another version of this program may have stored it, with fields that this one does not know."""


_decode = msgspec.json.Decoder(_Stored).decode


def encoded(definition: JobDefinition) -> bytes:
    """Return a definition as it is stored: all fields, so that a later default changes no version."""
    return _encode(definition)


def decoded(definition: bytes) -> JobDefinition:
    """Return a stored definition, without what this version of the program does not know."""
    return JobDefinition(**msgspec.structs.asdict(_decode(definition)))


def job(row: Row) -> Job:
    """Return the job of a row."""
    job_id, org_id, project_id, version, job_version_id, definition, created_at, updated_at = row
    return Job(
        job_id=job_id,
        org_id=org_id,
        project_id=project_id,
        version=version,
        job_version_id=job_version_id,
        definition=decoded(definition),
        created_at=created_at,
        updated_at=updated_at,
    )


def version(row: Row) -> JobVersion:
    """Return the version of a row."""
    job_version_id, job_id, number, definition, created_at, created_by = row
    return JobVersion(
        job_version_id=job_version_id,
        job_id=job_id,
        version=number,
        definition=decoded(definition),
        created_at=created_at,
        created_by=created_by,
    )
