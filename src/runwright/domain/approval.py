"""Approvals: what a run asks people to allow, who may decide it, and what its log says of that.

An approval is bound to a subject by its digest: who approves names the digest of what they saw, and it holds for that
alone. No decision in time is a denial. Executors ask with an `ApprovalRequest`; its texts are redacted into an `Ask`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.redaction import RedactedText, Redactor
from runwright.domain.tenancy import Actor, Role
from runwright.errors import NotAnApprover, SelfApproval, TooLarge

Risk = Literal["low", "medium", "high", "critical"]
Verdict = Literal["approve", "deny"]
Status = Literal["pending", "approved", "denied", "expired", "superseded"]

SCOPE = "approvals:decide"
SUBJECT_MAX_BYTES = 262_144
"""How large the description of a subject may be; of a larger one an artifact has the rest."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$", description="SHA-256 in hex.")]
Quorum = Annotated[int, Meta(ge=1, le=20, description="How many different people must approve.")]
TtlSeconds = Annotated[int, Meta(ge=1, le=31_536_000, description="Seconds until no decision is a denial.")]
Excluded = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
    Meta(max_length=100, description="Ids of users who may not decide."),
]
Roles = Annotated[tuple[Role, ...], Meta(min_length=1, max_length=4, description="The roles that may decide.")]
DECIDERS: tuple[Role, ...] = ("approver", "admin")
"""The roles that have the scope; others may be named, and still decide nothing."""


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor asks people to allow, as it came: what is at risk, and of which subject, named by its digest.

    `subject` tells approvers what it is (`kind` first of all; a diff's text as `diff`).
    """

    gate_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}(?!\n)$")]
    summary: Annotated[str, Meta(min_length=1, max_length=4096)]
    subject_sha256: Digest
    subject: dict[str, Any]
    risk: Risk = "medium"
    quorum: Quorum = 1
    roles: Roles = DECIDERS
    exclude_actors: Excluded = ()
    ttl_s: TtlSeconds = 86_400
    evidence_refs: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=100)] = ()


class Required(msgspec.Struct, frozen=True):
    """What it takes: so many different people of these roles, and none of those."""

    quorum: int
    roles: tuple[Role, ...]
    exclude_actors: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes into the log: redacted, with its id. `subject` has the digest as its `sha256`."""

    checkpoint_id: str
    gate_id: str
    risk: Risk
    summary: RedactedText
    subject: dict[str, Any]
    subject_sha256: str
    required: Required
    evidence_refs: tuple[str, ...]
    ttl_s: int


class Open(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a waiting run must know of what it asks, to decide: a part of its `Wait`. `approved_by`: users, so far."""

    gate_id: str
    subject_sha256: str
    required: Required
    requested_at: int = 0
    approved_by: tuple[str, ...] = ()


class Voter(msgspec.Struct, frozen=True):
    """A person who decides, by the role that counts."""

    user_id: str
    role: Role
    name: str | None = None


class Have(msgspec.Struct, frozen=True):
    """How many approvals there are, and how many it takes."""

    have: int
    need: int


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """`approval.requested`: the run asks people to allow something, at most until `expires_at`."""

    checkpoint_id: str
    gate_id: str
    risk: Risk
    summary: RedactedText
    subject: dict[str, Any]
    subject_sha256: str
    required: Required
    evidence_refs: tuple[str, ...]
    requested_by: str
    expires_at: str
    due_at: int


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """`approval.approved`, `approval.denied`: a person decided it. `approval.voted`: one of several approvals.

    `self_approved`: by who made the run, as nobody else could.
    """

    checkpoint_id: str
    gate_id: str
    decision: Verdict
    actor: str
    name: str | None
    role: Role
    comment: RedactedText | None
    subject_sha256: str
    quorum: Have
    self_approved: bool


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """`approval.expired`: nobody decided it in time, which is a denial."""

    checkpoint_id: str
    gate_id: str
    expires_at: str
    quorum: Have


class Superseded(msgspec.Struct, frozen=True, kw_only=True):
    """`approval.superseded`: the run asks it no more; `reason`: where the run went instead."""

    checkpoint_id: str
    gate_id: str
    reason: str


RECORDS: dict[str, type[msgspec.Struct]] = {
    "approval.requested": Requested,
    "approval.voted": Decided,
    "approval.approved": Decided,
    "approval.denied": Decided,
    "approval.expired": Expired,
    "approval.superseded": Superseded,
}
"""What a log says of approvals: type → shape. After `requested` and any `voted` comes exactly one of the others."""

CLOSES = frozenset(RECORDS) - {"approval.requested", "approval.voted"}
"""The event types after which nothing is left to decide."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def digest_of(subject: Any) -> str:
    """Return the digest of a subject that is JSON and no file: SHA-256 of its canonical bytes, in hex."""
    return sha256(_encode(subject)).hexdigest()


def ask(asked: ApprovalRequest, redactor: Redactor, checkpoint_id: str) -> Ask:
    """Return a request redacted. Raises `TooLarge`, and `msgspec.ValidationError` for what is out of bounds."""
    asked = msgspec.convert(msgspec.to_builtins(asked), ApprovalRequest)
    subject = redactor.data({**asked.subject, "sha256": ""})
    if len(subject) > SUBJECT_MAX_BYTES:
        raise TooLarge(
            f"the subject of an approval has at most {SUBJECT_MAX_BYTES} bytes: keep the rest as an artifact"
        )
    return Ask(
        checkpoint_id=checkpoint_id,
        gate_id=asked.gate_id,
        risk=asked.risk,
        summary=redactor.text(asked.summary),
        subject={**msgspec.json.decode(subject), "sha256": asked.subject_sha256},
        subject_sha256=asked.subject_sha256,
        required=Required(asked.quorum, asked.roles, asked.exclude_actors),
        evidence_refs=tuple(redactor.text(each) for each in asked.evidence_refs),
        ttl_s=asked.ttl_s,
    )


def requested(asked: Ask, by: str, expires_at: str, due_at: int) -> Requested:
    """Return what `approval.requested` says."""
    told = {name: getattr(asked, name) for name in Ask.__struct_fields__ if name != "ttl_s"}
    return Requested(**told, requested_by=by, expires_at=expires_at, due_at=due_at)


def voter_of(actor: Actor) -> Voter:
    """Return the person behind a caller. Raises `NotAnApprover` for services, `MissingScope` for other people.

    A user who is a member of nothing has the role that the scopes of their key stand for.
    """
    if actor.user_id is None:
        raise NotAnApprover("services, agents and runs decide no approvals; use the key or the login of a person")
    actor.require(SCOPE)
    role: Role = actor.role or ("admin" if "admin" in actor.scopes else "approver")
    return Voter(actor.user_id, role, actor.name)


def decidable(roles: Iterable[Role]) -> bool:
    """Tell whether anybody of these roles may decide; without, an approval could only expire."""
    return not set(roles).isdisjoint(DECIDERS)


def eligible(required: Required, user_id: str, role: Role) -> bool:
    """Tell whether a person may decide."""
    left_out = required.exclude_actors
    return role in required.roles and role in DECIDERS and not {user_id, f"user:{user_id}"}.intersection(left_out)


def require_may_decide(required: Required, voter: Voter, verdict: Verdict, maker: str | None, *, others: bool) -> bool:
    """Let a person decide; tell whether it is the approval of who made the run (`maker`).

    Raises `NotAnApprover`, and `SelfApproval` where `others` may approve. Who made a run may always deny it.
    """
    if not eligible(required, voter.user_id, voter.role):
        raise NotAnApprover(
            "this is for others to decide", data={"roles": required.roles, "exclude_actors": required.exclude_actors}
        )
    own = verdict == "approve" and voter.user_id == maker
    if own and others:
        raise SelfApproval
    return own


def others_may(required: Required, people: Iterable[tuple[str, Role]], maker: str | None) -> bool:
    """Tell whether somebody among these (user, role) may approve who did not make the run."""
    return any(user_id != maker and eligible(required, user_id, role) for user_id, role in people)
