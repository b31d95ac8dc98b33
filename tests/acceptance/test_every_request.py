"""Every route of the table, by the same rules: who gets in, and what is refused before anything is looked at.

None of this reaches what an organization has, so one database is enough: `test_every_route` asks both what is whose.
"""

import json
from typing import Any

import httpx2
import pytest

from runwright.api.routing import Endpoint
from runwright.domain.tenancy import SCOPES
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.routes import each_of
from tests.acceptance.speech import Speech, problem, refused, said, unique, word
from tests.acceptance.table import ENDPOINTS, GUARDED, PAGED, SCOPED, TAKING, WITH_BODY, World, found_world

pytestmark = pytest.mark.xdist_group("acceptance-routes")

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Name one database: see above."""
    return "sqlite"


@pytest.fixture(scope="module")
async def ours(server: LiveServer, admin: ContractClient) -> World:
    made = await said(admin.post("/v1/organizations", json={"slug": unique("asking")}), 201)
    return await found_world(server, admin, made["token"])


@pytest.fixture(scope="module")
async def lacking(server: LiveServer, admin: ContractClient) -> dict[str, ContractClient]:
    """Return, for each scope, a client with a key that has all the others."""
    clients = {}
    for scope in SCOPES:
        others = [each for each in SCOPES if each not in (scope, "admin")]
        key = await Speech(admin).key(*others)
        clients[scope] = server.client(key["token"])
    return clients


@pytest.fixture(scope="module")
async def outsiders(server: LiveServer, admin: ContractClient) -> dict[str, dict[str, str]]:
    """Return headers that let nobody in, by what is wrong with them."""
    api = Speech(admin)
    revoked = await api.key("admin")
    await said(admin.delete(f"/v1/keys/{revoked['id']}"))
    user = await said(admin.post("/v1/users", json={"name": unique("gone")}), 201)
    disabled = await api.key("admin", user_id=user["id"])
    await said(admin.patch(f"/v1/users/{user['id']}", json={"enabled": False}))
    return {
        "nothing": {},
        "an empty token": {"authorization": "Bearer"},
        "another scheme": {"authorization": f"Basic {API_KEY}"},
        "an unknown token": {"authorization": "Bearer rw_0123456789ab_" + "x" * 43},
        "half a token": {"authorization": f"Bearer {API_KEY[:-1]}"},
        "a long token": {"x-api-key": "x" * 5000},
        "a revoked key": {"authorization": f"Bearer {revoked['token']}"},
        "a disabled user": {"x-api-key": disabled["token"]},
    }


def paths_of(part: str) -> list[str]:
    return sorted({endpoint.path for endpoint in ENDPOINTS if part in endpoint.path})


@each_of(GUARDED)
async def test_without_valid_credentials_it_is_401(
    server: LiveServer, ours: World, outsiders: dict[str, dict[str, str]], endpoint: Endpoint
):
    stranger = server.client(None)
    for headers in outsiders.values():
        response = await ours.ask(endpoint, stranger, headers=headers)
        assert response.status_code == 401
        assert problem(response)["code"] == word(response, "auth.unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"


@each_of(SCOPED)
async def test_without_the_scope_it_is_403_and_names_it(
    ours: World, lacking: dict[str, ContractClient], endpoint: Endpoint
):
    details = await refused(ours.ask(endpoint, lacking[endpoint.scope]), 403, "auth.missing_scope")
    assert details == {"scope": endpoint.scope}


@each_of(paths_of(""))
async def test_a_method_that_the_path_lacks_is_405_with_allow(ours: World, path: str):
    has = {endpoint.method for endpoint in ENDPOINTS if endpoint.path == path}
    has |= {"HEAD"} if "GET" in has else set()
    for method in METHODS:
        if method not in has:
            response = await ours.client.request(method, path.format_map(ours.idents))
            assert response.status_code == 405
            assert problem(response)["code"] == word(response, "request.method_not_allowed")
            assert set(response.headers["allow"].split(", ")) == has


@each_of(ENDPOINTS)
async def test_a_query_parameter_that_is_unknown_is_422(ours: World, endpoint: Endpoint):
    response = await ours.ask(endpoint, params={"nope": "1"})
    assert response.status_code == 422, response.text
    assert problem(response)["details"]["fields"] == [{"path": "nope", "message": "is not known"}]


@each_of(ENDPOINTS)
async def test_a_nul_in_a_query_or_a_path_is_422(ours: World, endpoint: Endpoint):
    path = ours.path(endpoint)
    for odd in (f"{path}?limit=%00", f"{path}?a%00b=1", f"{path}%00"):
        assert (await ours.ask(endpoint, path=odd)).status_code == 422


@each_of(WITH_BODY)
async def test_appendix_c_29_a_field_that_is_unknown_is_422_with_its_path(ours: World, endpoint: Endpoint):
    body = {**(ours.body(endpoint) or {}), "no_such_field": 1}
    details = await refused(ours.ask(endpoint, json=body), 422, "request.invalid")
    assert details["fields"] == [{"path": "no_such_field", "message": "is not known"}]


BROKEN = {
    "a half": b'{"a":',
    "two": b"{} {}",
    "nothing but space": b"  ",
    "a comment": b"{} // yes",
    "an array": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "nan": b'{"payload": {"a": NaN}}',
    "latin-1": b'{"name": "\xe9"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate": b'{"name": "\\ud800"}',
    "a nul": b'{"name": "a\\u0000b"}',
    "a nul in a name": b'{"a\\u0000b": 1}',
    "a raw control character": b'{"name": "a\x01b"}',
    "very deep": b'{"payload":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
}


@each_of(WITH_BODY)
async def test_a_body_that_is_no_json_object_of_ours_is_422(ours: World, endpoint: Endpoint):
    for what, content in BROKEN.items():
        response = await ours.ask(endpoint, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 422, f"{what}: {response.text}"


@each_of(WITH_BODY)
async def test_a_body_of_another_type_is_415(ours: World, endpoint: Endpoint):
    body = json.dumps(ours.body(endpoint) or {}).encode()
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/json-seq", ""):
        headers = {"content-type": media} if media else {}
        await refused(ours.ask(endpoint, content=body, headers=headers), 415, "request.unsupported_media")
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    await refused(ours.ask(endpoint, content=body, headers=packed), 415, "request.unsupported_media")


@each_of(WITH_BODY)
async def test_a_body_that_is_too_large_is_413(ours: World, endpoint: Endpoint):
    most = 16 << 20 if endpoint.limit == "bulk_body_max_bytes" else 1 << 20
    body = b'{"name": "' + b"x" * most + b'"}'
    headers = {"content-type": "application/json"}
    await refused(ours.ask(endpoint, content=body, headers=headers), 413, "request.too_large")

    async def unannounced() -> Any:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    response = await ours.ask(endpoint, content=unannounced(), headers=headers)
    assert (response.status_code, problem(response)["code"]) == (413, word(response, "request.too_large"))


@each_of([each for each in TAKING if not each.body_optional])
async def test_a_body_that_is_missing_is_422(ours: World, endpoint: Endpoint):
    response = await ours.client.request(endpoint.method, ours.path(endpoint))
    assert response.status_code == 422, response.text


@each_of(PAGED)
async def test_a_cursor_limit_or_order_that_means_nothing_is_422(ours: World, endpoint: Endpoint):
    instant = "2026-01-01T00:00:00Z"
    for cursor in ("", "garbage", "wrk_0", "7", "2026-13-45T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "ü"):
        for parameter in ("cursor", "before"):
            details = await refused(ours.ask(endpoint, params={parameter: cursor}), 422, "cursor.invalid")
            assert details["fields"][0]["path"] == parameter
    await refused(ours.ask(endpoint, params={"cursor": instant, "before": instant}), 422, "cursor.invalid")
    for limit in ("0", "-1", "501", "x", "1.5", "", "null", str(2**70)):
        assert (await ours.ask(endpoint, params={"limit": limit})).status_code == 422
    for order in ("sideways", "null", ""):
        assert (await ours.ask(endpoint, params={"order": order})).status_code == 422
    assert (await ours.ask(endpoint, params=[("limit", "1"), ("limit", "2")])).status_code == 422


@each_of(ENDPOINTS)
async def test_the_request_id_and_the_trace_go_in_and_out(ours: World, endpoint: Endpoint):
    headers = {
        "x-request-id": "my-request.1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    response = await ours.ask(endpoint, headers=headers, params={"nope": "1"})
    assert response.headers["x-request-id"] == "my-request.1"
    assert response.headers["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
    odd = {"x-request-id": "a b", "traceparent": "00-zz"}
    response = await ours.ask(endpoint, headers=odd, params={"nope": "1"})
    assert response.headers["x-request-id"].startswith("req_")


async def test_a_path_that_is_not_there_is_404_in_the_shape_of_its_surface(server: LiveServer):
    async with httpx2.AsyncClient(base_url=server.url) as client:
        for path in ("/v1", "/v1/", "/v2/runs", "/v1/runs/", "//v1/runs", "/v1/runs/a/b/c", "/v1/runs/:cancel"):
            response = await client.get(path)
            assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
        response = await client.get("/api/v1/nothing")
        assert set(response.json()["error"]) == {"code", "message", "details", "request_id"}
