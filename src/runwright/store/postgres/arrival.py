"""An empty PostgreSQL that a store moves into, in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.ports import ArtifactStore
from runwright.errors import StoreError
from runwright.store import migrations
from runwright.store.base import Row
from runwright.store.inspected import State
from runwright.store.migrations import ddl
from runwright.store.moving import Mark, Moved
from runwright.store.postgres import partitions, row_security, schema
from runwright.store.postgres.blobs import BlobArtifacts
from runwright.store.postgres.check import LONG_S, Lender, PostgresState, session
from runwright.store.postgres.connection import Connection, translated
from runwright.store.postgres.escapes import escaped

MOVED = "SELECT tables FROM moves WHERE move_id = $1"
FINISHED = "INSERT INTO moves (move_id, source, moved_at, tables) VALUES ($1, $2, $3, $4)"
NUMBERED = ("inbox", "outbox")
"""Tables whose entries the database numbers: it goes on behind the last."""
NEXT = "SELECT setval(pg_get_serial_sequence('{table}', 'entry'), (SELECT max(entry) FROM {table}))"


class Arrival:
    """`moving.Target` of an empty database."""

    def __init__(
        self,
        url: str,
        connection: Connection,
        clock: Clock,
        artifact_max_bytes: int,
        bucket: ArtifactStore | None = None,
    ) -> None:
        self.name = shown(url)
        self.state: State = PostgresState(connection)
        self.artifacts: ArtifactStore = bucket or BlobArtifacts(Lender(connection), artifact_max_bytes, clock)
        self._connection = connection
        self._clock = clock

    async def moved(self, move_id: str) -> Moved | None:
        """Return what an earlier move of this id moved here."""
        with translated():
            found = await self._connection.fetchval(MOVED, move_id)
        return None if found is None else msgspec.json.decode(found, type=Moved)

    async def prepare(self, run_ids: tuple[str, str] | None) -> None:
        """Lock everything and see that it is empty; make room for runs between two ids. Raises `StoreError`."""
        names = [table.name for table in ddl.tables("postgresql")]
        if await row_security.standing(self._connection) != "off":
            raise StoreError(
                f"{self.name} has row-level security, with which nothing can be copied in: switch it off with"
                " `runwright db upgrade --no-row-security`, move, and switch it on again"
            )
        with translated():
            await self._connection.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
            full = [name for name in names if await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})")]
            if full:
                raise StoreError(
                    f"{self.name} is not empty ({', '.join(full)}): a store moves into a new database only,"
                    " and no server may have been started on it"
                )
            if run_ids is not None:
                first, last = map(ids.time_of, run_ids)
                await partitions.make(self._connection, first, last)

    async def copy(self, table: str, columns: Sequence[str], rows: AsyncIterator[Row]) -> None:
        """Write rows."""
        with translated():
            await self._connection.copy_records_to_table(table, columns=columns, records=_escaped(rows), timeout=LONG_S)

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        with translated():
            return int(await self._connection.fetchval(f"SELECT count(*) FROM {table}", timeout=LONG_S))

    async def finish(self, mark: Mark, moved: Moved) -> None:
        """Write that all is here, and commit."""
        with translated():
            for table in NUMBERED:
                await self._connection.execute(NEXT.format(table=table))
            told = msgspec.json.encode(moved)
            await self._connection.execute(FINISHED, mark.move_id, mark.source, self._clock.now(), told)
            await self._connection.execute("COMMIT", timeout=LONG_S)
        with contextlib.suppress(StoreError), translated():  # autovacuum would come to it, too
            await self._connection.execute("ANALYZE", timeout=LONG_S)


async def _escaped(rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
    async for row in rows:
        yield tuple(map(escaped, row))


@asynccontextmanager
async def arriving(
    url: str, clock: Clock, artifact_max_bytes: int, bucket: ArtifactStore | None = None
) -> AsyncGenerator[Arrival]:
    """Yield a database of the newest schema in an open transaction, which ends with this unless it was committed.

    Artifacts go to the `bucket`, if there is one.
    """
    async with session(url) as connection:
        await schema.migrate(connection, migrations.load("postgresql"), clock.now())
        with translated():
            await connection.execute("BEGIN")
        yield Arrival(url, connection, clock, artifact_max_bytes, bucket)


def shown(url: str) -> str:
    """Return a database URL without its password."""
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
