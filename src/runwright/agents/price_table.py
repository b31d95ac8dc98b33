"""The table of prices that comes with genai-prices. The one place that loads it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

from genai_prices import __version__
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from runwright.agents.pricing import Facts
from runwright.domain.money import MICRO
from runwright.domain.price import Price, Rates, Step

SOURCE = f"genai-prices {__version__}"
"""The table, with its version."""

_Amount = Decimal | TieredPrices | None


def look_up(owner: str | None, model: str, base_url: str | None, now_us: int) -> Facts:
    """Return what the table knows of a model of a provider, which is named or told by its address."""
    try:
        _, known = get_snapshot().find_provider_model(model, None, owner, base_url)
    except LookupError:
        return Facts()
    at = datetime.fromtimestamp(now_us / 1e6, UTC)
    return Facts(price=_price(known.get_prices(at)), context_tokens=known.context_window)


def _price(told: ModelPrice) -> Price | None:
    # What is not told of the cache costs as much as the rest of the prompt.
    amounts: tuple[_Amount, ...] = (told.input_mtok, told.cache_read_mtok or told.input_mtok, told.output_mtok)
    if any(amount is None for amount in amounts):
        return None
    above = sorted({tier.start for amount in amounts if isinstance(amount, TieredPrices) for tier in amount.tiers})
    return Price(
        rates=_rates(amounts, 0),
        steps=tuple(Step(above=start, rates=_rates(amounts, start + 1)) for start in above),
        source=SOURCE,
    )


def _rates(amounts: tuple[_Amount, ...], tokens: int) -> Rates:
    fresh, cached, output = (_microusd(amount, tokens) for amount in amounts)
    return Rates(input=fresh, cached=cached, output=output)


def _microusd(amount: _Amount, tokens: int) -> int:
    """Return micro-USD for a prompt of so many tokens; a fraction of one counts whole, so that nothing is for free."""
    if isinstance(amount, TieredPrices):
        reached = [tier.price for tier in amount.tiers if tokens > tier.start]
        amount = reached[-1] if reached else amount.base
    return int(((amount or Decimal(0)) * MICRO).to_integral_value(ROUND_CEILING))
