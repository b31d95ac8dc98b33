"""The database that a figure is taken on: SQLite in the data directory, or a PostgreSQL from a package.

Both answer only once a write is on the disk. Every round has a new, empty database; all rounds of a measurement have
one PostgreSQL, which ends with it.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.postgres import GUARD, Server, execute, of

SQLITE, POSTGRESQL, SECURED = "SQLite", "PostgreSQL", "PostgreSQL with row-level security"
DURABLE = (
    "fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=4GB",
    "max_connections=300", "listen_addresses=127.0.0.1", "unix_socket_directories=",
)  # fmt: skip
"""How the PostgreSQL of every measurement is set, ours and the peers'; the rest is as it comes."""
MASTER_KEY = "6d" * 32
OWNER = "owner"

Fresh = Callable[[], dict[str, Any]]
"""Returns the settings that let a server use a new, empty database."""


@contextmanager
def databases(on: str) -> Iterator[Fresh]:
    """Yield what makes a new database for each round, of the kind asked for."""
    if on == SQLITE:
        yield dict
        return
    with postgresql() as server:
        numbers = itertools.count(1)
        if on == SECURED:  # it holds for everybody but superusers
            execute(server.url, f"CREATE ROLE {OWNER} LOGIN")

        def fresh() -> dict[str, Any]:
            name = f"round{next(numbers)}"
            execute(server.url, f"CREATE DATABASE {name} TEMPLATE template0")
            url, settings = of(server.url, name), {"master_key": MASTER_KEY}
            if on == SECURED:
                execute(server.url, f"ALTER DATABASE {name} OWNER TO {OWNER}")
                return {
                    **settings,
                    "database_url": url.replace("postgres@", f"{OWNER}@"),
                    "database_row_security": True,
                }
            return {**settings, "database_url": url}

        yield fresh


@contextmanager
def postgresql(*settings: str) -> Iterator[Server]:
    """Run a PostgreSQL that keeps what it acknowledged; `settings` are added to its command line.

    Its guard ends it and removes its files when this process is gone, however that ended.
    """
    directory = Path(tempfile.mkdtemp(prefix="runwright-bench-"))
    words = ["/bin/sh", "-c", GUARD, "guard", str(directory)]
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        server = Server(directory, (*DURABLE, *settings))
        server.make()
        server.start()
        yield server
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()
