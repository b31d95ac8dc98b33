"""What is known of models before they are asked: their prices and the size of their context."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, cast

import msgspec

from runwright.domain.model_call import ProviderKind
from runwright.domain.price import Price, Rates


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model; None is not known, which is never nothing."""

    price: Price | None = None
    context_tokens: int | None = None

    def context_within(self, most: int) -> int:
        """Return how many tokens fit, prompt and answer together: what the model takes, and no more than `most`."""
        return most if self.context_tokens is None else min(most, self.context_tokens)


SCRIPTED = Price(rates=Rates(input=1_000_000, cached=100_000, output=4_000_000), source="scripted")
"""What the scripted provider would cost: 1 USD per million tokens in, 0.10 USD of those cached, 4 USD out."""

LOCAL = Price(rates=Rates(input=0, cached=0, output=0), source="local")
"""The model in this process asks no money: this is known, and zero."""


async def facts_of(
    provider: ProviderKind, model: str, base_url: str | None = None, *, now_us: int, local_context: int = 4096
) -> Facts:
    """Return what is known of a model at an instant (µs), from the table that the extra `agents` brings along.

    Nothing is asked over the network. At a `base_url`, prices are those of the provider that it belongs to; a server
    that nobody knows has none. Without the extra, no price is known.
    """
    if provider == "scripted":
        return Facts(price=SCRIPTED)
    if provider == "local":
        return Facts(price=LOCAL, context_tokens=local_context)
    table = await _table()
    if table is None:
        return Facts()
    owner = None if base_url is not None else "anthropic" if provider == "anthropic" else "openai"
    return cast("Facts", await asyncio.to_thread(table.look_up, owner, model, base_url, now_us))


async def book() -> str | None:
    """Return the name and the version of the table of prices; None without the extra that brings it along."""
    table = await _table()
    return None if table is None else cast("str", table.SOURCE)


async def _table() -> Any:
    try:
        return await asyncio.to_thread(importlib.import_module, "runwright.agents.price_table")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("runwright"):
            raise
        return None
