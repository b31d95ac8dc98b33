"""How attempts and runs end: one function for each way, used by `domain.state` alone.

Order of precedence when an executing side reports: a completion under a valid lease always stands; a stop that
was asked for wins over everything that would go on (a retry, a sleep, a hand-over).
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_ends, approval, runtime_ends
from runwright.domain import events as e
from runwright.domain import outcome as o
from runwright.domain.commands import Decision
from runwright.domain.events import Draft, Level
from runwright.domain.instants import SECOND_US, text
from runwright.domain.question import Question
from runwright.domain.redaction import RedactedText, compose
from runwright.domain.retry import delay_ms, error_fingerprint
from runwright.domain.run import ENDPOINT, Paused, Run, State, StopKind, Tally, Trace, Wait
from runwright.domain.schedule import inside
from runwright.domain.tenancy import DEPENDENCIES, SCHEDULE, THREADS, Cause

MAX_HANDOVERS = 20
"""How often a run may be handed back by draining workers before something must be wrong with it."""

LOST = o.Failed(
    error_class="WorkerLost", message=RedactedText("the worker was lost: its lease ran out"), reason="crash"
)

LATE = o.Failed(
    error_class="Timeout", message=RedactedText("the attempt took longer than its time-out"), reason="timeout"
)


def draft(type: str, data: msgspec.Struct, message: str = "", level: Level = "info", actor: str | None = None) -> Draft:
    """Return a lifecycle event; its free texts are the server's own or already redacted."""
    return Draft(type, compose(data), RedactedText(message), level, actor)


def leave(run: Run, state: State, at: int, reason: str | None = None) -> Run:
    """Return the run in its new state, with the time spent in the old one accounted for."""
    spent = max(at - run.since_at, 0)
    if run.state == "executing":
        return replace(run, state=state, reason=reason, since_at=at, active_us=run.active_us + spent, worker_id=None)
    if run.state == "queued":
        return replace(
            run, state=state, reason=reason, since_at=at, queued_us=run.queued_us + spent, held_by=None, rank=None
        )
    return replace(run, state=state, reason=reason, since_at=at, waiting_us=run.waiting_us + spent)


def close(run: Run, state: State, reason: str | None, at: int) -> Run:
    """Return the run ended: terminal, with its end time, holding nothing."""
    return replace(leave(run, state, at, reason), finished_at=at, due_at=None, paused=None, wait=None)


def lifetime_ms(run: Run, at: int) -> int:
    """Return the milliseconds from the run's creation to `at`."""
    return max(at - run.spec.created_at, 0) // 1000


def end_attempt(run: Run, outcome: o.Outcome, at: int, draw: float) -> Decision:
    """Answer the outcome of an attempt under a valid lease."""
    match outcome:
        case o.Completed():
            return _complete(_traced(run, outcome.trace), outcome, at)
        case o.Accepted():
            return _accept(_traced(run, outcome.trace))
        case o.Failed(trace=trace) if trace is not None:
            return end_attempt(_traced(run, trace), replace(outcome, trace=None), at, draw)
        case o.Failed() if run.stop is None or not outcome.retryable:
            return fail(run, outcome, at, draw)
        case _ if run.stop is not None:
            said = outcome.output if isinstance(outcome, o.Stopped) else None
            return stopped(run, at, Cause("system:attempt"), confirmed=True, said=said)
        case o.Parked():
            return _park(run, outcome, at)
        case _:
            return _hand_over(run, at)


def _complete(run: Run, outcome: o.Completed, at: int) -> Decision:
    tally = Tally(ended=run.attempt, handovers=run.tally.handovers, restarts=run.tally.restarts)
    ended = replace(close(run, "completed", None, at), tally=tally, error=None, error_class=None)
    if run.spec.agent is not None:
        told = agent_ends.completed(ended, outcome, lifetime_ms(run, at))
        return Decision(ended, (draft("run.completed", told, "completed"),))
    if run.spec.runtime is not None:
        ends = runtime_ends.completed(ended, outcome, lifetime_ms(run, at))
        return Decision(ended, (draft("run.completed", ends, f"completed: {ends.stop_code}"),))
    data = e.CompletedData(run.attempt, lifetime_ms(run, at), outcome.result)
    return Decision(ended, (draft("run.completed", data, "completed"),))


def _traced(run: Run, trace: Trace | None) -> Run:
    return run if trace is None else replace(run, trace=trace)


def _accept(run: Run) -> Decision:
    entrusted = replace(run, worker_id=ENDPOINT)
    data = e.AcceptedData(run.attempt, run.spec.heartbeat_ms, run.trace.endpoint if run.trace is not None else None)
    return Decision(entrusted, (draft("run.accepted", data, "accepted by the endpoint, which will tell the end"),))


WAITS = {
    "timer": "sleeping",
    "event": "waits for an event",
    "child": "waits for a child",
    "dependency": "depends",
    "input": "waits for an answer",
    "approval": "waits for an approval",
}


def _park(run: Run, outcome: o.Parked, at: int) -> Decision:
    if outcome.approval is not None:
        return _ask(run, outcome.approval, at)
    wait = outcome.wait
    parked = replace(leave(run, "waiting", at, wait.on), due_at=outcome.due_at, wait=wait)
    if outcome.question is not None:
        asked = agent_ends.asked(outcome.question, outcome.due_at)
        return Decision(parked, (draft("run.waiting_for_input", asked, WAITS["input"]),))
    return Decision(parked, (draft("run.waiting", e.Waiting(wait.on, outcome.due_at, wait.key), WAITS[wait.on]),))


def _ask(run: Run, asked: approval.Ask, at: int) -> Decision:
    """Return the run waiting for people to decide; an agent run says so as it says what it asks else."""
    due_at = at + asked.ttl_s * SECOND_US
    about = approval.Open(asked.gate_id, asked.subject_sha256, asked.required, at)
    wait = Wait("approval", asked.checkpoint_id, approval=about)
    parked = replace(leave(run, "waiting", at, wait.on), due_at=due_at, wait=wait)
    told = approval.requested(asked, run.spec.created_by, text(due_at), due_at)
    opened = draft("approval.requested", told, "asks for an approval")
    if run.spec.agent is None:
        waiting = draft("run.waiting", e.Waiting(wait.on, due_at, wait.key), WAITS[wait.on])
    else:
        question = Question(request_id=asked.checkpoint_id, kind="approval", prompt=asked.summary)
        waiting = draft("run.waiting_for_input", agent_ends.asked(question, due_at), WAITS[wait.on])
    return Decision(parked, (opened, waiting))


def give_up(run: Run, at: int) -> Decision:
    """Return the run failed: what it waited for did not come in time. No other attempt would wait any better."""
    wait = run.wait or Wait("event")
    waited = f"{_WAITED[wait.on]} did not come within the wait's time limit"
    if run.spec.workflow is not None:
        waited = "the workflow took longer than its time-out"
    message = RedactedText(waited)
    failed = replace(close(run, "failed", "wait_timeout", at), error=message, error_class="WaitTimeout")
    data = e.FailedData("wait_timeout", "WaitTimeout", message, False, run.attempt, False, lifetime_ms(run, at))
    return Decision(failed, (_failed(run, data, "system:scheduler"),))


def await_others(run: Run, wait: Wait, at: int) -> Decision:
    """Return the run, which has become due, waiting for what it depends on."""
    until = limit_of(wait, at)
    waits = replace(leave(run, "waiting", at, wait.on), due_at=until)
    return Decision(waits, (draft("run.waiting", e.Waiting(wait.on, until, wait.key), WAITS[wait.on]),))


def limit_of(wait: Wait, at: int) -> int | None:
    """Return when a wait that begins at `at` has taken too long; None for one that may take for ever."""
    return None if wait.limit_s is None else at + wait.limit_s * 1_000_000


def conclude(run: Run, outcome: o.Completed | o.Failed | o.Stopped, at: int, cause: Cause) -> Decision:
    """Return a run ended that waited, by what it waited for: no attempt of its own would change it."""
    if isinstance(outcome, o.Stopped):
        return cancel(run, at, cause, confirmed=None)
    if isinstance(outcome, o.Completed):
        ended = replace(close(run, "completed", None, at), error=None, error_class=None)
        told = e.CompletedData(run.attempt, lifetime_ms(run, at), outcome.result)
        return Decision(ended, (draft("run.completed", told, "completed", actor=cause.actor),))
    said, name = outcome.message, outcome.error_class
    ended = replace(close(run, "failed", outcome.reason, at), error=said, error_class=name)
    data = e.FailedData(outcome.reason, name, said, False, run.attempt, False, lifetime_ms(run, at), outcome.code)
    return Decision(ended, (_failed(run, data, cause.actor),))


_WAITED = {
    "event": "the event",
    "child": "the child's end",
    "dependency": "what the run depends on",
    "input": "the answer",
    "approval": "the approval",
}


def _failed(run: Run, data: e.FailedData, actor: str | None) -> Draft:
    told: msgspec.Struct = data if run.spec.agent is None else agent_ends.failed(data)
    told = told if run.spec.runtime is None else runtime_ends.failed(data)
    return draft("run.failed", told, f"failed: {data.error_class}", "error", actor)


def _hand_over(run: Run, at: int) -> Decision:
    count = run.tally.handovers + 1
    if count > MAX_HANDOVERS:
        message = RedactedText(f"handed over {MAX_HANDOVERS} times without being finished")
        failure = o.Failed(error_class="HandoverLimit", message=message, retryable=False, reason="system")
        return fail(run, failure, at, 0.0)
    returned = replace(leave(run, "queued", at), tally=replace(run.tally, handovers=count))
    return Decision(returned, (draft("run.queued", e.Queued("handover"), "handed over by its worker"),))


def fail(run: Run, failure: o.Failed, at: int, draw: float, actor: str | None = None) -> Decision:
    """Answer a failed attempt: another one after a delay, or the end of the run.

    Retries end when the attempts are used up, when the failure is not retryable, or when the same error came
    `poison_pill_threshold` times in a row.
    """
    spec = run.spec
    fingerprint = error_fingerprint(failure.error_class, failure.message)
    repeats = run.tally.repeats + 1 if fingerprint == run.tally.fingerprint else 1
    tally = Tally(run.attempt, run.tally.handovers, fingerprint, repeats, run.tally.restarts)
    poisoned = spec.poison_pill_threshold is not None and repeats >= spec.poison_pill_threshold
    failed = replace(run, tally=tally, error=failure.message, error_class=failure.error_class)
    if failure.retryable and not poisoned and run.counted_attempts < spec.max_attempts:
        rest = delay_ms(spec.retry, run.counted_attempts, draw, failure.retry_after_ms)
        return _retry(failed, failure, at, rest, actor)
    reason = failure.reason if failure.retryable or failure.reason != "error" else "rejected"
    dead = spec.max_attempts > 1
    ended = replace(close(failed, "failed", reason, at), dead_lettered_at=at if dead else None)
    data = e.FailedData(
        reason,
        failure.error_class,
        failure.message,
        failure.retryable,
        run.attempt,
        dead,
        lifetime_ms(run, at),
        failure.code,
        failure.traceback,
        failure.details,
    )
    return Decision(ended, (_failed(run, data, actor),))


def _retry(run: Run, failure: o.Failed, at: int, delay: int, actor: str | None) -> Decision:
    due_at = at + delay * 1000
    if run.spec.window is not None:
        due_at = inside(run.spec.window, due_at)
    later = replace(leave(run, "scheduled", at, "retry"), due_at=due_at)
    data = e.Retrying(
        run.attempt,
        run.attempt + 1,
        delay,
        due_at,
        failure.reason,
        failure.error_class,
        failure.message,
        failure.code,
        failure.traceback,
    )
    message = f"attempt {run.attempt} failed ({failure.error_class}); the next one in {delay} ms"
    return Decision(later, (draft("run.retrying", data, message, "warning", actor),))


_REASONS = {SCHEDULE: "overlap", DEPENDENCIES: "dependency", THREADS: "superseded"}


def stop_reason(kind: StopKind, cause: Cause) -> str:
    """Return the reason that a run stopped by this cause carries; while it executes it carries it already."""
    by_parent = cause.actor.startswith("run:")
    if kind != "cancel":
        return "parent" if by_parent else "operator"
    if cause.actor in _REASONS:
        return _REASONS[cause.actor]
    return "parent" if by_parent else "user"


def stopped(run: Run, at: int, cause: Cause, *, confirmed: bool, said: RedactedText | None = None) -> Decision:
    """Answer the end of an executing side that had been asked to stop, with what an agent had `said` by then."""
    if run.stop == "cancel":
        return cancel(run, at, cause, confirmed, said)
    if run.stop == "restart":
        return restart(run, at, cause, confirmed)
    return pause(run, at, cause, confirmed, Paused("executing"))


def restart(run: Run, at: int, cause: Cause, confirmed: bool | None) -> Decision:
    """Return the run queued for a new attempt; paused, if that was asked for since.

    The attempt that this ends counts for nothing. One that has ended before, by a failure, counts as it did.
    """
    tally = run.tally
    if run.started_at is not None and run.attempt > tally.ended:
        tally = replace(tally, ended=run.attempt, restarts=tally.restarts + 1)
    again = replace(run, tally=tally, restart_requested_at=None, paused=None, due_at=None, wait=None)
    if again.pause_requested_at is not None:
        return pause(again, at, cause, confirmed, Paused("queued"))
    data = e.Queued("restart", confirmed=confirmed)
    return Decision(leave(again, "queued", at), (draft("run.queued", data, "to begin again", actor=cause.actor),))


def cancel(run: Run, at: int, cause: Cause, confirmed: bool | None, said: RedactedText | None = None) -> Decision:
    """Return the run cancelled. `confirmed` tells whether an executing side said that it stopped."""
    reason = run.reason if run.stop == "cancel" and run.reason is not None else stop_reason("cancel", cause)
    requested = run.cancel_requested_at if run.cancel_requested_at is not None else at
    ended = replace(close(run, "cancelled", reason, at), cancel_requested_at=requested)
    data = e.CancelledData(reason, confirmed, cause.reason, cause.request_id, cause.last_seen_seq)
    told: msgspec.Struct = data if run.spec.agent is None else agent_ends.cancelled(data, said)
    told = told if run.spec.runtime is None else runtime_ends.cancelled(run, data)
    return Decision(ended, (draft("run.cancelled", told, "cancelled", actor=cause.actor),))


def pause(run: Run, at: int, cause: Cause, confirmed: bool | None, resume: Paused) -> Decision:
    """Return the run paused; it remembers in `resume` where to go on."""
    reason = run.reason if run.stop == "pause" and run.reason is not None else stop_reason("pause", cause)
    kept = replace(leave(run, "paused", at, reason), paused=resume, pause_requested_at=None)
    data = e.PausedData(reason, confirmed, cause.reason, cause.request_id)
    return Decision(kept, (draft("run.paused", data, "paused", actor=cause.actor),))
