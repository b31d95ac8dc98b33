"""Bring a database's schema up to date: by one process at a time, however many start at once, while others work."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from runwright.clock import Clock
from runwright.errors import SchemaMismatch, StoreError, StoreReadOnly
from runwright.store import migrations
from runwright.store.inspected import Progress
from runwright.store.migrations import Applied, Migration, Status
from runwright.store.postgres import locks
from runwright.store.postgres.connection import OLDEST_SERVER, Connection, translated
from runwright.telemetry import report

LOOK_S = 0.5
"""How often a server that must not migrate looks whether somebody did."""
LOCK_WAIT_S = 3
"""For how long a migration may make everybody wait behind it for a table; then it steps aside, and tries again."""
TRIES = 40
MIGRATION_S = 86_400.0
"""The longest that one migration may take: somebody watches it."""
THERE = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('migrations') AND attnum > 0"
RECORD = "INSERT INTO migrations (number, name, checksum, applied_at, least) VALUES ($1, $2, $3, $4, $5)"
SERVER = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
LOCK = locks.hashed("duty", "migrations")


async def applied(connection: Connection) -> list[Applied]:
    """Return the migrations that a database has; none for a new one."""
    with translated():
        columns = {row[0] for row in await connection.fetch(THERE)}
        if not columns:
            return []
        least = "least" if "least" in columns else "NULL::int"
        return [Applied(*row) for row in await connection.fetch(f"SELECT number, checksum, {least} FROM migrations")]


async def status(connection: Connection, known: Sequence[Migration]) -> Status:
    """Tell where a database stands. Raises `SchemaMismatch` for one that is too new or was edited."""
    return migrations.status(known, await applied(connection))


async def ready(connection: Connection, known: Sequence[Migration], clock: Clock, *, may: bool, wait_s: float) -> None:
    """Return when the schema is one for this program: apply what is pending, or, who may not, wait for who may.

    Raises `SchemaMismatch` for a database of no use to this program, and when nobody migrated it for `wait_s`.
    """
    await suitable(connection)
    missing = migrations.pending(known, await applied(connection))
    if missing and may:
        await migrate(connection, known, clock.now())
        return
    until = clock.monotonic() + wait_s
    if missing:
        report("store.waiting_for_migration", schema=missing[0].number - 1, needed=len(known), wait_s=wait_s)
    while missing:
        if clock.monotonic() >= until:
            raise migrations.refusal(known, missing)
        await clock.sleep(LOOK_S)
        missing = migrations.pending(known, await applied(connection))


async def migrate(
    connection: Connection, known: Sequence[Migration], now: int, tell: Progress | None = None
) -> list[Migration]:
    """Apply what is pending and return it, each migration in a transaction of its own, under the cluster's lock.

    Others go on working meanwhile: a migration that does not get its tables at once lets them pass and tries again.
    Raises `StoreReadOnly` where the role may not, saying who should.
    """
    await suitable(connection)
    made: list[Migration] = []
    while True:
        missing = migrations.pending(known, await applied(connection))
        if not missing:
            return made
        if tell is not None:
            tell(f"{missing[0].number:04} {missing[0].name}", len(made), len(made) + len(missing))
        migration = await _next(connection, known, now)
        if migration is not None:
            if migration.number > 1:
                report("store.migrated", number=migration.number, migration=migration.name)
            made.append(migration)


async def suitable(connection: Connection) -> None:
    """Raise `StoreError` for a PostgreSQL or a database that cannot hold a store."""
    with translated():
        ((number, encoding),) = await connection.fetch(SERVER)
    if number < OLDEST_SERVER:
        raise StoreError(f"this PostgreSQL has version {number // 10_000}; Runwright needs {OLDEST_SERVER // 10_000}")
    if encoding != "UTF8":
        raise StoreError(f"this database is encoded in {encoding}; create one with ENCODING 'UTF8'")


async def _next(connection: Connection, known: Sequence[Migration], now: int) -> Migration | None:
    """Apply the first pending migration, unless another process was faster."""
    for tried in range(1, TRIES + 1):
        try:
            with translated():
                async with connection.transaction():
                    return await _apply(connection, known, now)
        except StoreReadOnly as refused:
            raise SchemaMismatch(
                f"the database needs a migration, and the role of the database URL may not change the schema:"
                f" run `runwright db upgrade` as the owner of the tables, then start again ({refused.detail})"
            ) from refused
        except StoreError as busy:
            if tried == TRIES or not isinstance(busy.__cause__, asyncpg.LockNotAvailableError):
                raise
            report("store.migration_waits", tried=tried, of=TRIES)
    raise AssertionError("unreachable")


async def _apply(connection: Connection, known: Sequence[Migration], now: int) -> Migration | None:
    # Building an index may take long, and so may the process that migrates just now.
    await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=MIGRATION_S)
    missing = migrations.pending(known, await applied(connection))
    if not missing:
        return None
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
    await connection.execute(migrations.TABLE)
    await connection.execute("ALTER TABLE migrations ADD COLUMN IF NOT EXISTS least INTEGER")
    first = missing[0]
    await connection.execute(first.sql, timeout=MIGRATION_S)
    await connection.execute(RECORD, first.number, first.name, first.checksum, now, first.least)
    return first
