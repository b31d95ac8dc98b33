"""The stream hub: the log of a run, followed live by many, read once.

A channel exists while somebody follows its run. The commit feeds it after each durable transaction; whoever is behind
reads the store by pages. Each event is encoded once per wire form, and all followers of that form get the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice

from runwright.clock import Clock
from runwright.domain.events import TERMINAL_TYPES, Event
from runwright.engine.requests import Committed
from runwright.store.base import Store
from runwright.telemetry import observe

Encode = Callable[[Event], bytes]


class Lagged(Exception):
    """Say that a follower fell too far behind; it may come back and go on at `seq`."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


class _Channel:
    """The live window of one run: the events committed since somebody began to follow it."""

    def __init__(self, window_max: int) -> None:
        self.followers = 0
        self._window: deque[Event] = deque(maxlen=window_max)
        self._frames: dict[Encode, deque[bytes]] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._asked: tuple[int, Encode] | None = None
        self._answer = (b"", 0, False)

    @property
    def first(self) -> int | None:
        return self._window[0].seq if self._window else None

    @property
    def last(self) -> int:
        return self._window[-1].seq if self._window else 0

    @property
    def ended(self) -> bool:
        return bool(self._window) and self._window[-1].type in TERMINAL_TYPES

    def feed(self, events: Sequence[Event]) -> None:
        self._window.extend(events)
        for encode, frames in self._frames.items():
            frames.extend(encode(event) for event in events)
        self._asked = None
        waiting, self._waiting = self._waiting, {}
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def news(self) -> None:
        """Wait for the next feed. Each who waits has a future of their own: one may be cancelled alone."""
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[one] = None
        try:
            await one
        finally:
            self._waiting.pop(one, None)

    def after(self, seq: int, encode: Encode) -> tuple[bytes, int, bool]:
        """Return the frames after `seq`, the last seq among them, and whether the run ended with it.

        Those who keep up all ask for the same: they are given the very same bytes.
        """
        asked = (seq, encode)
        if self._asked != asked:
            frames = self._frames.get(encode)
            if frames is None:
                frames = self._frames[encode] = deque((encode(event) for event in self._window), self._window.maxlen)
            end = self._window[-1]
            # From the newest back: what everybody has read already is not walked through.
            newest = islice(reversed(frames), end.seq - seq)
            self._answer = (b"".join(reversed(list(newest))), end.seq, end.type in TERMINAL_TYPES)
            self._asked = asked
        return self._answer


class Hub:
    """Follows runs for all subscribers of a process."""

    def __init__(self, store: Store, clock: Clock, *, page: int = 500, window_max: int = 10_000) -> None:
        self._store = store
        self._clock = clock
        self._page = page
        self._window_max = window_max
        self._channels: dict[str, _Channel] = {}
        self._moved: dict[str, set[asyncio.Event]] = {}

    @property
    def channels(self) -> int:
        """Return how many runs are followed at the moment."""
        return len(self._channels)

    def committed(self, done: Committed) -> None:
        """Hear what the commit made durable."""
        if self._channels:
            for run_id, events in done.events.items():
                channel = self._channels.get(run_id)
                if channel is not None:
                    channel.feed(events)
        if self._moved:
            for run_id, run in done.runs.items():
                if run.state != "executing":
                    for waiter in self._moved.get(run_id, ()):
                        waiter.set()

    async def left_executing(self, run_id: str, timeout_s: float) -> bool:
        """Wait until the run is no longer executing; return False when `timeout_s` passed first."""
        moved = asyncio.Event()
        waiters = self._moved.setdefault(run_id, set())
        waiters.add(moved)
        try:
            return await self._clock.wait(moved, timeout_s)
        finally:
            waiters.discard(moved)
            if not waiters:
                self._moved.pop(run_id, None)

    async def follow(self, run_id: str, after_seq: int, encode: Encode, *, live: bool = True) -> AsyncIterator[bytes]:
        """Yield the frames of the run's events after `after_seq`, several at once: history first, then live.

        Nothing is missed and nothing comes twice. Ends after the terminal event, or, unless `live`, at the end of the
        history. Raises `Lagged` for a follower that was live and fell out of the window.
        """
        channel = self._channels.setdefault(run_id, _Channel(self._window_max))
        channel.followers += 1
        seq, was_live, looked = after_seq, False, False
        try:
            while True:
                first = channel.first
                if first is not None and channel.last > seq >= first - 1:
                    chunk, seq, ended = channel.after(seq, encode)
                    was_live = True
                elif first is None or seq + 1 < first:
                    if was_live:
                        observe("stream.lagged", run_id=run_id)
                        raise Lagged(seq)
                    events = await self._store.events(run_id, seq, self._page)
                    chunk = b"".join([encode(event) for event in events])
                    ended = bool(events) and events[-1].type in TERMINAL_TYPES
                    seq = events[-1].seq if events else seq
                else:
                    chunk, ended = b"", False
                if chunk:
                    yield chunk
                if ended:
                    return
                if not chunk and (channel.first is None or channel.last <= seq):
                    if not live or channel.ended:
                        return
                    if not looked:  # who asks for what comes after the end must not wait for it
                        looked = True
                        if await self._ended(run_id, seq):
                            return
                        continue
                    was_live = was_live or channel.first is not None
                    await channel.news()
        finally:
            channel.followers -= 1
            if channel.followers == 0 and self._channels.get(run_id) is channel:
                del self._channels[run_id]

    async def _ended(self, run_id: str, seq: int) -> bool:
        record = await self._store.record(run_id)
        return record is not None and record.run.terminal and record.run.seq <= seq
