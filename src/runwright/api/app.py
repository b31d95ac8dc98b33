"""Build the application of all surfaces from their tables of routes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from runwright.api import docs
from runwright.api.context import Services
from runwright.api.dispatch import RouteTable
from runwright.api.routing import Routes

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


class Application(Starlette):
    """Serve without Starlette's two error handlers: the route table answers its own failures, in our shapes."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return the router itself."""
        return self.router


def build(tables: Sequence[Routes], services: Services, lifespan: Lifespan | None = None) -> Application:
    """Return the application of these routes, their document and its page.

    `lifespan` is entered before the first request and left after the last one has been answered.
    """
    endpoints = [endpoint for table in tables for endpoint in table.endpoints]
    endpoints += docs.routes(endpoints).endpoints

    @asynccontextmanager
    async def whole_life(_: Any) -> AsyncIterator[None]:
        if lifespan is None:
            yield
            return
        async with lifespan():
            yield

    return Application(routes=[RouteTable(endpoints, services)], lifespan=whole_life)
