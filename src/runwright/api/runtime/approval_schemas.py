"""The shapes of approvals on the wire."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runwright.api.pages import PageQuery
from runwright.domain.approval import Digest, Risk, Status, Verdict
from runwright.domain.tenancy import Role

Comment = Annotated[str, Meta(max_length=4096, description="Why; people read it in the log.")]


class DecideRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision about what the caller saw: `subject_sha256` is that of the subject, as it was shown."""

    checkpoint_id: Annotated[str, Meta(min_length=1, max_length=128)]
    decision: Verdict
    subject_sha256: Digest
    comment: Comment | None = None


class ApprovalsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which approvals to list."""

    status: Annotated[Status | None, Meta(description="Those that stand so; by default all.")] = None
    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class RequiredApproval(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes: so many different people of these roles, and none of those."""

    quorum: int
    roles: tuple[Role, ...]
    exclude_actors: tuple[str, ...]


class ApprovalDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided; `self_approved`: they had made the run, and nobody else could approve."""

    decision: Verdict
    actor: str
    name: str | None
    role: Role
    comment: str | None
    self_approved: bool
    decided_at: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that a run asks for. `subject` is what it is about, redacted, with the digest as its `sha256`.

    No decision until `expires_at` is a denial. `superseded`: the run was stopped, or began again.
    """

    checkpoint_id: str
    run_id: str
    gate_id: str
    status: Status
    risk: Risk
    summary: str
    subject: dict[str, Any]
    subject_sha256: str
    required: RequiredApproval
    decisions: list[ApprovalDecision]
    evidence_refs: tuple[str, ...]
    requested_by: str
    requested_at: str
    expires_at: str
    decided_at: str | None
