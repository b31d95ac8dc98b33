"""What a job remembers, as operators see it."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs.job_schemas import JobQuery, JobVersionQuery
from runwright.api.jobs.jobs import find_job
from runwright.api.pages import Page
from runwright.api.routing import Routes
from runwright.api.slices import sliced
from runwright.domain.memory import Recalled

routes = Routes("jobs")


class JobMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a job remembers, redacted; `run_id` is the run that kept it last."""

    id: str
    job_id: str
    memory_key: str
    value: Any
    run_id: str
    expires_at: str | None
    updated_at: str


@routes.get("/v1/jobs/{job}/memory", scope="jobs:read", summary="List what a job remembers")
async def list_memory(call: Call, job: str, query: JobVersionQuery) -> Page[JobMemory]:
    """List the values that the runs of a job keep for each other, by key; secrets are taken out of them."""
    found = await find_job(call, job, query.project_id)
    kept = await call.services.engine.reach.memory.seen(call.actor, found)
    window = query.window(call.services.settings, order="asc")
    return sliced(window, [(each.updated_at, _view(found.job_id, each)) for each in kept], lambda row: row.id)


@routes.delete("/v1/jobs/{job}/memory/{key}", scope="jobs:write", status=204, summary="Erase a value of a job")
async def erase_memory(call: Call, job: str, key: str, query: JobQuery) -> None:
    """Forget what a job remembers under a key; the audit log says who did."""
    found = await find_job(call, job, query.project_id)
    await call.services.engine.reach.memory.erase(call.actor, found, key)


def _view(job_id: str, kept: Recalled) -> JobMemory:
    return JobMemory(
        id=f"{job_id}.memory.{kept.memory_key}",
        job_id=job_id,
        memory_key=kept.memory_key,
        value=kept.value,
        run_id=kept.run_id,
        expires_at=None if kept.expires_at is None else instants.text(kept.expires_at),
        updated_at=instants.text(kept.updated_at),
    )
