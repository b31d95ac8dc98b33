"""Stock a database with finished runs: on SQLite by the store's own statements, on PostgreSQL by COPY of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from benchmarks.ceiling import Owner, Seal, lives, on_sqlite
from runwright import ids
from runwright.auth.keyring import Keyring
from runwright.clock import SystemClock
from runwright.domain.events import Event
from runwright.store import rows
from runwright.store.base import Attempt, ChangeSet, Row, Store
from runwright.store.postgres.connection import Connection, connect
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite.store import SqliteStore

CHUNK = 5_000
TABLES = {
    "runs": (*rows.IDENTITY, *rows.STANDING, "result"),
    "run_events": Event.__struct_fields__,
    "attempts": Attempt.__struct_fields__,
}
"""The tables that keep something of a finished run, and the columns that it fills."""
PATIENCE_S = 1800.0

Tell = Callable[[str], None]
Tables = dict[str, list[Row]]


async def stock(data_dir: Path, settings: Mapping[str, str], job: dict[str, Any], count: int, tell: Tell) -> str:
    """Write so many finished runs of a job, a microsecond apart and in the past; return the id of the middle one.

    No server may use the database meanwhile. Payloads and results are sealed with the project's key, so that reading
    them costs what it costs.
    """
    clock = SystemClock()
    past = clock.now() - 60_000_000 - count
    owner = Owner(job["org_id"], job["project_id"], job["id"], job["job_version_id"])
    if settings:
        url = settings["database_url"]
        seal = await _seal(PostgresStore(url, clock), settings["master_key"], None, owner)
        return await _copied(
            url, lambda start: lives(min(CHUNK, count - start), past + start, owner, seal), count, tell
        )
    seal = await _seal(SqliteStore(data_dir, clock), None, data_dir, owner)
    middle = ""
    async with on_sqlite(data_dir) as write:
        for start in range(0, count, CHUNK):
            begins, ends = lives(min(CHUNK, count - start), past + start, owner, seal)
            for changes in chain.from_iterable(zip(begins, ends, strict=True)):
                await write(changes, past + start)
            if not middle and start + CHUNK >= count // 2:
                middle = begins[len(begins) // 2].births[0].run.run_id
            tell(f"building: {start + len(begins) * 100} of {count} runs")
    return middle


async def _seal(store: Store, master_key: str | None, data_dir: Path | None, owner: Owner) -> Seal:
    """Return what seals the values of the owner's runs as the server will open them."""
    await store.open()
    try:
        keyring = await Keyring.unlock(store, master_key, data_dir)
    finally:
        await store.close()
    return lambda run_id, name, value: keyring.seal(owner.project_id, value, f"{run_id}/{name}")


async def _copied(
    url: str, make: Callable[[int], tuple[list[ChangeSet], list[ChangeSet]]], count: int, tell: Tell
) -> str:
    """Copy the rows of finished runs into the tables; return the id of the middle one.

    The first, the middle and the last chunk are whole lives. Those between them, which nobody asks for one by one, are
    the first chunk's under ids of their own: the same bytes, but sealed and chained for another id.
    """
    connection = await connect(url)
    try:
        await connection.execute("SET statement_timeout = 0; SET synchronous_commit = off")
        made: Tables = {}
        middle = ""
        for start in range(0, count, CHUNK):
            is_middle = not middle and start + CHUNK >= count // 2
            if not made or is_middle or start + CHUNK >= count:
                tables = _rows(*make(start))
                made = made or tables
                if is_middle:
                    middle = tables["runs"][len(tables["runs"]) // 2][0]
            else:
                tables = _renamed(made, start)
            for name, columns in TABLES.items():
                await connection.copy_records_to_table(name, records=tables[name], columns=columns, timeout=PATIENCE_S)
            tell(f"building: {start + len(tables['runs'])} of {count} runs")
        await _settled(connection, tell)
    finally:
        await connection.close()
    return middle


async def _settled(connection: Connection, tell: Tell) -> None:
    """Do what PostgreSQL would do in its own time, so that it does not do it beside the measurement."""
    tell("building: VACUUM and ANALYZE")
    for name in TABLES:
        await connection.execute(f"VACUUM (ANALYZE) {name}", timeout=PATIENCE_S)
    await connection.execute("CHECKPOINT", timeout=PATIENCE_S)


def _rows(begins: list[ChangeSet], ends: list[ChangeSet]) -> Tables:
    tables: Tables = {name: [] for name in TABLES}
    for begin, end in zip(begins, ends, strict=True):
        births = (rows.identity(birth) for birth in begin.births)
        ended = ((*rows.standing(run), result) for run, result in end.moved)
        tables["runs"] += [(*birth, *end) for birth, end in zip(births, ended, strict=True)]
        tables["run_events"] += map(astuple, chain(begin.events, end.events))
        tables["attempts"] += map(astuple, end.attempts)
    return tables


def _renamed(made: Tables, start: int) -> Tables:
    """Return the rows under ids of runs that were made `start` µs later."""
    names = {row[0]: ids.new_id("run", ids.time_of(row[0]) + start) for row in made["runs"]}
    opening, data = TABLES["runs"].index("opening"), TABLES["run_events"].index("data")
    return {
        "runs": list(_with(made["runs"], names, opening)),
        "run_events": list(_with(made["run_events"], names, data)),
        "attempts": [(names[row[0]], *row[1:]) for row in made["attempts"]],
    }


def _with(found: list[Row], names: Mapping[str, str], place: int) -> Iterator[Row]:
    for row in found:
        name, text = names[row[0]], row[place]
        told = text.replace(row[0].encode(), name.encode()) if text else text
        yield (name, *row[1:place], told, *row[place + 1 :])
