"""What a run is called, by the surface that made it, and the filter that finds the runs that are called so."""

import itertools

import pytest
from msgspec.structs import replace

from runwright.domain.run import STATES, Run
from runwright.domain.words import JOB_WORDS, RUNTIME_WORDS, SYNONYMS, THREAD_WORDS, WORDS, shows, surface_of, word_of
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


TOLD_OF_RUNTIME_RUNS = {
    "scheduled": "queued",
    "queued": "queued",
    "executing": "running",
    "waiting": "waiting",
    "paused": "paused",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "failed",
}
TOLD_OF_AGENTS = {
    "scheduled": "queued",
    "queued": "queued",
    "executing": "running",
    "waiting": "running",
    "paused": "paused",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "failed",
}


def every_run(*kinds: str) -> list[Run]:
    found = []
    for kind in kinds or ("job", "agent", "runtime"):
        some = SPECIMENS["executing" if kind == "job" else f"{kind} executing"]().standing
        for state in STATES:
            for reason in REASONS[state]:
                found.append(replace(some, state=state, reason=reason))
                if state == "failed":
                    found.append(replace(found[-1], dead_lettered_at=some.at))
                if state == "executing" and reason is not None:
                    found.append(replace(found[-1], cancel_requested_at=some.at))
    return found


def expected(run: Run) -> str:
    """Return the word of the contract's table."""
    if run.spec.kind == "agent":
        if run.state == "waiting" and run.reason in ("input", "approval"):
            return "waiting_for_input"
        return "cancelling" if run.state == "executing" and run.stop else TOLD_OF_AGENTS[run.state]
    if run.spec.kind == "runtime":
        if run.state == "waiting" and run.reason == "approval":
            return "awaiting_approval"
        return "cancelling" if run.state == "executing" and run.stop else TOLD_OF_RUNTIME_RUNS[run.state]
    if run.dead_lettered_at is not None:
        return "dead_letter"
    return TOLD.get((run.state, run.reason)) or BY_STATE[run.state]


def found_by(word: str, runs: list[Run]) -> list[Run]:
    """Filter as the store does: by state, reason, kind, and whether the run was dead-lettered or asked to cancel."""
    shown = shows(word)
    assert shown is not None
    return [
        run
        for run in runs
        for each in shown
        if run.state == each.state
        and (each.reasons is None or run.reason in each.reasons)
        and (each.dead is None or each.dead == (run.dead_lettered_at is not None))
        and (each.asked is None or each.asked == (run.cancel_requested_at is not None))
        and (each.surface is None or each.surface == surface_of(run.spec.kind))
    ]


def test_every_run_has_the_word_of_the_contract():
    assert {(r.spec.kind, r.state, r.reason, r.stop, word_of(r)) for r in every_run()} == {
        (r.spec.kind, r.state, r.reason, r.stop, expected(r)) for r in every_run()
    }


def test_every_specimen_has_a_word():
    assert all(word_of(make().standing) in WORDS for make in SPECIMENS.values())


@pytest.mark.parametrize("word", WORDS)
def test_a_filter_finds_exactly_the_runs_that_show_the_word(word):
    runs = every_run()
    alike = {word, *SYNONYMS.get(word, ())}
    over = [run for run in runs if word == "running" and run.spec.kind == "job" and run.state == "executing"]
    assert found_by(word, runs) == [run for run in runs if word_of(run) in alike or run in over]


def test_every_word_is_shown_by_some_run_but_that_of_executors_in_two_steps():
    assert {word_of(run) for run in every_run("job")} == set(JOB_WORDS) - {"dequeued"}
    assert {word_of(run) for run in every_run("agent")} == set(THREAD_WORDS)
    assert {word_of(run) for run in every_run("runtime")} == set(RUNTIME_WORDS) - {"preparing"}


def test_no_two_words_are_shown_by_one_run():
    for one, other in itertools.combinations(WORDS, 2):
        both = [run for run in found_by(one, every_run()) if run in found_by(other, every_run())]
        assert both == [] or {one, other} in ({"canceled", "cancelled"}, {"executing", "running"})


@pytest.mark.parametrize("word", ["", "done", "scheduled", "QUEUED", "dead-letter"])
def test_what_is_no_word_finds_nothing_to_filter_by(word):
    assert shows(word) is None


def test_a_dead_lettered_run_reads_so_whatever_its_last_error_was():
    history = SPECIMENS["dead-lettered"]()
    words = {word_of(replace(history.standing, reason=reason)) for reason in REASONS["failed"]}
    assert words == {"dead_letter"}
