"""The routes of dependencies: what runs of one job need of the runs of another, and whether a run has it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.jobs.job_schemas import JobQuery
from runwright.api.jobs.jobs import find_job
from runwright.api.jobs.run_schemas import Word
from runwright.api.pages import Page, PageQuery
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain.dependency import Condition, MaxAge, OnMiss, TimeLimit, Verdict
from runwright.domain.dependency import Dependency as Kept
from runwright.domain.words import word_of

routes = Routes("jobs")

ConditionOf = Annotated[Condition, Meta(description="How the newest run that has ended must have ended.")]
OnMissOf = Annotated[OnMiss, Meta(description="What becomes of a waiting run when the other ends otherwise.")]


class CreateDependencyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the runs of a job need: a run of another job of its project, by id or slug."""

    depends_on_job_id: Annotated[str, Meta(description="The other job, by id or slug.")]
    condition: ConditionOf = "completed"
    on_miss: OnMissOf = "wait"
    max_age_secs: MaxAge | None = None
    timeout_secs: TimeLimit | None = None


class UpdateDependencyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a dependency."""

    condition: ConditionOf | UnsetType = UNSET
    on_miss: OnMissOf | UnsetType = UNSET
    max_age_secs: MaxAge | UnsetType | None = UNSET
    timeout_secs: TimeLimit | UnsetType | None = UNSET


class DependencyListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to."""

    project_id: Annotated[str | None, Meta(description="A project, by id or slug.")] = None


class JobDependency(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of `job_id` need of those of `depends_on_job_id`."""

    id: str
    job_id: str
    depends_on_job_id: str
    condition: Condition
    on_miss: OnMiss
    max_age_secs: int | None
    timeout_secs: int | None
    created_at: str
    created_by: str


class RunDependency(JobDependency, frozen=True, kw_only=True):
    """A dependency and what it says of a run: the run that it looked at, and why it is not satisfied."""

    satisfied: bool
    matched_run_id: str | None
    reason: str | None


class DependencyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a run has what its job depends on: as things stand, or as they stood when it began."""

    run_id: str
    job_id: str | None
    status: Word
    dependency_key: str | None
    dependencies: list[RunDependency]
    dependencies_satisfied: bool


@routes.post(
    "/v1/jobs/{job}/dependencies",
    scope="jobs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE,
    summary="Let a job depend on another",
)
async def create_dependency(
    call: Call, job: str, query: JobQuery, body: CreateDependencyRequest
) -> Reply[JobDependency]:
    """Let the runs of a job that are made from now on wait for runs of another. A circle is refused, and named."""
    found = await find_job(call, job, query.project_id)
    upstream = await find_job(call, body.depends_on_job_id, found.project_id)
    terms = msgspec.structs.asdict(body)
    del terms["depends_on_job_id"]
    key = idempotency_key(call)
    made = await call.services.engine.dependencies.create(call.actor, found, upstream, terms, key)
    return Reply(dependency_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/jobs/{job}/dependencies", scope="jobs:read", summary="List what a job depends on")
async def list_dependencies(call: Call, job: str, query: DependencyListQuery) -> Page[JobDependency]:
    """List the dependencies of a job, oldest first."""
    found = await find_job(call, job, query.project_id)
    window = query.window(call.services.settings, order="asc")
    rows = await call.services.engine.dependencies.page(call.actor, found, part(window, "dep"))
    return Page.of(rows, window, dependency_view, lambda row: row.dependency_id)


@routes.get("/v1/jobs/{job}/dependencies/{dependency_id}", scope="jobs:read", summary="Get a dependency")
async def get_dependency(call: Call, job: str, dependency_id: str, query: JobQuery) -> JobDependency:
    """Return a dependency of a job."""
    found = await find_job(call, job, query.project_id)
    return dependency_view(await call.services.engine.dependencies.get(call.actor, found, dependency_id))


@routes.patch("/v1/jobs/{job}/dependencies/{dependency_id}", scope="jobs:write", summary="Change a dependency")
async def update_dependency(
    call: Call, job: str, dependency_id: str, body: UpdateDependencyRequest, query: JobQuery
) -> JobDependency:
    """Change the terms that are named; runs that wait are looked at again, but for their time limit."""
    found = await find_job(call, job, query.project_id)
    changed = await call.services.engine.dependencies.change(call.actor, found, dependency_id, given(body))
    return dependency_view(changed)


@routes.delete(
    "/v1/jobs/{job}/dependencies/{dependency_id}", scope="jobs:write", status=204, summary="Delete a dependency"
)
async def delete_dependency(call: Call, job: str, dependency_id: str, query: JobQuery) -> None:
    """Delete a dependency; runs that wait for nothing else go on."""
    found = await find_job(call, job, query.project_id)
    await call.services.engine.dependencies.delete(call.actor, found, dependency_id)


@routes.get(
    "/v1/runs/{run_id}/dependencies", scope="runs:read", summary="Tell whether a run has what it depends on (alias)"
)
async def get_run_dependencies(call: Call, run_id: str) -> DependencyStatus:
    """Tell what `dependency-status` tells, under the name that other clients of this API know."""
    status: DependencyStatus = await get_dependency_status(call, run_id)
    return status


@routes.get(
    "/v1/runs/{run_id}/dependency-status", scope="runs:read", summary="Tell whether a run has what it depends on"
)
async def get_dependency_status(call: Call, run_id: str) -> DependencyStatus:
    """Tell of each dependency of the run's job whether it is satisfied, by which run, and if not, why not."""
    engine = call.services.engine
    run = (await engine.reader(call.actor).run(run_id)).run
    verdicts = await engine.releases.verdicts(run)
    return DependencyStatus(
        run_id=run_id,
        job_id=run.spec.job_id,
        status=word_of(run),  # type: ignore[arg-type]
        dependency_key=run.spec.dependency_key,
        dependencies=[verdict_view(verdict) for verdict in verdicts],
        dependencies_satisfied=all(verdict.standing == "met" for verdict in verdicts),
    )


def dependency_view(dependency: Kept) -> JobDependency:
    """Return a dependency as the wire shows it."""
    return JobDependency(**_fields(dependency))


def verdict_view(verdict: Verdict) -> RunDependency:
    """Return what a dependency says of a run."""
    return RunDependency(
        **_fields(verdict.dependency),
        satisfied=verdict.standing == "met",
        matched_run_id=verdict.run_id,
        reason=verdict.why,
    )


def _fields(dependency: Kept) -> dict[str, Any]:
    shown = {name: getattr(dependency, name) for name in JobDependency.__struct_fields__ if name != "id"}
    return shown | {"id": dependency.dependency_id, "created_at": instants.text(dependency.created_at)}
