"""Votes within one transaction of the commit: who else may approve, and the list of what people are asked.

Who else may is read where the vote is decided: as soon as a second person may approve, and that was committed, nobody
approves a run of their own. The list (`approvals`) is the fold of the logs, written in the transaction that appends to
them; the run's row is locked, so nobody else writes of its approvals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runwright.domain import checkpoints
from runwright.domain.approval import SCOPE, others_may
from runwright.domain.commands import Answer, Vote
from runwright.domain.run import Run, Spec
from runwright.domain.tenancy import Role
from runwright.engine.batch import Batch
from runwright.store.base import Transaction
from runwright.store.queries import approvals as q

ANCESTORS_MAX = 100
PEOPLE_MAX = 1000
"""How many who may approve are looked at; where there are more, one of them may."""


class _Counted(Struct, frozen=True):
    """Who made the run that is voted on, and whether somebody else may approve."""

    maker: str | None
    others: bool


class Ballot:
    """The votes of a transaction, and the runs of which it tells something that people decide."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self._votes = votes
        self._found: dict[str, _Counted] = {}

    async def look(self, tx: Transaction, runs: Mapping[str, Run]) -> None:
        """See who made the runs that are voted on, and who else may approve there."""
        for run_id in dict.fromkeys(vote.run_id for vote in self._votes):
            run = runs.get(run_id)
            asked = None if run is None or run.wait is None else run.wait.approval
            if run is None or asked is None:
                continue
            maker = await _maker(tx, run.spec)
            others = True
            if any(each.run_id == run_id and each.by.user_id == maker for each in self._votes):
                people = await _people(tx, run.spec)
                others = people is None or others_may(asked.required, people, maker)
            self._found[run_id] = _Counted(maker, others)

    def counted(self, vote: Vote | Answer) -> Vote | Answer:
        """Return a vote with what was seen; what is none stays as it is."""
        found = self._found.get(vote.run_id)
        return (
            vote if found is None or isinstance(vote, Answer) else replace(vote, maker=found.maker, others=found.others)
        )

    async def settle(self, tx: Transaction, batch: Batch) -> None:
        """Write down what the logs tell of approvals."""
        for run_id in batch.asking:
            spec = batch.after[run_id].spec
            for event in batch.events.get(run_id, ()):
                if not checkpoints.tells(event):
                    continue
                if event.type == "approval.requested":
                    await tx.fetch(q.INSERT, **_row(spec, checkpoints.opened(event)))
                    continue
                checkpoint_id = checkpoints.checkpoint_id_of(event)
                for (before,) in await tx.fetch(q.STORED, checkpoint_id=checkpoint_id):
                    now = checkpoints.followed(checkpoints.read(before), event)
                    moved = {"status": now.status, "decided_at": now.decided_at, "checkpoint": checkpoints.stored(now)}
                    await tx.fetch(q.MOVE, row=checkpoint_id, **moved)


async def _maker(tx: Transaction, spec: Spec) -> str | None:
    """Return the user behind a run: who made it, or the run that made it, or the key of the service that did."""
    for _ in range(ANCESTORS_MAX):
        if spec.created_by_user_id is not None or spec.parent_run_id is None:
            break
        above = (await tx.specs([spec.parent_run_id])).get(spec.parent_run_id)
        if above is None:
            break
        spec = above
    return spec.created_by_user_id or await _user_behind(tx, spec.org_id, spec.created_by)


async def _user_behind(tx: Transaction, org_id: str, label: str) -> str | None:
    """Return the user who made the key of a service, or the key that made it, and so on up."""
    for _ in range(ANCESTORS_MAX):
        kind, _, name = label.partition(":")
        if kind != "service":
            return name if kind == "user" else None
        made_by = await tx.fetch(q.MAKER_OF_KEY, org_id=org_id, key_id=name)
        label = made_by[0][0] if made_by else ""
    return None


async def _people(tx: Transaction, spec: Spec) -> list[tuple[str, Role]] | None:
    """Return who has a role that may approve in the run's project; None where there are too many to look at."""
    where: dict[str, Any] = {"org_id": spec.org_id, "project_id": spec.project_id, "limit": PEOPLE_MAX}
    members = await tx.fetch(q.MEMBERS, **where)
    keys = await tx.fetch(q.KEYS, **where, now=tx.now)
    if len(members) == PEOPLE_MAX or len(keys) == PEOPLE_MAX:
        return None
    found: list[tuple[str, Role]] = [(user_id, role) for user_id, role in members]
    for user_id, scopes in keys:
        given = scopes.split()
        if "admin" in given or SCOPE in given:
            found.append((user_id, "admin" if "admin" in given else "approver"))
    return found


def _row(spec: Spec, made: checkpoints.Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint_id": made.checkpoint_id,
        "run_id": spec.run_id,
        "org_id": spec.org_id,
        "project_id": spec.project_id,
        "status": made.status,
        "requested_at": made.requested_at,
        "expires_at": made.expires_at,
        "decided_at": made.decided_at,
        "checkpoint": checkpoints.stored(made),
    }
