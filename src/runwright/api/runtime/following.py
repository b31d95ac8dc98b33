"""Answer where a run stands: at once, or when something has happened, or the caller has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runwright.api.context import Call
from runwright.api.files import is_held
from runwright.api.routing import Reply
from runwright.api.runtime.run_schemas import StatusQuery
from runwright.domain.run import Run
from runwright.engine.stream import Cut, Lagged

T = TypeVar("T")


async def standing(
    call: Call, query: StatusQuery, find: Callable[[], Awaitable[Run]], view: Callable[[Run, int], T]
) -> Reply[T] | Reply[None]:
    """Return where a run stands, or 304 to who has that already.

    Who asks to wait waits for what comes after `since_seq`; else after the ETag that they name, or else after now.
    """
    run = await find()
    asked, since = call.header("if-none-match"), query.since_seq
    new = run.seq > since if since is not None else asked is not None and not is_held(asked, str(run.seq))
    if query.wait and not run.terminal and not new:
        async with call.departure() as gone:
            await _moved(call, run, query.wait, gone)
        run = await find()
    etag = {"etag": f'W/"{run.seq}"'}
    if is_held(asked, str(run.seq)):
        return Reply(None, status=304, headers=etag)
    return Reply(view(run, call.services.clock.now()), headers=etag)


async def _moved(call: Call, run: Run, wait_s: float, gone: asyncio.Event) -> None:
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
