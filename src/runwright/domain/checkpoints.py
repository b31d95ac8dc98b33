"""What became of the approvals of a run, folded out of its log: the list that people see is this, written down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.domain import approval as g
from runwright.domain.events import Event
from runwright.domain.redaction import RedactedText
from runwright.domain.tenancy import Role


class Vote(msgspec.Struct, frozen=True):
    """What a person decided, and when; `self_approved` as in `approval.Decided`."""

    decision: g.Verdict
    actor: str
    name: str | None
    role: Role
    comment: RedactedText | None
    self_approved: bool
    decided_at: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that a run asked for, and what became of it: `decisions` in order, `decided_at` once it is closed."""

    checkpoint_id: str
    run_id: str
    gate_id: str
    risk: g.Risk
    summary: RedactedText
    subject: dict[str, Any]
    subject_sha256: str
    required: g.Required
    evidence_refs: tuple[str, ...]
    requested_by: str
    requested_at: int
    expires_at: int
    status: g.Status = "pending"
    decisions: tuple[Vote, ...] = ()
    decided_at: int | None = None

    def allows(self, subject_sha256: str) -> bool:
        """Tell whether it was approved, for this very subject: an approval holds for no other."""
        return self.status == "approved" and self.subject_sha256 == subject_sha256


_STATUS: dict[str, g.Status] = {
    "approval.approved": "approved",
    "approval.denied": "denied",
    "approval.expired": "expired",
    "approval.superseded": "superseded",
}
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Checkpoint).decode
_requested = msgspec.json.Decoder(g.Requested).decode
_decided = msgspec.json.Decoder(g.Decided).decode


def tells(event: Event) -> bool:
    """Tell whether an event is about an approval."""
    return event.type in g.RECORDS


def opened(event: Event) -> Checkpoint:
    """Return what `approval.requested` asks for."""
    told = _requested(event.data or b"")
    shared = {name: getattr(told, name) for name in g.Ask.__struct_fields__ if name != "ttl_s"}
    return Checkpoint(
        **shared,
        run_id=event.run_id,
        requested_by=told.requested_by,
        requested_at=event.created_at,
        expires_at=told.due_at,
    )


def checkpoint_id_of(event: Event) -> str:
    """Return which approval an event is about."""
    found: str = msgspec.json.decode(event.data or b"")["checkpoint_id"]
    return found


def followed(checkpoint: Checkpoint, event: Event) -> Checkpoint:
    """Return the approval after an event that came later."""
    decisions = checkpoint.decisions
    if event.type in ("approval.voted", "approval.approved", "approval.denied"):
        told = _decided(event.data or b"")
        by = (told.actor, told.name, told.role, told.comment, told.self_approved)
        decisions = (*decisions, Vote(told.decision, *by, event.created_at))
    status = _STATUS.get(event.type, checkpoint.status)
    closed = event.created_at if event.type in g.CLOSES else checkpoint.decided_at
    return replace(checkpoint, decisions=decisions, status=status, decided_at=closed)


def fold(events: Iterable[Event]) -> dict[str, Checkpoint]:
    """Return the approvals of a log, by id, in the order in which they were asked for. Erased events tell nothing."""
    found: dict[str, Checkpoint] = {}
    for event in events:
        if not tells(event) or event.data is None:
            continue
        if event.type == "approval.requested":
            made = opened(event)
            found[made.checkpoint_id] = made
        elif (before := found.get(checkpoint_id_of(event))) is not None:
            found[before.checkpoint_id] = followed(before, event)
    return found


def stored(checkpoint: Checkpoint) -> bytes:
    """Return an approval as its row keeps it."""
    return _encode(checkpoint)


def read(row: bytes) -> Checkpoint:
    """Return what `stored` wrote."""
    return _decode(row)
