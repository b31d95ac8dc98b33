"""The migrations, applied one after the other, make the schema that the MetaData draws."""

from typing import Any

import apsw

from runwright.store import migrations
from runwright.store.migrations import ddl
from tests.postgres import empty_database, execute, rows

TABLES = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'"
COLUMNS = """
    SELECT t.name, c.name, upper(c.type), c."notnull", c.dflt_value, c.pk
    FROM pragma_table_list t, pragma_table_xinfo(t.name) c WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%'
"""
INDEXES = """
    SELECT t.name, iif(i.origin = 'c', i.name, i.origin), i."unique", i.partial, c.seqno, c.name, c."desc", c.coll
    FROM pragma_table_list t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c
    WHERE t.schema = 'main' AND c.key
"""
CONDITIONS = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %'"

# The same of PostgreSQL, in its own words: relations with what they are cut by and kept with, columns, keys, indexes.
POSTGRESQL = (
    "SELECT c.relname, c.relkind, c.reloptions, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid)"
    " FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace",
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, o.collname,"
    " pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " LEFT JOIN pg_collation o ON o.oid = a.attcollation LEFT JOIN pg_attrdef d"
    " ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0",
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
)


def test_the_postgresql_migrations_make_the_schema_of_the_metadata() -> None:
    applied = catalog([migration.sql for migration in migrations.load("postgresql")])
    assert applied == catalog(ddl.statements("postgresql"))
    assert any("run_events" in line and "RANGE (run_id)" in line for line in applied)


def catalog(statements: list[str]) -> list[str]:
    """Return what these statements make in an empty database, as PostgreSQL's catalogs tell it."""
    with empty_database() as url:
        execute(url, ";".join(statements))
        return sorted(flat(row) for query in POSTGRESQL for row in rows(url, query))


def test_the_sqlite_migrations_make_the_schema_of_the_metadata() -> None:
    assert schema([migration.sql for migration in migrations.load("sqlite")]) == schema(ddl.statements("sqlite"))


def schema(statements: list[str]) -> dict[str, list[str]]:
    """Return the tables, columns, indexes and partial conditions that these statements make in an empty database."""
    connection = apsw.Connection(":memory:")
    for statement in statements:
        connection.execute(statement)
    facts = {"tables": TABLES, "columns": COLUMNS, "indexes": INDEXES, "conditions": CONDITIONS}
    found = {name: sorted(map(flat, connection.execute(query))) for name, query in facts.items()}
    connection.close()
    return found


def flat(row: tuple[Any, ...]) -> str:
    """Return a row as one line, whatever white space its statements were written with."""
    return " ".join(" ".join(map(str, row)).split())
