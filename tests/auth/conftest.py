"""A house that was just opened: a real SQLite file, its keyring, and the organization of the first start."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runwright.auth.bootstrap import bootstrap
from runwright.auth.keyring import Keyring
from runwright.auth.tenants import Tenants
from runwright.clock import FrozenClock
from runwright.domain.accounts import Organization
from runwright.domain.tenancy import Actor
from runwright.errors import Unauthenticated
from runwright.store import audit
from runwright.store.queries.audit import ENTRIES
from runwright.store.sqlite.store import SqliteStore
from tests import empty_file

CACHE_S = 5.0


@dataclass
class House:
    """What `app.py` puts together at start, and the admin of the default organization."""

    store: SqliteStore
    clock: FrozenClock
    keyring: Keyring
    tenants: Tenants
    organization: Organization
    token: str
    admin: Actor

    async def actor(self, token: str | None) -> Actor:
        """Return whose token this is."""
        return await self.tenants.authenticator.authenticate(token)

    async def is_valid(self, token: str) -> bool:
        """Tell whether a token is taken."""
        try:
            await self.actor(token)
        except Unauthenticated:
            return False
        return True

    async def entries(self, org_id: str | None = None) -> list[audit.Entry]:
        """Return the audit log of an organization, of the default one if none is named."""
        org_id = org_id or self.organization.org_id
        return [audit.Entry(*row) for row in await self.store.fetch(ENTRIES, org_id=org_id, after=0, limit=1000)]

    async def actions(self) -> list[str]:
        """Return what the audit log of the default organization says was done."""
        return [entry.action for entry in await self.entries()]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = FrozenClock()
    empty_file.put_into(tmp_path)
    store = SqliteStore(tmp_path, clock)
    await store.open()
    try:
        keyring = await Keyring.unlock(store, None, tmp_path)
        tenants = Tenants.of(store, keyring, clock, key_cache_s=CACHE_S)
        booted = await bootstrap(store, keyring, None)
        assert booted.token is not None
        admin = await tenants.authenticator.authenticate(booted.token)
        yield House(store, clock, keyring, tenants, booted.organization, booted.token, admin)
    finally:
        await store.close()
