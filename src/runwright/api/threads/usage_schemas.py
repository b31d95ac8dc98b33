"""The shapes of usage and budgets on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api.instants import Instant
from runwright.api.pages import PageQuery
from runwright.api.threads.schemas import ProjectIdent
from runwright.domain.shared_budget import Limit, Scope
from runwright.store.queries.usage import By

Narrow = Annotated[str, Meta(max_length=256)]


class UsageQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to add up, and from when until when (itself excluded); unless it is said, the last 30 days."""

    by: By = "day"
    since: Annotated[Instant | None, Meta(description="From this instant on; default: 30 days before `until`.")] = None
    until: Annotated[Instant | None, Meta(description="Until this instant; default: now.")] = None
    project_id: Annotated[str | None, Meta(description="Calls of one project, by id or slug.")] = None
    model: Narrow | None = None
    user_id: Narrow | None = None
    thread_id: Narrow | None = None
    persona_id: Narrow | None = None


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of models of one day, model, user … used.

    Of `day` to `project_id`, those are set that the report is `by`. A cost is null where no price is known; where only
    some calls are unpriced, it is that of the others. An estimated call is one whose outcome nobody knows.
    """

    id: str
    day: str | None
    provider: str | None
    model: str | None
    user_id: str | None
    thread_id: str | None
    persona_id: str | None
    project_id: str | None
    calls: int
    runs: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    total_tokens: int
    cost_microusd: int | None
    total_cost_usd: float | None
    credits_used: int | None
    cache_hit_rate: float | None
    unpriced_calls: int
    estimated_calls: int


class BudgetListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of budgets; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class BudgetQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project's budget is meant, where the scope is no thread."""

    project_id: ProjectIdent | None = None


class SetBudgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be spent."""

    limit_microusd: Limit


class SharedBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that runs share: of a thread, a project, or a project for each `day` (UTC).

    `spent` is what settled calls did cost (of a day's: today), `reserved` the most that those under way can cost.
    """

    id: str
    scope: Scope
    org_id: str
    project_id: str
    thread_id: str | None
    limit_microusd: int
    limit_usd: float
    spent_microusd: int
    spent_usd: float
    reserved_microusd: int
    left_microusd: int
    resets_at: str | None
    created_at: str
    created_by: str
    updated_at: str
