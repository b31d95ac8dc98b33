"""What the runs of a job remember for those that come after them."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain.instants import SECOND_US
from runwright.domain.job import Job
from runwright.domain.memory import Recalled, Remembered
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor
from runwright.engine.values import Values, encode
from runwright.errors import Conflict, NotFound, QuotaExceeded, StaleLease, TooLarge
from runwright.store import audit
from runwright.store.base import Readings, Store, Transaction
from runwright.store.queries import memory as q


class Memory:
    """Keeps values of jobs, sealed: each at most `value_max_bytes`, of a job at most `max_bytes` under `keys_max` keys.

    A run writes under its lease alone: when that is over, nothing is written. Of two writers the later one counts.
    """

    def __init__(
        self, store: Store, values: Values, clock: Clock, *, value_max_bytes: int, max_bytes: int, keys_max: int
    ) -> None:
        self._store = store
        self._values = values
        self._clock = clock
        self._value_max_bytes = value_max_bytes
        self._max_bytes = max_bytes
        self._keys_max = keys_max

    async def remember(self, run: Run, key: str, value: Any, ttl_secs: float | None = None) -> Recalled:
        """Keep a value for every run of the job, for so long (None: until it is forgotten); durable when it returns.

        Raises `StaleLease`, `TooLarge` for a value or a memory that grows too large, `QuotaExceeded` for one key too
        many, and `NotFound` where the job is gone.
        """
        job_id, encoded = job_of(run), encode(value)
        if len(encoded) > self._value_max_bytes:
            bound = f"at most {self._value_max_bytes} (RUNWRIGHT_MEMORY_VALUE_MAX_BYTES)"
            raise TooLarge(f"the value {key!r} has {len(encoded)} bytes, {bound}")
        sealed = self._values.seal(run.spec.project_id, job_id, _name(key), encoded)

        async def work(tx: Transaction) -> Remembered:
            await self._require_lease(tx, run)
            kept = Remembered(
                job_id=job_id,
                memory_key=key,
                org_id=run.spec.org_id,
                project_id=run.spec.project_id,
                run_id=run.run_id,
                sealed=sealed,
                size=len(encoded),
                expires_at=None if ttl_secs is None else tx.now + int(ttl_secs * SECOND_US),
                updated_at=tx.now,
            )
            await tx.fetch(q.DELETE, row=job_id, row_key=key)
            await self._require_room(tx, kept)
            await tx.fetch(q.INSERT, **{name: getattr(kept, name) for name in Remembered.__struct_fields__})
            return kept

        return _recalled(await self._store.write(work), value)

    async def recall(self, run: Run, key: str) -> Recalled | None:
        """Return what the job remembers under a key, exact; None where that is nothing."""
        job_id = job_of(run)
        rows = await self._store.fetch(q.VALUE, row=job_id, row_key=key, now=self._clock.now())
        return self._opened(q.remembered(rows[0])) if rows else None

    async def recall_all(self, run: Run) -> list[Recalled]:
        """Return all that the job remembers, by key, exact."""
        return await self._all(self._store, job_of(run))

    async def forget(self, run: Run, key: str) -> None:
        """Forget what the job remembers under a key; where that is nothing, nothing happens. Raises `StaleLease`."""

        async def work(tx: Transaction) -> None:
            await self._require_lease(tx, run)
            await tx.fetch(q.DELETE, row=job_of(run), row_key=key)

        await self._store.write(work)

    async def seen(self, actor: Actor, job: Job) -> list[Recalled]:
        """Return all that a job remembers, by key, as readers see it: redacted."""
        actor.require("jobs:read")
        await self._values.ensure([job.project_id])
        kept, shown = await self._all(self._store.within(actor.org_id), job.job_id), self._values.shown
        return [msgspec.structs.replace(each, value=shown(job.project_id, each.value)) for each in kept]

    async def erase(self, actor: Actor, job: Job, key: str) -> None:
        """Forget a value of a job, at an operator's word; the audit log says so. Raises `NotFound`."""
        actor.require("jobs:write")

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, job.org_id)
            if not await tx.fetch(q.VALUE, row=job.job_id, row_key=key, now=tx.now):
                raise NotFound("value", key)
            await tx.fetch(q.DELETE, row=job.job_id, row_key=key)
            await audit.append(tx, job.org_id, actor.label, "job.memory_erased", job.job_id, {"memory_key": key})

        await self._store.write(work)

    async def _require_room(self, tx: Transaction, kept: Remembered) -> None:
        size, keys = (await tx.fetch(q.SIZE, row=kept.job_id, now=tx.now))[0]
        if size + kept.size > self._max_bytes:
            bound = f"at most {self._max_bytes} (RUNWRIGHT_MEMORY_MAX_BYTES); forget something"
            raise TooLarge(f"the memory of the job would have {size + kept.size} bytes, {bound}")
        if keys >= self._keys_max:
            bound = f"at most {self._keys_max} keys (RUNWRIGHT_MEMORY_KEYS_MAX)"
            raise QuotaExceeded(f"the memory of a job has {bound}; forget something")

    async def _require_lease(self, tx: Transaction, run: Run) -> None:
        if not await tx.fetch(q.LOCK_JOB, row=job_of(run)):
            raise NotFound("job", job_of(run))
        if not await tx.fetch(q.LEASED, run_id=run.run_id, lease_epoch=run.lease_epoch):
            raise StaleLease

    async def _all(self, readings: Readings, job_id: str) -> list[Recalled]:
        rows = await readings.fetch(q.ALL, row=job_id, now=self._clock.now())
        return [self._opened(q.remembered(row)) for row in rows]

    def _opened(self, kept: Remembered) -> Recalled:
        return _recalled(kept, self._values.open(kept.project_id, kept.job_id, _name(kept.memory_key), kept.sealed))


def job_of(run: Run) -> str:
    """Return the job whose memory a run has. Raises `Conflict` for a run of no job."""
    if run.spec.job_id is None:
        raise Conflict("the run is of no job, so there is no memory", code="runs.no_job")
    return run.spec.job_id


def _recalled(kept: Remembered, value: Any) -> Recalled:
    return Recalled(
        memory_key=kept.memory_key,
        value=value,
        run_id=kept.run_id,
        expires_at=kept.expires_at,
        updated_at=kept.updated_at,
    )


def _name(key: str) -> str:
    return f"memory/{key}"
