"""Answer where a run stands: at once, or when something has happened, or the caller has waited long enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from runwright.api.context import Call
from runwright.api.files import is_held
from runwright.api.routing import Reply
from runwright.api.runtime.run_schemas import StatusQuery
from runwright.domain.run import Run
from runwright.engine.stream import Cut, Lagged

T = TypeVar("T")
SOON_S = 0.25
"""How long until it is looked whether a run is there that is about to be made."""


class Stand(NamedTuple, Generic[T]):
    """How something stands: up to where its log goes, what tells it from before, and how it is shown at an instant.

    While it `moves`, that is told by the log of the run `by`; None: another run is about to be made.
    """

    seq: int
    tag: str
    view: Callable[[int], T]
    moves: bool
    by: Run | None = None


def stand_of(run: Run, view: Callable[[Run, int], T]) -> Stand[T]:
    """Return how a run stands that is shown by itself."""
    return Stand(run.seq, str(run.seq), lambda now: view(run, now), not run.terminal, run)


async def standing(call: Call, query: StatusQuery, find: Callable[[], Awaitable[Stand[T]]]) -> Reply[T] | Reply[None]:
    """Return where a run stands, or 304 to who has that already.

    Who asks to wait waits for what comes after `since_seq`; else after the ETag that they name, or else after now.
    """
    now = await find()
    asked, since = call.header("if-none-match"), query.since_seq
    new = now.seq > since if since is not None else asked is not None and not is_held(asked, now.tag)
    if query.wait and now.moves and not new:
        async with call.departure() as gone:
            now = await _later(call, query.wait, gone, now, find)
    etag = {"etag": f'W/"{now.tag}"'}
    if is_held(asked, now.tag):
        return Reply(None, status=304, headers=etag)
    return Reply(now.view(call.services.clock.now()), headers=etag)


async def _later(
    call: Call, wait_s: float, gone: asyncio.Event, was: Stand[T], find: Callable[[], Awaitable[Stand[T]]]
) -> Stand[T]:
    """Return how it stands when it has gone on, the time is over, or the caller is gone."""
    if was.by is not None:
        await _moved(call, was.by, wait_s, gone)
        return await find()
    now, until = was, asyncio.get_running_loop().time() + wait_s
    while now.tag == was.tag and not gone.is_set() and (left := until - asyncio.get_running_loop().time()) > 0:
        await _left(gone, min(left, SOON_S))
        now = await find()
    return now


async def _left(gone: asyncio.Event, wait_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(gone.wait(), wait_s)


async def _moved(call: Call, run: Run, wait_s: float, gone: asyncio.Event) -> None:
    """Return when the run's log has gone on, the time is over, or the caller is gone."""

    async def follow() -> None:
        with contextlib.suppress(Lagged, Cut):
            async for _ in call.services.engine.hub.events(run.run_id, run.seq, live=True):
                return

    both = asyncio.create_task(follow()), asyncio.create_task(_left(gone, wait_s))
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
