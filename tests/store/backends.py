"""The databases that pass the conformance suite: each is opened, closed and opened again by the same tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runwright.clock import FrozenClock
from runwright.store.base import Store
from runwright.store.sqlite.store import SqliteStore


class Backend(Protocol):
    """One empty database. `make` returns a new, closed store over it; only one is open at a time."""

    clock: FrozenClock

    def make(self) -> Store: ...


class SqliteBackend:
    """The embedded store in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FrozenClock()

    def make(self) -> Store:
        """Return a store over the directory."""
        return SqliteStore(self.directory, self.clock)


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}
"""Name → how a test gets an empty database of it. Whoever is named here passes every test of this folder."""
