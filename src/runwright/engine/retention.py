"""Retention of runs, in two steps: first the log and the values of an ended run go, much later its summary."""

from __future__ import annotations

import msgspec

from runwright.domain.chain import genesis
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.pruning import ACTION, ACTOR, Pruned, Remains, proofs
from runwright.engine.artifacts import Artifacts
from runwright.store import audit
from runwright.store.base import Ended, Store, Transaction
from runwright.store.queries.retention import MIGRATED, TO_FORGET, TO_THIN
from runwright.telemetry import report

ROLLING_US = HOUR_US
"""For how long after the migration nothing is thinned: an older server would wait for events that are gone."""
DUTY = "prune"


class Retention:
    """Works in batches, so that it holds nobody up for long. 0 days keep for ever; a live run is never touched.

    A project may have its logs go earlier than `log_days` say, never later.
    """

    def __init__(self, store: Store, artifacts: Artifacts, *, log_days: float, summary_days: float, batch: int) -> None:
        self._store = store
        self._artifacts = artifacts
        self._log_days = log_days
        self._summary_days = summary_days
        self._batch = batch

    async def step(self, now: int) -> bool:
        """Thin a batch of runs and forget one; tell whether there may be more."""
        more = await self._thin(now, now - int(self._log_days * DAY_US) if self._log_days > 0 else 0)
        if self._log_days <= 0 or self._summary_days <= 0:
            return more
        return await self._forget(now - int(self._summary_days * DAY_US)) or more

    async def _thin(self, now: int, before: int) -> bool:
        found = await self._store.fetch(TO_THIN, now=now, before=before, limit=self._batch)
        if not found or await self._rolling(now):
            return False

        async def work(tx: Transaction) -> tuple[int, list[str]]:
            if not await tx.alone(DUTY):
                return 0, []
            owned: dict[str, list[Ended]] = {org_id: [] for org_id in sorted({row[1] for row in found})}
            for org_id in owned:
                await audit.lock(tx, org_id)  # before runs, as everybody who takes both
            for run in await tx.ended([row[0] for row in found]):
                if run.pruned_at is None:
                    owned[run.org_id].append(run)
            ways: dict[str, bytes] = {}
            for org_id, runs in owned.items():
                ways |= await _proven(tx, org_id, runs) if runs else {}
            return len(ways), await tx.thin(ways)

        thinned, artifacts = await self._store.write(work)
        await self._artifacts.forget(artifacts)
        if thinned:
            report("pruner.pruned", runs=thinned)
        return thinned == self._batch

    async def _forget(self, before: int) -> bool:
        found = [row[0] for row in await self._store.fetch(TO_FORGET, before=before, limit=self._batch)]
        if not found:
            return False

        async def work(tx: Transaction) -> int:
            if not await tx.alone(DUTY):
                return 0
            gone = [run.run_id for run in await tx.ended(found) if run.pruned_at is not None]
            await tx.forget(gone)
            return len(gone)

        forgotten = await self._store.write(work)
        if forgotten:
            report("pruner.forgotten", runs=forgotten)
        return forgotten == self._batch

    async def _rolling(self, now: int) -> bool:
        """Tell whether servers may still be at work that know no thinned runs."""
        made: dict[str, int] = dict(await self._store.fetch(MIGRATED))
        return made["initial"] < made["pruned"] and now < made["pruned"] + ROLLING_US


async def _proven(tx: Transaction, org_id: str, runs: list[Ended]) -> dict[str, bytes]:
    """Write of an organization's runs into its audit log; return run → its way to the root that stands there."""
    root, ways = proofs([remains(run) for run in runs])
    last = max(run.finished_at for run in runs)
    told = Pruned(len(runs), runs[0].run_id, runs[-1].run_id, ended_before=last + 1)
    await audit.append(tx, org_id, ACTOR, ACTION, root, msgspec.structs.asdict(told))
    return {run.run_id: way for run, way in zip(runs, ways, strict=True)}


def remains(run: Ended) -> Remains:
    """Return what is proven of a run."""
    began = run.genesis or genesis(run.opening)
    return Remains(run.finished_at, began.hex(), run.hash.hex(), run.run_id, run.seq, run.state)
