"""Nobody asks more often than they may, whoever else does, and what is left is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.rates import Rates, neighbourhood
from runwright.clock import FrozenClock
from runwright.errors import RateLimited
from tests.api.conftest import Kit


def allowed(rates: Rates, who: str = "ada") -> bool:
    try:
        rates.take(who)
    except RateLimited:
        return False
    return True


@given(
    per_s=st.integers(1, 50),
    burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 10)), max_size=60),
)
def test_a_bucket_is_never_overdrawn_and_never_holds_back_what_is_in_it(
    per_s: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    clock = FrozenClock()
    rates = Rates("key", per_s, burst, 10, clock)
    tokens, beats = burst * 1000, 1000  # a token is a thousand; the clock moves by whole milliseconds
    for wait_ms, asks in steps:
        clock.advance(wait_ms / 1000)
        tokens = min(burst * 1000, tokens + wait_ms * per_s)
        for _ in range(asks):
            assert allowed(rates) == (tokens >= beats)
            tokens -= beats if tokens >= beats else 0


def test_the_wait_that_is_told_is_long_enough_and_no_longer() -> None:
    clock = FrozenClock()
    rates = Rates("key", 10, 2, 10, clock)
    assert allowed(rates)
    assert allowed(rates)
    with pytest.raises(RateLimited) as refused:
        rates.take("ada")
    wait = refused.value.retry_after_s
    clock.advance(wait - 0.01)
    assert not allowed(rates)
    clock.advance(0.01)
    assert allowed(rates)
    assert allowed(rates, "eve"), "each has their own"


def test_who_is_remembered_is_bounded_and_the_idle_go_first() -> None:
    clock = FrozenClock()
    rates = Rates("address", 1, 1, 4, clock)
    for number in range(3):
        rates.take(f"idle{number}")
    clock.advance(2)
    rates.take("busy")
    rates.take("next")
    assert not allowed(rates, "busy")
    for number in range(1000):
        rates.take(f"10.0.{number}")
        assert len(rates._until) <= 4


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_an_address_is_counted_with_those_that_one_machine_may_have(address: str, counted_as: str) -> None:
    assert neighbourhood(address) == counted_as


async def test_every_answer_tells_what_is_left() -> None:
    kit = Kit(rate_per_s=2.0, rate_burst=3)
    async with kit.client() as client:
        for left in (2, 1, 0):
            response = await client.get("/v1/who")
            assert response.headers["ratelimit-policy"] == '"key";q=3;w=2'
            assert re.fullmatch(rf'"key";r={left};t=[12]', response.headers["ratelimit"])
        refused = await client.get("/v1/who")
        assert (refused.status_code, refused.json()["code"]) == (429, "limits.rate")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"].startswith('"key";r=0;')
        assert (await kit.client("rw_reader").get("/v1/who")).status_code == 200
        kit.clock.advance(1)
        assert (await client.get("/v1/ticks")).status_code == 200
        assert (await kit.client(None).get("/v1/fail/gone")).headers.get("ratelimit") is None


async def test_a_rate_of_zero_limits_nobody_and_tells_nothing() -> None:
    kit = Kit(rate_per_s=0, rate_burst=1)
    async with kit.client() as client:
        for _ in range(5):
            response = await client.get("/v1/who")
            assert response.status_code == 200
            assert "ratelimit" not in response.headers


async def test_an_address_that_shows_wrong_credentials_must_wait_and_others_there_go_on() -> None:
    kit = Kit(auth_failures_per_s=1.0)
    stranger = kit.client("rw_wrong")
    for _ in range(3):
        assert (await stranger.get("/v1/who")).status_code == 401
    refused = await stranger.get("/v1/who")
    assert (refused.status_code, refused.json()["code"]) == (429, "limits.rate")
    assert (await kit.client().get("/v1/who")).status_code == 200, "credentials that are believed"
    assert (await kit.client(None).get("/v1/who")).status_code == 401, "no credentials are none that are wrong"
    kit.clock.advance(1)
    assert (await stranger.get("/v1/who")).status_code == 401


async def test_without_a_limit_wrong_credentials_are_just_wrong() -> None:
    kit = Kit(auth_failures_per_s=0)
    for _ in range(10):
        assert (await kit.client("rw_wrong").get("/v1/who")).status_code == 401
