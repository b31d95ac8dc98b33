"""A client's connection, within bounds: what it sends must arrive in time, and what it is sent must be taken in time.

The HTTP server beneath waits without end for the rest of a request, for a reader that does not read, and for a head of
any length. A few such clients, broken or malicious, would hold every connection there may be.
"""

from __future__ import annotations

import asyncio
from random import getrandbits

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runwright.api.errors import answer
from runwright.config import Settings
from runwright.errors import Error, TooLarge, TooSlow
from runwright.telemetry import report


class Connection(HttpToolsProtocol):
    """Speak HTTP with one client; the bounds are those of `bounded`."""

    read_s: float
    stall_s: float
    head_max_bytes: int

    _began_at: float | None = None
    _head_bytes = 0
    _head_whole = False
    _looking: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._began_at = self.loop.time()
        self._looking = self.loop.call_later(self.read_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._rest()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to another protocol, whose bounds are its own."""
        self._rest()
        super().handle_websocket_upgrade()

    # --- what the client sends ----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head of too many of them is refused."""
        super().data_received(data)
        if not self._head_whole:
            self._head_bytes += len(data)
            if self._head_bytes > self.head_max_bytes:
                self._refuse(TooLarge(f"The head of the request is larger than {self.head_max_bytes} bytes."))

    def on_message_begin(self) -> None:
        """Measure the time of the request from its first byte on."""
        self._began_at = self.loop.time()
        self._head_bytes, self._head_whole = 0, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the request over; it is for its reader to bound the time of the body."""
        self._head_whole = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing more of this request."""
        self._began_at = None
        super().on_message_complete()

    def _look(self) -> None:
        self._looking = None
        if self.transport.is_closing():
            return
        wait_s = self.read_s
        if self._began_at is not None:
            wait_s = self._began_at + self.read_s - self.loop.time()
            if wait_s <= 0:
                if not self._head_whole:
                    self._refuse(TooSlow(f"The head of the request did not arrive within {self.read_s:g} s."))
                    return
                if self.cycle.response_complete:  # the rest of a body that was answered without it
                    report("connection.cut", why="body")
                    self.transport.close()
                    return
                wait_s = self.read_s
        self._looking = self.loop.call_later(wait_s, self._look)

    def _refuse(self, refusal: Error) -> None:
        """Answer a request that is not there, and end the connection; who said nothing at all hears nothing."""
        report("connection.cut", why="head")
        if self._head_bytes and (self.cycle is None or self.cycle.response_complete):
            status, headers, body = answer(refusal, "", "unknown", f"{getrandbits(128) or 1:032x}")
            headers |= {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
            lines = [f"{name}: {value}\r\n".encode("ascii") for name, value in headers.items()]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()

    # --- what the client is sent --------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Give a client that takes nothing its time."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_s, self._give_up)

    def resume_writing(self) -> None:
        """Go on with a client that reads."""
        self._forgive()
        super().resume_writing()

    def _give_up(self) -> None:
        self._stalled = None
        report("connection.cut", why="stall")
        self.transport.abort()  # to close it would wait for the very bytes that are not taken

    def _forgive(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _rest(self) -> None:
        self._forgive()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None


def bounded(settings: Settings) -> type[Connection]:
    """Return the class of connections that keep the bounds of these settings."""

    class Bounded(Connection):
        read_s = settings.request_read_s
        stall_s = settings.connection_stall_s
        head_max_bytes = settings.head_max_bytes

    return Bounded
