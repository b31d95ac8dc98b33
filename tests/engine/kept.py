"""Connections to PostgreSQL that outlive the worlds of a test: a new one forks a process and plans every statement."""

from __future__ import annotations

import contextlib

import asyncpg

from runwright.store.postgres.connection import Connection
from tests.postgres import CARETAKER

MOST = 16
RESET_S = 5.0
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Kept:
    """Connections that wait for the next world over their database; meanwhile they say that they are of no test."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Connection]] = []

    async def take(self, url: str) -> Connection | None:
        """Return one that leads there, as if it were new, if there is one."""
        for place, connection in self._waiting:
            if place == url:
                self._waiting.remove((place, connection))
                with contextlib.suppress(*GONE):
                    await connection.execute("RESET application_name")
                    return connection
                connection.terminate()
                return await self.take(url)
        return None

    async def put(self, url: str, connection: Connection) -> None:
        """Keep one that nobody uses; what has waited longest leads to a database that was dropped, most likely."""
        try:
            await connection.reset(timeout=RESET_S)
            await connection.execute(f"SET application_name = '{CARETAKER}'")
        except GONE:
            connection.terminate()
            return
        self._waiting.append((url, connection))
        while len(self._waiting) > MOST:
            self._waiting.pop(0)[1].terminate()

    def close(self) -> None:
        """End all."""
        while self._waiting:
            self._waiting.pop()[1].terminate()
