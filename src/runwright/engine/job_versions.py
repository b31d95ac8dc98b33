"""Write a job and its versions: every effective change is one, with its audit entry and its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.job import Job, JobDefinition
from runwright.engine import environments, schedules, signals, throttling
from runwright.errors import AlreadyExists, FieldError, InvalidRequest
from runwright.store import audit
from runwright.store.base import Transaction
from runwright.store.queries import jobs as q


async def insert(tx: Transaction, project: Project, definition: JobDefinition, by: str) -> Job:
    """Make a job in its version 1. Raises `AlreadyExists` for a slug that the project has."""
    await _require_free(tx, project.project_id, definition.slug)
    await environments.require(tx, project.project_id, definition.environment)
    made = Job(
        job_id=ids.new_id("job", tx.now),
        org_id=project.org_id,
        project_id=project.project_id,
        version=1,
        job_version_id=ids.new_id("jobv", tx.now),
        definition=definition,
        created_at=tx.now,
        updated_at=tx.now,
    )
    encoded = q.encoded(definition)
    row = msgspec.structs.asdict(made) | {"slug": definition.slug, "definition": encoded, "deleted_at": None}
    await tx.fetch(q.INSERT_JOB, **row)
    await _insert_version(tx, made, encoded, by)
    await schedules.follow(tx, None, made)
    await signals.follow(tx, None, made)
    await throttling.follow(tx, made)
    data = {"slug": made.slug, "project_id": made.project_id}
    await audit.append(tx, made.org_id, by, "job.created", made.job_id, data)
    return made


async def replace(tx: Transaction, old: Job, definition: JobDefinition, by: str) -> Job:
    """Change a job, in a version of its own. Raises `AlreadyExists` for a slug that the project has."""
    if definition.slug != old.slug:
        await _require_free(tx, old.project_id, definition.slug)
    await environments.require(tx, old.project_id, definition.environment)
    new = msgspec.structs.replace(
        old,
        version=old.version + 1,
        job_version_id=ids.new_id("jobv", tx.now),
        definition=definition,
        updated_at=tx.now,
    )
    encoded = q.encoded(definition)
    await tx.fetch(
        q.SET_JOB,
        row=new.job_id,
        slug=new.slug,
        version=new.version,
        job_version_id=new.job_version_id,
        definition=encoded,
        updated_at=new.updated_at,
    )
    await _insert_version(tx, new, encoded, by)
    await schedules.follow(tx, old, new)
    await signals.follow(tx, old, new)
    await throttling.follow(tx, new)
    before, after = msgspec.structs.asdict(old.definition), msgspec.structs.asdict(definition)
    data = {"version": new.version, "changed": [name for name in sorted(after) if after[name] != before[name]]}
    await audit.append(tx, new.org_id, by, "job.updated", new.job_id, data)
    return new


async def _insert_version(tx: Transaction, job: Job, encoded: bytes, by: str) -> None:
    await tx.fetch(
        q.INSERT_VERSION,
        job_version_id=job.job_version_id,
        job_id=job.job_id,
        version=job.version,
        definition=encoded,
        created_at=job.updated_at,
        created_by=by,
    )


async def _require_free(tx: Transaction, project_id: str, slug: str) -> None:
    if await tx.fetch(q.JOB_BY_SLUG, project_id=project_id, slug=slug):
        raise AlreadyExists(f"The project has a job {slug!r} already.")


def converted(fields: Mapping[str, Any]) -> JobDefinition:
    """Return the definition that these fields make. Raises `InvalidRequest`, naming what cannot be."""
    unknown = [FieldError(name, "is not known") for name in fields if name not in JobDefinition.__struct_fields__]
    if unknown:
        raise InvalidRequest(fields=unknown)
    try:
        return msgspec.convert(fields, JobDefinition)
    except msgspec.ValidationError as wrong:
        raise InvalidRequest(fields=[said(wrong)]) from None


def said(wrong: msgspec.ValidationError) -> FieldError:
    """Return which field is not what it must be, and why."""
    what, _, where = str(wrong).partition(" - at `$.")
    return FieldError(where.rstrip("`"), what.replace("`", ""))


def same(definition: JobDefinition, other: JobDefinition) -> bool:
    """Tell whether a change from one definition to the other changes nothing. In JSON, 1 and true are not the same."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    free = ("payload_template", "payload_schema", "result_schema", "on_complete", "on_failure", "event_triggers")
    return definition == other and all(encode(getattr(definition, n)) == encode(getattr(other, n)) for n in free)
