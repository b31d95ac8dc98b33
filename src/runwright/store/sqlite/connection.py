"""Open the database of a data directory: one lock, one writer connection, one reader connection."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from runwright.errors import StoreError, StoreLocked, StoreReadOnly, StoreUnavailable

FILE = "runwright.db"
LOCK = "server.lock"
PAGE_BYTES = 8192
CACHE_KIB = 65_536
WRITTEN, READ = 64, 256
"""Statements that a connection keeps. Each row that is written searches all: they are twice those of a run's life."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite raises into a `StoreError`; nothing of apsw leaves this room."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.InterruptError, apsw.NoMemError) as broken:
        raise StoreUnavailable(f"SQLite is busy: {broken}") from broken
    except apsw.FullError as broken:
        raise StoreUnavailable("the disk of the data directory is full; free some space and try again") from broken
    except apsw.ReadOnlyError as broken:
        raise StoreReadOnly(f"the database cannot be written: {broken}") from broken
    except (apsw.IOError, apsw.CantOpenError) as broken:
        raise StoreUnavailable(
            f"the disk of the data directory failed: {broken}; look at it, and at its log"
        ) from broken
    except apsw.Error as broken:
        raise StoreError(f"SQLite failed: {type(broken).__name__}: {broken}") from broken


def lock(directory: Path) -> int:
    """Take the data directory for this process; the kernel gives it back when the process ends, however it ends.

    Returns the lock's file descriptor. Raises `StoreLocked` or `StoreReadOnly`.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as broken:
        raise StoreReadOnly(
            f"the data directory {directory} cannot be written ({broken.strerror}); choose another with --data-dir"
        ) from broken
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as broken:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreLocked(
            f"another server (process {holder}) is using the data directory {directory};"
            " stop it or choose another with --data-dir"
        ) from broken
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return descriptor


def connect(directory: Path, *, writable: bool) -> apsw.Connection:
    """Open one connection with the settings that every connection has.

    WAL with `synchronous=FULL`: a transaction whose commit returned survives a power failure.
    """
    path = directory / FILE
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writable else apsw.SQLITE_OPEN_READONLY
    with translated():
        try:
            connection = apsw.Connection(str(path), flags=flags, statementcachesize=WRITTEN if writable else READ)
        except apsw.CantOpenError as broken:
            raise StoreReadOnly(f"the database {path} cannot be opened: {broken}") from broken
        connection.set_busy_timeout(5_000)
        if writable:
            _prepare(connection, path)
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _prepare(connection: apsw.Connection, path: Path) -> None:
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchall()  # to its end: a failure may come that late
        if mode != [("wal",)]:
            raise StoreUnavailable(f"the database {path} cannot be put in WAL mode; is its disk full or failing?")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "PRAGMA secure_delete = FAST"
        )  # what is erased is overwritten where that writes no page more
    except (apsw.NotADBError, apsw.CorruptError) as broken:
        raise StoreError(
            f"the file {path} is no database, or a broken one ({broken});"
            " restore it from a backup, or choose another data directory with --data-dir"
        ) from broken
