"""How the logs of agent runs open, ask, hear, count and end."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from runwright.domain import agent_events as a
from runwright.domain import commands as c
from runwright.domain import events as e
from runwright.domain import outcome as o
from runwright.domain.agent_terms import AgentTerms, Budget
from runwright.domain.fold import fold
from runwright.domain.run import Spec
from runwright.errors import InvalidTransition
from tests.domain.specimens import ASKED, HOUR, SPECIMENS, T0, TERMS, History, said, text, told, usage


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Expect a conflict with this code."""
    with pytest.raises(InvalidTransition) as refusal:
        yield
    assert refusal.value.code == code


def test_the_first_event_is_run_started_and_the_claim_comes_after():
    history = SPECIMENS["agent executing"]()
    assert history.types == ["run.started", "run.claimed"]
    first = msgspec.json.decode(history.events[0].data or b"")
    assert first["persona_id"] == "default@1"
    assert msgspec.convert(first["spec"]["agent"], AgentTerms) == TERMS
    assert (first["thread_id"], first["model"], first["trace_id"]) == ("thr_1", "echo", "t" * 32)


def test_a_job_run_carries_nothing_of_agents():
    job = SPECIMENS["executing"]()
    assert "agent" not in job.command.opening.decode()
    assert msgspec.json.decode(job.command.opening, type=Spec).agent is None


def test_a_question_parks_the_run_and_says_what_is_asked():
    history = SPECIMENS["agent waiting for input"]()
    assert (history.standing.state, history.standing.reason) == ("waiting", "input")
    asked = history.data("run.waiting_for_input")
    assert (asked["request_id"], asked["kind"], asked["prompt"]) == ("rq_1", "question", "Which one?")
    assert (asked["schema"], asked["expires_at"]) == ({"type": "object"}, "2027-01-15T09:00:00.000000Z")


def test_the_first_answer_wins_and_the_next_is_refused():
    history = SPECIMENS["agent answered"]()
    assert history.types[-2:] == ["run.input_received", "run.queued"]
    assert (history.standing.state, history.standing.wait, history.standing.due_at) == ("queued", None, None)
    with refused("runs.not_waiting"):
        history.apply(said(history.standing.run_id))


@pytest.mark.parametrize(
    "named", ["agent executing", "agent queued", "agent in line", "executing", "waiting for an event"]
)
def test_who_asked_nothing_takes_no_answer(named):
    history = SPECIMENS[named]()
    with refused("runs.not_waiting"):
        history.apply(said(history.standing.run_id))


def test_an_answer_to_another_request_is_refused_and_the_run_goes_on_waiting():
    history = SPECIMENS["agent waiting for input"]()
    with refused("runs.not_waiting"):
        history.apply(said(history.standing.run_id, request_id="rq_0"))
    assert history.standing.state == "waiting"


def test_steering_is_heard_by_any_live_run_and_moves_none():
    for named in ("agent executing", "agent queued", "agent in line", "agent waiting for input", "agent later"):
        history = SPECIMENS[named]()
        before = history.standing
        after = history.apply(said(before.run_id, "steer", None))
        assert (after.state, after.wait, after.due_at) == (before.state, before.wait, before.due_at)
        assert history.data("run.input_received") == {"mode": "steer", "content": "the blue one"}


@pytest.mark.parametrize("named", ["agent completed", "agent cancelled", "agent asked to cancel"])
@pytest.mark.parametrize("mode", ["answer", "steer"])
def test_a_run_that_ended_or_was_asked_to_hears_no_more(named, mode):
    history = SPECIMENS[named]()
    with refused("runs.not_active"):
        history.apply(said(history.standing.run_id, mode))


def test_what_nobody_answers_in_time_fails_as_a_wait():
    history = SPECIMENS["agent never answered"]()
    assert (history.standing.state, history.standing.reason) == ("failed", "wait_timeout")
    assert history.data("run.failed")["message"] == "the answer did not come within the wait's time limit"


def test_an_answer_in_a_pause_takes_effect_at_the_resume():
    history = SPECIMENS["agent answered in its pause"]()
    assert history.standing.state == "paused"
    assert history.resume().state == "queued"


def test_a_lost_worker_is_no_failure_until_it_is_the_sixth():
    history = History(kind="agent", executor="agent", agent=TERMS, max_attempts=1)
    for count in range(1, 6):
        history.claim()
        run = history.lose()
        assert (run.state, run.attempt, run.tally.recoveries) == ("queued", 1, count)
    history.claim()
    assert (history.lose().state, history.standing.reason) == ("failed", "crash")
    assert history.types.count("run.recovered") == 5
    assert fold(history.events) == told(history.standing)


def test_the_end_says_what_was_used_and_what_it_cost():
    history = SPECIMENS["agent completed"]()
    ended = history.data("run.completed")
    assert ended["output"] == "Done."
    assert ended["usage"] == {"input_tokens": 100, "cached_tokens": 40, "output_tokens": 10}
    assert (ended["total_cost_usd"], ended["credits_used"]) == (0.000007, 1)


def test_a_cost_that_is_not_known_is_null_and_never_zero():
    history = SPECIMENS["agent executing"]()
    history.finish(o.Completed(output=text("Done.")), usage(5), usage(None))
    ended = history.data("run.completed")
    assert (ended["total_cost_usd"], ended["credits_used"]) == (None, None)
    assert ended["usage"]["input_tokens"] == 200


def test_a_cancelled_run_keeps_what_it_had_said():
    assert SPECIMENS["agent cancelled"]().data("run.cancelled")["partial_output"] == "So fa"


def test_a_failed_run_says_its_message_in_the_seeds_word():
    data = SPECIMENS["agent failed"]().data("run.failed")
    assert (data["error_class"], data["message"], data["retryable"]) == ("ValueError", "boom", False)


def test_every_record_of_an_agent_stands_in_the_catalogue_and_is_not_a_jobs():
    for name, (kind, shape) in a.RECORDS.items():
        entry = e.CATALOGUE[name]
        assert (entry.kind, entry.data, entry.by_agent, entry.by_job) == (kind, shape, True, False)


def test_a_parked_run_without_a_deadline_waits_for_ever():
    history = SPECIMENS["agent executing"]()
    run = history.finish(msgspec.structs.replace(ASKED, due_at=None))
    assert run.due_at is None
    assert history.data("run.waiting_for_input")["expires_at"] is None
    assert history.apply(c.Due(run.run_id), T0 + 9 * HOUR).state == "waiting"


def test_of_two_budgets_the_smaller_of_each_limit_holds():
    run, persona = Budget(cost_microusd=5, turns=9), Budget(cost_microusd=7, turns=3, tokens=10, on_exceeded="ask")
    assert run.within(persona) == Budget(cost_microusd=5, turns=3, tokens=10, on_exceeded="ask")
