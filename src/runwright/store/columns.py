"""What tables are drawn with: the one MetaData, and the shapes of columns and indexes."""

from typing import Any

from sqlalchemy import Column, Index, MetaData, Table, text
from sqlalchemy.sql.schema import SchemaItem
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    """Draw a table into the MetaData."""
    return Table(name, metadata, *items, sqlite_with_rowid=rowid)


def need(name: str, type_: type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that always holds something."""
    return Column(name, type_, nullable=False)


def may(name: str, type_: type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that may hold nothing."""
    return Column(name, type_, nullable=True)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index over the rows that `where` holds for."""
    clause = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=clause, postgresql_where=clause)
