"""Look at a PostgreSQL from beside its servers: check it, bring its schema up to date, or tell where it stands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain.ports import ArtifactStore
from runwright.errors import SchemaMismatch
from runwright.store import migrations
from runwright.store.base import Row
from runwright.store.inspected import Finding, Progress, Unlock
from runwright.store.inspection import inspect, unlocked
from runwright.store.migrations import Migration, Status, Upgraded
from runwright.store.postgres import partitions, row_security, schema
from runwright.store.postgres.blobs import BlobArtifacts
from runwright.store.postgres.connection import Connection, Patience, connect, translated
from runwright.store.postgres.escapes import escaped, plain
from runwright.store.queries.auth import KEYRING
from runwright.store.query import Query

COUNT = (
    "SELECT greatest(coalesce(sum(reltuples), 0), 0)::bigint FROM pg_class"
    " WHERE relkind = 'r' AND relname LIKE 'runs\\_%'"
)
PATIENT = {
    "application_name": "runwright db",
    "idle_in_transaction_session_timeout": "0",
    "plan_cache_mode": "auto",
    "enable_seqscan": "on",
    "enable_bitmapscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
}
"""What a session sets that reads everything once, instead of a little very often."""
LONG_S = 86_400.0
EVERYBODY = row_security.named(row_security.EVERYBODY)


class PostgresState:
    """What one connection sees within its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a query and return its rows."""
        statement, values = query.bind("postgresql", params)
        with translated():
            found = await self._connection.fetch(statement, *map(escaped, values), timeout=LONG_S)
        return [plain(row) for row in found]


class Lender:
    """A pool of the one connection that is in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend the connection."""
        yield self._connection


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[Connection]:
    """Connect for long statements, and let go in the end."""
    connection = await connect(url, Patience(statement_s=None), **PATIENT)
    try:
        yield connection
    finally:
        connection.terminate()


async def check(
    url: str, clock: Clock, tell: Progress, unlock: Unlock | None = None, bucket: ArtifactStore | None = None
) -> list[Finding]:
    """Return everything that is wrong with a database, nothing for one that is whole; servers may write meanwhile.

    Its artifacts lie in the `bucket`, if there is one.
    """
    async with session(url) as connection:
        with translated():
            await connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {EVERYBODY}")
            try:
                found = await schema.status(connection, migrations.load("postgresql"))
            except SchemaMismatch as wrong:
                return [Finding("schema", "migrations", wrong.detail)]
            if found.pending:
                told = f"lacks {', '.join(found.pending)}; run `runwright db upgrade`"
                return [Finding("schema", "migrations", told)]
            runs = int(await connection.fetchval(COUNT))
            artifacts = bucket or BlobArtifacts(Lender(connection), 0, clock)
            return await inspect(PostgresState(connection), artifacts, runs, tell, unlock)


@asynccontextmanager
async def blobs(url: str, clock: Clock, max_bytes: int) -> AsyncGenerator[tuple[PostgresState, BlobArtifacts]]:
    """Yield what a database names, and the artifacts in it; each statement is one by itself."""
    async with session(url) as connection:
        with translated():
            await connection.execute(EVERYBODY.replace("SET LOCAL", "SET"))  # there is no transaction around
        yield PostgresState(connection), BlobArtifacts(Lender(connection), max_bytes, clock)


async def upgrade(
    url: str, known: Sequence[Migration], clock: Clock, tell: Progress, secured: bool | None = None
) -> Upgraded:
    """Apply what is pending, make the months to come, drop emptied ones, switch row-level security if that is said.

    Where it is on, it is on for new tables, too. Raises what `schema.migrate` raises.
    """
    async with session(url) as connection:
        made = await schema.migrate(connection, known, clock.now(), tell)
        await partitions.prepare(connection, clock.now())
        await partitions.drop(connection, clock.now())
        on = secured if secured is not None else await row_security.standing(connection) != "off"
        switched = await row_security.switch(connection, on=on)
        return Upgraded(applied=made, row_security="on" if on else "off", switched=switched)


async def opens(url: str, unlock: Unlock) -> bool | None:
    """Tell whether a key opens what is sealed there; None where no server was started yet."""
    async with session(url) as connection:
        with translated():
            await connection.execute(f"BEGIN READ ONLY; {EVERYBODY}")
        state = PostgresState(connection)
        if not await state.fetch(KEYRING):
            return None
        return not (await unlocked(state, unlock))[1]


async def status(url: str, known: Sequence[Migration]) -> Status:
    """Tell where a database stands, beside its servers."""
    async with session(url) as connection:
        found = await schema.status(connection, known)
        return msgspec.structs.replace(found, row_security=await row_security.standing(connection))
