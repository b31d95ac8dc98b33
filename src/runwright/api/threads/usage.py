"""The routes of usage, and of budgets that runs share."""

from __future__ import annotations

from typing import Any

from runwright import ids
from runwright.agents.owned import required
from runwright.agents.usage import UsageOrder, UsageSum
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.pages import Page, Window
from runwright.api.routing import Routes
from runwright.api.slices import part
from runwright.api.threads import usage_schemas as wire
from runwright.api.threads.threads import named_project
from runwright.domain import shared_budget as domain
from runwright.domain.accounts import Project
from runwright.domain.instants import DAY_US
from runwright.domain.money import usd
from runwright.domain.thread import Thread
from runwright.errors import InvalidRequest, NotFound
from runwright.store.queries.usage import By

routes = Routes("usage")
NOWHERE = {404: "The project is not the caller's"}
NO_BUDGET = {404: "The project or the thread is not the caller's, or no such budget is set"}
READ, MANAGE = "usage:read", "agents:manage"
DAYS = 30
FILTERS = ("model", "user_id", "thread_id", "persona_id")


@routes.get("/v1/usage", scope=READ, answers=NOWHERE, summary="Report what models used and cost")
async def sum_usage(call: Call, query: wire.UsageQuery) -> Page[wire.UsageRow]:
    """Add up the calls of models that agent runs made: by day (newest first), model, user, thread, persona, project."""
    window = query.window(call.services.settings, order="desc" if query.by == "day" else "asc")
    project = await named_project(call, query.project_id)
    until = call.services.clock.now() + 1 if query.until is None else instants.micros(query.until)
    since = until - DAYS * DAY_US if query.since is None else instants.micros(query.since)
    if since > until:
        raise InvalidRequest.at("since", "must not be after until")
    order = UsageOrder(
        by=query.by,
        since=since,
        until=until,
        where={name: value for name in FILTERS if (value := getattr(query, name)) is not None},
        bound=_bound(query.by, window),
        newest_first=window.newest_first,
        limit=window.limit + 1,
    )
    rows = await call.services.agents.usage.report(call.actor, project, order)
    return Page.of(rows, window, lambda row: _usage(query.by, row), lambda row: _ident(query.by, row))


@routes.get("/v1/budgets", scope=READ, answers=NOWHERE, summary="List budgets")
async def list_budgets(call: Call, query: wire.BudgetListQuery) -> Page[wire.SharedBudget]:
    """List the budgets that runs of a project share, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.budgets.page(call.actor, project, part(window, "bud"), call.services.clock.now())
    return Page.of(rows, window, _budget, lambda row: row.budget_id)


@routes.get("/v1/budgets/{scope}", scope=READ, answers=NO_BUDGET, summary="Get a budget")
async def get_budget(call: Call, scope: str, query: wire.BudgetQuery) -> wire.SharedBudget:
    """Return the budget of a `project`, of its `day`, or of a thread by its id, as it stands."""
    return _budget(await _found(call, scope, query))


@routes.put("/v1/budgets/{scope}", scope=MANAGE, answers=NO_BUDGET, summary="Set a budget")
async def set_budget(call: Call, scope: str, body: wire.SetBudgetRequest, query: wire.BudgetQuery) -> wire.SharedBudget:
    """Set how much the runs of a `project` may spend, those of its `day`, or those of a thread.

    A new budget counts the calls that begin from now on. A limit beneath what is spent lets no call begin.
    """
    named, project, thread = await _scope(call, scope, query.project_id)
    made = await call.services.agents.budgets.set(call.actor, project, named, thread, body.limit_microusd)
    return _budget(made)


@routes.delete("/v1/budgets/{scope}", scope=MANAGE, status=204, answers=NO_BUDGET, summary="Remove a budget")
async def remove_budget(call: Call, scope: str, query: wire.BudgetQuery) -> None:
    """Remove a budget: what it was set for is limited by it no more."""
    await call.services.agents.budgets.remove(call.actor, await _found(call, scope, query))


async def _scope(call: Call, scope: str, ident: str | None) -> tuple[domain.Scope, Project, Thread | None]:
    """Return what a path names, with its project. Raises `NotFound` for what is no scope, and no thread there."""
    office = call.services
    for named in _OF_PROJECT:
        if scope == named:
            return named, await office.tenants.resolve_project(call.actor, ident), None
    if not ids.is_id("thr", scope):
        raise NotFound("budget", scope)
    thread = await office.agents.threads.find(call.actor, scope)
    project = await office.tenants.resolve_project(call.actor, ident or thread.project_id)
    return "thread", project, required(call.actor, thread, "thread", scope, project.project_id)


async def _found(call: Call, scope: str, query: wire.BudgetQuery) -> domain.SharedBudget:
    named, project, thread = await _scope(call, scope, query.project_id)
    thread_id = None if thread is None else thread.thread_id
    verbs, now = call.services.agents.budgets, call.services.clock.now()
    return await verbs.find(call.actor, project.project_id, named, thread_id, now)


_OF_PROJECT: tuple[domain.Scope, ...] = ("project", "day")


def _bound(by: By, window: Window) -> str | int | None:
    """Return the key beyond which a page of a report lies; a report by day knows instants, too."""
    if window.cursor is None:
        return None
    head, _, key = window.cursor.partition(":")
    if head == by and by != "day":
        return key
    if by != "day":
        window.refuse()
    try:
        return instants.parse(f"{key}T00:00:00Z") if head == by else window.instant()
    except ValueError:
        window.refuse()


def _key(by: By, row: UsageSum) -> str:
    return instants.text(row.key)[:10] if isinstance(row.key, int) else row.key


def _ident(by: By, row: UsageSum) -> str:
    return f"{by}:{_key(by, row)}"


def _named(by: By, row: UsageSum) -> dict[str, Any]:
    """Return what a row of a report is of, each field named."""
    key = _key(by, row)
    named: dict[str, Any] = dict.fromkeys(
        ("day", "provider", "model", "user_id", "thread_id", "persona_id", "project_id")
    )
    match by:
        case "total":
            return named
        case "day":
            return named | {"day": key}
        case "model":
            provider, _, model = key.partition("/")
            return named | {"provider": provider, "model": model}
        case _:
            return named | {f"{by}_id": key or None}


def _usage(by: By, row: UsageSum) -> wire.UsageRow:
    return wire.UsageRow(
        **_named(by, row),
        **{name: getattr(row, name) for name in _SAME},
        id=_ident(by, row),
        total_tokens=row.input_tokens + row.output_tokens,
        total_cost_usd=None if row.cost_microusd is None else usd(row.cost_microusd),
        credits_used=row.credits_used,
        cache_hit_rate=row.cache_hit_rate,
        unpriced_calls=row.unpriced,
        estimated_calls=row.estimated,
    )


_SAME = ("calls", "runs", "input_tokens", "cached_tokens", "output_tokens", "cost_microusd")


def _budget(kept: domain.SharedBudget) -> wire.SharedBudget:
    return wire.SharedBudget(
        id=kept.budget_id,
        scope=kept.scope,
        org_id=kept.org_id,
        project_id=kept.project_id,
        thread_id=kept.thread_id,
        limit_microusd=kept.limit_microusd,
        limit_usd=usd(kept.limit_microusd),
        spent_microusd=kept.settled_microusd,
        spent_usd=usd(kept.settled_microusd),
        reserved_microusd=kept.reserved_microusd,
        left_microusd=kept.left_microusd,
        resets_at=None if kept.resets_at is None else instants.text(kept.resets_at),
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )
