"""A restart begins a run again: in a new attempt, which counts for nothing, and with nothing of the old one heard."""

import pytest

from runwright.domain import outcome as o
from runwright.domain.commands import Finish
from runwright.errors import InvalidTransition, StaleLease
from tests.domain.specimens import HOUR, SPECIMENS, T0, History, failed


def executing(**given: object) -> History:
    history = History(**given)
    history.claim()
    return history


def test_an_executing_run_is_asked_and_begins_again_once_it_has_stopped():
    history = executing()
    asked = history.restart()
    assert (asked.state, asked.stop, history.data("run.restart_requested")["reason"]) == (
        "executing",
        "restart",
        "operator",
    )
    again = history.finish(o.Stopped())
    assert (again.state, again.stop, again.tally.restarts) == ("queued", None, 1)
    assert history.data("run.queued") == {"reason": "restart", "confirmed": True}
    assert (history.claim().attempt, history.standing.lease_epoch) == (2, 2)


@pytest.mark.parametrize("end", ["fence", "lose"])
def test_one_that_does_not_stop_is_fenced_off_and_begins_again_all_the_same(end):
    history = executing()
    history.restart()
    old = history.standing
    again = getattr(history, end)()
    assert (again.state, history.data("run.queued")["confirmed"]) == ("queued", False)
    history.claim()
    with pytest.raises(StaleLease):
        history.apply(Finish(old.run_id, old.lease_epoch, o.Completed(), 0.5))
    assert history.finish(o.Completed()).state == "completed"
    assert history.types.count("run.completed") == 1


@pytest.mark.parametrize("named", ["waiting", "paused from executing", "paused from waiting", "paused from a retry"])
def test_a_run_that_does_not_execute_begins_again_at_once(named):
    history = SPECIMENS[named]()
    again = history.restart("small-1x")
    assert (again.state, again.due_at, again.paused, again.preset) == ("queued", None, None, "small-1x")
    assert history.types[-2:] == ["run.restart_requested", "run.queued"]
    assert history.claim().attempt == 2


@pytest.mark.parametrize("named", ["scheduled", "queued", "completed", "failed", "cancelled", "expired"])
def test_other_runs_are_not_restarted(named):
    with pytest.raises(InvalidTransition, match="be restarted"):
        SPECIMENS[named]().restart()


def test_a_run_that_waits_for_what_it_depends_on_before_it_begins_has_nothing_to_begin_again():
    for named in ("waiting from the start", "paused from a dependency"):
        with pytest.raises(InvalidTransition, match="never began"):
            SPECIMENS[named]().restart()


@pytest.mark.parametrize("named", ["agent executing", "agent waiting for input"])
def test_an_agent_run_is_not_restarted_and_what_to_do_instead_is_told(named):
    with pytest.raises(InvalidTransition, match=r"pause and resume it, or .* with :retry"):
        SPECIMENS[named]().restart()


def test_restarts_do_not_count_against_the_attempts_and_their_delays():
    history = executing(max_attempts=2)
    for _ in range(3):
        history.restart()
        history.finish(o.Stopped())
        history.claim()
    assert (history.standing.attempt, history.standing.counted_attempts) == (4, 1)
    assert history.finish(failed()).state == "scheduled"
    history.due()
    assert history.claim().attempt == 5
    run = history.finish(failed())
    assert (run.state, run.attempt) == ("failed", 5)


def test_an_attempt_that_failed_before_counts_also_after_a_restart():
    history = SPECIMENS["paused from a retry"]()
    history.restart()
    history.claim()
    assert (history.standing.attempt, history.standing.counted_attempts) == (2, 2)


def test_a_restart_takes_the_place_of_a_pause_and_a_cancel_that_of_a_restart():
    history = executing()
    history.stop("pause")
    assert history.restart().stop == "restart"
    assert history.standing.pause_requested_at is None
    assert history.stop("cancel").stop == "cancel"
    assert history.restart().stop == "cancel", "what is being cancelled does not begin again"
    assert history.finish(o.Stopped()).state == "cancelled"


def test_a_run_that_is_paused_while_it_restarts_is_paused_and_begins_again_at_its_resume():
    history = executing()
    history.restart("large-1x")
    history.stop("pause")
    paused = history.finish(o.Stopped())
    assert (paused.state, paused.restart_requested_at, paused.pause_requested_at) == ("paused", None, None)
    assert history.resume().state == "queued"
    assert (history.claim().attempt, history.standing.preset) == (2, "large-1x")


def test_a_restart_is_asked_for_once_and_again_only_for_another_preset():
    history = executing()
    history.restart("small-1x")
    history.restart()
    history.restart("small-1x")
    assert history.types.count("run.restart_requested") == 1
    assert history.restart("small-2x").preset == "small-2x"
    assert history.types.count("run.restart_requested") == 2


@pytest.mark.parametrize("outcome", [failed(), o.Parked(T0 + HOUR), o.Released()])
def test_a_restart_wins_over_what_would_go_on(outcome):
    history = executing(max_attempts=1)
    history.restart()
    assert history.finish(outcome).state == "queued"


@pytest.mark.parametrize(("outcome", "state"), [(o.Completed(), "completed"), (failed(retryable=False), "failed")])
def test_an_end_before_the_fence_stands(outcome, state):
    history = executing()
    history.restart()
    assert history.finish(outcome).state == state
