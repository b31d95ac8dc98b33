"""The OpenAPI document: valid, complete, and (in `contract.py`, for every test here) what the server really does."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.acceptance.contract import ContractClient, contract
from tests.acceptance.speech import Json, said
from tests.acceptance.table import ENDPOINTS

pytestmark = pytest.mark.xdist_group("acceptance-routes")


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Name one database: the document is the same before any is opened."""
    return "sqlite"


@pytest.fixture(scope="module")
async def document(admin: ContractClient) -> Json:
    read: Json = await said(admin.get("/openapi.json"))
    return read


async def test_the_document_is_the_one_that_every_answer_is_held_against(document: Json):
    assert document == contract().document


async def test_the_document_is_valid_openapi_3_1(document: Json):
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_is_in_the_document_and_no_other(document: Json):
    shown = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert shown == {(endpoint.path, endpoint.method) for endpoint in ENDPOINTS if endpoint.listed}


async def test_every_operation_says_what_it_does_and_what_it_takes(document: Json):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["operationId"], where
            assert operation["tags"], where
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == {part.split("}")[0] for part in path.split("{")[1:]}, where


async def test_request_bodies_are_named_schemas(document: Json):
    bodies = {
        content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for methods in document["paths"].values()
        for operation in methods.values()
        if (content := operation.get("requestBody", {}).get("content")) and set(content) != {"*/*"}  # bytes of any type
    }
    assert {"TriggerRequest", "BulkTriggerRequest", "ReplayRequest", "CreateJobRequest", "CreateKeyRequest"} <= bodies
    assert all(name.endswith("Request") for name in bodies)
    schemas: dict[str, Any] = document["components"]["schemas"]
    assert all(schemas[name]["additionalProperties"] is False for name in bodies), "unknown fields are refused"


async def test_every_field_of_an_answer_is_always_there(document: Json):
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    answered, waiting = set[str](), named_in([operation["responses"] for operation in operations])
    while waiting:
        name = waiting.pop()
        answered.add(name)
        waiting |= named_in(schemas[name]) - answered
    assert "Run" in answered
    for name in sorted(answered):
        if "properties" in schemas[name]:
            assert set(schemas[name]["properties"]) == set(schemas[name]["required"]), name


def named_in(part: Any) -> set[str]:
    """Return the names of the schemas that a part of the document refers to."""
    if isinstance(part, dict):
        own = {part["$ref"].rpartition("/")[2]} if "schemas" in str(part.get("$ref", "")) else set[str]()
        return own.union(*map(named_in, part.values()))
    return set[str]().union(*map(named_in, part)) if isinstance(part, list) else set()


async def test_health_ready_docs_and_the_root_need_no_credentials(admin: ContractClient):
    health, ready, docs, root = [
        await admin.get(path, headers={"authorization": ""}) for path in ("/healthz", "/readyz", "/docs", "/")
    ]
    assert health.json()["status"] == "ok"
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert set(ready.json()["checks"].values()) == {"ok"}
    assert docs.headers["content-type"].startswith("text/html")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")
