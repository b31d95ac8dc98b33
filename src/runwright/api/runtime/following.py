"""Wait until something happens to a run, or the caller has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib

from runwright.api.context import Call
from runwright.domain.run import Run
from runwright.engine.stream import Cut, Lagged


async def moved(call: Call, run: Run, wait_s: float, gone: asyncio.Event) -> None:
    """Return when the run's log has gone on, the time is over, or the caller is gone."""

    async def follow() -> None:
        with contextlib.suppress(Lagged, Cut):
            async for _ in call.services.engine.hub.events(run.run_id, run.seq, live=True):
                return

    async def left() -> None:
        await gone.wait()

    both = asyncio.create_task(follow()), asyncio.create_task(left())
    try:
        await asyncio.wait(both, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
