"""Break some work off at one of its waits: the first, the second, and so on through all of them."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


async def broken_off(work: Coroutine[Any, Any, Any], at: int) -> bool:
    """Cancel some work at its so-manieth wait; tell whether it waited so often."""
    task = asyncio.create_task(_counted(work, at))
    try:
        return await task >= at
    except asyncio.CancelledError:
        return True


@types.coroutine
def _counted(work: Coroutine[Any, Any, Any], at: int) -> Generator[Any, None, int]:
    """Return how often the work waited before it ended by itself; `at` waits are not survived, except by what is done
    to the end whoever cancels.
    """  # fmt: skip
    steps, count = work.__await__(), 0
    go: Callable[[], Any] = partial(next, steps)
    while True:
        try:
            waits = go()
        except StopIteration:
            return count
        count += 1
        if count == at and (task := asyncio.current_task()) is not None:
            task.cancel()
        try:
            yield waits
            go = partial(next, steps)
        except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is the work's to hear
            go = partial(steps.throw, thrown)
