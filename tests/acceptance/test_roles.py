"""Each role is let in at exactly the routes that its scopes allow, by an API key and by a JWT alike."""

from collections.abc import AsyncIterator

import pytest

from runwright.api.context import ANYONE
from runwright.api.routing import Endpoint
from runwright.api.sse import EventStream
from runwright.clock import SystemClock
from runwright.domain.tenancy import ROLES
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.routes import each_of
from tests.acceptance.speech import Speech, problem, refused, said, word
from tests.acceptance.table import GUARDED, World, found_world
from tests.auth.issuer import AUDIENCE, ISSUER, Issuer
from tests.engine.databases import Database

pytestmark = pytest.mark.xdist_group("acceptance-roles")


@pytest.fixture(scope="module")
async def issuer() -> Issuer:
    return Issuer(SystemClock())


@pytest.fixture(scope="module")
async def house(
    issuer: Issuer, tmp_path_factory: pytest.TempPathFactory, module_database: Database
) -> AsyncIterator[LiveServer]:
    """Serve with an issuer whose keys lie in a file."""
    directory = tmp_path_factory.mktemp("roles")
    (directory / "jwks.json").write_bytes(issuer.jwks())
    live = LiveServer(
        directory,
        module_database,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks=directory / "jwks.json",
        key_cache_s=300,
    )
    await live.start()
    yield live
    await live.close()


@pytest.fixture(scope="module")
async def ours(house: LiveServer) -> World:
    return await found_world(house, house.client(), None)


@pytest.fixture(scope="module")
async def callers(house: LiveServer, issuer: Issuer, ours: World) -> dict[tuple[str, str], ContractClient]:
    """Return, for each role, the client of a member's admin key and that of their JWT."""
    clients: dict[tuple[str, str], ContractClient] = {}
    for role in ROLES:
        user = await said(ours.client.post("/v1/users", json={"name": f"the {role}", "subject": role}), 201)
        await said(ours.client.post("/v1/members", json={"user_id": user["id"], "role": role}), 201)
        key = await Speech(ours.client).key("admin", user_id=user["id"])
        clients[role, "key"] = house.client(key["token"])
        clients[role, "jwt"] = house.client(issuer.token(sub=role))
    return clients


@each_of(GUARDED)
async def test_a_role_is_let_in_where_its_scopes_allow_and_nowhere_else(
    ours: World, callers: dict[tuple[str, str], ContractClient], endpoint: Endpoint
):
    assert len(callers) == 2 * len(ROLES)
    for (role, by), client in callers.items():
        scopes, who = ROLES[role], f"the {role} with a {by}"  # type: ignore[index]
        if endpoint.returns is EventStream:  # it may never end: its head is the answer
            response = await client.send(client.build_request("GET", ours.path(endpoint)), stream=True)
            await response.aclose()
        else:
            response = await ours.ask(endpoint, client)
        if endpoint.scope == ANYONE or endpoint.scope in scopes or "admin" in scopes:
            assert response.status_code not in (401, 403), who
        else:
            assert response.status_code == 403, who
            assert problem(response)["code"] == word(response, "auth.missing_scope"), who
            assert problem(response)["details"] == {"scope": endpoint.scope}, who


async def test_me_tells_the_role_the_memberships_and_the_end_of_the_login(
    house: LiveServer, issuer: Issuer, callers: dict[tuple[str, str], ContractClient]
):
    for by in ("key", "jwt"):
        me = await said(callers["operator", by].get("/v1/me"))
        assert (me["role"], me["kind"], me["user"]["subject"]) == ("operator", "user", "operator")
        assert me["scopes"] == me["memberships"][0]["scopes"] == sorted(ROLES["operator"])
        assert (me["key"] is None, me["expires_at"] is None) == (by == "jwt", by == "key")


async def test_a_role_that_changes_counts_with_the_next_request(house: LiveServer, issuer: Issuer):
    admin = house.client()
    user = await said(admin.post("/v1/users", json={"name": "grace", "subject": "grace"}), 201)
    client = house.client(issuer.token(sub="grace"))
    await refused(client.get("/v1/runs"), 403, "auth.not_a_member")
    member = await said(admin.post("/v1/members", json={"user_id": user["id"], "role": "viewer"}), 201)
    await said(client.get("/v1/runs"))
    await refused(client.post("/v1/jobs", json={"slug": "one"}), 403, "auth.missing_scope")
    await said(admin.patch(f"/v1/members/{member['id']}", json={"role": "operator"}))
    await said(client.post("/v1/jobs", json={"slug": "one"}), 201)
    await said(admin.delete(f"/v1/members/{member['id']}"))
    await refused(client.get("/v1/runs"), 403, "auth.not_a_member")
    await refused(admin.delete(f"/v1/members/{member['id']}"), 404, "members.not_found")


async def test_a_member_of_projects_sees_the_one_that_the_header_names(house: LiveServer, issuer: Issuer):
    admin = house.client()
    user = await said(admin.post("/v1/users", json={"name": "hedy", "subject": "hedy"}), 201)
    projects = [await Speech(admin).project() for _ in range(2)]
    client = house.client(issuer.token(sub="hedy"))
    for project in projects:
        body = {"user_id": user["id"], "role": "operator", "project_id": project}
        await said(admin.post("/v1/members", json=body), 201)
    details = await refused(client.get("/v1/me"), 403, "auth.choose_project")
    assert details == {"projects": projects}
    for project in projects:
        chosen = {"x-project-id": project}
        assert [each["id"] for each in await said(client.get("/v1/projects", headers=chosen))] == [project]
        job = await said(client.post("/v1/jobs", json={"slug": "mine"}, headers=chosen), 201)
        assert job["project_id"] == project
    await refused(client.get("/v1/me", headers={"x-project-id": "default"}), 403, "auth.not_a_member")
    await refused(client.get("/v1/me", headers={"x-project-id": "nowhere"}), 403, "auth.not_a_member")


async def test_why_a_login_was_refused_stands_in_the_log_and_not_in_the_answer(house: LiveServer, issuer: Issuer):
    stranger = house.client(issuer.token(sub="nobody"))
    answer = await stranger.get("/v1/me")
    assert (answer.status_code, answer.json()["message"]) == (401, "Valid credentials are required.")
    assert "no user has this subject" in house.log.read_text()
    assert issuer.token(sub="nobody")[:40] not in house.log.read_text()
