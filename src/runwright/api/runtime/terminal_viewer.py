"""One viewer of a terminal: what it is shown, what it may say, and why it is let go.

Every viewer of a run is given the same bytes, encoded once; who is behind reads the store, a page at a time. Nothing is
kept for a viewer: it is sent what it takes, and comes back with the cursor of the last frame that it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import msgspec

from runwright.api.context import Call
from runwright.api.runtime import terminal_frames as frames
from runwright.api.runtime.terminal_hand import End, Hand, Input, Resize
from runwright.api.sockets import DONE, DRAINING, IDLE, Socket, reads
from runwright.domain.pruning import last_event
from runwright.domain.run import Run
from runwright.engine.stream import Cut, Lagged
from runwright.errors import Denied, Error, Gone, InvalidRequest, TooSlow
from runwright.governance.recordings import PAGE
from runwright.store.base import Record

_log = logging.getLogger(__name__)


class _Resume(msgspec.Struct, tag_field="t", tag="resume", forbid_unknown_fields=True):
    cursor: str


class Viewer:
    """Shows one run's terminal through one socket."""

    def __init__(self, call: Call, socket: Socket, record: Record) -> None:
        self._call = call
        self._socket = socket
        self._record = record
        self._run_id = record.run.run_id
        self._services = call.services
        self._verdict: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._shown_s = call.services.clock.monotonic()
        self._sending = False
        self._showing: asyncio.Task[None] | None = None

    async def watch(self, after: int | None) -> None:
        """Show it from `after` on, or from its beginning, until somebody has a reason to end it."""
        key = self._call.actor.key_id or self._call.actor.label
        most = self._services.settings.terminal_viewers_max
        with self._services.streams.seat(self, key, f"terminal/{self._run_id}", most):
            self._check(after)
            record = self._record
            first = record.run.seq + 1 if record.pruned_at is not None else 1
            await self._socket.send(frames.hello(self._run_id, first, record.run.seq))
            self._show(after)
            others = [asyncio.create_task(self._to_verdict(work)) for work in (self._listen(), self._beat())]
            try:
                code = await self._verdict
            finally:
                tasks = [*others, *([] if self._showing is None else [self._showing])]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await self._socket.close(code)

    def end(self, last_word: bytes = b"") -> None:
        """Let the viewer go, to come back to whoever listens then."""
        if not self._verdict.done():
            self._verdict.set_result(DRAINING)

    def _check(self, after: int | None) -> None:
        """Raise `InvalidRequest` for a place that the log has not reached, `Gone` for one that retention has passed."""
        if after is None:
            return
        run = self._record.run
        if after > run.seq:
            raise InvalidRequest.at("cursor", "is ahead of this terminal", code="cursor.invalid")
        if self._record.pruned_at is not None and after < run.seq:
            raise Gone("retention has removed what follows this cursor", code="cursor.expired")

    def _show(self, after: int | None) -> None:
        if self._showing is not None:
            self._showing.cancel()
            self._sending = False
        self._showing = asyncio.create_task(self._to_verdict(self._send_from(after or 0)))

    async def _to_verdict(self, work: Coroutine[Any, Any, int]) -> None:
        """Let the first piece of work that ends say how the whole ends."""
        try:
            code = await work
        except Exception as failure:  # noqa: BLE001 - whoever waits for the verdict raises it
            if not self._verdict.done():
                self._verdict.set_exception(failure)
        else:
            if not self._verdict.done():
                self._verdict.set_result(code)

    async def _send_from(self, after: int) -> int:
        try:
            hub = self._services.engine.hub
            async with aclosing(hub.follow(self._run_id, after, frames.frame, page=PAGE)) as parts:
                async for part in parts:
                    self._sending = True
                    for frame in part.split(b"\n"):
                        if frame:
                            await self._socket.send(frame)
                    self._sending, self._shown_s = False, self._services.clock.monotonic()
        except Lagged:
            raise TooSlow(
                "what was printed was not read in time; go on with `?cursor=`", code="terminal.lagged"
            ) from None
        except Cut as cut:
            end = last_event(cut.run).seq
            await self._socket.send(frames.pruned(self._run_id, cut.seq, end))
            await self._socket.send(frames.eof(self._run_id, end, None))
            return DONE
        reader = self._services.engine.reader(self._call.actor)
        digest = await self._services.digests.of(reader, await reader.run(self._run_id))
        end = (await reader.run(self._run_id)).run.seq
        await self._socket.send(frames.eof(self._run_id, end, digest))
        return DONE

    async def _listen(self) -> int:
        hand = Hand(self._call, self._socket, self._standing)
        while True:
            told = reads(await self._socket.receive(), _Resume | Input | End | Resize)
            if isinstance(told, _Resume):
                after = frames.place(self._run_id, told.cursor)
                self._record = await self._services.engine.reader(self._call.actor).run(self._run_id)
                self._check(after)
                self._show(after)
            else:
                await hand.do(told)

    async def _standing(self) -> Run:
        return (await self._services.engine.reader(self._call.actor).run(self._run_id)).run

    async def _beat(self) -> int:
        """Look from time to time whether the caller may still see it, and whether there is anything to see."""
        settings, clock = self._services.settings, self._services.clock
        while True:
            rest_s = self._shown_s + settings.terminal_idle_s - clock.monotonic()
            if rest_s <= 0 and not self._sending:  # who does not take what is sent has a limit of its own
                return IDLE
            await clock.sleep(min(settings.stream_keepalive_s, max(rest_s, settings.terminal_idle_s / 2)))
            try:
                await self._call.recheck()
            except Denied:
                raise
            except Error as failure:  # the store is away: the next beat looks again
                _log.warning("a viewer's credentials could not be checked: %s", failure)
