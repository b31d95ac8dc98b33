"""The verbs of jobs: create, update, delete, find, and register what the code of a worker says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from runwright.domain.accounts import Project
from runwright.domain.job import Job, JobDefinition, JobVersion, implied_mode
from runwright.domain.job_checks import SCHEMA_MAX_BYTES, problems
from runwright.domain.tenancy import Actor
from runwright.engine import dependencies, schedules, signals, throttling
from runwright.engine.directory import JobDirectory
from runwright.engine.job_versions import converted, insert, replace, same
from runwright.engine.signing_secrets import GRACE_S, Rotated, SigningSecrets
from runwright.errors import Conflict, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import jobs as q
from runwright.store.queries.memory import FORGET_JOB
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")

REGISTRAR = "system:worker"


class Change(NamedTuple):
    """A job after a verb, with the signing secret if the verb made one: it is shown this once."""

    job: Job
    secret: str | None = None


class Jobs:
    """Make, change and delete jobs; `directory` finds them, and is never behind these verbs.

    `allow_private` lets their endpoints lie in private networks; `tell` is called after each change.
    """

    def __init__(
        self,
        store: Store,
        secrets: SigningSecrets,
        idempotency_ttl_us: int,
        *,
        allow_private: bool = False,
        schema_max_bytes: int = SCHEMA_MAX_BYTES,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._ttl_us = idempotency_ttl_us
        self._allow_private = allow_private
        self._schema_max_bytes = schema_max_bytes
        self._tell = tell
        self.directory = JobDirectory(store)

    async def create(
        self, actor: Actor, project: Project, definition: JobDefinition, idempotency_key: str | None = None
    ) -> Made[Change]:
        """Make a job, in its version 1. A repeated request finds its job without the secret.

        Raises `AlreadyExists` for a slug that the project has, and `InvalidRequest` for a definition that is none.
        """
        actor.require("jobs:write")
        _require_visible(actor, project)
        self._check(definition)
        key = key_for(project.project_id, "jobs.create", idempotency_key, definition)

        async def find(tx: Transaction, job_id: str) -> Change | None:
            rows = await tx.fetch(q.JOB, job_id=job_id)
            return Change(q.job(rows[0])) if rows else None

        async def make(tx: Transaction) -> tuple[str, Change]:
            made = await self._signed(tx, await insert(tx, project, definition, actor.label))
            return made.job.job_id, made

        async def work(tx: Transaction) -> Made[Change]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._changing(work)

    async def update(self, actor: Actor, job: Job, changes: Mapping[str, Any]) -> Change:
        """Merge the changed fields into a job; each field is replaced whole.

        A change that changes nothing makes no version. Raises `NotFound` when the job was deleted meanwhile.
        """
        actor.require("jobs:write")
        _require_sees(actor, job)

        async def work(tx: Transaction) -> Change:
            await audit.lock(tx, job.org_id)
            return await self._signed(tx, await self._merge(tx, await _current(tx, job), changes, actor.label))

        return await self._changing(work)

    async def delete(self, actor: Actor, job: Job) -> None:
        """Delete a job: its runs and versions stay, its slug is free. Raises `Conflict` while it has live runs."""
        actor.require("jobs:write")
        _require_sees(actor, job)

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, job.org_id)
            current = await _current(tx, job)
            await schedules.forget(tx, job.job_id)
            await dependencies.forget(tx, job.job_id)
            await signals.forget(tx, current)
            await tx.fetch(FORGET_JOB, row=job.job_id)
            await throttling.forget(tx, job.job_id)
            live = await tx.fetch(q.LIVE_RUN, job_id=job.job_id)
            if live:
                raise Conflict(
                    "The job has runs that have not ended; cancel them or let them end.",
                    data={"run_id": live[0][0]},
                )
            await tx.fetch(q.DELETE_JOB, row=job.job_id, deleted_at=tx.now)
            await self._secrets.forget(tx, job.job_id)
            await audit.append(tx, job.org_id, actor.label, "job.deleted", job.job_id, {"slug": current.slug})

        await self._changing(work)

    async def rotate_secret(
        self, actor: Actor, job: Job, grace_s: float = GRACE_S, idempotency_key: str | None = None
    ) -> Made[Rotated]:
        """Give a job a new signing secret; for `grace_s` seconds the old one signs beside it.

        A repeated request gets no secret. Raises `Conflict` for a job that has none.
        """
        actor.require("jobs:write")
        _require_sees(actor, job)
        key = key_for(job.project_id, f"jobs.rotate_secret/{job.job_id}", idempotency_key, grace_s)

        async def find(tx: Transaction, job_id: str) -> Rotated:
            return Rotated(job_id, None, None)

        async def make(tx: Transaction) -> tuple[str, Rotated]:
            current = await _current(tx, job)
            secret, until = await self._secrets.replace(tx, job.project_id, current.job_id, round(grace_s * 1e6))
            data = {"previous_until": until}
            await audit.append(tx, job.org_id, actor.label, "job.secret_rotated", job.job_id, data)
            return job.job_id, Rotated(job.job_id, secret, until)

        async def work(tx: Transaction) -> Made[Rotated]:
            await audit.lock(tx, job.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._changing(work)

    async def put(self, actor: Actor, project: Project, options: Mapping[str, Any]) -> Change:
        """Have a job with these options, as `register` does, for a caller who may change jobs."""
        actor.require("jobs:write")
        _require_visible(actor, project)
        return await self._put(project, options, actor.label)

    async def register(self, project: Project, options: Mapping[str, Any]) -> Job:
        """Have a job for a handler: made with its options, or updated by a version where they differ.

        `options` are fields of the definition, `slug` among them; what they do not name stays as it is.
        """
        return (await self._put(project, options, REGISTRAR)).job

    async def _put(self, project: Project, options: Mapping[str, Any], by: str) -> Change:
        async def work(tx: Transaction) -> Change:
            await audit.lock(tx, project.org_id)
            rows = await tx.fetch(q.JOB_BY_SLUG, project_id=project.project_id, slug=options["slug"])
            if rows:
                return await self._signed(tx, await self._merge(tx, q.job(rows[0]), options, by))
            mode = implied_mode(options.get("endpoint_url"))
            definition = converted({"name": options["slug"], "execution_mode": mode, **options})
            self._check(definition)
            return await self._signed(tx, await insert(tx, project, definition, by))

        return await self._changing(work)

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Job]:
        """Return jobs of a project, or without one all that the caller may see."""
        actor.require("jobs:read")
        if project is not None:
            _require_visible(actor, project)
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.JOBS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.JOBS, part, org_id=actor.org_id)
        return [q.job(row) for row in rows]

    async def versions(self, actor: Actor, job: Job, part: Slice) -> list[JobVersion]:
        """Return the versions of a job."""
        actor.require("jobs:read")
        _require_sees(actor, job)
        rows = await read(self._store.within(actor.org_id), q.VERSIONS, part, job_id=job.job_id)
        return [q.version(row) for row in rows]

    async def version(self, actor: Actor, job: Job, job_version_id: str) -> JobVersion:
        """Return one version of a job. Raises `NotFound`."""
        actor.require("jobs:read")
        _require_sees(actor, job)
        return await self._version(actor, job, job_version_id)

    async def at_version(self, actor: Actor, job: Job, job_version_id: str) -> Job:
        """Return a job as it stood at one of its versions. Raises `NotFound`."""
        _require_sees(actor, job)
        if job.job_version_id == job_version_id:
            return job
        found = await self._version(actor, job, job_version_id)
        return msgspec.structs.replace(
            job, version=found.version, job_version_id=found.job_version_id, definition=found.definition
        )

    async def _version(self, actor: Actor, job: Job, job_version_id: str) -> JobVersion:
        rows = await self._store.within(actor.org_id).fetch(q.VERSION, job_version_id=job_version_id)
        found = q.version(rows[0]) if rows else None
        if found is None or found.job_id != job.job_id:
            raise NotFound("version", job_version_id)
        return found

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            # Also when the caller went away meanwhile: the transaction may have been written all the same.
            self.directory.forget()
            self._tell()

    def _check(self, definition: JobDefinition) -> None:
        found = problems(definition, allow_private=self._allow_private, schema_max_bytes=self._schema_max_bytes)
        if found:
            raise InvalidRequest(fields=found)

    async def _signed(self, tx: Transaction, job: Job) -> Change:
        signs = job.definition.execution_mode == "http" or job.definition.webhook_url is not None
        return Change(job, await self._secrets.make(tx, job.project_id, job.job_id) if signs else None)

    async def _merge(self, tx: Transaction, old: Job, changes: Mapping[str, Any], by: str) -> Job:
        definition = converted(msgspec.structs.asdict(old.definition) | dict(changes))
        if same(definition, old.definition):
            return old
        self._check(definition)
        return await replace(tx, old, definition, by)


def _require_visible(actor: Actor, project: Project) -> None:
    if not actor.sees(project.org_id, project.project_id):
        raise NotFound("project", project.slug)


def _require_sees(actor: Actor, job: Job) -> None:
    if not actor.sees(job.org_id, job.project_id):
        raise NotFound("job", job.job_id)


async def _current(tx: Transaction, job: Job) -> Job:
    rows = await tx.fetch(q.JOB, job_id=job.job_id)
    if not rows:
        raise NotFound("job", job.job_id)
    return q.job(rows[0])
