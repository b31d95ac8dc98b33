"""Numbered, forward-only, checksummed changes of the schema: one folder of SQL files for each database.

A migration that the code before it can live with says so in a line `-- works with: N`: code of schema N or later may
use the database after it. One without works with its own code only. The table `migrations` keeps that number of each,
so old code can tell whether a newer schema is still one for it (ADR 0033).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Literal

import msgspec

from runwright.errors import SchemaMismatch

TABLE = (
    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
    " applied_at BIGINT NOT NULL, least INTEGER)"
)
_WORKS_WITH = re.compile(r"^-- works with: (\d+)$", re.MULTILINE)


class Migration(msgspec.Struct, frozen=True):
    """One file `NNNN_name.sql`: its statements, the SHA-256 of its bytes, the least schema whose code it works with."""

    number: int
    name: str
    sql: str
    checksum: str
    least: int


class Applied(msgspec.Struct, frozen=True):
    """A migration that a database has; `least` is None where it was applied before there was that column."""

    number: int
    checksum: str
    least: int | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where a database stands, seen from this program."""

    schema: int
    """The number of the database's newest migration."""
    known: int
    """The number of this program's newest migration."""
    least: int
    """The smallest schema whose code may use the database."""
    pending: list[str]
    """The migrations that this program would apply."""
    row_security: Literal["on", "off", "partly"] | None = None
    """Whether PostgreSQL keeps the rows of organizations apart; SQLite cannot."""


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    """What an upgrade did: the migrations that it applied, and whether it switched row-level security."""

    applied: list[Migration]
    row_security: Literal["on", "off", "partly"] | None = None
    switched: bool = False


def load(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations of a database, in order; numbers start at 1 and have no gap."""
    folder = resources.files(__name__) / dialect
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    found = tuple(read(file.name, file.read_bytes()) for file in files)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaMismatch(f"the migrations of {dialect} are not numbered 1, 2, 3 …")
    return found


def read(file: str, body: bytes) -> Migration:
    """Return the migration that a file holds."""
    text = body.decode("utf-8")
    number, _, name = file.removesuffix(".sql").partition("_")
    works = _WORKS_WITH.search(text)
    least = int(works[1]) if works else int(number)
    return Migration(int(number), name, text, hashlib.sha256(body).hexdigest(), least)


def pending(known: Sequence[Migration], applied: Iterable[Applied]) -> tuple[Migration, ...]:
    """Return the migrations still to apply: none for a newer database that this code may use.

    Raises `SchemaMismatch` for a database that is too new for this program or whose past was edited.
    """
    had = {each.number: each for each in applied}
    least, newest = _least(had.values()), max(had, default=0)
    if least > len(known):
        raise SchemaMismatch(
            f"the database has schema {newest}, which a version of Runwright with schema {least} or later may use;"
            f" this one has {len(known)}: upgrade Runwright, or restore the backup that was taken before the upgrade"
        )
    for migration in known:
        found = had.get(migration.number)
        if found is not None and found.checksum != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.number} ({migration.name}) is not the one that this database was made with"
            )
    return tuple(migration for migration in known if migration.number not in had)


def status(known: Sequence[Migration], applied: Sequence[Applied]) -> Status:
    """Return where a database stands. Raises `SchemaMismatch` as `pending` does."""
    missing = pending(known, applied)
    return Status(
        schema=max((each.number for each in applied), default=0),
        known=len(known),
        least=_least(applied),
        pending=[f"{each.number:04} {each.name}" for each in missing],
    )


def refusal(known: Sequence[Migration], missing: Sequence[Migration]) -> SchemaMismatch:
    """Return what a server says that must not migrate and finds a database that it would have to."""
    return SchemaMismatch(
        f"the database has schema {missing[0].number - 1}, this version of Runwright needs {len(known)};"
        " run `runwright db upgrade` with a role that may change the schema, or set RUNWRIGHT_MIGRATE=true"
    )


def _least(applied: Iterable[Applied]) -> int:
    return max((each.number if each.least is None else each.least for each in applied), default=0)
