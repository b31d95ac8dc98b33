"""Serve declared WebSockets: find, admit, hand over; a refusal is a frame that says why, and a close code.

Close codes: 1000 all was sent, 1011 our fault, 1012 the server drains (come back), 1013 not now, 4400 what was asked
makes no sense, 4401 and 4403 the caller, 4404 nothing there, 4408 idle, 4410 gone, 4429 too many or too slow.
"""

import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.types import Message, Receive, Scope, Send

from runwright import errors
from runwright.api.context import Call, Services
from runwright.api.errors import known, runtime_code
from runwright.api.routing import SocketRoute
from runwright.api.tree import Tree
from runwright.telemetry import observe

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

DONE, DRAINING, IDLE = 1000, 1012, 4408
CODES: dict[type[errors.Error], int] = {
    errors.Error: 1011,
    errors.StoreUnavailable: 1013,
    errors.Overloaded: 1013,
    errors.InvalidRequest: 4400,
    errors.Denied: 4403,
    errors.Unauthenticated: 4401,
    errors.NotFound: 4404,
    errors.Gone: 4410,
    errors.LimitExceeded: 4429,
}
"""The close code of each class of errors; a class that is not here has its parent's."""


class Departed(Exception):
    """Say that the peer has gone: nothing more can be sent."""


class Socket:
    """One WebSocket, from the server's side. Sending waits until the peer has taken most of what was sent before."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._accepted = False
        self.code: int | None = None

    async def opened(self) -> None:
        """Wait for the peer's wish to connect."""
        if (await self._receive())["type"] != "websocket.connect":
            raise Departed

    async def accept(self, subprotocol: str | None = None) -> None:
        """Let the peer in."""
        if not self._accepted:
            self._accepted = True
            await self._sent({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})

    async def send(self, frame: bytes) -> None:
        """Send one frame of text. Raises `Departed`."""
        await self._sent({"type": "websocket.send", "text": frame.decode()})

    async def receive(self) -> str:
        """Return the next frame of text. Raises `Departed`, and `InvalidRequest` for a frame of bytes."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.code = self.code or message.get("code")
            raise Departed
        text: str | None = message.get("text")
        if text is None:
            raise errors.InvalidRequest("frames are JSON texts", code="terminal.frame")
        return text

    async def close(self, code: int, reason: str = "") -> None:
        """End it with a code. Raises `Departed`."""
        self.code = code
        await self.accept()
        await self._sent({"type": "websocket.close", "code": code, "reason": reason[:100]})

    async def refuse(self, error: errors.Error) -> None:
        """Say what is wrong, and end it."""
        await self.accept()
        await self.tell(error)
        await self.close(code_of(type(error)), runtime_code(error.code))

    async def tell(self, error: errors.Error, ref: str | None = None) -> None:
        """Say what is wrong, and go on; `ref` is what the peer called that."""
        named = {} if ref is None else {"id": ref}
        await self.send(_encode({"t": "error", "code": runtime_code(error.code), "message": error.detail, **named}))

    async def _sent(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            raise Departed from None


class SocketTable:
    """Serve all WebSockets."""

    def __init__(self, routes: Iterable[SocketRoute], services: Services) -> None:
        """Bind the routes to the services of this process."""
        self._services = services
        self._tree: Tree[SocketRoute] = Tree()
        for route in routes:
            self._tree.add(route.path, "GET", route)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket to its end."""
        scope["method"] = "GET"  # what it was, and what a ticket is good for
        call, socket = Call(scope, receive, self._services), Socket(receive, send)
        route: SocketRoute | None = None
        try:
            await socket.opened()
            route, values = self._find(scope["path"])
            await call.admit(route.scope)
            await route.handler(call, socket, *values)
        except Departed:
            pass
        except Exception as failure:  # noqa: BLE001 - whatever it is, the peer hears of it
            await self._refuse(socket, known(failure, call.request_id))
        finally:
            if call.ticket is not None:
                await self._services.tickets.leave(call.ticket)
            observe("socket.closed", route="none" if route is None else route.path, code=socket.code or 1006)

    async def _refuse(self, socket: Socket, error: errors.Error) -> None:
        with contextlib.suppress(Departed):
            await socket.refuse(error)

    def _find(self, path: str) -> tuple[SocketRoute, list[str]]:
        found = None if "\0" in path else self._tree.find(path)
        if found is None:
            raise errors.NotFound
        methods, values = found
        return methods["GET"], values


def code_of(kind: type[errors.Error]) -> int:
    """Return the close code of an error's class."""
    return next(CODES[each] for each in kind.__mro__ if each in CODES)


def reads(frame: str, kind: Any) -> Any:
    """Return a peer's frame as what it says it is. Raises `InvalidRequest`."""
    try:
        return msgspec.json.decode(frame, type=kind)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise errors.InvalidRequest(f"the frame is none that is known here: {wrong}", code="terminal.frame") from None
