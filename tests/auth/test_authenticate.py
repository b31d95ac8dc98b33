"""What the authenticator believes is never older than what this process knows."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runwright.auth import authenticate
from runwright.auth.bootstrap import bootstrap
from runwright.auth.keyring import Keyring
from runwright.auth.tenants import Tenants
from runwright.clock import FrozenClock
from runwright.errors import Unauthenticated
from runwright.store.base import Row
from runwright.store.query import Query
from runwright.store.sqlite.store import SqliteStore
from tests.auth.conftest import House


class FarStore(SqliteStore):
    """A store whose answers are on the way until they are let through."""

    def __init__(self, directory: Path, clock: FrozenClock) -> None:
        super().__init__(directory, clock)
        self.through = asyncio.Event()
        self.through.set()
        self.asked = asyncio.Event()

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        rows = await super().fetch(query, **params)
        self.asked.set()
        await self.through.wait()
        return rows


async def test_a_revocation_beats_an_answer_that_was_on_its_way(tmp_path: Path) -> None:
    clock = FrozenClock()
    store = FarStore(tmp_path, clock)
    await store.open()
    keyring = await Keyring.unlock(store, None, tmp_path)
    tenants = Tenants.of(store, keyring, clock)
    admin = await tenants.authenticator.authenticate((await bootstrap(store, keyring, None)).token)
    made = (await tenants.keys.create(admin, name="k", scopes=[])).value

    store.through.clear()
    store.asked.clear()
    looking = asyncio.create_task(tenants.authenticator.authenticate(made.token))
    await store.asked.wait()
    await tenants.keys.revoke(admin, made.key.key_id)
    store.through.set()
    await looking  # it asked before the revocation, so it may still be let in

    with pytest.raises(Unauthenticated):
        await tenants.authenticator.authenticate(made.token)
    await store.close()


async def test_a_believed_key_needs_no_store(house: House) -> None:
    actor = await house.actor(house.token)
    await house.store.close()
    assert await house.actor(house.token) is actor


async def test_without_a_cache_every_request_looks(tmp_path: Path) -> None:
    clock = FrozenClock()
    store = SqliteStore(tmp_path, clock)
    await store.open()
    keyring = await Keyring.unlock(store, None, tmp_path)
    token = (await bootstrap(store, keyring, None)).token
    here, there = (Tenants.of(store, keyring, clock, key_cache_s=0) for _ in range(2))
    actor = await here.authenticator.authenticate(token)
    await there.keys.revoke(actor, actor.key_id or "")
    with pytest.raises(Unauthenticated):
        await here.authenticator.authenticate(token)
    await store.close()


async def test_the_cache_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "CACHE_MAX", 3)
    tokens = [(await house.tenants.keys.create(house.admin, name="k", scopes=[])).value.token for _ in range(5)]
    for token in tokens:
        await house.actor(token)
    assert len(house.tenants.authenticator._believed) == 3
    assert [await house.actor(token) for token in tokens]


async def test_unknown_tokens_are_not_remembered(house: House) -> None:
    house.tenants.authenticator.forget()
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await house.actor(f"rw_{number:012x}_{'a' * 43}")
    assert house.tenants.authenticator._believed == {}
