"""The verbs of providers: credentials that are kept sealed, and read by nobody but the calls that are made with them.

A value is kept among the project's secret values, so redaction knows it on every server before it is used, and goes on
knowing it when it was replaced; no attempt is given it.
"""

from __future__ import annotations

import msgspec

from runwright import ids
from runwright.agents.owned import required
from runwright.domain.accounts import Project
from runwright.domain.route import Provider
from runwright.domain.tenancy import Actor
from runwright.engine.vault import Vault
from runwright.errors import AlreadyExists, Conflict, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import personas as q
from runwright.store.queries.shapes import Slice, read

PAGE = 500


class Credentials:
    """Make, change, delete and find the providers of projects."""

    def __init__(self, store: Store, vault: Vault, idempotency_ttl_us: int) -> None:
        self._store = store
        self._vault = vault
        self._ttl_us = idempotency_ttl_us

    async def create(
        self,
        actor: Actor,
        project: Project,
        name: str,
        kind: str,
        base_url: str | None,
        api_key: str,
        idempotency_key: str | None = None,
    ) -> Made[Provider]:
        """Make a provider; its key is never returned. Raises `AlreadyExists` for a name that the project has."""
        # The fingerprint does not cover the key: a digest of a weak one would give it away.
        once_key = key_for(project.project_id, "providers.create", idempotency_key, [name, kind, base_url])
        own = self._store.within(actor.org_id)
        if once_key is None and await own.fetch(q.PROVIDER_BY_NAME, project_id=project.project_id, name=name):
            raise AlreadyExists(f"There is a provider {name!r} already; give it a new key instead.")
        provider_id = ids.new_id("prov", self._vault.now())
        announced = await self._vault.secrets.announce(project.org_id, project.project_id, provider_id, api_key)

        async def find(tx: Transaction, found: str) -> Provider | None:
            rows = await tx.fetch(q.PROVIDER, provider_id=found)
            return q.provider(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Provider]:
            if await tx.fetch(q.PROVIDER_BY_NAME, project_id=project.project_id, name=name):
                raise AlreadyExists(f"There is a provider {name!r} already; give it a new key instead.")
            made = Provider(
                provider_id=provider_id,
                org_id=project.org_id,
                project_id=project.project_id,
                name=name,
                kind=kind,
                base_url=base_url,
                version=announced.version,
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await tx.fetch(q.INSERT_PROVIDER, **msgspec.structs.asdict(made))
            await self._vault.secrets.activate(tx, project.project_id, announced)
            await audit.append(tx, made.org_id, actor.label, "provider.created", provider_id, {"name": name})
            return provider_id, made

        async def work(tx: Transaction) -> Made[Provider]:
            await audit.lock(tx, project.org_id)
            return await once(tx, once_key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def find(self, actor: Actor, project: Project | None, ident: str) -> Provider:
        """Return a provider by its id, or by its name in a project. Raises `NotFound`."""
        own = self._store.within(actor.org_id)
        if ids.is_id("prov", ident):
            rows = await own.fetch(q.PROVIDER, provider_id=ident)
        elif project is not None:
            rows = await own.fetch(q.PROVIDER_BY_NAME, project_id=project.project_id, name=ident)
        else:
            rows = []
        project_id = project.project_id if project is not None else None
        return required(actor, q.provider(rows[0]) if rows else None, "provider", ident, project_id)

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Provider]:
        """Return the providers of a project, or all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.PROVIDERS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.PROVIDERS, part, org_id=actor.org_id)
        return [q.provider(row) for row in rows]

    async def replace(self, actor: Actor, provider: Provider, api_key: str) -> Provider:
        """Give a provider a new key: calls that begin from now on are made with it."""
        announced = await self._vault.secrets.announce(
            provider.org_id, provider.project_id, provider.provider_id, api_key
        )

        async def work(tx: Transaction) -> Provider:
            old = await _locked(tx, actor, provider.provider_id)
            if old.version >= announced.version:
                return old  # somebody gave it a later one meanwhile
            new = msgspec.structs.replace(old, version=announced.version, updated_at=tx.now)
            await self._vault.secrets.retire(tx, old.project_id, old.provider_id)
            await self._vault.secrets.activate(tx, old.project_id, announced)
            row = {"base_url": new.base_url, "version": new.version, "updated_at": new.updated_at}
            await tx.fetch(q.SET_PROVIDER, row=new.provider_id, **row)
            data = {"version": new.version}
            await audit.append(tx, old.org_id, actor.label, "provider.replaced", old.provider_id, data)
            return new

        return await self._store.write(work)

    async def delete(self, actor: Actor, provider: Provider) -> None:
        """Delete a provider; its key stays hidden for as long as retired secrets do. Raises `Conflict` while a route
        names it.
        """

        async def work(tx: Transaction) -> None:
            old = await _locked(tx, actor, provider.provider_id)
            await _require_unused(tx, old)
            await tx.fetch(q.DELETE_PROVIDER, row=old.provider_id)
            await self._vault.secrets.retire(tx, old.project_id, old.provider_id)
            await audit.append(tx, old.org_id, actor.label, "provider.deleted", old.provider_id, {"name": old.name})

        await self._store.write(work)

    async def key(self, provider_id: str, project_id: str) -> str:
        """Return the key that a call is made with: for the engine's own use. Raises `NotFound` where it is gone."""
        rows = await self._store.fetch(q.KEY_OF_PROVIDER, provider_id=provider_id)
        if not rows:
            raise NotFound("provider", provider_id)
        await self._vault.provisions.ensure([project_id])
        return self._vault.provisions.open(project_id, provider_id, *rows[0])


async def _require_unused(tx: Transaction, provider: Provider) -> None:
    bound, more = "", True
    while more:
        rows = await tx.fetch(q.ROUTES_OF_PROJECT[0], project_id=provider.project_id, bound=bound, limit=PAGE)
        for route in map(q.route, rows):
            bound = route.route_id
            if route.definition.provider == provider.name:
                raise Conflict(f"The route {route.name!r} names this provider.", data={"route_id": route.route_id})
        more = len(rows) == PAGE


async def _locked(tx: Transaction, actor: Actor, provider_id: str) -> Provider:
    await audit.lock(tx, actor.org_id)
    rows = await tx.fetch(q.PROVIDER, provider_id=provider_id)
    return required(actor, q.provider(rows[0]) if rows else None, "provider", provider_id)
