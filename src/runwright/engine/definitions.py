"""The definitions that runs were made with: versions never change, so they are remembered."""

from __future__ import annotations

from runwright.domain.job import JobDefinition
from runwright.store.base import Store
from runwright.store.queries import jobs as q

CACHE_MAX = 10_000


class Definitions:
    """Finds the definition of a version; at most `CACHE_MAX` are remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, JobDefinition] = {}

    async def find(self, job_version_id: str | None) -> JobDefinition | None:
        """Return the definition of a version, None where there is none."""
        known = self._known.get(job_version_id or "")
        if known is not None or job_version_id is None:
            return known
        rows = await self._store.fetch(q.VERSION, job_version_id=job_version_id)
        if not rows:
            return None
        if len(self._known) >= CACHE_MAX:
            self._known.clear()
        definition = self._known[job_version_id] = q.version(rows[0]).definition
        return definition
