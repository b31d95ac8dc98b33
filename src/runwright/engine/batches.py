"""Read what bulk verbs did."""

from __future__ import annotations

from runwright.domain.batch_operations import BatchOperation
from runwright.domain.tenancy import Actor
from runwright.errors import NotFound
from runwright.store.base import Store
from runwright.store.queries import batches as q
from runwright.store.queries.shapes import Slice, read


class Batches:
    """Batch operations, for a caller who sees their project; those of several projects, for who sees them all."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, actor: Actor, project_id: str | None, part: Slice) -> list[BatchOperation]:
        """Return operations of a project, or without one all of the organization."""
        own = self._store.within(actor.org_id)
        if project_id is None:
            rows = await read(own, q.BATCHES, part, org_id=actor.org_id)
        else:
            rows = await read(own, q.BATCHES_OF_PROJECT, part, org_id=actor.org_id, project_id=project_id)
        return [q.batch(row) for row in rows]

    async def find(self, actor: Actor, batch_id: str) -> BatchOperation:
        """Return an operation. Raises `NotFound`, also for another's."""
        rows = await self._store.within(actor.org_id).fetch(q.BATCH, batch_id=batch_id)
        found = q.batch(rows[0]) if rows else None
        hidden = found is not None and actor.project_id not in (None, found.project_id)
        if found is None or found.org_id != actor.org_id or hidden:
            raise NotFound("batch", batch_id)
        return found
