"""What inspections of a database share: what they read, what they tell, and what they find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from runwright.domain.ports import Sealer
from runwright.domain.run import Run
from runwright.store import rows
from runwright.store.base import Row
from runwright.store.query import Query

Progress = Callable[[str, int, int], None]
"""Told what is done (`logs`, `artifacts` …), how much of it, of how much."""

Unlock = Callable[[dict[str, bytes]], Sealer]
"""Makes a sealer of a keyring's entries. Raises `StoreError` when they were wrapped with another master key."""

BATCH = 500


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be: where, of what, and how."""

    where: str
    what: str
    how: str


class State(Protocol):
    """One state of a database, whatever is written meanwhile."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""


def run_of(opening: bytes, row: list[Any]) -> Run:
    """Return a run from its opening and the columns of where it stands."""
    after = len(rows.STANDING)
    live = tuple(row[after:])
    return rows.run_from(opening, tuple(row[:after]), live if live[0] is not None else None)
