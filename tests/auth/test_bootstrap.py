"""The first start makes a usable house; a later one changes nothing but lets the operator's key in."""

import json
import stat
from pathlib import Path

import pytest

from runwright.auth.bootstrap import bootstrap
from runwright.auth.keyring import Keyring
from runwright.auth.secret_files import CREDENTIALS, read_credentials, write_credentials
from runwright.auth.tenants import Tenants
from runwright.clock import FrozenClock
from runwright.errors import InvalidSettings, StoreReadOnly
from runwright.store.queries.auth import FIRST_ORGANIZATION
from runwright.store.sqlite.store import SqliteStore
from tests.auth.conftest import House

OWN = "a token of the operator's own"


async def test_the_first_start_makes_organization_project_user_and_key(house: House) -> None:
    assert (house.organization.slug, house.admin.name, sorted(house.admin.scopes)) == ("default", "admin", ["admin"])
    project = await house.tenants.resolve_project(house.admin, None)
    assert (project.slug, project.weight, project.max_concurrency) == ("default", 1.0, None)
    assert await house.actions() == [
        "organization.created",
        "project.created",
        "user.created",
        "member.created",
        "key.created",
    ]


async def test_a_later_start_makes_nothing(house: House) -> None:
    again = await bootstrap(house.store, house.keyring, None)
    assert (again.organization, again.token, again.made) == (house.organization, None, False)
    assert len(await house.entries()) == 5


async def test_a_made_key_is_kept_before_the_store_has_it(tmp_path: Path) -> None:
    clock = FrozenClock()
    store = SqliteStore(tmp_path, clock)
    await store.open()
    keyring = await Keyring.unlock(store, None, tmp_path)

    def keep(token: str) -> None:
        write_credentials(tmp_path, None, token)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await bootstrap(store, keyring, None, keep)
    assert await store.fetch(FIRST_ORGANIZATION) == []
    booted = await bootstrap(store, keyring, None, lambda token: write_credentials(tmp_path, None, token))
    assert read_credentials(tmp_path) == booted.token
    assert (await Tenants.of(store, keyring, clock).authenticator.authenticate(booted.token)).name == "admin"
    await store.close()


async def test_the_operators_own_key_becomes_an_admin_key_once(house: House) -> None:
    for _ in range(2):
        again = await bootstrap(house.store, house.keyring, OWN)
        assert (again.token, again.made) == (OWN, False)
    actor = await house.actor(OWN)
    assert (actor.id, sorted(actor.scopes)) == (house.admin.id, ["admin"])
    assert (await house.actions()).count("key.created") == 2
    assert await house.is_valid(house.token), "the first key goes on"


async def test_an_own_key_of_our_form_is_found_by_its_prefix(house: House) -> None:
    own = f"rw_{'1f' * 6}_{'Q' * 43}"
    await bootstrap(house.store, house.keyring, own)
    actor = await house.actor(own)
    assert (await house.tenants.keys.get(house.admin, actor.key_id or "")).prefix == "1f" * 6


async def test_a_revoked_own_key_does_not_come_back(house: House) -> None:
    await bootstrap(house.store, house.keyring, OWN)
    await house.tenants.keys.revoke(house.admin, (await house.actor(OWN)).key_id or "")
    await bootstrap(house.store, house.keyring, OWN)
    assert not await house.is_valid(OWN)


async def test_an_own_key_is_a_services_when_the_admin_is_disabled(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada")).value
    made = await house.tenants.keys.create(house.admin, name="k", scopes=["admin"], user_id=ada.user_id)
    await house.tenants.members.create(house.admin, user_id=ada.user_id, role="admin", project_id=None)
    await house.tenants.users.update(await house.actor(made.value.token), house.admin.id, {"enabled": False})
    await bootstrap(house.store, house.keyring, OWN)
    assert (await house.actor(OWN)).kind == "service"


async def test_an_own_key_opens_everything_when_the_user_admin_is_no_admin_any_more(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada")).value
    await house.tenants.members.create(house.admin, user_id=ada.user_id, role="admin", project_id=None)
    mine = (await house.tenants.members.own(house.admin))[0]
    await house.tenants.members.update(house.admin, mine.member_id, "viewer")
    await bootstrap(house.store, house.keyring, OWN)
    actor = await house.actor(OWN)
    assert (actor.kind, actor.allows("keys:manage")) == ("service", True)


@pytest.mark.parametrize("short", ["fifteen letters", "x" * 257])
async def test_an_own_key_is_long_enough_to_be_a_secret(house: House, short: str) -> None:
    with pytest.raises(InvalidSettings, match="RUNWRIGHT_API_KEY"):
        await bootstrap(house.store, house.keyring, short)


def test_credentials_are_their_owners_alone_and_whole(tmp_path: Path) -> None:
    write_credentials(tmp_path, "http://127.0.0.1:8080", "rw_1")
    path = tmp_path / CREDENTIALS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes()) == {"url": "http://127.0.0.1:8080", "api_key": "rw_1"}
    write_credentials(tmp_path, "http://127.0.0.1:9090", None)
    assert json.loads(path.read_bytes()) == {"url": "http://127.0.0.1:9090", "api_key": "rw_1"}
    assert [each.name for each in tmp_path.iterdir()] == [CREDENTIALS]


def test_without_a_key_there_are_no_credentials(tmp_path: Path) -> None:
    write_credentials(tmp_path, "http://127.0.0.1:8080", None)
    assert list(tmp_path.iterdir()) == []


def test_credentials_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly, match="cannot be written"):
        write_credentials(tmp_path / "file" / "missing", "http://127.0.0.1:8080", "rw_1")
