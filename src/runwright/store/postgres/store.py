"""`Store` on PostgreSQL: a connection for each transaction and for each reading, from two pools.

Any number of processes use one database. Nothing that this one keeps in memory is needed for what it promises: marks
and the clock's offset are hints and measurements, and each row that a decision rests on is locked or looked at again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from runwright.clock import Clock
from runwright.errors import OutcomeUnknown, StoreError, StoreUnavailable
from runwright.store import migrations
from runwright.store.base import InboxEntry, Lease, OutboxEntry, Readings, Row, T, Timer, Transaction
from runwright.store.migrations import Migration
from runwright.store.postgres import hot, partitions, schema
from runwright.store.postgres import row_security as security
from runwright.store.postgres.blobs import BlobArtifacts
from runwright.store.postgres.connection import AGAIN, LOST, Connection, Hosts, Patience, translated
from runwright.store.postgres.escapes import escaped, plain
from runwright.store.postgres.marks import Marks
from runwright.store.postgres.offset import DatabaseTime
from runwright.store.postgres.pool import Pool
from runwright.store.postgres.readings import PostgresReadings, Within
from runwright.store.postgres.transaction import PostgresTransaction

POOL_MAX = 16
TRIES = 3
"""How often a transaction is tried that the database gave up for the sake of another."""
ROLLBACK_S = 5.0


class PostgresStore(PostgresReadings):
    """The store of a cluster. `url` names the database, perhaps on several hosts; `clock` is shifted to its time.

    `marks` may be lowered on a hint from another process; `retried` counts transactions that were tried again.

    `pool_max` connections at most, half of them for transactions, so that readers never keep a writer waiting.
    Opening it applies those of the `known` migrations that are pending if it may `migrate`, or waits for who may. With
    `row_security` each transaction says for whom it is, so that PostgreSQL keeps organizations apart.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        pool_max: int = POOL_MAX,
        migrate: bool = True,
        migrate_wait_s: float = 60.0,
        row_security: bool = False,
        known: Sequence[Migration] | None = None,
    ) -> None:
        self._may_migrate = migrate
        self._migrate_wait_s = migrate_wait_s
        self._row_security = row_security
        self._begin = security.BEGIN if row_security else "BEGIN"
        self._known = migrations.load("postgresql") if known is None else known
        self.marks = Marks(clock)
        self.retried = 0
        self._clock = clock
        self._time = DatabaseTime(clock)
        hosts = Hosts(url, patience)
        self._writers = Pool(hosts.connect, max(pool_max // 2, 1))
        self._readers = Pool(hosts.connect, max(pool_max - pool_max // 2, 1))
        self._writers.closed = self._readers.closed = True
        self.pools: Mapping[str, Pool] = {"write": self._writers, "read": self._readers}
        self._partitions_at_s = -math.inf
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect and migrate, one process after the other; prepare the partitions of the months to come."""
        self._writers.closed = self._readers.closed = False
        try:
            async with self._writers.connection() as connection:
                await self._time.measure(connection, times=5)
                may, wait_s = self._may_migrate, self._migrate_wait_s
                await schema.ready(connection, self._known, self._clock, may=may, wait_s=wait_s)
                await security.ready(connection, asked=self._row_security, may=may)
                await self._prepare(connection)
        except BaseException:
            await self.close()
            raise

    def artifacts(self, max_bytes: int) -> BlobArtifacts:
        """Return the artifacts that lie in this database; they can be used while the store is open."""
        return BlobArtifacts(self._writers, max_bytes, self._clock)

    async def close(self) -> None:
        """Finish the writes under way and let go of everything. May be called twice."""
        for pool in self.pools.values():
            if not pool.closed:
                await pool.close()

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return its result once it is durable; an exception rolls all back.

        `work` begins anew in a new transaction when the database took the first one back for the sake of another (a
        deadlock, a key that somebody else just wrote): nothing of it was written, and the new one sees what was in the
        way. So `work` changes nothing but what its transaction changes.
        """
        self._keep_up()
        for tried in range(1, TRIES + 1):
            try:
                return await self._write(work)
            except StoreError as failure:
                if tried == TRIES or not isinstance(failure.__cause__, AGAIN):
                    raise
                self.retried += 1
        raise AssertionError("unreachable")

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        connection = await self._begun()
        try:
            tx = PostgresTransaction(connection, self._clock.now(), self.marks)
            result = await work(tx)
        except BaseException as failure:
            ending = self._started(self._rolled_back(connection))
            if not isinstance(failure, asyncio.CancelledError):
                await asyncio.shield(ending)
            raise
        # A caller that is cancelled meanwhile must not give a connection back that still commits.
        committing = self._started(self._committed(connection, tx))
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await asyncio.wait([committing])
            raise
        return result

    async def _begun(self) -> Connection:
        """Return a connection with an open transaction; one that was lost while it was idle is replaced."""
        for fresh in (False, True):
            connection = await self._writers.take()
            try:
                with translated():
                    await connection.execute(self._begin)
                return connection
            except BaseException as failure:
                connection.terminate()
                self._writers.give_back(connection)
                if fresh or not isinstance(failure, StoreUnavailable):
                    raise
        raise AssertionError("unreachable")

    async def _committed(self, connection: Connection, tx: PostgresTransaction) -> None:
        try:
            with translated():
                said = await connection.execute("COMMIT")
            if said != "COMMIT":
                raise StoreError("a statement of this transaction had failed, so PostgreSQL took all of it back")
            tx.committed()
        except StoreUnavailable as unknown:
            connection.terminate()
            raise OutcomeUnknown(
                "the connection to PostgreSQL was lost during a commit: only PostgreSQL knows whether it was written"
            ) from unknown
        finally:
            self._writers.give_back(connection)

    async def _rolled_back(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_S):
                await connection.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - whatever it was, closing the connection rolls back, too
            connection.terminate()
        finally:
            self._writers.give_back(connection)

    def _started(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _keep_up(self) -> None:
        """See to the clock and the partitions, beside the transactions, when it is time."""
        resting = self._keeping is None or self._keeping.done()
        if resting and (self._time.due or self._clock.monotonic() - self._partitions_at_s >= partitions.EVERY_S):
            self._keeping = self._started(self._kept_up())

    async def _kept_up(self) -> None:
        with contextlib.suppress(StoreError):  # the next transaction will hear of it, and try again
            async with self._readers.connection() as connection:
                await self._time.measure(connection)
                if self._clock.monotonic() - self._partitions_at_s >= partitions.EVERY_S:
                    await self._prepare(connection)

    async def _prepare(self, connection: Connection) -> None:
        await partitions.prepare(connection, self._clock.now())
        await partitions.drop(connection, self._clock.now())
        self._partitions_at_s = self._clock.monotonic()

    def within(self, org_id: str) -> Readings:
        """Return the readings of whoever belongs to an organization: its own rows, if row-level security is on."""
        if org_id == security.EVERYBODY:
            raise ValueError("this is everybody, and no organization")
        return Within(self._ask, org_id) if self._row_security else self

    async def _read(self, statement: str, *values: Any) -> list[Row]:
        return await self._ask(security.EVERYBODY, statement, *values)

    async def _ask(self, whose: str, statement: str, *values: Any) -> list[Row]:
        """Return rows of the last committed state. A reading is repeated once when its connection was lost."""
        self._keep_up()
        for fresh in (False, True):
            try:
                async with self._readers.connection() as connection:
                    with translated():
                        if not self._row_security:
                            return [plain(row) for row in await connection.fetch(statement, *values)]
                        await connection.execute(security.reading(whose))
                        found = [plain(row) for row in await connection.fetch(statement, *values)]
                        await connection.execute("COMMIT")
                        return found
            except StoreUnavailable as lost:
                if fresh or not isinstance(lost.__cause__, LOST):
                    raise
        raise AssertionError("unreachable")

    async def due(self, at: int, limit: int) -> list[Timer]:
        """Return the timers that have come due by `at`, oldest first."""
        start, lowered = self.marks.timers.look()
        found = [Timer(*row) for row in await self._read(hot.DUE, start, at, limit)]
        self.marks.timers.passed(lowered, found[0].at if found else at)
        return found

    async def next_timer(self) -> int | None:
        """Return the instant of the earliest timer."""
        start, lowered = self.marks.timers.look()
        found = await self._read(hot.NEXT_TIMER, start)
        if not found:
            return None
        at = int(found[0][0])
        self.marks.timers.passed(lowered, at)
        return at

    async def lapsed(self, at: int, limit: int) -> list[Lease]:
        """Return leases whose stop request's grace is over by `at`, then those that ran out, longest ago first."""
        return [Lease(*row) for row in await self._read(hot.LAPSED, at, limit)]

    async def starved(self, limit: int) -> list[str]:
        """Return limits that have a free slot and held runs: the net under the admission."""
        return [row[0] for row in await self._read(hot.STARVED, limit)]

    async def lanes(self, prefix: str = "") -> list[str]:
        """Return the lanes that hold ready runs and whose keys begin so."""
        looks = self.marks.looks(prefix)
        found: dict[str, float] = dict(await self._read(hot.LANES, *hot.around(prefix, looks)))
        self.marks.seen(looks, found)
        return sorted(found)

    async def claimable(self, prefix: str = "") -> list[str]:
        """Return the lanes to claim from; one that another process filled is missing until its hint, or a while."""
        known = self.marks.lanes(prefix)
        if known is None:
            since = self.marks.entries
            found = await self.lanes(prefix)
            self.marks.listed(prefix, found, since)
            return found
        starts = [self.marks.start(lane) for lane in known]
        return [row[0] for row in await self._read(hot.FILLED, list(map(escaped, known)), starts)] if known else []

    async def depths(self, prefix: str = "") -> dict[str, int]:
        """Return the lanes that hold ready runs, with how many (counted up to 1 000)."""
        return dict(await self._read(hot.DEPTHS, *hot.around(prefix, self.marks.looks(prefix))))

    def lower(self, ranks: Mapping[str, float]) -> None:
        """Hear that another process put runs into these lanes, none before the rank given: claims begin there again."""
        self.marks.lower(ranks)

    async def leases_of(self, worker_id: str) -> list[Lease]:
        """Return the leases that a worker holds."""
        return [Lease(*row) for row in await self._read(hot.LEASES_OF, worker_id)]

    async def inbox(self, limit: int, after: int = 0) -> list[InboxEntry]:
        """Return the oldest entries of the inbox, behind the entry `after`."""
        return [InboxEntry(*row) for row in await self._read(hot.INBOX, after, limit)]

    async def outbox(self, topic: str, limit: int) -> list[OutboxEntry]:
        """Return the oldest entries of a topic."""
        return [OutboxEntry(*row) for row in await self._read(hot.OUTBOX, topic, limit)]
