"""A WebSocket's connection, within bounds: who takes nothing of what is sent to it is cut off, and told why."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runwright.config import Settings
from runwright.telemetry import report

TOO_SLOW = 4429


class SocketConnection(WebSocketsSansIOProtocol):
    """Speak WebSocket with one client that takes what it is sent within `stall_s`."""

    stall_s: float

    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Give a client that takes nothing its time."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_s, self._give_up)

    def resume_writing(self) -> None:
        """Go on with a client that reads."""
        self._rest()
        super().resume_writing()

    async def send(self, message: Any) -> None:
        """Send on; behind the last word, which the protocol itself may have said, nobody is there any more."""
        try:
            await super().send(message)
        except RuntimeError:
            if not self.close_sent:
                raise
            raise ClientDisconnected from None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._rest()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        """Send the last word behind what was not taken, and no more; who takes neither is not waited for."""
        report("connection.cut", why="stall")
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(TOO_SLOW, "too slow")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": TOO_SLOW})  # who sends is told by who listens
        self.transport.close()
        self._stalled = self.loop.call_later(self.stall_s, self.transport.abort)

    def _rest(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def bounded_socket(settings: Settings) -> type[SocketConnection]:
    """Return the class of connections that keep the bounds of these settings."""

    class Bounded(SocketConnection):
        stall_s = settings.connection_stall_s

    return Bounded
