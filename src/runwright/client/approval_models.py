"""What the API answers about approvals."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class ApprovalDecision(msgspec.Struct, kw_only=True):
    """What a person decided; `self_approved`: they had made the run, and nobody else could approve."""

    decision: str
    actor: str = ""
    name: str | None = None
    role: str = ""
    comment: str | None = None
    self_approved: bool = False
    decided_at: datetime | None = None


class Approval(Record, kw_only=True):
    """Something that a run asks people to approve; no decision until `expires_at` is a denial."""

    checkpoint_id: str
    run_id: str
    gate_id: str = ""
    status: str = ""
    risk: str = ""
    summary: str = ""
    subject: dict[str, Any] = msgspec.field(default_factory=dict)
    subject_sha256: str = ""
    required: dict[str, Any] = msgspec.field(default_factory=dict)
    decisions: list[ApprovalDecision] = msgspec.field(default_factory=list)
    evidence_refs: list[str] = msgspec.field(default_factory=list)
    requested_by: str = ""
    requested_at: datetime | None = None
    expires_at: datetime | None = None
    decided_at: datetime | None = None
