"""A pooler of transactions, as servers feel it: each transaction has another session, and no session a setting.

PgBouncer from 1.21 on prepares a statement again wherever it is asked for; so does a session that is new.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from runwright.store.postgres import connection, store
from runwright.store.postgres.connection import Connection
from runwright.store.postgres.pool import Pool

SESSIONS: list[Connection] = []
"""The sessions that were used, each for one transaction or one statement outside of one."""


class Pooler(Pool):
    """A pool that lends each connection once."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._leaving: set[asyncio.Task[None]] = set()

    def give_back(self, connection: Connection) -> None:
        """Forget the session, with all that was set, locked, prepared or listened to in it."""
        SESSIONS.append(connection)
        super().give_back(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self._leaving.add(asyncio.create_task(_left(connection)))

    async def close(self) -> None:
        """Wait for the last ones, too."""
        await super().close()
        await asyncio.gather(*self._leaving)


async def _left(connection: Connection) -> None:
    with contextlib.suppress(Exception):  # who was cancelled may still be told so
        await connection.close(timeout=2)


def between(monkeypatch: Any) -> None:
    """Put a pooler between the stores and PostgreSQL; what listens has a connection of its own, as it needs to."""
    SESSIONS.clear()
    monkeypatch.setattr(connection, "SETTINGS", {})
    monkeypatch.setattr(connection, "_limits", lambda _: {})
    monkeypatch.setattr(store, "Pool", Pooler)
