"""What a server does beside executing runs: statistics, KPIs, artifacts, retention, erasure."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.ports import ArtifactStore
from runwright.engine.artifacts import Artifacts
from runwright.engine.erasure import Eraser
from runwright.engine.kpi import Kpi
from runwright.engine.loops import Loop
from runwright.engine.outbox import Outbox
from runwright.engine.pruner import Pruner
from runwright.engine.retention import Retention
from runwright.engine.rollups import Rollups
from runwright.engine.usage_retention import UsageRetention
from runwright.engine.webhooks import Webhooks
from runwright.store.base import Store


class Operations:
    """The verbs and loops of operation, put together over a store."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, files: ArtifactStore, webhooks: Webhooks
    ) -> None:
        self.kpi = Kpi(store, clock, days=settings.kpi_days, groups_max=settings.kpi_groups_max)
        self.rollups = Rollups(
            store,
            clock,
            minutes_h=settings.rollup_minutes_h,
            hours_days=settings.rollup_hours_days,
            listeners=[webhooks.deliveries.fan_out, self.kpi.fold],
        )
        self.outbox = Outbox(
            store,
            clock,
            self.rollups.consumers,
            every_s=settings.outbox_s,
            batch=settings.outbox_batch,
            settled=webhooks.wake,
        )
        self.artifacts = Artifacts(store, files, clock, orphan_h=settings.artifact_orphan_h)
        self.eraser = Eraser(store, self.artifacts, batch=settings.erase_batch)
        self.pruner = Pruner(
            store,
            self.artifacts,
            clock,
            (self.rollups, self.kpi),
            Retention(
                store,
                self.artifacts,
                log_days=settings.retention_days,
                summary_days=settings.summary_retention_days,
                batch=settings.prune_batch,
            ),
            UsageRetention(store, days=settings.usage_retention_days, batch=settings.prune_batch),
            every_s=settings.prune_s,
            batches_kept_days=settings.retention_days,
            idempotency_ttl_h=settings.idempotency_ttl_h,
            workers_kept_h=settings.workers_kept_h,
            deliveries_kept_days=settings.webhook_retention_days,
            secrets_known_days=settings.secrets_known_days,
            signals_kept_h=settings.signals_kept_h,
            batch=settings.prune_batch,
        )

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Return its loops."""
        return (self.outbox.loop, self.pruner.loop)
