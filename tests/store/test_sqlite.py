"""What is SQLite's own: one process owns a data directory, and a directory that cannot be used says why."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from runwright.clock import FrozenClock
from runwright.errors import SchemaMismatch, StoreError, StoreLocked, StoreReadOnly, StoreUnavailable
from runwright.store import migrations
from runwright.store.base import ChangeSet
from runwright.store.sqlite.connection import FILE, LOCK, connect
from runwright.store.sqlite.store import SqliteStore
from tests.domain.specimens import HOUR, T0
from tests.store.rows_of import born, history, lease, within, write

NOBODY = 65534


async def opened(directory: Path) -> SqliteStore:
    store = SqliteStore(directory, FrozenClock())
    await store.open()
    return store


async def refused(directory: Path, why: type[StoreError]) -> StoreError:
    """Return why a directory could not be opened; nothing of it is held afterwards."""
    store = SqliteStore(directory, FrozenClock())
    with pytest.raises(why) as caught:
        await store.open()
    assert type(caught.value) is why
    await store.close()
    return caught.value


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a directory that everybody may enter, for tests of what nobody may write."""
    directory = Path(tempfile.mkdtemp(prefix="runwright-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Let permissions count for a test that root runs, too."""
    if os.getuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())


# --- one owner --------------------------------------------------------------------------------------------------------


async def test_a_second_opener_is_refused_and_told_who_holds_the_directory(tmp_path: Path):
    first = await opened(tmp_path)
    why = await refused(tmp_path, StoreLocked)
    assert f"process {os.getpid()}" in why.detail
    assert str(tmp_path) in why.detail
    await write(first, born(history()))  # the holder is not disturbed
    await first.close()
    await (await opened(tmp_path)).close()


async def test_the_lock_is_free_once_its_holder_was_killed(tmp_path: Path):
    command = [sys.executable, "-m", "tests.store.holder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        why = await refused(tmp_path, StoreLocked)
        assert f"process {holder.pid}" in why.detail
        holder.send_signal(signal.SIGKILL)
        assert holder.wait() == -signal.SIGKILL
    store = await opened(tmp_path)
    await write(store, born(history()))
    await store.close()


async def test_leases_of_workers_that_lived_in_the_last_process_are_over_at_once(tmp_path: Path):
    store = await opened(tmp_path)
    here, elsewhere = (history().standing.run_id for _ in range(2))
    leases = [lease(here, worker="local-wrk_1", until=T0 + HOUR), lease(elsewhere, worker="wrk_2", until=T0 + HOUR)]
    await write(store, ChangeSet(leases=leases))
    await store.close()
    reopened = await opened(tmp_path)
    assert [each.run_id for each in await reopened.lapsed(T0, 10)] == [here]
    await reopened.close()


# --- directories that cannot be used ----------------------------------------------------------------------------------


async def test_a_directory_that_cannot_be_written_is_read_only(public: Path):
    public.chmod(0o555)
    with unprivileged():
        why = await refused(public, StoreReadOnly)
    assert str(public) in why.detail
    assert "--data-dir" in why.detail


async def test_a_database_that_cannot_be_written_is_read_only(public: Path):
    await (await opened(public)).close()
    public.chmod(0o777)
    (public / LOCK).chmod(0o666)
    (public / FILE).chmod(0o444)
    with unprivileged():
        await refused(public, StoreReadOnly)


async def test_a_path_that_is_no_directory_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("not a directory")
    why = await refused(tmp_path / "file" / "data", StoreReadOnly)
    assert "--data-dir" in why.detail


@pytest.mark.parametrize("content", [b"this is no database at all " * 400, b"SQLite format 3\x00" + b"\xff" * 9000])
async def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    why = await refused(tmp_path, StoreError)
    assert str(tmp_path / FILE) in why.detail
    assert (tmp_path / FILE).read_bytes() == content, "it may be somebody's, and is left alone"


async def test_a_missing_directory_is_made(tmp_path: Path):
    store = await opened(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / FILE).is_file()
    await store.close()


# --- schemas ----------------------------------------------------------------------------------------------------------


async def altered(directory: Path, statement: str, *values: object) -> None:
    await (await opened(directory)).close()
    connection = connect(directory, writable=True)
    connection.execute(statement, values)
    connection.close()


async def test_a_newer_schema_is_refused(tmp_path: Path):
    newest = len(migrations.load("sqlite")) + 1
    await altered(tmp_path, "INSERT INTO migrations VALUES (?, 'of_tomorrow', 'checksum', 0, NULL)", newest)
    why = await refused(tmp_path, SchemaMismatch)
    assert str(newest) in why.detail
    assert "upgrade" in why.detail


async def test_an_edited_migration_is_refused(tmp_path: Path):
    await altered(tmp_path, "UPDATE migrations SET checksum = 'another' WHERE number = 1")
    why = await refused(tmp_path, SchemaMismatch)
    assert "migration 1" in why.detail


async def test_migrations_are_applied_once(tmp_path: Path):
    await (await opened(tmp_path)).close()
    store = await opened(tmp_path)
    await store.close()
    connection = connect(tmp_path, writable=False)
    applied = connection.execute("SELECT number, checksum FROM migrations ORDER BY number").fetchall()
    connection.close()
    assert applied == [(migration.number, migration.checksum) for migration in migrations.load("sqlite")]


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path):
    connection = connect(tmp_path, writable=True)
    connection.execute("CREATE TABLE runs (mine TEXT)")
    connection.close()
    await refused(tmp_path, StoreError)
    connection = connect(tmp_path, writable=False)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall() == [("runs",)]
    connection.close()


# --- durability -------------------------------------------------------------------------------------------------------


async def test_every_commit_waits_for_the_disk(tmp_path: Path):
    store = await opened(tmp_path)
    assert store._writer is not None
    assert store._writer.execute("PRAGMA synchronous").get == 2
    assert store._writer.execute("PRAGMA journal_mode").get == "wal"
    await store.close()


async def test_a_reader_cannot_write(tmp_path: Path):
    store = await opened(tmp_path)
    assert store._reader is not None
    with pytest.raises(apsw.ReadOnlyError):
        store._reader.execute("DELETE FROM runs")
    await store.close()


async def test_a_full_disk_refuses_the_write_and_keeps_nothing_of_it(tmp_path: Path):
    store = await opened(tmp_path)
    assert store._writer is not None
    pages = store._writer.execute("PRAGMA page_count").get
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    crowd = [history(payload=bytes(4000)) for _ in range(50)]
    with pytest.raises(StoreUnavailable, match="full"):
        await write(store, born(*crowd))
    assert await store.record(crowd[0].standing.run_id) is None
    store._writer.execute("PRAGMA max_page_count = 1000000")
    await write(store, born(*crowd))
    assert len(await store.payloads([each.standing.run_id for each in crowd])) == 50
    await store.close()


async def test_a_caller_cancelled_during_the_commit_frees_the_store_for_the_next(tmp_path: Path):
    store = await opened(tmp_path)
    run = history()
    writing = asyncio.create_task(write(store, born(run)))
    await asyncio.sleep(0)  # now it waits for the disk
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await write(store, born(history()))
    assert await within(store, "runs", [run.standing.run_id], {}) == {run.standing.run_id: run.standing}
    await store.close()
