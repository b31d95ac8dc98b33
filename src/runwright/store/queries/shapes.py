"""The shapes that statements of small tables come in: insert a row, set columns of a row, read a page of a list."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, Select, Table, bindparam, insert, select, update

from runwright.store.base import Readings, Row
from runwright.store.query import Query

Pages = tuple[Query, Query]
"""The statements of a list: oldest first, newest first."""

_FIRST, _LAST = "", "zzzz"  # before and after every id


class Slice(msgspec.Struct, frozen=True):
    """Which rows of a list to read: up to `limit`, beyond the id `bound` (itself excluded), in one order."""

    limit: int
    bound: str | None = None
    newest_first: bool = True

    def holds(self, id: str) -> bool:
        """Tell whether a row of this id lies beyond the bound."""
        if self.bound is None:
            return True
        return id < self.bound if self.newest_first else id > self.bound


def inserting(table: Table) -> Query:
    """Return the insertion of one row: a parameter for each column."""
    return Query(insert(table).values({column.name: bindparam(column.name) for column in table.columns}))


def setting(table: Table, key: str, *names: str) -> Query:
    """Return the update of these columns in the row whose `key` is the parameter `row`."""
    # The row is not called by its column's name: a parameter of that name would belong to the SET clause.
    return Query(
        update(table).where(table.c[key] == bindparam("row")).values({name: bindparam(name) for name in names})
    )


def rows(table: Table, record: type[Any], *where: ColumnElement[bool]) -> Select[Any]:
    """Return the selection of those columns that a record has, in its order."""
    return select(*(table.c[name] for name in record.__struct_fields__)).where(*where)


def paging(statement: Select[Any], key: ColumnElement[Any]) -> Pages:
    """Return the statements of a list that is a keyset of ids."""
    limit = bindparam("limit", type_=Integer)
    return (
        Query(statement.where(key > bindparam("bound")).order_by(key.asc()).limit(limit)),
        Query(statement.where(key < bindparam("bound")).order_by(key.desc()).limit(limit)),
    )


async def read(store: Readings, pages: Pages, part: Slice, **params: Any) -> list[Row]:
    """Return the rows of a part of a list."""
    if part.newest_first:
        return await store.fetch(pages[1], bound=part.bound or _LAST, limit=part.limit, **params)
    return await store.fetch(pages[0], bound=part.bound or _FIRST, limit=part.limit, **params)
