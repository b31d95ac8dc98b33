"""Hold every answer of the server against its own OpenAPI document, so that each test checks it for free."""

import json
import re
from functools import cache
from typing import Any, NamedTuple

import httpx2
import jsonschema_rs
import msgspec

from runwright.api.docs import described
from runwright.api.surface import TABLES
from runwright.config import SETTINGS

JSON = "application/json"
SCHEMAS = "#/components/schemas/"
RUNTIME_PROBLEM = {"code", "message", "details", "request_id"}
PROBLEM = {"error", "code", "message", "request_id", "trace_id", "details"}


class Operation(NamedTuple):
    """What the document says of one method of one path."""

    path: str
    method: str
    shape: re.Pattern[str]
    responses: dict[str, Any]


class Contract:
    """The OpenAPI document, read strictly: an answer holds all fields that its schema names, and no others."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._schemas = _strict(document)
        self._validators: dict[str, Any] = {}
        self.operations = [
            Operation(path, method.upper(), _shape(path), self._resolved(operation["responses"]))
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        # A literal beats a parameter, and a parameter with a verb beats a plain one.
        self.operations.sort(key=lambda operation: (operation.path.count("{"), ":" not in operation.path))

    def find(self, method: str, path: str) -> Operation | None:
        """Return the operation of a request, or None where the document has none."""
        method = "GET" if method == "HEAD" else method
        found = [operation for operation in self.operations if operation.shape.fullmatch(path)]
        return next((each for each in found if each.path == found[0].path and each.method == method), None)

    def check(self, response: httpx2.Response) -> None:
        """Refuse an answer that is not as documented."""
        request = response.request
        where = f"{request.method} {request.url.raw_path.decode()} → {response.status_code}: {response.text[:500]}"
        assert response.status_code < 500 or response.status_code == 503, where
        assert response.headers.get("x-request-id"), where
        assert response.headers.get("x-trace-id"), where
        if response.status_code >= 400 and request.method != "HEAD":
            self._check_problem(response, where)
        operation = self.find(request.method, request.url.path)
        if operation is None:
            return
        documented = operation.responses.get(str(response.status_code))
        assert documented is not None, f"undocumented: {where}"
        content = documented.get("content", {})
        if not response.content:
            assert request.method == "HEAD" or not content or response.status_code == 204, where
            return
        media = response.headers["content-type"].partition(";")[0]
        assert media in content, f"{media}: {where}"
        if media == JSON:
            self._validate(content[JSON]["schema"], response.json(), where)

    def _check_problem(self, response: httpx2.Response, where: str) -> None:
        problem = response.json()
        if response.request.url.path.startswith("/api/v1"):
            told = problem["error"]
            assert set(told) == RUNTIME_PROBLEM, where
            assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", told["code"]), where
            assert told["request_id"] == response.headers["x-request-id"], where
            return
        assert set(problem) == PROBLEM, where
        assert problem["error"] == problem["message"], where
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", problem["code"]), where
        assert problem["request_id"] == response.headers["x-request-id"], where
        assert problem["trace_id"] == response.headers["x-trace-id"], where

    def _validate(self, schema: dict[str, Any], value: Any, where: str) -> None:
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            needed = {each: self._schemas[each] for each in sorted(self._reached(schema))}
            whole = {**schema, "components": {"schemas": needed}}
            self._validators[name] = jsonschema_rs.Draft202012Validator(whole)
        fault = next(self._validators[name].iter_errors(value), None)
        assert fault is None, f"{fault}: {where}"

    def _reached(self, schema: Any) -> set[str]:
        """Return the names of the schemas that one refers to, however indirectly: a validator keeps all it is given."""
        reached, waiting = set[str](), _named(schema)
        while waiting:
            name = waiting.pop()
            reached.add(name)
            waiting |= _named(self._schemas[name]) - reached
        return reached

    def _resolved(self, responses: dict[str, Any]) -> dict[str, Any]:
        shared = self.document["components"]["responses"]
        return {
            status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            for status, answer in responses.items()
        }


class ContractClient(httpx2.AsyncClient):
    """An HTTP client that checks every whole answer, and the head of every stream, against the contract."""

    def __init__(self, contract: Contract, **options: Any) -> None:
        super().__init__(verify=False, **options)  # no certificates to load: that takes longer than many a test
        self.contract = contract

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request, check its answer, and return it."""
        response = await super().send(request, stream=stream, **options)
        if stream and response.status_code == 200:
            assert response.headers["x-request-id"]
        else:
            await response.aread()
            self.contract.check(response)
        return response


@cache
def contract() -> Contract:
    """Return the contract that every server is held against in the tests of this process.

    It is what each says of itself (`test_openapi`): to write it takes longer than all else that a server starts with.
    """
    endpoints = (endpoint for table in TABLES for endpoint in table.endpoints)
    page_max = next(setting.default for setting in SETTINGS if setting.name == "page_max")
    return Contract(msgspec.json.decode(msgspec.json.encode(described(endpoints, page_max))))


def _named(part: Any) -> set[str]:
    """Return the names of the schemas that a part of the document refers to."""
    if isinstance(part, dict):
        own = {ref.removeprefix(SCHEMAS)} if (ref := str(part.get("$ref", ""))).startswith(SCHEMAS) else set[str]()
        return own.union(*map(_named, part.values()))
    return set[str]().union(*map(_named, part)) if isinstance(part, list) else set()


def _shape(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z_]+\})", path)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))


def _strict(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas with every field refused that is not named."""
    schemas: dict[str, Any] = json.loads(json.dumps(document["components"]["schemas"]))
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return schemas
