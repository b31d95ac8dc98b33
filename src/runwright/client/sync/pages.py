# Generated from runwright/client/pages.py by `make docs`; change that one instead.
"""Lists that arrive page by page."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Page(Generic[T]):
    """One page: its rows, and where the next one begins (None: this is the last)."""

    def __init__(self, rows: list[T], next_cursor: str | None) -> None:
        self.rows = rows
        self.next_cursor = next_cursor


class Pages(Generic[T]):
    """The rows of a list: `for` reads pages as they are needed; a row is never given twice.

    Rows that are added or removed meanwhile neither repeat nor hide others.
    """

    def __init__(self, read: Callable[[str | None], Page[T]]) -> None:
        self._read = read

    def page(self, cursor: str | None = None) -> Page[T]:
        """Return the page that begins after `cursor`; the first one by default."""
        return self._read(cursor)

    def first(self, count: int) -> list[T]:
        """Return at most `count` rows."""
        rows: list[T] = []
        if count > 0:
            for row in self:
                rows.append(row)
                if len(rows) == count:
                    break
        return rows

    def all(self) -> list[T]:
        """Return every row."""
        return list(self)

    def __iter__(self) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._read(cursor)
            yield from page.rows
            if page.next_cursor is None:
                return
            cursor = page.next_cursor
