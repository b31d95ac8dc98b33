"""The audit log is one chain for each organization: what was edited, dropped, moved or added shows itself."""

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.chain import Break
from runwright.store import audit
from runwright.store.base import Transaction
from tests.auth.conftest import House

SAFE = st.integers(0, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


async def grow(house: House, count: int = 5) -> list[audit.Entry]:
    async def work(tx: Transaction) -> None:
        for number in range(count):
            await audit.append(tx, house.organization.org_id, "user:u", "thing.changed", f"t{number}", {"n": number})

    await house.store.write(work)
    return await house.entries()


@given(TEXT, TEXT, SAFE, TEXT, SAFE, TEXT, TEXT)
def test_the_header_is_canonical_json(action, actor, created_at, digest, number, org_id, target) -> None:
    header = audit.Header(action, actor, created_at, digest, number, org_id, target)
    assert audit._encode(header) == rfc8785.dumps(msgspec.to_builtins(header))


async def test_a_whole_log_verifies(house: House) -> None:
    entries = await grow(house)
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert audit.verify(house.organization.org_id, entries, entries[-1].hash) is None


async def test_each_organization_has_its_own_chain(house: House) -> None:
    founded = await house.tenants.organizations.create(house.admin, slug="acme", name="Acme")
    other = founded.value.organization.org_id
    entries = await house.entries(other)
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert audit.verify(other, entries) is None
    assert audit.verify(house.organization.org_id, entries) == Break(1, "edited")
    assert (await house.actions())[-1] == "organization.created"


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "user:someone-else"},
        {"action": "thing.kept"},
        {"target": "t9"},
        {"data": b'{"n":9}'},
        {"created_at": 1},
        {"org_id": "org_2"},
        {"hash": bytes(32)},
    ],
)
async def test_an_edited_entry_is_named(house: House, change) -> None:
    entries = await grow(house)
    entries[5] = msgspec.structs.replace(entries[5], **change)
    assert audit.verify(house.organization.org_id, entries) == Break(6, "edited")


async def test_a_dropped_moved_or_repeated_entry_is_named(house: House) -> None:
    entries, org_id = await grow(house), house.organization.org_id
    assert audit.verify(org_id, entries[:3] + entries[4:]) == Break(4, "dropped")
    assert audit.verify(org_id, [*entries[:3], entries[4], entries[3], *entries[5:]]) == Break(4, "reordered")
    assert audit.verify(org_id, [*entries[:4], entries[3], *entries[4:]]) == Break(4, "added")
    assert audit.verify(org_id, entries[:-1], entries[-1].hash) == Break(len(entries), "dropped")


async def test_what_failed_is_not_in_the_log(house: House) -> None:
    before = await house.entries()

    async def work(tx: Transaction) -> None:
        await audit.append(tx, house.organization.org_id, "user:u", "thing.changed", "t", {})
        raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await house.store.write(work)
    assert await house.entries() == before
