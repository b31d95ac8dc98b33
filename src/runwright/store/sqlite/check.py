"""Check a data directory: the file, its schema, every log, every artifact, every limit.

It only reads, and one state of the database: a server may write meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec

from runwright.domain.chain import Break, genesis, verify
from runwright.domain.erasure import ACTION, receipt
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.errors import SchemaMismatch
from runwright.store import audit, migrations, rows
from runwright.store.base import Row
from runwright.store.sqlite import hot
from runwright.store.sqlite.connection import FILE, translated
from runwright.store.sqlite.upgrade import applied

Progress = Callable[[str, int, int], None]
BATCH = 500
_EVENTS = f"SELECT {', '.join(Event.__struct_fields__)} FROM run_events WHERE run_id = ? ORDER BY seq"


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be: where, of what, and how."""

    where: str
    what: str
    how: str


def check(directory: Path, tell: Progress) -> list[Finding]:
    """Return everything that is wrong with a data directory or a backup, nothing for one that is whole."""
    connection = apsw.Connection(str(directory / FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(10_000)
    with closing(connection), translated():
        connection.execute("PRAGMA query_only = 1")
        connection.execute("BEGIN")
        try:
            schema(connection)
        except SchemaMismatch as wrong:
            return [Finding("schema", FILE, wrong.detail)]
        return [
            *_integrity(connection),
            *_logs(connection, tell),
            *_audit_logs(connection),
            *_limits(connection),
            *_artifacts(connection, directory, tell),
        ]


def schema(connection: apsw.Connection) -> int:
    """Return the number of a database's schema. Raises `SchemaMismatch` unless this program may use it as it is."""
    found = migrations.status(migrations.load("sqlite"), applied(connection))
    if found.pending:
        raise SchemaMismatch(
            f"the database has schema {found.schema}, this version of Runwright has {found.known};"
            " run `runwright db upgrade`, or start a server once"
        )
    return found.schema


def _rows(connection: apsw.Connection, statement: str, *values: Any) -> list[Row]:
    found: list[Row] = connection.execute(statement, values).fetchall()
    return found


def _each(connection: apsw.Connection, statement: str) -> Iterator[Row]:
    """Yield rows as they are read: there may be more of them than memory holds."""
    cursor: Any = connection.cursor().execute(statement)
    yield from cursor


def _integrity(connection: apsw.Connection) -> Iterator[Finding]:
    for (told,) in _rows(connection, "PRAGMA integrity_check"):
        if told != "ok":
            yield Finding("database", FILE, str(told))


def _logs(connection: apsw.Connection, tell: Progress) -> Iterator[Finding]:
    count = _rows(connection, "SELECT count(*) FROM runs")[0][0]
    receipts = _receipts(connection)
    names = f"r.run_id, r.genesis, r.erased_at, {hot.LIVE}"
    live = "FROM runs r LEFT JOIN run_heads h USING (run_id) ORDER BY r.run_id"
    for number, row in enumerate(_each(connection, f"SELECT {names} {live}"), 1):
        run_id, root, erased_at, opening, *rest = row
        try:
            run = _run(opening, rest)
            broken = _log(connection, run, root or genesis(opening))
            left = None if erased_at is None else _receipt(run, root, opening)
        except (TypeError, ValueError) as nonsense:  # bytes that were made texts, JSON that is none
            yield Finding("log", run_id, f"cannot be read: {nonsense}")
            continue
        if broken is not None:
            yield Finding("log", run_id, f"event {broken.seq} was {broken.what}")
        if left is not None and receipts.get(run_id) != left:
            yield Finding("log", run_id, "what its erasure left is not what the audit log says")
        if number % BATCH == 0 or number == count:
            tell("logs", number, count)


def _run(opening: bytes, row: list[Any]) -> Run:
    after = len(rows.STANDING)
    live = tuple(row[after:])
    return rows.run_from(opening, tuple(row[:after]), live if live[0] is not None else None)


def _log(connection: apsw.Connection, run: Run, root: bytes) -> Break | None:
    events = (Event(*row) for row in _rows(connection, _EVENTS, run.run_id))
    return verify(root, (event.link() for event in events), run.hash)


def _receipt(run: Run, root: bytes | None, opening: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(receipt(run.seq, run.hash, root or b"", opening))


def _receipts(connection: apsw.Connection) -> dict[str, Any]:
    found = _rows(connection, "SELECT target, data FROM audit WHERE action = ?", ACTION)
    return {target: msgspec.json.decode(data) for target, data in found}


def _audit_logs(connection: apsw.Connection) -> Iterator[Finding]:
    names = ", ".join(audit.Entry.__struct_fields__)
    heads = _rows(connection, "SELECT org_id, number, hash FROM audit_heads")
    for org_id, number, head in heads:
        found = _rows(connection, f"SELECT {names} FROM audit WHERE org_id = ? ORDER BY number", org_id)
        entries = [audit.Entry(*row) for row in found]
        broken = audit.verify(org_id, entries, head)
        if broken is None and len(entries) != number:
            broken = Break(len(entries) + 1, "dropped")
        if broken is not None:
            yield Finding("audit log", org_id, f"entry {broken.seq} was {broken.what}")


def _limits(connection: apsw.Connection) -> Iterator[Finding]:
    owners: Counter[str] = Counter()
    for row in _rows(connection, f"SELECT {hot.LIVE} FROM run_heads h JOIN runs r USING (run_id)"):
        run = _run(row[0], list(row[1:]))
        for limit in run.spec.limits if run.owns_slots else ():
            owners[limit.key] += 1
    used = {key: used for key, used in _rows(connection, "SELECT limit_key, used FROM limits") if used}
    for key in sorted(used.keys() | owners.keys()):
        if used.get(key, 0) != owners[key]:
            yield Finding("limit", key, f"{used.get(key, 0)} slots are used, {owners[key]} runs own one")


def _artifacts(connection: apsw.Connection, directory: Path, tell: Progress) -> Iterator[Finding]:
    named = [row[0] for row in _rows(connection, NAMED)]
    for number, digest in enumerate(named, 1):
        path = directory / "artifacts" / digest[:2] / digest[2:]
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            found = None
        if found is None:
            yield Finding("artifact", digest, "is missing")
        elif found != digest:
            yield Finding("artifact", digest, "has other bytes than its digest says")
        tell("artifacts", number, len(named))


NAMED = "SELECT artifact FROM run_values WHERE artifact IS NOT NULL UNION SELECT digest FROM artifacts"
