"""`runwright kpi`: two windows of ended runs, compared, and the runs behind a number."""

from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import instant
from runwright.client.kpi_models import KpiMetric, KpiValue

app = App(name="kpi", help="Compare two windows of ended runs, and list the runs behind a number.")

COLUMNS = ("metric", "compared", "p90", "n", "95 %", "baseline", "n", "change", "verdict")
RUN_COLUMNS = ("run_id", "ended_at", "kind", "state", "reason", "model", "values")


@app.default
def kpi(
    *,
    compare: int | None = None,
    baseline: int | None = None,
    as_of: str | None = None,
    by: Literal["kind", "mode", "repo", "model"] | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Compare the runs that ended in the last days with those of the days before.

    Example: `runwright kpi --compare 7 --baseline 28 --by model`

    Parameters
    ----------
    compare
        Days of the compared window; default: 7.
    baseline
        Days of the baseline before it; default: 28.
    as_of
        The whole hour (UTC) at which the compared window ends, such as 2027-01-01T00:00:00Z; default: that which runs.
    by
        Show every metric of each kind, mode, repository or model, too.
    project
        Id or slug of a project; default: all that the key may see.
    """
    asked: dict[str, Any] = {"compare_window_days": compare, "baseline_window_days": baseline, "project_id": project}
    if as_of is not None:
        asked["as_of"] = instant(as_of, "--as-of")
    with connection.client() as client:
        found = client.kpi.report(group_by=by, **asked)
    if connection.json:
        printing.show_json(found.raw)
        return
    windows = [f"{each['days']} days from {each['from_at'][:16]}" for each in (found.compare, found.baseline)]
    printing.say(f"{windows[0]}, compared with {windows[1]} (UTC)")
    printing.table(COLUMNS, map(_cells, found.metrics))
    for group in found.groups:
        printing.say(f"\n{found.group_by} {printing.printable(group.label)}: {group.runs} runs")
        printing.table(COLUMNS, [_cells(metric) for metric in group.metrics if metric.compare.n or metric.baseline.n])
    if not found.baseline["whole"]:
        printing.note("counting began after the baseline: no difference is stated")


@app.command
def runs(
    metric: str | None = None,
    /,
    *,
    side: Literal["compare", "baseline"] = "compare",
    compare: int | None = None,
    baseline: int | None = None,
    as_of: str | None = None,
    kind: str | None = None,
    mode: str | None = None,
    repo: str | None = None,
    model: str | None = None,
    project: str | None = None,
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """List the runs behind a number, newest first, with what each adds to it.

    Example: `runwright kpi runs success_rate --side baseline --model openai/gpt-5`

    Parameters
    ----------
    metric
        Only runs that the value of this metric stands on; default: all that ended in the window.
    side
        The window: compare or baseline.
    compare
        Days of the compared window; default: 7.
    baseline
        Days of the baseline before it; default: 28.
    as_of
        The whole hour (UTC) at which the compared window ends.
    kind
        Only runs of this kind.
    mode
        Only runs in this mode.
    repo
        Only runs over this repository.
    model
        Only runs with this model, behind its provider.
    project
        Id or slug of a project; default: all that the key may see.
    limit
        At most so many.
    """
    asked: dict[str, Any] = {"compare_window_days": compare, "baseline_window_days": baseline, "project_id": project}
    asked |= {"kind": kind, "mode": mode, "repo": repo, "model": model}
    if as_of is not None:
        asked["as_of"] = instant(as_of, "--as-of")
    with connection.client() as client:
        found = client.kpi.runs(metric=metric, side=side, limit=max(1, min(limit, 500)), **asked).first(limit)
        printing.show_rows(found, RUN_COLUMNS, connection.json)


def _cells(metric: KpiMetric) -> tuple[object, ...]:
    compare, baseline = metric.compare, metric.baseline
    interval = "-"
    if compare.ci95 is not None:
        interval = f"{_shown(compare.ci95[0], metric.unit)} to {_shown(compare.ci95[1], metric.unit)}"
    return (
        metric.id,
        _shown(compare.value, metric.unit),
        _shown(compare.p90, metric.unit),
        _counted(compare),
        interval,
        _shown(baseline.value, metric.unit),
        _counted(baseline),
        "-" if metric.delta_pct is None else f"{metric.delta_pct:+.1f} %",
        metric.significance.replace("_", " "),
    )


def _counted(value: KpiValue) -> str:
    return str(value.n) if not value.censored else f"{value.n} (+{value.censored} open)"


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "ms":
        return printing.duration(value)
    return f"${value:.4f}" if unit == "usd" else f"{value:.3g}"
