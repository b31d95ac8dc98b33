from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.money import micro, usd

AMOUNTS = st.integers(min_value=-(10**15), max_value=10**15)


@given(AMOUNTS)
def test_an_amount_is_read_exactly(amount):
    text = str(Decimal(amount).scaleb(-6))
    assert micro(text) == amount


@given(st.integers(min_value=0, max_value=2**50))
def test_dollars_shown_read_back_to_the_same_amount(amount):
    assert round(usd(amount) * 1_000_000) == amount


def test_common_amounts():
    assert [micro(text) for text in ("0.15", "3", "-1.5", "1e2", "0.0000010", ".000001")] == [
        150_000, 3_000_000, -1_500_000, 100_000_000, 1, 1,
    ]  # fmt: skip
    assert usd(150_000) == 0.15


BAD = ["", "x", "NaN", "Infinity", "0.0000001", "1e999999", "1e-999999", "1" * 50, "$1", "1,5"]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_exact_amount_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        micro(text)
