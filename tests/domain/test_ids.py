import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright import ids

INSTANTS = st.integers(min_value=0, max_value=253_402_300_799_999_999)  # until the end of the year 9999
PREFIXES = st.sampled_from(ids.PREFIXES)


@given(PREFIXES, INSTANTS)
def test_an_id_gives_its_instant_back_to_the_microsecond(prefix, at_us):
    assert ids.time_of(ids.new_id(prefix, at_us)) == at_us


@given(INSTANTS, INSTANTS)
def test_ids_sort_by_creation(first, second):
    if first < second:
        assert ids.new_id("run", first) < ids.new_id("run", second)


@given(INSTANTS)
def test_digits_are_a_uuid_of_version_7_of_the_instant(at_us):
    prefix, digits = ids.new_id("run", at_us).split("_")
    value = uuid.UUID(hex=digits)
    assert (prefix, value.version, value.variant) == ("run", 7, uuid.RFC_4122)
    assert value.int >> 80 == at_us // 1000


@pytest.mark.parametrize("us", range(1000))
def test_every_microsecond_of_a_millisecond_is_kept(us):
    at_us = 1_800_000_000_123_000 + us
    assert ids.time_of(ids.floor("run", at_us)) == at_us


@given(INSTANTS.filter(lambda at: at > 0))
def test_floor_separates_what_was_made_before_from_the_rest(at_us):
    edge = ids.floor("run", at_us)
    assert ids.new_id("run", at_us - 1) < edge <= ids.new_id("run", at_us)
    assert ids.is_id("run", edge)


@pytest.mark.parametrize("at_us", [-1, -(10**18), 10**30])
def test_floor_of_an_instant_that_no_id_can_hold_is_still_an_id(at_us):
    assert ids.is_id("run", ids.floor("run", at_us))


def test_ids_of_one_instant_differ():
    assert len({ids.new_id("run", 1) for _ in range(2000)}) == 2000


def test_every_prefix_names_its_own_ids_only():
    for prefix in ids.PREFIXES:
        made = ids.new_id(prefix, 1)
        assert [other for other in ids.PREFIXES if ids.is_id(other, made)] == [prefix]


GOOD = "run_01a3185c507b774bc5ada920a67336b7"


@pytest.mark.parametrize(
    "text",
    [
        "", "run", "run_", GOOD[:-1], GOOD + "0", GOOD.upper(), GOOD + "\n", " " + GOOD, "ruin" + GOOD[3:],
        GOOD.replace("_", "-"), "run_" + "g" * 32, "run_579a833d956b40ad9adcb0bd966dbddc",
        GOOD[:20] + "c" + GOOD[21:], "x_y_z",
        GOOD.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused(text):
    assert not ids.is_id("run", text)
    with pytest.raises(ValueError, match="not an id"):
        ids.time_of(text)


@given(st.text())
def test_no_text_breaks_the_reading_of_ids(text):
    if not re.fullmatch("[a-z]+_[0-9a-f]{32}", text):
        assert not ids.is_id("run", text)


def test_a_foreign_uuid_stays_within_its_millisecond():
    assert ids.time_of("run_" + "00000000000a" + "7fff" + "8" + "0" * 15) == 10_999


def test_an_unknown_prefix_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        ids.new_id("thing", 1)
