"""The routes of jobs: create, list, get, change, delete, and their versions."""

from __future__ import annotations

import msgspec

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, TAKEN, idempotency_key
from runwright.api.jobs import job_schemas as wire
from runwright.api.pages import Page
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain import job as domain
from runwright.domain.accounts import slug_of
from runwright.errors import InvalidRequest

routes = Routes("jobs")
NOWHERE = {404: "The project is not the caller's"}


@routes.post(
    "/v1/jobs", scope="jobs:write", status=201, headers=HEADERS, answers=MADE_BEFORE | NOWHERE, summary="Create a job"
)
async def create_job(call: Call, body: wire.CreateJobRequest) -> Reply[wire.Job]:
    """Create a job in a project, in its version 1."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    made = await call.services.jobs.create(call.actor, project, _definition(body), idempotency_key(call))
    return Reply(job_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/jobs", scope="jobs:read", answers=NOWHERE, summary="List jobs")
async def list_jobs(call: Call, query: wire.JobListQuery) -> Page[wire.Job]:
    """List the jobs of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    named = query.project_id
    project = await call.services.tenants.resolve_project(call.actor, named) if named is not None else None
    rows = await call.services.jobs.page(call.actor, project, part(window, "job"))
    return Page.of(rows, window, job_view, lambda row: row.job_id)


@routes.get("/v1/jobs/{job}", scope="jobs:read", summary="Get a job")
async def get_job(call: Call, job: str, query: wire.JobQuery) -> wire.Job:
    """Return a job by its id, or by its slug in a project."""
    return job_view(await find_job(call, job, query.project_id))


@routes.patch("/v1/jobs/{job}", scope="jobs:write", answers=TAKEN, summary="Change a job")
async def update_job(call: Call, job: str, body: wire.UpdateJobRequest, query: wire.JobQuery) -> wire.Job:
    """Change the fields that are named. A change makes a version; runs keep the version that they started with."""
    found = await find_job(call, job, query.project_id)
    return job_view(await call.services.jobs.update(call.actor, found, given(body)))


@routes.delete("/v1/jobs/{job}", scope="jobs:write", status=204, summary="Delete a job")
async def delete_job(call: Call, job: str, query: wire.JobQuery) -> None:
    """Delete a job that has no live run. Its runs and versions stay; its slug is free."""
    await call.services.jobs.delete(call.actor, await find_job(call, job, query.project_id))


@routes.get("/v1/jobs/{job}/versions", scope="jobs:read", summary="List the versions of a job")
async def list_job_versions(call: Call, job: str, query: wire.JobVersionQuery) -> Page[wire.JobVersion]:
    """List the versions of a job, oldest first."""
    found = await find_job(call, job, query.project_id)
    window = query.window(call.services.settings, order="asc")
    rows = await call.services.jobs.versions(call.actor, found, part(window, "jobv"))
    return Page.of(rows, window, version_view, lambda row: row.job_version_id)


async def find_job(call: Call, ident: str, project_ident: str | None) -> domain.Job:
    """Return the job that a path names: by id wherever the caller may see it, by slug in the project."""
    if project_ident is None and ids.is_id("job", ident):
        return await call.services.jobs.directory.find(call.actor, ident, None)
    project = await call.services.tenants.resolve_project(call.actor, project_ident)
    return await call.services.jobs.directory.find(call.actor, ident, project)


def job_view(job: domain.Job) -> wire.Job:
    """Return a job as the wire shows it."""
    return wire.Job(
        **msgspec.structs.asdict(job.definition),
        id=job.job_id,
        job_id=job.job_id,
        org_id=job.org_id,
        project_id=job.project_id,
        version=job.version,
        job_version_id=job.job_version_id,
        created_at=instants.text(job.created_at),
        updated_at=instants.text(job.updated_at),
    )


def version_view(version: domain.JobVersion) -> wire.JobVersion:
    """Return a version as the wire shows it."""
    return wire.JobVersion(
        **msgspec.structs.asdict(version.definition),
        id=version.job_version_id,
        job_version_id=version.job_version_id,
        job_id=version.job_id,
        version=version.version,
        created_at=instants.text(version.created_at),
        created_by=version.created_by,
    )


def _definition(body: wire.CreateJobRequest) -> domain.JobDefinition:
    slug = body.slug or slug_of(body.name or "")
    if not slug:
        raise InvalidRequest.at("slug", "is required")
    fields = msgspec.structs.asdict(body) | {"slug": slug, "name": body.name or slug}
    del fields["project_id"]
    return domain.JobDefinition(**fields)
