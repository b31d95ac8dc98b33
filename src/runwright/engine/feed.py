"""The feed: the state changes of many runs at once, as they become durable; best effort, and cheap for who writes.

A channel exists while somebody follows its organization or project. It keeps the last `window_max` changes; a reader
is a place in it and nothing more, so a slow one costs nobody anything: it is told how many changes it missed and goes
on with what comes then. Each change is encoded once for each wire form, whoever follows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

import msgspec

from runwright.domain.events import CHANGES
from runwright.domain.run import Run
from runwright.engine.requests import Committed
from runwright.errors import StoreError
from runwright.store.base import Store
from runwright.telemetry import report

RUNS_AT_ONCE = 500
"""How many runs that another process moved are read by one statement."""

Encode = Callable[[Run], bytes]
Key = tuple[str, str | None, Encode]


class News(msgspec.Struct, frozen=True):
    """What a follower gets: the frames of changes, or how many it missed."""

    frames: bytes = b""
    missed: int = 0


class _Channel:
    """The latest changes of an organization or project; `end` counts all that there ever were."""

    def __init__(self, window_max: int) -> None:
        self.followers = 0
        self.end = 0
        self._frames: deque[bytes] = deque(maxlen=window_max)
        self._news: asyncio.Future[None] | None = None

    def feed(self, frame: bytes) -> None:
        self._frames.append(frame)
        self.end += 1
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    def miss(self) -> None:
        """Let every follower know that it missed something."""
        self._frames.clear()
        self.end += 1
        self._tell()

    def after(self, place: int) -> News:
        first = self.end - len(self._frames)
        if place < first:
            return News(missed=self.end - place)
        return News(b"".join(islice(self._frames, place - first, None)))

    async def wait(self) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)


class Feed:
    """Hears every transaction of this process, and of others which runs they moved; hands on where those stand."""

    def __init__(self, store: Store, *, window_max: int = 10_000) -> None:
        self._store = store
        self._window_max = window_max
        self._channels: dict[Key, _Channel] = {}
        self._moved: set[str] = set()
        self._fed: dict[str, int] = {}
        self._reading: asyncio.Task[None] | None = None

    @property
    def channels(self) -> int:
        """Return how many channels somebody follows."""
        return len(self._channels)

    def committed(self, done: Committed) -> None:
        """Hear what the commit made durable: one change for each run whose state moved, as it stands now."""
        if not self._channels:
            return
        for run_id, events in done.events.items():
            if any(event.type in CHANGES for event in events):
                self._hand_on(done.runs[run_id])

    def look(self, run_ids: Iterable[str]) -> None:
        """Hand on where these runs stand, which another process moved; each once, however often it was moved."""
        if self._channels:
            self._moved.update(run_ids)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(), name="feed")

    def resync(self) -> None:
        """Tell every follower that it may have missed something."""
        for channel in self._channels.values():
            channel.miss()

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            while self._moved:
                moved, self._moved = sorted(self._moved), set()
                self._fed.clear()
                for first in range(0, len(moved), RUNS_AT_ONCE):
                    for record in await self._store.records_of(moved[first : first + RUNS_AT_ONCE]):
                        # This process may have moved it on while it was read.
                        if record.run.seq > self._fed.get(record.run.run_id, 0):
                            self._hand_on(record.run)
        except StoreError as broken:
            report("feed.not_read", code=broken.code, detail=broken.detail)
            self.resync()
        finally:
            self._reading = None

    def _hand_on(self, run: Run) -> None:
        spec = run.spec
        if self._reading is not None:
            self._fed[run.run_id] = run.seq
        for encode in {encode for _, _, encode in self._channels}:
            wide = self._channels.get((spec.org_id, None, encode))
            narrow = self._channels.get((spec.org_id, spec.project_id, encode))
            if wide is not None or narrow is not None:
                frame = encode(run)
                for channel in (wide, narrow):
                    if channel is not None:
                        channel.feed(frame)

    async def follow(self, org_id: str, project_id: str | None, encode: Encode) -> AsyncIterator[News]:
        """Yield the changes from now on, of an organization or one project; a follower that is too slow misses some."""
        key = (org_id, project_id, encode)
        channel = self._channels.setdefault(key, _Channel(self._window_max))
        channel.followers += 1
        place = channel.end
        try:
            while True:
                if place == channel.end:
                    await channel.wait()
                news, place = channel.after(place), channel.end
                yield news
        finally:
            channel.followers -= 1
            if channel.followers == 0 and self._channels.get(key) is channel:
                del self._channels[key]
