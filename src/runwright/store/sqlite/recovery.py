"""What the store does when its disk fails: it trusts nothing in memory, and makes the log sure before it goes on.

A failed `fsync` is not tried again: the kernel may have marked the pages clean that it could not write, so a second one
would succeed and mean nothing, and a log that is read back comes from those pages, not from the disk (Rebello et al.,
"Can Applications Recover from fsync Failures?", USENIX ATC 2020). See ADR 0024.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from runwright.errors import StoreReadOnly, StoreUnavailable
from runwright.store.sqlite.connection import FILE, connect, translated
from runwright.telemetry import report

DISK_FAILURES = (apsw.IOError, apsw.FullError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError)
"""After one of these a connection is replaced before it is used again: what it read may not be what is stored."""

LOG = FILE + "-wal"
CHECKPOINT_PAGES = 1000
_PIECE_BYTES = 1 << 16  # SQLite moves less than 128 KiB at a time


def secure_log(directory: Path) -> None:
    """Write the log that a former owner left once more, as it is, and wait for the disk.

    What that owner could not make durable is read back from memory like everything else; commits that are appended
    behind it would go with it at the next power failure. Raises `StoreError`.
    """
    path = directory / LOG
    if not path.exists():
        return
    with translated():
        try:
            log = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB, 0])
        except apsw.CantOpenError as broken:
            raise StoreReadOnly(f"the database's log {path} cannot be opened: {broken}") from broken
        try:
            size = log.xFileSize()
            for offset in range(0, size, _PIECE_BYTES):
                log.xWrite(log.xRead(min(_PIECE_BYTES, size - offset), offset), offset)
            if size:
                log.xSync(apsw.SQLITE_SYNC_FULL)
        finally:
            log.xClose()


def renewed_writer(directory: Path, failed: apsw.Connection) -> apsw.Connection:
    """Return a new writer in place of one whose disk failed, once everything acknowledged is in the database file.

    The transaction that failed is cut off with the log, so what was refused cannot come back with a restart. The reader
    must be open: with it lives SQLite's memory of which transactions in the log are committed. Raises `StoreError` as
    long as the disk fails.
    """
    let_go(failed)
    writer = connect(directory, writable=True)
    try:
        with translated():
            _, pages, moved = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
            if moved != pages:
                raise StoreUnavailable(
                    "another program reads the database, which must first recover from a failed disk"
                )
    except BaseException:
        let_go(writer)
        raise
    report("store.recovered", directory=str(directory))
    return writer


def let_go(connection: apsw.Connection) -> None:
    """Close a connection whatever the disk says to it: everything that was acknowledged is in the log already."""
    try:
        connection.close(True)
    except apsw.Error as broken:
        report("store.close_failed", error=f"{type(broken).__name__}: {broken}")


def checkpointer(failed: Callable[[], None]) -> Callable[[apsw.Connection, str, int], int]:
    """Return the hook that moves a log of enough pages into the database, as SQLite's own would.

    The commit before it is durable either way. But SQLite keeps a checkpoint's failure to itself: here it is reported,
    and `failed` is called.
    """

    def checkpoint(writer: apsw.Connection, name: str, pages: int) -> int:
        if pages >= CHECKPOINT_PAGES:
            try:
                writer.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as broken:
                report("store.checkpoint_failed", error=f"{type(broken).__name__}: {broken}")
                failed()
        return apsw.SQLITE_OK

    return checkpoint
