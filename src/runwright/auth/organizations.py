"""The verbs of organizations, and how each of them begins: with a project, an admin and an admin key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.auth.keyring import Keyring
from runwright.auth.keys import add_key
from runwright.auth.members import add_member
from runwright.auth.policy import require_org
from runwright.auth.projects import DEFAULT, add_project
from runwright.auth.tokens import new_token
from runwright.auth.users import add_user
from runwright.domain.accounts import ApiKey, Member, Organization, Project, User
from runwright.domain.tenancy import Actor
from runwright.errors import AlreadyExists, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries.auth import (
    INSERT_ORGANIZATION,
    ORGANIZATION,
    ORGANIZATION_BY_SLUG,
    SET_ORGANIZATION,
    organization,
)

ADMIN_USER = "admin"
ADMIN_SCOPES = ("admin",)


class Founded(msgspec.Struct, frozen=True):
    """An organization with the token of its first admin key, which is None wherever it is not new."""

    organization: Organization
    token: str | None = None


class Organizations:
    """Found organizations; read and rename the caller's own, which is the only one that it sees."""

    def __init__(self, store: Store, keyring: Keyring, idempotency_ttl_us: int) -> None:
        self._store = store
        self._keyring = keyring
        self._ttl_us = idempotency_ttl_us

    async def create(self, actor: Actor, *, slug: str, name: str, idempotency_key: str | None = None) -> Made[Founded]:
        """Found another organization. Raises `AlreadyExists` for a slug that is taken."""
        require_org(actor, "admin")
        if ids.is_id("org", slug):
            raise InvalidRequest.at("slug", "must not look like the id of an organization")
        key = key_for(actor.org_id, "organizations.create", idempotency_key, [slug, name])

        async def find(tx: Transaction, org_id: str) -> Founded | None:
            rows = await tx.fetch(ORGANIZATION, org_id=org_id)
            return Founded(organization(rows[0])) if rows else None

        async def make(tx: Transaction) -> tuple[str, Founded]:
            made = await found(tx, self._keyring, slug, name, new_token(), actor.label)
            org_id = made.organization.org_id
            await audit.append(tx, actor.org_id, actor.label, "organization.created", org_id, {"slug": slug})
            return org_id, made

        async def work(tx: Transaction) -> Made[Founded]:
            await audit.lock(tx, actor.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def update(self, actor: Actor, ident: str, changes: Mapping[str, Any]) -> Organization:
        """Change the name of the caller's organization; its slug stays."""
        require_org(actor, "admin")
        org_id = (await self.get(actor, ident)).org_id

        async def work(tx: Transaction) -> Organization:
            await audit.lock(tx, org_id)
            old = organization((await tx.fetch(ORGANIZATION, org_id=org_id))[0])
            new = msgspec.structs.replace(old, **changes)
            if new != old:
                await tx.fetch(SET_ORGANIZATION, row=org_id, name=new.name)
                data = {"changed": sorted(changes)}
                await audit.append(tx, org_id, actor.label, "organization.updated", org_id, data)
            return new

        return await self._store.write(work)

    async def get(self, actor: Actor, ident: str | None = None) -> Organization:
        """Return the caller's organization, by its id, its slug or nothing. Raises `NotFound` for any other."""
        rows = await self._store.within(actor.org_id).fetch(ORGANIZATION, org_id=actor.org_id)
        own = organization(rows[0])
        if ident not in (None, own.org_id, own.slug):
            raise NotFound("organization", ident)
        return own


async def found(tx: Transaction, keyring: Keyring, slug: str, name: str, token: str, by: str) -> Founded:
    """Insert an organization with the project `default`, the admin `admin` and an admin key for `token`."""
    if await tx.fetch(ORGANIZATION_BY_SLUG, slug=slug):
        raise AlreadyExists(f"There is an organization {slug!r} already.")
    now = tx.now
    made = Organization(ids.new_id("org", now), slug, name, now)
    await tx.fetch(INSERT_ORGANIZATION, **msgspec.structs.asdict(made))
    await audit.append(tx, made.org_id, by, "organization.created", made.org_id, {"slug": slug})
    project = Project(ids.new_id("proj", now), made.org_id, DEFAULT, "Default", 1.0, None, now)
    await add_project(tx, keyring, project, by)
    admin = User(ids.new_id("user", now), made.org_id, ADMIN_USER, None, True, now)
    await add_user(tx, admin, by)
    await add_member(tx, Member(ids.new_id("mem", now), made.org_id, None, admin.user_id, "admin", now, by))
    await add_key(tx, keyring, admin_key(made.org_id, admin.user_id, now, by), token)
    return Founded(made, token)


def admin_key(org_id: str, user_id: str | None, now: int, by: str) -> ApiKey:
    """Return a key that may do everything in an organization, before it has a token."""
    return ApiKey(ids.new_id("key", now), org_id, None, user_id, "admin", "", ADMIN_SCOPES, now, by)
