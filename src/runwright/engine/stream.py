"""The stream hub: the log of a run, followed live by many, read once.

A channel exists while somebody follows its run. The commit feeds it after each durable transaction; what other
processes wrote is read from the store, once for all; whoever is behind reads the store by pages. Each event is encoded
once per wire form, and all followers of that form get the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.events import TERMINAL_TYPES, Event
from runwright.domain.run import Run
from runwright.engine.requests import Committed
from runwright.errors import StoreError
from runwright.store.base import Store
from runwright.telemetry import observe, report

Encode = Callable[[Event], bytes]
Part = TypeVar("Part", bytes, Sequence[Event])
"""What a follower is given at a time."""

PART_BYTES = 1 << 20
"""After so many bytes a part of the window, or of the backlog, is handed over, and the rest with the next."""
RUNS_AT_ONCE = 500
"""In how many runs one statement reads on."""


class Lagged(Exception):
    """Say that a follower fell too far behind; it may come back and go on at `seq`."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


class Cut(Exception):
    """Say that retention has removed the events after `seq`; of the run is left what `run` says."""

    def __init__(self, seq: int, run: Run) -> None:
        super().__init__(seq)
        self.seq = seq
        self.run = run


class _Channel:
    """The live window of one run: what was committed since somebody began to follow it, up to the seq `end`.

    `end` is None until somebody has looked where the log ends. After `start` the window holds every event.
    """

    def __init__(self, window_max: int, window_max_bytes: int) -> None:
        self.followers = 0
        self.end: int | None = None
        self._window: deque[Event] = deque(maxlen=window_max)
        self._max_bytes = window_max_bytes
        self._bytes = 0
        self._frames: dict[Encode, deque[bytes]] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._over = False
        self._answers: dict[Encode, tuple[int, tuple[bytes, int, bool]]] = {}

    @property
    def start(self) -> int:
        return (self.end or 0) - len(self._window)

    @property
    def ended(self) -> bool:
        return self._over or (bool(self._window) and self._window[-1].type in TERMINAL_TYPES)

    def know(self, seq: int, *, over: bool) -> None:
        """Begin the window after `seq`, where the log ends, unless it has begun; for ever, if the run is `over`."""
        if self.end is None:
            self.end, self._over = seq, over

    def feed(self, events: Sequence[Event]) -> bool:
        """Take in what follows, but for what is there already; return False, and take nothing, if some is missing."""
        if self.end is not None:
            if events[0].seq > self.end + 1:
                return False
            if events[0].seq <= self.end:
                events = events[self.end + 1 - events[0].seq :]
                if not events:
                    return True
        self.end = events[-1].seq
        for event in events:
            self._take(event)
        for encode, frames in self._frames.items():
            frames.extend(encode(event) for event in events)
            while len(frames) > len(self._window):
                frames.popleft()
        self._answers.clear()
        waiting, self._waiting = self._waiting, {}
        for one in waiting:
            if not one.done():
                one.set_result(None)
        return True

    def _take(self, event: Event) -> None:
        """Let the oldest go for the newest, which is kept however large it is."""
        window = self._window
        self._bytes += _size(event)
        while window and (len(window) == window.maxlen or self._bytes > self._max_bytes):
            self._bytes -= _size(window.popleft())
        window.append(event)

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

        Those who keep up all ask for the same: they are given the very same bytes, whichever form others read.
        """
        kept = self._answers.get(encode)
        if kept is None or kept[0] != seq:
            frames = self._frames.get(encode)
            if frames is None:
                frames = self._frames[encode] = deque((encode(event) for event in self._window), self._window.maxlen)
            end = self._window[-1]
            # From the newest back: what everybody has read already is not walked through.
            newest = list(islice(reversed(frames), end.seq - seq))[::-1]
            part = newest[: _part(map(len, newest))]
            ended = len(part) == len(newest) and end.type in TERMINAL_TYPES
            kept = (seq, (b"".join(part), seq + len(part), ended))
            self._answers[encode] = kept
        return kept[1]

    def since(self, seq: int) -> tuple[Sequence[Event], int, bool]:
        """Return the events after `seq`, the last seq among them, and whether the run ended with it."""
        end = self._window[-1]
        newest = list(islice(reversed(self._window), end.seq - seq))[::-1]
        part = newest[: _part(map(_size, newest))]
        return part, part[-1].seq, part[-1].type in TERMINAL_TYPES


def _size(event: Event) -> int:
    return len(event.data or b"") + len(event.message)


def _part(sizes: Iterable[int]) -> int:
    """Return how many of these make a part."""
    total = count = 0
    for size in sizes:
        total += size
        count += 1
        if total >= PART_BYTES:
            break
    return count


class Hub:
    """Follows runs for all subscribers of a process.

    Other processes write to the same runs. What this one commits may therefore come before what it does not know yet:
    then, and when somebody tells it to `look`, it reads the store from where it stands, for all runs at once.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        page: int = 500,
        window_max: int = 10_000,
        window_max_bytes: int = 16 << 20,
    ) -> None:
        self._store = store
        self._clock = clock
        self._page = page
        self._window_max = (window_max, window_max_bytes)
        self._channels: dict[str, _Channel] = {}
        self._moved: dict[str, set[asyncio.Event]] = {}
        self._behind: dict[str, None] = {}
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, settings: Settings, store: Store, clock: Clock) -> Hub:
        """Return a hub with the limits of the settings."""
        most, most_bytes = settings.stream_lag_max, settings.stream_lag_max_bytes
        return cls(store, clock, page=settings.stream_page, window_max=most, window_max_bytes=most_bytes)

    @property
    def channels(self) -> int:
        """Return how many runs are followed at the moment."""
        return len(self._channels)

    def committed(self, done: Committed) -> None:
        """Hear what the commit made durable."""
        if self._channels:
            for run_id, events in done.events.items():
                channel = self._channels.get(run_id)
                if channel is not None and not channel.feed(events):
                    self.look([run_id])
        if self._moved:
            for run_id, run in done.runs.items():
                if run.state != "executing":
                    self._left(run_id)

    def look(self, run_ids: Iterable[str] | None = None) -> None:
        """Read on in these runs, or in all: another process may have written to them. Those nobody asks for are not."""
        for run_id in self._wanted() if run_ids is None else run_ids:
            if run_id in self._channels or run_id in self._moved:
                self._behind[run_id] = None
        if self._behind and self._reading is None:
            self._reading = asyncio.create_task(self._catch_up(), name="hub")

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _wanted(self) -> list[str]:
        # A copy: the sets change while the store is read.
        return [run_id for run_id, channel in self._channels.items() if not channel.ended] + list(self._moved)

    async def _catch_up(self) -> None:
        try:
            while self._behind:
                run_ids = list(islice(self._behind, RUNS_AT_ONCE))
                for run_id in run_ids:
                    del self._behind[run_id]
                await self._read_on(run_ids)
        except StoreError as broken:  # whoever told us to look does so again
            report("stream.not_read", code=broken.code, detail=broken.detail)
        finally:
            self._reading = None

    async def _read_on(self, run_ids: Sequence[str]) -> None:
        ends = {i: channel.end for i in run_ids if (channel := self._channels.get(i)) is not None}
        after = {run_id: end for run_id, end in ends.items() if end is not None}
        if after:
            for run_id, events in (await self._store.events_after(after, self._page)).items():
                channel = self._channels.get(run_id)
                if channel is not None and channel.end is not None:
                    # A channel that began anew meanwhile stands further on, or where this one stood.
                    channel.feed(events)
                    if len(events) == self._page:
                        self._behind[run_id] = None
        waited = [run_id for run_id in run_ids if run_id in self._moved]
        if waited:
            for record in await self._store.records_of(waited):
                if record.run.state != "executing":
                    self._left(record.run.run_id)

    def _left(self, run_id: str) -> None:
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

    def follow(
        self, run_id: str, after_seq: int, encode: Encode, *, live: bool = True, page: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the frames of the run's events after `after_seq`, several at once: history first, then live.

        Nothing is missed and nothing comes twice. Ends after the terminal event, or, unless `live`, at the end of the
        history. Raises `Lagged` for a follower that was live and fell out of the window, and `Cut` where retention has
        removed the history. Followers with one `encode` share what it made. `page`: how many are read at once.
        """

        def packed(events: Sequence[Event]) -> bytes:
            return b"".join([encode(event) for event in events])

        size = page or self._page
        return self._follow(run_id, after_seq, live, size, packed, lambda channel, seq: channel.after(seq, encode))

    def events(self, run_id: str, after_seq: int, *, live: bool = True) -> AsyncGenerator[Sequence[Event]]:
        """Yield the events themselves as `follow` yields their frames: for those whose frames differ by reader."""
        page = self._page
        return self._follow(run_id, after_seq, live, page, lambda events: events, lambda each, seq: each.since(seq))

    async def _follow(
        self,
        run_id: str,
        after_seq: int,
        live: bool,
        page: int,
        pack: Callable[[Sequence[Event]], Part],
        window: Callable[[_Channel, int], tuple[Part, int, bool]],
    ) -> AsyncGenerator[Part]:
        channel = self._channels.setdefault(run_id, _Channel(*self._window_max))
        channel.followers += 1
        seq, was_live, looked = after_seq, False, False
        try:
            while True:
                if channel.end is None or seq < channel.start:
                    if was_live:
                        observe("stream.lagged", run_id=run_id)
                        raise Lagged(seq)
                    events = await self._store.events(run_id, seq, page, PART_BYTES)
                    if not events and channel.end is not None and await self._ended(run_id, seq, channel):
                        return
                    chunk = pack(events)
                    ended, more = bool(events) and events[-1].type in TERMINAL_TYPES, bool(events)
                    seq = events[-1].seq if events else seq
                elif seq < channel.end:
                    chunk, seq, ended = window(channel, seq)
                    was_live = more = True
                else:
                    chunk, ended, more = pack(()), False, False
                if chunk:
                    yield chunk
                if ended:
                    return
                if more or (channel.end is not None and seq < channel.end):
                    continue
                if channel.ended:
                    return
                if not looked:  # who asks for what comes after the end must not wait for it
                    looked = True
                    if await self._ended(run_id, seq, channel):
                        return
                    continue
                if not live:
                    return
                was_live = True
                await channel.news()
        finally:
            channel.followers -= 1
            if channel.followers == 0 and self._channels.get(run_id) is channel:
                del self._channels[run_id]

    async def _ended(self, run_id: str, seq: int, channel: _Channel) -> bool:
        record = await self._store.record(run_id)
        if record is not None and record.run.terminal and record.run.seq <= seq:
            return True
        if record is not None and record.pruned_at is not None:
            raise Cut(seq, record.run)
        if record is None and channel.end:
            return True  # it was there
        channel.know(0 if record is None else record.run.seq, over=record is not None and record.run.terminal)
        return False
