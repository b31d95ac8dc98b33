"""The verbs of users. A user who is disabled has no valid key and no valid login from that moment on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.auth.authenticate import TokenAuthenticator
from runwright.auth.policy import require_org
from runwright.domain.accounts import User
from runwright.domain.tenancy import Actor
from runwright.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries.auth import (
    ADMINS,
    INSERT_USER,
    SET_USER,
    USER,
    USER_BY_NAME,
    USER_BY_SUBJECT,
    USERS,
    user,
)
from runwright.store.queries.shapes import Slice, read


class Users:
    """Make, change and find the users of an organization; `issuer` is where a user's `subject` is one."""

    def __init__(
        self, store: Store, authenticator: TokenAuthenticator, issuer: str | None, idempotency_ttl_us: int
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._issuer = issuer
        self._ttl_us = idempotency_ttl_us

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        email: str | None = None,
        subject: str | None = None,
        idempotency_key: str | None = None,
    ) -> Made[User]:
        """Make a user. Raises `AlreadyExists` for a name that the organization has, or a subject that is taken."""
        require_org(actor, "admin")
        issuer = self._issuer_of(subject)
        key = key_for(actor.org_id, "users.create", idempotency_key, [name, email, issuer, subject])

        async def make(tx: Transaction) -> tuple[str, User]:
            await _require_free(tx, actor.org_id, name)
            await _require_unlinked(tx, issuer, subject)
            made = User(ids.new_id("user", tx.now), actor.org_id, name, email, True, tx.now, issuer, subject)
            await add_user(tx, made, actor.label)
            return made.user_id, made

        async def work(tx: Transaction) -> Made[User]:
            await audit.lock(tx, actor.org_id)
            return await once(
                tx, key, self._ttl_us, lambda target: find_user(tx, actor.org_id, target), lambda: make(tx)
            )

        return await self._store.write(work)

    async def update(self, actor: Actor, user_id: str, changes: Mapping[str, Any]) -> User:
        """Change name, email, subject or enabled.

        Nobody disables themselves, or the organization's last admin: somebody has to be left to undo it.
        """
        require_org(actor, "admin")
        if "subject" in changes:
            changes = {**changes, "issuer": self._issuer_of(changes["subject"])}
        if user_id == actor.user_id and changes.get("enabled") is False:
            raise Conflict("You cannot disable your own user.")

        async def work(tx: Transaction) -> User:
            await audit.lock(tx, actor.org_id)
            old = await find_user(tx, actor.org_id, user_id)
            if old is None:
                raise NotFound("user", user_id)
            new = msgspec.structs.replace(old, **changes)
            if new != old:
                if new.name != old.name:
                    await _require_free(tx, actor.org_id, new.name)
                if (new.issuer, new.subject) != (old.issuer, old.subject):
                    await _require_unlinked(tx, new.issuer, new.subject)
                if old.enabled and not new.enabled:
                    await require_other_admin(tx, actor.org_id, user_id)
                await tx.fetch(
                    SET_USER, row=user_id, name=new.name, email=new.email, enabled=new.enabled, issuer=new.issuer,
                    subject=new.subject,
                )  # fmt: skip
                data = {"changed": [name for name in sorted(changes) if getattr(new, name) != getattr(old, name)]}
                await audit.append(tx, actor.org_id, actor.label, "user.updated", user_id, data)
            return new

        try:
            return await self._store.write(work)
        finally:
            self._authenticator.changed()

    def _issuer_of(self, subject: str | None) -> str | None:
        if subject is not None and self._issuer is None:
            raise InvalidRequest.at(
                "subject", "is one of an OIDC issuer, and none is configured (RUNWRIGHT_OIDC_ISSUER)"
            )
        return self._issuer if subject is not None else None

    async def own(self, actor: Actor) -> User:
        """Return the caller's own user. Raises `NotFound` for a caller that is none."""
        return await self._get(actor.org_id, actor.user_id or "")

    async def get(self, actor: Actor, user_id: str) -> User:
        """Return a user of the caller's organization. Raises `NotFound`."""
        require_org(actor, "admin")
        return await self._get(actor.org_id, user_id)

    async def _get(self, org_id: str, user_id: str) -> User:
        rows = await self._store.within(org_id).fetch(USER, org_id=org_id, user_id=user_id)
        if not rows:
            raise NotFound("user", user_id)
        return user(rows[0])

    async def page(self, actor: Actor, part: Slice) -> list[User]:
        """Return users of the caller's organization."""
        require_org(actor, "admin")
        return [user(row) for row in await read(self._store.within(actor.org_id), USERS, part, org_id=actor.org_id)]


async def add_user(tx: Transaction, made: User, by: str) -> None:
    """Insert a user with its audit entry."""
    await tx.fetch(INSERT_USER, **msgspec.structs.asdict(made))
    await audit.append(tx, made.org_id, by, "user.created", made.user_id)


async def find_user(tx: Transaction, org_id: str, user_id: str) -> User | None:
    """Return a user of an organization inside a transaction."""
    rows = await tx.fetch(USER, org_id=org_id, user_id=user_id)
    return user(rows[0]) if rows else None


async def require_other_admin(tx: Transaction, org_id: str, user_id: str) -> None:
    """Let a user stop being an admin of the organization. Raises `Conflict` for the last one that can act."""
    if [row[0] for row in await tx.fetch(ADMINS, org_id=org_id)] == [user_id]:
        raise Conflict(
            "This is the organization's last admin; make another user an admin first.", code="members.last_admin"
        )


async def _require_unlinked(tx: Transaction, issuer: str | None, subject: str | None) -> None:
    if subject is not None and await tx.fetch(USER_BY_SUBJECT, issuer=issuer, subject=subject):
        raise AlreadyExists("There is a user of this subject already.")


async def _require_free(tx: Transaction, org_id: str, name: str) -> None:
    if await tx.fetch(USER_BY_NAME, org_id=org_id, name=name):
        raise AlreadyExists(f"There is a user {name!r} already.")
