"""What is measured of ended runs: each metric by its name, its unit, which way is good, and how it is worked out.

The definitions are a version (`FORMULAS`): whoever compares two answers compares the same formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from runwright.domain.kpi_facts import Facts
from runwright.domain.money import MICRO

FORMULAS = 2
"""Raised when a metric is worked out in another way, or comes or goes."""

Direction = Literal["up_good", "down_good"]
Unit = Literal["share", "ms", "usd", "count", "per_day"]
PER: dict[str, int] = {"ms": 1000, "usd": MICRO}
"""How many of ours make one of a unit, where they are not the same."""


class RateMetric(msgspec.Struct, frozen=True):
    """A share: of each run so many hits of so many; runs that have none of what is counted add nothing.

    `of_plain` says that plain runs (`Facts.plain`) may have it; nobody asks them for the others.
    """

    id: str
    direction: Direction
    method: str
    counts: Callable[[Facts], tuple[int, int]]
    of_plain: bool = False


class SpreadMetric(msgspec.Struct, frozen=True):
    """Values of runs: lengths of time (their median is shown), or amounts (their mean is).

    `of_plain` as that of a rate.
    """

    id: str
    unit: Unit
    direction: Direction
    method: str
    values: Callable[[Facts], Sequence[int]]
    of_plain: bool = False

    @property
    def is_length(self) -> bool:
        """Tell whether it is of time."""
        return self.unit == "ms"


def _ended_as_wished(facts: Facts) -> tuple[int, int]:
    return int(facts.state == "completed"), int(facts.state != "cancelled")


def _began(facts: Facts) -> bool:
    return facts.state == "completed" or facts.active_us > 0


RATES: tuple[RateMetric, ...] = (
    RateMetric(
        "success_rate",
        "up_good",
        "completed ÷ (completed + failed + expired); cancelled runs do not count",
        _ended_as_wished,
        of_plain=True,
    ),
    RateMetric(
        "retry_rate",
        "down_good",
        "runs that took more than one attempt ÷ runs that executed",
        lambda facts: (int(facts.attempts > 1), int(_began(facts))),
        of_plain=True,
    ),
    RateMetric(
        "recovery_rate",
        "down_good",
        "agent and runtime runs that went on after a lost worker ÷ those that executed",
        lambda facts: (int(facts.recoveries > 0), int(facts.agentic and _began(facts))),
    ),
    RateMetric(
        "budget_stop_rate",
        "down_good",
        "runs that a budget ended ÷ ended agent and runtime runs",
        lambda facts: (int(facts.reason == "budget" or facts.log.budget_stop), int(facts.agentic)),
    ),
    RateMetric(
        "model_answer_rate",
        "up_good",
        "calls of models that were answered ÷ (answered + made again)",
        lambda facts: (facts.log.model_answers, facts.log.model_answers + facts.log.model_failures),
    ),
    RateMetric(
        "human_override_rate",
        "down_good",
        "approvals and confirmations that a person denied ÷ those that a person decided",
        lambda facts: (facts.log.overridden, len(facts.log.decision_us)),
    ),
    RateMetric(
        "gate_pass_rate_first_try",
        "up_good",
        "gates whose first result in their run is green ÷ gates that ran",
        lambda facts: (facts.log.gates_green, facts.log.gates),
    ),
    RateMetric(
        "finding_closure_rate",
        "up_good",
        "findings that were fixed in the run that opened them ÷ findings opened",
        lambda facts: (len(facts.log.fix_us), facts.log.findings),
    ),
    RateMetric(
        "loop_success_rate",
        "up_good",
        "loops that ended clean ÷ loops that ended clean, at a ceiling or by a denial; cancelled and broken ones do not"
        " count",
        lambda facts: (int(facts.log.verdict == "clean"), int(facts.log.verdict is not None)),
    ),
    RateMetric(
        "reproducibility_rate",
        "up_good",
        "replays that ended in the state, with the result and the findings of the run they repeat ÷ replays whose"
        " original can still be read",
        lambda facts: (int(bool(facts.reproduced)), int(facts.reproduced is not None)),
    ),
)

SPREADS: tuple[SpreadMetric, ...] = (
    SpreadMetric(
        "time_to_close",
        "ms",
        "down_good",
        "from creation to end; median and p90 of runs that ended, `censored` of those still open",
        lambda facts: (facts.total_us,),
        of_plain=True,
    ),
    SpreadMetric(
        "active_time",
        "ms",
        "down_good",
        "time that a run executed, over all of its attempts; of runs that executed",
        lambda facts: (facts.active_us,) if _began(facts) else (),
        of_plain=True,
    ),
    SpreadMetric(
        "queue_time",
        "ms",
        "down_good",
        "time that a run waited in its queue; of runs that executed",
        lambda facts: (facts.queued_us,) if _began(facts) else (),
        of_plain=True,
    ),
    SpreadMetric(
        "model_latency",
        "ms",
        "down_good",
        "from the request to the whole answer of a model",
        lambda facts: facts.log.answer_us,
    ),
    SpreadMetric(
        "approval_latency",
        "ms",
        "down_good",
        "from the request to a person's decision",
        lambda facts: facts.log.decision_us,
    ),
    SpreadMetric(
        "finding_time_to_close",
        "ms",
        "down_good",
        "from a finding's opening to its fix in the same run; `censored` of those left open",
        lambda facts: facts.log.fix_us,
    ),
    SpreadMetric(
        "iterations_to_clean",
        "count",
        "down_good",
        "mean of loops that ended clean",
        lambda facts: (facts.log.iterations,) if facts.log.verdict == "clean" else (),
    ),
    SpreadMetric(
        "cost_per_run",
        "usd",
        "down_good",
        "mean of runs that called models or tools, and whose cost is known",
        lambda facts: (facts.cost_microusd,) if facts.agentic and facts.cost_microusd is not None else (),
    ),
    SpreadMetric(
        "tokens_per_run",
        "count",
        "down_good",
        "mean of runs that called models or tools",
        lambda facts: (facts.tokens,) if facts.agentic else (),
    ),
    SpreadMetric(
        "tool_calls_per_run",
        "count",
        "down_good",
        "mean of runs that called models or tools",
        lambda facts: (facts.log.tool_calls,) if facts.agentic else (),
    ),
    SpreadMetric(
        "subagents_per_run",
        "count",
        "down_good",
        "mean of runs that called models or tools: runs that they made",
        lambda facts: (facts.log.subagents,) if facts.agentic else (),
    ),
)

OF_ALL = ("closure_rate", "throughput")
"""The metrics that count ends, of every run."""
METRICS: tuple[str, ...] = (*OF_ALL, *(rate.id for rate in RATES), *(spread.id for spread in SPREADS))
"""The names of all metrics."""


def added(name: str, facts: Facts) -> list[float]:
    """Return what a run adds to a metric, in the metric's unit; nothing where its value does not stand on the run."""
    if name in OF_ALL:
        return [1.0]
    for rate in RATES:
        if rate.id == name:
            hits, of = rate.counts(facts)
            return [hits / of] if of else []
    found = next(spread for spread in SPREADS if spread.id == name)
    return [value / PER.get(found.unit, 1) for value in found.values(facts)]
