"""Every table of routes of the jobs surface."""

from __future__ import annotations

from runwright.api.jobs import (
    artifacts,
    bulk,
    changes,
    dependencies,
    erasure,
    events,
    insight,
    job_verbs,
    jobs,
    memory,
    records,
    replays,
    reports,
    runs,
    secrets,
    triggers,
    webhooks,
    workflows,
)
from runwright.api.routing import Routes

TABLES: tuple[Routes, ...] = (
    jobs.routes,
    dependencies.routes,
    job_verbs.routes,
    memory.routes,
    triggers.routes,
    runs.routes,
    replays.routes,
    bulk.routes,
    changes.routes,
    insight.routes,
    erasure.routes,
    records.routes,
    artifacts.routes,
    reports.routes,
    webhooks.routes,
    secrets.routes,
    events.routes,
    workflows.routes,
)
