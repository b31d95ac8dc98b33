"""How attempts end, and what that makes of the run: retries, dead letters, stops, expiry, hand-overs."""

import pytest

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.ending import MAX_HANDOVERS
from runwright.domain.retry import RetryPolicy
from runwright.domain.run import Paused, Wait, timers
from runwright.domain.tenancy import Cause
from runwright.domain.words import word_of
from tests.domain.specimens import GO, HOUR, SECOND, SPECIMENS, T0, History, failed, log_line


def executing(**given):
    history = History(**given)
    history.claim()
    return history


def attempt_again(history):
    history.due()
    history.claim()


# --- retries and dead letters -----------------------------------------------------------------------------------------


def test_a_failure_is_retried_until_the_attempts_are_used_up_and_then_dead_lettered():
    history = executing()
    for attempt in (1, 2):
        run = history.finish(failed())
        assert (run.state, run.reason, run.attempt) == ("scheduled", "retry", attempt)
        assert run.due_at == history.at + SECOND
        assert run.dead_lettered_at is None
        attempt_again(history)
        assert history.standing.attempt == attempt + 1
    run = history.finish(failed())
    assert (run.state, run.reason, run.attempt, run.dead_lettered_at) == ("failed", "error", 3, history.at)
    assert history.data("run.failed")["dead_lettered"] is True
    assert history.types.count("run.retrying") == 2


def test_a_run_with_one_attempt_fails_and_is_no_dead_letter():
    run = executing(max_attempts=1).finish(failed())
    assert (run.state, run.reason, run.dead_lettered_at) == ("failed", "error", None)


@pytest.mark.parametrize(("reason", "kept"), [("error", "rejected"), ("timeout", "timeout"), ("system", "system")])
def test_a_failure_that_is_not_retryable_is_a_dead_letter_at_once(reason, kept):
    history = executing()
    run = history.finish(failed(retryable=False, reason=reason))
    assert (run.state, run.reason, run.attempt, run.dead_lettered_at) == ("failed", kept, 1, history.at)


@pytest.mark.parametrize("reason", ["error", "timeout", "crash", "system"])
def test_an_exhausted_run_is_a_dead_letter_whatever_the_last_error_was(reason):
    history = executing(max_attempts=2)
    history.finish(failed())
    attempt_again(history)
    run = history.finish(failed(reason=reason))
    assert (run.state, run.reason, run.dead_lettered_at) == ("failed", reason, history.at)


def test_identical_errors_in_a_row_end_the_retries():
    history = executing(max_attempts=10, poison_pill_threshold=3)
    for _ in range(2):
        history.finish(failed("ValueError", "boom"))
        attempt_again(history)
    run = history.finish(failed("ValueError", "boom"))
    assert (run.state, run.attempt, run.tally.repeats) == ("failed", 3, 3)
    assert run.dead_lettered_at == history.at


def test_another_error_in_between_begins_the_count_anew():
    history = executing(max_attempts=10, poison_pill_threshold=2)
    for message in ("boom", "bang", "boom"):
        history.finish(failed("ValueError", message))
        attempt_again(history)
    assert history.standing.state == "executing"
    assert history.finish(failed("ValueError", "boom")).state == "failed"


def test_without_a_threshold_the_same_error_may_come_for_ever():
    history = executing(max_attempts=8)
    for _ in range(7):
        history.finish(failed())
        attempt_again(history)
    assert history.standing.attempt == 8


def test_the_rest_between_attempts_is_the_policys_and_what_was_asked_for():
    history = executing(
        retry=RetryPolicy(strategy="fixed", max_attempts=3, initial_ms=1000, max_ms=5000, jitter="full")
    )
    run = history.finish(failed(), draw=0.25)
    assert run.due_at == history.at + 250_000
    attempt_again(history)
    run = history.finish(failed(retry_after_ms=60_000))
    assert run.due_at == history.at + 5 * SECOND
    assert history.data("run.retrying")["delay_ms"] == 5000


def test_a_success_after_a_retry_forgets_no_error_but_completes():
    history = executing()
    history.finish(failed())
    attempt_again(history)
    run = history.finish(o.Completed())
    assert (run.state, run.reason, run.attempt, run.dead_lettered_at) == ("completed", None, 2, None)


# --- attempts and epochs ----------------------------------------------------------------------------------------------


def test_the_attempt_grows_with_retries_and_not_with_leases():
    history = executing()
    history.finish(o.Parked(T0 + HOUR))
    attempt_again(history)
    history.finish(o.Released())
    history.claim()
    history.stop("pause")
    history.finish(o.Stopped())
    history.resume()
    history.claim()
    assert (history.standing.attempt, history.standing.lease_epoch) == (1, 4)
    history.finish(failed())
    attempt_again(history)
    assert (history.standing.attempt, history.standing.lease_epoch) == (2, 5)


def test_a_lost_worker_counts_as_a_crashed_attempt():
    history = executing(max_attempts=2)
    run = history.lose()
    assert (run.state, run.reason, run.error_class) == ("scheduled", "retry", "WorkerLost")
    attempt_again(history)
    run = history.lose()
    assert (run.state, run.reason) == ("failed", "crash")
    assert run.dead_lettered_at == history.at
    assert [event.actor for event in history.events if event.type == "run.failed"] == ["system:reaper"]


def test_a_run_is_handed_over_a_bounded_number_of_times_and_that_counts_nothing():
    history = executing()
    for count in range(1, MAX_HANDOVERS + 1):
        run = history.finish(o.Released())
        assert (run.state, run.tally.handovers, run.tally.ended) == ("queued", count, 0)
        history.claim()
    run = history.finish(o.Released())
    assert (run.state, run.reason, run.error_class) == ("failed", "system", "HandoverLimit")


def test_a_sleeping_run_holds_no_slot_and_wakes_when_its_time_has_come():
    history = executing()
    run = history.finish(o.Parked(T0 + HOUR))
    assert (run.state, run.reason, run.due_at, run.owns_slots) == ("waiting", "timer", T0 + HOUR, False)
    early = history.apply(c.Due(run.run_id), T0 + HOUR - 1)
    assert early.state == "waiting"
    assert history.due().state == "queued"


def test_a_run_that_waits_for_an_event_holds_no_slot_and_wakes_when_it_comes():
    history = executing()
    run = history.finish(o.Parked(T0 + HOUR, GO))
    assert (run.state, run.reason, run.due_at, run.owns_slots) == ("waiting", "event", T0 + HOUR, False)
    woken = history.wake(key="go")
    assert (woken.state, woken.wait, woken.due_at) == ("queued", None, None)
    assert history.data("run.queued") == {
        "reason": "event",
        "key": "go",
        "value": {"sha256": "1" * 64, "bytes": 2, "preview": "{}"},
    }


@pytest.mark.parametrize(("on", "key"), [("event", "other"), ("child", "go"), ("timer", "go")])
def test_what_a_run_does_not_wait_for_leaves_it_alone(on, key):
    history = executing()
    waiting = history.finish(o.Parked(T0 + HOUR, GO))
    assert history.wake(on, key) == waiting


def test_a_second_wake_up_changes_nothing():
    history = executing()
    history.finish(o.Parked(T0 + HOUR, GO))
    woken = history.wake()
    assert history.wake() == woken
    history.claim()
    assert history.wake() == history.standing


def test_a_wait_that_takes_too_long_fails_the_run_for_good_and_is_no_dead_letter():
    history = executing(max_attempts=3)
    history.finish(o.Parked(T0 + HOUR, GO))
    run = history.due()
    assert (run.state, run.reason, run.error_class) == ("failed", "wait_timeout", "WaitTimeout")
    assert (run.dead_lettered_at, run.wait, word_of(run)) == (None, None, "timed_out")


def test_a_wait_without_a_limit_wants_no_timer():
    history = executing()
    assert timers(history.finish(o.Parked(None, GO))) == {}


def test_what_comes_in_a_pause_takes_effect_at_the_resume():
    history = executing()
    history.finish(o.Parked(T0 + HOUR, GO))
    history.stop("pause")
    woken = history.wake()
    assert (woken.state, woken.wait, woken.due_at) == ("paused", None, None)
    assert history.types[-1] == "run.woken"
    assert history.wake() == woken
    assert history.resume().state == "queued"


def test_a_paused_run_whose_event_did_not_come_goes_on_waiting_within_its_limit():
    history = executing()
    history.finish(o.Parked(T0 + HOUR, GO))
    history.stop("pause")
    run = history.resume()
    assert (run.state, run.reason, run.due_at, run.wait) == ("waiting", "event", T0 + HOUR, GO)
    history.stop("pause")
    history.at = T0 + 2 * HOUR
    late = history.resume()
    assert (late.state, timers(late)) == ("waiting", {"due": T0 + HOUR})
    assert history.due().reason == "wait_timeout"


def test_a_paused_wait_without_a_limit_goes_on_waiting():
    history = executing()
    history.finish(o.Parked(None, GO))
    history.stop("pause")
    run = history.resume()
    assert (run.state, run.wait) == ("waiting", GO)
    assert history.wake().state == "queued"


def test_a_run_may_wait_before_it_ever_begins():
    history = History(wait=Wait("dependency"), wait_until=T0 + HOUR)
    run = history.standing
    assert (run.state, run.reason, run.due_at, run.owns_slots) == ("waiting", "dependency", T0 + HOUR, False)
    woken = history.wake("dependency", "", None)
    assert (woken.state, woken.due_at) == ("queued", None)
    assert history.claim().attempt == 1


def test_the_last_records_of_an_attempt_come_before_its_end():
    history = executing()
    history.finish(o.Completed(), log_line("one"), log_line("two"))
    assert history.types == ["run.created", "run.started", "log", "log", "run.completed"]


# --- stops ------------------------------------------------------------------------------------------------------------


def test_a_run_that_does_not_execute_is_stopped_at_once():
    for named in ("scheduled", "queued", "waiting", "paused from queued"):
        history = SPECIMENS[named]()
        run = history.stop("cancel")
        assert (run.state, run.reason, run.finished_at) == ("cancelled", "user", history.at), named
        assert "confirmed" not in history.data("run.cancelled"), named


def test_an_executing_run_is_asked_and_asked_once():
    for kind in ("cancel", "pause"):
        history = executing()
        run = history.stop(kind)
        assert (run.state, run.stop) == ("executing", kind)
        assert history.stop(kind) == run
        assert history.types.count(f"run.{kind}_requested") == 1


def test_a_cancel_outranks_a_pause_and_not_the_other_way_round():
    history = executing()
    history.stop("pause")
    assert history.stop("cancel").stop == "cancel"
    assert history.stop("pause").stop == "cancel"
    assert history.types[-2:] == ["run.pause_requested", "run.cancel_requested"]
    assert history.finish(o.Stopped()).state == "cancelled"


def test_a_completion_before_the_fence_wins_over_a_stop():
    for kind in ("cancel", "pause"):
        history = executing()
        history.stop(kind)
        assert history.finish(o.Completed()).state == "completed"


@pytest.mark.parametrize("outcome", [failed(), o.Parked(T0 + HOUR), o.Released(), o.Stopped()])
@pytest.mark.parametrize(("kind", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_stop_wins_over_everything_that_would_go_on(outcome, kind, ends):
    history = executing(max_attempts=5)
    history.stop(kind)
    assert history.finish(outcome).state == ends
    assert history.data(f"run.{ends}")["confirmed"] is True


@pytest.mark.parametrize("kind", ["cancel", "pause"])
def test_a_failure_for_good_before_the_fence_stands(kind):
    history = executing()
    history.stop(kind)
    run = history.finish(failed(retryable=False))
    assert (run.state, run.reason) == ("failed", "rejected")


@pytest.mark.parametrize(("kind", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_fence_and_a_lost_worker_end_a_stop_request_unconfirmed(kind, ends):
    for end in ("fence", "lose"):
        history = executing()
        history.stop(kind)
        run = getattr(history, end)()
        assert run.state == ends
        assert history.data(f"run.{ends}")["confirmed"] is False
        assert run.tally.ended == 0


def test_a_fence_without_a_request_changes_nothing():
    history = executing()
    before = history.standing
    assert history.fence() == before


def test_a_cancel_that_the_parent_caused_says_so_even_when_it_had_to_be_confirmed():
    cause = Cause("run:run_parent", "the parent was cancelled")
    queued = SPECIMENS["queued"]()
    assert queued.stop("cancel", cause).reason == "parent"
    for end in (lambda h: h.finish(o.Stopped()), lambda h: h.fence(), lambda h: h.lose()):
        history = executing()
        history.stop("cancel", cause)
        run = end(history)
        assert (run.state, run.reason) == ("cancelled", "parent")
        assert history.data("run.cancelled")["reason"] == "parent"


def test_a_paused_run_goes_on_where_it_stopped():
    for named, state, reason in (
        ("paused from scheduled", "scheduled", "delay"),
        ("paused from a retry", "scheduled", "retry"),
        ("paused from queued", "queued", None),
        ("paused from executing", "queued", None),
        ("paused from waiting", "waiting", "timer"),
    ):
        history = SPECIMENS[named]()
        due_at = history.standing.due_at
        run = history.resume()
        assert (run.state, run.reason, run.due_at, run.paused) == (state, reason, due_at, None), named


def test_what_came_due_during_a_pause_takes_effect_at_the_resume():
    for named in ("paused from scheduled", "paused from a retry", "paused from waiting"):
        history = SPECIMENS[named]()
        run_id = history.standing.run_id
        assert history.standing.paused is not None
        assert history.apply(c.Due(run_id), T0 + 2 * HOUR).state == "paused"
        run = history.apply(c.Resume(run_id, history.command.cause), T0 + 2 * HOUR)
        assert (run.state, run.due_at) == ("queued", None), named


def test_a_pause_remembers_the_state_that_it_left():
    assert SPECIMENS["paused from waiting"]().standing.paused == Paused("waiting", "timer")
    assert SPECIMENS["paused from executing"]().standing.paused == Paused("executing")


def test_a_resumed_run_can_be_paused_again():
    history = SPECIMENS["paused from executing"]()
    history.resume()
    history.claim()
    assert history.standing.stop is None
    history.stop("pause")
    assert history.finish(o.Stopped()).state == "paused"


# --- expiry -----------------------------------------------------------------------------------------------------------


def test_a_run_that_was_not_started_in_time_expires():
    for history in (SPECIMENS["queued"](), SPECIMENS["scheduled"]()):
        run = history.expire()
        assert (run.state, run.reason, run.finished_at) == ("expired", "ttl", history.at)


def test_a_run_does_not_expire_before_its_time():
    history = SPECIMENS["queued"]()
    run = history.standing
    assert run.expires_at is not None
    assert history.apply(c.Expire(run.run_id), run.expires_at - 1).state == "queued"


def test_expiry_no_longer_applies_once_an_attempt_began():
    history = History(expires_at=T0 + HOUR)
    history.claim()
    history.finish(failed())
    assert "expire" not in timers(history.standing)
    assert history.apply(c.Expire(history.standing.run_id), T0 + 2 * HOUR).state == "scheduled"
    history.due()
    assert history.apply(c.Expire(history.standing.run_id), T0 + 3 * HOUR).state == "queued"


def test_a_run_has_the_timers_of_its_state():
    named = {name: timers(make().standing) for name, make in SPECIMENS.items()}
    assert {name: wants for name, wants in named.items() if wants} == {
        "scheduled": {"due": T0 + HOUR, "expire": T0 + 2 * HOUR},
        "gathering a batch": {"due": T0 + HOUR, "expire": T0 + 2 * HOUR},
        "debounced": {"due": T0 + HOUR + 2000},
        "scheduled for a retry": {"due": T0 + 2000 + 1000 + SECOND},
        "queued": {"expire": T0 + HOUR},
        "waiting": {"due": T0 + HOUR},
        "waiting for an event": {"due": T0 + HOUR},
        "waiting for a child": {"due": T0 + HOUR},
        "waiting from the start": {"due": T0 + HOUR},
        "a workflow, waiting for its steps": {"due": T0 + HOUR + 1000},
        "gathering a batch that waits then": {"due": T0 + HOUR},
        "scheduled, and waiting then": {"due": T0 + HOUR},
        "waiting once it was due": {"due": T0 + 2 * HOUR},
        "scheduled anew": {"due": T0 + 3 * HOUR, "expire": T0 + 4 * HOUR},
        "agent later": {"due": T0 + HOUR},
        "waiting for an approval": {"due": T0 + HOUR + 3000},
        "waiting for two approvals": {"due": T0 + HOUR + 3000},
        "waiting for the second approval": {"due": T0 + HOUR + 3000},
        "agent waiting for an approval": {"due": T0 + HOUR + 3000},
        "agent waiting for input": {"due": T0 + HOUR},
    }


def test_a_paused_run_expires_only_when_it_is_resumed():
    history = SPECIMENS["paused from queued"]()
    run_id = history.standing.run_id
    assert history.apply(c.Expire(run_id), T0 + 2 * HOUR).state == "paused"
    history.resume()
    assert timers(history.standing) == {"expire": T0 + HOUR}
    assert history.apply(c.Expire(run_id), T0 + 3 * HOUR).state == "expired"
