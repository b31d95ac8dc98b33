"""Bring a database's schema up to date: by one process at a time, however many start at once."""

from __future__ import annotations

from runwright.errors import StoreError
from runwright.store import migrations
from runwright.store.postgres import locks
from runwright.store.postgres.connection import OLDEST_SERVER, Connection, translated

THERE = "SELECT to_regclass('migrations') IS NOT NULL"
APPLIED = "SELECT number, checksum FROM migrations"
MAKE = (
    "CREATE TABLE migrations"
    ' (number INTEGER PRIMARY KEY, name TEXT COLLATE "C" NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)'
)
RECORD = "INSERT INTO migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)"
SERVER = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
LOCK = locks.hashed("duty", "migrations")


async def pending(connection: Connection) -> tuple[migrations.Migration, ...]:
    """Return the migrations still to apply. Raises `SchemaMismatch` for a database that is newer or was edited."""
    applied: dict[int, str] = {}
    with translated():
        if await connection.fetchval(THERE):
            applied = {row[0]: row[1] for row in await connection.fetch(APPLIED)}
    return migrations.pending(migrations.load("postgresql"), applied)


async def migrate(connection: Connection, now: int) -> None:
    """Apply what is pending in one transaction; a database that is up to date is only read."""
    await _suitable(connection)
    if not await pending(connection):
        return
    with translated():
        async with connection.transaction():
            # Building an index may take long, and so may the process that migrates just now.
            await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=3600)
            if not await connection.fetchval(THERE):
                await connection.execute(MAKE)
            for migration in await pending(connection):
                await connection.execute(migration.sql, timeout=3600)
                await connection.execute(RECORD, migration.number, migration.name, migration.checksum, now)


async def _suitable(connection: Connection) -> None:
    with translated():
        ((number, encoding),) = await connection.fetch(SERVER)
    if number < OLDEST_SERVER:
        raise StoreError(f"this PostgreSQL has version {number // 10_000}; Runwright needs {OLDEST_SERVER // 10_000}")
    if encoding != "UTF8":
        raise StoreError(f"this database is encoded in {encoding}; create one with ENCODING 'UTF8'")
