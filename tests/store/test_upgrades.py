"""A database of an earlier version is brought up to date with what is in it."""

from pathlib import Path

import apsw
import msgspec

from runwright.clock import FrozenClock
from runwright.store import migrations
from runwright.store.sqlite.connection import FILE
from runwright.store.sqlite.store import SqliteStore
from tests.domain.specimens import History
from tests.store.rows_of import lane

IDENTITY = "run_id, org_id, project_id, kind, state, attempt, lease_epoch, seq, hash, at, since_at"
TIMES = "queue_wait_us, queued_us, active_us, waiting_us, opening"


def as_of(directory: Path, number: int) -> apsw.Connection:
    """Return a database as the version of a migration left it."""
    connection = apsw.Connection(str(directory / FILE))
    connection.execute(
        "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT, checksum TEXT, applied_at BIGINT)"
    )
    for migration in migrations.load("sqlite")[:number]:
        connection.execute(migration.sql)
        row = (migration.number, migration.name, migration.checksum, 0)
        connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", row)
    return connection


async def test_runs_that_were_ready_before_there_were_lanes_are_in_theirs(tmp_path: Path):
    old = as_of(tmp_path, 1)
    ready = {queue: History(queue=queue).standing for queue in ("default", "slow")}
    for queue, run in ready.items():
        spec = run.spec
        row = (spec.run_id, spec.org_id, spec.project_id, "job", "queued", 1, 0, 1, run.hash, 0, 0, 0, 0, 0, 0)
        places = ", ".join("?" * (len(row) + 1))
        old.execute(f"INSERT INTO runs ({IDENTITY}, {TIMES}) VALUES ({places})", (*row, msgspec.json.encode(spec)))
        old.execute("INSERT INTO ready VALUES (?, 1.5, ?)", (queue, spec.run_id))
    old.close()
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    try:
        assert await store.lanes() == [lane("default"), lane("slow")]
        taken = await store.write(lambda tx: tx.take([lane("slow")], 5))
        assert taken == [ready["slow"].run_id]
    finally:
        await store.close()
