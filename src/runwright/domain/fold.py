"""Fold a log back into the state it tells: the proof that a status cannot lie."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain import events as e
from runwright.domain.amendments import Rescheduled
from runwright.domain.run import State


class Opening(msgspec.Struct, frozen=True):
    """What the first event of an agent's or a runtime run says of its state."""

    state: State
    due_at: int | None = None
    reason: str | None = None


class Folded(msgspec.Struct, frozen=True):
    """What the events of a run say about it."""

    state: State | None = None
    reason: str | None = None
    attempt: int = 1
    lease_epoch: int = 0
    due_at: int | None = None
    seq: int = 0


def fold(events: Iterable[e.Event], start: Folded | None = None) -> Folded:
    """Return what the events, in order, add up to; records that change no state only move `seq`."""
    folded = start or Folded()
    for event in events:
        folded = replace(_step(folded, event), seq=event.seq)
    return folded


def _step(folded: Folded, event: e.Event) -> Folded:
    entry = e.CATALOGUE[event.type]
    if entry.kind != "lifecycle" or entry.by_job or entry.by_runtime:
        return folded
    if event.data is None:
        raise ValueError(f"the data of {event.event_id} were erased: the log tells no state any more")
    opens = event.seq == 1 and entry.of_agent is not None
    data = msgspec.json.decode(event.data, type=Opening if opens else entry.data)
    match data:
        case e.Created() | Opening():
            reason = data.reason or ("delay" if data.due_at else None)
            return replace(folded, state=data.state, reason=reason, due_at=data.due_at)
        case Rescheduled():
            reason = data.reason or ("delay" if data.due_at else None)
            return replace(folded, state=data.state, reason=reason, due_at=data.due_at)
        case e.Started():
            return replace(folded, state="executing", reason=None, attempt=data.attempt, lease_epoch=data.lease_epoch)
        case e.Queued() | a.Recovered():
            return replace(folded, state="queued", reason=None, due_at=None)
        case e.Joined():
            return replace(folded, due_at=data.due_at)
        case e.Waiting():
            return replace(folded, state="waiting", reason=data.reason, due_at=data.due_at)
        case a.WaitingForInput():
            reason = "approval" if data.kind == "approval" else "input"
            return replace(folded, state="waiting", reason=reason, due_at=data.due_at)
        case e.Woken():
            return replace(folded, due_at=None)
        case e.Retrying():
            return replace(folded, state="scheduled", reason="retry", due_at=data.due_at)
        case e.StopRequested() | e.RestartRequested():
            return replace(folded, reason=data.reason)
        case e.PausedData():
            return replace(folded, state="paused", reason=data.reason)
        case e.Resumed():
            return replace(folded, state=data.state, reason=data.reason, due_at=data.due_at)
        case _:
            return _ended(folded, data)


def _ended(folded: Folded, data: object) -> Folded:
    match data:
        case e.CompletedData():
            return replace(folded, state="completed", reason=None, due_at=None)
        case e.FailedData():
            return replace(folded, state="failed", reason=data.reason, due_at=None)
        case e.CancelledData():
            return replace(folded, state="cancelled", reason=data.reason, due_at=None)
        case e.ExpiredData():
            return replace(folded, state="expired", reason="ttl", due_at=None)
        case _:
            return folded
