"""Every table of routes of the runtime surface."""

from __future__ import annotations

from runwright.api.routing import Routes
from runwright.api.runtime import artifacts, evidence

TABLES: tuple[Routes, ...] = (evidence.routes, artifacts.routes)
