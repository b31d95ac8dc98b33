"""Months that retention has emptied are dropped, by who owns them; none that holds anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from runwright import ids
from runwright.clock import FrozenClock
from runwright.store.base import ChangeSet
from runwright.store.migrations.ddl import PARTITIONED
from runwright.store.postgres import partitions
from runwright.store.postgres.store import PostgresStore
from tests.domain.specimens import HOUR, T0, History
from tests.postgres import execute, new_database, rows, secured_database
from tests.store.rows_of import born, history, pruned, thinned, value, write

MONTH_S = 31 * 86_400
MONTHS = (
    "SELECT right(relname, 7) FROM pg_class WHERE relname ~ '^{table}_[0-9]' AND relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace ORDER BY 1"
)


@pytest.fixture
def url() -> Iterator[str]:
    """Yield the URL of a new database."""
    with new_database(unused=True) as url:
        yield url


def months(url: str, table: str = "runs") -> list[str]:
    """Return the months that a table has partitions for."""
    return [row[0] for row in rows(url, MONTHS.format(table=table))]


async def opened(url: str, later_s: float = 0, **options: Any) -> PostgresStore:
    """Return an open store, some time after the first month began."""
    clock = FrozenClock()
    clock.advance(later_s)
    store = PostgresStore(url, clock, **options)
    await store.open()
    return store


async def test_a_month_goes_when_it_is_over_and_its_last_run_is_pruned(url: str):
    store = await opened(url)
    made = [history(ended=True) for _ in range(3)]
    await write(store, born(*made))
    await write(store, ChangeSet(values=[value(made[0].standing.run_id, "output", "small")]))
    await store.close()
    store = await opened(url, 3 * MONTH_S)
    assert months(url)[0] == "2027_01"
    assert "2027_02" not in months(url), "over, and never used"
    assert len(await pruned(store, T0 + HOUR, 2)) == 2
    await store.close()
    await (await opened(url, 3 * MONTH_S)).close()
    assert months(url)[0] == "2027_01"
    store = await opened(url, 3 * MONTH_S)
    assert len(await pruned(store, T0 + HOUR, 2)) == 1
    await store.close()
    await (await opened(url, 3 * MONTH_S)).close()
    for table in ("runs", "run_events", "run_values", "attempts"):
        assert months(url, table)[0] == "2027_04", table


async def test_the_records_of_a_month_go_while_the_summaries_of_its_runs_stay(url: str):
    store = await opened(url)
    made, kept = [history(ended=True) for _ in range(3)], history(ended=True)
    await write(store, born(*made, kept))
    await store.close()
    store = await opened(url, 3 * MONTH_S)
    assert len((await thinned(store, T0 + HOUR, 3))[0]) == 3
    await store.close()
    await (await opened(url, 3 * MONTH_S)).close()
    assert months(url, "run_events")[0] == "2027_01", "a log that is kept keeps it"
    store = await opened(url, 3 * MONTH_S)
    assert (await thinned(store, T0 + HOUR, 3))[0] == [kept.standing.run_id]
    await store.close()
    store = await opened(url, 3 * MONTH_S)
    for table in ("run_events", "run_values", "attempts"):
        assert months(url, table)[0] == "2027_04", table
    assert months(url)[0] == "2027_01"
    for each in (*made, kept):
        record = await store.record(each.standing.run_id)
        assert record is not None
        assert record.run == each.standing
        assert await store.events(each.standing.run_id, 0, 9) == []
    await store.close()


async def test_a_live_run_keeps_its_month_and_the_months_beside_it_go(url: str):
    living: History = history()
    store = await opened(url)
    await write(store, born(living))
    await store.close()
    for later_s in (3 * MONTH_S, 9 * MONTH_S, 30 * MONTH_S):
        store = await opened(url, later_s)
        assert await pruned(store, store._clock.now(), 100) == []
        assert months(url)[0] == "2027_01"
        assert len(months(url)) == 4
        record = await store.record(living.standing.run_id)
        assert record is not None
        assert record.run == living.standing
        assert await store.events(living.standing.run_id, 0, 9) == living.events
        await store.close()


async def test_records_without_their_run_keep_the_month_for_whoever_looks_into_it(url: str):
    store = await opened(url)
    run = history(ended=True)
    await write(store, born(run))
    await store.close()
    execute(url, "DELETE FROM runs")
    await (await opened(url, 3 * MONTH_S)).close()
    assert months(url, "run_events")[0] == "2027_01"


async def test_a_month_is_not_over_before_every_clock_says_so(url: str):
    for later_s, there in ((MONTH_S + 0.9 * 86_400 - _into_the_month_s(), True), (MONTH_S + 86_401, False)):
        await (await opened(url, later_s)).close()
        assert ("2027_01" in months(url)) is there


def _into_the_month_s() -> float:
    return (FrozenClock().now() - partitions._instant(2027, 1)) / 1e6


async def test_a_run_of_a_month_that_was_dropped_can_still_be_put_back(url: str):
    store = await opened(url, 3 * MONTH_S)
    run = history(ended=True)
    assert ids.time_of(run.standing.run_id) < partitions._instant(2027, 2)
    await write(store, born(run))
    assert await store.record(run.standing.run_id) is not None
    assert rows(url, "SELECT DISTINCT tableoid::regclass::text FROM runs") == [("runs_default",)]
    await store.close()


async def test_who_does_not_own_the_tables_leaves_the_months_to_the_owner():
    with secured_database() as (superuser, server):
        store = await opened(server, 3 * MONTH_S, migrate=False, row_security=True)
        await store.close()
        assert months(superuser)[0] == "2027_01"


async def test_row_level_security_hides_no_run_from_who_drops():
    with secured_database() as (superuser, server):
        role = urlsplit(server).username
        store = await opened(server, migrate=False, row_security=True)
        await write(store, born(history(), history(ended=True)))
        await store.close()
        owned = [f"{table}{month}" for table in PARTITIONED for month in ("", "_2027_01", "_2027_02")]
        execute(superuser, f"GRANT CREATE ON SCHEMA public TO {role}")
        execute(superuser, ";".join(f"ALTER TABLE {name} OWNER TO {role}" for name in owned))
        connection = await asyncpg.connect(server)
        try:
            later = FrozenClock()
            later.advance(4 * MONTH_S)
            assert await partitions.drop(connection, later.now()) == ["2027_02"]
        finally:
            await connection.close()
        assert "2027_01" in months(superuser)
        execute(superuser, f"REASSIGN OWNED BY {role} TO {os.environ.get('PGUSER', 'postgres')}")


async def test_a_month_that_somebody_is_reading_is_left_for_the_next_time(url: str):
    reader = await asyncpg.connect(url)
    try:
        await reader.execute("BEGIN; SELECT FROM runs")
        connection = await asyncpg.connect(url)
        later = FrozenClock()
        later.advance(3 * MONTH_S)
        assert await partitions.drop(connection, later.now()) == []
        await reader.execute("COMMIT")
        assert await partitions.drop(connection, later.now()) == ["2027_01", "2027_02", "2027_03"]
        await connection.close()
    finally:
        await reader.close()
