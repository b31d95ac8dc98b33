"""Keep the rollups and read them: throughput, failures, latencies and depth, without counting runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runwright.clock import Clock
from runwright.domain.instants import HOUR_US
from runwright.domain.rollups import GRAINS, TOPIC, WHOLE, Moves, Place, Rollup, fold, read
from runwright.engine.outbox import Consumer
from runwright.store.base import OutboxEntry, Store, Transaction
from runwright.store.queries import rollups as sql

MINUTES_UP_TO_US = 3 * HOUR_US
"""Windows up to this long are read by minutes, longer ones by hours."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Rollup).decode


class Bucket(msgspec.Struct, frozen=True):
    """A rollup, and the instant at which its bucket begins."""

    at: int
    rollup: Rollup


class Stats(msgspec.Struct, frozen=True):
    """What became of runs between two instants: bucket by bucket, added up, and what is live now.

    `depth` counts live runs by state; None for a single job, of which it is not kept.
    """

    since: int
    until: int
    grain: str
    buckets: list[Bucket]
    whole: Rollup
    depth: dict[str, int] | None


Listener = Callable[[Transaction, Sequence[Moves]], Awaitable[None]]
"""Does what else is to be done with records of the commit, in the transaction that settles them."""


class Rollups:
    """Folds the records of the commit into rollups, and adds rollups up for readers.

    `listeners` are given the records, too: what they write is written once for each.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        minutes_h: float = 48,
        hours_days: float = 400,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._listeners = listeners
        self._kept_us = {"minute": int(minutes_h * HOUR_US), "hour": int(hours_days * 24 * HOUR_US)}

    @property
    def consumers(self) -> dict[str, Consumer]:
        """Return what is to be done with entries of the outbox."""
        return {TOPIC: self.consume}

    async def consume(self, tx: Transaction, entries: Sequence[OutboxEntry]) -> None:
        """Add records of the commit to the rollups and depths, in one transaction with their settlement."""
        records = [read(entry.data) for entry in entries]
        for place, added in fold(end for record in records for end in record.ends).items():
            await _add(tx, place, added)
        shifts: Counter[tuple[str, str, str]] = Counter()
        for record in records:
            for shift in record.shifts:
                shifts[shift.org_id, shift.project_id, shift.state] += shift.by
        for (org_id, project_id, state), by in shifts.items():
            if by:
                await _shift(tx, org_id, project_id, state, by)
        for listener in self._listeners:
            await listener(tx, records)

    async def forget(self, tx: Transaction) -> None:
        """Remove what is older than it is kept."""
        for grain, kept_us in self._kept_us.items():
            await tx.fetch(sql.FORGET_ROLLUPS, grain=grain, before=tx.now - kept_us)

    async def of(self, org_id: str, project_id: str | None, job_id: str | None, window_us: int) -> Stats:
        """Return the numbers of the last `window_us`: of an organization, a project or a job; whole buckets."""
        until = self._clock.now() + 1
        grain = "minute" if window_us <= min(MINUTES_UP_TO_US, self._kept_us["minute"]) else "hour"
        since = until - window_us
        since -= since % GRAINS[grain]
        rows = await self._store.within(org_id).fetch(
            sql.ROLLUPS,
            row_org=org_id,
            row_project=project_id or WHOLE,
            row_job=job_id or WHOLE,
            row_grain=grain,
            since=since,
            until=until,
        )
        buckets = [Bucket(at, _decode(data)) for at, data in rows]
        whole = Rollup()
        for each in buckets:
            whole.merge(each.rollup)
        depth = await self._depth(org_id, project_id) if job_id is None else None
        return Stats(since, until, grain, buckets, whole, depth)

    async def _depth(self, org_id: str, project_id: str | None) -> dict[str, int]:
        own = self._store.within(org_id)
        if project_id is None:
            rows = await own.fetch(sql.DEPTHS_OF_ORGANIZATION, org_id=org_id)
        else:
            rows = await own.fetch(sql.DEPTHS_OF_PROJECT, org_id=org_id, project_id=project_id)
        depth: Counter[str] = Counter()
        for state, count in rows:
            depth[state] += count
        return depth


async def _add(tx: Transaction, place: Place, added: Rollup) -> None:
    key = {
        "row_org": place.org_id,
        "row_project": place.project_id,
        "row_job": place.job_id,
        "row_grain": place.grain,
        "row_at": place.at,
    }
    found = await tx.fetch(sql.ROLLUP, **key)
    if not found:
        await tx.fetch(sql.INSERT_ROLLUP, **msgspec.structs.asdict(place), data=_encode(added))
        return
    whole = _decode(found[0][0])
    whole.merge(added)
    await tx.fetch(sql.SET_ROLLUP, **key, data=_encode(whole))


async def _shift(tx: Transaction, org_id: str, project_id: str, state: str, by: int) -> None:
    key = {"row_org": org_id, "row_project": project_id, "row_state": state}
    found = await tx.fetch(sql.DEPTH, **key)
    if found:
        await tx.fetch(sql.SET_DEPTH, **key, count=found[0][0] + by)
    else:
        await tx.fetch(sql.INSERT_DEPTH, org_id=org_id, project_id=project_id, state=state, count=by)
