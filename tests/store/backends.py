"""The databases that pass the conformance suite: each is opened, closed and opened again by the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from runwright.clock import FrozenClock
from runwright.store.base import Store
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite.store import SqliteStore
from tests import empty_file
from tests.postgres import SECURED, new_database, secured_database


class Backend(Protocol):
    """One empty database. `make` returns a new, closed store over it; only one is open at a time."""

    clock: FrozenClock
    dialect: str

    def make(self, **options: Any) -> Store: ...


class SqliteBackend:
    """The embedded store in a directory of its own."""

    dialect = "sqlite"

    def __init__(self, directory: Path) -> None:
        empty_file.put_into(directory)
        self.directory = directory
        self.clock = FrozenClock()

    def make(self, **options: Any) -> Store:
        """Return a store over the directory."""
        return SqliteStore(self.directory, self.clock, **options)


class PostgresBackend:
    """A database of the session's server."""

    dialect = "postgresql"

    def __init__(self, url: str, role_url: str | None = None) -> None:
        self.url = url
        self._role_url = role_url
        self.clock = FrozenClock()

    def make(self, **options: Any) -> Store:
        """Return a store over the database."""
        if self._role_url is not None:
            options = {"migrate": False, "row_security": True, **options}
        return PostgresStore(self._role_url or self.url, self.clock, **options)


@contextmanager
def sqlite(directory: Path) -> Iterator[Backend]:
    """Yield an empty file."""
    yield SqliteBackend(directory)


@contextmanager
def postgresql(directory: Path) -> Iterator[Backend]:
    """Yield an empty database, dropped afterwards."""
    if not SECURED:
        with new_database() as url:
            yield PostgresBackend(url)
        return
    with secured_database() as (url, role_url):
        yield PostgresBackend(url, role_url)


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {"sqlite": sqlite, "postgresql": postgresql}
"""Name → how a test gets an empty database of it. Whoever is named here passes every test of this folder."""
