"""The addresses of runs on this surface: each has an alias, with the same handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runwright.api.routing import Handler, Routes

RUNS = "/api/v1/runs"
ALIAS = "/api/v1/runtime/runs"
LOOPS = "/api/v1/loops/omar"
LOOPS_ALIAS = "/api/v1/runtime/loops/omar"


def get(routes: Routes, tail: str, *others: str, **options: Any) -> Callable[[Handler], Handler]:
    """Register a handler for GET under both addresses of a run, and other paths; the document lists the first."""

    def register(handler: Handler) -> Handler:
        for path in (ALIAS + tail, *others):
            routes.get(path, **options, listed=False)(handler)
        return routes.get(RUNS + tail, **options)(handler)

    return register


def post(routes: Routes, tail: str, **options: Any) -> Callable[[Handler], Handler]:
    """Register a handler for POST under both addresses of a run; the document lists the first."""

    def register(handler: Handler) -> Handler:
        routes.post(ALIAS + tail, **options, listed=False)(handler)
        return routes.post(RUNS + tail, **options)(handler)

    return register


def socket(routes: Routes, tail: str, *, scope: str) -> Callable[[Handler], Handler]:
    """Register what serves a WebSocket under both addresses of a run."""

    def register(handler: Handler) -> Handler:
        for path in (ALIAS + tail, RUNS + tail):
            routes.socket(path, scope=scope)(handler)
        return handler

    return register


def loop_get(routes: Routes, tail: str, **options: Any) -> Callable[[Handler], Handler]:
    """Register a handler for GET under both addresses of a loop; the document lists the first."""

    def register(handler: Handler) -> Handler:
        routes.get(LOOPS_ALIAS + tail, **options, listed=False)(handler)
        return routes.get(LOOPS + tail, **options)(handler)

    return register


def loop_post(routes: Routes, tail: str, **options: Any) -> Callable[[Handler], Handler]:
    """Register a handler for POST under both addresses of a loop; the document lists the first."""

    def register(handler: Handler) -> Handler:
        routes.post(LOOPS_ALIAS + tail, **options, listed=False)(handler)
        return routes.post(LOOPS + tail, **options)(handler)

    return register
