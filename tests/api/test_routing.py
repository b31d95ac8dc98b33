"""A request reaches its handler only when all of it is right, and an answer says what it is."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from runwright.api.context import PUBLIC, Call
from runwright.api.routing import Routes
from runwright.api.tree import Tree
from tests.api.conftest import Kit, Tick

JSON = {"content-type": "application/json"}


def fields(response: httpx2.Response) -> list[tuple[str, str]]:
    return [(field["path"], field["message"]) for field in response.json()["details"]["fields"]]


async def test_a_handler_gets_path_and_body_decoded_and_its_struct_is_the_answer(kit: Kit):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", json={"name": "a", "payload": {"x": [1, None]}})
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"name": "a", "count": 1, "payload": {"x": [1, None]}, "tags": []}
    assert kit.reached == [("t1", Tick("a", payload={"x": [1, None]}))]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b'{"name": "a", "color": 1}', "color", "is not known"),
        (b"{}", "name", "is required"),
        (b'{"name": 1}', "name", "expected str, got int"),
        (b'{"name": "a", "count": 11}', "count", "expected int <= 10"),
        (b'{"name": "a", "tags": ["x", 1]}', "tags[1]", "expected str, got int"),
        (b'{"name": "a", "payload": []}', "payload", "expected object, got array"),
        (b'{"name": "a\\u0000"}', "name", "must not contain NUL"),
        (b'{"name": "a", "payload": {"x": [1, {"y": "\\u0000"}]}}', "payload.x[1].y", "must not contain NUL"),
        (b'{"name": "a", "payload": {"\\u0000": 1}}', "payload", "must not contain NUL"),
        (b"[]", "", "expected object, got array"),
        (b"", "", "a JSON body is required"),
    ],
)
async def test_a_body_that_is_not_what_it_must_be_is_refused_with_the_path(kit: Kit, body, path, message):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=body, headers=JSON)
    assert response.status_code == 422
    assert response.json()["code"] == "request.invalid"
    assert fields(response) == [(path, message)]
    assert kit.reached == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": ',
        b"{'name': 1}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a"} x',
        b'{"name": "\x00"}',
        b'{"name": "a", "payload": {"x": NaN}}',
        b'{"name": "a", "payload": {"x": 1e999}}',
        b'{"name": "a", "payload": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    ],
)
async def test_broken_json_is_refused(kit: Kit, body):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=body, headers=JSON)
    assert response.status_code == 422
    assert response.json()["code"] == "request.invalid"


async def test_an_escaped_backslash_before_u0000_is_no_nul(kit: Kit):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=b'{"name": "a\\\\u0000"}', headers=JSON)
    assert response.status_code == 201
    assert response.json()["name"] == "a\\u0000"


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
async def test_a_body_of_another_content_type_is_refused(kit: Kit, media):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=b'{"name": "a"}', headers={"content-type": media})
    assert response.status_code == 415
    assert response.json()["code"] == "request.unsupported_media"


async def test_a_body_without_content_type_is_refused(kit: Kit):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=b'{"name": "a"}')
    assert response.status_code == 415


async def test_a_compressed_body_is_refused(kit: Kit):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=b"\x1f\x8b", headers={**JSON, "content-encoding": "gzip"})
    assert response.status_code == 415


async def test_a_charset_beside_the_content_type_is_accepted(kit: Kit):
    async with kit.client() as client:
        media = {"content-type": "Application/JSON; charset=utf-8"}
        response = await client.post("/v1/ticks/t1", content=b'{"name": "a"}', headers=media)
    assert response.status_code == 201


async def test_a_body_larger_than_its_limit_is_refused_by_its_length_and_while_it_is_read():
    kit = Kit(body_max_bytes=2000)

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(30):
            yield b"x" * 100
        yield b'"}'

    async with kit.client() as client:
        announced = await client.post("/v1/ticks/t1", json={"name": "x" * 3000})
        streamed = await client.post("/v1/ticks/t1", content=chunks(), headers=JSON)
        fitting = await client.post("/v1/ticks/t1", json={"name": "x" * 1900})
        bulk = await client.post("/v1/ticks/bulk", json={"items": [{"name": "x" * 3000}]})
    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert announced.json()["code"] == "request.too_large"
    assert fitting.status_code == 201
    assert bulk.status_code == 207, "a bulk request has a limit of its own"


async def test_a_body_that_comes_in_parts_is_put_together(kit: Kit):
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"na'
        yield b'me": "a"}'

    async with kit.client() as client:
        response = await client.post("/v1/ticks/t1", content=chunks(), headers=JSON)
    assert response.json()["name"] == "a"


async def test_an_optional_body_may_be_absent_without_a_content_type(kit: Kit):
    async with kit.client() as client:
        absent = await client.post("/v1/ticks/t1:stop")
        present = await client.post("/v1/ticks/t1:stop", json={"reason": "enough"})
    assert absent.json() == {"stopped": "t1", "reason": "none given"}
    assert present.json() == {"stopped": "t1", "reason": "enough"}


async def test_a_route_that_takes_no_body_takes_an_empty_object_and_refuses_fields(kit: Kit):
    async with kit.client() as client:
        absent = await client.post("/v1/ticks/t1/poke")
        empty = await client.post("/v1/ticks/t1/poke", json={})
        full = await client.post("/v1/ticks/t1/poke", json={"hard": True})
    assert (absent.status_code, empty.status_code, full.status_code) == (204, 204, 422)
    assert absent.content == b""
    assert "content-length" not in absent.headers
    assert fields(full) == [("hard", "is not known")]


async def test_a_reply_has_its_own_status_and_headers(kit: Kit):
    async with kit.client() as client:
        response = await client.post("/v1/ticks/bulk", json={"items": []})
    assert (response.status_code, response.headers["x-batch-id"], response.json()) == (207, "batch_1", [])


@pytest.mark.parametrize(
    ("query", "path", "message"),
    [
        ("colour=red", "colour", "is not known"),
        ("limit=x", "limit", "expected int | null, got str"),
        ("enabled=yes", "enabled", "expected bool | null, got str"),
        ("cursor=a&cursor=b", "cursor", "is there more than once"),
        ("metadata[a]=1&metadata[a]=2", "metadata[a]", "is there more than once"),
        ("metadata=1", "metadata", "expected object, got str"),
        ("tags[a]=1", "tags[a]", "is not known"),
        ("status=a%00b", "status", "must not contain NUL"),
        ("status=%ff", "", "the query string is malformed"),
    ],
)
async def test_a_query_that_is_not_what_it_must_be_is_refused_with_the_parameter(kit: Kit, query, path, message):
    async with kit.client() as client:
        response = await client.get(f"/v1/ticks?{query}")
    assert response.status_code == 422
    assert fields(response) == [(path, message)]
    assert kit.reached == []


async def test_a_query_may_repeat_lists_and_spell_maps(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/v1/ticks?status=a&status=b%26&metadata[k]=v&metadata%5Bl%5D=w&enabled=true")
    assert response.status_code == 200
    query = kit.reached[0]
    assert (query.status, query.metadata, query.enabled) == (("a", "b&"), {"k": "v", "l": "w"}, True)


async def test_a_route_without_query_refuses_parameters(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/v1/ticks/t1?verbose=1")
    assert response.status_code == 422
    assert fields(response) == [("verbose", "is not known")]


async def test_a_nul_in_the_path_is_refused(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/v1/ticks/t%001")
    assert response.status_code == 422


async def test_missing_and_wrong_credentials_are_401_before_anything_is_read(kit: Kit):
    async with kit.client(token=None) as client:
        missing = await client.post("/v1/ticks/t1", content=b"not json")
        wrong = await client.post("/v1/ticks/t1", headers={"authorization": "Bearer rw_bad"})
        basic = await client.get("/v1/ticks/t1", headers={"authorization": "Basic cncw"})
    assert [each.status_code for each in (missing, wrong, basic)] == [401, 401, 401]
    assert missing.json()["code"] == "auth.unauthenticated"
    assert missing.headers["www-authenticate"] == "Bearer"


async def test_a_missing_scope_is_403_and_named(kit: Kit):
    async with kit.client("rw_reader") as client:
        response = await client.post("/v1/ticks/t1", json={"name": "a"})
    assert response.status_code == 403
    assert (response.json()["code"], response.json()["details"]) == ("auth.missing_scope", {"scope": "jobs:trigger"})
    assert kit.reached == []


async def test_x_api_key_is_a_synonym_of_the_bearer_header(kit: Kit):
    async with kit.client(token=None) as client:
        key = await client.get("/v1/who", headers={"x-api-key": "rw_reader", "prefer": "tea"})
        bearer = await client.get("/v1/who", headers={"authorization": "bearer  rw_good"})
    assert key.json() == {"who": "service:robot", "prefer": "tea", "path": "/v1/who"}
    assert bearer.json()["who"] == "user:user_1"


async def test_a_verb_after_a_colon_stands_beside_the_thing_itself(kit: Kit):
    async with kit.client() as client:
        assert (await client.get("/v1/ticks/t1")).json() == {"id": "t1", "org": "org_1"}
        assert (await client.post("/v1/ticks/t1:stop")).status_code == 200
        assert (await client.post("/v1/ticks/t1:start")).status_code == 404
        other = await client.get("/v1/ticks/t1:stop")
    assert (other.status_code, other.headers["allow"]) == (405, "POST")


async def test_an_unknown_path_is_404_and_another_method_405_with_allow(kit: Kit):
    async with kit.client() as client:
        nowhere = await client.get("/v1/nowhere")
        slash = await client.get("/v1/ticks/")
        method = await client.delete("/v1/ticks/t1")
    assert (nowhere.status_code, nowhere.json()["code"], slash.status_code) == (404, "not_found", 404)
    assert (method.status_code, method.json()["code"]) == (405, "request.method_not_allowed")
    assert method.headers["allow"] == "GET, HEAD, POST"


async def test_head_is_answered_where_get_is(kit: Kit):
    async with kit.client() as client:
        response = await client.head("/v1/ticks/t1")
    assert response.status_code == 200


async def test_the_request_id_comes_back_or_is_made(kit: Kit):
    async with kit.client() as client:
        given = await client.get("/v1/who", headers={"x-request-id": "mine-1"})
        made = await client.get("/v1/who")
        long = await client.get("/v1/who", headers={"x-request-id": "x" * 129})
        spaced = await client.get("/v1/who", headers={"x-request-id": "a b"})
    assert given.headers["x-request-id"] == "mine-1"
    assert all(each.headers["x-request-id"].startswith("req_") for each in (made, long, spaced))


async def test_a_traceparent_is_joined_and_a_broken_one_is_not(kit: Kit):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with kit.client() as client:
        joined = await client.get("/v1/who", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        broken = await client.get("/v1/who", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    assert joined.headers["x-trace-id"] == trace
    assert len(broken.headers["x-trace-id"]) == 32
    assert set(broken.headers["x-trace-id"]) != {"0"}


def test_a_literal_wins_over_a_parameter_and_gives_way_where_it_leads_nowhere():
    tree: Tree[str] = Tree()
    for template in ("/runs/{id}", "/runs/dlq", "/runs/{id}/events", "/runs/{id}:cancel", "/", "/runs/dlq/x/y"):
        tree.add(template, "GET", template)

    def find(path: str):
        found = tree.find(path)
        return None if found is None else (found[0]["GET"], found[1])

    assert find("/runs/dlq") == ("/runs/dlq", [])
    assert find("/runs/dlq/events") == ("/runs/{id}/events", ["dlq"])
    assert find("/runs/dlq:cancel") == ("/runs/{id}:cancel", ["dlq"])
    assert find("/runs/a:b:cancel") == ("/runs/{id}:cancel", ["a:b"])
    assert find("/") == ("/", [])
    for nowhere in ("", "/runs", "/runs/", "/runs/:cancel", "/runs/a:stop", "/runs/dlq/x", "/runs/a/events/"):
        assert find(nowhere) is None, nowhere


def test_a_table_of_routes_refuses_what_cannot_be_right():
    routes = Routes(tag="wrong")

    async def handler(call: Call, job: str) -> None: ...

    with pytest.raises(ValueError, match="no scope"):
        routes.get("/x", scope="jobs:paint", summary="")
    with pytest.raises(TypeError, match="must take"):
        routes.get("/x/{run}", scope=PUBLIC, summary="")(handler)
    tree: Tree[int] = Tree()
    tree.add("/x/{a}", "GET", 1)
    with pytest.raises(ValueError, match="twice"):
        tree.add("/x/{b}", "GET", 2)
    with pytest.raises(ValueError, match="neither"):
        tree.add("/x/{A}", "GET", 3)
