"""Tell the time and wait for it: one clock for the running system, one that stands still until a test moves it."""

import asyncio
import heapq
import math
import time
from typing import Protocol


class Clock(Protocol):
    """Give wall time, monotonic time, and waits measured by the latter; nothing else in the house reads a clock."""

    def now(self) -> int:
        """Return the wall time in microseconds since the epoch (UTC); it may jump when the system's clock is set."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back, and only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; with zero or less, after the other tasks had a turn."""
        ...

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for ``event``, at most ``timeout_s`` (None: for ever); return whether it was set."""
        ...


class SystemClock:
    """Read the machine's clocks and wait by the running event loop.

    In a cluster the wall time is the database's: the store measures how far off this machine is, and shifts the clock.
    """

    def __init__(self) -> None:
        self._shift_us = 0

    def now(self) -> int:
        """Return the wall time in microseconds since the epoch (UTC)."""
        return time.time_ns() // 1000 + self._shift_us

    def shift(self, by_us: int) -> None:
        """Move the wall time forward or back from now on; monotonic time and sleepers stay."""
        self._shift_us += by_us

    def monotonic(self) -> float:
        """Return the system's monotonic time in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of monotonic time."""
        await asyncio.sleep(max(seconds, 0))

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for ``event``, at most ``timeout_s`` (None: for ever); return whether it was set."""
        if event.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True


class FrozenClock:
    """Stand still until told to move; wakes sleepers in the order of their due times.

    For tests and simulations, on one event loop. `advance` only marks sleepers as due: they run when the caller next
    gives way to the loop, and they read the time to which the clock was moved.
    """

    def __init__(self, start_us: int = 1_800_000_000_000_000) -> None:
        """Start at the wall time ``start_us`` (microseconds since the epoch) and the monotonic time zero."""
        self._wall_us = start_us
        self._elapsed_us = 0
        self._made = 0
        self._timers: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def sleepers(self) -> int:
        """Count those who wait for this clock to move."""
        return sum(not timer.done() for _, _, timer in self._timers)

    def now(self) -> int:
        """Return the wall time in microseconds since the epoch (UTC)."""
        return self._wall_us

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed_us / 1_000_000

    def advance(self, seconds: float) -> None:
        """Move wall and monotonic time forward and wake whoever is due, earliest first."""
        if seconds < 0:
            raise ValueError("monotonic time never goes back; use jump()")
        step_us = round(seconds * 1_000_000)
        self._wall_us += step_us
        self._elapsed_us += step_us
        while self._timers and self._timers[0][0] <= self._elapsed_us:
            timer = heapq.heappop(self._timers)[2]
            if not timer.done():
                timer.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP may; monotonic time and sleepers stay."""
        self._wall_us += round(seconds * 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Return after the clock was advanced by ``seconds``."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await self._timer(seconds)

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> bool:
        """Wait for ``event``, or until the clock was advanced by ``timeout_s``; return whether it was set."""
        if event.is_set():
            return True
        if timeout_s is None:
            return await event.wait()
        if timeout_s <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        timer = self._timer(timeout_s)
        signal = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((timer, signal), return_when=asyncio.FIRST_COMPLETED)
            return signal.done() or event.is_set()
        finally:
            timer.cancel()
            signal.cancel()

    def _timer(self, seconds: float) -> asyncio.Future[None]:
        timer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._made += 1  # breaks ties: of two sleepers due at one instant the first to come is the first to wake
        heapq.heappush(self._timers, (self._elapsed_us + math.ceil(seconds * 1_000_000), self._made, timer))
        return timer
