"""The goals on the reference machine, by name: what each figure is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A bound that a figure is to reach: at least `value`, or at most it where less is better."""

    value: float
    unit: str
    at_most: bool = False

    def reached(self, median: float) -> float:
        """Return how much of the goal is reached; 1.0 and more is met, whichever way it points."""
        if self.at_most:
            return self.value / median if median else float("inf")
        return median / self.value

    def text(self) -> str:
        """Return the goal as the table shows it."""
        return f"{'≤' if self.at_most else '≥'} {self.value:,g} {self.unit}".replace(",", " ")


GOALS: dict[str, Goal] = {
    "lives": Goal(20_000, "runs/s"),
    "workers": Goal(15_000, "runs/s"),
    "trigger": Goal(8_000, "runs/s"),
    "trigger_p99": Goal(25, "ms", at_most=True),
    "bulk": Goal(20_000, "runs/s"),
    "start_p50": Goal(1, "ms", at_most=True),
    "start_p99": Goal(5, "ms", at_most=True),
    "start_p50 on PostgreSQL": Goal(2, "ms", at_most=True),
    "start_p99 on PostgreSQL": Goal(8, "ms", at_most=True),
    "events": Goal(60_000, "events/s"),
    "lag_p99": Goal(25, "ms", at_most=True),
    "fan_p99": Goal(120, "ms", at_most=True),
    "fan_memory": Goal(12, "KiB", at_most=True),
    "lost": Goal(0, "events", at_most=True),
    "held": Goal(0.8, "×"),
    "cancel_p99": Goal(300, "ms", at_most=True),
    "recovery": Goal(40, "s", at_most=True),
    "list_p99": Goal(25, "ms", at_most=True),
    "evidence": Goal(50_000, "events/s"),
    "kpi": Goal(200, "ms", at_most=True),
}

NOT_YET: tuple[tuple[str, str], ...] = (("cancel → terminal of an agent run", "it is not measured yet"),)
"""The goals that nothing can be held against yet, and why."""

SQLITE_ALONE = frozenset({"lives"})
"""The goals that are set for SQLite and not for PostgreSQL."""


def goal_on(name: str, database: str) -> str | None:
    """Return the goal that a figure taken on this database is held against: its own, else the one for any."""
    if database == "SQLite":
        return name
    own = f"{name} on {database}"
    return own if own in GOALS else None if name in SQLITE_ALONE else name
