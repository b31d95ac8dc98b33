"""Make runs at the word of a run's own code: children, and continuations."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain import commands as c
from runwright.domain import events as e
from runwright.domain import job_events as w
from runwright.domain.accounts import Project
from runwright.domain.ending import draft
from runwright.domain.job import Job
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor
from runwright.engine.commit import Commit
from runwright.engine.directory import JobDirectory
from runwright.engine.orders import Order
from runwright.engine.requests import Spawn, Spawned
from runwright.engine.submit import Submitter
from runwright.errors import Conflict, NotFound
from runwright.store.base import Store
from runwright.store.queries.auth import PROJECT


class Spawning(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of a run asks of a child; `job` is an id or a slug of its project."""

    job: str
    payload: dict[str, Any] = {}
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    priority: int | None = None
    concurrency_key: str | None = None
    ttl_secs: float | None = None
    idempotency_key: str | None = None


class Spawner:
    """Makes runs that the code of others asks for. A run is continued at most `lineage_max` times in a row."""

    def __init__(
        self, store: Store, commit: Commit, submitter: Submitter, directory: JobDirectory, *, lineage_max: int
    ) -> None:
        self._store = store
        self._commit = commit
        self._submitter = submitter
        self._directory = directory
        self._lineage_max = lineage_max

    async def spawn(self, run: Run, asked: Spawning) -> Spawned:
        """Make a child; the log of its parent says so in the same transaction.

        Raises `StaleLease`, `NotFound` for a job that is none of the project's, and what a trigger raises.
        """
        submit, said = await self.child(run, asked)
        by = c.Append(run.run_id, run.lease_epoch, (said,))
        spawned: Spawned = await self._commit.apply(Spawn(submit=submit, by=by))
        return spawned

    async def child(self, run: Run, asked: Spawning) -> tuple[c.Submit, e.Draft]:
        """Return the command that makes a child, and what the log of its parent says of it."""
        actor, project = await self._who(run)
        job = await self._directory.find(actor, asked.job, project)
        order = Order(
            payload=asked.payload,
            tags=asked.tags,
            metadata=asked.metadata,
            priority=asked.priority,
            concurrency_key=asked.concurrency_key,
            ttl_secs=asked.ttl_secs,
            idempotency_key=asked.idempotency_key,
            parent_run_id=run.run_id,
            triggered_by="spawn",
        )
        submit = self._command(actor, project, job, order, run)
        return submit, draft("child.spawned", w.ChildSpawned(submit.run_id, job.slug), f"spawned a run of {job.slug}")

    async def go_on(self, run: Run, payload: dict[str, Any], idempotency_key: str | None) -> Spawned:
        """Make the run that goes on where this one ends: of the same job, as it is now, linked by `continuation_of`.

        This run is not ended by it. Raises `Conflict` for one continuation too
        many, and what `spawn` raises.
        """
        spec = run.spec
        depth = spec.lineage_depth + 1
        if depth > self._lineage_max:
            raise Conflict(
                f"the run is the {self._lineage_max}th continuation of its first; no more follow (lineage_max)",
                code="runs.lineage_too_deep",
            )
        actor, project = await self._who(run)
        job = await self._directory.find(actor, spec.job_id or "", project)
        order = Order(
            payload=payload,
            tags=spec.tags,
            metadata=run.metadata,
            priority=spec.priority,
            concurrency_key=spec.concurrency_key,
            idempotency_key=idempotency_key,
            continuation_of=run.run_id,
            lineage_root=spec.lineage_root or run.run_id,
            lineage_depth=depth,
            triggered_by="spawn",
        )
        submit = self._command(actor, project, job, order, run)
        said = draft("run.continued", w.Continued(submit.run_id, depth), "continued by another run")
        request = Spawn(submit=submit, by=c.Append(run.run_id, run.lease_epoch, (said,)))
        spawned: Spawned = await self._commit.apply(request)
        return spawned

    async def _who(self, run: Run) -> tuple[Actor, Project]:
        spec = run.spec
        found = await self._store.fetch(PROJECT, org_id=spec.org_id, project_id=spec.project_id)
        if not found:
            raise NotFound("project", spec.project_id)
        return Actor(kind="run", id=run.run_id, org_id=spec.org_id, project_id=spec.project_id), Project(*found[0])

    def _command(self, actor: Actor, project: Project, job: Job, order: Order, run: Run) -> c.Submit:
        return self._submitter.command(actor, project, job, order, request_id=None, trace_id=run.spec.trace_id)
