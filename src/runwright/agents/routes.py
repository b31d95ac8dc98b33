"""The verbs of routes: which models a project's runs may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.agents.owned import required
from runwright.domain.accounts import Project
from runwright.domain.route import LOCAL, Provider, Route, RouteDefinition, problem
from runwright.domain.tenancy import Actor
from runwright.errors import AlreadyExists, Conflict, InvalidRequest, QuotaExceeded
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import personas as q
from runwright.store.queries.shapes import Slice, read


class Routes:
    """Make, change, delete and find the routes of projects."""

    def __init__(self, store: Store, idempotency_ttl_us: int, *, most: int) -> None:
        self._store = store
        self._ttl_us = idempotency_ttl_us
        self._most = most

    async def create(
        self, actor: Actor, project: Project, name: str, definition: RouteDefinition, idempotency_key: str | None = None
    ) -> Made[Route]:
        """Make a route.

        Raises `AlreadyExists`, `QuotaExceeded`, and `InvalidRequest` for one that no provider of the project serves.
        """
        if ids.is_id("route", name):
            raise InvalidRequest.at("name", "must not look like the id of a route")
        key = key_for(project.project_id, "routes.create", idempotency_key, [name, definition])

        async def find(tx: Transaction, route_id: str) -> Route | None:
            rows = await tx.fetch(q.ROUTE, route_id=route_id)
            return q.route(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Route]:
            await _require_provider(tx, project.project_id, definition)
            if await tx.fetch(q.ROUTE_BY_NAME, project_id=project.project_id, name=name):
                raise AlreadyExists(f"There is a route {name!r} already.")
            if (await tx.fetch(q.COUNT_ROUTES, project_id=project.project_id))[0][0] >= self._most:
                raise QuotaExceeded(f"A project has at most {self._most} routes (RUNWRIGHT_ROUTES_MAX); delete one.")
            made = Route(
                route_id=ids.new_id("route", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                name=name,
                definition=definition,
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await tx.fetch(q.INSERT_ROUTE, **q.row(made))
            await audit.append(tx, made.org_id, actor.label, "route.created", made.route_id, {"name": name})
            return made.route_id, made

        async def work(tx: Transaction) -> Made[Route]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def find(self, actor: Actor, project: Project | None, ident: str) -> Route:
        """Return a route by its id, or by its name in a project. Raises `NotFound`."""
        own = self._store.within(actor.org_id)
        if ident.startswith("route_"):
            rows = await own.fetch(q.ROUTE, route_id=ident)
        elif project is not None:
            rows = await own.fetch(q.ROUTE_BY_NAME, project_id=project.project_id, name=ident)
            if not rows and ident == LOCAL:
                return await self._store.write(lambda tx: _founded(tx, project))
        else:
            rows = []
        project_id = project.project_id if project is not None else None
        return required(actor, q.route(rows[0]) if rows else None, "route", ident, project_id)

    async def provider_of(self, actor: Actor, route: Route) -> Provider | None:
        """Return the provider that a route names; None for one that needs none, or whose provider is gone."""
        return await self.provider_named(actor, route.project_id, route.definition.provider)

    async def provider_named(self, actor: Actor, project_id: str, name: str | None) -> Provider | None:
        """Return a provider of a project; None where there is none of that name."""
        if name is None:
            return None
        own = self._store.within(actor.org_id)
        rows = await own.fetch(q.PROVIDER_BY_NAME, project_id=project_id, name=name)
        return q.provider(rows[0]) if rows else None

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Route]:
        """Return the routes of a project, or all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.ROUTES_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.ROUTES, part, org_id=actor.org_id)
        return [q.route(row) for row in rows]

    async def update(self, actor: Actor, route: Route, changes: Mapping[str, Any]) -> Route:
        """Change fields of a route, each replaced whole; runs that are there keep what they were made with."""

        async def work(tx: Transaction) -> Route:
            old = await _locked(tx, actor, route.route_id)
            definition = msgspec.structs.replace(old.definition, **changes)
            if definition == old.definition:
                return old
            await _require_provider(tx, old.project_id, definition)
            new = msgspec.structs.replace(old, definition=definition, updated_at=tx.now)
            row = {"definition": q.encoded(definition), "updated_at": tx.now}
            await tx.fetch(q.SET_ROUTE, row=new.route_id, **row)
            data = {"changed": sorted(changes)}
            await audit.append(tx, old.org_id, actor.label, "route.updated", old.route_id, data)
            return new

        return await self._store.write(work)

    async def delete(self, actor: Actor, route: Route) -> None:
        """Delete a route. Raises `Conflict` for the one that every project has."""
        if route.name == LOCAL:
            raise Conflict("every project has the route `local`; change it, or name another in threads and personas")

        async def work(tx: Transaction) -> None:
            old = await _locked(tx, actor, route.route_id)
            await tx.fetch(q.DELETE_ROUTE, row=old.route_id)
            await audit.append(tx, old.org_id, actor.label, "route.deleted", old.route_id, {"name": old.name})

        await self._store.write(work)


async def _require_provider(tx: Transaction, project_id: str, definition: RouteDefinition) -> None:
    provider = None
    if definition.provider is not None:
        rows = await tx.fetch(q.PROVIDER_BY_NAME, project_id=project_id, name=definition.provider)
        provider = q.provider(rows[0]) if rows else None
    wrong = problem(definition, provider)
    if wrong is not None:
        raise InvalidRequest.at(*wrong)


async def _locked(tx: Transaction, actor: Actor, route_id: str) -> Route:
    await audit.lock(tx, actor.org_id)
    rows = await tx.fetch(q.ROUTE, route_id=route_id)
    return required(actor, q.route(rows[0]) if rows else None, "route", route_id)


async def _founded(tx: Transaction, project: Project) -> Route:
    """Return the first route of a project, which a server of an older version made without one."""
    await audit.lock(tx, project.org_id)
    rows = await tx.fetch(q.ROUTE_BY_NAME, project_id=project.project_id, name=LOCAL)
    if rows:
        return q.route(rows[0])
    await tx.fetch(q.INSERT_ROUTE, **q.row(q.first_route(project, tx.now)))
    return q.first_route(project, tx.now)
