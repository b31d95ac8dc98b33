"""Every table of routes of the runtime surface."""

from __future__ import annotations

from runwright.api.routing import Routes
from runwright.api.runtime import artifacts, events, evidence, runs

TABLES: tuple[Routes, ...] = (runs.routes, events.routes, evidence.routes, artifacts.routes)
