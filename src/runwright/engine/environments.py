"""The verbs of environments: create, find, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.secrets import Environment
from runwright.domain.tenancy import Actor
from runwright.engine.secrets import remove
from runwright.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import jobs as jobs_sql
from runwright.store.queries import secrets as q
from runwright.store.queries.shapes import Slice, read

PAGE = 500


class Environments:
    """Make, change and delete the environments of projects."""

    def __init__(self, store: Store, idempotency_ttl_us: int) -> None:
        self._store = store
        self._ttl_us = idempotency_ttl_us

    async def create(
        self, actor: Actor, project: Project, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Made[Environment]:
        """Make an environment. Raises `AlreadyExists` for a name that the project has."""
        actor.require("secrets:write")
        if ids.is_id("env", fields["name"]):
            raise InvalidRequest.at("name", "must not look like the id of an environment")
        key = key_for(project.project_id, "environments.create", idempotency_key, dict(fields))

        async def find(tx: Transaction, environment_id: str) -> Environment | None:
            rows = await tx.fetch(q.ENVIRONMENT, environment_id=environment_id)
            return q.environment(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Environment]:
            made = Environment(
                environment_id=ids.new_id("env", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                name=fields["name"],
                description=fields.get("description", ""),
                variables=fields.get("variables", {}),
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await _require_free(tx, project.project_id, made.name)
            await tx.fetch(q.INSERT_ENVIRONMENT, **q.row(made))
            data = {"name": made.name}
            await audit.append(tx, made.org_id, actor.label, "environment.created", made.environment_id, data)
            return made.environment_id, made

        async def work(tx: Transaction) -> Made[Environment]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def find(self, actor: Actor, ident: str, project: Project | None) -> Environment:
        """Return an environment by its id, or by its name in `project`. Raises `NotFound`."""
        actor.require("secrets:write")
        own = self._store.within(actor.org_id)
        if ids.is_id("env", ident):
            rows = await own.fetch(q.ENVIRONMENT, environment_id=ident)
        elif project is not None:
            rows = await own.fetch(q.ENVIRONMENT_BY_NAME, project_id=project.project_id, name=ident)
        else:
            rows = []
        found = q.environment(rows[0]) if rows else None
        if found is not None and project is not None and found.project_id != project.project_id:
            found = None
        return _required(actor, found, ident)

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Environment]:
        """Return the environments of a project, or without one all that the caller may see."""
        actor.require("secrets:write")
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.ENVIRONMENTS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.ENVIRONMENTS, part, org_id=actor.org_id)
        return [q.environment(row) for row in rows]

    async def update(self, actor: Actor, environment: Environment, changes: Mapping[str, Any]) -> Environment:
        """Change description or variables, each replaced whole; attempts that begin from now on are given them."""
        actor.require("secrets:write")

        async def work(tx: Transaction) -> Environment:
            old = await _locked(tx, actor, environment.environment_id)
            new = msgspec.structs.replace(old, **changes)
            if new == old:
                return old
            new = msgspec.structs.replace(new, updated_at=tx.now)
            names = ("name", "description", "variables", "updated_at")
            row = q.row(new)
            await tx.fetch(q.SET_ENVIRONMENT, row=new.environment_id, **{name: row[name] for name in names})
            data = {"changed": [name for name in sorted(changes) if getattr(new, name) != getattr(old, name)]}
            await audit.append(tx, old.org_id, actor.label, "environment.updated", old.environment_id, data)
            return new

        return await self._store.write(work)

    async def delete(self, actor: Actor, environment: Environment) -> None:
        """Delete an environment with its secrets. Raises `Conflict` while a job names it."""
        actor.require("secrets:write")

        async def work(tx: Transaction) -> None:
            old = await _locked(tx, actor, environment.environment_id)
            await _require_unused(tx, old)
            for row in await tx.fetch(q.IN_ENVIRONMENT, environment_id=old.environment_id):
                await remove(tx, actor, q.secret(row))
            await tx.fetch(q.DELETE_ENVIRONMENT, row=old.environment_id)
            data = {"name": old.name}
            await audit.append(tx, old.org_id, actor.label, "environment.deleted", old.environment_id, data)

        await self._store.write(work)


async def require(tx: Transaction, project_id: str, name: str | None) -> None:
    """Raise `InvalidRequest` where a job names an environment that its project does not have."""
    if name is not None and not await tx.fetch(q.ENVIRONMENT_BY_NAME, project_id=project_id, name=name):
        raise InvalidRequest.at("environment", "names no environment of the project; create it first")


async def _require_free(tx: Transaction, project_id: str, name: str) -> None:
    if await tx.fetch(q.ENVIRONMENT_BY_NAME, project_id=project_id, name=name):
        raise AlreadyExists(f"There is an environment {name!r} already.")


async def _require_unused(tx: Transaction, environment: Environment) -> None:
    bound, more = "", True
    while more:
        rows = await tx.fetch(jobs_sql.JOBS_OF_PROJECT[0], project_id=environment.project_id, bound=bound, limit=PAGE)
        for job in map(jobs_sql.job, rows):
            bound = job.job_id
            if job.definition.environment == environment.name:
                raise Conflict(f"The job {job.slug!r} names this environment.", data={"job_id": job.job_id})
        more = len(rows) == PAGE


async def _locked(tx: Transaction, actor: Actor, environment_id: str) -> Environment:
    await audit.lock(tx, actor.org_id)
    rows = await tx.fetch(q.ENVIRONMENT, environment_id=environment_id)
    return _required(actor, q.environment(rows[0]) if rows else None, environment_id)


def _required(actor: Actor, found: Environment | None, ident: str) -> Environment:
    if found is None or not actor.sees(found.org_id, found.project_id):
        raise NotFound("environment", ident)
    return found
