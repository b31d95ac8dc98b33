"""What readers ask of PostgreSQL, of everybody's rows or of one organization's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from runwright.domain.events import Event
from runwright.store import rows
from runwright.store.base import Attempt, Record, Row, StoredValue
from runwright.store.postgres import hot
from runwright.store.postgres.escapes import escaped
from runwright.store.postgres.transaction import spanned
from runwright.store.query import Query

Ask = Callable[..., Awaitable[list[Row]]]
"""Runs a statement with its values for whom it is given first."""


class PostgresReadings(ABC):
    """`Readings` by statements that `_read` runs."""

    @abstractmethod
    async def _read(self, statement: str, *values: Any) -> list[Row]:
        """Return the rows of a statement."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""
        statement, values = query.bind("postgresql", params)
        return await self._read(statement, *map(escaped, values))

    async def record(self, run_id: str) -> Record | None:
        """Return one run for a reader."""
        found = await self._read(hot.RECORDS, *spanned([run_id]))
        return rows.record_from(found[0]) if found else None

    async def records_of(self, run_ids: Sequence[str]) -> list[Record]:
        """Return those of the runs that exist, in any order."""
        return [rows.record_from(row) for row in await self._read(hot.RECORDS, *spanned(run_ids))] if run_ids else []

    async def events(self, run_id: str, after_seq: int, limit: int, most_bytes: int | None = None) -> list[Event]:
        """Return up to `limit` events of a run with a larger seq, in order; with `most_bytes`, no more of them than it
        takes to hold so many bytes of data, one at least.
        """
        if most_bytes is None:
            return [Event(*row) for row in await self._read(hot.EVENTS, run_id, after_seq, limit)]
        return [Event(*row) for row in await self._read(hot.EVENTS_FITTING, run_id, after_seq, limit, most_bytes)]

    async def events_after(self, seqs: Mapping[str, int], limit: int) -> dict[str, list[Event]]:
        """Return run → up to `limit` of its events with a larger seq than the one given, in order; nothing for none."""
        found: dict[str, list[Event]] = {}
        if seqs:
            for row in await self._read(hot.EVENTS_AFTER, list(seqs), list(seqs.values()), limit):
                found.setdefault(row[0], []).append(Event(*row))
        return found

    async def values(self, run_id: str, kind: str) -> list[StoredValue]:
        """Return the values of one kind, by key."""
        return [StoredValue(*row) for row in await self._read(hot.VALUES, run_id, kind)]

    async def payloads(self, run_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return the sealed payloads of runs."""
        return dict(await self._read(hot.PAYLOADS, *spanned(run_ids))) if run_ids else {}

    async def attempts(self, run_id: str) -> list[Attempt]:
        """Return the ended attempts of a run, oldest first."""
        return [Attempt(*row) for row in await self._read(hot.ATTEMPTS, run_id)]


class Within(PostgresReadings):
    """The readings of one organization: each statement is run in its name, and PostgreSQL gives it no other's rows."""

    def __init__(self, ask: Ask, org_id: str) -> None:
        self._ask = ask
        self._org_id = org_id

    async def _read(self, statement: str, *values: Any) -> list[Row]:
        return await self._ask(self._org_id, statement, *values)
