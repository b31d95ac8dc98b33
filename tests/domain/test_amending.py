"""Changing a run that exists: when it begins, until when it may begin, and whether its attempts are recorded."""

import pytest

from runwright.domain import commands as c
from runwright.domain.run import Run, timers
from runwright.errors import InvalidTransition
from tests.domain.specimens import CAUSE, HOUR, SECOND, SPECIMENS, T0, History


def rescheduled(history: History, scheduled_at: int, at: int | None = None) -> Run:
    return history.apply(c.Reschedule(run_id=history.standing.run_id, scheduled_at=scheduled_at, cause=CAUSE), at)


def test_a_run_may_begin_as_long_after_its_new_time_as_it_might_after_the_old_one():
    history = History(scheduled_at=T0 + HOUR, expires_at=T0 + 2 * HOUR)
    run = rescheduled(history, T0 + 10 * HOUR)
    assert (run.state, run.reason, run.due_at, run.expires_at) == (
        "scheduled",
        "delay",
        T0 + 10 * HOUR,
        T0 + 11 * HOUR,
    )
    assert timers(run) == {"due": T0 + 10 * HOUR, "expire": T0 + 11 * HOUR}
    again = rescheduled(history, T0 + 5 * HOUR)
    assert (again.scheduled_at, again.expires_at) == (T0 + 5 * HOUR, T0 + 6 * HOUR)


def test_a_past_time_means_now_and_the_lifetime_counts_from_now():
    history = History(scheduled_at=T0 + HOUR, expires_at=T0 + 2 * HOUR)
    run = rescheduled(history, T0 - HOUR, T0 + 30 * SECOND)
    assert (run.state, run.reason, run.due_at) == ("queued", None, None)
    assert (run.scheduled_at, run.expires_at) == (T0 + 30 * SECOND, T0 + 30 * SECOND + HOUR)


def test_a_queued_run_keeps_its_place_when_it_is_to_begin_now():
    history = SPECIMENS["queued"]()
    before = history.standing
    run = rescheduled(history, T0)
    assert (run.state, run.since_at) == ("queued", before.since_at)


def test_a_run_that_has_begun_once_is_not_rescheduled():
    for named in ("scheduled for a retry", "queued again", "executing", "paused from scheduled", "completed"):
        with pytest.raises(InvalidTransition):
            rescheduled(SPECIMENS[named](), T0 + HOUR)


def test_debug_mode_is_what_was_said_last():
    history = History(debug_mode=True)
    run_id = history.standing.run_id
    assert history.standing.debug_mode
    assert not history.apply(c.Debug(run_id, False, CAUSE)).debug_mode
    assert history.types == ["run.created", "debug.set"]
    history.apply(c.Debug(run_id, False, CAUSE))
    assert history.types == ["run.created", "debug.set"], "what is said already is no event"
    assert history.apply(c.Debug(run_id, True, CAUSE)).debug_mode
