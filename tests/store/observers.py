"""A connection beside the stores: it sees who waits, holds what a test wants held, and ends connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.waiting import until

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name = 'runwright'"
)
OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
    " AND application_name = 'runwright'"
)
END = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'runwright'"
)
END_BUS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'runwright bus'"
)


class Observer:
    """Looks at a database from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: Any = None
        self._looking: Any = None

    async def open(self) -> None:
        """Connect."""
        self._connection = await asyncpg.connect(self.url)
        self._looking = await asyncpg.connect(self.url)  # inside a transaction one sees a picture of who waits

    async def close(self) -> None:
        """Let go."""
        await self._connection.close()
        await self._looking.close()

    async def execute(self, script: str) -> None:
        """Run statements."""
        await self._connection.execute(script)

    async def value(self, statement: str, *values: Any) -> Any:
        """Return the one value of a statement."""
        return await self._looking.fetchval(statement, *values)

    async def waiting(self, count: int) -> None:
        """Return when so many connections of the stores wait for a lock."""
        await until(lambda: self.value(WAITING), lambda waiting: waiting >= count)

    async def resting(self) -> None:
        """Return when no connection of the stores is at work or inside a transaction."""
        await until(lambda: self.value(OPEN), lambda at_work: not at_work)

    async def end_connections(self) -> None:
        """End every connection of the stores, as an administrator or a crash would."""
        await self.value(END)

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Hold a whole table: who wants to read it waits until the block ends."""
        async with self._connection.transaction():
            await self.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    @asynccontextmanager
    async def halting(self, table: str) -> AsyncIterator[None]:
        """Hold up everybody who deletes from a table, at the first row, until the block ends."""
        await self.execute(
            "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN old; END$$;"
            f"CREATE TRIGGER halt BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION halt();"
            "SELECT pg_advisory_lock(42)"
        )
        yield
        await self.execute("SELECT pg_advisory_unlock(42)")

    async def put_aside(self, *tables: str) -> None:
        """Take all rows of tables away, to be put back."""
        for table in tables:
            await self.execute(f"CREATE TEMP TABLE aside_{table} AS SELECT * FROM {table}; DELETE FROM {table}")

    async def put_back(self, *tables: str) -> None:
        """Put the rows back."""
        for table in tables:
            await self.execute(f"INSERT INTO {table} SELECT * FROM aside_{table}")

    @asynccontextmanager
    async def ending_at_commit(self, table: str) -> AsyncIterator[None]:
        """End the connection of everybody who inserts into a table, in the middle of the commit."""
        await self.execute(
            "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(9); RETURN new; END$$;"
            f"CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION break_off()"
        )
        yield
        await self.execute(f"DROP TRIGGER break_off ON {table}")

    @asynccontextmanager
    async def halting_at_commit(self, table: str) -> AsyncIterator[None]:
        """Hold up everybody who inserted into a table, in the middle of the commit, until the block ends."""
        await self.execute(
            "CREATE FUNCTION halt_commit() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_advisory_xact_lock_shared(43); RETURN new; END$$;"
            f"CREATE CONSTRAINT TRIGGER halt_commit AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION halt_commit();"
            "SELECT pg_advisory_lock(43)"
        )
        yield
        await self.execute("SELECT pg_advisory_unlock(43)")
