"""A data directory that moves elsewhere: locked, of the newest schema, and only read but for one mark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
from sqlalchemy import Boolean

from runwright.clock import Clock
from runwright.domain.ports import ArtifactStore
from runwright.errors import StoreError
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Row
from runwright.store.inspected import State
from runwright.store.migrations import ddl
from runwright.store.moving import Mark
from runwright.store.sqlite import moved
from runwright.store.sqlite.check import SqliteState, reading, schema
from runwright.store.sqlite.connection import FILE, lock, translated
from runwright.store.sqlite.recovery import secure_log

LOCAL = "CASE WHEN worker_id LIKE 'local-%' THEN 0 ELSE until END"
"""The leases of workers inside the server end with it: their runs go on at once where they arrive."""


class Departure:
    """`moving.Source` of a data directory."""

    def __init__(
        self, directory: Path, connection: apsw.Connection, clock: Clock, bucket: ArtifactStore | None
    ) -> None:
        self.name = str(directory)
        self.state: State = SqliteState(connection)
        self.artifacts: ArtifactStore = bucket or FileArtifacts(directory / "artifacts", 0, clock)
        self.tables: Sequence[tuple[str, Sequence[str]]] = [
            (table.name, [column.name for column in table.columns]) for table in ddl.tables("sqlite")
        ]
        self._flags = {
            table.name: [place for place, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
            for table in ddl.tables("sqlite")
        }
        self._directory = directory
        self._connection = connection

    def mark(self) -> Mark | None:
        """Return the mark of a move that began here."""
        return moved.mark_in(self._directory)

    def set_mark(self, mark: Mark) -> None:
        """Keep servers away, durably, until the mark is removed."""
        moved.set_mark(self._directory, mark)

    def remove_mark(self) -> None:
        """Let servers come back: nothing was moved."""
        moved.remove_mark(self._directory)

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        with translated():
            return int(self._connection.execute(f"SELECT count(*) FROM {table}").get)

    def span(self) -> tuple[str, str] | None:
        """Return the first and the last id of the runs."""
        with translated():
            ((first, last),) = self._connection.execute("SELECT min(run_id), max(run_id) FROM runs").fetchall()
        return None if first is None else (str(first), str(last))

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table."""
        columns = dict(self.tables)[table]
        flags = self._flags[table]
        shown = ", ".join(LOCAL if (table, column) == ("leases", "until") else column for column in columns)
        with translated():
            for row in self._connection.cursor().execute(f"SELECT {shown} FROM {table}"):
                if not flags:
                    yield row
                    continue
                values = list(row)
                for place in flags:
                    values[place] = bool(values[place])
                yield tuple(values)


@contextmanager
def departing(directory: Path, clock: Clock, bucket: ArtifactStore | None = None) -> Iterator[Departure]:
    """Yield a data directory that nobody else uses meanwhile. Raises `StoreLocked` while its server runs.

    Its artifacts lie in the `bucket`, if there is one.
    """
    if not (directory / FILE).is_file():
        raise StoreError(f"{directory} holds no database; name the data directory of a server")
    descriptor = lock(directory)
    try:
        secure_log(directory)
        connection = reading(directory)
        try:
            with translated():
                connection.execute("BEGIN")
                schema(connection)
            yield Departure(directory, connection, clock, bucket)
        finally:
            connection.close()
    finally:
        os.close(descriptor)
