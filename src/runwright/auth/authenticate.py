"""Tell who a token's bearer is, fast and without saying why not."""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from typing import NamedTuple

from runwright.auth.keyring import Keyring
from runwright.auth.tokens import TOKEN_MAX, Credential, credential
from runwright.clock import Clock
from runwright.domain.accounts import ApiKey
from runwright.domain.tenancy import Actor
from runwright.errors import Unauthenticated
from runwright.store.base import Store
from runwright.store.queries.auth import CREDENTIAL, api_key

CACHE_MAX = 4096


class _Believed(NamedTuple):
    actor: Actor
    until: float
    expires_at: int | None


class KeyAuthenticator:
    """Turn tokens of API keys into actors; an `Authenticator` of the API.

    A checked key is believed for `cache_s` seconds without another look. What this process revokes, rotates or
    disables it forgets at once; another process's revocation is seen after `cache_s` at the latest.
    """

    def __init__(self, store: Store, keyring: Keyring, clock: Clock, cache_s: float) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._cache_s = cache_s
        # What is believed lies under a salted hash, so that no token stays in memory; the HMAC costs three times that.
        self._salt = os.urandom(32)
        self._believed: dict[bytes, _Believed] = {}
        self._generation = 0

    async def authenticate(self, token: str | None) -> Actor:
        """Return the actor of a token.

        Raises `Unauthenticated`, in the same words, for a token that is missing, unknown, revoked, expired, or of a
        disabled user.
        """
        if not token or len(token) > TOKEN_MAX:
            raise Unauthenticated
        name = sha256(self._salt + token.encode("utf-8", "surrogatepass")).digest()
        believed = self._believed.get(name)
        if believed is not None and self._clock.monotonic() < believed.until:
            if believed.expires_at is None or self._clock.now() < believed.expires_at:
                return believed.actor
            raise Unauthenticated
        return await self._look(name, credential(token, self._keyring.pepper))

    async def _look(self, name: bytes, shown: Credential) -> Actor:
        generation = self._generation
        found = await self._store.fetch(CREDENTIAL, prefix=shown.prefix)
        row = found[0] if found else None
        *_, digest, user_name, email, enabled = row or (_NOTHING, None, None, None)
        # An unknown prefix is compared too: the answer takes as long as the one to a wrong secret.
        same = hmac.compare_digest(digest, shown.digest)
        key = api_key(row) if row is not None else None
        if key is None or not same or not key.valid(self._clock.now()) or (key.user_id is not None and not enabled):
            raise Unauthenticated
        actor = _actor(key, user_name, email)
        # Not after a revocation that came while the row was read: it would bring the key back.
        if generation == self._generation and self._cache_s > 0:
            while len(self._believed) >= CACHE_MAX:
                del self._believed[next(iter(self._believed))]
            until = self._clock.monotonic() + self._cache_s
            self._believed[name] = _Believed(actor, until, key.expires_at)
        return actor

    def forget(self) -> None:
        """Believe nobody any more without a look: a key or a user has changed."""
        self._generation += 1
        self._believed.clear()


_NOTHING = bytes(32)


def _actor(key: ApiKey, user_name: str | None, email: str | None) -> Actor:
    service = key.user_id is None
    return Actor(
        kind="service" if service else "user",
        id=key.user_id or key.key_id,
        org_id=key.org_id,
        project_id=key.project_id,
        scopes=frozenset(key.scopes),
        key_id=key.key_id,
        name=key.name if service else user_name,
        email=email,
    )
