"""One key makes one thing, however often and however many at a time ask for it."""

import asyncio

import pytest

from runwright.errors import AlreadyExists, IdempotencyMismatch
from runwright.store.queries.shapes import Slice
from tests.auth.conftest import House


async def test_a_hundred_requests_with_one_key_make_one_project(house: House) -> None:
    async def create():
        return await house.tenants.projects.create(house.admin, slug="mill", name="Mill", idempotency_key="k")

    made = await asyncio.gather(*(create() for _ in range(100)))
    assert len({each.value.project_id for each in made}) == 1
    assert [each.repeated for each in made].count(False) == 1
    assert len(await house.tenants.projects.page(house.admin, Slice(50))) == 2


async def test_a_request_that_failed_has_taken_no_key(house: House) -> None:
    with pytest.raises(AlreadyExists):
        await house.tenants.projects.create(house.admin, slug="default", name="Again", idempotency_key="k")
    made = await house.tenants.projects.create(house.admin, slug="mill", name="Mill", idempotency_key="k")
    assert not made.repeated


async def test_a_key_belongs_to_one_verb_and_one_organization(house: House) -> None:
    await house.tenants.projects.create(house.admin, slug="mill", name="Mill", idempotency_key="k")
    assert not (await house.tenants.users.create(house.admin, name="Ada", idempotency_key="k")).repeated
    founded = await house.tenants.organizations.create(house.admin, slug="acme", name="Acme")
    other = await house.actor(founded.value.token)
    made = await house.tenants.projects.create(other, slug="saw", name="Saw", idempotency_key="k")
    assert (made.repeated, made.value.org_id) == (False, other.org_id)


async def test_a_key_is_free_again_after_a_day(house: House) -> None:
    async def create(name: str):
        return await house.tenants.users.create(house.admin, name=name, idempotency_key="k")

    await create("Ada")
    house.clock.advance(86_399)
    with pytest.raises(IdempotencyMismatch):
        await create("Bob")
    house.clock.advance(1)
    assert (await create("Bob")).value.name == "Bob"
    assert (await create("Bob")).repeated
