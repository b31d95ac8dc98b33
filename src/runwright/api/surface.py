"""Every route of the server: the tables of all surfaces, which do not know each other."""

from __future__ import annotations

from runwright.api import health
from runwright.api import metrics as metrics_page
from runwright.api.admin import audit, feed, members, signing, stats, tickets, workforce
from runwright.api.admin import routes as admin
from runwright.api.jobs import surface as jobs_surface
from runwright.api.routing import Routes
from runwright.api.runtime import surface as runtime_surface
from runwright.api.sdk import surface as sdk_surface
from runwright.api.threads import surface as threads_surface
from runwright.api.worker import routes as worker

TABLES: tuple[Routes, ...] = (
    health.routes,
    metrics_page.routes,
    admin.routes,
    audit.routes,
    workforce.routes,
    worker.routes,
    members.routes,
    stats.routes,
    feed.routes,
    tickets.routes,
    signing.routes,
    *jobs_surface.TABLES,
    *threads_surface.TABLES,
    *sdk_surface.TABLES,
    *runtime_surface.TABLES,
)
"""Every route of the server."""
