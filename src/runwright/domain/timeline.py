"""Read the log of a run as spans of time: the states it stood in, its attempts, and what its code did in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from runwright.domain.events import CHANGES, Event
from runwright.domain.fold import Folded, fold

Kind = Literal["state", "attempt", "step", "tool", "mark"]

MARKS = frozenset({"checkpoint.saved", "output.saved", "usage.reported", "state.set", "run.progress", "debug.set"})
"""Events that are shown as instants."""

TOLD = CHANGES | MARKS | {"step.completed", "step.unknown", "tool.called"}
"""The types that a timeline is read from."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time (µs); an instant has no length, and what still goes on has no end."""

    kind: Kind
    name: str
    started_at: int
    ended_at: int | None
    attempt: int | None = None
    lease_epoch: int | None = None
    reason: str | None = None
    seq: int


def timeline(events: Iterable[Event]) -> list[Span]:
    """Return the spans that these events tell, in the order in which they began."""
    spans: list[Span] = []
    stands = Folded()
    since: Event | None = None
    for event in events:
        if event.data is None:
            raise ValueError(f"the data of {event.event_id} were erased: the log tells no time any more")
        if event.type not in CHANGES:
            spans += _inside(event, stands)
            continue
        moved = fold([event], stands)
        if (moved.state, moved.lease_epoch) != (stands.state, stands.lease_epoch):
            if since is not None:
                spans.append(_stood(stands, since, event.created_at))
            since = event
        stands = moved
    if since is not None:
        ended = stands.state in ("completed", "failed", "cancelled", "expired")
        spans.append(_stood(stands, since, since.created_at if ended else None))
    return sorted(spans, key=lambda span: (span.started_at, span.seq))


def _stood(stands: Folded, since: Event, until: int | None) -> Span:
    if stands.state == "executing":
        return Span(
            kind="attempt",
            name=f"attempt {stands.attempt}",
            started_at=since.created_at,
            ended_at=until,
            attempt=stands.attempt,
            lease_epoch=stands.lease_epoch,
            seq=since.seq,
        )
    return Span(
        kind="state",
        name=stands.state or "",
        started_at=since.created_at,
        ended_at=until,
        reason=stands.reason,
        seq=since.seq,
    )


def _inside(event: Event, stands: Folded) -> list[Span]:
    data = _decode(event.data or b"{}")
    kind: Kind = {"step": "step", "tool": "tool"}.get(event.type.partition(".")[0], "mark")  # type: ignore[assignment]
    began = event.created_at - round(data.get("duration_ms", 0) * 1000)
    name = data.get("name") or data.get("tool_name") or event.type
    return [
        Span(
            kind=kind,
            name=str(name),
            started_at=min(began, event.created_at),
            ended_at=event.created_at,
            attempt=stands.attempt if stands.state == "executing" else None,
            lease_epoch=event.lease_epoch or None,
            seq=event.seq,
        )
    ]
