"""A run token names one lease, and only the keyring that signed it reads it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright import ids
from runwright.auth.keyring import Keyring
from runwright.auth.run_tokens import RunTokens
from tests.auth.conftest import House

RUN = ids.floor("run", 1_800_000_000_000_000)
OURS = RunTokens(b"k" * 32)
WORD = string.ascii_letters + string.digits + "_-"


@given(at=st.integers(0, 1 << 50), epoch=st.integers(1, 10**18 - 1))
def test_a_token_says_its_run_and_its_lease(at: int, epoch: int) -> None:
    run_id = ids.new_id("run", at)
    token = OURS.mint(run_id, epoch)
    assert OURS.read(token) == (run_id, epoch)
    assert token.startswith("rwt_")
    assert set(token) <= set(WORD)


def test_a_lease_has_one_token() -> None:
    assert OURS.mint(RUN, 3) == OURS.mint(RUN, 3)
    assert len({OURS.mint(RUN, epoch) for epoch in range(1, 100)}) == 99


@given(data=st.data())
def test_a_token_that_was_changed_anywhere_names_nothing(data: st.DataObject) -> None:
    token = OURS.mint(RUN, 12)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from(WORD).filter(lambda each: each != token[place]))
    assert OURS.read(token[:place] + letter + token[place + 1 :]) is None


@pytest.mark.parametrize(
    "odd", ["", "rwt_", "rw_0123456789ab_" + "x" * 43, OURS.mint(RUN, 1) + "=", "x" * 100_000, "rwt_ü", "rwt_\ud800"]
)
def test_what_is_no_token_names_nothing(odd: str) -> None:
    assert OURS.read(odd) is None


def test_an_epoch_has_one_spelling() -> None:
    for spelled in ("0", "01", "-1", "+1", "1e3", "１"):
        claim = f"rwt_{RUN[4:]}_{spelled}"
        if claim.isascii():
            assert OURS.read(f"{claim}_{OURS._signature(claim)}") is None
        else:
            assert OURS.read(f"{claim}_{'x' * 43}") is None


def test_another_key_reads_nothing() -> None:
    assert RunTokens(b"j" * 32).read(OURS.mint(RUN, 1)) is None


async def test_the_key_lies_in_the_keyring_and_is_no_other(house: House) -> None:
    token = house.tenants.run_tokens.mint(RUN, 7)
    again = await Keyring.unlock(house.store, None, house.store.directory)
    assert RunTokens(again.run_token_key).read(token) == (RUN, 7)
    assert RunTokens(house.keyring.pepper).read(token) is None
