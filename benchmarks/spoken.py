"""A request whose answer is streamed, timed from the call to its first token and to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

from benchmarks.figures import percentile

PATIENCE_S = 60.0


class Marks(NamedTuple):
    """Which bytes of a stream are its first token, its good end, and its bad one."""

    first: bytes
    last: bytes
    failed: bytes


class Took(NamedTuple):
    """How long a stream took, in milliseconds."""

    first_ms: float
    total_ms: float


Asking = Callable[[], Awaitable[Took]]
"""Ask once, and wait for the end."""


class Spoken(NamedTuple):
    """What was seen of many streams."""

    first_ms: list[float]
    total_ms: list[float]

    @property
    def first(self) -> float:
        """Return the median time to the first token."""
        return percentile(self.first_ms, 0.5)

    @property
    def total(self) -> float:
        """Return the median time to the end."""
        return percentile(self.total_ms, 0.5)


class _Heard(asyncio.Protocol):
    def __init__(self, asked: bytes, marks: Marks) -> None:
        self._asked = asked
        self._marks = marks
        self._left = b""
        self._begun = 0.0
        self._first_ms = 0.0
        self.took: asyncio.Future[Took] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begun = time.perf_counter()
        cast(asyncio.Transport, transport).write(self._asked)

    def data_received(self, data: bytes) -> None:
        left = self._left + data
        now_ms = (time.perf_counter() - self._begun) * 1000
        if not self._first_ms and self._marks.first in left:
            self._first_ms = now_ms
        if self._marks.failed in left:
            self._end(RuntimeError(left[-500:].decode("utf-8", "replace")))
        elif self._first_ms and self._marks.last in left and not self.took.done():
            self.took.set_result(Took(self._first_ms, now_ms))
        self._left = left[-2000:] if self.took.done() or not self._first_ms else left[-64:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionError(f"the stream ended early: {self._left[-500:].decode('utf-8', 'replace')}"))

    def _end(self, failure: Exception) -> None:
        if not self.took.done():
            self.took.set_exception(failure)


async def spoken(port: int, asked: bytes, marks: Marks) -> Took:
    """Send a request over a connection of its own and return when its answer came.

    Raises `RuntimeError` for an answer that says that it failed, and `ConnectionError` for one that is not whole.
    """
    transport, heard = await asyncio.get_running_loop().create_connection(
        lambda: _Heard(asked, marks), "127.0.0.1", port
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await heard.took
    finally:
        transport.close()


async def crowd(ask: Asking, many: int, times: int) -> Spoken:
    """Let so many callers ask so often, each one thing at a time."""
    seen = Spoken([], [])

    async def keep_asking() -> None:
        for _ in range(times):
            took = await ask()
            seen.first_ms.append(took.first_ms)
            seen.total_ms.append(took.total_ms)

    await asyncio.gather(*(keep_asking() for _ in range(many)))
    return seen
