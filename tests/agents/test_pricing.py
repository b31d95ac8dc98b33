import sys
from datetime import UTC, datetime

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from runwright.agents.pricing import Facts, facts_of
from runwright.domain.model_call import Usage
from runwright.domain.money import MICRO
from runwright.domain.price import cost

NOW = datetime(2026, 11, 20, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1e6)
USAGES = [(1_000, 0, 100), (150_000, 90_000, 3_333), (199_999, 0, 1), (350_000, 200_000, 1_000_000)]


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-4o-mini"), ("openai-compatible", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5")],
)
async def test_a_cost_is_what_the_makers_of_the_table_make_of_it(provider, model):
    facts = await facts_of(provider, model, now_us=NOW_US)
    assert facts.price is not None
    assert facts.price.source.startswith("genai-prices ")
    owner = "anthropic" if provider == "anthropic" else "openai"
    for prompt, cached, output in USAGES:
        theirs = calc_price(
            TheirUsage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=output),
            model,
            provider_id=owner,
            genai_request_timestamp=NOW,
        )
        ours = cost(facts.price, Usage(input_tokens=prompt, cached_tokens=cached, output_tokens=output))
        assert ours is not None
        assert abs(ours - theirs.total_price * MICRO) <= 1


async def test_a_context_window_is_told_where_it_is_known():
    assert (await facts_of("openai", "gpt-4o-mini", now_us=NOW_US)).context_tokens == 128_000
    assert (await facts_of("local", "smollm2", now_us=NOW_US, local_context=2048)).context_tokens == 2048


@pytest.mark.parametrize(
    ("provider", "model", "base_url"),
    [
        ("openai", "no-such-model", None),
        ("anthropic", "gpt-4o-mini", None),
        ("openai-compatible", "gpt-4o-mini", "http://10.0.0.7:8000/v1"),
        ("openai", "text-embedding-3-small", None),
    ],
)
async def test_a_price_that_nobody_knows_is_unknown(provider, model, base_url):
    assert (await facts_of(provider, model, base_url, now_us=NOW_US)).price is None


async def test_the_price_at_an_address_is_that_of_whose_it_is():
    there = await facts_of("openai-compatible", "gpt-4o-mini", "https://api.openai.com/v1", now_us=NOW_US)
    assert there == await facts_of("openai", "gpt-4o-mini", now_us=NOW_US)


async def test_what_is_free_is_known_to_be_free():
    local = (await facts_of("local", "smollm2-135m-instruct", now_us=NOW_US)).price
    assert cost(local, Usage(input_tokens=100, output_tokens=100)) == 0
    scripted = (await facts_of("scripted", "echo", now_us=NOW_US)).price
    assert cost(scripted, Usage(input_tokens=1000, cached_tokens=500, output_tokens=100)) == 500 + 50 + 400


async def test_without_the_extra_no_price_is_known(monkeypatch):
    monkeypatch.delitem(sys.modules, "runwright.agents.price_table", raising=False)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert await facts_of("openai", "gpt-4o-mini", now_us=NOW_US) == Facts()
