"""Stock a data directory with finished runs, as fast as the store's own statements write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ceiling import Owner, lives
from runwright.auth.keyring import Keyring
from runwright.clock import SystemClock
from runwright.store.sqlite import hot
from runwright.store.sqlite.store import SqliteStore

CHUNK = 5_000


async def stock(data_dir: Path, job: dict[str, Any], count: int, tell: Callable[[str], None]) -> str:
    """Write so many finished runs of a job, a microsecond apart and in the past; return the id of the middle one.

    Nobody else may have the data directory open. Payloads and results are sealed with the project's key, so that
    reading them costs what it costs.
    """
    clock = SystemClock()
    store = SqliteStore(data_dir, clock)
    await store.open()
    try:
        keyring = await Keyring.unlock(store, None, data_dir)
        project_id: str = job["project_id"]

        def seal(run_id: str, name: str, value: bytes) -> bytes:
            return keyring.seal(project_id, value, f"{run_id}/{name}")

        cursor = store.raw_writer().cursor()
        found = cursor.execute("SELECT org_id, job_version_id FROM jobs WHERE job_id = ?", (job["id"],)).fetchall()
        owner = Owner(str(found[0][0]), project_id, job["id"], str(found[0][1]))
        past, middle = clock.now() - 60_000_000 - count, ""
        for start in range(0, count, CHUNK):
            begins, ends = lives(min(CHUNK, count - start), past + start, owner, seal)
            for begin, end in zip(begins, ends, strict=True):
                for changes in (begin, end):
                    cursor.execute("BEGIN IMMEDIATE")
                    hot.apply(cursor, changes, past + start)
                    cursor.execute("COMMIT")
            if not middle and start + CHUNK >= count // 2:
                middle = begins[len(begins) // 2].births[0].run.run_id
            tell(f"building: {start + len(begins) * 100} of {count} runs")
    finally:
        await store.close()
    return middle
