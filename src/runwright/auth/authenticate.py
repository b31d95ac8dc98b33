"""Tell who a token's bearer is, fast and without saying why not: API keys, and the JWTs of the configured issuer."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, Protocol

from runwright import ids
from runwright.auth.keyring import Keyring
from runwright.auth.oidc import looks_like_jwt
from runwright.auth.tokens import TOKEN_MAX, Credential, credential
from runwright.clock import Clock
from runwright.domain.accounts import ApiKey, Membership, User, reach
from runwright.domain.tenancy import ROLES, Actor, narrowed
from runwright.errors import Denied, Unauthenticated
from runwright.store.base import Store
from runwright.store.queries.auth import (
    CREDENTIAL,
    KEY,
    MEMBERSHIPS,
    PROJECT,
    PROJECT_BY_SLUG,
    USER,
    api_key,
    membership,
    project,
    user,
)

CACHE_MAX = 4096


class Logins(Protocol):
    """Tell whose JWT it is; `token_max_bytes` is the largest that is read."""

    token_max_bytes: int

    async def find(self, token: str) -> tuple[User, int]:
        """Return the user of a JWT, and the instant (µs) at which it ends. Raises `Unauthenticated`."""
        ...


class _Believed(NamedTuple):
    actor: Actor
    until: float
    expires_at: int | None


class TokenAuthenticator:
    """Turn tokens into actors; an `Authenticator` of the API.

    A checked token is believed for `cache_s` seconds without another look. What this process revokes, rotates,
    disables or gives another role it forgets at once; another process's change as it hears of it, and after `cache_s`
    at the latest.
    """

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        clock: Clock,
        cache_s: float,
        logins: Logins | None = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._cache_s = cache_s
        self._logins = logins
        self._tell = tell
        # What is believed lies under a salted hash, so that no token stays in memory; the HMAC costs three times that.
        self._salt = os.urandom(32)
        self._believed: dict[bytes, _Believed] = {}
        self._generation = 0

    def believed(self, token: str | None, project: str | None = None) -> Actor | None:
        """Return the actor of a token that was checked a moment ago, or None: it needs a look (`authenticate`)."""
        if not token:
            return None
        return self._recall(self._name(token, project))

    async def authenticate(self, token: str | None, project: str | None = None) -> Actor:
        """Return the actor of a token, bound to one project if one is named by its id or slug.

        Raises `Unauthenticated`, in the same words, for a token that is missing, unknown, revoked, expired, or of a
        disabled user; `Denied` for a user who is a member of nothing, and for a project that is not theirs.
        """
        if not token or len(token) > self._most:
            raise Unauthenticated
        name = self._name(token, project)
        actor = self._recall(name)
        if actor is not None:
            return actor
        generation = self._generation
        if self._logins is not None and looks_like_jwt(token):
            found, expires_at = await self._logins.find(token)
            actor = await self._member(found, expires_at, project)
        else:
            if len(token) > TOKEN_MAX:
                raise Unauthenticated
            actor = await self._holder(credential(token, self._keyring.pepper), project)
        self._remember(name, actor, generation)
        return actor

    async def again(self, actor: Actor) -> Actor:
        """Return a caller as it is now, without its token: what a ticket stands for.

        Raises `Unauthenticated` once its key or its user is not valid any more.
        """
        name = self._name(f"{actor.key_id}/{actor.label}/{actor.expires_at}", actor.project_id)
        known = self._recall(name)
        if known is not None:
            return known
        generation = self._generation
        if actor.expires_at is not None and self._clock.now() >= actor.expires_at:
            raise Unauthenticated
        owner = await self._user(actor.org_id, actor.user_id) if actor.user_id is not None else None
        if actor.key_id is not None:
            rows = await self._store.within(actor.org_id).fetch(KEY, org_id=actor.org_id, key_id=actor.key_id)
            fresh = await self._of_key(api_key(rows[0]) if rows else None, owner, actor.project_id)
        elif owner is not None and actor.expires_at is not None:
            fresh = await self._member(owner, actor.expires_at, actor.project_id)
        else:
            raise Unauthenticated
        self._remember(name, fresh, generation)
        return fresh

    def changed(self) -> None:
        """Let this process and all others look again: a key, a user or a membership was changed here."""
        self.forget()
        self._tell()

    def forget(self) -> None:
        """Believe nobody any more without a look: a key, a user or a membership has changed."""
        self._generation += 1
        self._believed.clear()

    @property
    def _most(self) -> int:
        return TOKEN_MAX if self._logins is None else max(TOKEN_MAX, self._logins.token_max_bytes)

    def _name(self, token: str, project: str | None) -> bytes:
        asked = token if project is None else f"{token}\0{project}"
        return sha256(self._salt + asked.encode("utf-8", "surrogatepass")).digest()

    def _recall(self, name: bytes) -> Actor | None:
        believed = self._believed.get(name)
        if believed is None or self._clock.monotonic() >= believed.until:
            return None
        if believed.expires_at is not None and self._clock.now() >= believed.expires_at:
            return None
        return believed.actor

    def _remember(self, name: bytes, actor: Actor, generation: int) -> None:
        # Not after a revocation that came while the rows were read: it would bring the key back.
        if generation != self._generation or self._cache_s <= 0:
            return
        while len(self._believed) >= CACHE_MAX:
            del self._believed[next(iter(self._believed))]
        self._believed[name] = _Believed(actor, self._clock.monotonic() + self._cache_s, actor.expires_at)

    async def _holder(self, shown: Credential, wanted: str | None) -> Actor:
        found = await self._store.fetch(CREDENTIAL, prefix=shown.prefix)
        row = found[0] if found else None
        # An unknown prefix is compared too: the answer takes as long as the one to a wrong secret.
        same = hmac.compare_digest(row[-1] if row is not None else _NOTHING, shown.digest)
        key = api_key(row) if row is not None and same else None
        owner = None if key is None or key.user_id is None else await self._user(key.org_id, key.user_id)
        return await self._of_key(key, owner, wanted)

    async def _of_key(self, key: ApiKey | None, owner: User | None, wanted: str | None) -> Actor:
        if key is None or not key.valid(self._clock.now()):
            raise Unauthenticated
        if key.user_id is not None and (owner is None or not owner.enabled):
            raise Unauthenticated
        bound = key.project_id
        if wanted is not None and wanted != bound:
            bound = await self._project(key.org_id, wanted, bound)
        scopes, role = frozenset(key.scopes), None
        memberships = [] if owner is None else await self._memberships(owner)
        if memberships:
            role, bound = reach(memberships, bound)
            scopes = narrowed(scopes, ROLES[role])
        return Actor(
            kind="service" if owner is None else "user",
            id=key.key_id if owner is None else owner.user_id,
            org_id=key.org_id,
            project_id=bound,
            scopes=scopes,
            key_id=key.key_id,
            name=key.name if owner is None else owner.name,
            email=None if owner is None else owner.email,
            role=role,
            expires_at=key.expires_at,
        )

    async def _member(self, owner: User, expires_at: int, wanted: str | None) -> Actor:
        if not owner.enabled:
            raise Unauthenticated
        asked = None if wanted is None else await self._project(owner.org_id, wanted, None)
        role, bound = reach(await self._memberships(owner), asked)
        return Actor(
            kind="user",
            id=owner.user_id,
            org_id=owner.org_id,
            project_id=bound,
            scopes=ROLES[role],
            name=owner.name,
            email=owner.email,
            role=role,
            expires_at=expires_at,
        )

    async def _user(self, org_id: str, user_id: str) -> User | None:
        rows = await self._store.within(org_id).fetch(USER, org_id=org_id, user_id=user_id)
        return user(rows[0]) if rows else None

    async def _memberships(self, owner: User) -> list[Membership]:
        rows = await self._store.within(owner.org_id).fetch(MEMBERSHIPS, user_id=owner.user_id)
        return [membership(row) for row in rows]

    async def _project(self, org_id: str, wanted: str, bound: str | None) -> str:
        by_id = ids.is_id("proj", wanted)
        query, name = (PROJECT, "project_id") if by_id else (PROJECT_BY_SLUG, "slug")
        rows = await self._store.within(org_id).fetch(query, org_id=org_id, **{name: wanted})
        found = project(rows[0]).project_id if rows else None
        if found is None or bound not in (None, found):
            raise Denied(
                f"These credentials reach no project {wanted[:128]!r}: leave out X-Project-Id, or name one of theirs.",
                code="auth.not_a_member",
            )
        return found


_NOTHING = bytes(32)
