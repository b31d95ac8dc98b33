"""KPIs add up: however facts are cut and merged, the sums are those of a recount, and quantiles those of the values."""

import statistics
from collections import Counter
from math import ceil

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.histogram import Lanes, histogram_of, packed, place_of, unpacked, value_at
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.kpi import Counted, Window, compared, count_interval, median_ranks, wilson, windows
from runwright.domain.kpi_facts import COUNTED, READ, Fact, Facts, Log, Told, read_log
from runwright.domain.kpi_metrics import RATES, SPREADS
from runwright.domain.kpi_sums import WHOLE, WIDTHS, Place, Spread, Sums, fold, pieces
from runwright.store.queries.kpi import decoded, encoded
from tests.domain.specimens import T0

HOUR = st.integers(0, 5_000).map(lambda hour: T0 // HOUR_US * HOUR_US + hour * HOUR_US)
COUNTS = st.integers(0, 5)
LOGS = st.builds(
    Log, COUNTS, COUNTS, st.tuples(st.integers(0, 10**9)), COUNTS, COUNTS, st.just(0), st.tuples(COUNTS), COUNTS
)
FACTS = st.builds(
    Facts,
    st.sampled_from(["completed", "failed", "cancelled", "expired"]),
    st.sampled_from([None, "budget"]),
    st.integers(1, 3),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.one_of(st.none(), st.integers(0, 10**9)),
    st.integers(0, 10**6),
    COUNTS,
    st.booleans(),
    LOGS,
    st.sampled_from([None, True, False]),
)
ENDED = st.builds(
    Fact,
    st.just("org_1"),
    st.sampled_from(["proj_1", "proj_2"]),
    st.integers(T0, T0 + 100 * DAY_US),
    st.just("run_1"),
    st.sampled_from(["job", "agent"]),
    st.none(),
    st.none(),
    st.sampled_from([None, "local/m"]),
    FACTS,
)


@settings(max_examples=25)
@given(st.lists(ENDED, max_size=15), st.integers(0, 15), st.integers(0, 3_000), st.integers(0, 3_000))
def test_a_window_of_merged_pieces_equals_a_recount_of_its_runs(facts: list[Fact], cut: int, first: int, hours: int):
    kept = fold(facts[:cut])
    for place, sums in fold(facts[cut:]).items():
        kept.setdefault(place, Sums()).merge(sums)
    since = T0 // HOUR_US * HOUR_US + first * HOUR_US
    until = since + hours * HOUR_US
    for project, dimension, label in ((WHOLE, WHOLE, WHOLE), ("proj_1", WHOLE, WHOLE), (WHOLE, "model", "local/m")):
        found, recount = Sums(), Sums()
        for piece in pieces(since, until):
            for at in range(piece.since, piece.until, WIDTHS[piece.grain]):
                found.merge(kept.get(Place("org_1", project, dimension, label, piece.grain, at), Sums()))
        for fact in facts:
            mine = project in (WHOLE, fact.project_id) and (dimension == WHOLE or fact.model == label)
            if mine and since <= fact.ended_at < until:
                recount.take([fact])
        assert found == recount


@given(FACTS, st.integers(0, 1))
def test_a_plain_run_adds_only_to_the_metrics_that_it_is_asked_for(facts: Facts, cost: int):
    plain = msgspec.structs.replace(facts, agentic=False, log=Log(), reproduced=None, tokens=0, cost_microusd=cost)
    assert plain.plain
    assert not any(rate.counts(plain)[1] for rate in RATES if not rate.of_plain)
    assert not any(spread.values(plain) for spread in SPREADS if not spread.of_plain)


@given(HOUR, HOUR)
def test_pieces_cover_every_hour_once_and_begin_where_their_grain_does(one: int, other: int):
    since, until = sorted((one, other))
    place = since
    for piece in pieces(since, until):
        assert piece.since == place < piece.until
        assert piece.since % WIDTHS[piece.grain] == piece.until % WIDTHS[piece.grain] == 0
        place = piece.until
    assert place == until or since == until
    assert len(pieces(since, until)) <= 5


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=60), st.sampled_from([0.5, 0.9]))
def test_a_quantile_is_that_of_the_values_within_half_a_percent(values: list[int], share: float):
    spread = Spread()
    spread.take(values[: len(values) // 2])
    for value in values[len(values) // 2 :]:
        spread.take([value])
    exact = sorted(values)[ceil(share * len(values)) - 1]
    assert spread.quantile(share) == rounded(exact)
    assert abs(rounded(exact) - exact) <= exact / 200
    assert spread.total == sum(values)
    if share == 0.5:
        assert spread.quantile(0.5) == rounded(statistics.median_low(values))
        low, high = Lanes(spread.histogram).at(*median_ranks(len(values)))
        assert low <= rounded(exact) <= high


def test_values_beneath_a_thousand_are_as_they_are_and_a_half_goes_up():
    values = (0, 999, 1000, 1004, 1005, 1994, 3_509, 3_510, 9_974, 9_975, 123_456, 60_000_000)
    kept = [0, 999, 1000, 1000, 1010, 1990, 3_500, 3_520, 9_950, 10_000, 123_000, 60_000_000]
    assert [rounded(each) for each in values] == kept
    assert len({rounded(value) for value in range(10_000, 100_000)}) == 351, "350 a decade, and the next one's first"
    assert rounded(-1) == 0


def rounded(value: int) -> int:
    return value_at(place_of(value))


@given(st.lists(st.integers(0, 2**63), max_size=30), st.lists(st.integers(0, 2**63), max_size=30))
def test_histograms_are_added_up_exactly_and_come_back_from_their_lanes(some: list[int], others: list[int]):
    both = histogram_of(some) + histogram_of(others)
    assert both == histogram_of(some + others) == unpacked(*packed(both))
    assert [*Lanes(both).pairs()] == sorted(Counter(map(rounded, some + others)).items())
    assert Lanes(both).n == len(some) + len(others)


@given(st.integers(0, 10**15))
def test_larger_values_have_no_smaller_places_and_a_rounded_value_its_own(value: int):
    assert place_of(value) <= place_of(value + 1) <= place_of(value) + 1
    assert place_of(rounded(value)) == place_of(value)


@settings(max_examples=25)
@given(st.lists(ENDED, min_size=1, max_size=15))
def test_sums_that_are_stored_come_back_as_they_were(facts: list[Fact]):
    for sums in fold(facts).values():
        assert decoded(encoded(sums)) == sums


def test_an_interval_of_a_share_is_wilsons():
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, of, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert [round(each, 4) for each in wilson(hits, of) or ()] == [low, high]
    assert [round(each, 4) for each in wilson(1, 29) or ()] == [0.0061, 0.1718]
    assert wilson(0, 0) is None


@pytest.mark.parametrize("count", [0, 1, 5, 81, 10**6])
def test_an_interval_of_a_count_holds_the_rates_that_it_does_not_refute_and_none_below_zero(count: int):
    low, high = count_interval(count)
    assert 0 <= low <= count < high
    for rate in (low, high):  # a Poisson count of this rate lies 1.96 of its standard deviations away
        assert (count - rate) ** 2 == pytest.approx(3.8414588 * rate)


def test_no_difference_is_stated_of_fewer_than_five():
    compare, baseline = windows(T0 // HOUR_US * HOUR_US, 7, 28)
    four, five = Sums(), Sums()
    for sums, count in ((four, 4), (five, 5)):
        sums.take([ended("completed")] * count)
    worse = Sums()
    worse.take([ended("failed")] * 5)
    told = {}
    for name, sums in (("four", four), ("five", five)):
        made = compared(Counted(compare, sums), Counted(baseline, worse), baseline.since)
        told[name] = next(metric for metric in made if metric.id == "success_rate")
    assert (told["four"].significance, told["four"].delta_pct) == ("insufficient_data", None)
    assert (told["five"].significance, told["five"].delta_abs) == ("improved", 1.0)
    assert told["five"].delta_pct is None, "there is no percentage of nothing"


def ended(state: str) -> Fact:
    facts = Facts(state, None, 1, 0, 1, 1, 0, 0, 0, False)
    return Fact("org_1", "proj_1", T0, "run_1", "job", None, None, None, facts)


def told(*events: tuple[int, str, bytes | None]) -> Log:
    return read_log(Told("run_1", type_, at, data) for at, type_, data in events)


def test_approvals_gates_and_findings_are_read_from_the_log():
    log = told(
        (1, "approval.requested", b'{"checkpoint_id":"apr_1"}'),
        (2, "approval.requested", b'{"checkpoint_id":"apr_2"}'),
        (5, "approval.denied", b'{"checkpoint_id":"apr_1"}'),
        (9, "approval.approved", b'{"checkpoint_id":"apr_2"}'),
        (9, "gate.result", b'{"gate_id":"tests","status":"red"}'),
        (10, "gate.result", b'{"gate_id":"tests","status":"green"}'),
        (10, "gate.result", b'{"gate_id":"lint","status":"green"}'),
        (10, "gate.result", b'{"gate_id":"types","status":"not_run"}'),
        (11, "finding.opened", b'{"fingerprint":"a"}'),
        (12, "finding.opened", b'{"fingerprint":"a"}'),
        (13, "finding.opened", b'{"fingerprint":"b"}'),
        (20, "finding.fixed", b'{"fingerprint":"a"}'),
    )
    assert (log.overridden, log.decision_us) == (1, (4, 7))
    assert (log.gates, log.gates_green) == (2, 1), "the first result of each counts, and what did not run is no result"
    assert (log.findings, log.fix_us, log.fingerprints) == (2, (9,), ("a", "b"))


def test_a_denial_counts_where_a_person_gave_it():
    asked = b'{"request_id":"rq_t","kind":"confirmation","tool_call_id":"t"}'
    denied = b'{"tool_call_id":"t","tool_name":"shell","reason":"tool.denied"}'
    by_person = told((1, "run.waiting_for_input", asked), (3, "run.input_received", b'{"request_id":"rq_t"}'),
                     (4, "tool.denied", denied))  # fmt: skip
    assert (by_person.overridden, by_person.decision_us) == (1, (2,))
    assert told((1, "run.waiting_for_input", asked), (4, "tool.denied", denied)).overridden == 0, "nobody answered"
    assert told((4, "tool.denied", denied)).overridden == 0


def test_a_runtime_run_that_a_budget_ended_says_so_in_its_end():
    assert told((1, "run.completed", b'{"result":null,"stop_class":"budget_exhausted"}')).budget_stop
    assert not told((1, "run.completed", b'{"result":{"sha256":"ab"},"stop_class":"clean"}')).budget_stop


def test_erased_data_tell_nothing_and_what_is_only_counted_needs_none():
    log = told((1, "gate.result", None), (1, "tool.call", None), (2, "child.spawned", None), (3, "llm.request", None),
               (8, "llm.response", None))  # fmt: skip
    assert (log.gates, log.tool_calls, log.subagents, log.answer_us) == (0, 1, 1, (5,))
    assert READ < COUNTED


def test_metrics_have_names_of_their_own_and_say_how_they_are_worked_out():
    names = [*(rate.id for rate in RATES), *(spread.id for spread in SPREADS)]
    assert len({*names, "closure_rate", "throughput"}) == len(names) + 2
    assert all([*(rate.method for rate in RATES), *(spread.method for spread in SPREADS)])
    assert Window(0, DAY_US).days == 1
