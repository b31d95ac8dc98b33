"""The routes of approvals: what runs ask people, and what people decide."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, idempotency_key
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import approval_schemas as wire
from runwright.api.slices import part
from runwright.domain.checkpoints import Checkpoint
from runwright.errors import NotAnApprover

routes = Routes(tag="approvals")
PREFIX = "apr"


@addresses.post(
    routes,
    "/{run_id}/approvals",
    scope="approvals:decide",
    run_tokens=True,
    headers=HEADERS,
    answers={
        403: "The caller is no person, has not the role (`NOT_AN_APPROVER`), or made the run and somebody else may"
        " approve it (`SELF_APPROVAL_FORBIDDEN`)",
        409: "It was decided, or is asked no more (`ALREADY_DECIDED`); its subject is another (`SUBJECT_CHANGED`)",
        410: "It was not decided in time, which is a denial (`APPROVAL_EXPIRED`)",
    },
    summary="Approve or deny what a run asks",
)
async def decide_approval(call: Call, run_id: str, body: wire.DecideRequest) -> wire.Approval:
    """Decide an approval, as a person, about the subject of this digest; the run goes on with the last decision.

    One denial denies; so many different people as it takes approve. Tokens of runs are known here, and refused.
    """
    if call.lease is not None:
        raise NotAnApprover("runs decide no approvals; use the key or the login of a person")
    made = await call.services.approvals.decide(
        call.services.engine.reader(call.actor),
        call.actor,
        run_id,
        body.checkpoint_id,
        body.decision,
        body.subject_sha256,
        body.comment,
        idempotency_key=idempotency_key(call),
        asked_by=call.request_id,
    )
    return _view(made)


@addresses.get(routes, "/{run_id}/approvals", scope="runs:read", summary="List what a run asked people")
async def list_run_approvals(call: Call, run_id: str, query: PageQuery) -> Page[wire.Approval]:
    """List what a run asked people to approve, oldest first, with what became of it."""
    window = query.window(call.services.settings, order="asc")
    reader = call.services.engine.reader(call.actor)
    rows = await call.services.approvals.of_run(reader, call.actor, run_id, part(window, PREFIX))
    return Page.of(rows, window, _view, lambda row: row.checkpoint_id)


@routes.get(
    "/api/v1/approvals",
    scope="runs:read",
    answers={404: "The project is not the caller's"},
    summary="List what runs ask people",
)
async def list_approvals(call: Call, query: wire.ApprovalsQuery) -> Page[wire.Approval]:
    """List approvals of a project, or of all that the caller may see, newest first; `status=pending` is the inbox."""
    office = call.services
    window = query.window(office.settings, order="desc")
    named = query.project_id
    project = None if named is None else await office.tenants.resolve_project(call.actor, named)
    rows = await office.approvals.page(call.actor, project, query.status, part(window, PREFIX))
    return Page.of(rows, window, _view, lambda row: row.checkpoint_id)


def _view(made: Checkpoint) -> wire.Approval:
    return wire.Approval(
        checkpoint_id=made.checkpoint_id,
        run_id=made.run_id,
        gate_id=made.gate_id,
        status=made.status,
        risk=made.risk,
        summary=made.summary,
        subject=made.subject,
        subject_sha256=made.subject_sha256,
        required=wire.RequiredApproval(
            quorum=made.required.quorum, roles=made.required.roles, exclude_actors=made.required.exclude_actors
        ),
        decisions=[
            wire.ApprovalDecision(
                decision=vote.decision,
                actor=vote.actor,
                name=vote.name,
                role=vote.role,
                comment=vote.comment,
                self_approved=vote.self_approved,
                decided_at=instants.text(vote.decided_at),
            )
            for vote in made.decisions
        ],
        evidence_refs=made.evidence_refs,
        requested_by=made.requested_by,
        requested_at=instants.text(made.requested_at),
        expires_at=instants.text(made.expires_at),
        decided_at=None if made.decided_at is None else instants.text(made.decided_at),
    )
