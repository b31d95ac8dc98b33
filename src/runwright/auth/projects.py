"""The verbs of projects, and the way from what a caller writes (an id, a slug, nothing) to the project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from runwright import ids
from runwright.auth.keyring import Keyring
from runwright.auth.policy import require_org
from runwright.domain.accounts import Project
from runwright.domain.tenancy import Actor
from runwright.errors import AlreadyExists, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import personas
from runwright.store.queries.auth import INSERT_PROJECT, PROJECT, PROJECT_BY_SLUG, PROJECTS, SET_PROJECT, project
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")

DEFAULT = "default"
CACHE_MAX = 10_000
CHANGEABLE = ("name", "weight", "max_concurrency", "retention_days")


class Projects:
    """Make, change and find projects. What was found is kept in memory until somebody, here or elsewhere, changes one.

    `tell` is called after each change.
    """

    def __init__(
        self, store: Store, keyring: Keyring, idempotency_ttl_us: int, tell: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._ttl_us = idempotency_ttl_us
        self._tell = tell
        self._known: dict[tuple[str, str], Project] = {}
        self._generation = 0

    async def create(
        self,
        actor: Actor,
        *,
        slug: str,
        name: str,
        weight: float = 1.0,
        max_concurrency: int | None = None,
        retention_days: float | None = None,
        idempotency_key: str | None = None,
    ) -> Made[Project]:
        """Make a project with its own key. Raises `AlreadyExists` for a slug that the organization has."""
        require_org(actor, "admin")
        if ids.is_id("proj", slug):
            raise InvalidRequest.at("slug", "must not look like the id of a project")
        asked = [slug, name, weight, max_concurrency, *([] if retention_days is None else [retention_days])]
        key = key_for(actor.org_id, "projects.create", idempotency_key, asked)

        async def find(tx: Transaction, project_id: str) -> Project | None:
            found = await tx.fetch(PROJECT, org_id=actor.org_id, project_id=project_id)
            return project(found[0]) if found else None

        async def make(tx: Transaction) -> tuple[str, Project]:
            if await tx.fetch(PROJECT_BY_SLUG, org_id=actor.org_id, slug=slug):
                raise AlreadyExists(f"There is a project {slug!r} already.")
            ident = ids.new_id("proj", tx.now)
            made = Project(ident, actor.org_id, slug, name, weight, max_concurrency, tx.now, retention_days)
            await add_project(tx, self._keyring, made, actor.label)
            return made.project_id, made

        async def work(tx: Transaction) -> Made[Project]:
            await audit.lock(tx, actor.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._changing(work)

    async def update(self, actor: Actor, ident: str, changes: Mapping[str, Any]) -> Project:
        """Change what is named. Runs that are queued already keep their weight and limits; retention acts on all."""
        require_org(actor, "admin")
        project_id = (await self.resolve(actor, ident)).project_id

        async def work(tx: Transaction) -> Project:
            await audit.lock(tx, actor.org_id)
            old = project((await tx.fetch(PROJECT, org_id=actor.org_id, project_id=project_id))[0])
            new = msgspec.structs.replace(old, **changes)
            if new != old:
                values = {name: getattr(new, name) for name in CHANGEABLE}
                await tx.fetch(SET_PROJECT, row=project_id, **values)
                data = {"changed": [name for name in sorted(changes) if getattr(new, name) != getattr(old, name)]}
                await audit.append(tx, actor.org_id, actor.label, "project.updated", project_id, data)
            return new

        return await self._changing(work)

    async def page(self, actor: Actor, part: Slice) -> list[Project]:
        """Return projects of the caller's organization; a caller bound to one project sees that one."""
        if actor.project_id is not None:
            own = await self.resolve(actor, None)
            return [own] if part.holds(own.project_id) else []
        return [
            project(row) for row in await read(self._store.within(actor.org_id), PROJECTS, part, org_id=actor.org_id)
        ]

    async def resolve(self, actor: Actor, ident: str | None) -> Project:
        """Return the project that a caller names by id or slug; by nothing, its own or else `default`.

        Its key is in the keyring afterwards. Raises `NotFound` for what is not the caller's to see.
        """
        wanted = ident if ident is not None else actor.project_id or DEFAULT
        found = self._known.get((actor.org_id, wanted)) or await self._find(actor.org_id, wanted)
        if found is None or not actor.sees(found.org_id, found.project_id):
            raise NotFound("project", wanted)
        return found

    async def _find(self, org_id: str, wanted: str) -> Project | None:
        generation = self._generation
        if ids.is_id("proj", wanted):
            rows = await self._store.within(org_id).fetch(PROJECT, org_id=org_id, project_id=wanted)
        else:
            rows = await self._store.within(org_id).fetch(PROJECT_BY_SLUG, org_id=org_id, slug=wanted)
        if not rows:
            return None
        found = project(rows[0])
        await self._keyring.ensure(found.project_id)
        if generation == self._generation:
            if len(self._known) >= CACHE_MAX:
                self._known.clear()
            self._known[org_id, wanted] = found
        return found

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            # Also when the caller went away meanwhile: the transaction may have been written all the same.
            self.forget()
            self._tell()

    def forget(self) -> None:
        """Look every project up again: one has changed."""
        self._generation += 1
        self._known.clear()


async def add_project(tx: Transaction, keyring: Keyring, made: Project, by: str) -> None:
    """Insert a project with its key and its audit entry."""
    await tx.fetch(INSERT_PROJECT, **msgspec.structs.asdict(made))
    await keyring.mint(tx, made.project_id)
    await personas.found(tx, made)
    await audit.append(tx, made.org_id, by, "project.created", made.project_id, {"slug": made.slug})
