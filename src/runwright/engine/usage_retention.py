"""Retention of what models used: the records of runs that ended long ago go, and the audit log says until when.

Budgets keep sums of their own and need no record; reports say what is left. The totals of runs stay with the runs.
"""

from __future__ import annotations

from runwright.domain.instants import DAY_US
from runwright.domain.usage_pruning import ACTION, ACTOR
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries.usage import FORGET_OF_RUN, TO_FORGET
from runwright.telemetry import report

DUTY = "usage"


class UsageRetention:
    """Works in batches. What goes is decided once a day (UTC): the records of runs that ended before a midnight."""

    def __init__(self, store: Store, *, days: float, batch: int) -> None:
        self._store = store
        self._days = days
        self._batch = batch
        self._told: dict[str, int] = {}

    async def step(self, now: int) -> bool:
        """Remove the records of a batch of runs; tell whether there may be more. 0 days keep them for ever."""
        if self._days <= 0:
            return False
        before = (now - int(self._days * DAY_US)) // DAY_US * DAY_US
        found = await self._store.fetch(TO_FORGET, before=before, limit=self._batch)
        if not found:
            return False
        owned: dict[str, set[str]] = {}
        for org_id, run_id in found:
            owned.setdefault(org_id, set()).add(run_id)

        async def work(tx: Transaction) -> bool:
            if not await tx.alone(DUTY):
                return False
            for org_id in sorted(owned):
                await audit.lock(tx, org_id)
            for org_id, run_ids in sorted(owned.items()):
                if self._told.get(org_id) != before:
                    await audit.append(tx, org_id, ACTOR, ACTION, org_id, {"ended_before": before})
                for run_id in sorted(run_ids):
                    await tx.fetch(FORGET_OF_RUN, run_id=run_id)
            return True

        if not await self._store.write(work):
            return False
        self._told |= dict.fromkeys(owned, before)
        report("pruner.usage_forgotten", runs=sum(map(len, owned.values())))
        return len(found) == self._batch
