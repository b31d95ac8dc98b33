"""Stream events: bytes that were encoded once, written as they are, with one timer and two tasks a connection.

A stream begins with `retry:`, sends a comment every `stream_keepalive_s`, checks its caller's credentials as often, and
ends when its source ends, its reader goes, its credentials go, the store is away, or the server drains. In the last
case `retry: 200` makes the reader come back soon, to whoever listens then.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from runwright.api import instants
from runwright.config import Settings
from runwright.domain.events import Event
from runwright.errors import Denied, Error, InvalidRequest, RateLimited, StoreUnavailable

MEDIA_TYPE = "text/event-stream"

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_COME_BACK = b"retry: 200\n\n"
_KEEPALIVE = b": keepalive\n\n"


class Reading(Protocol):
    """Something that is read for long, and can be ended from outside."""

    def end(self, last_word: bytes = b"") -> None:
        """End it; its reader comes back."""


class Streams:
    """Know the open streams of this process: how many each key has, and how to end them all."""

    def __init__(self, settings: Settings) -> None:
        """Take the limits and intervals from the settings."""
        self._settings = settings
        self._open: set[Reading] = set()
        self._counts: Counter[str] = Counter()
        self.draining = False

    @property
    def count(self) -> int:
        """Count the open streams."""
        return len(self._open)

    def open(
        self, source: AsyncIterator[bytes], *, key: str, recheck: Callable[[], Awaitable[None]] | None = None
    ) -> "EventStream":
        """Make the stream of a source; raise `RateLimited` when `key` has as many as it may.

        The source is first asked for an item once the response has begun, and closed when the stream ends.
        """
        self._require_room(key, self._settings.streams_per_key)
        return EventStream(self, source, key=key, recheck=recheck, settings=self._settings)

    def _require_room(self, key: str, most: int) -> None:
        if self._counts[key] >= most:
            raise RateLimited(f"This key has {most} open streams.", code="limits.streams", retry_after_s=5)

    @contextmanager
    def seat(self, viewer: "Reading", key: str, shown: str, most: int) -> Iterator[None]:
        """Count a viewer of what is `shown`, for as long as the block takes.

        Raises `RateLimited` when `key` has as many streams as it may, or the same thing has `most` viewers.
        """
        self._require_room(key, self._settings.streams_per_key)
        if self._counts[shown] >= most:
            raise RateLimited(f"It has {most} viewers.", code="limits.viewers", retry_after_s=5)
        self._counts[shown] += 1
        self.enter(viewer, key)
        if self.draining:
            viewer.end()
        try:
            yield
        finally:
            self.leave(viewer, key)
            self._counts[shown] -= 1
            if not self._counts[shown]:
                del self._counts[shown]

    def drain(self) -> None:
        """End every stream, now and from now on, asking its reader to come back."""
        self.draining = True
        for stream in tuple(self._open):
            stream.end(_COME_BACK)

    def enter(self, stream: "Reading", key: str) -> None:
        """Count a stream that begins."""
        self._open.add(stream)
        self._counts[key] += 1

    def leave(self, stream: "Reading", key: str) -> None:
        """Forget a stream that ended."""
        self._open.discard(stream)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


class EventStream:
    """Write one source to one reader, as an ASGI response."""

    __slots__ = (
        "_beating", "_ended", "_keepalive_s", "_key", "_last_word", "_loop", "_recheck", "_retry_ms", "_send",
        "_sending", "_source", "_streams", "_task", "_timer", "raw_headers", "status_code",
    )  # fmt: skip

    def __init__(
        self,
        streams: Streams,
        source: AsyncIterator[bytes],
        *,
        key: str,
        recheck: Callable[[], Awaitable[None]] | None,
        settings: Settings,
    ) -> None:
        """Prepare the response; `raw_headers` may still be added to."""
        self.status_code = 200
        self.raw_headers: list[tuple[bytes, bytes]] = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        self._streams = streams
        self._source = source
        self._key = key
        self._recheck = recheck
        self._keepalive_s = settings.stream_keepalive_s
        self._retry_ms = settings.stream_retry_ms
        self._ended = False
        self._sending = False
        self._last_word = b""
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the stream; returns when it has ended."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._begin(send)
        watch = self._loop.create_task(self._watch(receive))
        try:
            await self._write(b"retry: %d\n\n" % self._retry_ms)
            if self._streams.draining:
                self.end(_COME_BACK)
            async for frames in self._source:
                await self._write(frames)
        except asyncio.CancelledError:
            if not self._ended:
                raise  # not by `end`: the server gives this connection up
            self._task.uncancel()
        except StoreUnavailable as away:  # the reader comes back, and is told 503 until there is more to read
            _log.warning("a stream ended early: %s", away)
        finally:
            self._ended = True
            self._streams.leave(self, self._key)
            self._timer.cancel()
            watch.cancel()
            if self._beating is not None:
                self._beating.cancel()
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": self._last_word})

    def end(self, last_word: bytes = b"") -> None:
        """End the stream from outside; what was not yet written is left to the reader's next connection."""
        if not self._ended:
            self._ended = True
            self._last_word = last_word
            self._task.cancel()

    def _begin(self, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream runs in a task")
        self._task = task
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._keepalive_s, self._tick)
        self._streams.enter(self, self._key)

    async def _write(self, frames: bytes) -> None:
        self._sending = True
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})
        self._sending = False

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    def _tick(self) -> None:
        if self._beating is None or self._beating.done():
            self._beating = self._loop.create_task(self._beat())
        self._timer = self._loop.call_later(self._keepalive_s, self._tick)

    async def _beat(self) -> None:
        if self._recheck is not None:
            try:
                await self._recheck()
            except Denied:
                self.end()
                return
            except Error as failure:  # the store is away: the next beat looks again
                _log.warning("a stream's credentials could not be checked: %s", failure)
        # Frames that wait for their reader are no silence, and two writers must not wait at once.
        if not self._sending and not self._ended:
            await self._write(_KEEPALIVE)


class _Frame(msgspec.Struct, frozen=True):
    seq: int
    type: str
    data: msgspec.Raw
    created_at: str
    event_id: str
    run_id: str
    level: str
    message: str


class _ErasedFrame(_Frame, frozen=True):
    erased: bool = True


def v1_frame(event: Event, *, named: bool = False) -> bytes:
    """Write an event as `/v1` streams show it; `named` adds the `event:` line that a plain `onmessage` never sees."""
    kind = _Frame if event.data is not None else _ErasedFrame
    data = _encode(
        kind(
            event.seq,
            event.type,
            msgspec.Raw(event.data or b"null"),
            instants.text(event.created_at),
            event.event_id,
            event.run_id,
            event.level,
            event.message,
        )
    )
    if named:
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), data)
    return b"id: %d\ndata: %b\n\n" % (event.seq, data)


def gap_frame(first_seq: int, last_seq: int) -> bytes:
    """Say that retention has removed these events, the first and the last among them."""
    return b'event: gap\ndata: {"from_seq":%d,"to_seq":%d}\n\n' % (first_seq, last_seq)


def place_frame(seq: int) -> bytes:
    """Let a reader that comes back name this place; no event is told."""
    return b"id: %d\n\n" % seq


def lagged_frame(last_seq: int) -> bytes:
    """Say that this reader is too slow and that the stream ends; it resumes after `last_seq` without loss."""
    return b'event: lagged\ndata: {"last_seq":%d}\n\n' % last_seq


def is_asked_for(accept: str | None) -> bool:
    """Tell whether an `Accept` header asks for a stream rather than for JSON."""
    return accept is not None and MEDIA_TYPE in accept.lower()


def resume_after(after_seq: int | None, last_event_id: str | None) -> int:
    """Return the seq after which a stream goes on: the larger of the parameter and the `Last-Event-ID` header.

    An EventSource repeats its first URL when it comes back, so neither alone is right.
    """
    last = (last_event_id or "").strip() or "0"
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        raise InvalidRequest.at("Last-Event-ID", "must be the seq of an event")
    return max(after_seq or 0, int(last))
