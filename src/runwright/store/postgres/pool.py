"""Connections that wait to be used: at most so many, the last used first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from runwright.errors import StoreUnavailable
from runwright.store.postgres.connection import Connection

WAIT_S = 10.0
"""How long a caller waits for its turn."""
CLOSE_S = 2.0


class Pool:
    """Up to `size` connections. One that was lost, or that was left inside a transaction, is not used again.

    `in_use` counts the callers that have one, `waiting` those who wait for their turn.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self.size = size
        self._connect = connect
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self.in_use = 0
        self.waiting = 0
        self.closed = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection. Raises `StoreUnavailable` when none becomes free or none can be made."""
        connection = await self.take()
        try:
            yield connection
        except StoreUnavailable:
            connection.terminate()
            raise
        finally:
            self.give_back(connection)

    async def take(self) -> Connection:
        """Return a connection that nobody else uses; to be given back."""
        if self.closed:
            raise StoreUnavailable("the store is closed")
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError as busy:
            raise StoreUnavailable(f"all {self.size} connections to PostgreSQL are busy; try again shortly") from busy
        finally:
            self.waiting -= 1
        self.in_use += 1
        try:
            if self.closed:
                raise StoreUnavailable("the store is closed")
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    break
            else:
                connection = await self._connect()
        except BaseException:
            self.in_use -= 1
            self._free.release()
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """Take a connection back."""
        self.in_use -= 1
        if connection.is_closed():
            self.forget()
        elif self.closed or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)
        self._free.release()

    def forget(self) -> None:
        """Drop the idle connections: what broke one of them most likely broke all."""
        while self._idle:
            self._idle.pop().terminate()

    async def close(self) -> None:
        """Wait for the connections that are in use, then close all."""
        self.closed = True
        for _ in range(self.size):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._free.acquire()
        while self._idle:
            connection = self._idle.pop()
            with contextlib.suppress(Exception):
                await connection.close(timeout=CLOSE_S)
        for _ in range(self.size):
            self._free.release()
