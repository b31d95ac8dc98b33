"""What may be changed of a run that exists: when it begins, its payload, and whether its attempts are recorded."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain.amendments import DebugSet, Rescheduled
from runwright.domain.commands import Debug, Decision, Reschedule
from runwright.domain.ending import draft, leave, limit_of
from runwright.domain.run import Run, State
from runwright.errors import InvalidTransition


def reschedule(run: Run, command: Reschedule, at: int) -> Decision:
    """Answer a new time to begin: one that is past means now. The time that the run has to begin in moves with it.

    Raises `InvalidTransition` for a run that has begun once: what it waits for then is its retry.
    """
    if run.started_at is not None:
        raise InvalidTransition("a run that has begun cannot be rescheduled; cancel it, and trigger another")
    later = command.scheduled_at > at
    state: State = "scheduled" if later else "queued" if run.wait is None else "waiting"
    reason = "delay" if later else None if run.wait is None else run.wait.on
    expires_at = None if run.expires_at is None else max(command.scheduled_at, at) + _lifetime_us(run, run.expires_at)
    moved = run if run.state == state == "queued" else leave(run, state, at, reason)
    moved = replace(
        moved,
        due_at=command.scheduled_at if later else None if run.wait is None else limit_of(run.wait, at),
        expires_at=expires_at,
        amended=replace(run.amended, scheduled_at=max(command.scheduled_at, at)),
    )
    data = Rescheduled(state, moved.due_at, expires_at, reason, command.described, command.cause.request_id)
    return Decision(moved, (draft("run.rescheduled", data, f"rescheduled, {state}", actor=command.cause.actor),))


def _lifetime_us(run: Run, expires_at: int) -> int:
    """Return how long after its time to begin the run may still begin."""
    return expires_at - max(run.scheduled_at or 0, run.spec.created_at)


def set_debug(run: Run, command: Debug, at: int) -> Decision:
    """Answer whether the attempts to come are recorded; what is said already changes nothing."""
    if run.debug_mode == command.on:
        return Decision(run)
    data = DebugSet(command.on, command.cause.request_id)
    event = draft("debug.set", data, f"debug mode {'on' if command.on else 'off'}", actor=command.cause.actor)
    return Decision(replace(run, amended=replace(run.amended, debug_mode=command.on)), (event,))
