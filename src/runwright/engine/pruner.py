"""Forget what is old enough: ended runs with their records, keys, tickets, workers unseen, deliveries, files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runwright import ids
from runwright.clock import Clock
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.engine.artifacts import Artifacts
from runwright.engine.loops import Loop
from runwright.engine.retention import Retention
from runwright.engine.usage_retention import UsageRetention
from runwright.store.base import Store, Transaction
from runwright.store.queries.batches import FORGET_BATCHES
from runwright.store.queries.memory import FORGET_EXPIRED
from runwright.store.queries.runs import FORGET_KEYS
from runwright.store.queries.secrets import FORGET_VALUES
from runwright.store.queries.signals import FORGET_KEPT
from runwright.store.queries.tickets import FORGET_TICKETS
from runwright.store.queries.webhooks import FORGET as FORGET_DELIVERIES
from runwright.store.queries.workforce import FORGET_WORKERS


class Sums(Protocol):
    """What is added up of runs, and kept for longer than they are."""

    async def forget(self, tx: Transaction) -> None:
        """Remove what is older than it is kept."""


class Pruner:
    """Works in small batches, so that it never holds the writer for long. Live runs are never touched."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        clock: Clock,
        sums: Sequence[Sums],
        retention: Retention,
        usage: UsageRetention,
        *,
        every_s: float = 60.0,
        batches_kept_days: float = 0,
        idempotency_ttl_h: float = 24,
        workers_kept_h: float = 168,
        deliveries_kept_days: float = 30,
        secrets_known_days: float = 7,
        signals_kept_h: float = 24,
        batch: int = 500,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._sums = sums
        self._retention = retention
        self._usage = usage
        self._batches_kept_days = batches_kept_days
        self._idempotency_ttl_h = idempotency_ttl_h
        self._workers_kept_h = workers_kept_h
        self._deliveries_kept_days = deliveries_kept_days
        self._secrets_known_days = secrets_known_days
        self._signals_kept_h = signals_kept_h
        self._batch = batch
        self.loop = Loop("pruner", self._once, clock, every_s=every_s)

    async def _once(self) -> None:
        now = self._clock.now()
        keys_before = now - int(self._idempotency_ttl_h * HOUR_US)

        async def forget(tx: Transaction) -> None:
            if not await tx.alone("forget"):
                return
            await tx.fetch(FORGET_KEYS, before=keys_before)
            await tx.fetch(FORGET_WORKERS, before=now - int(self._workers_kept_h * HOUR_US))
            await tx.fetch(FORGET_KEPT, before=now - int(self._signals_kept_h * HOUR_US))
            await tx.fetch(FORGET_TICKETS, before=tx.now)
            await tx.fetch(FORGET_EXPIRED, before=tx.now)
            deliveries_before = ids.floor("whd", now - int(self._deliveries_kept_days * DAY_US))
            await tx.fetch(FORGET_DELIVERIES, before=deliveries_before, limit=self._batch)
            await tx.fetch(FORGET_VALUES, before=now - int(self._secrets_known_days * DAY_US))
            if self._batches_kept_days > 0:
                batches_before = ids.floor("batch", now - int(self._batches_kept_days * DAY_US))
                await tx.fetch(FORGET_BATCHES, before=batches_before)
            for kept in self._sums:
                await kept.forget(tx)

        await self._store.write(forget)
        await self._artifacts.sweep()
        more = [await self._retention.step(now), await self._usage.step(now)]
        if any(more):
            self.loop.next_s = 0.0
