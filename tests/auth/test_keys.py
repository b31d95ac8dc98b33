"""A key is made, used, replaced and ended; its token is seen once, and nobody gives away more than they hold."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.auth.keys import GRACE_S
from runwright.domain.tenancy import SCOPES, Actor
from runwright.errors import Conflict, Denied, IdempotencyMismatch, InvalidRequest, MissingScope, NotFound
from runwright.store.queries.auth import CREDENTIAL
from runwright.store.queries.shapes import Slice
from tests.auth.conftest import CACHE_S, House

DAY_US = 86_400_000_000
TOKEN = re.compile(r"rw_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")

some_scopes = st.sets(st.sampled_from(sorted(SCOPES)))


async def mint(house: House, by: Actor, *scopes: str, **options) -> tuple[str, str]:
    """Make a key and return its id and its token."""
    made = (await house.tenants.keys.create(by, name="a key", scopes=scopes, **options)).value
    assert made.token is not None
    return made.key.key_id, made.token


async def test_a_token_is_shown_once_and_only_its_prefix_and_hmac_are_stored(house: House) -> None:
    key_id, token = await mint(house, house.admin, "jobs:read")
    assert TOKEN.fullmatch(token)
    shown = await house.tenants.keys.get(house.admin, key_id)
    assert shown.prefix == token.split("_")[1]
    (row,) = await house.store.fetch(CREDENTIAL, prefix=shown.prefix)
    assert token not in repr(row)
    assert token.split("_", 2)[2] not in repr(row)


async def test_a_key_acts_for_the_user_who_made_it(house: House) -> None:
    _, token = await mint(house, house.admin, "jobs:read", "runs:read")
    actor = await house.actor(token)
    assert (actor.kind, actor.id, actor.name) == ("user", house.admin.id, "admin")
    assert actor.scopes == {"jobs:read", "runs:read"}
    assert actor.org_id == house.organization.org_id


async def test_a_key_of_a_service_acts_for_itself(house: House) -> None:
    key_id, token = await mint(house, house.admin, "jobs:read", service=True)
    actor = await house.actor(token)
    assert (actor.label, actor.user_id, actor.name) == (f"service:{key_id}", None, "a key")


async def test_keys_that_a_service_makes_are_a_services(house: House) -> None:
    _, token = await mint(house, house.admin, "keys:manage", service=True)
    _, child = await mint(house, await house.actor(token))
    assert (await house.actor(child)).kind == "service"


async def test_a_key_without_scopes_may_do_nothing(house: House) -> None:
    _, token = await mint(house, house.admin)
    actor = await house.actor(token)
    assert [scope for scope in SCOPES if actor.allows(scope)] == []


async def test_admin_may_make_a_key_in_another_users_name(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada", email="ada@example.com")).value
    _, token = await mint(house, house.admin, "keys:manage", user_id=ada.user_id)
    actor = await house.actor(token)
    assert (actor.user_id, actor.name, actor.email) == (ada.user_id, "Ada", "ada@example.com")
    with pytest.raises(MissingScope, match="admin"):
        await mint(house, actor, user_id=house.admin.id)


async def test_a_key_has_one_owner(house: House) -> None:
    with pytest.raises(InvalidRequest, match="to a user or to a service"):
        await mint(house, house.admin, user_id=house.admin.id, service=True)
    with pytest.raises(NotFound):
        await mint(house, house.admin, user_id="user_nobody")


async def test_a_scope_that_does_not_exist_is_named(house: House) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await mint(house, house.admin, "jobs:read", "jobs:admire", "rule the world")
    assert [field.path for field in refused.value.fields] == ["scopes[1]", "scopes[2]"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
@given(held=some_scopes, asked=some_scopes, then=some_scopes)
async def test_nobody_mints_more_than_they_hold(house: House, held: set[str], asked: set[str], then: set[str]) -> None:
    _, token = await mint(house, house.admin, *held, "keys:manage", service=True)
    holder = await house.actor(token)
    assert holder.scopes == held | {"keys:manage"}
    allowed = "admin" in held or asked <= holder.scopes
    if not allowed:
        with pytest.raises(MissingScope):
            await mint(house, holder, *asked)
        return
    _, child_token = await mint(house, holder, *asked)
    child = await house.actor(child_token)
    assert child.scopes == asked
    # Two steps reach no further than one.
    if child.allows("keys:manage") and (child.allows("admin") or then <= child.scopes):
        _, grandchild_token = await mint(house, child, *then)
        grandchild = await house.actor(grandchild_token)
        assert all(holder.allows(scope) for scope in grandchild.scopes)
    else:
        with pytest.raises(MissingScope):
            await mint(house, child, *then)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(held=some_scopes, target=some_scopes)
async def test_nobody_rotates_their_way_to_more_than_they_hold(house: House, held: set[str], target: set[str]) -> None:
    _, token = await mint(house, house.admin, *held, "keys:manage", service=True)
    holder = await house.actor(token)
    key_id, _ = await mint(house, house.admin, *target, service=True)
    if all(holder.allows(scope) for scope in target):
        fresh = (await house.tenants.keys.rotate(holder, key_id)).value
        assert fresh.token is not None
        assert (await house.actor(fresh.token)).scopes == target
    else:
        with pytest.raises(MissingScope):
            await house.tenants.keys.rotate(holder, key_id)


async def test_a_key_of_another_user_is_not_rotated_into_ones_own_hands(house: House) -> None:
    ada = (await house.tenants.users.create(house.admin, name="Ada")).value
    _, token = await mint(house, house.admin, "keys:manage", "jobs:read", user_id=ada.user_id)
    key_id, _ = await mint(house, house.admin, "jobs:read")
    with pytest.raises(MissingScope, match="admin"):
        await house.tenants.keys.rotate(await house.actor(token), key_id)


async def test_keys_are_for_users_and_services_only(house: House) -> None:
    agent = Actor(kind="agent", id="a", org_id=house.organization.org_id, scopes=frozenset({"admin"}))
    with pytest.raises(Denied, match="Only users and services"):
        await mint(house, agent)


async def test_a_bound_key_makes_sees_and_handles_keys_of_its_project_only(house: House) -> None:
    mine = (await house.tenants.projects.create(house.admin, slug="mine", name="Mine")).value
    other = (await house.tenants.projects.create(house.admin, slug="other", name="Other")).value
    bound_id, token = await mint(house, house.admin, "keys:manage", "jobs:read", project_id=mine.project_id)
    bound = await house.actor(token)
    other_id, _ = await mint(house, house.admin, "jobs:read", project_id=other.project_id)
    open_id, _ = await mint(house, house.admin, "jobs:read")

    child_id, child = await mint(house, bound, "jobs:read")
    assert (await house.actor(child)).project_id == mine.project_id
    with pytest.raises(Denied, match="bound to one project"):
        await mint(house, bound, "jobs:read", project_id=other.project_id)
    assert {key.key_id for key in await house.tenants.keys.page(bound, Slice(50))} == {bound_id, child_id}
    for key_id in (other_id, open_id):
        with pytest.raises(NotFound):
            await house.tenants.keys.get(bound, key_id)
        with pytest.raises(NotFound):
            await house.tenants.keys.rotate(bound, key_id)
        with pytest.raises(NotFound):
            await house.tenants.keys.revoke(bound, key_id)


async def test_a_rotated_key_works_until_its_grace_is_over(house: House) -> None:
    key_id, old = await mint(house, house.admin, "jobs:read")
    fresh = (await house.tenants.keys.rotate(house.admin, key_id)).value
    assert fresh.token is not None
    assert (fresh.key.name, fresh.key.scopes) == ("a key", ("jobs:read",))
    assert (await house.tenants.keys.get(house.admin, key_id)).rotated_to == fresh.key.key_id
    house.clock.advance(GRACE_S - 1)
    assert await house.is_valid(old)
    house.clock.advance(1)
    assert not await house.is_valid(old)
    assert await house.is_valid(fresh.token)


async def test_a_rotation_without_grace_ends_the_old_key_at_once(house: House) -> None:
    key_id, old = await mint(house, house.admin, "jobs:read")
    assert await house.is_valid(old)
    await house.tenants.keys.rotate(house.admin, key_id, grace_s=0)
    assert not await house.is_valid(old)


async def test_a_key_is_rotated_once(house: House) -> None:
    key_id, _ = await mint(house, house.admin, "jobs:read")
    await house.tenants.keys.rotate(house.admin, key_id)
    with pytest.raises(Conflict):
        await house.tenants.keys.rotate(house.admin, key_id)
    gone, _ = await mint(house, house.admin, "jobs:read")
    await house.tenants.keys.revoke(house.admin, gone)
    with pytest.raises(Conflict):
        await house.tenants.keys.rotate(house.admin, gone)


async def test_a_rotated_key_lives_as_long_as_the_old_one_was_made_for(house: House) -> None:
    start = house.clock.now()
    key_id, old = await mint(house, house.admin, "jobs:read", expires_at=start + DAY_US)
    house.clock.advance(86_000)
    fresh = (await house.tenants.keys.rotate(house.admin, key_id)).value
    assert fresh.key.expires_at == house.clock.now() + DAY_US
    assert (await house.tenants.keys.get(house.admin, key_id)).expires_at == start + DAY_US, (
        "the grace prolongs nothing"
    )
    assert await house.is_valid(old)


async def test_a_key_expires_to_the_microsecond_also_when_it_is_believed(house: House) -> None:
    _, token = await mint(house, house.admin, "jobs:read", expires_at=house.clock.now() + 2_000_000)
    house.clock.advance(1.999999)
    assert await house.is_valid(token)
    house.clock.advance(0.000001)
    assert not await house.is_valid(token)


async def test_an_expiry_lies_in_the_future(house: House) -> None:
    with pytest.raises(InvalidRequest, match="must be in the future"):
        await mint(house, house.admin, expires_at=house.clock.now())


async def test_a_repeated_rotation_finds_its_key_without_the_token(house: House) -> None:
    key_id, _ = await mint(house, house.admin, "jobs:read")
    first = await house.tenants.keys.rotate(house.admin, key_id, idempotency_key="r")
    again = await house.tenants.keys.rotate(house.admin, key_id, idempotency_key="r")
    assert (first.repeated, again.repeated, again.value.token) == (False, True, None)
    assert again.value.key == first.value.key
    with pytest.raises(IdempotencyMismatch):
        await house.tenants.keys.rotate(house.admin, key_id, grace_s=0, idempotency_key="r")


async def test_a_revoked_key_ends_at_once_and_for_ever(house: House) -> None:
    key_id, token = await mint(house, house.admin, "jobs:read")
    assert await house.is_valid(token)
    revoked = await house.tenants.keys.revoke(house.admin, key_id)
    assert revoked.revoked_at == house.clock.now()
    assert not await house.is_valid(token)
    house.clock.advance(60)
    assert await house.tenants.keys.revoke(house.admin, key_id) == revoked
    assert (await house.actions()).count("key.revoked") == 1


async def test_a_revocation_of_another_process_is_seen_after_the_cache_time(house: House) -> None:
    key_id, token = await mint(house, house.admin, "jobs:read")
    assert await house.is_valid(token)
    elsewhere = type(house.tenants).of(house.store, house.keyring, house.clock)
    await elsewhere.keys.revoke(house.admin, key_id)
    assert await house.is_valid(token)
    house.clock.advance(CACHE_S)
    assert not await house.is_valid(token)


async def test_bad_credentials_are_answered_alike(house: House) -> None:
    _, expired = await mint(house, house.admin, expires_at=house.clock.now() + 1)
    revoked_id, revoked = await mint(house, house.admin)
    await house.tenants.keys.revoke(house.admin, revoked_id)
    house.clock.advance(1)
    prefix = revoked.split("_")[1]
    wrong = f"rw_{prefix}_{'A' * 43}"
    answers = set()
    for token in (
        None,
        "",
        "rw_",
        wrong,
        f"rw_{'0' * 12}_{'A' * 43}",
        expired,
        revoked,
        "x" * 10_000,
        "ключ",
        "\udcff",
    ):
        with pytest.raises(Exception, match="Valid credentials are required") as refused:
            await house.actor(token)
        answers.add((type(refused.value).__name__, str(refused.value)))
    assert answers == {("Unauthenticated", "Valid credentials are required.")}


async def test_a_repeated_request_finds_the_key_without_its_token(house: House) -> None:
    async def create(name: str):
        return await house.tenants.keys.create(
            house.admin, name=name, scopes=["runs:read", "jobs:read"], idempotency_key="k"
        )

    first, second = await create("ci"), await create("ci")
    assert (first.repeated, second.repeated) == (False, True)
    assert second.value.key == first.value.key
    assert second.value.token is None
    with pytest.raises(IdempotencyMismatch) as refused:
        await create("cd")
    assert set(refused.value.data or {}) == {"expected", "given"}
    house.clock.advance(86_401)
    assert not (await create("cd")).repeated


async def test_keys_are_listed_newest_first_page_by_page(house: House) -> None:
    made = []
    for _ in range(5):
        house.clock.advance(1)
        made.append((await mint(house, house.admin))[0])
    first = await house.tenants.keys.page(house.admin, Slice(3))
    rest = await house.tenants.keys.page(house.admin, Slice(3, first[-1].key_id))
    assert [key.key_id for key in (*first, *rest)][:5] == made[::-1]
    oldest = await house.tenants.keys.page(house.admin, Slice(50, made[2], newest_first=False))
    assert [key.key_id for key in oldest] == made[3:]


async def test_every_change_of_a_key_is_in_the_audit_log_without_its_token(house: House) -> None:
    key_id, token = await mint(house, house.admin, "jobs:read")
    fresh = (await house.tenants.keys.rotate(house.admin, key_id)).value
    await house.tenants.keys.revoke(house.admin, key_id)
    entries = (await house.entries())[-4:]
    assert [entry.action for entry in entries] == ["key.created", "key.rotated", "key.created", "key.revoked"]
    assert [entry.target for entry in entries] == [key_id, key_id, fresh.key.key_id, key_id]
    assert {entry.actor for entry in entries} == {house.admin.label}
    assert token.encode() not in b"".join(entry.data for entry in entries)
