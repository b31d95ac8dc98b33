"""What a dependency says of a run, and that no circle of jobs can be closed."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.dependency import (
    Dependency,
    Ended,
    Verdict,
    cycle,
    dependency_key,
    judge,
    limit_s,
    outcome,
    ready_at,
)
from runwright.domain.run import STATES, TERMINAL, State
from tests.domain.specimens import HOUR, SECOND, T0, spec


def dependency(**terms: Any) -> Dependency:
    usual: dict[str, Any] = {"dependency_id": "dep_1", "org_id": "org_1", "project_id": "proj_1"}
    usual |= {"job_id": "job_2", "depends_on_job_id": "job_1", "created_at": T0, "created_by": "user:user_1"}
    return Dependency(**{**usual, **terms})


def ended(state: State = "completed", at: int = T0 + SECOND) -> Ended:
    return Ended("run_1", state, at)


MEETS = {
    "completed": {"completed"},
    "failed": {"failed", "expired"},
    "any": {"completed", "failed", "expired", "cancelled"},
}


@pytest.mark.parametrize("condition", MEETS)
@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_condition_is_met_by_the_ends_that_it_names_and_missed_by_others(condition, state):
    verdict = judge(dependency(condition=condition), ended(state), T0)
    assert verdict.standing == ("met" if state in MEETS[condition] else "missed")
    assert (verdict.run_id, verdict.why is None) == ("run_1", state in MEETS[condition])
    assert set(STATES) >= MEETS[condition]


def test_without_an_ended_run_it_is_open():
    assert judge(dependency(), None, T0) == Verdict(dependency(), "open", None, "no run of that job has ended yet")


def test_a_run_that_ended_otherwise_before_this_one_was_made_is_no_miss():
    verdict = judge(dependency(), ended("failed", T0 - 1), T0)
    assert (verdict.standing, verdict.why) == ("open", "the newest run that ended is failed, not completed")


def test_one_that_ended_too_long_ago_does_not_count():
    young = dependency(max_age_secs=60)
    assert judge(young, ended(at=T0 - 60 * SECOND), T0).standing == "met"
    assert judge(young, ended(at=T0 - 60 * SECOND - 1), T0).standing == "open"
    assert judge(young, ended(at=T0 + HOUR), T0).standing == "met"


def test_ages_are_reckoned_from_when_the_run_may_start():
    assert ready_at(spec(T0)) == T0
    assert ready_at(spec(T0, scheduled_at=T0 + HOUR)) == T0 + HOUR
    assert ready_at(spec(T0, scheduled_at=T0 - HOUR)) == T0


def test_all_must_be_met_and_a_miss_decides_at_once():
    met = judge(dependency(), ended(), T0)
    open_, waits = judge(dependency(), None, T0), judge(dependency(on_miss="wait"), ended("failed"), T0)
    fails, skips = (judge(dependency(on_miss=what), ended("failed"), T0) for what in ("fail", "skip"))
    assert outcome([])[0] == "met"
    assert outcome([met, met])[0] == "met"
    assert outcome([met, open_]) == ("wait", open_)
    assert outcome([waits, met]) == ("wait", waits)
    assert outcome([open_, skips]) == ("skip", skips)
    assert outcome([skips, fails, open_]) == ("fail", fails)


def test_the_shortest_time_limit_holds():
    assert limit_s([]) is None
    assert limit_s([dependency(), dependency(timeout_secs=9), dependency(timeout_secs=5)]) == 5


@pytest.mark.parametrize(
    ("metadata", "payload", "key"),
    [
        ({}, {}, None),
        ({"dependency_key": "a"}, {"dependency_key": "b"}, "a"),
        ({}, {"dependency_key": "b"}, "b"),
        ({}, {"dependency_key": 7}, None),
        ({}, {"dependency_key": ""}, None),
        ({}, {"dependency_key": "x" * 1025}, None),
        ({}, [], None),
    ],
)
def test_the_key_stands_in_the_metadata_or_in_the_payload(metadata, payload, key):
    assert dependency_key(metadata, payload) == key


def test_a_circle_is_named_from_the_job_that_would_close_it():
    needs = {"b": ["a"], "c": ["b", "x"]}
    assert cycle(needs, "a", "c") == ["a", "c", "b", "a"]
    assert cycle({}, "a", "a") == ["a", "a"]
    assert cycle(needs, "c", "a") is None


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_what_is_let_in_one_by_one_never_closes_a_circle(pairs):
    needs: dict[str, list[str]] = {}
    for job, upstream in pairs:
        found = cycle(needs, str(job), str(upstream))
        if found is None:
            needs.setdefault(str(job), []).append(str(upstream))
        else:
            assert (found[0], found[-1], found[1]) == (str(job), str(job), str(upstream))
            assert all(b in needs.get(a, ()) for a, b in pairwise(found[1:]))
    left = {job: set(upstreams) for job, upstreams in needs.items()}
    while left:  # a graph without circles can be taken apart from its ends
        free = [job for job, upstreams in left.items() if not upstreams & left.keys()]
        assert free
        for job in free:
            del left[job]
