"""What the API answers about KPIs and the model catalog."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class KpiValue(msgspec.Struct, kw_only=True):
    """A value of `n`; None where there is nothing to work it out from. `censored` counts what was not over yet."""

    value: float | None = None
    p90: float | None = None
    n: int = 0
    ci95: tuple[float, float] | None = None
    censored: int | None = None


class KpiMetric(msgspec.Struct, kw_only=True):
    """A metric in the compared window and in the baseline before it."""

    id: str
    unit: str = ""
    direction: str = ""
    method: str = ""
    compare: KpiValue = msgspec.field(default_factory=KpiValue)
    baseline: KpiValue = msgspec.field(default_factory=KpiValue)
    delta_abs: float | None = None
    delta_pct: float | None = None
    significance: str = ""


class KpiGroup(msgspec.Struct, kw_only=True):
    """The metrics of the runs that have one label."""

    label: str
    runs: int = 0
    metrics: list[KpiMetric] = []


class KpiReport(Record, kw_only=True):
    """Two windows of ended runs, compared; nothing that ended before `history_from` was counted."""

    formula_version: int = 0
    org_id: str = ""
    project_id: str | None = None
    as_of: datetime | None = None
    history_from: datetime | None = None
    compare: dict[str, Any] = msgspec.field(default_factory=dict)
    baseline: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: list[KpiMetric] = msgspec.field(default_factory=list)
    group_by: str | None = None
    groups: list[KpiGroup] = msgspec.field(default_factory=list)
    groups_total: int = 0


class KpiRun(Record, kw_only=True):
    """A run behind a number; of a metric, `values` are what it adds to it."""

    id: str
    run_id: str = ""
    project_id: str = ""
    ended_at: datetime | None = None
    kind: str = ""
    mode: str | None = None
    repo: str | None = None
    model: str | None = None
    state: str = ""
    reason: str | None = None
    values: list[float] = msgspec.field(default_factory=list)


class CatalogModel(msgspec.Struct, kw_only=True):
    """A model of the catalog; `rank` has its place, score and terms for each role, `excluded` says why it has none."""

    id: str
    route_id: str = ""
    provider: str = ""
    provider_name: str | None = None
    model: str = ""
    context_window: int = 0
    max_output: int = 0
    capabilities: list[str] = []
    pricing: dict[str, Any] = {}
    access: dict[str, Any] = {}
    quota: dict[str, Any] = {}
    history: dict[str, Any] = {}
    excluded: str | None = None
    rank: dict[str, dict[str, Any]] = {}


class ModelCatalog(Record, kw_only=True):
    """The models of a project, and for each role the ids of those that may be asked, best first."""

    price_book_version: str | None = None
    history_until: datetime | None = None
    account: dict[str, Any] = msgspec.field(default_factory=dict)
    roles: dict[str, list[str]] = msgspec.field(default_factory=dict)
    models: list[CatalogModel] = msgspec.field(default_factory=list)
