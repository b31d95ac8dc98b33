"""What a model's tokens cost, in whole micro-USD; what is not known is None, never zero."""

from __future__ import annotations

import msgspec

from runwright.domain.model_call import Usage
from runwright.domain.money import MICRO

_PER = 1_000_000
CREDITS_PER_USD = 1000


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in micro-USD per million tokens."""

    input: int
    cached: int
    output: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Other rates for the whole of a call whose prompt has more than `above` tokens."""

    above: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a model; `source` names the table that it was taken from, with its version."""

    rates: Rates
    steps: tuple[Step, ...] = ()
    source: str = ""

    def rates_of(self, input_tokens: int) -> Rates:
        """Return the rates of a call with so large a prompt."""
        reached = [step for step in self.steps if input_tokens > step.above]
        return max(reached, key=lambda step: step.above).rates if reached else self.rates


def cost(price: Price | None, usage: Usage | None) -> int | None:
    """Return the micro-USD of a call; None where its price or its usage is not known.

    Everything is added up exactly and rounded once, half up: to the nearest micro-dollar, and a half to the next.
    """
    if price is None or usage is None:
        return None
    rates = price.rates_of(usage.input_tokens)
    fresh = usage.input_tokens - usage.cached_tokens
    exact = fresh * rates.input + usage.cached_tokens * rates.cached + usage.output_tokens * rates.output
    return (exact + _PER // 2) // _PER


def cost_at_most(price: Price | None, input_tokens: int, output_tokens: int) -> int | None:
    """Return the most that a call of at most so many tokens can cost, to reserve; None without a price.

    No usage within those limits has a `cost` above it, whatever of the prompt was cached.
    """
    if price is None:
        return None
    possible = [price.rates, *(step.rates for step in price.steps if input_tokens > step.above)]
    exact = max(
        input_tokens * max(rates.input, rates.cached) + output_tokens * rates.output for rates in possible
    )  # fmt: skip
    return -(-exact // _PER)


def cache_hit_rate(usage: Usage | None) -> float | None:
    """Return the share of all prompt tokens that were cached, to four digits; None without any prompt token."""
    if usage is None or usage.input_tokens == 0:
        return None
    return round(usage.cached_tokens / usage.input_tokens, 4)


def credits_used(cost_microusd: int | None, per_usd: int = CREDITS_PER_USD) -> int | None:
    """Return the credits for a cost, each begun one whole; None for a cost that is not known."""
    return None if cost_microusd is None else -(-cost_microusd * per_usd // MICRO)
