"""A partition for each month of runs, made before the month begins.

A run's id begins with the instant of its creation, so a month's runs are a range of ids and lie together in `runs` and
in every table of their records. What belongs to no month that was made (a restored run, a month that could not be made
in time) lies in the DEFAULT partitions; a month of which runs lie there is not made any more.

Retention takes runs out of their months row by row, on any server: first their records, much later the runs. Whoever
owns the tables drops what is over and holds nothing, the month of the records and then that of the runs: whether
retention emptied it need not be known, for a run whose log is kept, live or not, has rows in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from runwright import ids
from runwright.domain.instants import DAY_US
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

DROP_WAIT = "500ms"
"""The same for one that goes: shorter than it takes PostgreSQL to find a deadlock, so that it is us who let go."""
DROP_TRIES = 4
EVERYBODY = row_security.named(row_security.EVERYBODY)
RUNS = ("runs",)
RECORDS = tuple(table for table in PARTITIONED if table not in RUNS)
"""What goes together: a run that is not thinned has an event, so that its month of records holds something."""
MINE = (
    "SELECT right(c.relname, 7) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass($1::text) AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'"
    " AND pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
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
    made: set[str] = set()
    with translated():
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                if await connection.fetchval(locks.TRY, LOCK):
                    for name in await _missing(connection, now):
                        await connection.execute(missing[name])
                        await _closed(connection, name)
                        made.add(name[-len("2027_01") :])
        except asyncpg.PostgresError as refused:
            report("partitions.not_made", error=str(refused))
            return
    if made:
        report("partitions.made", months=", ".join(sorted(made)))


async def drop(connection: Connection, now: int) -> list[str]:
    """Drop the months that are over and hold nothing any more, and return those of runs: retention has emptied them.

    A run that is kept, and so every live one, keeps its month, and its log that of the records; who does not own the
    tables drops none.
    """
    dropped: list[str] = []
    for tables in (RECORDS, RUNS):
        with translated():
            past = [row[0] for row in await connection.fetch(MINE, tables[-1]) if _is_over(row[0], now)]
            dropped = [month for month in past if await _dropped(connection, tables, month)]
        if dropped:
            report("partitions.dropped", tables=", ".join(tables), months=", ".join(dropped))
    return dropped


def _holds(tables: Sequence[str]) -> str:
    rows = (f"EXISTS (SELECT FROM {table} WHERE run_id >= $1::text AND run_id < $2::text)" for table in tables)
    return f"SELECT {' OR '.join(rows)}"


async def _dropped(connection: Connection, tables: Sequence[str], month: str) -> bool:
    holds = _holds(PARTITIONED if tables == RUNS else tables)
    low, high = (ids.floor("run", instant) for instant in _span(*map(int, month.split("_"))))
    for tried in range(1, DROP_TRIES + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"{EVERYBODY}; SET LOCAL lock_timeout = '{DROP_WAIT}'")
                if await connection.fetchval(holds, low, high) or not await connection.fetchval(locks.TRY, LOCK):
                    return False
                # Of its table, not by itself: closed months show nothing. Nobody writes to it from here on.
                await connection.execute(f"LOCK TABLE {', '.join(f'ONLY {table}' for table in tables)}")
                if await connection.fetchval(holds, low, high):
                    return False
                await connection.execute(f"DROP TABLE {', '.join(f'{table}_{month}' for table in tables)}")
                return True
        except asyncpg.PostgresError as refused:
            if tried == DROP_TRIES or not isinstance(refused, asyncpg.LockNotAvailableError):
                report("partitions.not_dropped", month=month, error=str(refused))
                return False
    raise AssertionError("unreachable")


def _is_over(month: str, now: int) -> bool:
    """Tell whether no run of a month (`2027_01`) can be made any more, by any clock that is only a little wrong."""
    return _span(*map(int, month.split("_")))[1] + DAY_US <= now


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
    low, high = (ids.floor("run", instant) for instant in _span(year, month))
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


def _span(year: int, month: int) -> tuple[int, int]:
    """Return the instants at which a month (UTC) begins and ends."""
    return _instant(year, month), _instant(year + month // 12, month % 12 + 1)


def _instant(year: int, month: int) -> int:
    """Return the instant at which a month (UTC) begins."""
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
