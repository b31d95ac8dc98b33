"""What a world stands on: a database that outlives it, and ways around the store to look at it and to trouble it.

Each makes stores, one for each process that a test plays; what else it can do, it does to the last one that it made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import apsw
import asyncpg

from runwright.clock import Clock
from runwright.store.base import Store
from runwright.store.postgres.connection import Connection
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite.store import SqliteStore
from tests import empty_file
from tests.engine.kept import Kept
from tests.postgres import CARETAKER, SECURED, new_database, secured_database
from tests.waiting import until

Rows = list[tuple[Any, ...]]
MASTER_KEY = "5e" * 32
OTHERS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    f" AND application_name <> '{CARETAKER}'"
)


class Database(Protocol):
    """One database."""

    @property
    def settings(self) -> dict[str, str]:
        """Return what a server is told that is to work on it."""

    def make(self, clock: Clock) -> Store:
        """Return a closed store over it."""

    def rows(self, statement: str, *values: Any) -> Rows:
        """Return what SQL says of the durable state."""

    def change(self, statement: str, *values: Any) -> None:
        """Write behind everybody's back."""

    def tables(self) -> list[str]:
        """Return the names of all tables."""

    def content(self) -> bytes:
        """Return all that is stored, as it is stored."""

    @property
    def quiet(self) -> bool:
        """Tell whether nobody waits for an answer of the database."""

    def sever(self) -> None:
        """Cut what leads to the database, if something does."""

    async def crash(self) -> None:
        """Let go of the database as a process that is killed does: no farewell, and nothing after it."""

    def keep(self, kept: Kept) -> None:
        """Use connections that are kept from now on, before others."""

    async def leave(self) -> None:
        """Let go of the database at the end of a test; what leads there may be kept for the next one."""

    def unwritable(self) -> contextlib.AbstractContextManager[None]:
        """Refuse every write meanwhile."""

    def unreadable(self) -> contextlib.AbstractContextManager[None]:
        """Refuse every reading meanwhile."""


class SqliteDatabase:
    """A file in a directory."""

    def __init__(self, directory: Path) -> None:
        empty_file.put_into(directory)
        self._directory = directory
        self._store: SqliteStore
        self.settings = {"data_dir": str(directory)}

    def make(self, clock: Clock) -> SqliteStore:
        self._store = SqliteStore(self._directory, clock)
        return self._store

    def rows(self, statement: str, *values: Any) -> Rows:
        return self._store._read(statement, *values)

    def change(self, statement: str, *values: Any) -> None:
        self._store.raw_writer().execute(statement, values)

    def tables(self) -> list[str]:
        return [name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]

    def content(self) -> bytes:
        files = sorted(self._directory.glob("runwright.db*"))
        return b"".join(path.read_bytes() for path in files)

    quiet = True
    """An answer comes within a turn of the loop, or with the commit that `idle` waits for."""

    def sever(self) -> None:
        pass  # it is a file

    async def crash(self) -> None:
        store = self._store
        store._thread.shutdown(wait=True)
        for connection in (store._reader, store._writer):
            if connection is not None:
                with contextlib.suppress(apsw.Error):  # the disk may have gone before the process
                    connection.close(True)
        if store._lock is not None:
            os.close(store._lock)
        store._reader = store._writer = store._lock = None

    def keep(self, kept: Kept) -> None:
        pass  # it is a file

    async def leave(self) -> None:
        await self.crash()

    @contextlib.contextmanager
    def unwritable(self) -> Iterator[None]:
        store = self._store
        writer, store._writer = store._writer, None
        try:
            yield
        finally:
            store._writer = writer

    @contextlib.contextmanager
    def unreadable(self) -> Iterator[None]:
        store = self._store
        reader, store._reader = store._reader, None
        try:
            yield
        finally:
            store._reader = reader


class PostgresDatabase:
    """A database of the session's PostgreSQL."""

    def __init__(self, url: str, role_url: str | None = None) -> None:
        self.url = url
        self.settings: dict[str, str] = {"database_url": role_url or url, "master_key": MASTER_KEY}
        if role_url is not None:
            self.settings |= {"database_row_security": "true", "migrate": "false"}
        self._store: PostgresStore
        self._made: list[Connection] = []
        self._kept: Kept | None = None

    def make(self, clock: Clock) -> PostgresStore:
        secured = "database_row_security" in self.settings
        url = self.settings["database_url"]
        store = self._store = PostgresStore(url, clock, row_security=secured, migrate=not secured)
        self._made = []
        for pool in (store._writers, store._readers):
            pool._connect = self._noting(pool._connect, self._made)
        return store

    def _noting(self, connect: Callable[[], Awaitable[Connection]], made: list[Connection]) -> Any:
        async def noted() -> Connection:
            kept = await self._kept.take(self.settings["database_url"]) if self._kept is not None else None
            made.append(kept or await connect())
            return made[-1]

        return noted

    def rows(self, statement: str, *values: Any) -> Rows:
        return [tuple(row) for row in _asked(self.url, _numbered(statement), values)]

    def change(self, statement: str, *values: Any) -> None:
        _asked(self.url, _numbered(statement), values)

    def tables(self) -> list[str]:
        return [
            name
            for (name,) in self.rows(
                "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
                " AND relnamespace = 'public'::regnamespace"
            )
        ]

    def content(self) -> bytes:
        cells = (cell for table in self.tables() for row in self.rows(f"SELECT * FROM {table}") for cell in row)
        return b"\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)

    @property
    def quiet(self) -> bool:
        return not any(pool.in_use or pool.waiting for pool in self._store.pools.values())

    def sever(self) -> None:
        for connection in self._made:
            connection.terminate()
        if self._store._keeping is not None:
            self._store._keeping.cancel()  # in the same moment: who dies does not live to see its connection gone

    async def crash(self) -> None:
        store = self._store
        store._writers.closed = store._readers.closed = True
        self.sever()
        for _ in range(2):
            await asyncio.sleep(0)  # the loop closes their sockets
        # What was being committed is, or is not: PostgreSQL ends the sessions of a lost client before they are gone.
        await until(lambda: not self.rows(OTHERS))

    def keep(self, kept: Kept) -> None:
        self._kept = kept

    async def leave(self) -> None:
        if self._kept is not None:
            for pool in (self._store._writers, self._store._readers):
                pool.closed = True
                while pool._idle:
                    idle = pool._idle.pop()
                    self._made.remove(idle)
                    await self._kept.put(self.settings["database_url"], idle)
        await self.crash()

    @contextlib.contextmanager
    def unwritable(self) -> Iterator[None]:
        pool = self._store._writers
        pool.closed = True
        try:
            yield
        finally:
            pool.closed = False

    @contextlib.contextmanager
    def unreadable(self) -> Iterator[None]:
        pool = self._store._readers
        pool.closed = True
        try:
            yield
        finally:
            pool.closed = False


@contextlib.contextmanager
def sqlite(directory: Path) -> Iterator[Database]:
    """Yield an empty file."""
    yield SqliteDatabase(directory)


@contextlib.contextmanager
def postgresql(directory: Path) -> Iterator[Database]:
    """Yield an empty database, dropped afterwards."""
    if SECURED:
        with secured(directory) as made:
            yield made
        return
    with new_database() as url:
        yield PostgresDatabase(url)


@contextlib.contextmanager
def secured(directory: Path) -> Iterator[Database]:
    """Yield an empty database with row-level security."""
    with secured_database() as (url, role_url):
        yield PostgresDatabase(url, role_url)


DATABASES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Database]]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
}
"""Name → how a test gets an empty one."""
KINDS = {**DATABASES, "secured": secured}
"""The same, and those that few tests ask for."""


def _numbered(statement: str) -> str:
    """Write the places of values as PostgreSQL does."""
    first, *rest = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


class _Onlooker:
    """One connection in a thread of its own, so that a test may look while its loop stands still.

    It outlives the test: the next one mostly has the same database, emptied.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.url = ""
        self.connection: asyncpg.Connection[Any] | None = None
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def ask(self, url: str, statement: str, values: tuple[Any, ...]) -> Any:
        if self.connection is None or self.url != url or self.connection.is_closed():
            if self.connection is not None:
                self.connection.terminate()
            known = {"application_name": CARETAKER}
            self.connection, self.url = await asyncpg.connect(url, server_settings=known), url
        return await self.connection.fetch(statement, *values)


_onlookers: list[_Onlooker] = []


def _asked(url: str, statement: str, values: tuple[Any, ...]) -> Any:
    if not _onlookers:
        _onlookers.append(_Onlooker())
    return _onlookers[0].wait(_onlookers[0].ask(url, statement, values))
