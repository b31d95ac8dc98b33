"""What a user may do comes from their memberships, from the moment that one is made, changed or removed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.auth.tenants import Tenants
from runwright.domain.accounts import Member, Membership, Reach, User, reach
from runwright.domain.tenancy import ROLES, SCOPES, Actor, narrowed
from runwright.errors import AlreadyExists, Conflict, Denied, MissingScope, NotFound, Unauthenticated
from tests.auth.conftest import House
from tests.auth.issuer import Issuer

some_scopes = st.frozensets(st.sampled_from(sorted(SCOPES)))


@given(held=some_scopes, by=some_scopes)
def test_a_narrowed_set_allows_what_both_allow(held: frozenset[str], by: frozenset[str]) -> None:
    def may(scopes: frozenset[str], scope: str) -> bool:
        return Actor(kind="user", id="u", org_id="o", scopes=scopes).allows(scope)

    for scope in SCOPES:
        assert may(narrowed(held, by), scope) == (may(held, scope) and may(by, scope))


def test_roles_hold_scopes_that_exist() -> None:
    assert set().union(*ROLES.values()) <= set(SCOPES)
    assert ROLES["viewer"] < ROLES["operator"]
    assert [role for role, scopes in ROLES.items() if "admin" in scopes] == ["admin"]


@given(
    st.lists(st.builds(Membership, st.sampled_from(list(ROLES)), st.sampled_from([None, "p1", "p2"]), st.booleans())),
    st.sampled_from([None, "p1", "p2"]),
)
def test_nobody_reaches_more_than_a_membership_that_is_there(memberships: list[Membership], wanted: str | None) -> None:
    there = [each for each in memberships if not each.removed]
    try:
        found = reach(memberships, wanted)
    except Denied:
        assert not any(each.project_id is None for each in there)
        return
    assert any(each.role == found.role and each.project_id in (None, found.project_id) for each in there)
    assert wanted in (None, found.project_id)


def test_a_role_in_the_organization_counts_before_one_in_a_project() -> None:
    both = [Membership("operator", "p1", False), Membership("viewer", None, False)]
    assert reach(both, None) == Reach("viewer", None)
    assert reach(both, "p1") == Reach("viewer", "p1")


def test_of_several_projects_one_must_be_named() -> None:
    two = [Membership("operator", "p1", False), Membership("viewer", "p2", False)]
    with pytest.raises(Denied) as refused:
        reach(two, None)
    assert (refused.value.code, refused.value.data) == ("auth.choose_project", {"projects": ["p1", "p2"]})
    assert reach(two, "p2") == Reach("viewer", "p2")


async def a_user(house: House, name: str = "Ada", **fields: Any) -> User:
    return (await house.tenants.users.create(house.admin, name=name, **fields)).value


async def a_key(house: House, owner: User, *scopes: str, project_id: str | None = None) -> str:
    made = await house.tenants.keys.create(
        house.admin, name="k", scopes=scopes, user_id=owner.user_id, project_id=project_id
    )
    assert made.value.token is not None
    return made.value.token


async def a_member(house: House, owner: User, role: Any, project_id: str | None = None) -> Member:
    made = await house.tenants.members.create(house.admin, user_id=owner.user_id, role=role, project_id=project_id)
    return made.value


async def a_project(house: House, slug: str) -> str:
    return (await house.tenants.projects.create(house.admin, slug=slug, name=slug)).value.project_id


async def test_a_key_has_its_own_scopes_and_its_users_roles_at_once(house: House) -> None:
    ada = await a_user(house)
    token = await a_key(house, ada, "jobs:write", "runs:read", "keys:manage")
    assert (await house.actor(token)).scopes == {"jobs:write", "runs:read", "keys:manage"}
    member = await a_member(house, ada, "operator")
    assert (await house.actor(token)).scopes == {"jobs:write", "runs:read"}
    await house.tenants.members.update(house.admin, member.member_id, "viewer")
    actor = await house.actor(token)
    assert actor.scopes == {"runs:read"}
    assert actor.role == "viewer"
    await house.tenants.members.update(house.admin, member.member_id, "admin")
    assert (await house.actor(token)).scopes == {"jobs:write", "runs:read", "keys:manage"}


async def test_removing_the_last_membership_takes_everything_and_gives_nothing_back(house: House) -> None:
    ada = await a_user(house)
    token = await a_key(house, ada, "admin")
    member = await a_member(house, ada, "viewer")
    await house.tenants.members.remove(house.admin, member.member_id)
    with pytest.raises(Denied) as refused:
        await house.actor(token)
    assert refused.value.code == "auth.not_a_member"
    await a_member(house, ada, "operator")
    assert (await house.actor(token)).scopes == ROLES["operator"]


async def test_a_member_of_one_project_is_bound_to_it_by_every_key(house: House) -> None:
    mine, other = await a_project(house, "mine"), await a_project(house, "other")
    ada = await a_user(house)
    free, there = await a_key(house, ada, "admin"), await a_key(house, ada, "runs:read", project_id=other)
    await a_member(house, ada, "admin", mine)
    actor = await house.actor(free)
    assert actor.project_id == mine
    assert actor.scopes == {"admin"}
    with pytest.raises(Denied, match="member of nothing"):
        await house.actor(there)
    with pytest.raises(Denied):
        await house.tenants.users.create(actor, name="Eve")
    with pytest.raises(Denied):
        await house.tenants.members.create(actor, user_id=ada.user_id, role="admin", project_id=None)


async def test_a_request_may_name_one_project_that_it_reaches(house: House) -> None:
    authenticate = house.tenants.authenticator.authenticate
    one, two = await a_project(house, "one"), await a_project(house, "two")
    ada = await a_user(house)
    token = await a_key(house, ada, "runs:read")
    assert (await authenticate(token, "one")).project_id == one
    assert (await authenticate(token)).project_id is None
    for project in (one, two):
        await a_member(house, ada, "viewer", project)
    with pytest.raises(Denied, match="X-Project-Id"):
        await authenticate(token)
    assert (await authenticate(token, "two")).project_id == two
    assert (await authenticate(token, one)).project_id == one
    bound = await a_key(house, ada, "runs:read", project_id=one)
    told = []
    for credentials, project in ((bound, "two"), (token, "no-such-project"), (bound, "no-such-project")):
        with pytest.raises(Denied) as refused:
            await authenticate(credentials, project)
        told.append(refused.value.detail.replace(project, ""))
    assert len(set(told)) == 1, "whether another's project is there is not told"


async def test_the_last_admin_stays(house: House) -> None:
    members = house.tenants.members
    mine = (await members.own(house.admin))[0]
    for change in (members.remove(house.admin, mine.member_id), members.update(house.admin, mine.member_id, "viewer")):
        with pytest.raises(Conflict) as refused:
            await change
        assert refused.value.code == "members.last_admin"
    ada = await a_user(house)
    token = await a_key(house, ada, "admin")
    second = await a_member(house, ada, "admin")
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": False})
    with pytest.raises(Conflict):
        await members.remove(house.admin, mine.member_id)
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": True})
    await members.remove(house.admin, mine.member_id)
    actor = await house.actor(token)
    with pytest.raises(Conflict):
        await members.remove(actor, second.member_id)
    service = Actor(kind="service", id="s", org_id=actor.org_id, scopes=frozenset({"admin"}))
    with pytest.raises(Conflict):  # nor by way of another credential that is not theirs
        await house.tenants.users.update(service, ada.user_id, {"enabled": False})


async def test_a_user_is_a_member_of_a_place_once(house: House) -> None:
    ada, mine = await a_user(house), await a_project(house, "mine")
    for project in (None, mine):
        first = await a_member(house, ada, "viewer", project)
        with pytest.raises(AlreadyExists):
            await a_member(house, ada, "admin", project)
        await house.tenants.members.remove(house.admin, first.member_id)
        await a_member(house, ada, "operator", project)


async def test_members_of_others_are_not_found(house: House) -> None:
    founded = await house.tenants.organizations.create(house.admin, slug="acme", name="Acme")
    them = await house.actor(founded.value.token)
    theirs = (await house.tenants.members.own(them))[0]
    with pytest.raises(NotFound):
        await house.tenants.members.get(house.admin, theirs.member_id)
    with pytest.raises(NotFound):
        await house.tenants.members.remove(house.admin, theirs.member_id)
    with pytest.raises(NotFound):
        await house.tenants.members.create(house.admin, user_id=them.id, role="viewer", project_id=None)
    with pytest.raises(MissingScope):
        await house.tenants.members.get(
            Actor(kind="user", id="u", org_id=them.org_id, scopes=frozenset({"keys:manage"})), theirs.member_id
        )


async def test_every_change_of_a_member_is_audited(house: House) -> None:
    member = await a_member(house, await a_user(house), "viewer")
    await house.tenants.members.update(house.admin, member.member_id, "operator")
    await house.tenants.members.update(house.admin, member.member_id, "operator")
    await house.tenants.members.remove(house.admin, member.member_id)
    actions = [each for each in await house.actions() if each.startswith("member.")]
    assert actions == ["member.created", "member.created", "member.updated", "member.removed"]


# --- logins -----------------------------------------------------------------------------------------------------------


def with_oidc(house: House, **settings: Any) -> tuple[House, Issuer]:
    """Return the house as it is when an issuer is configured."""
    issuer = Issuer(house.clock)
    house.tenants = Tenants.of(house.store, house.keyring, house.clock, key_cache_s=5, oidc=issuer.oidc(**settings))
    return house, issuer


PROVISION = {"oidc_provision": True, "oidc_role_claim": "groups", "oidc_roles": ("ops=operator",)}


async def test_a_jwt_is_its_users_with_the_scopes_of_their_role(house: House) -> None:
    house, issuer = with_oidc(house)
    ada = await a_user(house, subject="ada", email="ada@example.com")
    member = await a_member(house, ada, "operator")
    actor = await house.actor(issuer.token())
    assert (actor.kind, actor.id, actor.key_id, actor.role) == ("user", ada.user_id, None, "operator")
    assert (actor.scopes, actor.email) == (ROLES["operator"], "ada@example.com")
    token = issuer.token()
    await house.actor(token)
    await house.tenants.members.update(house.admin, member.member_id, "viewer")
    assert (await house.actor(token)).scopes == ROLES["viewer"]


async def test_a_disabled_user_has_no_valid_login_from_that_moment(house: House) -> None:
    house, issuer = with_oidc(house)
    ada, token = await a_user(house, subject="ada"), issuer.token()
    await a_member(house, ada, "viewer")
    assert await house.is_valid(token)
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": False})
    assert not await house.is_valid(token)


async def test_a_believed_jwt_ends_when_it_expires(house: House) -> None:
    house, issuer = with_oidc(house, oidc_leeway_s=0)
    await a_member(house, await a_user(house, subject="ada"), "viewer")
    token = issuer.token(exp=house.clock.now() // 1_000_000 + 2)
    assert await house.is_valid(token)
    house.clock.advance(1.5)
    assert await house.is_valid(token)
    house.clock.advance(0.5)
    assert not await house.is_valid(token)


async def test_a_stranger_of_the_issuer_is_let_in_only_where_that_is_set(house: House) -> None:
    house, issuer = with_oidc(house)
    assert not await house.is_valid(issuer.token(groups=["ops"]))
    house, issuer = with_oidc(house, **PROVISION)
    assert not await house.is_valid(issuer.token(groups=["others"]))
    first = await house.actor(issuer.token(groups=["ops"], preferred_username="Ada"))
    again = await house.actor(issuer.token(groups=["others"]))
    assert (first.id, first.name, first.role) == (again.id, "Ada", "operator")
    assert again.role == "operator", "later claims change nothing"
    assert [each for each in await house.actions() if each.startswith(("user.", "member."))][-2:] == [
        "user.created",
        "member.created",
    ]


async def test_a_name_that_is_taken_lets_a_stranger_in_by_another(house: House) -> None:
    house, issuer = with_oidc(house, **PROVISION)
    actor = await house.actor(issuer.token(groups=["ops"], preferred_username="admin"))
    assert (actor.name, actor.id != house.admin.id) == ("admin (ada)", True)


async def test_a_stranger_needs_the_organization_that_is_set(house: House) -> None:
    house, issuer = with_oidc(house, **PROVISION, oidc_organization="nowhere")
    assert not await house.is_valid(issuer.token(groups=["ops"]))


async def test_a_subject_has_one_user_in_the_whole_house(house: House) -> None:
    house, _ = with_oidc(house)
    ada = await a_user(house, subject="ada")
    with pytest.raises(AlreadyExists, match="subject"):
        await a_user(house, "Eve", subject="ada")
    eve = await a_user(house, "Eve")
    with pytest.raises(AlreadyExists, match="subject"):
        await house.tenants.users.update(house.admin, eve.user_id, {"subject": "ada"})
    await house.tenants.users.update(house.admin, ada.user_id, {"subject": None})
    await house.tenants.users.update(house.admin, eve.user_id, {"subject": "ada"})


async def test_without_an_issuer_a_jwt_is_an_unknown_token(house: House, tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated):
        await house.actor(Issuer(house.clock).token())
    with pytest.raises(Exception, match="RUNWRIGHT_OIDC_ISSUER"):
        await a_user(house, subject="ada")


async def test_a_jwt_that_is_too_long_is_not_read(house: House) -> None:
    house, issuer = with_oidc(house, oidc_token_max_bytes=512)
    await a_member(house, await a_user(house, subject="ada"), "viewer")
    assert not await house.is_valid(issuer.token(note="x" * 500))
    assert issuer.asked == []


async def test_a_caller_without_its_token_is_valid_as_long_as_its_key_or_user(house: House) -> None:
    again = house.tenants.authenticator.again
    ada = await a_user(house)
    token = await a_key(house, ada, "runs:read", "jobs:write")
    actor = await house.actor(token)
    assert await again(actor) == actor
    await a_member(house, ada, "viewer")
    assert (await again(actor)).scopes == {"runs:read"}
    await house.tenants.keys.revoke(house.admin, actor.key_id or "")
    with pytest.raises(Unauthenticated):
        await again(actor)


async def test_a_login_without_its_token_ends_with_it(house: House) -> None:
    house, issuer = with_oidc(house, oidc_leeway_s=0)
    ada = await a_user(house, subject="ada")
    await a_member(house, ada, "viewer")
    again = house.tenants.authenticator.again
    actor = await house.actor(issuer.token())
    assert await again(actor) == actor
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": False})
    with pytest.raises(Unauthenticated):
        await again(actor)
    await house.tenants.users.update(house.admin, ada.user_id, {"enabled": True})
    await again(actor)
    house.clock.advance(601)
    with pytest.raises(Unauthenticated):
        await again(actor)
