"""What tables are drawn with: the one MetaData, and the shapes of columns and indexes."""

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.schema import SchemaItem
from sqlalchemy.types import TypeEngine

metadata = MetaData()


TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Text that compares byte by byte, whatever the database's language: ids sort by creation, and bounds are exact."""

OFTEN = {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_analyze_scale_factor": 0.05}
"""How PostgreSQL keeps a small table whose rows come, change and go all the time."""


def table(
    name: str,
    *items: SchemaItem,
    rowid: bool = True,
    by_month: bool = False,
    churns: bool = False,
    only: str | None = None,
) -> Table:
    """Draw a table into the MetaData.

    On PostgreSQL one `by_month` is cut into ranges of run ids, and one that `churns` is swept often. One that is `only`
    in one dialect is not made in the other.
    """
    drawn = Table(
        name,
        metadata,
        *items,
        sqlite_with_rowid=rowid,
        postgresql_partition_by="RANGE (run_id)" if by_month else None,
        postgresql_with=OFTEN if churns else {},
        info={"only": only},
    )
    for column in drawn.columns:
        if isinstance(column.type, Text):
            column.type = TEXT
    return drawn


def entry() -> Column[int]:
    """Return the number of an entry, which the database gives: a later one is larger."""
    number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by an INTEGER alone
    return Column("entry", number, Identity(), primary_key=True, nullable=False)


def need(name: str, type_: type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that always holds something."""
    return Column(name, type_, nullable=False)


def may(name: str, type_: type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that may hold nothing."""
    return Column(name, type_, nullable=True)


def partial(name: str, *columns: str, where: str, unique: bool = False, in_sqlite: str | None = None) -> Index:
    """Return an index over the rows that `where` holds for; `in_sqlite` says the same in SQLite's words."""
    return Index(name, *columns, unique=unique, sqlite_where=text(in_sqlite or where), postgresql_where=text(where))
