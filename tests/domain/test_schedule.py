"""Schedules fire by the clock on the wall, once where it is set, and make up for what was missed as they are told."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.schedule import Cron, Due, cron_problem, due, fires, next_fire, timezone_problem

HOUR = 3_600_000_000
LATE_US = 60_000_000
BERLIN = "Europe/Berlin"
EXPRESSIONS = ["30 2 * * *", "0 3 * * *", "*/15 * * * *", "0 */6 * * *", "5 4 1 * *", "0 9 * * MON-FRI", "0 0 L * *"]
SCHEDULES = st.builds(Cron, st.sampled_from(EXPRESSIONS), st.sampled_from(["UTC", BERLIN, "America/New_York"]))
INSTANTS = st.integers(1_704_067_200, 1_924_992_000).map(lambda seconds: seconds * 1_000_000)


def us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def wall(zone: str, *parts: int, fold: int = 0) -> int:
    return us(datetime(*parts, fold=fold, tzinfo=ZoneInfo(zone)))  # type: ignore[arg-type, misc]


def first(schedule: Cron, after: int, count: int) -> list[int]:
    return list(islice(fires(schedule, after), count))


def test_a_schedule_fires_by_the_clock_of_its_time_zone():
    found = first(Cron("30 9 * * *", "America/New_York"), wall("UTC", 2026, 3, 7), 3)
    assert found == [wall("America/New_York", 2026, 3, day, 9, 30) for day in (7, 8, 9)]
    assert [b - a for a, b in pairwise(found)] == [23 * HOUR, 24 * HOUR]


def test_a_fixed_time_in_the_missing_hour_fires_once_right_after_it():
    found = first(Cron("30 2 * * *", BERLIN), wall(BERLIN, 2026, 3, 28, 12), 2)
    assert found == [wall(BERLIN, 2026, 3, 29, 3, 0), wall(BERLIN, 2026, 3, 30, 2, 30)]


def test_a_fixed_time_in_the_doubled_hour_fires_once_in_the_first():
    found = first(Cron("30 2 * * *", BERLIN), wall(BERLIN, 2026, 10, 24, 12), 2)
    assert found == [wall(BERLIN, 2026, 10, 25, 2, 30, fold=0), wall(BERLIN, 2026, 10, 26, 2, 30)]


def test_an_expression_of_elapsed_time_fires_in_both_of_the_doubled_hours():
    found = first(Cron("*/30 * * * *", BERLIN), wall(BERLIN, 2026, 10, 25, 1, 45), 5)
    assert [b - a for a, b in pairwise(found)] == [HOUR // 2] * 4


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "must have five fields"),
        ("0 0 * * * *", "must have five fields"),
        ("@daily", "must have five fields"),
        ("61 * * * *", "Bad minute"),
        ("* * 31 2 *", "Bad day-of-month"),
        ("* * * * FUNDAY", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
    ],
)
def test_what_is_no_expression_is_told_with_what_is_wrong(cron: str, said: str):
    assert said in (cron_problem(cron) or "")


def test_expressions_and_time_zones_that_hold_are_let_through():
    assert [cron_problem(cron) for cron in EXPRESSIONS] == [None] * len(EXPRESSIONS)
    assert [timezone_problem(name) for name in ("UTC", BERLIN, "Asia/Kathmandu")] == [None] * 3


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "x\0y", "a" * 300]
)
def test_what_is_no_time_zone_is_refused(name: str):
    assert timezone_problem(name) is not None


@given(SCHEDULES, INSTANTS)
def test_fires_come_in_order_and_none_is_between_two_neighbours(schedule: Cron, after: int):
    found = first(schedule, after, 4)
    assert found[0] > after
    assert found == sorted(set(found))
    assert [next_fire(schedule, at) for at in found[:-1]] == found[1:]
    assert next_fire(schedule, found[1] - 1) == found[1]


@given(SCHEDULES, INSTANTS, st.integers(0, 40), st.integers(1, 10))
def test_all_that_was_missed_is_made_up_for_up_to_the_cap(schedule: Cron, after: int, missed: int, most: int):
    known = first(schedule, after, missed + 2)
    now = known[missed]
    found = due(schedule, known[0], now, "all", most=most, late_us=0)
    assert found.fires == known[: missed + 1][-most:]
    assert found.dropped == min(missed + 1 - len(found.fires), most)
    assert found.next_fire_at == known[missed + 1]
    one = due(schedule, known[0], now, "one", most=most, late_us=0)
    assert one == Due(found.fires[-1:], min(missed, most), found.next_fire_at)


@given(SCHEDULES, INSTANTS, st.integers(0, 40), st.integers(0, 3 * LATE_US))
def test_who_skips_makes_only_the_fires_that_are_not_late(schedule: Cron, after: int, missed: int, late: int):
    known = first(schedule, after, missed + 2)
    now = min(known[missed] + late, known[missed + 1] - 1)
    found = due(schedule, known[0], now, "skip", most=100, late_us=LATE_US)
    assert found.fires == [at for at in known[: missed + 1] if at >= now - LATE_US]
    assert found.dropped == missed + 1 - len(found.fires)
    assert found.next_fire_at == known[missed + 1]


@given(SCHEDULES, INSTANTS)
def test_before_its_time_nothing_fires(schedule: Cron, now: int):
    at = next_fire(schedule, now)
    assert at is not None
    assert due(schedule, at, now, "all", most=10, late_us=0) == Due([], 0, at)


def test_years_of_missed_minutes_cost_no_more_than_the_cap():
    schedule, now = Cron("* * * * *"), wall("UTC", 2026, 11, 22, 12, 0)
    found = due(schedule, wall("UTC", 1999, 1, 1), now, "all", most=3, late_us=0)
    assert found == Due([now - 120_000_000, now - 60_000_000, now], 3, now + 60_000_000)


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25)], ids=["forward", "back"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 2 * * *", "59 1 * * *", "15 1,2,3 * * *", "*/15 * * * *"])
def test_whenever_somebody_looks_on_the_day_of_a_change_each_fire_is_made_once(day: tuple[int, ...], expression: str):
    schedule, midnight = Cron(expression, BERLIN), wall(BERLIN, *day)
    known = [at for at in first(schedule, midnight - 1, 200) if at < midnight + 6 * HOUR]
    for looked_at in range(midnight + 60_000_000, midnight + 6 * HOUR, HOUR // 12):
        found = due(schedule, known[0], looked_at, "all", most=200, late_us=0)
        assert found.fires == [at for at in known if at <= looked_at]
        assert found.next_fire_at == next((at for at in known if at > looked_at), found.next_fire_at)


@given(st.text("0123456789*/,-#LW MON", max_size=40) | st.text(max_size=30))
def test_any_text_is_an_expression_or_is_told_why_not(text: str):
    problem = cron_problem(text)
    assert problem is not None or first(Cron(text, BERLIN), 0, 1)
