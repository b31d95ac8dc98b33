"""Check a data directory: the file, its schema, and everything in it.

It only reads, and one state of the database: a server may write meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from runwright.clock import SystemClock
from runwright.domain.ports import ArtifactStore
from runwright.errors import SchemaMismatch
from runwright.store import migrations
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Row
from runwright.store.inspected import Finding, Progress, Unlock
from runwright.store.inspection import inspect
from runwright.store.query import Query
from runwright.store.sqlite.connection import FILE, translated
from runwright.store.sqlite.upgrade import applied

COUNT = "SELECT count(*) FROM runs"
NAMED = "SELECT artifact FROM run_values WHERE artifact IS NOT NULL UNION SELECT digest FROM artifacts"


class SqliteState:
    """What one connection sees within its transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""
        found: list[Row] = self._connection.execute(*query.bind("sqlite", params)).fetchall()
        return found


async def check(
    directory: Path, tell: Progress, unlock: Unlock | None = None, bucket: ArtifactStore | None = None
) -> list[Finding]:
    """Return everything that is wrong with a data directory or a backup, nothing for one that is whole.

    Its artifacts lie in the `bucket`, if there is one.
    """
    with closing(reading(directory)) as connection, translated():
        connection.execute("BEGIN")
        try:
            schema(connection)
        except SchemaMismatch as wrong:
            return [Finding("schema", FILE, wrong.detail)]
        broken = list(_integrity(connection))
        artifacts = bucket or FileArtifacts(directory / "artifacts", 0, SystemClock())
        runs = int(connection.execute(COUNT).get)
        return broken + await inspect(SqliteState(connection), artifacts, runs, tell, unlock)


def reading(directory: Path) -> apsw.Connection:
    """Open a database for reading beside the server that writes to it; it never makes one."""
    connection = apsw.Connection(str(directory / FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(10_000)
    connection.execute("PRAGMA query_only = 1")
    return connection


def schema(connection: apsw.Connection) -> int:
    """Return the number of a database's schema. Raises `SchemaMismatch` unless this program may use it as it is."""
    found = migrations.status(migrations.load("sqlite"), applied(connection))
    if found.pending:
        raise SchemaMismatch(
            f"the database has schema {found.schema}, this version of Runwright has {found.known};"
            " run `runwright db upgrade`, or start a server once"
        )
    return found.schema


def _integrity(connection: apsw.Connection) -> Iterator[Finding]:
    for (told,) in connection.execute("PRAGMA integrity_check").fetchall():
        if told != "ok":
            yield Finding("database", FILE, str(told))
