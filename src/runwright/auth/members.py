"""The verbs of members: who has which role where. A change counts from that moment on, for keys and JWTs alike.

Removing a membership leaves its row, marked: the keys of a user who was ever a member stay bounded by memberships, so
that to remove the last one takes everything and does not give it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from runwright import ids
from runwright.auth.authenticate import TokenAuthenticator
from runwright.auth.policy import require_org
from runwright.auth.users import find_user, require_other_admin
from runwright.domain.accounts import Member
from runwright.domain.tenancy import Actor, Role
from runwright.errors import AlreadyExists, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries.auth import (
    INSERT_MEMBER,
    MEMBER,
    MEMBER_OF_ORG,
    MEMBER_OF_PROJECT,
    MEMBERS,
    MEMBERS_OF_PROJECT,
    MEMBERS_OF_USER,
    SET_MEMBER,
    member,
)
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")


class Members:
    """Make, change, remove and find the members of an organization and its projects."""

    def __init__(self, store: Store, authenticator: TokenAuthenticator, idempotency_ttl_us: int) -> None:
        self._store = store
        self._authenticator = authenticator
        self._ttl_us = idempotency_ttl_us

    async def create(
        self, actor: Actor, *, user_id: str, role: Role, project_id: str | None, idempotency_key: str | None = None
    ) -> Made[Member]:
        """Make a user a member of a project, or of the whole organization; there once at most (`AlreadyExists`)."""
        require_org(actor, "admin")
        key = key_for(actor.org_id, "members.create", idempotency_key, [user_id, role, project_id])

        async def make(tx: Transaction) -> tuple[str, Member]:
            if await find_user(tx, actor.org_id, user_id) is None:
                raise NotFound("user", user_id)
            await _require_none_yet(tx, actor.org_id, user_id, project_id)
            made = Member(ids.new_id("mem", tx.now), actor.org_id, project_id, user_id, role, tx.now, actor.label)
            await add_member(tx, made)
            return made.member_id, made

        async def work(tx: Transaction) -> Made[Member]:
            await audit.lock(tx, actor.org_id)
            return await once(tx, key, self._ttl_us, lambda target: _find(tx, actor, target), lambda: make(tx))

        return await self._changing(work)

    async def update(self, actor: Actor, member_id: str, role: Role) -> Member:
        """Give a member another role. The organization's last admin keeps theirs (`Conflict`)."""
        require_org(actor, "admin")

        async def work(tx: Transaction) -> Member:
            old = await self._locked(tx, actor, member_id)
            if role == old.role:
                return old
            await _set(tx, old, role, None)
            data = {"user_id": old.user_id, "project_id": old.project_id, "from": old.role, "to": role}
            await audit.append(tx, actor.org_id, actor.label, "member.updated", member_id, data)
            return msgspec.structs.replace(old, role=role)

        return await self._changing(work)

    async def remove(self, actor: Actor, member_id: str) -> Member:
        """End a membership at once. The organization's last admin stays (`Conflict`)."""
        require_org(actor, "admin")

        async def work(tx: Transaction) -> Member:
            old = await self._locked(tx, actor, member_id)
            await _set(tx, old, old.role, tx.now)
            data = {"user_id": old.user_id, "project_id": old.project_id, "role": old.role}
            await audit.append(tx, actor.org_id, actor.label, "member.removed", member_id, data)
            return old

        return await self._changing(work)

    async def get(self, actor: Actor, member_id: str) -> Member:
        """Return a member that the caller may see. Raises `NotFound`."""
        actor.require("admin")
        rows = await self._store.within(actor.org_id).fetch(MEMBER, org_id=actor.org_id, member_id=member_id)
        return _seen(actor, member(rows[0]) if rows else None, member_id)

    async def page(self, actor: Actor, part: Slice) -> list[Member]:
        """Return the members of the caller's organization, or of the one project that it is bound to."""
        actor.require("admin")
        own = self._store.within(actor.org_id)
        if actor.project_id is not None:
            rows = await read(own, MEMBERS_OF_PROJECT, part, org_id=actor.org_id, project_id=actor.project_id)
        else:
            rows = await read(own, MEMBERS, part, org_id=actor.org_id)
        return [member(row) for row in rows]

    async def own(self, actor: Actor) -> list[Member]:
        """Return the caller's own memberships, oldest first; a service has none."""
        if actor.user_id is None:
            return []
        own = self._store.within(actor.org_id)
        rows = await own.fetch(MEMBERS_OF_USER, org_id=actor.org_id, user_id=actor.user_id)
        return [member(row) for row in rows]

    async def _locked(self, tx: Transaction, actor: Actor, member_id: str) -> Member:
        await audit.lock(tx, actor.org_id)
        return _seen(actor, await _find(tx, actor, member_id), member_id)

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            # Also when the caller went away meanwhile: the transaction may have been written all the same.
            self._authenticator.changed()


async def add_member(tx: Transaction, made: Member) -> None:
    """Insert a member with its audit entry."""
    await tx.fetch(INSERT_MEMBER, **msgspec.structs.asdict(made), removed_at=None)
    data = {"user_id": made.user_id, "project_id": made.project_id, "role": made.role}
    await audit.append(tx, made.org_id, made.created_by, "member.created", made.member_id, data)


async def _set(tx: Transaction, old: Member, role: Role, removed_at: int | None) -> None:
    if old.role == "admin" and old.project_id is None:
        await require_other_admin(tx, old.org_id, old.user_id)
    await tx.fetch(SET_MEMBER, row=old.member_id, role=role, removed_at=removed_at)


async def _find(tx: Transaction, actor: Actor, member_id: str) -> Member | None:
    rows = await tx.fetch(MEMBER, org_id=actor.org_id, member_id=member_id)
    return member(rows[0]) if rows else None


async def _require_none_yet(tx: Transaction, org_id: str, user_id: str, project_id: str | None) -> None:
    if project_id is None:
        found = await tx.fetch(MEMBER_OF_ORG, org_id=org_id, user_id=user_id)
    else:
        found = await tx.fetch(MEMBER_OF_PROJECT, org_id=org_id, project_id=project_id, user_id=user_id)
    if found:
        raise AlreadyExists("The user is a member there already; change the role of that membership.")


def _seen(actor: Actor, found: Member | None, member_id: str) -> Member:
    if found is None or actor.project_id not in (None, found.project_id):
        raise NotFound("member", member_id)
    return found
