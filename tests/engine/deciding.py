"""Runs that ask people to approve something, and people who decide, in worlds over either database."""

from __future__ import annotations

from typing import Any

from runwright import ids
from runwright.domain import checkpoints
from runwright.domain import outcome as o
from runwright.domain.accounts import ApiKey, Member, User
from runwright.domain.approval import ApprovalRequest, Verdict, Voter, ask
from runwright.domain.checkpoints import Checkpoint
from runwright.domain.commands import Vote
from runwright.domain.run import Run, Wait
from runwright.domain.tenancy import Cause, Role
from runwright.engine.engine import Engine
from runwright.store.base import Transaction
from runwright.store.queries.auth import INSERT_KEY, INSERT_MEMBER, INSERT_USER
from tests.engine.world import World

DIGEST = "d" * 64


def gated(engine: Engine, project_id: str = "proj_1", **asked: Any) -> o.Parked:
    """Return the outcome of an attempt that asks people, as `Attempt.request_approval` makes it."""
    usual: dict[str, Any] = {
        "gate_id": "push",
        "summary": "Push 3 files?",
        "subject_sha256": DIGEST,
        "subject": {"kind": "diff", "diff": "+ hunter2-the-secret\n"},
    }
    made = ask(
        ApprovalRequest(**{**usual, **asked}),
        engine.vault.redactors.of(project_id),
        ids.new_id("apr", engine.clock.now()),
    )
    return o.Parked(None, Wait("approval", made.checkpoint_id), approval=made)


async def asking(world: World, **asked: Any) -> Run:
    """Return a run of `user_1` that has just asked people."""
    run_id = await world.submit(world.job())
    runs = {run.run_id: run for run in await world.take(100)}
    return await world.finish(runs[run_id], gated(world.engine, **asked))


def voting(run: Run, user_id: str, verdict: Verdict = "approve", **given: Any) -> Vote:
    """Return a person's vote."""
    assert run.wait is not None
    usual: dict[str, Any] = {"checkpoint_id": run.wait.key, "subject_sha256": DIGEST}
    return Vote(
        run_id=run.run_id,
        verdict=verdict,
        by=Voter(user_id, "approver", user_id),
        cause=Cause(f"user:{user_id}"),
        **{**usual, **given},
    )


async def join(world: World, user_id: str, role: Role = "approver", project_id: str | None = None) -> None:
    """Make a user who is a member of the organization, or of one project."""

    async def work(tx: Transaction) -> None:
        user = User(user_id, "org_1", user_id, None, True, tx.now)
        await tx.fetch(INSERT_USER, **{name: getattr(user, name) for name in User.__struct_fields__})
        member = Member(f"mem_{user_id}", "org_1", project_id, user_id, role, tx.now, "user:user_1")
        row = {name: getattr(member, name) for name in Member.__struct_fields__}
        await tx.fetch(INSERT_MEMBER, **row, removed_at=None)

    await world.store.write(work)


async def folded(world: World, run_id: str) -> list[Checkpoint]:
    """Return what the log of a run tells of its approvals; the list says the same."""
    told = list(checkpoints.fold(await world.events(run_id)).values())
    rows = world.rows("SELECT status, checkpoint FROM approvals WHERE run_id = ?", run_id)
    listed = {(made := checkpoints.read(bytes(row))).checkpoint_id: (status, made) for status, row in rows}
    assert listed == {each.checkpoint_id: (each.status, each) for each in told}
    return told


async def keep_key(world: World, whose: str, /, **given: Any) -> None:
    """Make a user who is a member of nothing, and a key that is theirs unless it is said to be another's."""

    async def work(tx: Transaction) -> None:
        user = User(whose, "org_1", whose, None, True, tx.now)
        await tx.fetch(INSERT_USER, **{name: getattr(user, name) for name in User.__struct_fields__})
        usual: dict[str, Any] = {
            "key_id": "key_1",
            "project_id": None,
            "user_id": whose,
            "scopes": (),
            "created_by": "user:user_1",
        }
        key = ApiKey(org_id="org_1", name="a key", prefix=f"rw_{whose}", created_at=tx.now, **{**usual, **given})
        row = {name: getattr(key, name) for name in ApiKey.__struct_fields__}
        await tx.fetch(INSERT_KEY, **row | {"scopes": " ".join(key.scopes), "digest": key.key_id.encode()})

    await world.store.write(work)
