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
        return f"{'≤' if self.at_most else '≥'} {self.value:,.0f} {self.unit}".replace(",", " ")


GOALS: dict[str, Goal] = {
    "lives": Goal(20_000, "runs/s"),
    "trigger": Goal(8_000, "runs/s"),
    "trigger_p99": Goal(25, "ms", at_most=True),
    "bulk": Goal(20_000, "runs/s"),
    "start_p50": Goal(1, "ms", at_most=True),
    "start_p99": Goal(5, "ms", at_most=True),
    "events": Goal(60_000, "events/s"),
    "lag_p99": Goal(25, "ms", at_most=True),
    "fan_p99": Goal(120, "ms", at_most=True),
    "fan_memory": Goal(12, "KiB", at_most=True),
    "lost": Goal(0, "events", at_most=True),
    "cancel_p99": Goal(300, "ms", at_most=True),
    "recovery": Goal(40, "s", at_most=True),
    "list_p99": Goal(25, "ms", at_most=True),
    "evidence": Goal(50_000, "events/s"),
}

NOT_YET: tuple[tuple[str, str], ...] = (
    (
        "whole life, PostgreSQL, one server and one worker process (≥ 15 000 runs/s)",
        "PostgreSQL is no store of ours yet",
    ),
    ("trigger to start, PostgreSQL (p50 ≤ 2, p99 ≤ 8 ms)", "PostgreSQL is no store of ours yet"),
    ("list page at 5 M finished runs, PostgreSQL (p99 ≤ 25 ms)", "PostgreSQL is no store of ours yet"),
    ("cancel → terminal of an agent run", "there is no agent executor yet"),
    ("evidence: export and verify (≥ 50 000 events/s)", "there is no evidence bundle yet"),
)
"""The goals that nothing can be held against yet, and why."""
