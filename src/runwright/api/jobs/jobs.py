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
from runwright.domain.rates import Rate
from runwright.engine.schedules import Outlook
from runwright.engine.signing_secrets import Rotated
from runwright.errors import InvalidRequest

routes = Routes("jobs")
NO_SECRET = {409: "The job has no signing secret, or the idempotency key was used for another request"}
NO_CRON = {409: "The job has no schedule: its `cron` is null"}
NOWHERE = {404: "The project is not the caller's"}


@routes.post(
    "/v1/jobs", scope="jobs:write", status=201, headers=HEADERS, answers=MADE_BEFORE | NOWHERE, summary="Create a job"
)
async def create_job(call: Call, body: wire.CreateJobRequest) -> Reply[wire.Job]:
    """Create a job in a project, in its version 1. The signing secret of an http job is shown this once."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    made = await call.services.jobs.create(call.actor, project, _definition(body), idempotency_key(call))
    return Reply(job_view(*made.value), 200 if made.repeated else 201)


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
    """Change the fields that are named. A change makes a version; runs keep the version that they started with.

    A job that becomes an http job gets a signing secret, which is shown this once.
    """
    found = await find_job(call, job, query.project_id)
    return job_view(*await call.services.jobs.update(call.actor, found, given(body)))


@routes.put("/v1/jobs/{job}", scope="jobs:write", answers=NOWHERE, summary="Make a job, or bring it up to date")
async def put_job(call: Call, job: str, body: wire.UpdateJobRequest, query: wire.JobQuery) -> wire.Job:
    """Have a job of this slug with the named fields: made if there is none, else changed where they differ.

    What is not named stays as it is. Workers register the jobs of their handlers so. An id names a job that is there.
    """
    if ids.is_id("job", job):
        updated: wire.Job = await update_job(call, job, body, query)
        return updated
    project = await call.services.tenants.resolve_project(call.actor, query.project_id)
    changed = await call.services.jobs.put(call.actor, project, {**given(body), "slug": job})
    return job_view(changed.job, changed.secret)


@routes.delete("/v1/jobs/{job}", scope="jobs:write", status=204, summary="Delete a job")
async def delete_job(call: Call, job: str, query: wire.JobQuery) -> None:
    """Delete a job that has no live run. Its runs and versions stay; its slug is free."""
    await call.services.jobs.delete(call.actor, await find_job(call, job, query.project_id))


@routes.post(
    "/v1/jobs/{job}/rotate-secret",
    scope="jobs:write",
    headers=HEADERS,
    answers=NO_SECRET,
    summary="Rotate the signing secret of a job",
)
async def rotate_job_secret(
    call: Call,
    job: str,
    query: wire.JobQuery,
    body: wire.RotateSecretRequest = wire.RotateSecretRequest(),  # noqa: B008 - frozen
) -> wire.RotatedSecret:
    """Give a job a new signing secret, shown this once; until the grace is over, the old one signs beside it."""
    found = await find_job(call, job, query.project_id)
    jobs = call.services.jobs
    return rotated_view((await jobs.rotate_secret(call.actor, found, body.grace_secs, idempotency_key(call))).value)


@routes.get("/v1/jobs/{job}/versions", scope="jobs:read", summary="List the versions of a job")
async def list_job_versions(call: Call, job: str, query: wire.JobVersionQuery) -> Page[wire.JobVersion]:
    """List the versions of a job, oldest first."""
    found = await find_job(call, job, query.project_id)
    window = query.window(call.services.settings, order="asc")
    rows = await call.services.jobs.versions(call.actor, found, part(window, "jobv"))
    return Page.of(rows, window, version_view, lambda row: row.job_version_id)


@routes.get("/v1/jobs/{job}/versions/{job_version_id}", scope="jobs:read", summary="Get a version of a job")
async def get_job_version(call: Call, job: str, job_version_id: str, query: wire.JobQuery) -> wire.JobVersion:
    """Return one version of a job, which runs that started with it go on seeing."""
    found = await find_job(call, job, query.project_id)
    return version_view(await call.services.jobs.version(call.actor, found, job_version_id))


@routes.get("/v1/jobs/{job}/schedule", scope="jobs:read", answers=NO_CRON, summary="Tell when a job fires")
async def get_job_schedule(call: Call, job: str, query: wire.ScheduleQuery) -> wire.JobSchedule:
    """Return the schedule of a job that has `cron`, with the instants at which it will start runs."""
    found = await find_job(call, job, query.project_id)
    return schedule_view(await call.services.engine.schedules.outlook(call.actor, found, query.count))


async def find_job(call: Call, ident: str, project_ident: str | None) -> domain.Job:
    """Return the job that a path names: by id wherever the caller may see it, by slug in the project."""
    if project_ident is None and ids.is_id("job", ident):
        return await call.services.jobs.directory.find(call.actor, ident, None)
    project = await call.services.tenants.resolve_project(call.actor, project_ident)
    return await call.services.jobs.directory.find(call.actor, ident, project)


def job_view(job: domain.Job, secret: str | None = None) -> wire.Job:
    """Return a job as the wire shows it, with the signing secret if the verb has just made it."""
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
        signing_secret=secret,
    )


def rotated_view(rotated: Rotated) -> wire.RotatedSecret:
    """Return a new secret as the wire shows it."""
    until = rotated.previous_until
    return wire.RotatedSecret(
        job_id=rotated.owner_id,
        signing_secret=rotated.secret,
        previous_expires_at=None if until is None else instants.text(until),
    )


def schedule_view(outlook: Outlook) -> wire.JobSchedule:
    """Return a schedule as the wire shows it."""
    definition, schedule = outlook.job.definition, outlook.schedule
    return wire.JobSchedule(
        job_id=outlook.job.job_id,
        enabled=definition.enabled,
        cron=definition.cron or "",
        timezone=definition.timezone,
        catch_up=definition.catch_up,
        overlap=definition.overlap,
        next_fire_at=None if schedule.next_fire_at is None else instants.text(schedule.next_fire_at),
        last_fired_at=None if schedule.last_fired_at is None else instants.text(schedule.last_fired_at),
        last_run_id=schedule.last_run_id,
        upcoming=[instants.text(at) for at in outlook.upcoming],
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


def _rate(body: wire.CreateJobRequest, most: int | None, window_secs: int | None) -> Rate:
    if most is None or window_secs is None:
        raise InvalidRequest.at("rate_limit_max", "goes with rate_limit_window_secs: both, or neither")
    if body.rate_limit is not None:
        raise InvalidRequest.at("rate_limit_max", "is another spelling of rate_limit: only one of them")
    return Rate(max=most, window_secs=window_secs)


def _definition(body: wire.CreateJobRequest) -> domain.JobDefinition:
    slug = body.slug or slug_of(body.name or "")
    if not slug:
        raise InvalidRequest.at("slug", "is required")
    mode = body.execution_mode or domain.implied_mode(body.endpoint_url)
    fields = msgspec.structs.asdict(body) | {"slug": slug, "name": body.name or slug, "execution_mode": mode}
    spelled = fields.pop("rate_limit_max"), fields.pop("rate_limit_window_secs")
    del fields["project_id"]
    if spelled != (None, None):
        fields["rate_limit"] = _rate(body, *spelled)
    return domain.JobDefinition(**fields)
