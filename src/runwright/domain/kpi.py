"""Two windows compared: the values of every metric with how much they rest on, and whether they really differ.

The windows are half-open, in UTC, and lie side by side: the one that is compared ends at `as_of`, a whole hour, and the
baseline ends where it begins. An empty value is None; a difference is called one only where five values stand on either
side, the history reaches back to the beginning of the baseline, and the two intervals do not overlap.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import msgspec

from runwright.domain.histogram import Lanes
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.kpi_metrics import PER, RATES, SPREADS, Direction, SpreadMetric, Unit
from runwright.domain.kpi_sums import Sums, rank_of

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution: intervals are of 95 %."""
ENOUGH = 5
"""Values below which no difference is stated."""
DAYS_MAX = 365

Significance = Literal["improved", "regressed", "no_change", "insufficient_data"]
Interval = tuple[float, float]


class Window(msgspec.Struct, frozen=True):
    """A time, from its first µs to the one after its last."""

    since: int
    until: int

    @property
    def days(self) -> int:
        """Return how long it is."""
        return (self.until - self.since) // DAY_US


class Counted(msgspec.Struct, frozen=True):
    """What ended in a window, and how many runs that had been made by its end were `open` then; None: not known."""

    window: Window
    sums: Sums
    open: int | None = None


class Value(msgspec.Struct, frozen=True):
    """A value of a window, of `n`; None where there is nothing to work it out from.

    `censored` counts what was not over at the window's end, and is in no value; None: it is not counted.
    """

    value: float | None
    p90: float | None
    n: int
    ci95: Interval | None
    censored: int | None


class Metric(msgspec.Struct, frozen=True):
    """A metric in both windows, and what became of it."""

    id: str
    unit: Unit
    direction: Direction
    method: str
    compare: Value
    baseline: Value
    delta_abs: float | None
    delta_pct: float | None
    significance: Significance


NOTHING = Value(None, None, 0, None, None)


def windows(as_of: int, compare_days: int, baseline_days: int) -> tuple[Window, Window]:
    """Return the window that is compared, and the baseline before it."""
    begin = as_of - compare_days * DAY_US
    return Window(begin, as_of), Window(begin - baseline_days * DAY_US, begin)


def hour_after(now: int) -> int:
    """Return the end of the hour that runs: what has ended by now lies before it."""
    return now - now % HOUR_US + HOUR_US


def wilson(hits: int, of: int) -> Interval | None:
    """Return the interval of a share (Wilson 1927), which never leaves 0 to 1; None of nothing."""
    if of == 0:
        return None
    share, z2 = hits / of, Z * Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def count_interval(count: int) -> Interval:
    """Return the score interval of a count of events that come independently (Poisson); it is never below zero."""
    z2 = Z * Z
    middle, half = count + z2 / 2, Z * sqrt(count + z2 / 4)
    return max(middle - half, 0.0), middle + half


def median_ranks(n: int) -> tuple[int, int]:
    """Return the ranks between which the median of whatever `n` values are drawn from lies."""
    half = Z * sqrt(n) / 2
    return max(int(n / 2 - half), 1), min(int(n / 2 + half) + 1, n)


def mean_interval(total: int, lanes: Lanes) -> Interval | None:
    """Return the interval of a mean of what is never negative, by its standard error; None of fewer than two."""
    n = lanes.n
    if n < 2:
        return None
    mean = total / n
    square = sum(count * (value - mean) ** 2 for value, count in lanes.pairs()) / (n - 1)
    half = Z * sqrt(square / n)
    return max(mean - half, 0.0), mean + half


def compared(compare: Counted, baseline: Counted, history_from: int | None) -> list[Metric]:
    """Return every metric in both windows; `history_from` is when counting began."""
    whole = history_from is not None and history_from <= baseline.window.since
    made = [
        _metric("closure_rate", "share", "up_good", CLOSURE, _closure(compare), _closure(baseline), whole),
        _metric("throughput", "per_day", "up_good", THROUGHPUT, _flow(compare), _flow(baseline), whole),
    ]
    for rate in RATES:
        shares = _share(compare.sums, rate.id), _share(baseline.sums, rate.id)
        made.append(_metric(rate.id, "share", rate.direction, rate.method, *shares, whole))
    for spread in SPREADS:
        values = _spread(compare, spread), _spread(baseline, spread)
        made.append(_metric(spread.id, spread.unit, spread.direction, spread.method, *values, whole))
    return made


CLOSURE = "runs that ended ÷ (ended + open at the window's end)"
THROUGHPUT = "runs that ended, each day"


def _closure(counted: Counted) -> Value:
    if counted.open is None:
        return NOTHING
    hits, of = counted.sums.ended, counted.sums.ended + counted.open
    return Value(hits / of if of else None, None, of, wilson(hits, of), counted.open)


def _flow(counted: Counted) -> Value:
    ended, days = counted.sums.ended, counted.window.days
    low, high = count_interval(ended)
    return Value(ended / days, None, ended, (low / days, high / days), None)


def _share(sums: Sums, name: str) -> Value:
    rate = sums.rate(name)
    return Value(rate.hits / rate.of if rate.of else None, None, rate.of, wilson(rate.hits, rate.of), None)


def _spread(counted: Counted, metric: SpreadMetric) -> Value:
    spread, censored = counted.sums.spread(metric.id), _censored(counted, metric.id)
    lanes, per = Lanes(spread.histogram), PER.get(metric.unit, 1)
    n = lanes.n
    if n == 0:
        return Value(None, None, 0, None, censored)
    median, p90, low, high = lanes.at(rank_of(0.5, n), rank_of(0.9, n), *median_ranks(n))
    value, interval = (
        (median, (low, high)) if metric.is_length else (spread.total / n, mean_interval(spread.total, lanes))
    )
    told = None if interval is None else (interval[0] / per, interval[1] / per)
    return Value(value / per, p90 / per, n, told, censored)


def _censored(counted: Counted, name: str) -> int | None:
    if name == "time_to_close":
        return counted.open
    if name == "finding_time_to_close":
        closed = counted.sums.rate("finding_closure_rate")
        return closed.of - closed.hits
    return None


def _metric(
    name: str, unit: Unit, direction: Direction, method: str, compare: Value, baseline: Value, whole: bool
) -> Metric:
    delta = None if compare.value is None or baseline.value is None else compare.value - baseline.value
    enough = min(compare.n, baseline.n) >= ENOUGH
    share = delta / baseline.value * 100 if delta is not None and enough and baseline.value else None
    known = whole and enough and delta is not None
    told: Significance = _judged(direction, compare, baseline) if known else "insufficient_data"
    return Metric(name, unit, direction, method, compare, baseline, delta, share, told)


def _judged(direction: Direction, compare: Value, baseline: Value) -> Significance:
    assert compare.ci95 is not None
    assert baseline.ci95 is not None
    if compare.ci95[0] > baseline.ci95[1]:
        return "improved" if direction == "up_good" else "regressed"
    if compare.ci95[1] < baseline.ci95[0]:
        return "regressed" if direction == "up_good" else "improved"
    return "no_change"
