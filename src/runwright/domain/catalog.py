"""Which model to ask for what: hard filters first, then a score whose every term can be shown. Pure and deterministic.

A price that nobody knows is worth nothing, which is not the same as being for free. What is not known of a model's own
past is worth a half, so that a new one is neither preferred nor shut out. Of equal scores the smaller id goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from runwright.domain.kpi_sums import Sums
from runwright.domain.model_call import ProviderKind
from runwright.domain.money import MICRO
from runwright.domain.price import Price

Role = Literal["orchestrator", "subagent", "judge"]
ROLES: tuple[Role, ...] = ("orchestrator", "subagent", "judge")
Capability = Literal["tools", "images", "streaming"]
Reason = Literal[
    "NOT_INSTALLED",
    "NO_PROVIDER",
    "NO_SCRIPTS",
    "POLICY_DENIED",
    "QUOTA_EXHAUSTED",
    "UNPRICED",
    "CONTEXT_TOO_SMALL",
    "CAPABILITY_MISSING",
    "TOO_EXPENSIVE",
]
"""Why a model is not asked: what this server or the project lacks, then what the caller asked for."""

CAPABILITIES: dict[ProviderKind, tuple[Capability, ...]] = {
    "openai": ("images", "streaming", "tools"),
    "openai-compatible": ("images", "streaming", "tools"),
    "anthropic": ("images", "streaming", "tools"),
    "local": ("streaming",),
    "scripted": ("streaming", "tools"),
}
"""What can be asked for through each kind of provider; whether the model is good at it, only its history tells."""

Signal = Literal["own_success", "price", "own_latency", "tools"]
WEIGHTS: dict[Role, dict[Signal, float]] = {
    "orchestrator": {"own_success": 0.4, "price": 0.2, "own_latency": 0.15, "tools": 0.25},
    "subagent": {"own_success": 0.3, "price": 0.35, "own_latency": 0.15, "tools": 0.2},
    "judge": {"own_success": 0.5, "price": 0.3, "own_latency": 0.2},
}
"""How much each term counts for a role; together 1."""

HALF_PRICE_MICROUSD = MICRO
"""A dollar per million tokens is worth a half."""
HALF_LATENCY_US = 10_000_000
"""Ten seconds until the whole answer are worth a half."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must have; `max_cost_microusd` is per million tokens, `blended`."""

    min_context: int | None = None
    max_cost_microusd: int | None = None
    capabilities: tuple[Capability, ...] = ()


ANY = Needs()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is known; `missing` says why it cannot be asked at all. `past` is what own runs with it came to."""

    id: str
    price: Price | None
    context_window: int
    capabilities: tuple[Capability, ...]
    missing: Reason | None = None
    past: Sums = msgspec.field(default_factory=Sums)


class Term(msgspec.Struct, frozen=True):
    """A term of a score: the value that was found, of so many, its worth from 0 to 1, and its weight."""

    value: float | None
    n: int
    worth: float
    weight: float
    source: str


class Ranked(msgspec.Struct, frozen=True):
    """A model's place for a role, with its score and the terms that it is the sum of."""

    id: str
    position: int
    score: float
    terms: dict[Signal, Term]


def allowed(patterns: Iterable[str], kind: str, model: str) -> bool:
    """Tell whether models of a policy hold this one: `kind/model`, `*` stands for any text; no pattern allows all."""
    known = tuple(patterns)
    return not known or any(fnmatchcase(f"{kind}/{model}", pattern) for pattern in known)


def blended(price: Price) -> int:
    """Return micro-USD per million tokens of which three are prompt to one of answer."""
    return (3 * price.rates.input + price.rates.output + 2) // 4


def excluded(candidate: Candidate, needs: Needs = ANY) -> Reason | None:
    """Return why a model is not to be asked, the first of the reasons; None for one that may."""
    if candidate.missing is not None:
        return candidate.missing
    if needs.min_context is not None and candidate.context_window < needs.min_context:
        return "CONTEXT_TOO_SMALL"
    if not set(needs.capabilities) <= set(candidate.capabilities):
        return "CAPABILITY_MISSING"
    if needs.max_cost_microusd is None:
        return None
    if candidate.price is None:
        return "UNPRICED"
    return "TOO_EXPENSIVE" if blended(candidate.price) > needs.max_cost_microusd else None


def ranking(candidates: Iterable[Candidate], role: Role, needs: Needs = ANY) -> list[Ranked]:
    """Return the models that may be asked, best first for a role."""
    scored = []
    for candidate in candidates:
        if excluded(candidate, needs) is None:
            terms = {signal: _term(candidate, signal, weight) for signal, weight in WEIGHTS[role].items()}
            scored.append((round(sum(term.worth * term.weight for term in terms.values()), 6), candidate.id, terms))
    scored.sort(key=lambda each: (-each[0], each[1]))
    return [Ranked(ident, place, score, terms) for place, (score, ident, terms) in enumerate(scored, 1)]


def choose(candidates: Iterable[Candidate], role: Role, needs: Needs = ANY) -> str | None:
    """Return the id of the model that `auto` stands for: the first of the ranking; None where none may be asked."""
    found = ranking(candidates, role, needs)
    return found[0].id if found else None


def _term(candidate: Candidate, signal: Signal, weight: float) -> Term:
    match signal:
        case "own_success":
            rate = candidate.past.rate("success_rate")
            share = rate.hits / rate.of if rate.of else None
            return Term(share, rate.of, (rate.hits + 1) / (rate.of + 2), weight, "own runs: (completed + 1) ÷ (n + 2)")
        case "own_latency":
            spread = candidate.past.spread("model_latency")
            median = spread.quantile(0.5)
            worth = 0.5 if median is None else _half_at(median, HALF_LATENCY_US)
            seconds = None if median is None else median / 1_000_000
            return Term(seconds, spread.n, worth, weight, "own calls: median seconds; 10 are worth a half")
        case "price":
            cost = None if candidate.price is None else blended(candidate.price)
            worth = 0.0 if cost is None else _half_at(cost, HALF_PRICE_MICROUSD)
            source = "unpriced" if candidate.price is None else candidate.price.source
            told = f"{source}: dollars per million tokens, 3 of prompt to 1 of answer; 1 is worth a half"
            return Term(None if cost is None else cost / MICRO, int(cost is not None), worth, weight, told)
        case "tools":
            calls = "tools" in candidate.capabilities
            return Term(float(calls), 1, float(calls), weight, "whether it can choose to call tools")


def _half_at(value: int, half: int) -> float:
    return half / (half + value)
