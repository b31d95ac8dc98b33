"""Work that a stop request breaks off wherever it is: what executors do that go on from what the log tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from runwright.domain import outcome as o
from runwright.domain.run import StopKind
from runwright.engine.attempt import Attempt
from runwright.sandbox.surely import surely


class Stoppable:
    """Drives the work of one attempt. `heeds` tells whether a request is heeded now; else the work looks at it."""

    def __init__(self, attempt: Attempt, heeds: Callable[[StopKind], bool] = lambda kind: True) -> None:
        self._attempt = attempt
        self._heeds = heeds
        self._working: asyncio.Task[o.Outcome] | None = None

    async def run(self, work: Coroutine[Any, Any, o.Outcome], *, name: str) -> o.Outcome:
        """Return how the work ends, or `Stopped` where a request broke it off; nothing of it is left running then.

        Raises `CancelledError` where nobody asked for that: the attempt was lost or handed back, or its time is over.
        """
        attempt = self._attempt
        self._working = asyncio.create_task(work, name=name)
        self.heed()
        try:
            return await self._working
        except asyncio.CancelledError:
            if attempt.lost or attempt.released or attempt.stop_requested is None:
                raise
            return o.Stopped()
        finally:
            await surely(_ended(self._working))

    def heed(self) -> None:
        """Be the one who is told to stop, also once work within this work was it; stop if that was said meanwhile."""
        self._attempt.on_stop = self._stop
        if self._attempt.stop_requested is not None:
            self._stop(self._attempt.stop_requested)

    def _stop(self, kind: StopKind) -> None:
        if self._working is not None and self._heeds(kind):
            self._working.cancel()


async def _ended(work: asyncio.Task[o.Outcome]) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
