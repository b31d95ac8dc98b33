"""Spans of a run's log, and of the dispatches of its attempts, to the shapes of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from runwright.api import instants
from runwright.api.jobs.insight_schemas import Span
from runwright.domain import timeline
from runwright.domain.run import Trace
from runwright.store.base import Attempt

_read_trace = msgspec.json.Decoder(Trace).decode
_PHASES = ("dns", "tcp", "tls", "ttfb", "transfer")


def span_views(spans: Sequence[timeline.Span], attempts: Iterable[Attempt]) -> list[Span]:
    """Return spans with their parents: what was told in an attempt is the attempt's, and so are its dispatch's phases.

    Phases follow each other from the begin of the attempt on; a phase that was not there has no span.
    """
    ids = {span.lease_epoch: f"span.{span.seq}" for span in spans if span.kind == "attempt"}
    shown = [_view(span, None if span.kind in ("state", "attempt") else ids.get(span.lease_epoch)) for span in spans]
    for attempt in attempts:
        if attempt.trace is not None and attempt.lease_epoch in ids:
            shown += _phases(attempt, _read_trace(attempt.trace), ids[attempt.lease_epoch])
    return sorted(shown, key=lambda span: span.started_at)


def _view(span: timeline.Span, parent_id: str | None) -> Span:
    return Span(
        id=f"span.{span.seq}",
        parent_id=parent_id,
        kind=span.kind,
        name=span.name,
        started_at=instants.text(span.started_at),
        ended_at=None if span.ended_at is None else instants.text(span.ended_at),
        duration_us=None if span.ended_at is None else span.ended_at - span.started_at,
        attempt=span.attempt,
        lease_epoch=span.lease_epoch,
        reason=span.reason,
    )


def _phases(attempt: Attempt, trace: Trace, parent_id: str) -> Iterator[Span]:
    at = attempt.started_at
    for phase in _PHASES:
        length: int = getattr(trace, f"{phase}_us")
        if length:
            yield Span(
                id=f"{parent_id}.{phase}",
                parent_id=parent_id,
                kind="dispatch",
                name=phase,
                started_at=instants.text(at),
                ended_at=instants.text(at + length),
                duration_us=length,
                attempt=attempt.attempt,
                lease_epoch=attempt.lease_epoch,
                reason=None,
            )
        at += length
