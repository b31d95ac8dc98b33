"""`Store` on SQLite: statements run on the event loop, commits wait for the disk in the writer thread.

Why so: a statement that touches a few rows takes microseconds, less than handing it to a thread and back, and each row
that a thread steps through would fight the event loop for the interpreter lock (ADR 0003). Only `COMMIT` waits for the
disk, so only `COMMIT` leaves the loop. Readers have their own connection and see the last committed state.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw

from runwright.clock import Clock
from runwright.domain.events import Event
from runwright.errors import StoreUnavailable
from runwright.store import migrations, rows
from runwright.store.base import (
    Attempt,
    InboxEntry,
    Lease,
    Lending,
    OutboxEntry,
    Readings,
    Record,
    Row,
    StoredValue,
    T,
    Timer,
    Transaction,
)
from runwright.store.migrations import Migration
from runwright.store.query import Query
from runwright.store.sqlite import hot
from runwright.store.sqlite.connection import connect, lock, translated
from runwright.store.sqlite.moved import refuse_moved
from runwright.store.sqlite.recovery import DISK_FAILURES, checkpointer, let_go, renewed_writer, secure_log
from runwright.store.sqlite.transaction import LAST, SqliteTransaction, listed
from runwright.store.sqlite.upgrade import migrate
from runwright.telemetry import report


class SqliteStore:
    """The embedded store. One process owns `directory`; `clock` gives the store's time.

    Opening it applies those of the `known` migrations that are pending, if it may `migrate` a database that there is.
    """

    pools: Mapping[str, Lending] = {}
    """A reading is answered in its turn of the loop, a transaction after those before it."""

    def __init__(
        self, directory: Path, clock: Clock, *, migrate: bool = True, known: Sequence[Migration] | None = None
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._may_migrate = migrate
        self._known = migrations.load("sqlite") if known is None else known
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "runwright-writer")
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._lock: int | None = None
        self._writer_failed = self._reader_failed = False

    async def open(self) -> None:
        """Open, lock and migrate; end the leases of workers that lived in a former owner of the directory."""
        self._lock = lock(self.directory)
        try:
            refuse_moved(self.directory)
            secure_log(self.directory)
            self._writer = self._watched(connect(self.directory, writable=True))
            with translated():
                made = migrate(self._writer, self._known, self._clock.now(), may=self._may_migrate)
                for migration in made if made[:1] and made[0].number > 1 else ():
                    report("store.migrated", number=migration.number, migration=migration.name)
                self._writer.execute("UPDATE leases SET until = 0 WHERE worker_id LIKE 'local-%'")
            self._reader = connect(self.directory, writable=False)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the write under way and let go of everything. May be called twice."""
        async with self._turn:
            self._thread.shutdown(wait=True)
            for connection in (self._reader, self._writer):
                if connection is not None:
                    let_go(connection)
            self._reader = self._writer = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def raw_writer(self) -> apsw.Connection:
        """Return the writer connection itself, for the benchmarks' ceiling: nothing else may be using the store."""
        if self._writer is None:
            raise StoreUnavailable("the store is closed")
        return self._writer

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return its result once it is durable; an exception rolls all back."""
        async with self._turn:
            writer = await self._sound_writer()
            cursor = writer.cursor()
            with translated():
                try:
                    cursor.execute("BEGIN IMMEDIATE")
                    result = await work(SqliteTransaction(cursor, self._clock.now()))
                    await self._commit(cursor)
                except BaseException as failure:
                    if writer.in_transaction:
                        with contextlib.suppress(apsw.Error):
                            cursor.execute("ROLLBACK")
                    self._writer_failed |= isinstance(failure, DISK_FAILURES) or writer.in_transaction
                    raise
                return result

    async def _commit(self, cursor: apsw.Cursor) -> None:
        # A caller that is cancelled meanwhile must not free the connection while the thread still uses it.
        done = asyncio.wrap_future(self._thread.submit(cursor.execute, "COMMIT"))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            self._writer_failed |= isinstance(done.exception(), DISK_FAILURES)
            raise

    async def _sound_writer(self) -> apsw.Connection:
        """Return the writer, a new one after its disk failed; in its turn only."""
        if self._writer is None:
            raise StoreUnavailable("the store is closed")
        if self._writer_failed:
            renewing = asyncio.get_running_loop().run_in_executor(
                self._thread, renewed_writer, self.directory, self._writer
            )
            try:
                self._writer = self._watched(await asyncio.shield(renewing))
            except asyncio.CancelledError:
                await asyncio.wait([renewing])
                if renewing.exception() is None:
                    self._writer = self._watched(renewing.result())
                raise
        return self._writer

    def _watched(self, writer: apsw.Connection) -> apsw.Connection:
        writer.set_wal_hook(checkpointer(self._suspect))
        self._writer_failed = False
        return writer

    def _suspect(self) -> None:
        self._writer_failed = True

    def _read(self, statement: str, *values: Any) -> list[Row]:
        if self._reader is None:
            raise StoreUnavailable("the store is closed")
        with translated():
            try:
                if self._reader_failed:
                    failed, self._reader = self._reader, connect(self.directory, writable=False)
                    let_go(failed)
                    self._reader_failed = False
                return self._reader.execute(statement, values).fetchall()
            except DISK_FAILURES:
                self._reader_failed = True
                raise

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""
        statement, values = query.bind("sqlite", params)
        return self._read(statement, *values)

    def within(self, org_id: str) -> Readings:
        """Return the readings of whoever belongs to an organization: those of everybody. SQLite knows nobody."""
        return self

    async def record(self, run_id: str) -> Record | None:
        """Return one run for a reader."""
        found = self._read(hot.RECORDS, listed([run_id]))
        return rows.record_from(found[0]) if found else None

    async def records_of(self, run_ids: Sequence[str]) -> list[Record]:
        """Return those of the runs that exist, in the order given."""
        return [rows.record_from(row) for row in self._read(hot.RECORDS, listed(run_ids))] if run_ids else []

    async def events(self, run_id: str, after_seq: int, limit: int, most_bytes: int | None = None) -> list[Event]:
        """Return up to `limit` events of a run with a larger seq, in order; with `most_bytes`, no more of them than it
        takes to hold so many bytes of data, one at least.
        """
        if most_bytes is None:
            return [Event(*row) for row in self._read(hot.EVENTS, run_id, after_seq, limit)]
        fitting = self._read(hot.EVENTS_FITTING, run_id, after_seq, limit, most_bytes)
        return [Event(*row) for row in fitting]

    async def events_after(self, seqs: Mapping[str, int], limit: int) -> dict[str, list[Event]]:
        """Return run → up to `limit` of its events with a larger seq than the one given, in order; nothing for none."""
        found = {run_id: await self.events(run_id, seq, limit) for run_id, seq in seqs.items()}
        return {run_id: events for run_id, events in found.items() if events}

    async def values(self, run_id: str, kind: str) -> list[StoredValue]:
        """Return the values of one kind, by key."""
        return [StoredValue(*row) for row in self._read(hot.VALUES, run_id, kind)]

    async def payloads(self, run_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return the sealed payloads of runs."""
        return dict(self._read(hot.PAYLOADS, listed(run_ids)))

    async def attempts(self, run_id: str) -> list[Attempt]:
        """Return the ended attempts of a run, oldest first."""
        return [Attempt(*row) for row in self._read(hot.ATTEMPTS, run_id)]

    async def due(self, at: int, limit: int) -> list[Timer]:
        """Return the timers that have come due by `at`, oldest first."""
        return [Timer(*row) for row in self._read(hot.DUE, at, limit)]

    async def next_timer(self) -> int | None:
        """Return the instant of the earliest timer."""
        earliest: int | None = self._read(hot.NEXT_TIMER)[0][0]
        return earliest

    async def lapsed(self, at: int, limit: int) -> list[Lease]:
        """Return leases whose stop request's grace is over by `at`, then those that ran out, longest ago first."""
        return [Lease(*row) for row in self._read(hot.LAPSED, at, limit)]

    async def starved(self, limit: int) -> list[str]:
        """Return limits that have a free slot and held runs: the net under the admission."""
        return [row[0] for row in self._read(hot.STARVED, limit)]

    async def lanes(self, prefix: str = "") -> list[str]:
        """Return the lanes that hold ready runs and whose keys begin so."""
        return [row[0] for row in self._read(hot.LANES, prefix, prefix + LAST)]

    async def claimable(self, prefix: str = "") -> list[str]:
        """Return the same: no other process fills one."""
        return await self.lanes(prefix)

    async def depths(self, prefix: str = "") -> dict[str, int]:
        """Return the lanes that hold ready runs, with how many (counted up to 1 000)."""
        return dict(self._read(hot.DEPTHS, prefix, prefix + LAST))

    def lower(self, ranks: Mapping[str, float]) -> None:
        """Hear nothing: there is no other process, and a claim looks from the beginning of a lane."""

    async def leases_of(self, worker_id: str) -> list[Lease]:
        """Return the leases that a worker holds."""
        return [Lease(*row) for row in self._read(hot.LEASES_OF, worker_id)]

    async def inbox(self, limit: int, after: int = 0) -> list[InboxEntry]:
        """Return the oldest entries of the inbox, behind the entry `after`."""
        return [InboxEntry(*row) for row in self._read(hot.INBOX, after, limit)]

    async def outbox(self, topic: str, limit: int) -> list[OutboxEntry]:
        """Return the oldest entries of a topic."""
        return [OutboxEntry(*row) for row in self._read(hot.OUTBOX, topic, limit)]
