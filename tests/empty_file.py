"""The file of an empty SQLite database with the newest schema, made once for a test session and copied for each test.

To apply the migrations takes longer than many a test; the tests of migrations do without.
"""

import asyncio
import fcntl
import shutil
import threading
from pathlib import Path

from runwright.clock import FrozenClock
from runwright.store.sqlite.connection import FILE
from runwright.store.sqlite.store import SqliteStore
from tests import shared


def put_into(directory: Path) -> None:
    """Put an empty database into a directory that has none."""
    if (directory / FILE).exists():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(_template() / FILE, directory / FILE)


def _template() -> Path:
    template = shared.directory() / "empty"
    if (template / "made").exists():
        return template
    with (shared.directory() / "empty-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (template / "made").exists():
            making = threading.Thread(target=asyncio.run, args=(_make(template),))  # the caller's may have a loop
            making.start()
            making.join()
            (template / "made").touch()
    return template


async def _make(directory: Path) -> None:
    store = SqliteStore(directory, FrozenClock())
    await store.open()
    await store.close()
