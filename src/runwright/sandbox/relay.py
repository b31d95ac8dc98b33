"""Pass requests on from a sandbox without a network to the one address that it may talk to: the server's API."""

from __future__ import annotations

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

PORT = 8642
"""Where it listens. Each sandbox has a network of its own, so that this is nobody else's."""
URL = f"http://127.0.0.1:{PORT}"
CONNECTIONS_MAX = 32
HEAD_MAX = 65_536
PIECE_BYTES = 65_536
_END = b"\r\n\r\n"


class Relay:
    """Listens inside the sandbox; every request there, at `URL`, becomes one to `api_url`, under that host's name.

    A connection carries one request: its head is what names the host, and only the first is looked for.
    """

    def __init__(self, listener: socket.socket, api_url: str) -> None:
        self._listener = listener
        self._to = urlsplit(api_url)
        self._secure = ssl.create_default_context() if self._to.scheme == "https" else None
        self._server: asyncio.Server | None = None
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._take, sock=self._listener.dup(), limit=HEAD_MAX)

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
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it is closed inside: as if nobody listened
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(_END)
        port = self._to.port or (80 if self._secure is None else 443)
        theirs, ours = await asyncio.open_connection(self._to.hostname, port, ssl=self._secure)
        try:
            ours.write(addressed(head, self._to.netloc.rpartition("@")[2]))
            sending = asyncio.create_task(_pump(reader, ours))
            try:
                await _pump(theirs, writer)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            ours.close()


def inside(api_url: str) -> str:
    """Return where a command in the sandbox finds what lies at `api_url`."""
    return URL + urlsplit(api_url).path.rstrip("/")


def addressed(head: bytes, host: str) -> bytes:
    """Return the head of a request as it goes to `host`: under that name, and as the only one of its connection."""
    start, *fields = head.removesuffix(_END).split(b"\r\n")
    dropped = (b"host", b"connection", b"keep-alive")
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in dropped]
    return b"\r\n".join([start, b"Host: " + host.encode(), *kept, b"Connection: close"]) + _END


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on until one side has ended; a side that broke off ends the other, too."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
