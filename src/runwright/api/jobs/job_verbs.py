"""The verbs of a job: clone it, pause and resume it, and tell how it is doing."""

from __future__ import annotations

import re

from msgspec.structs import replace

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.jobs import job_schemas as wire
from runwright.api.jobs.jobs import NOWHERE, find_job, job_view
from runwright.api.routing import Reply, Routes
from runwright.domain.accounts import SLUG_MAX
from runwright.domain.rollups import quantile_us
from runwright.engine.rollups import Stats
from runwright.errors import InvalidRequest

routes = Routes("jobs")

COPY = "-copy"
WINDOW_MAX_S = 400 * 86_400
HEALTHY, DEGRADED = 0.95, 0.7
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


@routes.post(
    "/v1/jobs/{job}/clone",
    scope="jobs:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE,
    summary="Clone a job",
)
async def clone_job(
    call: Call,
    job: str,
    query: wire.JobQuery,
    body: wire.CloneJobRequest = wire.CloneJobRequest(),  # noqa: B008 - frozen
) -> Reply[wire.Job]:
    """Make a job of the same definition, in its version 1; no run and no secret comes with it.

    A job with `cron` is cloned disabled, unless `enabled` says otherwise: two schedules would do its work twice.
    """
    found = await find_job(call, job, query.project_id)
    project = await call.services.tenants.resolve_project(call.actor, body.project_id or found.project_id)
    old = found.definition
    slug = body.slug or old.slug[: SLUG_MAX - len(COPY)] + COPY
    enabled = body.enabled if body.enabled is not None else old.enabled and old.cron is None
    definition = replace(old, slug=slug, name=body.name or old.name, enabled=enabled)
    if old.execution_mode == "worker" and old.handler is None:
        definition = replace(definition, handler=old.slug)  # the code that executes it is still called so
    made = await call.services.jobs.create(call.actor, project, definition, idempotency_key(call))
    return Reply(job_view(*made.value), 200 if made.repeated else 201)


@routes.post("/v1/jobs/{job}/pause", scope="jobs:write", summary="Pause a job")
async def pause_job(call: Call, job: str, query: wire.JobQuery) -> wire.Job:
    """Let a job start nothing any more: triggers are answered 409, its schedule stands still. A paused one stays so.

    Runs that exist go on; to hold those that wait, pause their queue.
    """
    return await _enable(call, job, query, enabled=False)


@routes.post("/v1/jobs/{job}/resume", scope="jobs:write", summary="Resume a job")
async def resume_job(call: Call, job: str, query: wire.JobQuery) -> wire.Job:
    """Let a paused job start runs again; its schedule begins from now."""
    return await _enable(call, job, query, enabled=True)


async def _enable(call: Call, job: str, query: wire.JobQuery, *, enabled: bool) -> wire.Job:
    found = await find_job(call, job, query.project_id)
    return job_view(*await call.services.jobs.update(call.actor, found, {"enabled": enabled}))


@routes.get("/v1/jobs/{job}/health", scope="jobs:read", summary="Tell how a job is doing")
async def get_job_health(call: Call, job: str, query: wire.JobHealthQuery) -> wire.JobHealth:
    """Return what became of a job's runs lately, a second old at most, and a word for it."""
    found = await find_job(call, job, query.project_id)
    stats = await call.services.engine.operations.rollups.of(
        found.org_id, found.project_id, found.job_id, _window_us(query.window)
    )
    return health_view(found.job_id, query.window, stats)


def health_view(job_id: str, window: str, stats: Stats) -> wire.JobHealth:
    """Return the health of a job as the wire shows it."""
    whole = stats.whole
    good, bad = whole.count("completed"), whole.count("failed") + whole.count("expired")
    rate = good / (good + bad) if good + bad else None
    p50, p95 = quantile_us(whole.total, 0.5), quantile_us(whole.total, 0.95)
    return wire.JobHealth(
        job_id=job_id,
        window=window,
        from_at=instants.text(stats.since),
        until_at=instants.text(stats.until),
        health=_word(rate),
        success_rate=rate,
        total=whole.ended,
        completed=good,
        failed=whole.count("failed"),
        timed_out=sum(whole.ends.get(f"failed:{reason}", 0) for reason in ("timeout", "wait_timeout")),
        crashed=whole.ends.get("failed:crash", 0),
        canceled=whole.count("cancelled"),
        expired=whole.count("expired"),
        dead_lettered=whole.dead_lettered,
        retries=whole.retries,
        p50_duration_ms=None if p50 is None else p50 / 1000,
        p95_duration_ms=None if p95 is None else p95 / 1000,
    )


def _word(rate: float | None) -> wire.HealthWord:
    if rate is None:
        return "unknown"
    return "healthy" if rate >= HEALTHY else "degraded" if rate >= DEGRADED else "failing"


def _window_us(window: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", window)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found is not None else 0
    if not 0 < seconds <= WINDOW_MAX_S:
        raise InvalidRequest.at("window", "must be minutes, hours or days, such as 30m, 24h, 7d; at most 400d")
    return seconds * 1_000_000
