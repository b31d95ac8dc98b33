"""The document is valid, and says of each route what the route does."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from runwright.api.app import build
from runwright.api.context import PUBLIC, Call
from runwright.api.routing import Routes
from tests.api.conftest import Kit


@pytest.fixture
async def described(kit: Kit) -> dict[str, Any]:
    async with kit.client(token=None) as client:
        response = await client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: dict[str, Any] = response.json()
    return document


async def test_the_document_is_valid_openapi_3_1(described):
    assert described["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(described).validate()


async def test_every_listed_route_is_there_and_no_other(kit: Kit, described):
    shown = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert shown == {(endpoint.path, endpoint.method) for endpoint in kit.routes.endpoints}
    assert not any(path.startswith("/docs") for path in described["paths"])


async def test_an_operation_names_its_scope_body_answer_and_errors(described):
    operation = described["paths"]["/v1/ticks/{tick}"]["post"]
    assert operation["operationId"] == "make"
    assert operation["tags"] == ["ticks"]
    assert operation["x-scope"] == "jobs:trigger"
    assert operation["security"] == [
        {"bearer": ["jobs:trigger"]},
        {"apiKey": ["jobs:trigger"]},
        {"jwt": ["jobs:trigger"]},
    ]
    reference = {"$ref": "#/components/schemas/Tick"}
    assert operation["requestBody"] == {"required": True, "content": {"application/json": {"schema": reference}}}
    assert operation["responses"]["201"]["content"] == {"application/json": {"schema": reference}}
    refusals = {"401", "403", "404", "408", "409", "413", "415", "422", "429", "500", "503"}
    assert set(operation["responses"]) == {"201", *refusals}
    assert operation["parameters"] == [{"name": "tick", "in": "path", "required": True, "schema": {"type": "string"}}]


async def test_a_body_with_a_default_is_optional(described):
    assert described["paths"]["/v1/ticks/{tick}:stop"]["post"]["requestBody"]["required"] is False
    assert "requestBody" not in described["paths"]["/v1/ticks/{tick}/poke"]["post"]


async def test_query_parameters_come_from_the_struct_and_are_no_schema(described):
    operation = described["paths"]["/v1/ticks"]["get"]
    parameters = {each["name"]: each for each in operation["parameters"]}
    assert set(parameters) == {"limit", "cursor", "before", "order", "status", "metadata", "enabled"}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 500}
    assert parameters["limit"]["description"].startswith("Rows of a page")
    assert parameters["order"]["schema"] == {"enum": ["asc", "desc"]}
    assert parameters["status"]["schema"]["type"] == "array"
    assert parameters["metadata"]["style"] == "deepObject"
    assert "Filter" not in described["components"]["schemas"]


async def test_a_page_is_an_array_with_the_headers_of_the_next(described):
    answer = described["paths"]["/v1/ticks"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"type": "array", "items": {"type": "string"}}
    assert set(answer["headers"]) == {
        "Link",
        "X-Next-Cursor",
        "X-Request-Id",
        "X-Trace-Id",
        "RateLimit",
        "RateLimit-Policy",
    }


async def test_a_route_that_answers_by_accept_shows_both_and_its_other_statuses(described):
    responses = described["paths"]["/v1/ticks/{tick}/stream"]["get"]["responses"]
    assert set(responses["200"]["content"]) == {"text/event-stream", "application/json"}
    assert responses["204"]["description"] == "It has ended"
    assert "content" not in responses["204"]


async def test_a_reply_shows_what_it_holds(described):
    answer = described["paths"]["/v1/ticks/bulk"]["post"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Tick"}}


async def test_public_routes_have_no_security_and_others_may_need_no_scope(described):
    assert described["paths"]["/v1/slow"]["get"]["security"] == []
    assert described["paths"]["/v1/who"]["get"]["security"] == [
        {"bearer": []},
        {"apiKey": []},
        {"jwt": []},
        {"ticket": []},
    ]
    assert described["paths"]["/v1/who"]["get"]["parameters"][0]["name"] == "Prefer"


async def test_extra_errors_are_listed(described):
    assert described["paths"]["/v1/fail/{how}"]["get"]["responses"]["410"] == {
        "$ref": "#/components/responses/Error410"
    }


async def test_the_page_and_its_files_come_from_here(kit: Kit):
    async with kit.client(token=None) as client:
        root = await client.get("/")
        page = await client.get("/docs")
        files = [await client.get(path) for path in ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css")]
        start = await client.get("/docs/start.js")
        other = await client.get("/docs/index.html")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text, "nothing from elsewhere"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert all(file.status_code == 200 and len(file.content) > 100_000 for file in files)
    assert "/openapi.json" in start.text
    assert other.status_code == 404
    assert "x-request-id" in page.headers


async def test_two_routes_of_one_name_are_refused(kit: Kit):
    routes = Routes(tag="twins")

    async def twin(call: Call) -> None: ...

    routes.get("/a", scope=PUBLIC, summary="A")(twin)
    routes.get("/b", scope=PUBLIC, summary="B")(twin)
    with pytest.raises(ValueError, match="twin"):
        build([routes], kit.services)
