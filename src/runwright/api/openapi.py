"""Describe all routes as one OpenAPI 3.1 document, read off the types that decode and encode."""

import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Union, get_args, get_origin

import msgspec
from starlette.responses import Response

from runwright.api.context import ANYONE, PUBLIC
from runwright.api.errors import RUNTIME, Problem, RuntimeAnswer
from runwright.api.files import MEDIA_TYPE as MEDIA_OF_FILES
from runwright.api.files import FileAnswer
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Endpoint, Reply
from runwright.api.sse import MEDIA_TYPE, EventStream

_REF = "#/components/schemas/{name}"
_MEANINGS = {
    400: "The request contradicts itself",
    401: "Valid credentials are required",
    403: "The credentials lack the scope",
    404: "Nothing of the caller's has this id",
    408: "The body did not arrive in time",
    409: "The present state does not allow this",
    410: "It is no longer here",
    413: "The body is too large",
    415: "The body is not JSON",
    416: "The range begins behind the end",
    422: "The request is not valid",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Too much work at the moment, or the store is away",
}
_PAGE_HEADERS = {
    "Link": {"description": 'The next page, `rel="next"`.', "schema": {"type": "string"}},
    "X-Next-Cursor": {"description": "The `cursor` of the next page.", "schema": {"type": "string"}},
}
_ANSWER_HEADERS = {
    "X-Request-Id": {"description": "The request's id, yours if you sent one.", "schema": {"type": "string"}},
    "X-Trace-Id": {"description": "The trace that the request belongs to.", "schema": {"type": "string"}},
}
_RATE_HEADERS = {
    "RateLimit-Policy": {"description": "How often these credentials may ask.", "schema": {"type": "string"}},
    "RateLimit": {"description": "How many requests are left, and when all are back.", "schema": {"type": "string"}},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

_BYTES = {"type": "string", "format": "binary"}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`rw_…`)."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key (`rw_…`)."},
    "jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT of the configured OIDC issuer; what it may do comes from its user's memberships.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A ticket for this very path (`POST /v1/tickets`), for browsers that cannot send a header.",
    },
    "runToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "What a run's code was given when it was dispatched (`rwt_…`); it ends with its lease.",
    },
}


def document(
    endpoints: Iterable[Endpoint], *, title: str, version: str, description: str, page_max: int
) -> dict[str, Any]:
    """Return the document of the listed endpoints, whose pages have at most `page_max` rows; each has its own name."""
    listed = [endpoint for endpoint in endpoints if endpoint.listed]
    schemas = _Schemas(listed, page_max)
    paths: dict[str, dict[str, Any]] = {}
    failures: set[tuple[str, int]] = set()
    for endpoint in listed:
        failures |= {(_surface(endpoint), status) for status in _failures(endpoint)}
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in listed)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {f"{of}Error{status}": _failure(of, status, schemas) for of, status in sorted(failures)},
            "securitySchemes": _SECURITY,
        },
    }


class _Schemas:
    """The schemas of all types that the document shows, and the fields of its query structs."""

    def __init__(self, endpoints: Sequence[Endpoint], page_max: int) -> None:
        self._page_max = page_max
        kinds: list[Any] = [Problem, RuntimeAnswer, *(kind for endpoint in endpoints for kind in _kinds(endpoint))]
        queries = list({endpoint.query for endpoint in endpoints if endpoint.query is not None})
        made, self.components = msgspec.json.schema_components([*kinds, *queries], ref_template=_REF)
        self._made = list(zip(kinds, made, strict=False))
        # A query's fields are parameters; as a schema of its own the struct would only be noise.
        names = [schema["$ref"].rpartition("/")[2] for schema in made[len(kinds) :]]
        self._queries = dict(zip(queries, map(self.components.pop, names), strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        found: dict[str, Any] = next(schema for each, schema in self._made if each == kind)
        return found

    def fields(self, query: type[msgspec.Struct]) -> list[tuple[str, dict[str, Any], bool]]:
        """Return name, schema and whether it is required, of each parameter."""
        described: dict[str, Any] = self._queries[query]
        required = described.get("required", [])
        found = [(name, _without_null(shape), name in required) for name, shape in described["properties"].items()]
        if issubclass(query, PageQuery):
            next(shape for name, shape, _ in found if name == "limit").update(minimum=1, maximum=self._page_max)
        return found


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: one that is absent has no value, not null."""
    shape = {name: value for name, value in shape.items() if (name, value) != ("default", None)}
    choices: list[dict[str, Any]] = [each for each in shape.pop("anyOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        return shape | choices[0]
    return shape | {"anyOf": choices} if choices else shape


def _kinds(endpoint: Endpoint) -> Iterator[Any]:
    if endpoint.body is not None:
        yield endpoint.body
    for kind, _ in _answers(endpoint.returns):
        if kind is not EventStream:
            yield kind


def _answers(returns: Any) -> list[tuple[Any, bool]]:
    """Return the types that a handler answers with, and whether each is a page of a list."""
    if get_origin(returns) in (Union, types.UnionType):
        return [answer for each in get_args(returns) for answer in _answers(each)]
    if get_origin(returns) is Reply:
        return _answers(get_args(returns)[0])
    if get_origin(returns) is Page:
        return [(list[get_args(returns)[0]], True)]  # type: ignore[misc] # a type made of a value
    return [] if returns in (None, type(None), Response, FileAnswer) else [(returns, False)]


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.handler.__doc__:
        operation["description"] = " ".join(endpoint.handler.__doc__.split())
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint, schemas), *_header_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {"application/json": {"schema": schemas.of(endpoint.body)}},
        }
    if endpoint.raw:
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": _BYTES}}}
    if endpoint.scope == PUBLIC:
        operation["security"] = []
    else:
        operation["security"] = _security(endpoint)
        operation["x-scope"] = endpoint.scope
    return operation


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    scopes = [] if endpoint.scope == ANYONE else [endpoint.scope]
    own: list[dict[str, list[str]]] = [{"runToken": []}] if endpoint.run_tokens else []
    ticket = [{"ticket": scopes}] if endpoint.method == "GET" else []
    return [*own, {"bearer": scopes}, {"apiKey": scopes}, {"jwt": scopes}, *ticket]


def _path_parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name in endpoint.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(endpoint: Endpoint, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name, shape, required in schemas.fields(endpoint.query) if endpoint.query is not None else ():
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": required, "schema": shape}
        if "description" in shape:
            parameter["description"] = shape.pop("description")
        if shape.get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}
        yield parameter


def _header_parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name, text in endpoint.headers.items():
        yield {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _responses(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    success = _success(endpoint, schemas)
    responses: dict[str, Any] = {str(endpoint.status): success}
    for status, meaning in endpoint.answers.items():
        if status < 400:
            without = {name: part for name, part in success.items() if name != "content" or status not in (204, 304)}
            responses[str(status)] = without | {"description": meaning}
    for status in sorted(_failures(endpoint)):
        responses[str(status)] = {"$ref": f"#/components/responses/{_surface(endpoint)}Error{status}"}
    return responses


def _success(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {}
    headers = _ANSWER_HEADERS | ({} if endpoint.scope == PUBLIC else _RATE_HEADERS)
    for name, text in endpoint.answer_headers.items():
        headers[name] = {"description": text, "schema": {"type": "string"}}
    for kind, paged in _answers(endpoint.returns):
        if kind is EventStream:
            content[MEDIA_TYPE] = {"schema": {"type": "string", "description": "Server-sent events."}}
        else:
            content["application/json"] = {"schema": schemas.of(kind)}
        headers |= _PAGE_HEADERS if paged else {}
    if endpoint.media is not None:
        content[endpoint.media] = {"schema": _BYTES if endpoint.media == MEDIA_OF_FILES else {"type": "string"}}
    response: dict[str, Any] = {"description": endpoint.summary, "headers": headers}
    if content:
        response["content"] = content
    return response


def _failures(endpoint: Endpoint) -> set[int]:
    statuses = {422, 500, 503, *(status for status in endpoint.answers if status >= 400)}
    if endpoint.scope != PUBLIC:
        statuses |= {401, 403, 429}
    if endpoint.parameters:
        statuses.add(404)
    if endpoint.method != "GET":
        statuses |= {408, 409, 413, 415}
    return statuses


def _surface(endpoint: Endpoint) -> str:
    return "Runtime" if endpoint.path.startswith(RUNTIME) else ""


def _failure(surface: str, status: int, schemas: _Schemas) -> dict[str, Any]:
    return {
        "description": _MEANINGS[status],
        "headers": _ANSWER_HEADERS | (_RETRY_AFTER if status in (429, 503) else {}),
        "content": {"application/json": {"schema": schemas.of(RuntimeAnswer if surface else Problem)}},
    }
