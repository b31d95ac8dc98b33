"""The shape of every loop: do a round, wait for a hint or for the interval, and survive what breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runwright.clock import Clock
from runwright.errors import Error
from runwright.telemetry import observe, report

BREATH_S = 1.0
AGAIN_S = 30.0
"""How often a loop that goes on failing for the same reason says so in the log; each round is counted."""


class Loop:
    """Calls `once` for ever. `rounds` counts the finished ones; a round may set `next_s` to come earlier."""

    def __init__(self, name: str, once: Callable[[], Awaitable[None]], clock: Clock, *, every_s: float) -> None:
        self.name = name
        self.rounds = 0
        self.hinted = False
        self.next_s: float | None = None
        self._once = once
        self._clock = clock
        self.every_s = every_s
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._good_at = 0.0
        self._told: tuple[str, float] | None = None

    @property
    def alive(self) -> bool:
        """Tell whether the loop was started and goes on."""
        return self._task is not None and not self._task.done()

    @property
    def silent_s(self) -> float:
        """Return how long ago the last good round ended, or the loop began."""
        return self._clock.monotonic() - self._good_at

    def start(self) -> None:
        """Begin, with a round at once."""
        self._good_at = self._clock.monotonic()
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Ask for a round now."""
        self._hint.set()

    async def stop(self) -> None:
        """End after the await under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            self.next_s = None
            try:
                await self._once()
                self.rounds += 1
                self._good_at = self._clock.monotonic()
                self._told = None
            except Error as broken:
                self._tell(broken)
                self.next_s = BREATH_S
            except Exception as broken:  # noqa: BLE001 - a bug of ours is reported, and must not end the loop
                report("loop.broken", loop=self.name, error=repr(broken))
                self.next_s = BREATH_S
            wait_s = self.every_s if self.next_s is None else min(self.next_s, self.every_s)
            self.hinted = await self._clock.wait(self._hint, max(wait_s, 0.0))
            self._hint.clear()

    def _tell(self, broken: Error) -> None:
        """Tell of a failed round; while the store is away there is one a second, of every loop."""
        code, at_s = self._told or ("", 0.0)
        now_s = self._clock.monotonic()
        again = code == broken.code and now_s - at_s < AGAIN_S
        if not again:
            self._told = (broken.code, now_s)
        tell = observe if again else report
        tell("loop.failed", loop=self.name, code=broken.code, detail=broken.detail)
