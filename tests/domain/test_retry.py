import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.retry import RetryPolicy, delay_ms, error_fingerprint

DRAWS = st.floats(min_value=0, max_value=1, exclude_max=True)
ATTEMPTS = st.integers(min_value=1, max_value=10_000)
DELAYS = st.integers(min_value=0, max_value=10**9)
POLICIES = st.builds(
    RetryPolicy,
    strategy=st.sampled_from(["exponential", "linear", "fixed", "custom"]),
    initial_ms=DELAYS,
    max_ms=DELAYS,
    delays_ms=st.lists(DELAYS, min_size=1, max_size=5).map(tuple),
    jitter=st.sampled_from(["full", "proportional", "none"]),
)


def rests(attempts=6, **options):
    policy = RetryPolicy(jitter="none", **options)
    return [delay_ms(policy, attempt, 0.5) for attempt in range(1, attempts + 1)]


def test_strategies_produce_the_configured_delays():
    assert rests(initial_ms=1000, max_ms=20_000) == [1000, 2000, 4000, 8000, 16_000, 20_000]
    assert rests(strategy="linear", initial_ms=1000, max_ms=4500) == [1000, 2000, 3000, 4000, 4500, 4500]
    assert rests(4, strategy="fixed", initial_ms=700) == [700] * 4
    assert rests(4, strategy="custom", delays_ms=(5, 60, 30)) == [5, 60, 30, 30]


def test_full_jitter_spreads_from_nothing_to_the_whole_delay():
    policy = RetryPolicy(initial_ms=1000, jitter="full")
    assert delay_ms(policy, 1, 0.0) == 0
    assert delay_ms(policy, 1, 0.999999) == 999


def test_proportional_jitter_spreads_by_a_fifth():
    policy = RetryPolicy(initial_ms=1000)
    assert [delay_ms(policy, 1, draw) for draw in (0.0, 0.5, 0.999999)] == [800, 1000, 1200]


@given(POLICIES, ATTEMPTS, DRAWS, st.none() | DELAYS)
def test_no_delay_leaves_its_bounds(policy, attempt, draw, retry_after_ms):
    assert 0 <= delay_ms(policy, attempt, draw, retry_after_ms) <= policy.max_ms


@given(POLICIES, ATTEMPTS, DRAWS, DELAYS)
def test_retry_after_is_the_least_rest_up_to_the_max_delay(policy, attempt, draw, retry_after_ms):
    rest = delay_ms(policy, attempt, draw, retry_after_ms)
    assert rest >= min(retry_after_ms, policy.max_ms)
    assert rest >= delay_ms(policy, attempt, draw, None)


@given(POLICIES, ATTEMPTS, DRAWS, DRAWS)
def test_jitter_none_draws_nothing(policy, attempt, draw, other):
    if policy.jitter == "none":
        assert delay_ms(policy, attempt, draw) == delay_ms(policy, attempt, other)


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"initial_ms": -1}, {"max_ms": -1}, {"strategy": "custom"}, {"delays_ms": (1, -1)}]
)
def test_values_that_make_no_policy_are_refused(options):
    with pytest.raises(ValueError, match=r"delay|attempts"):
        RetryPolicy(**options)


def test_a_fingerprint_is_of_class_and_beginning():
    first = error_fingerprint("builtins.ValueError", "x" * 200 + "one")
    assert first == error_fingerprint("builtins.ValueError", "x" * 200 + "two")
    assert first != error_fingerprint("builtins.KeyError", "x" * 200)
    assert first != error_fingerprint("builtins.ValueError", "y" * 200)
    assert len(first) == 16
    assert error_fingerprint("a", "b\ud800") != error_fingerprint("a", "b")


def test_a_class_cannot_be_mistaken_for_text():
    assert error_fingerprint("a", "bc") != error_fingerprint("ab", "c")
