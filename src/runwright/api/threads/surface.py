"""Every table of routes of the threads surface."""

from __future__ import annotations

from runwright.api.routing import Routes
from runwright.api.threads import models, personas, runs, threads, usage, values

TABLES: tuple[Routes, ...] = (
    threads.routes,
    runs.routes,
    personas.routes,
    models.routes,
    values.routes,
    usage.routes,
)
