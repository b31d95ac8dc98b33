"""`Transaction` on PostgreSQL: statements on the one connection that the transaction has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from runwright.domain.commands import IdempotencyKey
from runwright.domain.gathering import Gathering
from runwright.domain.lane import queue_of
from runwright.domain.run import Run, Spec
from runwright.domain.schedule import Schedule
from runwright.store import rows
from runwright.store.base import ChangeSet, Ended, Held, Lease, Place, Row, Slots
from runwright.store.postgres import changes as written
from runwright.store.postgres import hot, locks
from runwright.store.postgres.connection import Connection, translated
from runwright.store.postgres.escapes import escaped, plain
from runwright.store.postgres.marks import Look, Marks
from runwright.store.query import Query

_AFTER_STANDING = 2 + len(rows.STANDING)


def spanned(run_ids: Sequence[str]) -> tuple[list[str], str, str]:
    """Return the parameters of a statement that reads runs by id: the ids, the smallest, the largest."""
    return list(run_ids), min(run_ids), max(run_ids)


class PostgresTransaction:
    """An open transaction of a `PostgresStore`. One statement at a time."""

    def __init__(self, connection: Connection, now: int, marks: Marks) -> None:
        self.now = now
        self._connection = connection
        self._marks = marks
        self._locked: dict[str, Row] = {}
        self._passed: list[tuple[Look, float | None]] = []
        self._entered: dict[str, float] = {}
        self._timers: list[int] = []

    async def _rows(self, statement: str, *values: Any) -> list[Row]:
        with translated():
            return [plain(row) for row in await self._connection.fetch(statement, *values)]

    async def alone(self, duty: str) -> bool:
        """Tell whether no other transaction is at this duty; until this one ends, none will be."""
        return bool((await self._rows(locks.TRY, locks.hashed("duty", duty)))[0][0])

    async def idempotency(self, keys: Sequence[IdempotencyKey], since: int) -> dict[tuple[str, str], tuple[str, str]]:
        """Return (scope, key) → (fingerprint, target) of the keys taken after `since`; all are locked, taken or not."""
        if not keys:
            return {}
        await self._lock(locks.hashed("key", key.scope, key.key) for key in keys)
        named = {
            (escaped(key.scope), escaped(key.key)): since if key.ttl_us is None else max(since, self.now - key.ttl_us)
            for key in keys
        }
        scopes, names = [scope for scope, _ in named], [key for _, key in named]
        found = await self._rows(hot.IDEMPOTENCY, scopes, names, list(named.values()))
        return {(scope, key): (fingerprint, target) for scope, key, fingerprint, target in found}

    async def gatherings(self, keys: Sequence[Gathering]) -> dict[Gathering, str]:
        """Return the runs in which these triggers gather; all are locked, also those that have none."""
        if not keys:
            return {}
        await self._lock(locks.hashed("gathering", *key) for key in keys)
        named = [list(column) for column in zip(*(map(escaped, key) for key in keys), strict=True)]
        return {Gathering(*row[:3]): row[3] for row in await self._rows(hot.GATHERINGS, *named)}

    async def meet(self, names: Sequence[str]) -> None:
        """Lock names, whatever they stand for: of two transactions that meet under one, the later sees the other's."""
        if names:
            await self._lock(locks.hashed("name", name) for name in names)

    async def specs(self, run_ids: Sequence[str]) -> dict[str, Spec]:
        """Return the specs of the runs that exist."""
        if not run_ids:
            return {}
        return {row[0]: rows.spec_from(row[1]) for row in await self._rows(hot.SPECS, *spanned(run_ids))}

    async def limits(self, keys: Sequence[str]) -> dict[str, Slots]:
        """Return the limits that exist; locked, also those that do not: nobody uses or waits for them."""
        if not keys:
            return {}
        await self._lock(locks.hashed("limit", key) for key in keys)
        found = await self._rows(hot.LIMITS, [escaped(key) for key in keys])
        return {key: Slots(used, size) for key, used, size in found}

    async def _lock(self, hashes: Any) -> None:
        # A statement of its own: whoever waited for a lock must not read what was there before the wait.
        with translated():
            await self._connection.execute(locks.LOCK, locks.in_order(hashes))

    async def runs(self, run_ids: Sequence[str], known: Mapping[str, Run], *, wait: bool = True) -> dict[str, Run]:
        """Return the runs that exist, locked. A `known` run whose head says that nobody moved it is returned as it is.

        First the heads are locked, then what is not known is read. A run without a head has ended, and an ended run is
        nobody's to move; one whose head appears between the two statements was born in between: it is locked anew.
        """
        found: dict[str, Run] = {}
        asked = list(dict.fromkeys(run_ids))
        while asked:
            await self._lock_heads(asked, wait=wait)
            missing = []
            for run_id in asked:
                head, run = self._locked.get(run_id), known.get(run_id)
                if head is not None and run is not None and rows.head(run) == head:
                    found[run_id] = run
                else:
                    missing.append(run_id)
            asked = []
            for row in await self._rows(hot.RUNS, *spanned(missing)) if missing else ():
                run_id, head = row[0], row[_AFTER_STANDING:]
                living = head[0] is not None
                if living and run_id not in self._locked:
                    asked += [run_id] if wait else []
                    continue
                found[run_id] = rows.run_from(row[1], row[2:_AFTER_STANDING], head if living else None)
        return found

    async def _lock_heads(self, run_ids: Sequence[str], *, wait: bool) -> None:
        free = sorted(run_id for run_id in run_ids if run_id not in self._locked)
        if free:
            for row in await self._rows(hot.LOCK_HEADS if wait else hot.TRY_HEADS, free):
                self._locked[row[0]] = row[1:]

    async def dead_letters(self, run_ids: Sequence[str]) -> set[str]:
        """Return those of the runs that are in the dead letter queue, locked."""
        return {row[0] for row in await self._rows(hot.DEAD_LETTERS, *spanned(run_ids))} if run_ids else set()

    async def leases(self, run_ids: Sequence[str]) -> dict[str, Lease]:
        """Return the leases of those runs that execute, locked against renewal; without those being renewed."""
        return {row[0]: Lease(*row) for row in await self._rows(hot.LEASES, list(run_ids))} if run_ids else {}

    async def schedules(self, job_ids: Sequence[str]) -> dict[str, Schedule]:
        """Return the schedules of those jobs, locked; without those that another transaction holds."""
        return {row[0]: Schedule(*row) for row in await self._rows(hot.SCHEDULES, list(job_ids))} if job_ids else {}

    async def take(self, lanes: Sequence[str], count: int) -> list[str]:
        """Remove and return up to `count` ready runs of these lanes, lowest rank first; locked ones stay for others."""
        taken: list[Row] = []
        most = hot.LANES_AT_ONCE[-1]
        if len(lanes) > most:
            lanes = await self._filled(lanes)
        for first in range(0, len(lanes), most):
            if len(taken) < count:
                taken += await self._take(lanes[first : first + most], count - len(taken))
        taken.sort(key=itemgetter(1, 2))
        return [row[2] for row in taken]

    async def _take(self, lanes: Sequence[str], count: int) -> list[Row]:
        looks = [self._marks.look(lane) for lane in lanes]
        places = next(size for size in hot.LANES_AT_ONCE if size >= len(looks))
        values: list[Any] = [value for look in looks for value in (escaped(look.lane), look.start)]
        values += [None, 0.0] * (places - len(looks))
        taken = await self._rows(hot.take(places), count, *values)
        last = {row[0]: row[1] for row in sorted(taken, key=itemgetter(1))}
        # The lanes are walked together, by rank: where the count was full, each was looked through so far.
        cut = max(last.values()) if taken and len(taken) >= count else None
        self._passed += [(look, last.get(look.lane, cut)) for look in looks]
        for row in taken:
            self._locked[row[2]] = row[3:]
        return taken

    async def _filled(self, lanes: Sequence[str]) -> list[str]:
        marks = [self._marks.look(lane).start for lane in lanes]
        return [row[0] for row in await self._rows(hot.FILLED, list(lanes), marks)]

    async def open(self, lanes: Sequence[str]) -> dict[str, bool]:
        """Return those of the lanes whose queue is not paused, with whether a ready run waits in them."""
        if not lanes:
            return {}
        starts = [self._marks.start(lane) for lane in lanes]
        return dict(await self._rows(hot.OPEN, list(lanes), starts, [queue_of(lane) for lane in lanes]))

    async def held(self, limit_keys: Sequence[str], count: int) -> dict[str, list[Held]]:
        """Return the first `count` runs held by each limit, lowest rank first; nothing for one that holds none."""
        found: dict[str, list[Held]] = {}
        for row in await self._rows(hot.HELD, [escaped(key) for key in limit_keys], count) if limit_keys else ():
            found.setdefault(row[0], []).append(Held(*row))
        return found

    async def places(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Place]:
        """Return for each (key of the queue, project) where a run of it would stand."""
        if not pairs:
            return {}
        lanes: list[tuple[str, str, float]] = []
        queues = list(dict.fromkeys(queue for queue, _ in pairs))
        for queue in queues:
            known = self._marks.lanes(queue)
            if known is None:
                since = self._marks.entries
                around = hot.around(queue, self._marks.looks(queue))
                known = [row[0] for row in await self._rows(hot.LANES, *around)]
                self._marks.listed(queue, known, since)
            lanes += [(queue, lane, self._marks.start(lane)) for lane in known]
        columns = [list(column) for column in zip(*lanes, strict=True)] if lanes else [[], [], []]
        asked = [list(column) for column in zip(*pairs, strict=True)]
        found = await self._rows(hot.PLACES, queues, *columns, *asked)
        return {(queue, project): Place(floor, turn) for queue, project, floor, turn in found}

    async def apply(self, changes: ChangeSet) -> None:
        """Write a change set."""
        with translated():
            await written.apply(self._connection, changes, self.now)
        self._timers += [timer.at for timer in changes.timers]
        for run in changes.ready:
            rank, lane = run.rank or 0.0, run.spec.lane
            self._entered[lane] = min(self._entered.get(lane, rank), rank)
        for run in (*changes.heads_moved, *changes.heads_new):
            self._locked[run.run_id] = rows.head(run)
        for run_id in changes.heads_gone:
            self._locked.pop(run_id, None)

    async def renew(self, worker_id: str, leases: Sequence[tuple[str, int, int]]) -> list[str]:
        """Extend a worker's leases (run, epoch, until); return the runs whose lease is no longer that worker's.

        One that another transaction holds, to end it or not, stays as it is: the next heartbeat hears of it.
        """
        if not leases:
            return []
        columns = [list(column) for column in zip(*leases, strict=True)]
        return [row[0] for row in await self._rows(hot.RENEW, worker_id, *columns)]

    async def deliver(self, entries: Sequence[int]) -> None:
        """Remove inbox entries whose commands were applied."""
        await self._rows(hot.DELIVER, list(entries))

    async def settle(self, entries: Sequence[int]) -> None:
        """Remove outbox entries that their consumer has dealt with."""
        await self._rows(hot.SETTLE, list(entries))

    async def ended(self, run_ids: Sequence[str]) -> list[Ended]:
        """Return those of the runs that have ended, by id; locked, without those that another transaction holds."""
        return [Ended(*row) for row in await self._rows(hot.ENDED, *spanned(run_ids))] if run_ids else []

    async def thin(self, ways: Mapping[str, bytes]) -> list[str]:
        """Delete all records of ended runs and keep their rows; return the artifacts that were named there."""
        if not ways:
            return []
        these = spanned(list(ways))
        artifacts = [row[0] for row in await self._rows(hot.THINNED_ARTIFACTS, *these)]
        for statement in hot.THIN_RECORDS:
            await self._rows(statement, *these)
        await self._rows(hot.THIN, list(ways), list(ways.values()), self.now, min(ways), len(ways))
        return artifacts

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Delete runs that were thinned before."""
        if run_ids:
            await self._rows(hot.FORGET, *spanned(run_ids))

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a query inside the transaction and return its rows; a statement without rows returns none."""
        statement, values = query.bind("postgresql", params)
        return await self._rows(statement, *map(escaped, values))

    def committed(self) -> None:
        """Let the marks know what this transaction took and put in, now that it is durable."""
        for look, rank in self._passed:
            self._marks.passed(look, rank)
        self._marks.lower(self._entered)
        if self._timers:
            self._marks.timers.lower(min(self._timers))
