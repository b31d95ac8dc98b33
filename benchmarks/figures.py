"""A figure: what was measured, in several rounds, with the conditions it holds under and what bounds it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, kw_only=True):
    """One measured quantity. `ceiling` is the raw database's rate in the same rounds, where that means something.

    `goal` names a row of `goals.GOALS`. A figure without rounds could not be measured: `missing` says why.
    """

    name: str
    unit: str
    database: str = "SQLite"
    rounds: list[float] = []
    ceiling: list[float] = []
    goal: str | None = None
    conditions: str = ""
    bound: str = ""
    missing: str | None = None

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def share(self) -> float | None:
        """Return which part of the raw database's rate it reaches."""
        return self.median / statistics.median(self.ceiling) if self.ceiling else None


class Peer(msgspec.Struct, kw_only=True):
    """Another queue measured beside us: calls a second, executed jobs a second, and the way to a job's first line."""

    name: str
    version: str
    store: str
    single: list[float] = []
    batch: list[float] = []
    executed: list[float] = []
    start_p50_ms: list[float] = []
    start_p99_ms: list[float] = []
    conditions: str = ""
    missing: str | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def cores(server_s: float, own_s: float, wall_s: float) -> str:
    """Say how many cores the server and who measured it used: a generator near 1.0 would itself be the bound."""
    return f"server {server_s / wall_s:.2f} cores, generator {own_s / wall_s:.2f}"
