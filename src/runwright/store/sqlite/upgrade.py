"""Bring the database of a data directory to the schema of this program, or tell how far it is from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw

from runwright.store import migrations
from runwright.store.inspected import Progress
from runwright.store.migrations import Applied, Migration, Status
from runwright.store.sqlite.connection import FILE, connect, lock, translated
from runwright.store.sqlite.recovery import secure_log


def applied(connection: apsw.Connection) -> list[Applied]:
    """Return the migrations that a database has; none for a new one."""
    columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(migrations)")}
    if not columns:
        return []
    least = "least" if "least" in columns else "NULL"
    return [Applied(*row) for row in connection.execute(f"SELECT number, checksum, {least} FROM migrations")]


def migrate(
    connection: apsw.Connection, known: Sequence[Migration], now: int, *, may: bool = True, tell: Progress | None = None
) -> list[Migration]:
    """Apply what is pending in one transaction and return it; a failure leaves the database as it was.

    Raises `SchemaMismatch` for a database of no use to this program, and where it `may` not be changed but must.
    """
    with connection:
        missing = migrations.pending(known, applied(connection))
        if missing and not may and missing[0].number > 1:
            raise migrations.refusal(known, missing)
        if missing:
            _table(connection)
        for done, migration in enumerate(missing):
            if tell is not None:
                tell(f"{migration.number:04} {migration.name}", done, len(missing))
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO migrations (number, name, checksum, applied_at, least) VALUES (?, ?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, now, migration.least),
            )
    return list(missing)


def _table(connection: apsw.Connection) -> None:
    connection.execute(migrations.TABLE)
    if "least" not in {str(row[1]) for row in connection.execute("PRAGMA table_info(migrations)")}:
        connection.execute("ALTER TABLE migrations ADD COLUMN least INTEGER")


def upgrade(directory: Path, known: Sequence[Migration], now: int, tell: Progress) -> list[Migration]:
    """Migrate a data directory that no server uses. Raises `StoreLocked` for one that is in use."""
    descriptor = lock(directory)
    try:
        secure_log(directory)
        with translated(), closing(connect(directory, writable=True)) as connection:
            return migrate(connection, known, now, tell=tell)
    finally:
        os.close(descriptor)


def status(directory: Path, known: Sequence[Migration]) -> Status:
    """Tell where a data directory stands, beside its server too."""
    connection = apsw.Connection(str(directory / FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(10_000)
    with closing(connection), translated():
        connection.execute("PRAGMA query_only = 1")
        return migrations.status(known, applied(connection))
