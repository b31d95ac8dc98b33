"""What a viewer of a terminal does to it: type, end that, resize; no faster than it may, and in order.

Who types faster than that, or faster than the command reads, is not read meanwhile: the connection fills up, and the
sender waits. A refusal is an `error` frame with the frame's own id, and the socket stays open.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.api.context import Call
from runwright.api.sockets import Socket
from runwright.domain.run import Run
from runwright.domain.terminal_events import SIDE_MAX
from runwright.errors import Conflict, Denied, Gone, InvalidRequest, LimitExceeded
from runwright.governance.keyboard import SCOPE

REFUSALS = (Conflict, Denied, Gone, LimitExceeded)
"""What a viewer is told who may go on watching."""

Ref = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", max_length=64)]
Side = Annotated[int, Meta(ge=1, le=SIDE_MAX)]


class Input(msgspec.Struct, tag_field="t", tag="input", forbid_unknown_fields=True):
    """Keystrokes, as text, or in base64 what is none."""

    data: str
    encoding: Literal["utf-8", "base64"] = "utf-8"
    id: Ref | None = None

    def bytes(self) -> bytes:
        """Return what was typed. Raises `InvalidRequest`."""
        try:
            return self.data.encode() if self.encoding == "utf-8" else b64decode(self.data, validate=True)
        except (NotBase64, UnicodeEncodeError) as wrong:
            raise InvalidRequest(f"the input is not {self.encoding}: {wrong}", code="terminal.frame") from None


class End(msgspec.Struct, tag_field="t", tag="eof", forbid_unknown_fields=True):
    """No more is typed."""

    id: Ref | None = None


class Resize(msgspec.Struct, tag_field="t", tag="resize", forbid_unknown_fields=True):
    """The terminal is to have another size."""

    cols: Side
    rows: Side
    id: Ref | None = None


class Hand:
    """The hand of one viewer on the terminal of a run. `read` returns the run as it stands."""

    def __init__(self, call: Call, socket: Socket, read: Callable[[], Awaitable[Run]]) -> None:
        self._call = call
        self._socket = socket
        self._read = read
        self._services = call.services
        self._ready_s = 0.0
        self._checked_s = float("-inf")

    async def do(self, wish: Input | End | Resize) -> None:
        """Do what the viewer wants, or say why not. Raises `InvalidRequest` for what makes no sense."""
        data = wish.bytes() if isinstance(wish, Input) else b""
        try:
            await self._admitted()
            await self._slowed(len(data))
            await self._done(wish, data)
        except REFUSALS as refusal:
            await self._socket.tell(refusal, wish.id)

    async def _done(self, wish: Input | End | Resize, data: bytes) -> None:
        services, actor = self._services, self._call.actor
        keyboard, give_up_s = (
            services.keyboard,
            services.clock.monotonic() + services.settings.terminal_input_patience_s,
        )
        while True:
            run = await self._read()
            try:
                match wish:
                    case Input():
                        await keyboard.type(actor, run, data, wish.id)
                    case End():
                        await keyboard.end(actor, run, wish.id)
                    case Resize():
                        await keyboard.resize(actor, run, wish.cols, wish.rows, wish.id)
            except LimitExceeded as full:
                left_s = give_up_s - services.clock.monotonic()
                if full.code != "terminal.input_full" or left_s <= 0:
                    raise
                await self._news(run, left_s)
            else:
                return

    async def _news(self, run: Run, most_s: float) -> None:
        """Wait until something has happened: the command may have read."""
        try:
            async with asyncio.timeout(most_s), aclosing(self._follow(run)) as parts:
                async for _ in parts:
                    return
        except TimeoutError:
            return

    def _follow(self, run: Run) -> AsyncGenerator[bytes]:
        return self._services.engine.hub.follow(run.run_id, run.seq, lambda event: b".")

    async def _admitted(self) -> None:
        """See that the caller may do this, looking again from time to time."""
        now_s = self._services.clock.monotonic()
        if now_s - self._checked_s >= self._services.settings.stream_keepalive_s:
            await self._call.recheck(SCOPE)
            self._checked_s = now_s

    async def _slowed(self, size: int) -> None:
        """Wait until the viewer may type so many bytes more; a second's worth may come at once."""
        now_s, most = self._services.clock.monotonic(), self._services.settings.terminal_input_bytes_s
        self._ready_s = max(self._ready_s, now_s - 1) + size / most
        if self._ready_s > now_s:
            await self._services.clock.sleep(self._ready_s - now_s)
