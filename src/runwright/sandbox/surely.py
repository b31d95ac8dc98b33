"""Do to the end what must be done, whoever cancels meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def surely(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await to the end, whoever cancels meanwhile."""
    task = asyncio.ensure_future(coroutine)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


async def whole(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await to the end what cannot be broken off, such as a thread's work; whoever cancelled has his way afterwards."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
