"""Check one artifact after another: whether its bytes are there, and are those that its digest says."""

from __future__ import annotations

import hashlib

from runwright.domain.ports import ArtifactStore
from runwright.errors import NotFound, StoreError, StoreUnavailable

TRIES = 3
"""So many artifacts in a row that cannot be reached say that none can be."""


class ArtifactCheck:
    """Looks at artifacts. `gone`: so many in a row could not be reached that there is no use in looking at more."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._missed = 0

    @property
    def gone(self) -> bool:
        """Tell whether none can be reached."""
        return self._missed >= TRIES

    async def wrong(self, digest: str) -> str | None:
        """Return what is wrong with an artifact; None: nothing."""
        try:
            found = await self._hash(digest)
        except StoreUnavailable as trouble:
            self._missed += 1
            return trouble.detail
        except (NotFound, StoreError) as broken:
            self._missed = 0
            return "is missing" if isinstance(broken, NotFound) else broken.detail
        self._missed = 0
        return None if found == digest else "has other bytes than its digest says"

    async def _hash(self, digest: str) -> str:
        found = hashlib.sha256()
        async for piece in self._artifacts.pieces(digest, 0, await self._artifacts.size(digest)):
            found.update(piece)
        return found.hexdigest()
