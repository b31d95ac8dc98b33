"""The shapes of KPIs: two windows compared, and the runs behind a number."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.api.instants import Instant
from runwright.api.pages import PageQuery

GroupBy = Literal["kind", "mode", "repo", "model"]
Days = Annotated[str, Meta(description="From 1 to 365 days; absent or empty is the default.")]
AsOf = Annotated[
    Instant | None,
    Meta(description="A whole hour (UTC) at which the compared window ends; default: the end of the hour that runs."),
]
ProjectIdent = Annotated[str | None, Meta(description="A project by id or slug; default: all of the caller's.")]


class KpiQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which windows, of what."""

    compare_window_days: Annotated[Days, Meta(description="Days of the compared window: 1 to 365, default 7.")] = ""
    baseline_window_days: Annotated[Days, Meta(description="Days of the baseline: 1 to 365, default 28.")] = ""
    as_of: AsOf = None
    group_by: Annotated[GroupBy | None, Meta(description="Every metric of each group, too.")] = None
    project_id: ProjectIdent = None


class KpiRunsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which window, and which of its runs."""

    compare_window_days: Annotated[Days, Meta(description="Days of the compared window: 1 to 365, default 7.")] = ""
    baseline_window_days: Annotated[Days, Meta(description="Days of the baseline: 1 to 365, default 28.")] = ""
    as_of: AsOf = None
    side: Annotated[Literal["compare", "baseline"], Meta(description="The window in which the runs ended.")] = "compare"
    metric: Annotated[str | None, Meta(description="Only runs that the value of this metric stands on.")] = None
    kind: Annotated[str | None, Meta(description="Only runs of this kind.")] = None
    mode: Annotated[str | None, Meta(description="Only runs in this mode.")] = None
    repo: Annotated[str | None, Meta(description="Only runs over this repository.")] = None
    model: Annotated[
        str | None, Meta(description="Only runs with this model, behind its provider: `openai/gpt-5`.")
    ] = None
    project_id: ProjectIdent = None


class KpiWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A time in UTC, the end itself excluded. `whole`: everything that ended in it was counted."""

    from_at: str
    until_at: str
    days: int
    whole: bool


class KpiValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value of `n`; null where there is nothing to work it out from, never 0 or 1.

    Of lengths of time it is the median, of amounts the mean; `ci95` is its interval. `censored` counts what was not
    over at the window's end and so is in no value; null: it is not counted.
    """

    value: float | None
    p90: float | None
    n: int
    ci95: tuple[float, float] | None
    censored: int | None


class KpiMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in both windows. `significance` says that they differ where the intervals do not overlap.

    It says nothing (`insufficient_data`) of fewer than five values, and of windows that begin before the history.
    """

    id: str
    unit: Literal["share", "ms", "usd", "count", "per_day"]
    direction: Literal["up_good", "down_good"]
    method: str
    compare: KpiValue
    baseline: KpiValue
    delta_abs: float | None
    delta_pct: float | None
    significance: Literal["improved", "regressed", "no_change", "insufficient_data"]


class KpiGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of the runs that have one label; who is open is not counted by labels."""

    label: str
    runs: int
    metrics: list[KpiMetric]


class KpiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Two windows compared, side by side in time. `formula_version` grows when a metric is worked out otherwise.

    `history_from` is the hour in which counting began, null where nothing was counted. There are `groups_total` groups;
    those with most runs are shown.
    """

    formula_version: int
    org_id: str
    project_id: str | None
    as_of: str
    history_from: str | None
    compare: KpiWindow
    baseline: KpiWindow
    metrics: list[KpiMetric]
    group_by: str | None
    groups: list[KpiGroup]
    groups_total: int


class KpiRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run behind a number. Of a metric, `values` are what it adds: its share of a rate, its lengths or amounts.

    They are empty where no metric was asked for. Retention may have removed the run since.
    """

    id: str
    run_id: str
    project_id: str
    ended_at: str
    kind: str
    mode: str | None
    repo: str | None
    model: str | None
    state: str
    reason: str | None
    values: list[float]
