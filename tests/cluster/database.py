"""A PostgreSQL of a test's own, that it may end, kill, restart, copy and promote; what it acknowledged it keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from tests.docs.pages import blocks
from tests.postgres import Server
from tests.waiting import until

# Processes end here, machines do not: what was written to the kernel stays, and need not be synced to a disk.
SETTINGS = (
    "fsync=off", "full_page_writes=off", "synchronous_commit=on", "wal_level=replica", "max_wal_senders=4",
    "max_connections=200", "shared_buffers=64MB", "listen_addresses=127.0.0.1", "unix_socket_directories=",
    "hot_standby=on", "wal_receiver_status_interval=1s",
)  # fmt: skip
DATABASE = "cluster"
PAGE = "docs/how-to/run-on-postgresql.md"
THERE = "/var/lib/postgresql/data"
"""Where the page has a PostgreSQL lie."""


class Primary:
    """A PostgreSQL with an empty database; `settings` are added to those of its command line."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.server = Server(directory, (*SETTINGS, *settings))

    @property
    def port(self) -> int:
        """Return the port, which stays the same."""
        return self.server.port

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL of the database."""
        return url_of(self.address)

    async def make(self) -> None:
        """Make it, start it, and make the database."""
        await asyncio.to_thread(self.server.make)
        await self.start()
        await self.execute(f"CREATE DATABASE {DATABASE}")

    async def start(self) -> None:
        """Start it, and return when it answers."""
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        """End it as `-m immediate` does: without a word to anybody, to be recovered at the next start."""
        await asyncio.to_thread(self.server.stop, "immediate")

    async def execute(self, *statements: str) -> list[asyncpg.Record]:
        """Run statements, each on its own, and return the rows of the last."""
        connection = await asyncpg.connect(self.server.url)
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
        finally:
            await connection.close()

    def kill(self) -> None:
        """Kill it and all its processes at once, by SIGKILL."""
        postmaster = int((self.server.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # so that it makes no more of them meanwhile
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in [postmaster, *map(int, children)]:
            os.kill(pid, signal.SIGKILL)

    async def standby(self, directory: Path) -> Primary:
        """Return a running copy that follows this one; from now on each commit waits until the copy has it too."""
        copy = Primary(directory)
        self.let_in(copy.server.data)
        await self.execute(page("CREATE ROLE replicator"))
        making = page("application_name=standby").replace("host=db1", f"host=127.0.0.1 port={self.port}")
        await asyncio.to_thread(self.server.shell, making.replace(THERE, str(copy.server.data)))
        (copy.server.data / "postmaster.pid").unlink(missing_ok=True)
        await copy.start()
        _, setting = page("synchronous_standby_names").split("\n", 1)
        await self.execute(f"ALTER SYSTEM SET {setting}", "SELECT pg_reload_conf()")
        await until(lambda: self.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum'"))
        return copy

    def let_in(self, directory: Path) -> None:
        """Make a directory that PostgreSQL may write to."""
        directory.mkdir(parents=True, mode=0o700)
        stat = self.server.data.stat()
        os.chown(directory, stat.st_uid, stat.st_gid)

    async def promote(self) -> None:
        """Make a standby the one that is written to."""
        await asyncio.to_thread(self.server.run, "pg_ctl", "-D", str(self.server.data), "-w", "promote")

    async def end(self) -> None:
        """End it if it runs."""
        with suppress(FileNotFoundError, ProcessLookupError):
            self.kill()


def page(part: str) -> str:
    """Return the block of the page on PostgreSQL that has this in it."""
    (block,) = [each.text for each in blocks(PAGE) if part in each.text]
    return block.strip()


def url_of(*addresses: str) -> str:
    """Return the URL of the database on these hosts, of which one can be written: TLS is asked for, as by default."""
    return f"postgresql://postgres@{','.join(addresses)}/{DATABASE}?sslmode=prefer"


@asynccontextmanager
async def a_place() -> AsyncIterator[Path]:
    """Yield a directory that another user can be let into, as PostgreSQL needs where the tests are root."""
    directory = Path(tempfile.mkdtemp(prefix="runwright-cluster-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def primary(*settings: str) -> AsyncIterator[Primary]:
    """Open a PostgreSQL of the test's own, and end it."""
    async with a_place() as directory:
        made = Primary(directory / "primary", *settings)
        try:
            await made.make()
            yield made
        finally:
            await made.end()
