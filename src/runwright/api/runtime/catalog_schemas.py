"""The shapes of the model catalog."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain.catalog import Capability, Reason, Role

Explain = Literal["0", "1"]
Tokens = Annotated[int, Meta(ge=1, le=10**9)]
Dollars = Annotated[float, Meta(ge=0, le=10**6)]
Via = Literal["byok", "local", "scripted"]
QuotaState = Literal["normal", "warning", "exhausted", "unlimited", "free"]


class CatalogQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model must have; what does not is listed, too, and says why it is in no ranking."""

    role: Annotated[Role | None, Meta(description="Rank for this role alone; default: for each.")] = None
    min_context: Annotated[Tokens | None, Meta(description="Tokens that must fit, at least.")] = None
    max_cost: Annotated[
        Dollars | None, Meta(description="Dollars per million tokens, three of them prompt to one of answer, at most.")
    ] = None
    capability: Annotated[list[Capability], Meta(max_length=8, description="What it must be able to do.")] = []
    explain: Annotated[Explain, Meta(description="`1`: each term of each score.")] = "0"
    project_id: Annotated[str | None, Meta(description="A project by id or slug; default: the caller's.")] = None


class CatalogPricing(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars per million tokens; a model that is `unpriced` is not for free: nobody knows what it costs."""

    input: float | None
    output: float | None
    cache_read: float | None
    currency: str
    per: int
    unpriced: bool
    source: str | None


class CatalogAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this server can ask it for the project; else why not, as a code and in words."""

    available: bool
    reason_code: Reason | None
    reason: str | None
    via: Via


class CatalogQuota(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the project's budgets is left for it; `free`: it costs nothing, so no budget holds it up."""

    state: QuotaState
    used_pct: float | None
    resets_at: str | None


class CatalogHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What this project's own runs with the model came to: null of nothing."""

    calls: int
    answer_rate: float | None
    answer_rate_ci95: tuple[float, float] | None
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    runs: int
    success_rate: float | None
    cost_per_run_usd: float | None


class CatalogSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A term of a score: what was found (`value`, of `n`), what it is worth from 0 to 1, and how much it weighs."""

    value: float | None
    n: int
    worth: float
    weight: float
    source: str


class CatalogRank(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a model for a role; `signals` is empty unless the scores are to be explained."""

    position: int
    score: float
    signals: dict[str, CatalogSignal]


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a route of the project, `id`, leads to; `excluded` says why it is in no ranking."""

    id: str
    route_id: str
    provider: str
    provider_name: str | None
    model: str
    context_window: int
    max_output: int
    capabilities: list[Capability]
    pricing: CatalogPricing
    access: CatalogAccess
    quota: CatalogQuota
    history: CatalogHistory
    excluded: Reason | None
    rank: dict[str, CatalogRank]


class CatalogProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the project; its key is never shown. `installed`: this server has what it takes to ask it."""

    name: str
    kind: str
    installed: bool


class CatalogAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Whose catalog it is."""

    org_id: str
    project_id: str
    providers_configured: list[CatalogProvider]
    model_policy: list[str]


class CatalogAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every model of a project with what is known of it, and for each role those that may be asked, best first.

    The history is of the 90 days until `history_until`.
    """

    price_book_version: str | None
    history_until: str
    account: CatalogAccount
    roles: dict[str, list[str]]
    models: list[CatalogModel]
