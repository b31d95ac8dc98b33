"""The verbs of dependencies between jobs, and what every process keeps in memory of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from runwright import ids
from runwright.domain.dependency import Dependency, cycle
from runwright.domain.errands import errand
from runwright.domain.job import Job
from runwright.domain.tenancy import Actor
from runwright.errors import AlreadyExists, Conflict, FieldError, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Readings, Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import dependencies as q
from runwright.store.queries import jobs as job_sql
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")

CYCLE = "dependencies.cycle"


class Known:
    """Which jobs depend on others (`jobs`, with the time limit of their waits in seconds), and on which jobs others
    depend (`awaited`), as last read.

    Both may be a moment behind what another process changed; nothing is lost by that: see `engine.releases`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.jobs: dict[str, int | None] = {}
        self.awaited: frozenset[str] = frozenset()

    def __contains__(self, job_id: object) -> bool:
        """Tell whether others depend on a job."""
        return job_id in self.awaited

    async def refresh(self) -> None:
        """Read them again; a server does so before its first command, too."""
        edges = await self._store.fetch(q.EDGES)
        jobs: dict[str, int | None] = {}
        for job_id, _, timeout_secs in edges:
            limits = [limit for limit in (jobs.get(job_id), timeout_secs) if limit is not None]
            jobs[job_id] = min(limits, default=None)
        self.jobs = jobs
        self.awaited = frozenset(upstream for _, upstream, _ in edges)


class Dependencies:
    """Make, change and delete dependencies. `changed` is awaited after each change, once it is durable."""

    def __init__(self, store: Store, idempotency_ttl_us: int, changed: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._ttl_us = idempotency_ttl_us
        self._changed = changed

    async def create(
        self, actor: Actor, job: Job, upstream: Job, terms: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Made[Dependency]:
        """Let the runs of a job wait for those of another of its project.

        Raises `InvalidRequest` for one that would close a circle, naming its jobs, and `AlreadyExists`.
        """
        actor.require("jobs:write")
        if job.project_id != upstream.project_id:
            raise InvalidRequest.at("depends_on_job_id", "must be a job of the same project")
        verb = f"dependencies.create/{job.job_id}"
        key = key_for(job.project_id, verb, idempotency_key, {**terms, "upstream": upstream.job_id})

        async def find(tx: Transaction, dependency_id: str) -> Dependency | None:
            rows = await tx.fetch(q.ONE, dependency_id=dependency_id)
            return q.dependency(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Dependency]:
            await _require_there(tx, job, upstream)
            await _require_acyclic(tx, job, upstream)
            made = Dependency(
                dependency_id=ids.new_id("dep", tx.now),
                org_id=job.org_id,
                project_id=job.project_id,
                job_id=job.job_id,
                depends_on_job_id=upstream.job_id,
                created_at=tx.now,
                created_by=actor.label,
                **terms,
            )
            if any(q.dependency(row).depends_on_job_id == upstream.job_id for row in await _of(tx, job.job_id)):
                raise AlreadyExists(f"The job {job.slug!r} depends on {upstream.slug!r} already.")
            await tx.fetch(q.INSERT, **msgspec.structs.asdict(made))
            data = {"dependency_id": made.dependency_id, "depends_on_job_id": upstream.job_id}
            await audit.append(tx, job.org_id, actor.label, "job.dependency_added", job.job_id, data)
            return made.dependency_id, made

        async def work(tx: Transaction) -> Made[Dependency]:
            await audit.lock(tx, job.org_id)  # so that two dependencies that are made at once close no circle either
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._changing(work)

    async def change(self, actor: Actor, job: Job, dependency_id: str, terms: Mapping[str, Any]) -> Dependency:
        """Change the terms of a dependency; runs that wait are looked at again under the new ones."""
        actor.require("jobs:write")

        async def work(tx: Transaction) -> Dependency:
            await audit.lock(tx, job.org_id)
            changed = msgspec.structs.replace(await _one(tx, job, dependency_id), **terms)
            columns = ("condition", "on_miss", "max_age_secs", "timeout_secs")
            await tx.fetch(q.CHANGE, row=dependency_id, **{name: getattr(changed, name) for name in columns})
            data = {"dependency_id": dependency_id, "changed": sorted(terms)}
            await audit.append(tx, job.org_id, actor.label, "job.dependency_changed", job.job_id, data)
            await _look_again(tx, job)
            return changed

        return await self._changing(work)

    async def delete(self, actor: Actor, job: Job, dependency_id: str) -> None:
        """Delete a dependency; runs that waited for nothing else go on."""
        actor.require("jobs:write")

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, job.org_id)
            gone = await _one(tx, job, dependency_id)
            await tx.fetch(q.DELETE, dependency_id=dependency_id)
            data = {"dependency_id": dependency_id, "depends_on_job_id": gone.depends_on_job_id}
            await audit.append(tx, job.org_id, actor.label, "job.dependency_removed", job.job_id, data)
            await _look_again(tx, job)

        await self._changing(work)

    async def get(self, actor: Actor, job: Job, dependency_id: str) -> Dependency:
        """Return a dependency of a job. Raises `NotFound`."""
        actor.require("jobs:read")
        return await _one(self._store.within(actor.org_id), job, dependency_id)

    async def page(self, actor: Actor, job: Job, part: Slice) -> list[Dependency]:
        """Return the dependencies of a job."""
        actor.require("jobs:read")
        own = self._store.within(actor.org_id)
        return [q.dependency(row) for row in await read(own, q.PAGE_OF_JOB, part, job_id=job.job_id)]

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            await self._changed()  # also when the caller went away meanwhile


async def forget(tx: Transaction, job_id: str) -> None:
    """Remove what a job that is deleted depends on. Raises `Conflict` while others depend on it."""
    upon = await tx.fetch(q.UPON, job_id=job_id)
    if upon:
        raise Conflict(
            "Other jobs depend on this one; delete those dependencies first.",
            code="jobs.awaited",
            data={"job_ids": [job_id for (job_id,) in upon]},
        )
    await tx.fetch(q.DELETE_OF_JOB, job_id=job_id)


async def _of(tx: Transaction, job_id: str) -> list[Any]:
    return await tx.fetch(q.OF_JOB, job_id=job_id)


async def _one(source: Readings | Transaction, job: Job, dependency_id: str) -> Dependency:
    rows = await source.fetch(q.ONE, dependency_id=dependency_id)
    if not rows or (found := q.dependency(rows[0])).job_id != job.job_id:
        raise NotFound("dependency", dependency_id)
    return found


async def _require_there(tx: Transaction, *wanted: Job) -> None:
    for job in wanted:
        if not await tx.fetch(job_sql.JOB, job_id=job.job_id):
            raise NotFound("job", job.job_id)


async def _require_acyclic(tx: Transaction, job: Job, upstream: Job) -> None:
    needs: dict[str, list[str]] = {}
    for dependent, needed in await tx.fetch(q.NEEDS, project_id=job.project_id):
        needs.setdefault(dependent, []).append(needed)
    circle = cycle(needs, job.job_id, upstream.job_id)
    if circle is None:
        return
    slugs = {job.job_id: job.slug, upstream.job_id: upstream.slug}
    for between in set(circle) - set(slugs):
        for row in await tx.fetch(job_sql.JOB, job_id=between):
            slugs[between] = job_sql.job(row).slug
    named = " → ".join(slugs.get(job_id, job_id) for job_id in circle)
    field = FieldError("depends_on_job_id", f"would close a circle: {named}")
    raise InvalidRequest(fields=[field], code=CYCLE, data={"cycle": circle})


async def _look_again(tx: Transaction, job: Job) -> None:
    await tx.fetch(q.LEAVE, run_id=job.job_id, command=errand("depend", "job"), created_at=tx.now)
