"""Read a part of a list from the store, or of one that was read whole, and make a page of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runwright.api.pages import Page, Window
from runwright.store.queries.shapes import Slice

Row = TypeVar("Row")


def part(window: Window, prefix: str) -> Slice:
    """Return what to read for a page of rows with ids of this prefix: one row more than the page shows."""
    return Slice(window.limit + 1, window.bound(prefix), window.newest_first)


def sliced(window: Window, rows: list[tuple[int, Row]], key: Callable[[Row], str]) -> Page[Row]:
    """Return a page of a short list that was read whole: rows with their instants, in ascending order.

    The cursor is the key of the last row seen, or an instant.
    """
    ordered = list(reversed(rows)) if window.newest_first else rows
    return Page.of(_beyond(window, ordered, key), window, lambda row: row[1], lambda row: key(row[1]))


def _beyond(window: Window, rows: list[tuple[int, Row]], key: Callable[[Row], str]) -> list[tuple[int, Row]]:
    """Return the rows after the one that the cursor names, or past the instant that it is."""
    if window.cursor is None:
        return rows
    for place, (_, row) in enumerate(rows):
        if key(row) == window.cursor:
            return rows[place + 1 :]
    at = window.instant()
    return [(made, row) for made, row in rows if (made < at if window.newest_first else made > at)]
