"""Read a part of a list from the store, and make a page of it."""

from runwright.api.pages import Window
from runwright.store.queries.shapes import Slice


def part(window: Window, prefix: str) -> Slice:
    """Return what to read for a page of rows with ids of this prefix: one row more than the page shows."""
    return Slice(window.limit + 1, window.bound(prefix), window.newest_first)
