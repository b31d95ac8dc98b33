"""Times that are over when a test says so, and not when a machine is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Deadline:
    """The time-outs of one length. A test takes a length that nothing else has."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: list[asyncio.Timeout] = []

    def passes(self) -> None:
        """Let the time be over, for all who have begun to wait for so long."""
        assert self._waiting, f"nobody waits for {self.seconds:g} s"
        now = asyncio.get_running_loop().time()
        for each in self._waiting:
            each.reschedule(now)


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Let no time-out of so many seconds end by itself, until the block ends."""
    made, real = Deadline(seconds), asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        if delay != seconds:
            return real(delay)
        made._waiting.append(real(None))
        return made._waiting[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "timeout", timeout)
        yield made
