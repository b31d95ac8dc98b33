"""Numbered, forward-only, checksummed changes of the schema: one folder of SQL files for each database."""

from __future__ import annotations

import hashlib
from importlib import resources

import msgspec

from runwright.errors import SchemaMismatch


class Migration(msgspec.Struct, frozen=True):
    """One file `NNNN_name.sql`: its number, its name, its statements, and the SHA-256 of its bytes."""

    number: int
    name: str
    sql: str
    checksum: str


def load(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations of a database, in order; numbers start at 1 and have no gap."""
    folder = resources.files(__name__) / dialect
    found = []
    for file in sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name):
        body = file.read_bytes()
        number, _, name = file.name.removesuffix(".sql").partition("_")
        found.append(Migration(int(number), name, body.decode("utf-8"), hashlib.sha256(body).hexdigest()))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaMismatch(f"the migrations of {dialect} are not numbered 1, 2, 3 …")
    return tuple(found)


def pending(known: tuple[Migration, ...], applied: dict[int, str]) -> tuple[Migration, ...]:
    """Return the migrations still to apply, given number → checksum of those that were.

    Raises `SchemaMismatch` for a database that is newer than this program or whose past was edited.
    """
    newer = [number for number in applied if number > len(known)]
    if newer:
        raise SchemaMismatch(
            f"the database has schema {max(newer)}, this version of Runwright knows {len(known)}; upgrade Runwright"
        )
    for migration in known:
        checksum = applied.get(migration.number)
        if checksum is not None and checksum != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.number} ({migration.name}) is not the one that this database was made with"
            )
    return tuple(migration for migration in known if migration.number not in applied)
