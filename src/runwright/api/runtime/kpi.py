"""KPIs: two windows compared, and from every number to the runs that it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.pages import Page, Window
from runwright.api.routing import Routes
from runwright.api.runtime import kpi_schemas as wire
from runwright.domain import kpi
from runwright.domain.instants import HOUR_US
from runwright.domain.kpi_facts import Fact
from runwright.domain.kpi_metrics import FORMULAS, METRICS, added
from runwright.engine.kpi import Order, Report
from runwright.errors import InvalidRequest

routes = Routes(tag="kpi")

SCOPE = "kpi:read"
NOWHERE = {404: "The project is not the caller's"}
COMPARE_DAYS, BASELINE_DAYS = 7, 28
WINDOW_INVALID = "window.invalid"
LABELS = ("kind", "mode", "repo", "model")


@routes.get("/api/v1/runtime/kpi", scope=SCOPE, answers=NOWHERE, summary="Compare two windows of ended runs")
async def get_kpi(call: Call, query: wire.KpiQuery) -> wire.KpiAnswer:
    """Return every metric of the runs that ended in a window, and in the one before it; with groups, if asked for."""
    asked = await _order(call, query)
    return _answer(asked, await call.services.engine.operations.kpi.report(asked))


@routes.get("/api/v1/runtime/kpi/runs", scope=SCOPE, answers=NOWHERE, summary="List the runs behind a KPI")
async def list_kpi_runs(call: Call, query: wire.KpiRunsQuery) -> Page[wire.KpiRun]:
    """List the runs that ended in a window, newest first; of a metric only those that its value stands on."""
    if query.metric is not None and query.metric not in METRICS:
        raise InvalidRequest.at("metric", f"is none of {', '.join(METRICS)}")
    window = query.window(call.services.settings, order="desc")
    asked = await _order(call, query)
    ended = kpi.windows(asked.as_of, asked.compare_days, asked.baseline_days)[query.side == "baseline"]
    return await _page(call, asked, ended, query, window)


async def _page(
    call: Call, asked: Order, ended: kpi.Window, query: wire.KpiRunsQuery, window: Window
) -> Page[wire.KpiRun]:
    """Read runs until the page is full, or the scan budget is used up."""
    labels = {name: value for name in LABELS if (value := getattr(query, name)) is not None}
    beyond, left = _bound(window), call.services.settings.scan_budget
    found: list[wire.KpiRun] = []
    while left > 0:
        count = min(left, window.limit + 1)
        facts = await call.services.engine.operations.kpi.runs(
            asked, ended, labels, count, beyond=beyond, newest_first=window.newest_first
        )
        for fact in facts:
            beyond = (fact.ended_at, fact.run_id)
            values = [] if query.metric is None else added(query.metric, fact.facts)
            if query.metric is None or values:
                found.append(_run(fact, values))
                if len(found) > window.limit:
                    return Page(found[: window.limit], found[window.limit - 1].id)
        if len(facts) < count:
            return Page(found)
        left -= count
    return Page(found, None if beyond is None else f"{beyond[0]}.{beyond[1]}", partial=True)


async def _order(call: Call, query: wire.KpiQuery | wire.KpiRunsQuery) -> Order:
    compare_days = _days("compare_window_days", query.compare_window_days, COMPARE_DAYS)
    baseline_days = _days("baseline_window_days", query.baseline_window_days, BASELINE_DAYS)
    office, actor, project_id = call.services, call.actor, call.actor.project_id
    if query.project_id is not None:
        project_id = (await office.tenants.resolve_project(actor, query.project_id)).project_id
    return Order(
        org_id=actor.org_id,
        project_id=project_id,
        as_of=_as_of(query.as_of, kpi.hour_after(office.clock.now())),
        compare_days=compare_days,
        baseline_days=baseline_days,
        group_by=query.group_by if isinstance(query, wire.KpiQuery) else None,
    )


def _days(name: str, given: str, default: int) -> int:
    """Return how many days a window has. Raises `InvalidRequest` (`window.invalid`)."""
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= kpi.DAYS_MAX):
        raise InvalidRequest.at(name, f"must be from 1 to {kpi.DAYS_MAX} days", code=WINDOW_INVALID)
    return int(given)


def _as_of(given: datetime | None, latest: int) -> int:
    if given is None:
        return latest
    at = instants.micros(given)
    if at % HOUR_US or not 0 < at <= latest:
        told = f"must be a whole hour (UTC), at the latest the end of the one that runs: {instants.text(latest)}"
        raise InvalidRequest.at("as_of", told, code=WINDOW_INVALID)
    return at


def _bound(window: Window) -> tuple[int, str] | None:
    """Return the place beyond which a page lies: a row's id, or an instant."""
    if window.cursor is None:
        return None
    at, dot, run_id = window.cursor.partition(".")
    if dot and at.isascii() and at.isdigit() and len(at) <= 17 and run_id.startswith("run_"):
        return int(at), run_id
    return window.instant(), "" if window.newest_first else "zzzz"


def _answer(asked: Order, report: Report) -> wire.KpiAnswer:
    history = report.history_from
    return wire.KpiAnswer(
        formula_version=FORMULAS,
        org_id=asked.org_id,
        project_id=asked.project_id,
        as_of=instants.text(asked.as_of),
        history_from=None if history is None else instants.text(history),
        compare=_window(report.compare, history),
        baseline=_window(report.baseline, history),
        metrics=_metrics(report.metrics),
        group_by=asked.group_by,
        groups=[
            wire.KpiGroup(label=group.label, runs=group.runs, metrics=_metrics(group.metrics))
            for group in report.groups
        ],
        groups_total=report.groups_total,
    )


def _window(window: kpi.Window, history_from: int | None) -> wire.KpiWindow:
    return wire.KpiWindow(
        from_at=instants.text(window.since),
        until_at=instants.text(window.until),
        days=window.days,
        whole=history_from is not None and history_from <= window.since,
    )


def _metrics(metrics: Sequence[kpi.Metric]) -> list[wire.KpiMetric]:
    return [
        wire.KpiMetric(
            id=each.id,
            unit=each.unit,
            direction=each.direction,
            method=each.method,
            compare=_value(each.compare),
            baseline=_value(each.baseline),
            delta_abs=each.delta_abs,
            delta_pct=each.delta_pct,
            significance=each.significance,
        )
        for each in metrics
    ]


def _value(value: kpi.Value) -> wire.KpiValue:
    return wire.KpiValue(**msgspec.structs.asdict(value))


def _run(fact: Fact, values: Sequence[float]) -> wire.KpiRun:
    return wire.KpiRun(
        id=f"{fact.ended_at}.{fact.run_id}",
        run_id=fact.run_id,
        project_id=fact.project_id,
        ended_at=instants.text(fact.ended_at),
        kind=fact.kind,
        mode=fact.mode,
        repo=fact.repo,
        model=fact.model,
        state=fact.facts.state,
        reason=fact.facts.reason,
        values=list(values),
    )
