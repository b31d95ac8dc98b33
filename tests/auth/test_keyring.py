"""One master key opens everything, another one nothing; what was sealed comes back exact or not at all."""

import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.auth.keyring import Keyring
from runwright.auth.secret_files import MASTER_KEY, parse_master_key
from runwright.clock import FrozenClock
from runwright.errors import InvalidSettings, StoreError
from runwright.store.queries.auth import KEYRING
from runwright.store.sqlite.store import SqliteStore
from tests.auth.conftest import House

CONTEXT = "run_1/payload"


async def project(house: House) -> str:
    return (await house.tenants.resolve_project(house.admin, None)).project_id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.binary(max_size=2000), context=st.text(max_size=50))
async def test_what_was_sealed_comes_back_exact(house: House, data: bytes, context: str) -> None:
    project_id = await project(house)
    sealed = house.keyring.seal(project_id, data, context)
    assert data not in sealed or len(data) < 4
    assert house.keyring.open(project_id, sealed, context) == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.binary(max_size=60), draw=st.data())
async def test_any_flipped_bit_is_refused(house: House, data: bytes, draw: st.DataObject) -> None:
    project_id = await project(house)
    sealed = bytearray(house.keyring.seal(project_id, data, CONTEXT))
    bit = draw.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreError) as refused:
        house.keyring.open(project_id, bytes(sealed), CONTEXT)
    assert refused.value.code == "keyring.not_sealed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.binary(max_size=60), cut=st.integers(0, 200))
async def test_any_cut_is_refused(house: House, data: bytes, cut: int) -> None:
    project_id = await project(house)
    sealed = house.keyring.seal(project_id, data, CONTEXT)
    with pytest.raises(StoreError):
        house.keyring.open(project_id, sealed[: min(cut, len(sealed) - 1)], CONTEXT)


async def test_a_sealed_value_opens_in_its_own_place_only(house: House) -> None:
    mine = await project(house)
    other = (await house.tenants.projects.create(house.admin, slug="other", name="Other")).value.project_id
    await house.keyring.ensure(other)
    sealed = house.keyring.seal(mine, b"secret", CONTEXT)
    for project_id, context in [(mine, "run_2/payload"), (mine, "run_1/result"), (other, CONTEXT)]:
        with pytest.raises(StoreError, match="not what was sealed"):
            house.keyring.open(project_id, sealed, context)


async def test_equal_values_are_sealed_differently(house: House) -> None:
    project_id = await project(house)
    assert len({house.keyring.seal(project_id, b"same", CONTEXT) for _ in range(100)}) == 100


async def test_a_project_without_a_key_cannot_seal(house: House) -> None:
    with pytest.raises(StoreError) as refused:
        house.keyring.seal("proj_none", b"", CONTEXT)
    assert refused.value.code == "keyring.no_key"


async def test_a_new_project_has_its_key_before_its_first_run(house: House) -> None:
    made = (await house.tenants.projects.create(house.admin, slug="fresh", name="Fresh")).value
    found = await house.tenants.resolve_project(house.admin, "fresh")
    sealed = house.keyring.seal(found.project_id, b"payload", CONTEXT)
    again = await Keyring.unlock(house.store, None, house.store.directory)
    assert again.open(made.project_id, sealed, CONTEXT) == b"payload"
    assert again.pepper == house.keyring.pepper


async def test_no_key_lies_open_in_the_database(house: House) -> None:
    rows: dict[str, bytes] = dict(await house.store.fetch(KEYRING))
    assert set(rows) == {"master", "pepper", "run-tokens", f"project:{await project(house)}"}
    assert house.keyring.pepper not in b"".join(rows.values())


async def test_a_wrapped_key_cannot_stand_in_anothers_place(house: House) -> None:
    rows: dict[str, bytes] = dict(await house.store.fetch(KEYRING))
    with pytest.raises(StoreError, match="not what was sealed"):
        house.keyring._unwrap("project:proj_1", rows["pepper"])


async def test_the_master_key_is_made_once_for_its_owner_only(house: House) -> None:
    path = house.store.directory / MASTER_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(parse_master_key(path.read_text())) == 32
    before = path.read_bytes()
    await Keyring.unlock(house.store, None, house.store.directory)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


async def test_another_master_key_is_refused(house: House) -> None:
    with pytest.raises(StoreError, match="made with another master key") as refused:
        await Keyring.unlock(house.store, secrets.token_hex(32), house.store.directory)
    assert refused.value.code == "keyring.wrong_master_key"


async def test_a_lost_master_key_is_told_and_not_replaced(house: House) -> None:
    path = house.store.directory / MASTER_KEY
    path.unlink()
    with pytest.raises(StoreError, match=r"master\.key is missing: restore it") as refused:
        await Keyring.unlock(house.store, None, house.store.directory)
    assert refused.value.code == "keyring.wrong_master_key"
    assert not path.exists()


async def test_a_damaged_master_key_is_told(house: House) -> None:
    (house.store.directory / MASTER_KEY).write_text("not a key\n")
    with pytest.raises(StoreError, match="does not hold a master key"):
        await Keyring.unlock(house.store, None, house.store.directory)


async def test_the_setting_is_the_master_key_and_makes_no_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    key = secrets.token_hex(32)
    first = await Keyring.unlock(store, key, tmp_path)
    assert not (tmp_path / MASTER_KEY).exists()
    assert (await Keyring.unlock(store, key.upper(), tmp_path)).pepper == first.pepper
    await store.close()


async def test_a_store_without_a_data_directory_needs_the_setting(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    with pytest.raises(StoreError, match="give RUNWRIGHT_MASTER_KEY"):
        await Keyring.unlock(store, None, None)
    await store.close()


@pytest.mark.parametrize(
    "text",
    [
        "ab" * 32,
        "AB" * 32,
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s",
    ],
)
def test_a_master_key_is_hex_or_base64(text: str) -> None:
    assert parse_master_key(f" {text}\n") == b"\xab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "correct horse battery staple", "é" * 32, "A" * 42])
def test_anything_else_is_no_master_key(text: str) -> None:
    with pytest.raises(InvalidSettings, match="must be 32 bytes"):
        parse_master_key(text)
