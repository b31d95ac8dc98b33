"""Artifacts: upload bytes, find what one uploaded, tell what a run's values lie in, and remove what nothing names."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.instants import HOUR_US
from runwright.domain.ports import ArtifactStore
from runwright.domain.tenancy import Actor
from runwright.errors import Conflict, NotFound, StoreError
from runwright.store.base import Store, Transaction
from runwright.store.queries import artifacts as sql
from runwright.store.queries.artifacts import Uploaded
from runwright.telemetry import report

FOLDERS_A_ROUND = 4
CHUNK = 500


class Lying(msgspec.Struct, frozen=True):
    """A value of a run that lies in an artifact."""

    kind: str
    key: str
    digest: str
    created_at: int


class Artifacts:
    """Callers see what their organization uploaded, or the project that they are bound to. Equal bytes are one file."""

    def __init__(self, store: Store, files: ArtifactStore, clock: Clock, *, orphan_h: float) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._orphan_us = int(orphan_h * HOUR_US)
        self._folder = 0

    async def upload(self, actor: Actor, project: Project, parts: AsyncIterator[bytes]) -> tuple[Uploaded, bool]:
        """Store bytes as they come; return what the caller sees of them, and whether it sees them only now."""
        digest, size = await self._files.receive(parts)

        async def name(tx: Transaction) -> tuple[Uploaded, bool]:
            place = {"org_id": project.org_id, "project_id": project.project_id, "digest": digest}
            before = await tx.fetch(_within(actor, sql.UPLOADED, sql.UPLOADED_IN_PROJECT), **_asked(actor, digest))
            made = Uploaded(**place, size=size, created_at=tx.now, created_by=actor.label)
            if not await tx.fetch(sql.UPLOADED_IN_PROJECT, **place):
                await tx.fetch(sql.INSERT, **msgspec.structs.asdict(made))
            return (Uploaded(*before[0]), False) if before else (made, True)

        return await self._store.write(name)

    async def find(self, actor: Actor, digest: str) -> Uploaded:
        """Return what the caller's organization uploaded under a digest.

        Raises `NotFound`, and `Conflict` for a sealed value of a run that the caller may see.
        """
        asked, own = _asked(actor, digest), self._store.within(actor.org_id)
        found = await own.fetch(_within(actor, sql.UPLOADED, sql.UPLOADED_IN_PROJECT), **asked)
        if not found:
            if await own.fetch(_within(actor, sql.SEALED, sql.SEALED_IN_PROJECT), **asked):
                raise Conflict(
                    "the artifact is a sealed value of a run; read it with the run's outputs, checkpoints or state",
                    code="artifacts.sealed",
                )
            raise NotFound("artifact", digest)
        uploaded = Uploaded(*found[0])
        if await self.size(digest) != uploaded.size:
            raise StoreError(f"the artifact {digest} is not whole on disk; restore it from a backup")
        return uploaded

    async def known(self, org_id: str, project_id: str, digest: str) -> bool:
        """Tell whether somebody uploaded these bytes to a project."""
        return bool(
            await self._store.fetch(sql.UPLOADED_IN_PROJECT, org_id=org_id, project_id=project_id, digest=digest)
        )

    def pieces(self, digest: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes of an artifact that was found, from `start` to before `stop`."""
        return self._files.pieces(digest, start, stop)

    async def of_run(self, actor: Actor, run_id: str) -> list[Lying]:
        """Return the values, oldest first, that lie in artifacts, of a run that the caller was shown."""
        rows = await self._store.within(actor.org_id).fetch(sql.OF_RUN, run_id=run_id)
        return [Lying(*row) for row in rows]

    async def size(self, digest: str) -> int | None:
        """Return how large an artifact is; None where its file is not there."""
        try:
            return await self._files.size(digest)
        except NotFound:
            return None

    async def forget(self, digests: Sequence[str]) -> None:
        """Remove the files of values that went, but those that another row names."""
        gone = [digest for digest in digests if not await self._store.fetch(sql.NAMED, first=digest, last=digest)]
        await self._files.remove(gone)

    async def sweep(self) -> None:
        """Remove what nothing names, in the next few folders: what was put long ago by a transaction that failed."""
        before = self._clock.now() - self._orphan_us
        removed = 0
        for _ in range(FOLDERS_A_ROUND):
            aged = await self._files.aged(self._folder, before)
            for start in range(0, len(aged), CHUNK):
                part = aged[start : start + CHUNK]
                rows = await self._store.fetch(sql.NAMED, first=part[0], last=part[-1])
                named = {str(row[0]) for row in rows}
                # Named between the question and the removal: then it was put meanwhile, and is not aged any more.
                removed += await self._files.collect([digest for digest in part if digest not in named], before)
            self._folder = (self._folder + 1) % self._files.folders
        if removed:
            report("artifacts.collected", files=removed)


def _within(actor: Actor, everywhere: Any, in_project: Any) -> Any:
    return everywhere if actor.project_id is None else in_project


def _asked(actor: Actor, digest: str) -> dict[str, str]:
    asked = {"org_id": actor.org_id, "digest": digest}
    return asked if actor.project_id is None else asked | {"project_id": actor.project_id}
