"""Rollups add up: however ends are grouped and in whatever order, the sum is the same, and quantiles are near."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.agent_terms import AgentTerms
from runwright.domain.rollups import (
    GRAINS,
    End,
    Place,
    Rollup,
    Shift,
    bucket,
    fold,
    moves,
    quantile_us,
    read,
)
from runwright.domain.run import Run
from runwright.domain.runtime_terms import RuntimeTerms
from tests.domain.specimens import SPECIMENS, T0

TIMES = st.integers(0, 10**13)
AGENT_TERMS = AgentTerms(
    thread_id="thr_1", persona_id="default@1", route_id="route_1", provider="scripted", model="echo"
)
ENDS = st.builds(
    End,
    st.sampled_from(["org_1", "org_2"]),
    st.sampled_from(["proj_1", "proj_2"]),
    st.sampled_from([None, "job_1", "job_2"]),
    st.integers(T0, T0 + 10**10),
    st.sampled_from(["completed", "failed", "cancelled", "expired"]),
    st.sampled_from([None, "error", "timeout"]),
    st.integers(0, 5),
    st.booleans(),
    TIMES,
    TIMES,
    TIMES,
)


@given(st.lists(ENDS, max_size=30), st.integers(0, 30))
def test_parts_merge_into_the_whole(ends: list[End], cut: int) -> None:
    whole = fold(ends)
    parts = fold(ends[cut:])
    for place, rollup in fold(ends[:cut]).items():
        parts.setdefault(place, Rollup()).merge(rollup)
    assert parts == whole


@given(st.lists(ENDS, min_size=1, max_size=30))
def test_an_end_counts_in_its_job_its_project_and_its_organization(ends: list[End]) -> None:
    found = fold(ends)
    for grain, width_us in GRAINS.items():
        for level in (lambda e: ("", ""), lambda e: (e.project_id, ""), lambda e: (e.project_id, e.job_id or "")):
            for end in ends:
                project_id, job_id = level(end)
                same = [
                    other
                    for other in ends
                    if other.org_id == end.org_id
                    and project_id in ("", other.project_id)
                    and job_id in ("", other.job_id)
                    and other.at // width_us == end.at // width_us
                ]
                rollup = found[Place(end.org_id, project_id, job_id, grain, end.at // width_us * width_us)]
                assert rollup.ended == len(same)
                assert rollup.retries == sum(other.retries for other in same)
                assert rollup.count("failed") == sum(other.state == "failed" for other in same)


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_five_percent(times: list[int], share: float) -> None:
    histogram: dict[int, int] = {}
    for us in times:
        histogram[bucket(us)] = histogram.get(bucket(us), 0) + 1
    exact = sorted(times)[max(-(-int(share * 1000 * len(times)) // 1000) - 1, 0)]
    found = quantile_us(histogram, share)
    assert found is not None
    if exact > 20:  # below, a microsecond is more than five percent
        assert abs(found - exact) <= 0.05 * exact + 1


def test_nothing_has_no_quantile_and_no_time_is_zero() -> None:
    assert quantile_us({}, 0.5) is None
    assert quantile_us({bucket(0): 3}, 0.99) == 0


def specimens() -> list[Run]:
    """Return a run of each kind."""
    return [run for make in SPECIMENS.values() if (run := make().run) is not None]


def test_the_record_of_a_transaction_tells_ends_and_shifts() -> None:
    runs = specimens()
    told = read(moves((None, run) for run in runs))
    assert len(told.ends) == sum(run.terminal for run in runs)
    assert sum(shift.by for shift in told.shifts) == sum(not run.terminal for run in runs)
    live = next(run for run in runs if run.state == "executing")
    ended = next(run for run in runs if run.state == "failed")
    told = read(moves([(live, ended)]))
    assert told.shifts == [Shift(live.spec.org_id, live.spec.project_id, "executing", -1)]
    assert (told.ends[0].state, told.ends[0].reason) == ("failed", ended.reason)
    assert told.ends[0].total_us == (ended.finished_at or 0) - ended.spec.created_at


def test_an_end_tells_what_the_run_is_grouped_by():
    run = next(run for run in specimens() if run.state == "completed" and run.spec.agent is None)
    runtime = RuntimeTerms(mode="advice", repo="https://example.com/x.git", agent=AGENT_TERMS)
    spec = msgspec.structs.replace(run.spec, kind="runtime", runtime=runtime)
    (told,) = read(moves([(None, msgspec.structs.replace(run, spec=spec))])).ends
    assert (told.kind, told.mode, told.repo) == ("runtime", "advice", "https://example.com/x.git")
    assert told.model == "scripted/echo"
    (plain,) = read(moves([(None, run)])).ends
    assert (plain.mode, plain.repo, plain.model) == (None, None, None)


def test_who_is_new_is_counted_in_the_hour_in_which_it_was_made():
    run = next(run for run in specimens() if run.state == "queued")
    (born,) = read(moves([(None, run), (None, run)])).born
    assert (born.count, born.hour_at) == (2, run.spec.created_at // 3_600_000_000 * 3_600_000_000)
    assert read(moves([(run, run)])).born == []


def test_moves_that_cancel_each_other_out_leave_no_shift() -> None:
    runs = specimens()
    queued = next(run for run in runs if run.state == "queued")
    executing = next(run for run in runs if run.state == "executing")
    assert read(moves([(queued, executing), (executing, queued)])).shifts == []
