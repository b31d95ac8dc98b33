"""What the API answers about usage and budgets."""

from __future__ import annotations

from datetime import datetime

from runwright.client.models import Record


class UsageRow(Record, kw_only=True):
    """What the calls of models of one day, model, user … used. A cost of None is unknown, not nothing."""

    id: str
    day: str | None = None
    provider: str | None = None
    model: str | None = None
    user_id: str | None = None
    thread_id: str | None = None
    persona_id: str | None = None
    project_id: str | None = None
    calls: int = 0
    runs: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost_microusd: int | None = None
    total_cost_usd: float | None = None
    credits_used: int | None = None
    cache_hit_rate: float | None = None
    unpriced_calls: int = 0
    estimated_calls: int = 0


class SharedBudget(Record, kw_only=True):
    """A budget that runs share: how much may be spent, is, and is held for calls that are under way."""

    id: str
    scope: str = ""
    org_id: str | None = None
    project_id: str | None = None
    thread_id: str | None = None
    limit_microusd: int = 0
    limit_usd: float = 0.0
    spent_microusd: int = 0
    spent_usd: float = 0.0
    reserved_microusd: int = 0
    left_microusd: int = 0
    resets_at: datetime | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
