"""PostgreSQL can only plan the hot statements as walks into indexes, whatever its statistics say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest

from runwright.clock import FrozenClock
from runwright.store import queries
from runwright.store.postgres import changes, fields, hot, locks, partitions
from runwright.store.postgres.connection import connect
from runwright.store.postgres.store import PostgresStore
from runwright.store.queries import workforce
from runwright.store.queries.runs import CONDITIONS, listing
from runwright.store.query import Query
from tests.domain.specimens import SPECIMENS
from tests.postgres import execute, new_database, secured_database
from tests.store.rows_of import born, history, queued, ready, write

SMALL = frozenset({"paused_queues"})
"""Tables that are small by nature: reading one through is what is meant."""
WHOLE = {"LAPSED", "LEASES_OF"}
"""Statements that look through the leases of the runs that execute just now, every few seconds."""
FIRST = {"NEXT_TIMER", "INBOX", "STARVED", *WHOLE}
"""Statements that begin at the first entry of an index, and end after a few or read a small table."""
STATEMENTS: dict[str, str] = {
    **{
        name: text
        for name, text in vars(hot).items()
        if name[0] != "_" and name.isupper() and isinstance(text, str) and " " in text
    },
    **{f"take from {lanes}": hot.take(lanes) for lanes in (1, 4, 32)},
    **{f"thin {number}": text for number, text in enumerate(hot.THIN_RECORDS)},
    **{f"write {name}": changes._together((name,)) for name in fields.FIELDS},
    "write much": changes._together(tuple(fields.FIELDS)),
    "write freed limits": changes._alone(fields.FREED),
    "write replays": changes._alone(fields.REPLAYS),
    "write joined": changes._alone(fields.JOINED),
}
PLAN = """
CREATE FUNCTION pg_temp.plan(asked text) RETURNS json LANGUAGE plpgsql AS
$$DECLARE found json; BEGIN EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || asked INTO found; RETURN found; END$$
"""
PARTITIONED = ("runs", "run_events", "run_values", "attempts")
MONTHS = {f"{table}_2027_01" for table in PARTITIONED}


@pytest.fixture(params=["", "with row-level security"])
def urls(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Yield the URLs of a database for its superuser and for a server, counted while it was empty.

    So what it knows of itself is wrong.
    """
    if not request.param:
        with new_database(unused=True) as url:
            yield url, url
        return
    with secured_database() as (superuser, server):
        execute(superuser, "ANALYZE")
        yield superuser, server


@pytest.fixture
async def connection(urls: tuple[str, str]) -> AsyncIterator[Any]:
    """Yield a connection with the settings of every session."""
    store = PostgresStore(urls[1], FrozenClock(), migrate=False, row_security=True)
    await store.open()
    connection = await connect(urls[1])
    await connection.execute(PLAN)
    await connection.execute("ANALYZE; SET runwright.organization = '*'")
    if not await connection.fetchval("SELECT count(*) FROM runs"):
        runs = [queued(float(number)) for number in range(50)]
        await write(store, ready(*runs))
        await write(store, born(*(history() for _ in range(50)), SPECIMENS["executing"]()))
    yield connection
    await connection.close()
    await store.close()


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every step of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from steps(part)


async def planned(connection: Any, text: str) -> list[dict[str, Any]]:
    """Return the steps of the generic plan of a statement."""
    found = await connection.fetchval("SELECT pg_temp.plan($1)", text)
    return list(steps(json.loads(found)[0]["Plan"]))


def strays(name: str, step: dict[str, Any]) -> bool:
    """Tell whether a step of a plan reads what the statement did not ask for."""
    kind, table = step["Node Type"], step.get("Relation Name", "")
    match kind:
        case "Hash Join" | "Merge Join" | "Bitmap Heap Scan":
            return True
        case "Seq Scan":
            return table not in SMALL and name not in WHOLE
        case "Index Scan" | "Index Only Scan":
            return "Index Cond" not in step and name not in FIRST
    return False


async def test_hot_statements_walk_indexes_only(connection: Any):
    astray = [
        (name, step["Node Type"], step.get("Relation Name"))
        for name, text in STATEMENTS.items()
        for step in await planned(connection, text)
        if strays(name, step)
    ]
    assert astray == []
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize("urls", [""], indirect=True)
async def test_a_month_that_was_counted_when_it_was_empty_is_not_read_through_when_it_is_full_again(connection: Any):
    """Its pages stay when retention has taken its rows: the planner then believes that whatever it reads is nothing."""
    for table in PARTITIONED:
        await connection.execute(f"CREATE TABLE aside_{table} AS SELECT * FROM {table}; DELETE FROM {table}")
    await connection.execute("ANALYZE")
    for table in PARTITIONED:
        await connection.execute(f"INSERT INTO {table} SELECT * FROM aside_{table}")
    counted = "SELECT relpages > 0 AND reltuples = 0 FROM pg_class WHERE relname = ANY ($1)"
    assert {row[0] for row in await connection.fetch(counted, ["runs_2027_01", "run_events_2027_01"])} == {True}
    for name, text in STATEMENTS.items():
        for step in await planned(connection, text):
            assert not strays(name, step), name
            assert "run_id" not in step.get("Join Filter", ""), name


async def test_what_is_asked_of_one_run_opens_its_month_only(connection: Any):
    made = SPECIMENS["executing"]()
    run_id = made.standing.run_id
    by_id = [[run_id], run_id, run_id]
    asked: dict[str, list[Any]] = {
        **dict.fromkeys(
            ("RUNS", "RECORDS", "SPECS", "PAYLOADS", "ENDED", "THINNED_ARTIFACTS", "thin 0", "FORGET"), by_id
        ),
        "EVENTS": [run_id, 0, 9],
        "VALUES": [run_id, "output"],
        "ATTEMPTS": [run_id],
    }
    for name, values in asked.items():
        text = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {STATEMENTS[name]}"
        found = json.loads(await connection.fetchval(text, *values))
        read = {step["Relation Name"] for step in steps(found[0]["Plan"]) if "Relation Name" in step}
        assert read & MONTHS, name
        assert not {table for table in read - MONTHS - set(PARTITIONED) if table.startswith(PARTITIONED)}, name


async def test_what_is_moved_opens_no_month_before_that_of_the_oldest_run(connection: Any, urls: tuple[str, str]):
    execute(urls[0], ";".join(statement for _, statement in partitions._month(FrozenClock().now(), -1)))
    made = SPECIMENS["executing"]()
    asked = {
        "write moved": changes._arrays(fields.FIELDS["moved"], [(made.standing, None)]),
        "write values_gone": changes._arrays(fields.FIELDS["values_gone"], [(made.standing.run_id, "output", "a")]),
        "THIN": [[made.standing.run_id], [b"way"], 1, made.standing.run_id, 1],
    }
    for name, values in asked.items():
        found = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {STATEMENTS[name]}", *values))
        read = {step["Relation Name"] for step in steps(found[0]["Plan"]) if "Relation Name" in step}
        assert read & MONTHS, name
        assert not {table for table in read if table.endswith("_2026_12")}, name


async def test_runs_that_are_asked_for_by_their_ids_open_their_months_only(connection: Any):
    run_id = history().standing.run_id
    for name in ("RUNS", "RECORDS", "SPECS", "PAYLOADS"):
        await connection.execute(f"PREPARE asked AS {STATEMENTS[name]}")
        asked = f"EXECUTE asked (ARRAY['{run_id}'], '{run_id}', '{run_id}')"
        found = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {asked}"))
        await connection.execute("DEALLOCATE asked")
        read = {step["Relation Name"] for step in steps(found[0]["Plan"]) if "Relation Name" in step}
        assert {table for table in read if table.startswith("runs")} == {"runs_2027_01"}, name


def every_query() -> dict[str, Query]:
    """Return every named statement of `store.queries`, and lists with all of their conditions."""
    found: dict[str, Query] = {}
    for module in iter_modules(queries.__path__):
        for name, query in vars(import_module(f"{queries.__name__}.{module.name}")).items():
            several = query if isinstance(query, tuple) else (query,)
            for number, each in enumerate(several):
                if isinstance(each, Query):
                    found[f"{module.name}.{name}.{number}"] = each
    found["every condition"] = listing(frozenset(CONDITIONS), None, newest_first=True)
    return found


async def test_postgresql_knows_the_type_of_every_parameter_and_joins_by_indexes(connection: Any):
    found = every_query()
    for name, query in found.items():
        text, _ = query.bind("postgresql", _Anything())
        await connection.prepare(text)
        kinds = {step["Node Type"] for step in await planned(connection, text)}
        assert not kinds & {"Hash Join", "Merge Join"}, name
    assert len(found) > 100


async def test_what_is_asked_every_second_reads_no_run_that_it_does_not_name(connection: Any):
    for query in (workforce.STOPPING, workforce.DRAINING, workforce.SEEN):
        for step in await planned(connection, query.bind("postgresql", _Anything())[0]):
            assert not step.get("Relation Name", "").startswith(PARTITIONED) or "run_id" in step["Index Cond"]


class _Anything(dict[str, Any]):
    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> None:
        return None


async def test_the_locks_of_keys_are_taken_in_the_order_of_their_numbers():
    hashes = [locks.hashed("limit", f"k{number}") for number in range(50)]
    assert locks.in_order([*hashes, *hashes[:9]]) == sorted(hashes)
    assert len({*hashes, *(locks.hashed("key", f"k{number}") for number in range(50))}) == 100
