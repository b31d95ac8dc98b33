"""The directory of jobs: found once, kept in memory, so that a trigger asks the store for nothing."""

from __future__ import annotations

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.tenancy import Actor
from runwright.errors import NotFound
from runwright.store.base import Store
from runwright.store.queries.jobs import JOB, JOB_BY_SLUG, job

CACHE_MAX = 10_000


class JobDirectory:
    """Find jobs by id or slug. Whoever changes a job here, or hears that another process did, calls `forget`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str], Job] = {}
        self._generation = 0

    async def find(self, actor: Actor, ident: str, project: Project | None) -> Job:
        """Return a job by its id, or by its slug in `project`. Raises `NotFound` for what is not the caller's to see.

        With a project, the job is one of it, also when it is named by its id; a slug needs the project.
        """
        by_id = ids.is_id("job", ident)
        place = "" if by_id or project is None else project.project_id
        found = self._known.get((actor.org_id, place, ident))
        if found is None:
            found = await self._look(actor.org_id, place, ident, by_id)
        if (
            found is None
            or not actor.sees(found.org_id, found.project_id)
            or (project is not None and found.project_id != project.project_id)
        ):
            raise NotFound("job", ident)
        return found

    async def _look(self, org_id: str, place: str, ident: str, by_id: bool) -> Job | None:
        generation, own = self._generation, self._store.within(org_id)
        if by_id:
            rows = await own.fetch(JOB, job_id=ident)
        else:
            rows = await own.fetch(JOB_BY_SLUG, project_id=place, slug=ident)
        if not rows:
            return None
        found = job(rows[0])
        # Not after a change that came while the row was read: it would bring the former version back.
        if generation == self._generation:
            if len(self._known) >= CACHE_MAX:
                self._known.clear()
            self._known[org_id, place, ident] = found
        return found

    def forget(self) -> None:
        """Look everything up again: a job has changed."""
        self._generation += 1
        self._known.clear()
