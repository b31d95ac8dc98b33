"""Organizations, projects and users: made, changed, found, and never seen by others."""

import pytest

from runwright.auth.tenants import Tenants
from runwright.domain.tenancy import Actor
from runwright.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    IdempotencyMismatch,
    InvalidRequest,
    MissingScope,
    NotFound,
    Unauthenticated,
)
from runwright.store.queries.shapes import Slice
from tests.auth.conftest import House


async def bound_admin(house: House, slug: str = "bound") -> Actor:
    """Return an admin whose key is bound to a project of its own."""
    project = (await house.tenants.projects.create(house.admin, slug=slug, name=slug)).value
    made = await house.tenants.keys.create(house.admin, name="bound", scopes=["admin"], project_id=project.project_id)
    return await house.actor(made.value.token)


async def neighbour(house: House, slug: str = "acme") -> Actor:
    """Return the admin of another organization."""
    founded = (await house.tenants.organizations.create(house.admin, slug=slug, name="Acme")).value
    return await house.actor(founded.token)


async def test_a_founded_organization_is_ready_and_its_own(house: House) -> None:
    other = await neighbour(house)
    assert other.org_id != house.admin.org_id
    assert other.name == "admin"
    assert other.allows("keys:manage")
    project = await house.tenants.resolve_project(other, None)
    assert (project.slug, project.org_id) == ("default", other.org_id)
    house.keyring.seal(project.project_id, b"payload", "run_1/payload")
    assert (await house.tenants.organizations.get(other)).slug == "acme"


async def test_organizations_do_not_see_each_other(house: House) -> None:
    other = await neighbour(house)
    theirs = await house.tenants.resolve_project(other, None)
    for actor, foreign in [(house.admin, other), (other, house.admin)]:
        with pytest.raises(NotFound):
            await house.tenants.organizations.get(actor, foreign.org_id)
        with pytest.raises(NotFound):
            await house.tenants.organizations.update(actor, foreign.org_id, {"name": "Mine"})
        with pytest.raises(NotFound):
            await house.tenants.users.get(actor, foreign.id)
        with pytest.raises(NotFound):
            await house.tenants.users.update(actor, foreign.id, {"enabled": False})
        assert foreign.key_id is not None
        with pytest.raises(NotFound):
            await house.tenants.keys.revoke(actor, foreign.key_id)
        assert foreign.id not in {user.user_id for user in await house.tenants.users.page(actor, Slice(50))}
    for verb in (house.tenants.resolve_project(house.admin, theirs.project_id),
                 house.tenants.projects.update(house.admin, theirs.project_id, {"weight": 9.0})):  # fmt: skip
        with pytest.raises(NotFound):
            await verb


async def test_founding_an_organization_twice_needs_another_slug_or_the_same_key(house: House) -> None:
    async def create(slug: str, key: str | None):
        return await house.tenants.organizations.create(house.admin, slug=slug, name="A", idempotency_key=key)

    first = await create("acme", "k")
    again = await create("acme", "k")
    assert again.repeated
    assert again.value.organization == first.value.organization
    assert again.value.token is None
    with pytest.raises(AlreadyExists):
        await create("acme", None)
    with pytest.raises(IdempotencyMismatch):
        await create("other", "k")


async def test_an_organization_is_renamed_by_id_or_slug(house: House) -> None:
    await house.tenants.organizations.update(house.admin, "default", {"name": "Mill"})
    renamed = await house.tenants.organizations.update(house.admin, house.admin.org_id, {"name": "Mill"})
    assert renamed == await house.tenants.organizations.get(house.admin)
    assert renamed.name == "Mill"
    assert (await house.actions()).count("organization.updated") == 1


async def test_a_project_is_found_by_id_by_slug_and_by_nothing(house: House) -> None:
    made = (await house.tenants.projects.create(house.admin, slug="mill", name="Mill", weight=2)).value
    assert await house.tenants.resolve_project(house.admin, "mill") == made
    assert await house.tenants.resolve_project(house.admin, made.project_id) == made
    assert (await house.tenants.resolve_project(house.admin, None)).slug == "default"
    for nothing in ("nowhere", "", "proj_" + "0" * 32, "\0", "x" * 10_000):
        with pytest.raises(NotFound):
            await house.tenants.resolve_project(house.admin, nothing)


async def test_a_bound_key_means_its_project_and_sees_no_other(house: House) -> None:
    bound = await bound_admin(house)
    own = await house.tenants.resolve_project(bound, None)
    assert own.project_id == bound.project_id
    assert await house.tenants.resolve_project(bound, "bound") == own
    with pytest.raises(NotFound):
        await house.tenants.resolve_project(bound, "default")
    assert await house.tenants.projects.page(bound, Slice(50)) == [own]
    assert await house.tenants.projects.page(bound, Slice(50, own.project_id)) == []


async def test_a_bound_key_changes_nothing_of_the_organization(house: House) -> None:
    bound = await bound_admin(house)
    tenants: Tenants = house.tenants
    for verb in (
        tenants.organizations.create(bound, slug="x", name="X"),
        tenants.organizations.update(bound, "default", {"name": "X"}),
        tenants.projects.create(bound, slug="x", name="X"),
        tenants.projects.update(bound, "bound", {"name": "X"}),
        tenants.users.create(bound, name="x"),
        tenants.users.update(bound, bound.id, {"name": "X"}),
        tenants.users.page(bound, Slice(1)),
    ):
        with pytest.raises(Denied, match="bound to one project"):
            await verb


async def test_tenancy_needs_admin(house: House) -> None:
    made = await house.tenants.keys.create(house.admin, name="k", scopes=["jobs:write", "keys:manage"])
    plain = await house.actor(made.value.token)
    for verb in (
        house.tenants.organizations.create(plain, slug="x", name="X"),
        house.tenants.projects.create(plain, slug="x", name="X"),
        house.tenants.projects.update(plain, "default", {"name": "X"}),
        house.tenants.users.create(plain, name="x"),
        house.tenants.users.get(plain, plain.id),
    ):
        with pytest.raises(MissingScope):
            await verb
    assert (await house.tenants.users.own(plain)).user_id == plain.user_id


async def test_a_slug_is_one_projects_of_an_organization(house: House) -> None:
    other = await neighbour(house)
    await house.tenants.projects.create(house.admin, slug="mill", name="Mill")
    with pytest.raises(AlreadyExists):
        await house.tenants.projects.create(house.admin, slug="mill", name="Another")
    assert (await house.tenants.projects.create(other, slug="mill", name="Mill")).value.org_id == other.org_id


async def test_a_slug_does_not_look_like_an_id(house: House) -> None:
    with pytest.raises(InvalidRequest, match="must not look like the id"):
        await house.tenants.projects.create(house.admin, slug=house.admin.org_id.replace("org", "proj"), name="X")
    with pytest.raises(InvalidRequest, match="must not look like the id"):
        await house.tenants.organizations.create(house.admin, slug=house.admin.org_id, name="X")


async def test_a_changed_project_is_seen_at_once(house: House) -> None:
    before = await house.tenants.resolve_project(house.admin, "default")
    changed = await house.tenants.projects.update(
        house.admin, "default", {"name": "Mill", "weight": 3.0, "max_concurrency": 7}
    )
    assert (changed.name, changed.weight, changed.max_concurrency) == ("Mill", 3.0, 7)
    assert await house.tenants.resolve_project(house.admin, "default") == changed
    assert await house.tenants.resolve_project(house.admin, before.project_id) == changed
    assert await house.tenants.projects.update(house.admin, "default", {"weight": 3.0}) == changed
    assert (await house.actions()).count("project.updated") == 1


async def test_a_repeated_project_is_the_same_project(house: House) -> None:
    async def create(weight: float):
        return await house.tenants.projects.create(
            house.admin, slug="mill", name="Mill", weight=weight, idempotency_key="k"
        )

    first, second = await create(1.0), await create(1.0)
    assert second.repeated
    assert second.value == first.value
    with pytest.raises(IdempotencyMismatch):
        await create(2.0)


async def test_a_disabled_user_is_out_at_once_and_back_when_enabled(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada")).value
    made = await house.tenants.keys.create(house.admin, name="k", scopes=["jobs:read"], user_id=ada.user_id)
    token = made.value.token or ""
    assert await house.is_valid(token)
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": False})
    assert not await house.is_valid(token)
    with pytest.raises(Conflict, match="disabled"):
        await house.tenants.keys.create(house.admin, name="k", scopes=[], user_id=ada.user_id)
    with pytest.raises(Conflict, match="disabled"):
        await house.tenants.keys.rotate(house.admin, made.value.key.key_id)
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": True})
    assert await house.is_valid(token)


async def test_nobody_disables_themselves(house: House) -> None:
    with pytest.raises(Conflict, match="your own user"):
        await house.tenants.users.update(house.admin, house.admin.id, {"enabled": False})
    await house.tenants.users.update(house.admin, house.admin.id, {"enabled": True, "email": "root@example.com"})
    assert (await house.tenants.users.own(house.admin)).email == "root@example.com"


async def test_a_user_has_one_name_in_an_organization(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada")).value
    with pytest.raises(AlreadyExists):
        await house.tenants.users.create(house.admin, name="Ada")
    with pytest.raises(AlreadyExists):
        await house.tenants.users.update(house.admin, ada.user_id, {"name": "admin"})
    renamed = await house.tenants.users.update(house.admin, ada.user_id, {"name": "Ada L.", "email": "a@example.com"})
    assert await house.tenants.users.get(house.admin, ada.user_id) == renamed
    again = await house.tenants.users.create(house.admin, name="Bob", idempotency_key="b")
    assert (await house.tenants.users.create(house.admin, name="Bob", idempotency_key="b")).value == again.value


async def test_who_does_not_exist_is_not_found(house: House) -> None:
    for verb in (
        house.tenants.users.get(house.admin, "user_nobody"),
        house.tenants.users.update(house.admin, "user_nobody", {"enabled": False}),
        house.tenants.keys.get(house.admin, "key_none"),
        house.tenants.keys.rotate(house.admin, "key_none"),
        house.tenants.keys.revoke(house.admin, "key_none"),
    ):
        with pytest.raises(NotFound):
            await verb
    nobody = Actor(kind="service", id="key_1", org_id=house.admin.org_id)
    with pytest.raises(NotFound):
        await house.tenants.users.own(nobody)
    with pytest.raises(Unauthenticated):
        await house.actor("rw_nobody")
