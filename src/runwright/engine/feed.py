"""The feed: the state changes of many runs at once, as they become durable; best effort, and cheap for who writes.

A channel exists while somebody follows its organization or project. It keeps the last `window_max` changes; a reader
is a place in it and nothing more, so a slow one costs nobody anything: it is told how many changes it missed and goes
on with what comes then. Each change is encoded once for each wire form, whoever follows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import islice

import msgspec

from runwright.domain.events import CATALOGUE
from runwright.domain.run import Run
from runwright.engine.requests import Committed

Encode = Callable[[Run], bytes]
Key = tuple[str, str | None, Encode]
_CHANGES = frozenset(name for name, entry in CATALOGUE.items() if entry.kind == "lifecycle" and not entry.by_job)


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
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

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
    """Hears every transaction of this process and hands its state changes to followers."""

    def __init__(self, *, window_max: int = 10_000) -> None:
        self._window_max = window_max
        self._channels: dict[Key, _Channel] = {}

    @property
    def channels(self) -> int:
        """Return how many channels somebody follows."""
        return len(self._channels)

    def committed(self, done: Committed) -> None:
        """Hear what the commit made durable: one change for each run whose state moved, as it stands now."""
        if not self._channels:
            return
        encoders = {encode for _, _, encode in self._channels}
        for run_id, events in done.events.items():
            if not any(event.type in _CHANGES for event in events):
                continue
            run = done.runs[run_id]
            spec = run.spec
            for encode in encoders:
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
