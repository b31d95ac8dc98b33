from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.model_call import Usage
from runwright.domain.price import Price, Rates, Step, cache_hit_rate, cost, cost_at_most, credits_used

RATES = st.builds(Rates, input=st.integers(0, 10**9), cached=st.integers(0, 10**9), output=st.integers(0, 10**9))
STEPS = st.lists(st.builds(Step, above=st.integers(0, 10**6), rates=RATES), max_size=3).map(tuple)
PRICES = st.builds(Price, rates=RATES, steps=STEPS)
MINI = Price(rates=Rates(input=150_000, cached=75_000, output=600_000))


@st.composite
def usages(draw, input_max=2_000_000, output_max=10**6):
    prompt = draw(st.integers(0, input_max))
    return Usage(
        input_tokens=prompt, cached_tokens=draw(st.integers(0, prompt)), output_tokens=draw(st.integers(0, output_max))
    )


@given(PRICES.filter(lambda price: not price.steps), usages())
def test_a_cost_is_added_up_exactly_and_rounded_half_up_once(price, usage):
    fresh = usage.input_tokens - usage.cached_tokens
    exact = Decimal(
        fresh * price.rates.input + usage.cached_tokens * price.rates.cached + usage.output_tokens * price.rates.output
    ) / Decimal(1_000_000)
    assert cost(price, usage) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def test_half_a_micro_dollar_is_a_whole_one():
    half = Price(rates=Rates(input=500_000, cached=0, output=0))
    assert [cost(half, Usage(input_tokens=count, output_tokens=0)) for count in (1, 2, 3, 5)] == [1, 1, 2, 3]
    assert [cost_at_most(half, count, 0) for count in (1, 2, 3, 5)] == [1, 1, 2, 3]


def test_cached_tokens_cost_their_own_price():
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=1_000_000)
    assert cost(MINI, usage) == 600_000 * 150_000 // 10**6 + 400_000 * 75_000 // 10**6 + 600_000


@given(PRICES, st.integers(0, 2_000_000), st.integers(0, 10**6), st.data())
def test_no_usage_within_what_was_reserved_for_costs_more(price, input_tokens, output_tokens, data):
    usage = data.draw(usages(input_tokens, output_tokens))
    reserved, spent = cost_at_most(price, input_tokens, output_tokens), cost(price, usage)
    assert reserved is not None
    assert spent is not None
    assert spent <= reserved


def test_a_prompt_above_a_step_pays_its_rates_for_every_token():
    dear = Rates(input=6_000_000, cached=600_000, output=22_500_000)
    price = Price(
        rates=Rates(input=3_000_000, cached=300_000, output=15_000_000), steps=(Step(above=200_000, rates=dear),)
    )
    assert cost(price, Usage(input_tokens=200_000, output_tokens=0)) == 600_000
    assert cost(price, Usage(input_tokens=200_001, output_tokens=1_000_000)) == 1_200_006 + 22_500_000


def test_what_is_not_known_is_unknown_and_never_zero():
    usage = Usage(input_tokens=1, output_tokens=1)
    assert (cost(None, usage), cost(MINI, None), cost_at_most(None, 1, 1), credits_used(None)) == (None,) * 4


@given(usages())
def test_the_cache_hit_rate_is_a_share_of_all_prompt_tokens(usage):
    rate = cache_hit_rate(usage)
    if usage.input_tokens == 0:
        assert rate is None
    else:
        assert rate is not None
        assert 0 <= rate <= 1
        assert abs(Fraction(rate) - Fraction(usage.cached_tokens, usage.input_tokens)) <= Fraction(1, 10_000)


def test_there_is_no_rate_without_a_usage():
    assert cache_hit_rate(None) is None


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_a_begun_credit_counts_whole(microusd, per_usd):
    begun = credits_used(microusd, per_usd)
    assert begun is not None
    assert (begun - 1) * 1_000_000 < microusd * per_usd <= begun * 1_000_000


def test_the_sample_of_the_contract_costs_five_credits():
    assert credits_used(5000) == 5
