"""Every table of routes of the runtime surface."""

from __future__ import annotations

from runwright.api.routing import Routes
from runwright.api.runtime import (
    approvals,
    artifacts,
    deliveries,
    events,
    evidence,
    kpi,
    loops,
    models,
    runs,
    terminal,
)

TABLES: tuple[Routes, ...] = (
    runs.routes,
    loops.routes,
    events.routes,
    terminal.routes,
    approvals.routes,
    deliveries.routes,
    evidence.routes,
    artifacts.routes,
    kpi.routes,
    models.routes,
)
