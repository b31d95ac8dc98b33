"""Tenancy over HTTP: who am I, organizations, projects, users and keys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, refused, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server for requests that change nothing."""
    async with serving(tmp_path_factory.mktemp("standing")) as served:
        yield served


async def test_me_shows_the_admin_of_a_fresh_install(server: Served) -> None:
    me = await ok(server.admin.get("/v1/me"))
    assert (me["kind"], me["scopes"]) == ("user", ["admin"])
    assert (me["organization"]["slug"], me["project"], me["user"]["name"]) == ("default", None, "admin")
    assert me["actor"] == f"user:{me['user']['id']}"
    assert server.admin_token.split("_")[1] == me["key"]["prefix"]
    assert "token" not in me["key"]


async def test_me_shows_a_service_that_is_bound_to_a_project(server: Served) -> None:
    bound = await server.key("jobs:read", project_id="default", service=True)
    me = await ok(bound.get("/v1/me"))
    assert (me["kind"], me["user"], me["project"]["slug"]) == ("service", None, "default")
    assert (me["key"]["service"], me["key"]["project_id"]) == (True, me["project"]["id"])


async def test_me_is_for_those_with_credentials(server: Served) -> None:
    for client in (server.client(None), server.client("rw_wrong"), server.client("")):
        await refused(client.get("/v1/me"), 401, "auth.unauthenticated")
    with_other_header = server.client(None)
    assert await ok(with_other_header.get("/v1/me", headers={"X-API-Key": server.admin_token}))


async def test_a_founded_organization_shows_its_token_once(server: Served) -> None:
    body = {"name": "Acme Mills"}
    first = await ok(server.admin.post("/v1/organizations", json=body, headers={"Idempotency-Key": "a"}), 201)
    assert (first["slug"], first["name"]) == ("acme-mills", "Acme Mills")
    again = await ok(server.admin.post("/v1/organizations", json=body, headers={"X-Idempotency-Key": "a"}))
    assert again == {**first, "token": None}
    await refused(server.admin.post("/v1/organizations", json=body), 409, "conflict.already_exists")
    theirs = server.client(first["token"])
    assert [each["id"] for each in await ok(theirs.get("/v1/organizations"))] == [first["id"]]
    assert [each["slug"] for each in await ok(theirs.get("/v1/projects"))] == ["default"]


async def test_an_organization_is_read_and_renamed_by_id_or_slug(server: Served) -> None:
    own = (await ok(server.admin.get("/v1/organizations")))[0]
    renamed = await ok(server.admin.patch("/v1/organizations/default", json={"name": "Mill"}))
    assert renamed == {**own, "name": "Mill"}
    assert await ok(server.admin.get(f"/v1/organizations/{own['id']}")) == renamed
    assert await ok(server.admin.patch(f"/v1/organizations/{own['id']}", json={})) == renamed
    fields = await refused(
        server.admin.patch("/v1/organizations/default", json={"slug": "mill"}), 422, "request.invalid"
    )
    assert fields["fields"] == [{"path": "slug", "message": "is not known"}]


async def test_a_project_is_created_read_changed_and_listed(server: Served) -> None:
    body = {"name": "Paper Mill", "weight": 2, "max_concurrency": 3}
    made = await ok(server.admin.post("/v1/projects", json=body), 201)
    assert (made["slug"], made["weight"], made["max_concurrency"]) == ("paper-mill", 2.0, 3)
    assert made["created_at"].endswith("Z")
    assert len(made["created_at"]) == len("2026-11-21T08:15:00.000001Z")
    assert await ok(server.admin.get("/v1/projects/paper-mill")) == made
    changed = await ok(server.admin.patch(f"/v1/projects/{made['id']}", json={"max_concurrency": None, "weight": 0.5}))
    assert changed == {**made, "max_concurrency": None, "weight": 0.5}
    assert [each["slug"] for each in await ok(server.admin.get("/v1/projects"))] == ["paper-mill", "default"]
    assert [each["slug"] for each in await ok(server.admin.get("/v1/projects?order=asc"))] == ["default", "paper-mill"]


async def test_a_project_keeps_its_logs_no_longer_than_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path, retention_days=30) as server:
        made = await ok(server.admin.post("/v1/projects", json={"slug": "mill", "retention_days": 7}), 201)
        changed = await ok(server.admin.patch("/v1/projects/mill", json={"retention_days": 29.5}))
        assert (made["retention_days"], changed["retention_days"]) == (7, 29.5)
        for method, path in (("POST", "/v1/projects"), ("PATCH", "/v1/projects/mill")):
            body = {"retention_days": 31, **({"slug": "more"} if method == "POST" else {})}
            told = await refused(server.admin.request(method, path, json=body), 422, "request.invalid")
            assert told["fields"] == [{"path": "retention_days", "message": "must not exceed the server's: 30 days"}]
        as_server = await ok(server.admin.patch("/v1/projects/mill", json={"retention_days": None}))
        assert as_server["retention_days"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "slug"),
        ({"slug": "mill", "retention_days": 0}, "retention_days"),
        ({"name": "!!!"}, "slug"),
        ({"slug": "Mill"}, "slug"),
        ({"slug": "-mill"}, "slug"),
        ({"slug": "m" * 129}, "slug"),
        ({"slug": "mill", "name": ""}, "name"),
        ({"slug": "mill", "name": "n" * 256}, "name"),
        ({"slug": "mill", "name": "a\0b"}, "name"),
        ({"slug": "mill", "weight": 0}, "weight"),
        ({"slug": "mill", "weight": -1}, "weight"),
        ({"slug": "mill", "weight": "2"}, "weight"),
        ({"slug": "mill", "max_concurrency": 0}, "max_concurrency"),
        ({"slug": "mill", "max_concurrency": 1.5}, "max_concurrency"),
        ({"slug": "mill", "colour": "blue"}, "colour"),
        ({"slug": "proj_" + "019a9f3c2b107abc8def0123456789ab"}, "slug"),
    ],
)
async def test_a_project_that_says_nonsense_is_refused_at_its_place(standing: Served, body, path) -> None:
    details = await refused(standing.admin.post("/v1/projects", json=body), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == [path]
    assert len(await ok(standing.admin.get("/v1/projects"))) == 1


async def test_a_user_is_created_disabled_and_locked_out(server: Served) -> None:
    ada = await ok(server.admin.post("/v1/users", json={"name": "Ada", "email": "ada@example.com"}), 201)
    assert (ada["enabled"], ada["email"]) == (True, "ada@example.com")
    client = await server.key("jobs:read", user_id=ada["id"])
    assert (await ok(client.get("/v1/me")))["user"] == ada
    disabled = await ok(server.admin.patch(f"/v1/users/{ada['id']}", json={"enabled": False}))
    assert disabled == {**ada, "enabled": False}
    await refused(client.get("/v1/me"), 401, "auth.unauthenticated")
    assert await ok(server.admin.get(f"/v1/users/{ada['id']}")) == disabled
    assert [each["name"] for each in await ok(server.admin.get("/v1/users"))] == ["Ada", "admin"]
    await refused(server.admin.post("/v1/users", json={"name": "Ada"}), 409, "conflict.already_exists")
    for email in ("bob", "bob@", "bob@example.com\n", "b ob@example.com"):
        await refused(server.admin.post("/v1/users", json={"name": "Bob", "email": email}), 422, "request.invalid")


async def test_nobody_locks_themselves_out(server: Served) -> None:
    me = await ok(server.admin.get("/v1/me"))
    await refused(server.admin.patch(f"/v1/users/{me['user']['id']}", json={"enabled": False}), 409, "conflict")


async def test_a_key_is_made_shown_once_rotated_and_revoked(server: Served) -> None:
    body = {"name": "ci", "scopes": ["runs:read", "jobs:read", "runs:read"], "expires_at": "2999-01-01T00:00:00Z"}
    made = await ok(server.admin.post("/v1/keys", json=body), 201)
    assert (made["scopes"], made["expires_at"]) == (["jobs:read", "runs:read"], "2999-01-01T00:00:00.000000Z")
    shown = await ok(server.admin.get(f"/v1/keys/{made['id']}"))
    assert {**shown, "token": made["token"]} == made
    assert "token" not in shown
    listed = await ok(server.admin.get("/v1/keys"))
    assert made["id"] in {each["id"] for each in listed}
    assert all("token" not in each for each in listed)

    fresh = await ok(server.admin.post(f"/v1/keys/{made['id']}/rotate", json={"grace_s": 0}), 201)
    assert (fresh["name"], fresh["scopes"]) == (made["name"], made["scopes"])
    assert (await ok(server.admin.get(f"/v1/keys/{made['id']}")))["rotated_to"] == fresh["id"]
    await refused(server.client(made["token"]).get("/v1/me"), 401, "auth.unauthenticated")
    assert await ok(server.client(fresh["token"]).get("/v1/me"))

    revoked = await ok(server.admin.delete(f"/v1/keys/{fresh['id']}"))
    assert revoked["revoked_at"] is not None
    await refused(server.client(fresh["token"]).get("/v1/me"), 401, "auth.unauthenticated")
    await refused(server.admin.post(f"/v1/keys/{fresh['id']}/rotate"), 409, "conflict")


async def test_a_rotated_key_goes_on_for_an_hour_by_default(server: Served) -> None:
    made = await ok(server.admin.post("/v1/keys", json={"name": "ci", "scopes": []}), 201)
    once = {"Idempotency-Key": "r"}
    fresh = await ok(server.admin.post(f"/v1/keys/{made['id']}/rotate", headers=once), 201)
    assert await ok(server.admin.post(f"/v1/keys/{made['id']}/rotate", headers=once)) == {**fresh, "token": None}
    assert await ok(server.client(made["token"]).get("/v1/me"))
    for grace_s in (-1, 2_592_001, "soon"):
        call = server.admin.post(f"/v1/keys/{made['id']}/rotate", json={"grace_s": grace_s})
        await refused(call, 422, "request.invalid")


async def test_a_repeated_key_has_no_token(server: Served) -> None:
    def create(name: str):
        body = {"name": name, "scopes": ["jobs:read"]}
        return server.admin.post("/v1/keys", json=body, headers={"Idempotency-Key": "once"})

    first = await ok(create("ci"), 201)
    assert await ok(create("ci")) == {**first, "token": None}
    details = await refused(create("cd"), 409, "idempotency.mismatch")
    assert len({details["expected"], details["given"]}) == 2


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"scopes": []}, "name"),
        ({"name": "k"}, "scopes"),
        ({"name": "k", "scopes": "jobs:read"}, "scopes"),
        ({"name": "k", "scopes": ["jobs:read", "jobs:own"]}, "scopes[1]"),
        ({"name": "k", "scopes": [], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "k", "scopes": [], "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "k", "scopes": [], "user_id": "x", "service": True}, "service"),
        ({"name": "k", "scopes": [], "token": "rw_mine"}, "token"),
    ],
)
async def test_a_key_that_says_nonsense_is_refused_at_its_place(standing: Served, body, path) -> None:
    details = await refused(standing.admin.post("/v1/keys", json=body), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == [path]


async def test_a_key_gives_away_no_more_than_it_has(server: Served) -> None:
    client = await server.key("keys:manage", "jobs:read")
    await server.key("jobs:read", by=client)
    for scope in ("jobs:write", "admin"):
        body = {"name": "more", "scopes": [scope]}
        assert (await refused(client.post("/v1/keys", json=body), 403, "auth.missing_scope"))["scope"] == scope
    admin_key = (await ok(server.admin.get("/v1/me")))["key"]["id"]
    await refused(client.post(f"/v1/keys/{admin_key}/rotate"), 403, "auth.missing_scope")


async def test_a_bound_key_stays_in_its_project(server: Served) -> None:
    await ok(server.admin.post("/v1/projects", json={"slug": "mill"}), 201)
    bound = await server.key("admin", project_id="mill")
    assert [each["slug"] for each in await ok(bound.get("/v1/projects"))] == ["mill"]
    await refused(bound.get("/v1/projects/default"), 404, "projects.not_found")
    await refused(bound.post("/v1/projects", json={"slug": "more"}), 403, "auth.denied")
    await refused(
        bound.post("/v1/keys", json={"name": "k", "scopes": [], "project_id": "default"}), 404, "projects.not_found"
    )
    child = await server.key("jobs:read", by=bound)
    assert (await ok(child.get("/v1/me")))["project"]["slug"] == "mill"
    assert len(await ok(bound.get("/v1/keys"))) == 2


async def test_another_organization_is_not_there(server: Served) -> None:
    other = await server.neighbour()
    me = await ok(server.admin.get("/v1/me"))
    project = (await ok(server.admin.get("/v1/projects")))[0]
    for method, path, noun in [
        ("GET", f"/v1/organizations/{me['organization']['id']}", "organizations"),
        ("PATCH", f"/v1/organizations/{me['organization']['id']}", "organizations"),
        ("GET", f"/v1/projects/{project['id']}", "projects"),
        ("PATCH", f"/v1/projects/{project['id']}", "projects"),
        ("GET", f"/v1/users/{me['user']['id']}", "users"),
        ("PATCH", f"/v1/users/{me['user']['id']}", "users"),
        ("GET", f"/v1/keys/{me['key']['id']}", "keys"),
        ("POST", f"/v1/keys/{me['key']['id']}/rotate", "keys"),
        ("DELETE", f"/v1/keys/{me['key']['id']}", "keys"),
    ]:
        body = b"{}" if method in ("POST", "PATCH") else None
        call = other.request(method, path, content=body, headers={"Content-Type": "application/json"})
        await refused(call, 404, f"{noun}.not_found")
    foreign = {"name": "k", "scopes": []}
    await refused(other.post("/v1/keys", json={**foreign, "org_id": "default"}), 404, "organizations.not_found")
    await refused(other.post("/v1/keys", json={**foreign, "project_id": project["id"]}), 404, "projects.not_found")
    await refused(other.post("/v1/keys", json={**foreign, "user_id": me["user"]["id"]}), 404, "users.not_found")


async def test_keys_are_paged_without_gap_or_repeat(server: Served) -> None:
    made = [(await ok(server.admin.post("/v1/keys", json={"name": "k", "scopes": []}), 201))["id"] for _ in range(7)]
    for order, expected in (("desc", made[::-1]), ("asc", made)):
        seen, path = [], f"/v1/keys?limit=3&order={order}"
        while path:
            response = await server.admin.get(path)
            seen += [each["id"] for each in response.json()]
            path = response.headers.get("link", "").partition(">")[0].lstrip("<")
        assert [each for each in seen if each in made] == expected
        assert len(seen) == len(set(seen)) == 8
    await refused(server.admin.get("/v1/keys?cursor=nowhere"), 422, "cursor.invalid")
    await refused(server.admin.get("/v1/keys?limit=501"), 422, "request.invalid")


async def test_an_idempotency_key_has_a_length_and_one_value(server: Served) -> None:
    for headers in ({"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 257}):
        await refused(server.admin.post("/v1/projects", json={"slug": "a"}, headers=headers), 422, "request.invalid")
    two = {"Idempotency-Key": "a", "X-Idempotency-Key": "b"}
    await refused(server.admin.post("/v1/projects", json={"slug": "a"}, headers=two), 422, "request.invalid")
    longest = {"Idempotency-Key": "k" * 256}
    await ok(server.admin.post("/v1/projects", json={"slug": "a"}, headers=longest), 201)
    await ok(server.admin.post("/v1/projects", json={"slug": "a"}, headers=longest))
