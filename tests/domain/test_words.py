"""What the jobs surface calls a run, and the filter that finds the runs it calls so."""

import itertools

import pytest
from msgspec.structs import replace

from runwright.domain.run import STATES, Run
from runwright.domain.words import JOB_WORDS, SYNONYMS, job_word, shows
from tests.domain.specimens import SPECIMENS

REASONS: dict[str, tuple[str | None, ...]] = {
    "scheduled": ("delay", "retry", "snooze", "rate_limit", "debounce"),
    "queued": (None,),
    "executing": (None, "user", "parent", "operator"),
    "waiting": ("input", "approval", "event", "dependency", "child", "timer"),
    "paused": ("operator", "policy", "budget"),
    "completed": (None,),
    "failed": ("error", "rejected", "timeout", "crash", "system", "wait_timeout", "budget", "policy", "denied"),
    "cancelled": ("user", "parent", "overlap", "shutdown", "superseded"),
    "expired": ("ttl",),
}
"""The reasons that each state carries, as the run model lists them; an executing run has that of a stop request."""

TOLD = {
    ("scheduled", "delay"): "delayed",
    ("scheduled", "rate_limit"): "delayed",
    ("scheduled", "debounce"): "delayed",
    ("scheduled", "retry"): "queued",
    ("scheduled", "snooze"): "queued",
    ("queued", None): "queued",
    ("completed", None): "completed",
    ("expired", "ttl"): "expired",
    ("failed", "timeout"): "timed_out",
    ("failed", "wait_timeout"): "timed_out",
    ("failed", "crash"): "crashed",
    ("failed", "system"): "system_failed",
}
BY_STATE = {
    "executing": "executing",
    "waiting": "waiting",
    "paused": "paused",
    "failed": "failed",
    "cancelled": "canceled",
}


def every_run() -> list[Run]:
    some = SPECIMENS["executing"]().standing
    found = []
    for state in STATES:
        for reason in REASONS[state]:
            found.append(replace(some, state=state, reason=reason))
            if state == "failed":
                found.append(replace(found[-1], dead_lettered_at=some.at))
    return found


def expected(run: Run) -> str:
    """Return the word of the contract's table."""
    if run.dead_lettered_at is not None:
        return "dead_letter"
    return TOLD.get((run.state, run.reason)) or BY_STATE[run.state]


def found_by(word: str, runs: list[Run]) -> list[Run]:
    """Filter as the store does: by state, reason and whether the run was dead-lettered."""
    shown = shows(word)
    assert shown is not None
    return [
        run
        for run in runs
        for each in shown
        if run.state == each.state
        and (each.reasons is None or run.reason in each.reasons)
        and (each.dead is None or each.dead == (run.dead_lettered_at is not None))
    ]


def test_every_run_has_the_word_of_the_contract():
    assert {(r.state, r.reason, job_word(r)) for r in every_run()} == {
        (r.state, r.reason, expected(r)) for r in every_run()
    }


def test_every_specimen_has_a_word():
    assert all(job_word(make().standing) in JOB_WORDS for make in SPECIMENS.values())


@pytest.mark.parametrize("word", JOB_WORDS)
def test_a_filter_finds_exactly_the_runs_that_show_the_word(word):
    runs = every_run()
    assert found_by(word, runs) == [run for run in runs if job_word(run) == word]


def test_every_word_is_shown_by_some_run_but_that_of_executors_in_two_steps():
    assert {job_word(run) for run in every_run()} == set(JOB_WORDS) - {"dequeued"}


def test_no_two_words_are_shown_by_one_run():
    for one, other in itertools.combinations(JOB_WORDS, 2):
        assert [run for run in found_by(one, every_run()) if run in found_by(other, every_run())] == []


def test_words_of_other_seeds_find_what_ours_find():
    assert {word: shows(word) for word in SYNONYMS} == {
        "cancelled": JOB_WORDS["canceled"],
        "running": JOB_WORDS["executing"],
    }


@pytest.mark.parametrize("word", ["", "done", "scheduled", "QUEUED", "dead-letter"])
def test_what_is_no_word_finds_nothing_to_filter_by(word):
    assert shows(word) is None


def test_a_dead_lettered_run_reads_so_whatever_its_last_error_was():
    history = SPECIMENS["dead-lettered"]()
    words = {job_word(replace(history.standing, reason=reason)) for reason in REASONS["failed"]}
    assert words == {"dead_letter"}
