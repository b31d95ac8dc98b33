"""Pass connections on from a sandbox without a network to the one address that it may talk to: the server's API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from urllib.parse import urlsplit

PORT = 8642
"""Where it listens. Each sandbox has a network of its own, so that this is nobody else's."""
URL = f"http://127.0.0.1:{PORT}"
CONNECTIONS_MAX = 32
PIECE_BYTES = 65_536


class Relay:
    """Listens inside the sandbox; every connection there, at `URL`, becomes one to `api_url`."""

    def __init__(self, listener: socket.socket, api_url: str) -> None:
        self._listener = listener
        self._to = urlsplit(api_url)
        self._server: asyncio.Server | None = None
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._take, sock=self._listener.dup())

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            async with self._room:
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = self._to.scheme == "https"
        port = self._to.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        try:
            theirs, ours = await asyncio.open_connection(self._to.hostname, port, ssl=context)
        except OSError:
            return  # it is closed inside: as if nobody listened
        try:
            await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))
        finally:
            ours.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
