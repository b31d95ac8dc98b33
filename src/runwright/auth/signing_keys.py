"""The keys that sign evidence: Ed25519, wrapped in the keyring, one current and those that were before it.

A key's name is the SHA-256 of its public half. It signs from its creation until the next one's; what it signed goes on
being verified with it. Whoever verifies trusts a name that they noted, not what a server says later.
"""

from __future__ import annotations

import os

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runwright.auth.keyring import Keyring
from runwright.auth.policy import require_org
from runwright.auth.secret_files import KEY_BYTES
from runwright.domain.evidence import fingerprint
from runwright.domain.tenancy import Actor
from runwright.store import audit
from runwright.store.base import Row, Store, Transaction
from runwright.store.queries.auth import INSERT_KEYRING_ENTRY, LOCK_KEYRING, SIGNING_KEYS

PREFIX = "signing:"
ROTATED = "signing_key.rotated"


class PublicKey(msgspec.Struct, frozen=True):
    """What anybody may know of a key; it signed until `until`, None for the current one."""

    key_id: str
    public_key: bytes
    since: int
    until: int | None


class Signer:
    """The current key at work, and all public halves, its own last."""

    def __init__(self, keys: list[PublicKey], private: Ed25519PrivateKey) -> None:
        self.keys = keys
        self.key_id = keys[-1].key_id
        self._private = private

    def sign(self, data: bytes) -> bytes:
        """Return the signature (64 bytes); the same data have the same one."""
        return self._private.sign(data)


class SigningKeys:
    """Reads the keys when they are asked for; the first one is made then."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def signer(self) -> Signer:
        """Return who signs now."""
        rows = await self._rows()
        privates = [Ed25519PrivateKey.from_private_bytes(self._keyring.unwrap(row[0], row[1])) for row in rows]
        ends = [*(row[2] for row in rows[1:]), None]
        keys = [
            PublicKey(name.removeprefix(PREFIX), private.public_key().public_bytes_raw(), since, until)
            for private, (name, _, since), until in zip(privates, rows, ends, strict=True)
        ]
        return Signer(keys, privates[-1])

    async def rotate(self, actor: Actor) -> PublicKey:
        """Make a new key the current one."""
        require_org(actor, "admin")

        async def work(tx: Transaction) -> PublicKey:
            await audit.lock(tx, actor.org_id)
            made = await self._make(tx)
            await audit.append(tx, actor.org_id, actor.label, ROTATED, made.key_id)
            return made

        return await self._store.write(work)

    async def _rows(self) -> list[Row]:
        rows = await self._store.fetch(SIGNING_KEYS, first=PREFIX, last=PREFIX + "~")
        if rows:
            return rows

        async def first(tx: Transaction) -> None:
            await tx.fetch(LOCK_KEYRING)  # or two servers would each make the first
            if not await tx.fetch(SIGNING_KEYS, first=PREFIX, last=PREFIX + "~"):
                await self._make(tx)

        await self._store.write(first)
        return await self._store.fetch(SIGNING_KEYS, first=PREFIX, last=PREFIX + "~")

    async def _make(self, tx: Transaction) -> PublicKey:
        await tx.fetch(LOCK_KEYRING)
        seed = os.urandom(KEY_BYTES)
        public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        name = PREFIX + fingerprint(public_key)
        before = await tx.fetch(SIGNING_KEYS, first=PREFIX, last=PREFIX + "~")
        since = max(tx.now, before[-1][2] + 1) if before else tx.now
        await tx.fetch(INSERT_KEYRING_ENTRY, name=name, wrapped=self._keyring.wrap(name, seed), created_at=since)
        return PublicKey(fingerprint(public_key), public_key, since, None)
