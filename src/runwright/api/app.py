"""Build the application of all surfaces from their tables of routes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from runwright.api import docs
from runwright.api.context import Services
from runwright.api.dispatch import RouteTable
from runwright.api.routing import Routes
from runwright.api.sockets import SocketTable

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


class Application(Starlette):
    """Hand requests and sockets to their tables, which answer failures in our shapes, and all else to Starlette."""

    def __init__(
        self, table: RouteTable, sockets: SocketTable, lifespan: Callable[[Any], AbstractAsyncContextManager[None]]
    ) -> None:
        """Serve the tables for the length of a lifespan."""
        super().__init__(routes=[table], lifespan=lifespan)
        self._table = table
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            await self._table.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._sockets.handle(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build(tables: Sequence[Routes], services: Services, lifespan: Lifespan | None = None) -> Application:
    """Return the application of these routes, their document and its page.

    `lifespan` is entered before the first request and left after the last one has been answered. Two listed endpoints
    of one name are a `ValueError`.
    """
    endpoints = [endpoint for table in tables for endpoint in table.endpoints]
    named = [endpoint.name for endpoint in endpoints if endpoint.listed]
    if twins := {name for name in named if named.count(name) > 1}:
        raise ValueError(f"two endpoints are named {', '.join(sorted(twins))}")
    endpoints += docs.routes(endpoints, services.settings.page_max).endpoints

    @asynccontextmanager
    async def whole_life(_: Any) -> AsyncIterator[None]:
        if lifespan is None:
            yield
            return
        async with lifespan():
            yield

    sockets = SocketTable([socket for table in tables for socket in table.sockets], services)
    return Application(RouteTable(endpoints, services), sockets, whole_life)
