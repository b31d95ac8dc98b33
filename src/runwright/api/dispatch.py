"""Serve declared routes: find, admit, decode, call, encode; there is no other way in, so no route can skip a step."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from runwright import errors
from runwright.api.context import PUBLIC, Call, Services
from runwright.api.decode import BodyReader, Disconnected, Empty, PartsReader, QueryReader
from runwright.api.errors import answer
from runwright.api.pages import Page
from runwright.api.routing import Endpoint, Reply
from runwright.api.tree import Tree
from runwright.telemetry import observe

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_WITH_BODY = ("POST", "PUT", "PATCH")
_WITHOUT_LENGTH = (204, 304)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_JSON = (b"content-type", b"application/json")


class Answer(Protocol):
    """An ASGI response that knows its status before it is sent."""

    status_code: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        ...


class RouteTable(BaseRoute):
    """Serve all endpoints as one route of Starlette, which therefore never searches."""

    def __init__(self, endpoints: Iterable[Endpoint], services: Services) -> None:
        """Bind the endpoints to the services of this process."""
        self._services = services
        self._tree: Tree[_Served] = Tree()
        for endpoint in endpoints:
            served = _Served(endpoint, services)
            self._tree.add(endpoint.path, endpoint.method, served)
            if endpoint.method == "GET":
                self._tree.add(endpoint.path, "HEAD", served)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take every HTTP request; what no endpoint answers is our 404 or 405."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens; a failure once the response began cuts the connection."""
        call = Call(scope, receive, self._services)
        served: _Served | None = None
        try:
            served, values = self._find(scope)
            response = await served(call, values)
            call.answered = True
            _tell(call, served, response.status_code)
            # Awaited from here and not from deeper: a stream keeps every frame below it for as long as it lives.
            await response(scope, receive, send)
        except Disconnected:
            _tell(call, served, None)
        except Exception as failure:
            if call.answered:
                _log.exception("request %s failed while it was answered", call.request_id)
                raise
            status, headers, body = answer(failure, scope["path"], call.request_id, call.trace_id)
            _tell(call, served, status)
            await _Answer(call, status, body, headers)(scope, receive, send)
        finally:
            if call.ticket is not None:
                await self._services.tickets.leave(call.ticket)

    def _find(self, scope: Scope) -> tuple["_Served", list[str]]:
        path: str = scope["path"]
        if "\0" in path:
            raise errors.InvalidRequest.at("", "the path must not contain NUL")
        found = self._tree.find(path)
        if found is None:
            raise errors.NotFound
        methods, values = found
        served = methods.get(scope["method"])
        if served is None:
            raise errors.MethodNotAllowed(list(methods))
        return served, values


class _Served:
    """One endpoint at work."""

    __slots__ = (
        "_body",
        "_demand",
        "_handler",
        "_names",
        "_parts",
        "_query",
        "_run_tokens",
        "_services",
        "_status",
        "_takes",
        "route",
    )

    def __init__(self, endpoint: Endpoint, services: Services) -> None:
        self._handler = endpoint.handler
        self.route = endpoint.path
        opened = endpoint.opened_by is not None and getattr(services.settings, endpoint.opened_by)
        self._demand = PUBLIC if opened else endpoint.scope
        self._run_tokens = endpoint.run_tokens
        self._names = endpoint.parameters
        self._status = endpoint.status
        self._query = QueryReader(endpoint.query)
        self._takes = (endpoint.query is not None, endpoint.body is not None)
        self._body: BodyReader | None = None
        self._parts: PartsReader | None = None
        most: int = getattr(services.settings, endpoint.limit)
        within_s = services.settings.request_read_s
        if endpoint.raw:
            self._parts = PartsReader(most, within_s=within_s, pace_bytes=services.settings.body_max_bytes)
        elif endpoint.body is not None:
            self._body = BodyReader(endpoint.body, most, within_s=within_s, optional=endpoint.body_optional)
        elif endpoint.method in _WITH_BODY:
            self._body = BodyReader(Empty, most, within_s=within_s, optional=True)

    async def __call__(self, call: Call, values: list[str]) -> "Answer":
        await call.admit(self._demand, run_tokens=self._run_tokens)
        arguments: dict[str, Any] = dict(zip(self._names, values, strict=True))
        takes_query, takes_body = self._takes
        query = self._query.read(call.scope["query_string"])
        if takes_query:
            arguments["query"] = query
        if self._body is not None:
            body = await self._body.read(call.headers, call.receive)
            if takes_body and body is not msgspec.UNSET:
                arguments["body"] = body
        if self._parts is not None:
            arguments["parts"] = self._parts.read(call.headers, call.receive)
        return self._response(call, await self._handler(call, **arguments))

    def _response(self, call: Call, result: Any) -> "Answer":
        kind = type(result)
        if kind is Reply:
            status = self._status if result.status is None else result.status
            return _Answer(call, status, _json(result.value), result.headers)
        if kind is Page:
            headers = result.headers(call.scope["path"], call.scope["query_string"])
            return _Answer(call, self._status, _encode(result.items), headers)
        if callable(result):
            result.raw_headers.extend(_identity(call))
            response: Answer = result
            return response
        return _Answer(call, self._status, _json(result))


class _Answer:
    """A whole response."""

    __slots__ = ("_body", "_headers", "status_code")

    def __init__(self, call: Call, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self._body = body
        self._headers = [*_identity(call)]
        if body:
            self._headers.append(_JSON)
        if status not in _WITHOUT_LENGTH:
            self._headers.append((b"content-length", b"%d" % len(body)))
        if headers:
            for name, value in headers.items():
                self._headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def _tell(call: Call, served: _Served | None, status: int | None) -> None:
    """Say what a request came to; its answer begins now, or never (None), for the caller has gone."""
    method = call.scope["method"]
    observe(
        "http.answered",
        method=method if served is not None or method in _METHODS else "other",
        route=served.route if served is not None else "none",
        status=status,
        seconds=call.services.clock.monotonic() - call.began,
        request_id=call.request_id,
        trace_id=call.trace_id,
    )


def _json(value: Any) -> bytes:
    return b"" if value is None else _encode(value)


def _identity(call: Call) -> tuple[tuple[bytes, bytes], ...]:
    own = (b"x-request-id", call.request_id.encode("ascii")), (b"x-trace-id", call.trace_id.encode("ascii"))
    if call.rate is None:
        return own
    return *own, (b"ratelimit-policy", call.services.rates.policy), (b"ratelimit", call.rate)
