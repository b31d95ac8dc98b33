"""What became of runs, in numbers: `/v1/stats`."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.domain.money import usd
from runwright.domain.rollups import Histogram, Rollup, quantile_us
from runwright.domain.run import LIVE
from runwright.engine.rollups import Stats
from runwright.errors import InvalidRequest

routes = Routes("stats")

WINDOW_MAX_S = 400 * 86_400
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}
NOWHERE = {404: "The project or the job is not the caller's"}


class StatsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what, and how far back."""

    project_id: Annotated[str | None, Meta(description="A project by id or slug; default all of the caller's.")] = None
    job_id: Annotated[str | None, Meta(description="A job by its id, or by its slug in the project.")] = None
    window: Annotated[str, Meta(description="How far back: `30m`, `24h`, `7d`; at most 400 days.")] = "1h"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of a length of time, within 5 %; null where no run ended."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Where the lives of ended runs went: waiting in the queue, executing, and from creation to end."""

    queued: Latency
    active: Latency
    total: Latency


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs ended in one way."""

    state: str
    reason: str | None
    count: int


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs are live now, by state."""

    scheduled: int
    queued: int
    executing: int
    waiting: int
    paused: int


class StatsBucket(msgspec.Struct, frozen=True, kw_only=True):
    """A minute or an hour in which runs ended."""

    at: str
    ended: int
    completed: int
    failed: int
    p95_ms: float | None


class StatsView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs that ended between two instants, and how many are live now.

    `depth` is null for a single job. `cost_usd` is what the runs that ended had reported.
    """

    org_id: str
    project_id: str | None
    job_id: str | None
    window: str
    from_at: str
    until_at: str
    grain: str
    ended: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    dead_lettered: int
    retries: int
    throughput_per_s: float
    failure_rate: float | None
    ends: list[Ends]
    latency: Latencies
    depth: Depth | None
    cost_usd: float
    series: list[StatsBucket]


@routes.get("/v1/stats", scope="runs:read", answers=NOWHERE, summary="Throughput, latencies, failures, depth")
async def get_stats(call: Call, query: StatsQuery) -> StatsView:
    """Return what became of runs lately: whole minutes up to three hours, else whole hours, a second old at most."""
    office, org_id = call.services, call.actor.org_id
    window_us = _window_us(query.window)
    project_id, job_id = await _place(call, query)
    return _view(
        query,
        org_id,
        project_id,
        job_id,
        await office.engine.operations.rollups.of(org_id, project_id, job_id, window_us),
    )


async def _place(call: Call, query: StatsQuery) -> tuple[str | None, str | None]:
    """Return the project and the job that are asked for; a slug of a job needs its project, by default the default."""
    office, actor = call.services, call.actor
    by_slug = query.job_id is not None and not ids.is_id("job", query.job_id)
    project = None
    if query.project_id is not None or actor.project_id is not None or by_slug:
        project = await office.tenants.resolve_project(actor, query.project_id)
    if query.job_id is None:
        return (project.project_id if project is not None else None), None
    job = await office.jobs.directory.find(actor, query.job_id, project)
    return job.project_id, job.job_id


def _window_us(window: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", window)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found is not None else 0
    if not 0 < seconds <= WINDOW_MAX_S:
        raise InvalidRequest.at("window", "must be minutes, hours or days, such as 30m, 24h, 7d; at most 400d")
    return seconds * 1_000_000


def _view(query: StatsQuery, org_id: str, project_id: str | None, job_id: str | None, stats: Stats) -> StatsView:
    whole, depth = stats.whole, stats.depth
    ended, failed = whole.ended, whole.count("failed")
    return StatsView(
        org_id=org_id,
        project_id=project_id,
        job_id=job_id,
        window=query.window,
        from_at=instants.text(stats.since),
        until_at=instants.text(stats.until),
        grain=stats.grain,
        ended=ended,
        completed=whole.count("completed"),
        failed=failed,
        cancelled=whole.count("cancelled"),
        expired=whole.count("expired"),
        dead_lettered=whole.dead_lettered,
        retries=whole.retries,
        throughput_per_s=ended * 1_000_000 / (stats.until - stats.since),
        failure_rate=failed / ended if ended else None,
        ends=_ends(whole),
        latency=Latencies(queued=_latency(whole.queued), active=_latency(whole.active), total=_latency(whole.total)),
        depth=None if depth is None else Depth(**{state: depth.get(state, 0) for state in LIVE}),
        cost_usd=usd(whole.cost_microusd),
        series=[
            StatsBucket(
                at=instants.text(each.at),
                ended=each.rollup.ended,
                completed=each.rollup.count("completed"),
                failed=each.rollup.count("failed"),
                p95_ms=_ms(each.rollup.total, 0.95),
            )
            for each in stats.buckets
        ],
    )


def _ends(whole: Rollup) -> list[Ends]:
    split = ((*name.partition(":")[::2], count) for name, count in sorted(whole.ends.items()))
    return [Ends(state=state, reason=reason or None, count=count) for state, reason, count in split]


def _latency(histogram: Histogram) -> Latency:
    return Latency(p50_ms=_ms(histogram, 0.5), p95_ms=_ms(histogram, 0.95), p99_ms=_ms(histogram, 0.99))


def _ms(histogram: Histogram, share: float) -> float | None:
    us = quantile_us(histogram, share)
    return None if us is None else us / 1000
