"""The verbs of API keys: make, rotate, revoke, find. A token is returned once, by the verb that made it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from runwright import ids
from runwright.auth.authenticate import TokenAuthenticator
from runwright.auth.keyring import Keyring
from runwright.auth.policy import known_scopes, require_may_give, require_sees_key
from runwright.auth.tokens import credential, new_token
from runwright.auth.users import find_user
from runwright.domain.accounts import ApiKey
from runwright.domain.instants import SECOND_US
from runwright.domain.tenancy import Actor
from runwright.errors import Conflict, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries.auth import INSERT_KEY, KEY, KEYS, KEYS_OF_PROJECT, SET_KEY, api_key
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")

GRACE_S = 3600
GRACE_MAX_S = 30 * 86_400


class Minted(msgspec.Struct, frozen=True):
    """A key with its token, which is None wherever the key is not new."""

    key: ApiKey
    token: str | None = None


class Keys:
    """Make, rotate, revoke and find the API keys of an organization."""

    def __init__(
        self, store: Store, keyring: Keyring, authenticator: TokenAuthenticator, idempotency_ttl_us: int
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._authenticator = authenticator
        self._ttl_us = idempotency_ttl_us

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        scopes: Sequence[str],
        project_id: str | None = None,
        user_id: str | None = None,
        service: bool = False,
        expires_at: int | None = None,
        idempotency_key: str | None = None,
    ) -> Made[Minted]:
        """Make a key: the caller's own user's, that of `user_id`, or a service's.

        A bound caller's keys are bound to its project. A repeated request finds its key without the token. Raises
        `InvalidRequest` for unknown scopes and past expiry, `MissingScope` for a scope that the caller lacks.
        """
        if service and user_id is not None:
            raise InvalidRequest.at("service", "a key belongs to a user or to a service, not to both")
        granted = known_scopes(scopes)
        owner = None if service else user_id or actor.user_id
        project_id = project_id or actor.project_id
        require_may_give(actor, granted, project_id, owner)
        request = [name, granted, project_id, owner, expires_at]
        key = key_for(project_id or actor.org_id, "keys.create", idempotency_key, request)

        async def make(tx: Transaction) -> tuple[str, Minted]:
            _require_future(expires_at, tx.now)
            if owner is not None:
                await _require_enabled(tx, actor.org_id, owner)
            made = ApiKey(
                ids.new_id("key", tx.now), actor.org_id, project_id, owner, name, "", granted, tx.now, actor.label,
                expires_at,
            )  # fmt: skip
            minted = await add_key(tx, self._keyring, made, new_token())
            return made.key_id, minted

        async def work(tx: Transaction) -> Made[Minted]:
            await audit.lock(tx, actor.org_id)
            return await once(tx, key, self._ttl_us, lambda target: _find_minted(tx, actor, target), lambda: make(tx))

        return await self._store.write(work)

    async def rotate(
        self,
        actor: Actor,
        key_id: str,
        grace_s: float = GRACE_S,
        expires_at: int | None = None,
        idempotency_key: str | None = None,
    ) -> Made[Minted]:
        """Replace a key by one with the same name, scopes and reach; the old one is valid for `grace_s` seconds more.

        The new key lives as long as the old one was made for, unless `expires_at` says otherwise. Whoever rotates a
        key gets its token, so that takes all that making it would take.
        """
        verb = f"keys.rotate/{key_id}"
        key = key_for(actor.project_id or actor.org_id, verb, idempotency_key, [grace_s, expires_at])

        async def make(tx: Transaction, old: ApiKey) -> tuple[str, Minted]:
            if old.rotated_to is not None or not old.valid(tx.now):
                raise Conflict("Only a valid key that was not rotated yet can be rotated.")
            _require_future(expires_at, tx.now)
            if old.user_id is not None:
                await _require_enabled(tx, actor.org_id, old.user_id)
            minted = await self._replace(tx, actor, old, tx.now + round(grace_s * SECOND_US), expires_at)
            return minted.key.key_id, minted

        async def work(tx: Transaction) -> Made[Minted]:
            await audit.lock(tx, actor.org_id)
            old = require_sees_key(actor, await _find(tx, actor, key_id), key_id)
            require_may_give(actor, old.scopes, old.project_id, old.user_id)
            return await once(
                tx, key, self._ttl_us, lambda target: _find_minted(tx, actor, target), lambda: make(tx, old)
            )

        return await self._changing(work)

    async def _replace(self, tx: Transaction, actor: Actor, old: ApiKey, until: int, expires_at: int | None) -> Minted:
        lifetime = None if old.expires_at is None else tx.now + old.expires_at - old.created_at
        fresh = msgspec.structs.replace(
            old,
            key_id=ids.new_id("key", tx.now),
            created_at=tx.now,
            created_by=actor.label,
            expires_at=expires_at or lifetime,
        )
        ends_at = until if old.expires_at is None else min(until, old.expires_at)
        await _set(tx, msgspec.structs.replace(old, expires_at=ends_at, rotated_to=fresh.key_id))
        data = {"rotated_to": fresh.key_id, "expires_at": ends_at}
        await audit.append(tx, actor.org_id, actor.label, "key.rotated", old.key_id, data)
        return await add_key(tx, self._keyring, fresh, new_token())

    async def revoke(self, actor: Actor, key_id: str) -> ApiKey:
        """End a key at once and for ever; one that is revoked already stays as it is."""
        actor.require("keys:manage")

        async def work(tx: Transaction) -> ApiKey:
            await audit.lock(tx, actor.org_id)
            old = require_sees_key(actor, await _find(tx, actor, key_id), key_id)
            if old.revoked_at is not None:
                return old
            revoked = msgspec.structs.replace(old, revoked_at=tx.now)
            await _set(tx, revoked)
            await audit.append(tx, actor.org_id, actor.label, "key.revoked", key_id)
            return revoked

        return await self._changing(work)

    async def get(self, actor: Actor, key_id: str) -> ApiKey:
        """Return a key that the caller may see. Raises `NotFound`."""
        rows = await self._store.within(actor.org_id).fetch(KEY, org_id=actor.org_id, key_id=key_id)
        return require_sees_key(actor, api_key(rows[0]) if rows else None, key_id)

    async def page(self, actor: Actor, part: Slice) -> list[ApiKey]:
        """Return the keys that the caller may see, those that have ended too."""
        own = self._store.within(actor.org_id)
        if actor.project_id is not None:
            rows = await read(own, KEYS_OF_PROJECT, part, org_id=actor.org_id, project_id=actor.project_id)
        else:
            rows = await read(own, KEYS, part, org_id=actor.org_id)
        return [api_key(row) for row in rows]

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            # Also when the caller went away meanwhile: the transaction may have been written all the same.
            self._authenticator.changed()


async def add_key(tx: Transaction, keyring: Keyring, made: ApiKey, token: str) -> Minted:
    """Insert a key for a token with its audit entry; the prefix comes from the token."""
    stored = credential(token, keyring.pepper)
    key = msgspec.structs.replace(made, prefix=stored.prefix)
    row = msgspec.structs.asdict(key) | {"scopes": " ".join(key.scopes), "digest": stored.digest}
    await tx.fetch(INSERT_KEY, **row)
    data = {"scopes": list(key.scopes), "project_id": key.project_id, "user_id": key.user_id}
    await audit.append(tx, key.org_id, key.created_by, "key.created", key.key_id, data)
    return Minted(key, token)


async def _find(tx: Transaction, actor: Actor, key_id: str) -> ApiKey | None:
    rows = await tx.fetch(KEY, org_id=actor.org_id, key_id=key_id)
    return api_key(rows[0]) if rows else None


async def _find_minted(tx: Transaction, actor: Actor, key_id: str) -> Minted | None:
    found = await _find(tx, actor, key_id)
    return Minted(found) if found is not None else None


async def _set(tx: Transaction, key: ApiKey) -> None:
    await tx.fetch(
        SET_KEY, row=key.key_id, expires_at=key.expires_at, revoked_at=key.revoked_at, rotated_to=key.rotated_to
    )


def _require_future(expires_at: int | None, now: int) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest.at("expires_at", "must be in the future")


async def _require_enabled(tx: Transaction, org_id: str, user_id: str) -> None:
    found = await find_user(tx, org_id, user_id)
    if found is None:
        raise NotFound("user", user_id)
    if not found.enabled:
        raise Conflict("The user is disabled; a key of theirs would not be valid.")
