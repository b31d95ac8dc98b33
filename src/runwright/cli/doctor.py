"""`runwright doctor`: is this machine fit, are the settings right, is the server well? Each line says what to do."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Literal

import apsw
import msgspec

from runwright import upkeep
from runwright.agents.providers import installed
from runwright.agents.providers.port import LocalBounds
from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, CommandError
from runwright.cli.hints import hint
from runwright.client.errors import ApiError, ClientError
from runwright.client.sync.api import Client
from runwright.clock import SystemClock
from runwright.config import Settings, load
from runwright.domain.scan_rules import BUILT_IN
from runwright.errors import Error, InvalidSettings
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means, NoSandbox
from runwright.scanners.available import Scanners
from runwright.scanners.trial import tried

SQLITE_LEAST = (3, 51, 3)
"""Earlier ones can corrupt a database in WAL mode."""

PYTHON_LEAST = (3, 11)
DISK_LEAST_BYTES = 100 << 20
DISK_SHORT_BYTES = 1 << 30
CLOCK_LEAST_US = 1_750_000_000_000_000  # June 2025: this program is younger

Level = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: how it is, and what to do where it is not well."""

    name: str
    level: Level
    finding: str
    advice: str = ""


def doctor(*, connection: Connection = HERE) -> int:
    """Check this machine, the settings and the server; exits with 1 if something must be mended.

    Example: `runwright doctor --json`
    """
    checks = list(_all(connection))
    if connection.json:
        printing.show_json(checks)
    else:
        printing.table(("", "check", "finding"), [(check.level, check.name, check.finding) for check in checks])
        for check in checks:
            if check.advice:
                printing.say(f"{check.level}: {check.name}: {check.advice}")
    return FAILED if any(check.level == "fail" for check in checks) else OK


def _all(connection: Connection) -> Iterator[Check]:
    yield _python()
    yield _sqlite()
    yield _clock()
    try:
        settings = load(os.environ, None, {"data_dir": connection.data_dir})
    except InvalidSettings as wrong:
        yield Check("settings", "fail", wrong.detail, "Correct the environment, or the file in RUNWRIGHT_CONFIG.")
        return
    yield Check("settings", "ok", "valid")
    for check in _directory(settings.data_dir):
        yield check
    if settings.database_url is not None:
        yield _database(settings)
    yield from _bucket(settings)
    yield from asyncio.run(_sandbox(settings))
    yield _local_model(settings)
    for check in _server(connection, settings):
        yield check


async def _sandbox(settings: Settings) -> tuple[Check, Check]:
    try:
        means = await Means.find(Bounds.of(settings))
    except NoSandbox as missing:
        wanted = settings.process_slots > 0
        advice = "Process runs are refused here; see docs/how-to/run-a-process.md." if wanted else ""
        check = Check("sandbox", "fail" if wanted else "warn", f"none works: {missing}", advice)
        return check, await _scanners(settings, None)
    try:
        return Check("sandbox", "ok", means.described()), await _scanners(settings, means)
    finally:
        means.close()


async def _scanners(settings: Settings, means: Means | None) -> Check:
    found = await tried(Scanners.of(settings), means)
    there = ", ".join((*BUILT_IN, *(name for name, why in found.items() if why is None)))
    absent = [f"{name}: {why}" for name, why in found.items() if why is not None]
    wanted = [name for name in settings.scanners if found.get(name) is not None]
    advice = f"RUNWRIGHT_SCANNERS names {', '.join(wanted)}; the extra `scanners` installs programs." if wanted else ""
    return Check("scanners", "warn" if wanted else "ok", "; ".join((f"{there} run here", *absent)), advice)


def _local_model(settings: Settings) -> Check:
    missing = installed.missing("local", LocalBounds.of(settings))
    if missing is None:
        return Check("local model", "ok", "installed")
    return Check("local model", "warn", "not installed here", f"Agents need another route. {missing}")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON_LEAST:
        return Check("python", "ok", found)
    return Check("python", "fail", found, "Use Python 3.11 or newer.")


def _sqlite() -> Check:
    found = apsw.sqlite_lib_version()
    finding = f"SQLite {found}, apsw {apsw.apsw_version()}"
    if tuple(map(int, found.split("."))) >= SQLITE_LEAST:
        return Check("sqlite", "ok", finding)
    return Check("sqlite", "fail", finding, "Install a newer apsw: this SQLite can corrupt a database in WAL mode.")


def _clock() -> Check:
    if SystemClock().now() >= CLOCK_LEAST_US:
        return Check("clock", "ok", "plausible")
    return Check("clock", "fail", "in the past", "Set the clock of this machine: leases and schedules go by it.")


def _directory(data_dir: Path) -> Iterator[Check]:
    there = next(place for place in (data_dir, *data_dir.absolute().parents) if place.exists())
    finding = str(data_dir) if there == data_dir else f"{data_dir} (will be made)"
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"?")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        advice = "Make it writable for this user, or choose another: RUNWRIGHT_DATA_DIR or --data-dir."
        yield Check("data directory", "fail", f"{finding}: {error.strerror}", advice)
        return
    yield Check("data directory", "ok", f"{finding}, writable")
    free = shutil.disk_usage(there).free
    level: Level = "fail" if free < DISK_LEAST_BYTES else "warn" if free < DISK_SHORT_BYTES else "ok"
    yield Check("disk", level, f"{free / (1 << 30):.1f} GiB free", "" if level == "ok" else "Free some space.")


def _database(settings: Settings) -> Check:
    try:
        found = asyncio.run(upkeep.status(settings))
        fits = None if found.pending else asyncio.run(upkeep.fits(settings))
    except Error as error:
        return Check("database", "fail", error.detail, "Look at RUNWRIGHT_DATABASE_URL, and at the database itself.")
    finding = f"PostgreSQL, schema {found.schema}, row-level security {found.row_security}"
    if found.pending:
        return Check("database", "fail", finding, f"Lacks {', '.join(found.pending)}: run `runwright db upgrade`.")
    if found.row_security != "off" and not settings.database_row_security:
        return Check("database", "fail", finding, "Set RUNWRIGHT_DATABASE_ROW_SECURITY=true, or servers cannot start.")
    if fits is False:
        advice = "Give RUNWRIGHT_MASTER_KEY as the other servers have it: no server starts with another."
        return Check("database", "fail", f"{finding}, made with another master key", advice)
    return Check("database", "ok", finding)


def _bucket(settings: Settings) -> Iterator[Check]:
    try:
        name = upkeep.probe(settings)
    except Error as error:
        yield Check("artifacts", "fail", error.detail, "Look at the settings RUNWRIGHT_S3_*, and at the bucket itself.")
        return
    if name is not None:
        yield Check("artifacts", "ok", f"{name} takes and gives back what is written to it")


def _server(connection: Connection, settings: Settings) -> Iterator[Check]:
    try:
        client = connection.client()
    except CommandError as error:
        yield Check("server", "fail", error.message, error.hint)
        return
    with client:
        try:
            health = client.health()
        except ClientError as error:
            yield from _unanswered(connection, settings, client.url, error)
            return
        ours = version_of("runwright")
        other = health.version is not None and health.version != ours
        finding = f"{client.url} answers, version {health.version or 'unknown'}"
        yield Check("server", "warn" if other else "ok", finding, f"This command has version {ours}." if other else "")
        yield _key(client, connection.resolve()[1] is not None)


def _unanswered(connection: Connection, settings: Settings, url: str, error: ClientError) -> Iterator[Check]:
    message, advice, _, _ = hint(error)
    if connection.url:  # it was named: then it should be there
        yield Check("server", "fail", message, advice)
        return
    yield Check("server", "warn", f"none answers at {url}", "Start one with `runwright serve`.")
    where = f"{settings.host}:{settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((settings.host, settings.port), family=family):
            yield Check("port", "ok", f"{where} is free")
    except OSError as taken:
        advice = "Choose another: --port or RUNWRIGHT_PORT (0 takes a free one)."
        yield Check("port", "fail", f"{where}: {taken.strerror}", advice)


def _key(client: Client, has_key: bool) -> Check:
    if not has_key:
        return Check("key", "warn", "none is known", "Give --api-key or set RUNWRIGHT_API_KEY.")
    try:
        me = client.me()
    except ApiError as error:
        message, advice, _, _ = hint(error)
        return Check("key", "fail", message, advice)
    return Check("key", "ok", f"valid, {len(me.scopes)} scopes")
