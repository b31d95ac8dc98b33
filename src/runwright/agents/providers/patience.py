"""How long a model is waited for: until it begins, from one sign of life to the next, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeVar

from runwright.clock import Clock

T = TypeVar("T")
Lapse = Literal["silent", "stalled", "too_long"]


class Impatient(Exception):
    """Say which time is over. Never leaves the room."""

    def __init__(self, lapse: Lapse) -> None:
        super().__init__(lapse)
        self.lapse: Lapse = lapse


class Patience:
    """Bounds the waits of one call. Only waiting counts against the idle time, not what the reader does meanwhile."""

    def __init__(self, clock: Clock, *, first_s: float, idle_s: float, total_s: float) -> None:
        self._clock = clock
        self._idle_s = idle_s
        now = clock.monotonic()
        self._first_until = now + first_s
        self._until = now + total_s
        self._heard_at = now
        self._begun = False
        self._timer: asyncio.Timeout | None = None

    def begun(self) -> None:
        """Hear that the model wrote something: from now on its silence counts."""
        self._begun = True

    def heard(self) -> None:
        """Hear a sign of life, such as bytes that say nothing yet."""
        self._heard_at = self._clock.monotonic()
        if self._timer is not None and self._begun:
            self._timer.reschedule(asyncio.get_running_loop().time() + self._left()[0])

    async def hold(self, awaited: Awaitable[T]) -> T:
        """Wait for the next thing. Raises `Impatient` when a time is over."""
        self._heard_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._left()[0]) as timer:
                self._timer = timer
                return await awaited
        except TimeoutError:
            if not timer.expired():
                raise
        finally:
            self._timer = None
        raise Impatient(self._left()[1])

    def _left(self) -> tuple[float, Lapse]:
        now = self._clock.monotonic()
        soonest: tuple[float, Lapse] = (
            (self._heard_at + self._idle_s, "stalled") if self._begun else (self._first_until, "silent")
        )
        until, lapse = min(soonest, (self._until, "too_long"))
        return until - now, lapse
