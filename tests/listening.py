"""Servers of the tests' own: when one ends, nobody is left who came, however far he had come.

`asyncio.start_server` forgets who has just been accepted: one that is closed before it has made a transport for him
fails at that, and a task that had not begun is cancelled with the loop. Either leaves the connection open; a later test
is warned of it, and fails.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

TURNS = 4
"""Of the loop: in so many, who is accepted has come."""

Take = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(take: Take, *, tls: ssl.SSLContext | None = None, backlog: int = 100) -> AsyncIterator[int]:
    """Take whoever connects, and yield the port; at the end those who are still taken are cancelled."""
    taken: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(take(reader, writer))
        taken[task] = writer
        task.add_done_callback(taken.pop)

    server = await asyncio.start_server(come, "127.0.0.1", 0, ssl=tls, backlog=backlog)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())  # accept nobody more
        for _ in range(TURNS):
            await asyncio.sleep(0)
        server.close()
        left = dict(taken)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for writer in left.values():
            writer.close()  # by a task that never began
