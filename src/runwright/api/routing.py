"""Declare typed handlers as routes that say what they take, answer and demand; `dispatch` serves them.

A handler takes a `Call`, the path's parameters by name (texts), and, if it wants them, `body` and `query`::

    @routes.post("/v1/jobs/{job}/trigger", scope="jobs:trigger", status=201, summary="Trigger a job")
    async def trigger(call: Call, job: str, body: TriggerRequest) -> RunView: ...

It returns what is encoded as JSON with the route's status, a `Page`, a `Reply`, or an ASGI response such as a stream.
A body or parameter with a default may be absent. A handler that takes `parts` instead of `body` gets the
bytes of a body of any type as they come, an `AsyncIterator[bytes]`. Whatever a handler raises is answered by
`api.errors`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec

from runwright.api.context import ANYONE, PUBLIC
from runwright.api.tree import parameters
from runwright.domain.tenancy import SCOPES

T = TypeVar("T")
Handler = Callable[..., Awaitable[Any]]
Limit = Literal["body_max_bytes", "bulk_body_max_bytes", "artifact_max_bytes"]
Opener = Literal["metrics_public"]


class Reply(Generic[T]):
    """Answer with a status or headers other than the route's; None has no body."""

    __slots__ = ("headers", "status", "value")

    def __init__(self, value: T, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Hold the value to encode."""
        self.value = value
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint:
    """Describe one route: what it takes, answers and demands. It is equal to itself only."""

    method: str
    path: str
    handler: Handler
    scope: str
    status: int
    summary: str
    tag: str
    limit: Limit
    opened_by: Opener | None
    run_tokens: bool
    media: str | None
    listed: bool
    headers: Mapping[str, str]
    answer_headers: Mapping[str, str]
    answers: Mapping[int, str]
    parameters: tuple[str, ...]
    query: type[msgspec.Struct] | None
    body: Any
    body_optional: bool
    raw: bool
    returns: Any

    @property
    def name(self) -> str:
        """Return its name, which is the handler's and the document's `operationId`."""
        return self.handler.__name__


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A WebSocket: where it is, whom it lets in, and what serves it."""

    path: str
    scope: str
    handler: Handler


@dataclass(slots=True)
class Routes:
    """Collect the routes of one group."""

    tag: str
    endpoints: list[Endpoint] = field(default_factory=list)
    sockets: list[SocketRoute] = field(default_factory=list)

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Register a handler for GET (and HEAD); the options are those of `route`."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Register a handler for POST; the options are those of `route`."""
        return self.route("POST", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Register a handler for PATCH; the options are those of `route`."""
        return self.route("PATCH", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Register a handler for PUT; the options are those of `route`."""
        return self.route("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Register a handler for DELETE; the options are those of `route`."""
        return self.route("DELETE", path, **options)

    def socket(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Register what serves a WebSocket: it takes `(call, socket)` and the path's parameters."""

        def register(handler: Handler) -> Handler:
            self.sockets.append(SocketRoute(path, scope, handler))
            return handler

        return register

    def route(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        summary: str,
        status: int = 200,
        limit: Limit = "body_max_bytes",
        opened_by: Opener | None = None,
        run_tokens: bool = False,
        media: str | None = None,
        listed: bool = True,
        headers: Mapping[str, str] | None = None,
        answer_headers: Mapping[str, str] | None = None,
        answers: Mapping[int, str] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register a handler.

        `scope` is one of `SCOPES`, `ANYONE` or `PUBLIC`; `opened_by` names the flag of the settings that lets everybody
        in; with `run_tokens` runs are let in, to what the handler lets them touch; `limit` names the setting that
        bounds the body; `media` is the type of an answer that is no JSON; the rest is told in the document.
        """
        if scope not in SCOPES and scope not in (ANYONE, PUBLIC):
            raise ValueError(f"{method} {path}: no scope {scope!r}")

        def register(handler: Handler) -> Handler:
            signature = inspect.signature(handler, eval_str=True)
            wanted = {name: each for name, each in signature.parameters.items() if name not in ("call", "parts")}
            query, body = wanted.pop("query", None), wanted.pop("body", None)
            if tuple(wanted) != parameters(path):
                raise TypeError(f"{method} {path}: {handler.__name__} must take {parameters(path)}")
            endpoint = Endpoint(
                method=method,
                path=path,
                handler=handler,
                scope=scope,
                status=status,
                summary=summary,
                tag=self.tag,
                limit=limit,
                opened_by=opened_by,
                run_tokens=run_tokens,
                media=media,
                listed=listed,
                headers=headers or {},
                answer_headers=answer_headers or {},
                answers=answers or {},
                parameters=parameters(path),
                query=None if query is None else query.annotation,
                body=None if body is None else body.annotation,
                body_optional=body is not None and body.default is not inspect.Parameter.empty,
                raw="parts" in signature.parameters,
                returns=signature.return_annotation,
            )
            self.endpoints.append(endpoint)
            return handler

        return register
