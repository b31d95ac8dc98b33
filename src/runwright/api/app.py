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

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


class Application(Starlette):
    """Hand HTTP to the table of routes, which answers its own failures in our shapes, and all else to Starlette."""

    def __init__(self, table: RouteTable, lifespan: Callable[[Any], AbstractAsyncContextManager[None]]) -> None:
        """Serve a table for the length of a lifespan."""
        super().__init__(routes=[table], lifespan=lifespan)
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            await self._table.handle(scope, receive, send)
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

    return Application(RouteTable(endpoints, services), whole_life)
