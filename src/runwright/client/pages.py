"""Lists that arrive page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Page(Generic[T]):
    """One page: its rows, and where the next one begins (None: this is the last)."""

    def __init__(self, rows: list[T], next_cursor: str | None) -> None:
        self.rows = rows
        self.next_cursor = next_cursor


class Pages(Generic[T]):
    """The rows of a list: `async for` reads pages as they are needed; a row is never given twice.

    Rows that are added or removed meanwhile neither repeat nor hide others.
    """

    def __init__(self, read: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        self._read = read

    async def page(self, cursor: str | None = None) -> Page[T]:
        """Return the page that begins after `cursor`; the first one by default."""
        return await self._read(cursor)

    async def first(self, count: int) -> list[T]:
        """Return at most `count` rows."""
        rows: list[T] = []
        if count > 0:
            async for row in self:
                rows.append(row)
                if len(rows) == count:
                    break
        return rows

    async def all(self) -> list[T]:
        """Return every row."""
        return [row async for row in self]

    async def __aiter__(self) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._read(cursor)
            for row in page.rows:
                yield row
            if page.next_cursor is None:
                return
            cursor = page.next_cursor
