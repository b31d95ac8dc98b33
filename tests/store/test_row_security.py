"""Row-level security: a statement that forgot to ask for the organization gets its rows alone, or none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import BigInteger, Boolean, Float, Integer, LargeBinary, Table, Text, func, insert, select

from runwright import ids
from runwright.clock import FrozenClock
from runwright.errors import StoreError, StoreReadOnly, StoreUnavailable
from runwright.store.base import Transaction
from runwright.store.migrations import ddl
from runwright.store.postgres import row_security
from runwright.store.postgres.store import PostgresStore
from runwright.store.query import Query
from runwright.store.tables import run_values, runs
from runwright.telemetry import attach
from tests.domain.specimens import T0
from tests.postgres import empty_database, execute, new_database, rows, secured_database
from tests.store.rows_of import born, history, write

TABLES = [table for table in ddl.tables("postgresql") if table.name not in row_security.OPEN]
OURS, THEIRS = "org_ours", "org_theirs"
RUNS = {org_id: ids.new_id("run", T0) for org_id in (OURS, THEIRS)}
PLAIN: dict[type, Any] = {Text: "x", Integer: 1, BigInteger: 1, Float: 1.0, LargeBinary: b"x", Boolean: True}


@pytest.fixture
def urls() -> Iterator[tuple[str, str]]:
    """Yield the URLs of a database with row-level security, for its superuser and for a server."""
    with secured_database() as urls:
        yield urls


@pytest.fixture
async def store(urls: tuple[str, str]) -> AsyncIterator[PostgresStore]:
    """Return a store in which two organizations have a row in each table."""
    store = PostgresStore(urls[1], FrozenClock(), migrate=False, row_security=True)
    await store.open()
    await store.write(filled)
    yield store
    await store.close()


async def filled(tx: Transaction) -> None:
    """Write a row for each organization into each table."""
    for table in TABLES:
        for org_id in (OURS, THEIRS):
            await tx.fetch(Query(insert(table).values(row_of(table, org_id))))


def row_of(table: Table, org_id: str) -> dict[str, Any]:
    """Return a row that belongs to an organization, as far as the table says so."""
    row = {column.name: PLAIN[type(column.type)] for column in table.columns if column.identity is None}
    row |= {name: f"{name} of {org_id}" for name, value in row.items() if value == "x"}
    own = {"org_id": org_id, "run_id": RUNS[org_id], "job_id": f"job_{org_id}", "project_id": f"proj_{org_id}"}
    return row | {name: value for name, value in own.items() if name in row}


def counted(table: Table) -> Query:
    """Return the statement that asks a table for everything."""
    return Query(select(func.count()).select_from(table))


@pytest.mark.parametrize("org_id", [OURS, THEIRS])
async def test_without_a_condition_an_organization_sees_its_own_rows_alone(store: PostgresStore, org_id: str):
    own = store.within(org_id)
    for table in TABLES:
        has = 0 if table.name in row_security.SERVERS else 1
        assert await store.fetch(counted(table)) == [(2,)], table.name
        assert await own.fetch(counted(table)) == [(has,)], table.name
        if "org_id" in table.columns:
            assert await own.fetch(Query(select(table.c.org_id))) == [(org_id,)]
    assert await store.within("org_nobody").fetch(counted(runs)) == [(0,)]


async def test_what_hangs_on_a_run_is_seen_by_its_organization_alone(store: PostgresStore):
    for org_id, other in ((OURS, THEIRS), (THEIRS, OURS)):
        own, mine, foreign = store.within(org_id), RUNS[org_id], RUNS[other]
        assert [event.run_id for event in await own.events(mine, 0, 9)] == [mine]
        assert await own.events(foreign, 0, 9) == []
        assert list(await own.events_after({mine: 0, foreign: 0}, 9)) == [mine]
        assert list(await own.payloads([mine, foreign])) == [mine]
        assert len(await own.attempts(mine)) == 1
        assert await own.attempts(foreign) == []
        assert await own.record(foreign) is None
        assert await own.fetch(Query(select(run_values.c.run_id))) == [(mine,)]


async def test_who_reads_for_an_organization_writes_nothing(store: PostgresStore, urls: tuple[str, str]):
    with pytest.raises(StoreError, match="read-only"):
        await store.within(OURS).fetch(Query(insert(runs).values(row_of(runs, OURS) | {"run_id": "run_new"})))
    connection = await asyncpg.connect(urls[1])
    try:
        await connection.execute(f"SET runwright.organization = '{OURS}'")
        for table in TABLES:
            assert await connection.execute(f"DELETE FROM {table.name}") == "DELETE 0", table.name
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute("INSERT INTO limits VALUES ('new', 0, 1)")
    finally:
        await connection.close()


async def test_who_says_nothing_is_refused(store: PostgresStore, urls: tuple[str, str]):
    connection = await asyncpg.connect(urls[1])
    try:
        for table in TABLES:
            with pytest.raises(asyncpg.UndefinedObjectError, match=r"runwright\.organization"):
                await connection.fetch(f"SELECT * FROM {table.name}")
        await connection.execute(f"BEGIN; {row_security.named(OURS)}")
        assert len(await connection.fetch("SELECT FROM runs")) == 1
        await connection.execute("COMMIT")
        assert await connection.fetch("SELECT FROM runs") == []
    finally:
        await connection.close()


async def test_for_whom_a_reading_is_ends_with_it(store: PostgresStore):
    said = []
    for org_id in (OURS, THEIRS):
        assert await store.within(org_id).fetch(Query(select(runs.c.org_id))) == [(org_id,)]
        async with store._readers.connection() as connection:
            said.append(await connection.fetchval("SELECT current_setting('runwright.organization')"))
    assert said == ["", ""]
    told = await asyncio.gather(
        *(store.within(org_id).fetch(Query(select(runs.c.org_id))) for org_id in (OURS, THEIRS) * 20)
    )
    assert told == [[(OURS,)], [(THEIRS,)]] * 20


async def test_months_show_nothing_by_themselves(store: PostgresStore, urls: tuple[str, str]):
    connection = await asyncpg.connect(urls[1])
    try:
        await connection.execute("SET runwright.organization = '*'")
        assert len(await connection.fetch("SELECT FROM runs")) == 2
        assert await connection.fetch("SELECT FROM runs_2027_01") == []
        assert len(await connection.fetch("SELECT FROM run_events")) == 2
        assert await connection.fetch("SELECT FROM run_events_2027_01") == []
    finally:
        await connection.close()


def test_a_month_that_is_made_later_is_as_closed(urls: tuple[str, str]):
    later = FrozenClock()
    later.advance(62 * 86_400)

    async def work() -> None:
        store = PostgresStore(urls[0], later, row_security=True)
        await store.open()
        await store.close()

    asyncio.run(work())
    made = "SELECT relname::text, relforcerowsecurity FROM pg_class WHERE relname LIKE 'runs\\_2027\\_05'"
    assert rows(urls[0], made) == [("runs_2027_05", True)]


async def test_the_owner_of_the_tables_is_refused_like_everybody(urls: tuple[str, str]):
    owner = f"owner_{os.getpid()}"
    execute(urls[0], f"CREATE ROLE {owner}; ALTER TABLE runs OWNER TO {owner}")
    connection = await asyncpg.connect(urls[0])
    try:
        await connection.execute(f"SET ROLE {owner}")
        with pytest.raises(asyncpg.UndefinedObjectError):
            await connection.fetch("SELECT * FROM runs")
    finally:
        await connection.close()
        execute(urls[0], f"ALTER TABLE runs OWNER TO current_user; DROP ROLE {owner}")


async def test_a_server_that_does_not_say_for_whom_it_asks_does_not_start(urls: tuple[str, str]):
    for url in urls:
        with pytest.raises(StoreError, match="RUNWRIGHT_DATABASE_ROW_SECURITY=true"):
            await PostgresStore(url, FrozenClock()).open()


async def test_a_server_that_does_not_say_for_whom_it_asks_is_told_what_to_do_once_it_is_switched_on():
    with secured_database() as (superuser, url):
        await switched(superuser, on=False)
        untold = PostgresStore(url, FrozenClock(), migrate=False)
        await untold.open()
        await write(untold, born(history()))
        await switched(superuser, on=True)
        for asked in (write(untold, born(history())), untold.fetch(counted(runs))):
            with pytest.raises(StoreUnavailable, match="ROW_SECURITY=true"):
                await asked
        await switched(superuser, on=False)
        await write(untold, born(history()))
        await untold.close()


async def switched(url: str, *, on: bool) -> None:
    connection = await asyncpg.connect(url)
    try:
        await row_security.switch(connection, on=on)
    finally:
        await connection.close()


async def test_it_is_switched_under_servers_that_say_for_whom_they_ask():
    told: list[dict[str, Any]] = []
    detach = attach(lambda _, fields: told.append(dict(fields)), "store.row_security_missing")
    with new_database() as url:
        store = PostgresStore(url, FrozenClock(), migrate=False, row_security=True)
        await store.open()
        connection = await asyncpg.connect(url)
        try:
            for on in (False, True, False, True):
                assert await row_security.switch(connection, on=on) is (on or bool(told[1:]))
                assert not await row_security.switch(connection, on=on)
                assert await row_security.standing(connection) == ("on" if on else "off")
                assert await store.within(OURS).fetch(counted(runs)) == [(0,)]
                told.append({})
        finally:
            await connection.close()
            await store.close()
            detach()
    assert told[0] == {"found": "off"}


async def test_a_server_that_may_migrate_switches_it_on_and_mends_it(urls: tuple[str, str]):
    connection = await asyncpg.connect(urls[0])
    try:
        await connection.execute("DROP POLICY runwright_read ON jobs; ALTER TABLE runs NO FORCE ROW LEVEL SECURITY")
        assert await row_security.standing(connection) == "partly"
        with pytest.raises(StoreReadOnly, match="owner"):
            await PostgresStore(urls[1], FrozenClock(), row_security=True).open()
        store = PostgresStore(urls[0], FrozenClock(), row_security=True)
        await store.open()
        await store.close()
        assert await row_security.standing(connection) == "on"
    finally:
        await connection.close()


async def test_everybody_is_no_organization(store: PostgresStore):
    with pytest.raises(ValueError, match="everybody"):
        store.within("*")
    assert await store.within("o'; RESET ALL; --").fetch(counted(runs)) == [(0,)]


async def test_a_database_without_tables_has_none():
    with empty_database() as url:
        connection = await asyncpg.connect(url)
        try:
            assert await row_security.standing(connection) == "off"
        finally:
            await connection.close()
