"""What only PostgreSQL has: a schema that servers bring up together, partitions, and a session with settings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from runwright.clock import FrozenClock
from runwright.errors import SchemaMismatch, StoreError, StoreUnavailable
from runwright.store.base import ChangeSet
from runwright.store.postgres import changes, fields
from runwright.store.postgres.connection import Patience, connect
from runwright.store.postgres.escapes import escaped, plain
from runwright.store.postgres.store import PostgresStore
from runwright.store.query import Query
from tests.ports import kept
from tests.postgres import empty_database, execute, new_database, of, rows
from tests.store.rows_of import born, held, history, write

PARTITIONS = (
    "SELECT c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r' AND c.relname ~ '^runs_[0-9]'"
    " ORDER BY c.relname"
)
MONTH_S = 31 * 86_400
WORD = "hidden"


@pytest.fixture
def empty() -> Iterator[str]:
    """Yield the URL of a database without a table."""
    with empty_database() as url:
        yield url


@pytest.fixture
def url() -> Iterator[str]:
    """Yield the URL of an empty database with the newest schema."""
    with new_database(unused=True) as url:
        yield url


async def test_servers_that_start_at_once_bring_up_one_schema(empty: str):
    stores = [PostgresStore(empty, FrozenClock()) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    run = history()
    await write(stores[0], born(run))
    assert await stores[3].record(run.standing.run_id) is not None
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("counted", ["never", "while empty", "with rows"])
async def test_each_row_that_is_moved_is_looked_up_by_its_id_alone(url: str, counted: str):
    store = PostgresStore(url, FrozenClock())
    await store.open()
    if counted == "while empty":
        execute(url, "ANALYZE")
    if counted != "never":
        await write(store, born(*(history() for _ in range(100))))
        execute(url, "INSERT INTO run_values SELECT run_id, 'state', 'a', NULL, NULL, NULL, 0 FROM runs")
    if counted == "with rows":
        execute(url, "ANALYZE")
    written = [changes._together((name,)) for name in ("moved", "values_gone")] + [changes._alone(fields.REPLAYS)]
    connection = await connect(url)
    try:
        for statement in written:
            await connection.execute(f"PREPARE asked AS {statement}")
            nothing = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", statement))))
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked ({nothing})")]
            await connection.execute("DEALLOCATE asked")
            assert not [step for step in plan if "Join Filter" in step], plan
    finally:
        await connection.close()
        await store.close()


async def test_a_database_that_is_newer_than_the_program_is_refused(url: str):
    execute(url, "INSERT INTO migrations VALUES (999, 'later', 'x', 0)")
    with pytest.raises(SchemaMismatch, match="upgrade Runwright"):
        await PostgresStore(url, FrozenClock()).open()


async def test_a_database_in_another_encoding_is_refused_with_a_way_out(url: str):
    name = f"{url.rpartition('/')[2]}_latin"
    execute(url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(StoreError, match="ENCODING 'UTF8'"):
            await PostgresStore(of(url, name), FrozenClock()).open()
    finally:
        execute(url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_server_that_is_not_there_is_unavailable():
    with kept() as nobody, pytest.raises(StoreUnavailable, match="cannot be reached"):
        await PostgresStore(f"postgresql://nobody@127.0.0.1:{nobody}/none", FrozenClock()).open()


async def test_a_database_that_is_away_for_a_while_is_unavailable_and_comes_back(url: str):
    store = PostgresStore(url, FrozenClock())
    await store.open()
    name = url.rpartition("/")[2]
    execute(of(url, "postgres"), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    execute(of(url, "postgres"), f"ALTER DATABASE {name} RENAME TO {name}_put_back")
    for asked in (write(store, born(history())), store.next_timer()):
        with pytest.raises(StoreUnavailable, match=r"refused the connection: .* does not exist"):
            await asked
    execute(of(url, "postgres"), f"ALTER DATABASE {name}_put_back RENAME TO {name}")
    await write(store, born(history()))
    await store.close()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://user:{}/{}@host/name", "write % as %25, / as %2F"),
        ("postgresql://user:{}@host:port/name", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgresql://user:{}@[::1/name", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("mysql://user:{}@host/name", "scheme is expected to be"),
        ("postgresql://user:{}@host/name?sslmode=no", "sslmode"),
        ("postgresql://user:{}@127.0.0.1/name?sslmode=verify-full&sslrootcert=/no/file", "a file or a socket"),
    ],
)
async def test_a_url_that_cannot_be_used_is_told_without_its_password(text: str, told: str):
    with pytest.raises(StoreError) as caught:
        await PostgresStore(text.replace("{}", WORD), FrozenClock()).open()
    assert told in caught.value.detail
    assert WORD not in caught.value.detail


async def test_a_statement_that_takes_too_long_is_ended_and_the_store_goes_on(url: str):
    store = PostgresStore(url, FrozenClock(), patience=Patience(statement_s=0.05))
    await store.open()
    slow = Query(select(func.pg_sleep(30)))
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await store.fetch(slow)
    assert await store.lanes() == []
    await store.close()


async def test_what_postgresql_s_own_types_are_is_asked_once_by_a_process(url: str):
    asked = [await questions(url, "SELECT $1::bytea[], $2::float8[]", [b"\0"], [1.5]) for _ in range(2)]
    assert asked[1] == []


async def test_what_a_database_s_types_are_is_asked_by_each_connection(url: str):
    execute(url, "CREATE TYPE mood AS (depth int4)")
    assert len(await questions(url, "SELECT $1::mood[], $2::bytea[]", [(1,)], [b"\0"])) == 1
    execute(url, "ALTER TYPE mood ADD ATTRIBUTE since int4")
    assert len(await questions(url, "SELECT $1::mood[], $2::bytea[]", [(1, 2)], [b"\0"])) == 1


async def questions(url: str, statement: str, *values: Any) -> list[str]:
    """Return what a new connection asks about types before it answers these values."""
    queries: list[str] = []
    connection = await connect(url)
    connection.add_query_logger(lambda told: queries.append(told.query))
    row = await connection.fetchrow(statement, *values)
    assert row is not None
    assert tuple(row) == values
    await connection.close()
    return [query for query in queries if "typeinfo_tree" in query]


async def test_the_partitions_of_the_months_to_come_are_made_ahead(url: str):
    clock = FrozenClock()
    store = PostgresStore(url, clock)
    await store.open()
    assert [row[0] for row in rows(url, PARTITIONS)] == ["runs_2027_01", "runs_2027_02", "runs_2027_03"]
    clock.advance(MONTH_S)
    await store.next_timer()
    await store.close()  # waits for what goes on beside
    assert [row[0] for row in rows(url, PARTITIONS)][-1] == "runs_2027_04"


async def test_a_run_lies_with_its_records_in_the_partition_of_its_month(url: str):
    store = PostgresStore(url, FrozenClock())
    await store.open()
    run = history(ended=True)
    await write(store, born(run))
    await store.close()
    for table in ("runs", "run_events"):
        assert rows(url, f"SELECT DISTINCT tableoid::regclass::text FROM {table}") == [(f"{table}_2027_01",)]


async def test_text_holds_every_character_that_text_can_hold(url: str):
    store = PostgresStore(url, FrozenClock())
    await store.open()
    for key in ("nul \0", "sub \x1a", "both \x1a0\0", "\x1a1"):
        await write(store, ChangeSet(held=[held(1.0, key)]))
        assert await store.starved(5) == [key]
        await write(store, ChangeSet(unheld=[held(1.0, key)]))
        execute(url, "DELETE FROM held")
        assert plain([escaped(key), 1, None]) == (key, 1, None)
    await store.close()
