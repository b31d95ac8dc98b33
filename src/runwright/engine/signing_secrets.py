"""The signing secrets of jobs and of webhook subscriptions: made, replaced with a grace, and read by who signs.

A secret lies sealed with the key of its project in a table of its own, under its owner's id: versions, lists, the audit
log and backups of definitions never hold it. Nobody is shown one twice.
"""

from __future__ import annotations

import os

import msgspec

from runwright.domain.ports import ProjectSealer
from runwright.domain.signing import SECRET_BYTES, spelled
from runwright.errors import Conflict
from runwright.store.base import Row, Store, Transaction
from runwright.store.queries import jobs as q

GRACE_S = 86_400.0


class SigningSecrets:
    """Keeps one secret an owner, and beside it the one that it replaced until its grace is over."""

    def __init__(self, store: Store, sealer: ProjectSealer) -> None:
        self._store = store
        self._sealer = sealer

    async def make(self, tx: Transaction, project_id: str, owner_id: str) -> str | None:
        """Make the secret of an owner that has none, and return it; None for one that has one already."""
        if await tx.fetch(q.SECRET, job_id=owner_id):
            return None
        secret, sealed = self._new(project_id, owner_id)
        row = {"job_id": owner_id, "sealed": sealed, "previous": None, "previous_until": None, "changed_at": tx.now}
        await tx.fetch(q.INSERT_SECRET, **row)
        return secret

    async def replace(self, tx: Transaction, project_id: str, owner_id: str, grace_us: int) -> tuple[str, int]:
        """Replace the secret of an owner; return the new one, and until when (µs) the old one signs beside it.

        What was replaced before signs no more. Raises `Conflict` for an owner that has none.
        """
        found = await tx.fetch(q.SECRET, job_id=owner_id)
        if not found:
            raise Conflict("The job has no signing secret: it is not of the mode http, and has no webhook_url.")
        until = tx.now + grace_us
        secret, sealed = self._new(project_id, owner_id)
        await tx.fetch(
            q.SET_SECRET, row=owner_id, sealed=sealed, previous=found[0][0], previous_until=until, changed_at=tx.now
        )
        return secret, until

    async def forget(self, tx: Transaction, owner_id: str) -> None:
        """Remove the secrets of an owner that is deleted."""
        await tx.fetch(q.DELETE_SECRET, job_id=owner_id)

    async def signing(self, project_id: str, owner_id: str, now: int) -> tuple[str, ...]:
        """Return the secrets that sign at `now` (µs), newest first; none for an owner that has none.

        Read each time: whoever replaced one in another process is heard at once.
        """
        rows = await self._store.fetch(q.SECRET, job_id=owner_id)
        await self._sealer.ensure(project_id)
        return tuple(self._open(project_id, owner_id, sealed) for sealed in _valid(rows, now))

    def _new(self, project_id: str, owner_id: str) -> tuple[str, bytes]:
        secret = spelled(os.urandom(SECRET_BYTES))
        return secret, self._sealer.seal(project_id, secret.encode(), context(owner_id))

    def _open(self, project_id: str, owner_id: str, sealed: bytes) -> str:
        return self._sealer.open(project_id, sealed, context(owner_id)).decode()


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation made: the secret, this once, and until when (µs) the one before it signs too."""

    owner_id: str
    secret: str | None
    previous_until: int | None


def _valid(rows: list[Row], now: int) -> list[bytes]:
    if not rows:
        return []
    sealed, previous, until = rows[0]
    return [sealed, previous] if previous is not None and now < until else [sealed]


def context(owner_id: str) -> str:
    """Return what the secret of an owner is bound to."""
    return f"{owner_id}/signing"
