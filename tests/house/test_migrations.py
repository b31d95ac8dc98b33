"""The migrations, applied one after the other, make the schema that the MetaData draws."""

from typing import Any

import apsw

from runwright.store import migrations
from runwright.store.migrations import ddl

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
