"""A partition for each month of runs, made before the month begins.

A run's id begins with the instant of its creation, so a month's runs are a range of ids and lie together in `runs` and
in every table of their records. What belongs to no month that was made (a restored run, a month that could not be made
in time) lies in the DEFAULT partitions; a month of which runs lie there is not made any more.
"""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg

from runwright import ids
from runwright.store.migrations.ddl import PARTITIONED
from runwright.store.postgres import locks, row_security
from runwright.store.postgres.connection import Connection, translated
from runwright.telemetry import report

AHEAD = 2
"""How many months are made ahead."""
MONTHS_MAX = 240
"""How many months are made for runs that come from elsewhere; later ones lie in the DEFAULT partitions."""
EVERY_S = 3600.0
LOCK_WAIT = "2s"
"""For how long a new partition may make everybody wait behind it: if it takes longer, the next try is soon enough."""
LOCK = locks.hashed("duty", "partitions")
THERE = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1::text[])"
)

SECURED = (
    "SELECT c.relrowsecurity FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent"
    " WHERE i.inhrelid = to_regclass($1::text)"
)


async def prepare(connection: Connection, now: int) -> None:
    """Make this month's partitions and the next ones', where they are missing. Without the right to, only say so."""
    missing = await _missing(connection, now)
    if not missing:
        return
    with translated():
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                if await connection.fetchval(locks.TRY, LOCK):
                    for name in await _missing(connection, now):
                        await connection.execute(missing[name])
                        await _closed(connection, name)
        except asyncpg.PostgresError as refused:
            report("partitions.not_made", error=str(refused))


async def make(connection: Connection, first: int, last: int) -> None:
    """Make the partitions of every month from one instant to another, in the caller's transaction."""
    for month in range(MONTHS_MAX):
        if month and _instant(*_later(first, month)) > last:
            return
        wanted = dict(_month(first, month))
        there = {row[0] for row in await connection.fetch(THERE, list(wanted))}
        for name, statement in wanted.items():
            if name not in there:
                await connection.execute(statement)
                await _closed(connection, name)


async def _closed(connection: Connection, name: str) -> None:
    """Close a new month of a table that has row-level security."""
    if await connection.fetchval(SECURED, name):
        await connection.execute("; ".join(row_security.secured(name)))


async def _missing(connection: Connection, now: int) -> dict[str, str]:
    wanted = dict(statement for month in range(AHEAD + 1) for statement in _month(now, month))
    with translated():
        there = {row[0] for row in await connection.fetch(THERE, list(wanted))}
    return {name: statement for name, statement in wanted.items() if name not in there}


def _month(now: int, ahead: int) -> list[tuple[str, str]]:
    """Return the name of each table's partition and the statement that makes it, so many months from an instant."""
    year, month = _later(now, ahead)
    low = ids.floor("run", _instant(year, month))
    high = ids.floor("run", _instant(year + month // 12, month % 12 + 1))
    made = []
    for table in PARTITIONED:
        name = f"{table}_{year:04}_{month:02}"
        made.append((name, f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')"))
    return made


def _later(now: int, months: int) -> tuple[int, int]:
    """Return the year and month so many months after that of an instant."""
    year, month = _calendar(now)
    return year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1


def _calendar(now: int) -> tuple[int, int]:
    """Return the year and month (UTC) of an instant."""
    day = datetime.fromtimestamp(now / 1_000_000, UTC)
    return day.year, day.month


def _instant(year: int, month: int) -> int:
    """Return the instant at which a month (UTC) begins."""
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
