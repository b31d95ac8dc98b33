"""What people decide: the approvals that runs ask for, listed for those who may see them, and decided by those who may.

The commit decides, under the run's row; here a caller becomes a person, and a refusal says what became of the approval.
"""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain import checkpoints
from runwright.domain.accounts import Project
from runwright.domain.approval import Status, Verdict, voter_of
from runwright.domain.checkpoints import Checkpoint
from runwright.domain.commands import Vote
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.engine import Engine
from runwright.engine.reader import Reader
from runwright.errors import AlreadyDecided, ApprovalExpired, Conflict, NotFound
from runwright.store.base import Row
from runwright.store.idempotent import key_for
from runwright.store.queries import approvals as q
from runwright.store.queries.shapes import Pages, Slice, read

OPERATION = "approvals.decide"


class Approvals:
    """Lists approvals and decides them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store

    async def decide(
        self,
        reader: Reader,
        actor: Actor,
        run_id: str,
        checkpoint_id: str,
        verdict: Verdict,
        subject_sha256: str,
        comment: str | None = None,
        *,
        idempotency_key: str | None = None,
        asked_by: str | None = None,
    ) -> Checkpoint:
        """Decide an approval for the subject of this digest; return how it stands after that.

        Raises `NotAnApprover`, `SelfApproval`, `SubjectChanged`, `AlreadyDecided` (also where the run asks it no more),
        `ApprovalExpired`, and `NotFound` for what is not the caller's, or was erased.
        """
        by = voter_of(actor)
        spec = (await reader.run(run_id)).run.spec
        await self._one(actor, run_id, checkpoint_id)
        request = [checkpoint_id, verdict, subject_sha256, comment, actor.label]
        redactor = self._engine.vault.redactors.of(spec.project_id)
        vote = Vote(
            run_id=run_id,
            checkpoint_id=checkpoint_id,
            verdict=verdict,
            subject_sha256=subject_sha256,
            by=replace(by, name=None if by.name is None else redactor.text(by.name)),
            cause=Cause(actor.label, None, asked_by),
            comment=None if comment is None else redactor.text(comment),
            idempotency=key_for(spec.project_id, f"{OPERATION}/{run_id}", idempotency_key, request),
        )
        try:
            await self._engine.commit.apply(vote)
        except AlreadyDecided as refusal:
            raise _told(refusal, await self._one(actor, run_id, checkpoint_id)) from None
        return await self._one(actor, run_id, checkpoint_id)

    async def of_run(self, reader: Reader, actor: Actor, run_id: str, part: Slice) -> list[Checkpoint]:
        """Return what a run asked people, and what became of it. Raises `NotFound`."""
        await reader.run(run_id)
        rows = await read(self._store.within(actor.org_id), q.OF_RUN, part, run_id=run_id)
        return [_checkpoint(row) for row in rows]

    async def page(self, actor: Actor, project: Project | None, status: Status | None, part: Slice) -> list[Checkpoint]:
        """Return what runs ask people in a project, or in all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        where = {"org_id": actor.org_id} if project_id is None else {"project_id": project_id}
        if status is not None and not (status == "pending" and project_id is None):
            where["status"] = status
        rows = await read(own, _listing(project_id, status), part, **where)
        return [_checkpoint(row) for row in rows]

    async def _one(self, actor: Actor, run_id: str, checkpoint_id: str) -> Checkpoint:
        own = self._store.within(actor.org_id)
        rows = await own.fetch(q.ONE, run_id=run_id, checkpoint_id=checkpoint_id)
        if not rows:
            raise NotFound("approval", checkpoint_id)
        return _checkpoint(rows[0])


def _listing(project_id: str | None, status: Status | None) -> Pages:
    if project_id is None:
        return q.OF_ORG if status is None else q.PENDING if status == "pending" else q.OF_ORG_IN
    return q.OF_PROJECT if status is None else q.OF_PROJECT_IN


def _checkpoint(row: Row) -> Checkpoint:
    return checkpoints.read(row[1])


def _told(refusal: AlreadyDecided, now: Checkpoint) -> Conflict | ApprovalExpired:
    """Return a refusal that says what became of the approval."""
    data = {"checkpoint_id": now.checkpoint_id, "status": now.status}
    if now.status == "expired":
        return ApprovalExpired("nobody decided it in time, which is a denial", data=data)
    if now.status == "superseded":
        return AlreadyDecided("the run asks this no more: it was stopped or began again", data=data)
    if now.status == "pending":
        return AlreadyDecided(refusal.detail, data=data)
    return AlreadyDecided(f"it is {now.status} already", data=data)
