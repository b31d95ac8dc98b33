"""Every table of routes of what a running job calls."""

from __future__ import annotations

from runwright.api.routing import Routes
from runwright.api.sdk import children, memory, records, routes, waits

TABLES: tuple[Routes, ...] = (
    routes.routes,
    records.routes,
    memory.routes,
    waits.routes,
    children.routes,
)
