"""A month and a week of runs, small enough to work the KPIs out by hand; the answers stand beside them.

The windows end on a Monday, 2027-03-01 at 00:00 UTC. Compared are the 7 days before it, the baseline are the 28 before
those. All times are minutes after the beginning of the day named.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

AS_OF = datetime(2027, 3, 1, tzinfo=UTC)
COMPARE_FROM = datetime(2027, 2, 22, tzinfo=UTC)
BASELINE_FROM = datetime(2027, 1, 25, tzinfo=UTC)
HISTORY_FROM = datetime(2027, 1, 24, 12, tzinfo=UTC)
"""The first run of all was made half a day before the baseline begins."""


class GoldenRun(NamedTuple):
    """A run: the day and minute it was made, and the minutes after that it began and ended; None: never."""

    day: tuple[int, int]
    made: int
    began: int | None
    ended: int | None
    state: str
    attempts: int = 1


RUNS = (
    # --- before the baseline: history, and a run that is open until the baseline is over
    GoldenRun((1, 24), 720, 0, 10, "completed"),
    GoldenRun((1, 24), 725, None, None, "open"),
    # --- the baseline: six runs end in it
    GoldenRun((1, 25), 0, 0, 10, "completed"),
    GoldenRun((1, 26), 0, 0, 20, "completed"),
    GoldenRun((1, 31), 0, 0, 30, "failed"),
    GoldenRun((2, 7), 0, 10, 40, "completed", attempts=2),
    GoldenRun((2, 11), 0, 0, 50, "completed"),
    GoldenRun((2, 21), 1380, None, 59, "cancelled"),
    # --- at the border: it was made in the baseline and ends in the first minute of the compared window
    GoldenRun((2, 21), 1381, 0, 59, "completed"),
    # --- the compared window: with the one above, five runs end in it
    GoldenRun((2, 22), 60, 0, 1, "completed"),
    GoldenRun((2, 23), 0, 0, 2, "completed"),
    GoldenRun((2, 24), 0, 0, 3, "completed"),
    GoldenRun((2, 28), 1430, 0, 4, "failed"),
    # --- made in the compared window, and not over at its end: censored
    GoldenRun((2, 28), 1435, 0, None, "open"),
)

# Worked out by hand.
#
# The compared window [02-22, 03-01): ended are 59 (the one at the border: 23:01 + 59 min = 00:00 sharp, which belongs
# to this window), 1, 2, 3 and 4 minutes long.
#   success_rate   4 completed of 5; nobody cancelled                          = 0.8
#   time_to_close  1 2 3 4 59: the middle one                                   = 3 min; p90 is the 5th of 5 = 59 min
#   retry_rate     0 of 5
#   open at its end: the run of 01-24 and the one of 02-28, 23:55              = 2; closure_rate = 5 of 7
#   throughput     5 in 7 days
#
# The baseline [01-25, 02-22): ended are 10, 20, 30, 40, 50 and 59 minutes long (the last one: 23:00 + 59 min = 23:59).
#   success_rate   4 completed of 5: the cancelled one does not count           = 0.8
#   time_to_close  10 20 30 40 50 59: the third of six                          = 30 min; p90 is the 6th = 59 min
#   retry_rate     1 of 5: the cancelled one never executed
#   open at its end: the run of 01-24 and the one at the border                = 2; closure_rate = 6 of 8
#   throughput     6 in 28 days
MINUTE_MS = 60_000
COMPARE = {
    "success_rate": (4 / 5, 5),
    "time_to_close": (3 * MINUTE_MS, 5),
    "retry_rate": (0.0, 5),
    "closure_rate": (5 / 7, 7),
    "throughput": (5 / 7, 5),
}
BASELINE = {
    "success_rate": (4 / 5, 5),
    "time_to_close": (30 * MINUTE_MS, 6),
    "retry_rate": (1 / 5, 5),
    "closure_rate": (6 / 8, 8),
    "throughput": (6 / 28, 6),
}
P90 = {"compare": 59 * MINUTE_MS, "baseline": 59 * MINUTE_MS}
CENSORED = {"compare": 2, "baseline": 2}
EMPTY = ("model_answer_rate", "human_override_rate", "gate_pass_rate_first_try", "approval_latency", "cost_per_run",
         "loop_success_rate", "iterations_to_clean")  # fmt: skip
"""Nothing of the kind is in these runs: their values are None, of 0, and neither 0 nor 100 %."""

LOOPS = (("clean", 0), ("clean", 3), ("no_progress", 3), ("clean", 4), ("approval_denied", 1), ("budget_cost", 2),
         ("cancelled", 5), ("infra_error", 6))  # fmt: skip
"""Loops of the compared window: why they stopped, after how many iterations."""
# Worked out by hand.
#   loop_success_rate    3 clean of 6: the cancelled and the broken one came to no verdict   = 0.5
#   iterations_to_clean  0 3 4 of the clean ones: 7 / 3; a tree that was clean needed none
OF_LOOPS = {"loop_success_rate": (1 / 2, 6), "iterations_to_clean": (7 / 3, 3)}

# The interval of 4 of 5 (Wilson, 95 %): p = 0.8, z = 1.96, z² = 3.8416
#   middle = (0.8 + 3.8416 / 10) / (1 + 3.8416 / 5)                        = 1.18416 / 1.76832 = 0.66965
#   half   = 1.96 × sqrt(0.8 × 0.2 / 5 + 3.8416 / 100) / 1.76832           = 1.96 × 0.26536 / 1.76832 = 0.29412
FOUR_OF_FIVE = (0.3755, 0.9638)
