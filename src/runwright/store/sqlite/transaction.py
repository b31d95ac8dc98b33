"""`Transaction` on SQLite: statements on the one connection that writes, while it is this transaction's turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import apsw
import msgspec

from runwright.domain.commands import IdempotencyKey
from runwright.domain.gathering import Gathering
from runwright.domain.lane import queue_of
from runwright.domain.run import Run, Spec
from runwright.domain.schedule import Schedule
from runwright.store import rows
from runwright.store.base import ChangeSet, Ended, Held, Lease, Place, Row, Slots
from runwright.store.query import Query
from runwright.store.sqlite import hot

LAST = "\U0010ffff"
"""What comes after every text that begins like the one before it."""

_encode = msgspec.json.Encoder().encode


def listed(values: Sequence[str] | Sequence[int]) -> str:
    """Return a list as the one parameter that it travels as."""
    return _encode(values).decode()


class SqliteTransaction:
    """The one open transaction of a `SqliteStore`."""

    def __init__(self, cursor: apsw.Cursor, now: int) -> None:
        self._cursor = cursor
        self.now = now

    async def alone(self, duty: str) -> bool:
        """Tell that nobody else is at this duty: one transaction at a time writes the file."""
        return True

    async def idempotency(self, keys: Sequence[IdempotencyKey], since: int) -> dict[tuple[str, str], tuple[str, str]]:
        """Return (scope, key) → (fingerprint, target) of the keys that were taken after `since`."""
        taken = {}
        for key in keys:
            after = since if key.ttl_us is None else max(since, self.now - key.ttl_us)
            row = self._cursor.execute(hot.IDEMPOTENCY, (key.scope, key.key, after)).fetchone()
            if row is not None:
                taken[key.scope, key.key] = row
        return taken

    async def gatherings(self, keys: Sequence[Gathering]) -> dict[Gathering, str]:
        """Return the runs in which these triggers gather."""
        found = ((key, self._cursor.execute(hot.GATHERING, key).get) for key in keys)
        return {key: run_id for key, run_id in found if run_id is not None}

    async def specs(self, run_ids: Sequence[str]) -> dict[str, Spec]:
        """Return the specs of the runs that exist."""
        return {row[0]: rows.spec_from(row[1]) for row in self._cursor.execute(hot.SPECS, (listed(run_ids),))}

    async def limits(self, keys: Sequence[str]) -> dict[str, Slots]:
        """Return the limits that exist; one that nobody uses or waits for does not."""
        found = self._cursor.execute(hot.LIMITS, (listed(keys),))
        return {key: Slots(used, size) for key, used, size in found}

    async def runs(self, run_ids: Sequence[str], known: Mapping[str, Run], *, wait: bool = True) -> dict[str, Run]:
        """Return the runs that exist. Known ones are right and none is held: this process alone writes the file."""
        found = {run_id: known[run_id] for run_id in run_ids if run_id in known}
        missing = [run_id for run_id in run_ids if run_id not in found]
        if missing:
            after = len(rows.STANDING) + 1
            for row in self._cursor.execute(hot.RUNS, (listed(missing),)):
                run = rows.run_from(row[0], row[1:after], row[after:] if row[after] is not None else None)
                found[run.run_id] = run
        return found

    async def dead_letters(self, run_ids: Sequence[str]) -> set[str]:
        """Return those of the runs that are in the dead letter queue."""
        return {row[0] for row in self._cursor.execute(hot.DEAD_LETTERS, (listed(run_ids),))}

    async def leases(self, run_ids: Sequence[str]) -> dict[str, Lease]:
        """Return the leases of those runs that execute."""
        return {row[0]: Lease(*row) for row in self._cursor.execute(hot.LEASES, (listed(run_ids),))}

    async def meet(self, names: Sequence[str]) -> None:
        """Lock names, whatever they stand for: there is one transaction at a time, so nothing is to be done."""

    async def schedules(self, job_ids: Sequence[str]) -> dict[str, Schedule]:
        """Return the schedules of those jobs."""
        return {row[0]: Schedule(*row) for row in self._cursor.execute(hot.SCHEDULES, (listed(job_ids),))}

    async def take(self, lanes: Sequence[str], count: int) -> list[str]:
        """Remove and return up to `count` ready runs of these lanes, lowest rank first."""
        found = [row for lane in lanes for row in self._cursor.execute(hot.TAKE, (lane, count))]
        if len(lanes) > 1:
            found = sorted(found, key=itemgetter(1, 2))[:count]
        self._cursor.executemany(hot.UNREADY, found)
        return [str(row[2]) for row in found]

    async def open(self, lanes: Sequence[str]) -> dict[str, bool]:
        """Return those of the lanes whose queue is not paused, with whether a ready run waits in them."""
        paused = {row[0] for row in self._cursor.execute(hot.PAUSED)}
        found = (lane for lane in lanes if queue_of(lane) not in paused)
        return {lane: bool(self._cursor.execute(hot.ANY_READY, (lane,)).get) for lane in found}

    async def held(self, limit_keys: Sequence[str], count: int) -> dict[str, list[Held]]:
        """Return the first `count` runs held by each limit, lowest rank first; nothing for one that holds none."""
        found: dict[str, list[Held]] = {}
        for key in limit_keys:
            waiting = [Held(*row) for row in self._cursor.execute(hot.HELD, (key, count))]
            if waiting:
                found[key] = waiting
        return found

    async def places(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Place]:
        """Return for each (key of the queue, project) where a run of it would stand."""
        queues = dict.fromkeys(queue for queue, _ in pairs)
        floors = {queue: self._cursor.execute(hot.FLOOR, (queue, queue + LAST)).get for queue in queues}
        return {pair: Place(floors[pair[0]], self._cursor.execute(hot.TURN, pair).get or 0.0) for pair in pairs}

    async def apply(self, changes: ChangeSet) -> None:
        """Write a change set."""
        hot.apply(self._cursor, changes, self.now)

    async def renew(self, worker_id: str, leases: Sequence[tuple[str, int, int]]) -> list[str]:
        """Extend a worker's leases (run, epoch, until); return the runs whose lease is no longer that worker's."""
        values = [(until, run_id, epoch, worker_id) for run_id, epoch, until in leases]
        kept = {row[0] for row in self._cursor.executemany(hot.RENEW, values)}
        return [run_id for run_id, _, _ in leases if run_id not in kept]

    async def deliver(self, entries: Sequence[int]) -> None:
        """Remove inbox entries whose commands were applied."""
        self._cursor.execute(hot.DELIVER, (listed(entries),))

    async def settle(self, entries: Sequence[int]) -> None:
        """Remove outbox entries that their consumer has dealt with."""
        self._cursor.execute(hot.SETTLE, (listed(entries),))

    async def ended(self, run_ids: Sequence[str]) -> list[Ended]:
        """Return those of the runs that have ended, by id; locked."""
        return [Ended(*row) for row in self._cursor.execute(hot.ENDED, (listed(run_ids),))]

    async def thin(self, ways: Mapping[str, bytes]) -> list[str]:
        """Delete all records of ended runs and keep their rows; return the artifacts that were named there."""
        these = (listed(list(ways)),)
        artifacts = [row[0] for row in self._cursor.execute(hot.THINNED_ARTIFACTS, these)]
        for statement in hot.THIN_RECORDS:
            self._cursor.execute(statement, these)
        self._cursor.executemany(hot.THIN, ((self.now, way, run_id) for run_id, way in ways.items()))
        return artifacts

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Delete runs that were thinned before."""
        self._cursor.execute(hot.FORGET, (listed(run_ids),))

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a query inside the transaction and return its rows; a statement without rows returns none."""
        return self._cursor.execute(*query.bind("sqlite", params)).fetchall()
