"""Pass requests on from a sandbox without a network to the one address that it may talk to: the server's API."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

PORT = 8642
"""Where it listens. Each sandbox has a network of its own, so that this is nobody else's."""
URL = f"http://127.0.0.1:{PORT}"
CONNECTIONS_MAX = 32
HEAD_MAX = 65_536
PIECE_BYTES = 65_536
_END = b"\r\n\r\n"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Credential(NamedTuple):
    """What is shown in requests to these paths, and in no others."""

    authorization: str
    paths: frozenset[str]


class Allowance:
    """How many bytes may still come in, over all relays that share it; it is `exceeded` when more came."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def takes(self, count: int) -> bool:
        """Count what came in; tell whether it may."""
        self._left -= count
        return not self.exceeded

    @property
    def exceeded(self) -> bool:
        """Tell whether more came than may."""
        return self._left < 0


class Relay:
    """Listens inside the sandbox; every request there, at `URL`, becomes one to `api_url`, under that host's name.

    A connection carries one request: its head is what names the host, and only the first is looked for. `connect` is
    how that host is reached, where it is not the server itself; of its answers no more comes in than the `allowance`
    has left. A `credential` is added here, on the way out: who is inside neither has it, nor uses it for anything else.
    """

    def __init__(
        self,
        listener: socket.socket,
        api_url: str,
        *,
        connect: Connect | None = None,
        allowance: Allowance | None = None,
        credential: Credential | None = None,
    ) -> None:
        self._credential = credential
        self._listener = listener
        self._to = urlsplit(api_url)
        self._secure = ssl.create_default_context() if connect is None and self._to.scheme == "https" else None
        self._connect = connect or self._connected
        self._takes = (lambda _: True) if allowance is None else allowance.takes
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
        theirs, ours = await self._connect()
        try:
            ours.write(addressed(head, self._to.netloc.rpartition("@")[2], self._credential))
            sending = asyncio.create_task(_pump(reader, ours))
            try:
                await _pump(theirs, writer, self._takes)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            ours.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self._to.port or (80 if self._secure is None else 443)
        return await asyncio.open_connection(self._to.hostname, port, ssl=self._secure)


def inside(api_url: str) -> str:
    """Return where a command in the sandbox finds what lies at `api_url`."""
    return URL + urlsplit(api_url).path.rstrip("/")


def addressed(head: bytes, host: str, credential: Credential | None = None) -> bytes:
    """Return the head of a request as it goes to `host`: under that name, and as the only one of its connection."""
    start, *fields = head.removesuffix(_END).split(b"\r\n")
    dropped = (b"host", b"connection", b"keep-alive", *([b"authorization"] if credential else []))
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in dropped]
    if credential is not None and _asked(start) in credential.paths:
        kept.append(b"Authorization: " + credential.authorization.encode())
    return b"\r\n".join([start, b"Host: " + host.encode(), *kept, b"Connection: close"]) + _END


def _asked(start: bytes) -> str:
    """Return the path of a request, as it was written."""
    return start.decode("latin-1").split(" ")[1].partition("?")[0] if start.count(b" ") == 2 else ""


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, takes: Callable[[int], bool] = lambda _: True
) -> None:
    """Pass on until one side has ended, or nothing more is taken; a side that broke off ends the other, too."""
    try:
        while (piece := await reader.read(PIECE_BYTES)) and takes(len(piece)):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
