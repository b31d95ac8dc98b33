"""What ends the waiting of a run, or the time that it had: timers, windows, rates, events, and the end of a pause."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain import approving, ending
from runwright.domain import commands as c
from runwright.domain import events as e
from runwright.domain.amendments import Rescheduled
from runwright.domain.ending import draft
from runwright.domain.run import Paused, Run, State
from runwright.domain.schedule import inside


def due(run: Run, command: c.Due, at: int) -> c.Decision:
    """Answer a timer: whatever the run waited for until now, its time has come."""
    if (run.due_at is not None and run.due_at > at) or (run.state == "waiting" and run.due_at is None):
        return c.Decision(run)  # the timer was another wait's; this one may take for ever
    if run.state == "waiting" and run.reason == "approval":
        return approving.expire(run, at)
    if run.state == "waiting" and run.reason != "timer":
        return ending.give_up(run, at)
    if run.state == "scheduled" and run.wait is not None:
        return ending.await_others(run, run.wait, at)
    if run.state == "scheduled" and run.spec.window is not None:
        begins_at = inside(run.spec.window, at)
        if begins_at > at:
            return _put_off(run, begins_at, at)
    why = run.reason or "delay"
    woken = replace(ending.leave(run, "queued", at), due_at=None, wait=None)
    return c.Decision(woken, (draft("run.queued", e.Queued(why), f"queued after {why}", actor="system:scheduler"),))


def _put_off(run: Run, begins_at: int, at: int) -> c.Decision:
    """Return the run that came due outside of its window: it goes on waiting, and the time it has moves with it."""
    expires_at = None if run.expires_at is None else run.expires_at + begins_at - (run.due_at or at)
    later = replace(ending.leave(run, "scheduled", at, "delay"), due_at=begins_at, expires_at=expires_at)
    data = Rescheduled("scheduled", begins_at, expires_at)
    return c.Decision(later, (draft("run.rescheduled", data, "put off to its window", actor="system:scheduler"),))


def throttle(run: Run, command: c.Throttle, at: int) -> c.Decision:
    """Put the run off to its turn; the time it has to begin in moves with it."""
    expires_at = None if run.expires_at is None else run.expires_at + command.until - at
    later = replace(ending.leave(run, "scheduled", at, "rate_limit"), due_at=command.until, expires_at=expires_at)
    data = Rescheduled("scheduled", command.until, expires_at, "rate_limit")
    told = draft("run.rescheduled", data, "put off by the rate of its job", actor="system:scheduler")
    return c.Decision(later, (told,))


def expire(run: Run, command: c.Expire, at: int) -> c.Decision:
    """End a run that has not begun in the time that it had."""
    if run.expires_at is None or run.expires_at > at or run.started_at is not None:
        return c.Decision(run)
    ended = ending.close(run, "expired", "ttl", at)
    data = e.ExpiredData(run.expires_at)
    return c.Decision(ended, (draft("run.expired", data, "not started in time", "warning", "system:scheduler"),))


def wake(run: Run, command: c.Wake, at: int) -> c.Decision:
    """Answer what a run waits for, if it is this."""
    wait, delivery = run.wait, command.delivery
    if wait is None or (wait.on, wait.key) != (command.on, command.key) or wait.on == "approval":
        return c.Decision(run)  # an approval is decided; nothing else ends the wait for it
    if run.paused is not None and run.paused.state != "waiting":
        return c.Decision(run)  # its wait has not begun; when it does, it looks for itself
    value, actor = None if delivery is None else delivery.ref, command.cause.actor
    if run.state == "paused":
        ready = replace(run, paused=Paused("queued"), wait=None, due_at=None)
        told = e.Woken(wait.on, wait.key, value)
        return c.Decision(ready, (draft("run.woken", told, f"the {wait.on} came", actor=actor),))
    woken = replace(ending.leave(run, "queued", at), wait=None, due_at=None)
    data = e.Queued(wait.on, wait.key, value)
    return c.Decision(woken, (draft("run.queued", data, f"queued after {wait.on}", actor=actor),))


def proceed(run: Run, command: c.Proceed, at: int) -> c.Decision:
    """Write down how far a run has come that waits for others, or how it ends."""
    if run.wait is None or (run.wait.on, run.wait.key) != (command.on, command.key):
        return c.Decision(run)
    if run.started_at is None and run.spec.workflow is not None:
        run = replace(run, started_at=at)
    if command.outcome is None:
        return c.Decision(run, command.drafts)
    decision = ending.conclude(run, command.outcome, at, command.cause)
    return c.Decision(decision.run, command.drafts + decision.events)


def resume(run: Run, command: c.Resume, at: int) -> c.Decision:
    """Let a paused run go on where it was."""
    back = run.paused or Paused("queued")
    over = run.due_at is None or run.due_at <= at
    if back.state == "scheduled" and run.wait is not None and over:
        back = Paused("waiting", run.wait.on)
        run = replace(run, due_at=ending.limit_of(run.wait, at))
    if back.state == "waiting" and back.reason != "timer":
        over = False  # it goes on waiting; where that has taken too long, its timer says so at once
    state: State = "queued" if back.state in ("executing", "queued") or over else back.state
    reason = None if state == "queued" else back.reason
    due_at, wait = (None, None) if over else (run.due_at, run.wait)
    resumed = replace(ending.leave(run, state, at, reason), paused=None, due_at=due_at, wait=wait)
    data = e.Resumed(state, reason, resumed.due_at, command.cause.request_id)
    return c.Decision(resumed, (draft("run.resumed", data, f"resumed, {state}", actor=command.cause.actor),))
