"""A TCP proxy that does to connections what networks do: delays, trickles, cuts, resets, and silence.

Each direction has a `Line`, whose conditions may be changed while connections live. `up` is from the client to the
server, `down` the way back.

    async with Proxy.to(port) as proxy:
        proxy.down.latency_s = 0.1        # and jitter_s: up to so much more
        proxy.down.bytes_per_s = 1000     # a slow reader: the server's bytes pile up at its own door
        proxy.up.silent = True            # half-open: what is sent this way is taken and never arrives
        proxy.down.cut_after(1000)        # the connection is reset after so many more; or "closed", "silent"
        proxy.accepting = "silent"        # new connections: "yes", "silent" (a black hole), "refused", "reset"
        proxy.reset()                     # all connections, now, by RST
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from runwright.clock import SystemClock

PIECE_BYTES = 16_384
SLOW_BUFFER_BYTES = 4096

End = Literal["reset", "closed", "silent"]
Accepting = Literal["yes", "silent", "refused", "reset"]


class Line:
    """The conditions of one direction."""

    def __init__(self, seed: int = 0) -> None:
        self.latency_s = 0.0
        self.jitter_s = 0.0
        self.bytes_per_s = 0.0
        self.silent = False
        self.passed = 0
        self.cuts = 0
        self._left: int | None = None
        self._end: End = "reset"
        self._chance = random.Random(seed)

    def cut_after(self, count: int, ended: End = "reset") -> None:
        """Let `count` more bytes of this direction through, over all connections, then end the one that sends on."""
        self._left, self._end = count, ended

    def heal(self) -> None:
        """Be a good line from now on."""
        self.latency_s = self.jitter_s = self.bytes_per_s = 0.0
        self.silent = False
        self._left = None

    def allow(self, data: bytes) -> tuple[bytes, End | None]:
        """Return what of these bytes passes, and how the connection ends behind them, if it does; a cut is once."""
        if self._left is None:
            return data, None
        passing, self._left = data[: self._left], max(self._left - len(data), 0)
        if len(passing) == len(data):
            return data, None
        self._left = None
        self.cuts += 1
        return passing, self._end

    def delay_s(self, count: int) -> float:
        """Return how long so many bytes take."""
        slow_s = count / self.bytes_per_s if self.bytes_per_s else 0.0
        return self.latency_s + self._chance.random() * self.jitter_s + slow_s

    @property
    def piece_bytes(self) -> int:
        """Return how many bytes are moved at once: of a slow line no more than a tenth of a second's."""
        return max(min(int(self.bytes_per_s / 10), PIECE_BYTES), 1) if self.bytes_per_s else PIECE_BYTES


class _Link:
    """One connection of a client, and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.silent = False
        self.ended = 0
        self.tasks: list[asyncio.Task[None]] = []

    def close(self, *, reset: bool) -> None:
        """End both connections: by RST, or by FIN."""
        loop = asyncio.get_running_loop()
        for each in (self.client, self.server):
            loop.remove_reader(each)  # or the next socket of this number would be taken for it
            loop.remove_writer(each)
            if reset:
                abort(each)
            else:
                each.close()


class Proxy:
    """Listens on a free port and passes everything on to `port`. `opened` counts connections ever made."""

    def __init__(self, port: int, listener: socket.socket) -> None:
        self.up = Line(1)
        self.down = Line(2)
        self.accepting: Accepting = "yes"
        self.opened = 0
        self.target = port
        self._clock = SystemClock()
        self._listener = listener
        self._links: set[_Link] = set()
        self._strays: list[socket.socket] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Proxy]:
        """Serve in front of a local port."""
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            # Small windows are inherited: a slow line then holds back the sender, and not only the kernel's buffers.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
            listener.setblocking(False)
            proxy, loop = cls(port, listener), asyncio.get_running_loop()
            loop.add_reader(listener, proxy._accept)
            try:
                yield proxy
            finally:
                loop.remove_reader(listener)
                tasks = [task for link in proxy._links for task in link.tasks]
                proxy.reset()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Return where clients connect."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Return the address for clients of HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def links(self) -> int:
        """Return how many connections are passed on at the moment."""
        return len(self._links)

    def reset(self) -> None:
        """End every connection by RST, at once."""
        for link in list(self._links):
            self._end(link, "reset")
        while self._strays:
            abort(self._strays.pop())

    def freeze(self) -> None:
        """Leave every connection open, and pass nothing more on over any of them, ever."""
        for link in self._links:
            link.silent = True

    def heal(self) -> None:
        """Be a good network from now on; what was cut or frozen stays so."""
        self.accepting = "yes"
        self.up.heal()
        self.down.heal()

    def _accept(self) -> None:
        """Take whoever has come; in one step, so that no connection is anywhere that nobody would close."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # gone before its turn
            return
        self.opened += 1
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.accepting == "silent":
            self._strays.append(client)
        elif self.accepting == "reset":
            abort(client)
        elif self.accepting == "refused":
            client.close()
        else:
            link = _Link(client, _towards_server())
            self._links.add(link)
            link.tasks.append(asyncio.create_task(self._dial(link)))

    async def _dial(self, link: _Link) -> None:
        try:
            await asyncio.get_running_loop().sock_connect(link.server, ("127.0.0.1", self.target))
        except OSError:
            self._end(link, "reset")
            return
        link.tasks += [
            asyncio.create_task(self._pass(link, link.client, link.server, self.up)),
            asyncio.create_task(self._pass(link, link.server, link.client, self.down)),
        ]

    async def _pass(self, link: _Link, source: socket.socket, sink: socket.socket, line: Line) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(source, line.piece_bytes):
                delay_s = line.delay_s(len(data))
                if delay_s:
                    await self._clock.sleep(delay_s)
                if link.silent or line.silent:
                    continue
                passing, end = line.allow(data)
                line.passed += len(passing)
                await loop.sock_sendall(sink, passing)
                if end == "silent":
                    link.silent = True
                elif end is not None:
                    self._end(link, end)
                    return
            if not (link.silent or line.silent):  # a farewell, too, does not arrive over a dead line
                link.ended += 1
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                if link.ended == 2:
                    self._end(link, "closed")
        except OSError:
            if not (link.silent or line.silent):
                self._end(link, "reset")

    def _end(self, link: _Link, how: End) -> None:
        if link in self._links:
            self._links.discard(link)
            link.close(reset=how == "reset")
            here = asyncio.current_task()
            for task in link.tasks:
                if task is not here:
                    task.cancel()


def _towards_server() -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.setblocking(False)
    return server


def abort(connection: socket.socket) -> None:
    """Close a connection by RST: what is on its way is lost on both sides."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
