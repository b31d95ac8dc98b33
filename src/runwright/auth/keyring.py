"""The keyring: one master key wraps all other keys, which lie in the database as AES-256-GCM ciphertexts.

A wrapped key and a sealed value have one form: a version byte, a random nonce of 12 bytes, and the ciphertext with its
tag. The additional data names what it is, so that no ciphertext can stand in another's place. Nonces are drawn, not
counted: after a thousand billion values of one project the chance that two ever shared a nonce is below 1 in 100 000.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag

from runwright.auth.sealing_key import SealingKey
from runwright.auth.secret_files import KEY_BYTES, MASTER_KEY, make_master_key, parse_master_key, read_master_key
from runwright.errors import StoreError
from runwright.store.base import Store, Transaction
from runwright.store.queries.auth import INSERT_KEYRING_ENTRY, KEYRING, KEYRING_ENTRY, LOCK_KEYRING, PROJECT_IDS

MASTER = "master"
PEPPER = "pepper"
RUN_TOKENS = "run-tokens"
VERSION = b"\x01"
_NONCE = 12
_LEAST = len(VERSION) + _NONCE + 16

_random = os.urandom


class Keys:
    """The unwrapped keys of this process; a `Sealer` with the key of each project."""

    def __init__(self, master: bytes) -> None:
        self._wrapping = SealingKey(hmac.digest(master, b"runwright wrapping key", "sha256"))
        self._fingerprint = hmac.digest(master, b"runwright fingerprint", "sha256")
        self._projects: dict[str, SealingKey] = {}
        self.pepper = b""
        self.run_token_key = b""

    @classmethod
    def of(cls, master: bytes, entries: Mapping[str, bytes]) -> Keys:
        """Return the keys that lie in a keyring. Raises `StoreError` for another master key's."""
        keys = Keys(master)
        keys._match(entries.get(MASTER, b""))
        keys._read(entries)
        return keys

    def seal(self, project_id: str, data: bytes, context: str) -> bytes:
        """Return `data` encrypted with the project's key and bound to the project and the context."""
        nonce = _random(_NONCE)
        return self._key(project_id).encrypt(VERSION, nonce, data, f"{project_id}/{context}".encode())

    def open(self, project_id: str, sealed: bytes, context: str) -> bytes:
        """Return what was sealed for this project and context. Raises `StoreError` for anything else."""
        return _decrypt(self._key(project_id), sealed, f"{project_id}/{context}")

    def _key(self, project_id: str) -> SealingKey:
        try:
            return self._projects[project_id]
        except KeyError:
            raise StoreError(f"the keyring has no key of the project {project_id}", code="keyring.no_key") from None

    def _match(self, fingerprint: bytes) -> None:
        if not hmac.compare_digest(fingerprint, self._fingerprint):
            raise StoreError(
                "this database was made with another master key; give the one it was made with (RUNWRIGHT_MASTER_KEY,"
                f" or {MASTER_KEY} in the data directory): without it nothing that is sealed can be read",
                code="keyring.wrong_master_key",
            )

    def _read(self, entries: Mapping[str, bytes]) -> None:
        self.pepper = self._unwrap(PEPPER, entries[PEPPER])
        self.run_token_key = self._unwrap(RUN_TOKENS, entries[RUN_TOKENS])
        self._projects = {
            name.removeprefix("project:"): SealingKey(self._unwrap(name, wrapped))
            for name, wrapped in entries.items()
            if name.startswith("project:")
        }

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return a key wrapped with the master key, as the keyring keeps it under a name."""
        nonce = _random(_NONCE)
        return self._wrapping.encrypt(VERSION, nonce, key, _wrapped(name).encode())

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return a key that was wrapped under this name. Raises `StoreError` for anything else."""
        return self._unwrap(name, wrapped)

    def _unwrap(self, name: str, wrapped: bytes) -> bytes:
        return _decrypt(self._wrapping, wrapped, _wrapped(name))


class Keyring(Keys):
    """The keys of a store: those that are missing are made."""

    def __init__(self, store: Store, master: bytes) -> None:
        super().__init__(master)
        self._store = store

    @classmethod
    async def unlock(cls, store: Store, master_key: str | None, data_dir: Path | None) -> Keyring:
        """Find the master key, or make it at the first start, and load all keys; every project has one afterwards.

        `master_key` is the setting; without it the key lies in `data_dir`, and a store without a data directory
        cannot be opened. Raises `InvalidSettings` for a malformed key and `StoreError` (`keyring.wrong_master_key`)
        for one that this database was not made with.
        """
        entries: dict[str, bytes] = dict(await store.fetch(KEYRING))
        master = parse_master_key(master_key) if master_key is not None else None
        if master is None and data_dir is not None:
            master = read_master_key(data_dir)
            if master is None and MASTER not in entries:
                master = make_master_key(data_dir)
        if master is None:
            where = f"{data_dir / MASTER_KEY} is missing: restore it, or" if data_dir is not None else "No master key:"
            raise StoreError(f"{where} give RUNWRIGHT_MASTER_KEY", code="keyring.wrong_master_key")
        keyring = cls(store, master)
        await keyring._load()
        return keyring

    async def _load(self) -> None:
        await self._store.write(self._prepare)
        self._read(dict(await self._store.fetch(KEYRING)))

    async def _prepare(self, tx: Transaction) -> None:
        await tx.fetch(LOCK_KEYRING)
        found = await tx.fetch(KEYRING_ENTRY, name=MASTER)
        if not found:
            await tx.fetch(INSERT_KEYRING_ENTRY, name=MASTER, wrapped=self._fingerprint, created_at=tx.now)
        else:
            self._match(found[0][0])
        for name in (PEPPER, RUN_TOKENS):
            await self._mint(tx, name)
        for (project_id,) in await tx.fetch(PROJECT_IDS):
            await self.mint(tx, project_id)

    async def mint(self, tx: Transaction, project_id: str) -> None:
        """Make a project's key in the transaction that makes the project; `ensure` then loads it."""
        await self._mint(tx, _entry(project_id))

    async def ensure(self, project_id: str) -> None:
        """Have a project's key in memory, so that `seal` and `open` find it; make one if it has none."""
        if project_id in self._projects:
            return
        name = _entry(project_id)
        found = await self._store.fetch(KEYRING_ENTRY, name=name)
        if not found:
            await self._store.write(lambda tx: self.mint(tx, project_id))
            found = await self._store.fetch(KEYRING_ENTRY, name=name)
        self._projects[project_id] = SealingKey(self._unwrap(name, found[0][0]))

    async def _mint(self, tx: Transaction, name: str) -> None:
        await tx.fetch(LOCK_KEYRING)  # or two servers would each make a key of this name
        if await tx.fetch(KEYRING_ENTRY, name=name):
            return
        wrapped = self.wrap(name, _random(KEY_BYTES))
        await tx.fetch(INSERT_KEYRING_ENTRY, name=name, wrapped=wrapped, created_at=tx.now)


def _entry(project_id: str) -> str:
    return f"project:{project_id}"


def _wrapped(name: str) -> str:
    return f"keyring/{name}"


def _decrypt(key: SealingKey, sealed: bytes, context: str) -> bytes:
    if len(sealed) < _LEAST or sealed[:1] != VERSION:
        raise _not_sealed(context)
    try:
        return key.decrypt(sealed[1 : 1 + _NONCE], memoryview(sealed)[1 + _NONCE :], context.encode())
    except InvalidTag:
        raise _not_sealed(context) from None


def _not_sealed(context: str) -> StoreError:
    return StoreError(
        f"{context}: the stored bytes are not what was sealed there; restore them from a backup",
        code="keyring.not_sealed",
    )
