"""Give a command what people type for it, and its terminal the size that they say, as the log of its run tells it.

They may type at any server: what they do is an event, and whoever has the lease reads it there. What they typed is
taken out of its envelope here alone; the log keeps it only where the terminal showed it, else how much it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from runwright.domain.events import Event
from runwright.domain.terminal_events import INPUT, Touched
from runwright.engine.attempt import Attempt
from runwright.engine.stream import Lagged
from runwright.engine.values import KEYS
from runwright.executors.terminal import Terminal
from runwright.sandbox.grip import Grip

Follow = Callable[[int], AsyncIterator[Sequence[Event]]]
"""Yields the events of the run after a seq, those that are to come, too."""

_read = msgspec.json.Decoder(Touched).decode


class Hands:
    """What people do to one command, from its beginning at `after` on."""

    def __init__(self, attempt: Attempt, command_id: str, terminal: Terminal, follow: Follow, after: int) -> None:
        self._attempt = attempt
        self._command_id = command_id
        self._terminal = terminal
        self._follow = follow
        self._seq = after
        self._envelopes: dict[str, Any] = {}
        self._typed: asyncio.Queue[tuple[str, Touched]] = asyncio.Queue()  # the commit bounds what waits

    async def hold(self, grip: Grip) -> None:
        """Do to the command what people do, in their order, until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._type(grip))
            while True:
                with contextlib.suppress(Lagged):  # it goes on where it stands
                    await self._hear(grip)

    async def _hear(self, grip: Grip) -> None:
        async with aclosing(self._follow(self._seq)) as parts:  # type: ignore[type-var]
            async for events in parts:
                for event in events:
                    self._seq = event.seq
                    if event.type == INPUT and event.data is not None:
                        self._touch(event.actor, _read(event.data), grip)

    def _touch(self, who: str, told: Touched, grip: Grip) -> None:
        if told.command_id != self._command_id:
            return
        if told.what != "size":
            self._typed.put_nowait((who, told))
        elif told.cols is not None and told.rows is not None:
            with contextlib.suppress(OSError):  # it has ended
                grip.resize(told.cols, told.rows)
                self._terminal.resized(told.cols, told.rows)

    async def _type(self, grip: Grip) -> None:
        while True:
            who, told = await self._typed.get()
            given, echoed = 0, False
            data = b"" if told.what == "end" else await self._opened(told.input_id)
            with contextlib.suppress(OSError):  # it reads no more
                if told.what == "end":
                    await grip.end()
                else:
                    echoed = await grip.write(data)
                    given = len(data)
            self._terminal.typed(who, told.input_id, given, data if echoed else None)

    async def _opened(self, input_id: str) -> bytes:
        if input_id not in self._envelopes:
            self._envelopes = await self._attempt.stored(KEYS, look=True)
        return b64decode(self._envelopes.pop(input_id, ""))
