"""How a waiting run is decided upon: a person's vote, no vote in time, and a run that asks no more."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain import approval as g
from runwright.domain import events as e
from runwright.domain.commands import Decision, Vote
from runwright.domain.ending import draft, leave
from runwright.domain.instants import text
from runwright.domain.run import Paused, Run
from runwright.errors import AlreadyDecided, ApprovalExpired, SubjectChanged

BY_TIMER = "system:scheduler"


def vote(run: Run, command: Vote, at: int) -> Decision:
    """Answer a person's vote: any denial denies; the approval that completes the quorum approves; the run goes on.

    Raises `AlreadyDecided`, `ApprovalExpired`, `SubjectChanged`, `NotAnApprover`, `SelfApproval`; nothing changed then.
    """
    wait, asked = run.wait, None if run.wait is None else run.wait.approval
    if wait is None or asked is None or wait.key != command.checkpoint_id or run.terminal:
        raise AlreadyDecided
    if run.due_at is not None and at >= run.due_at:
        raise ApprovalExpired("the time to decide this is over; no decision in time is a denial")
    maker = run.spec.created_by_user_id or command.maker
    own = g.require_may_decide(asked.required, command.by, command.verdict, maker, others=command.others)
    if command.subject_sha256 != asked.subject_sha256:
        raise SubjectChanged(data={"checkpoint_id": wait.key, "subject_sha256": asked.subject_sha256})
    approves = command.verdict == "approve"
    if approves and command.by.user_id in asked.approved_by:
        raise AlreadyDecided("you have approved this; it takes other people, too")
    approved_by = (*asked.approved_by, command.by.user_id) if approves else asked.approved_by
    told = g.Decided(
        checkpoint_id=wait.key,
        gate_id=asked.gate_id,
        decision=command.verdict,
        actor=command.cause.actor,
        name=command.by.name,
        role=command.by.role,
        comment=command.comment,
        subject_sha256=asked.subject_sha256,
        quorum=g.Have(len(approved_by), asked.required.quorum),
        self_approved=own,
    )
    actor = command.cause.actor
    if not approves:
        return _go_on(run, draft("approval.denied", told, "denied", "warning", actor), at, actor)
    if len(approved_by) >= asked.required.quorum:
        return _go_on(run, draft("approval.approved", told, "approved", actor=actor), at, actor)
    so_far = replace(run, wait=replace(wait, approval=replace(asked, approved_by=approved_by)))
    return Decision(so_far, (draft("approval.voted", told, "approved by one of several", actor=actor),))


def expire(run: Run, at: int) -> Decision:
    """Return the run queued whose approval nobody decided in time: it goes on, denied."""
    assert run.wait is not None
    asked, due_at = run.wait.approval, run.due_at
    assert asked is not None
    have = g.Have(len(asked.approved_by), asked.required.quorum)
    told = g.Expired(checkpoint_id=run.wait.key, gate_id=asked.gate_id, expires_at=text(due_at or at), quorum=have)
    return _go_on(run, draft("approval.expired", told, "nobody decided in time", "warning", BY_TIMER), at, BY_TIMER)


def superseded(run: Run, decision: Decision) -> Decision:
    """Return a decision that leaves an open approval behind with the event that says so, before its own.

    Whatever a run that asks is made to do, what it asks is closed exactly once.
    """
    wait, asked = run.wait, None if run.wait is None else run.wait.approval
    new = decision.run
    if wait is None or asked is None or (new.wait is not None and new.wait.key == wait.key):
        return decision
    if any(event.type in g.CLOSES for event in decision.events):
        return decision
    told = g.Superseded(checkpoint_id=wait.key, gate_id=asked.gate_id, reason=new.state)
    actor = decision.events[0].actor if decision.events else None
    return Decision(new, (draft("approval.superseded", told, "asked no more", actor=actor), *decision.events))


def _go_on(run: Run, decided: e.Draft, at: int, actor: str) -> Decision:
    key = "" if run.wait is None else run.wait.key
    if run.state == "paused":
        ready = replace(run, paused=Paused("queued"), wait=None, due_at=None)
        return Decision(ready, (decided, draft("run.woken", e.Woken("approval", key), "it was decided", actor=actor)))
    woken = replace(leave(run, "queued", at), wait=None, due_at=None)
    return Decision(
        woken, (decided, draft("run.queued", e.Queued("approval", key), "queued after approval", actor=actor))
    )
