"""Waiting for what cannot be awaited; nothing else in the tests pauses.

A question is asked at once, and again after every turn of the loop for a moment: what a process does by itself has
mostly happened by then. From there on there is a pause before each question, in which others have the processor:
most of what tests wait for needs it.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar, overload

PATIENCE_S = 60.0
"""How long to wait for what takes a blink: on a machine that has much to do, a blink takes long."""
TURNS_S = 0.001
"""How long only turns are given away between two questions."""
SHORTEST_S, LONGEST_S, GROWTH = 0.001, 0.005, 1.5
"""The pauses after that: the first, the longest, and how much longer each is than the one before."""
ROOT = Path(__file__).parent.parent
T = TypeVar("T")


@overload
async def until(ask: Callable[[], Awaitable[T]], enough: Callable[[T], object] = ..., patience_s: float = ...) -> T: ...
@overload
async def until(ask: Callable[[], T], enough: Callable[[T], object] = ..., patience_s: float = ...) -> T: ...
async def until(
    ask: Callable[[], object], enough: Callable[..., object] = bool, patience_s: float = PATIENCE_S
) -> object:
    """Ask until an answer is enough, and return it; fail when patience ends, telling what for."""
    answer: object = None
    try:
        async with asyncio.timeout(patience_s) as patience:
            for pause_s in pauses():
                asked = ask()
                answer = await asked if inspect.isawaitable(asked) else asked
                if enough(answer):
                    break
                await asyncio.sleep(pause_s)
    except TimeoutError:
        if not patience.expired():
            raise
        raise AssertionError(_in_vain(ask, enough, patience_s, answer)) from None
    return answer


def until_then(ask: Callable[[], T], enough: Callable[[T], object] = bool, patience_s: float = PATIENCE_S) -> T:
    """Do the same where there is no loop."""
    late = time.monotonic() + patience_s
    for pause_s in pauses():
        answer = ask()
        if enough(answer):
            break
        if time.monotonic() > late:
            raise AssertionError(_in_vain(ask, enough, patience_s, answer))
        time.sleep(pause_s)
    return answer


def pauses(now: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Yield how long to pause after each question, without end: not at all, then a little, then a little longer."""
    began = now()
    while now() - began < TURNS_S:
        yield 0
    pause_s = SHORTEST_S
    while True:
        yield pause_s
        pause_s = min(pause_s * GROWTH, LONGEST_S)


def _in_vain(ask: Callable[..., object], enough: Callable[..., object], patience_s: float, answer: object) -> str:
    conditions = dict.fromkeys(_written(each) for each in (ask, enough) if each is not bool)
    return f"waited {patience_s:g} s in vain for {', '.join(conditions)}; the last answer was {answer!r:.2000}"


def _written(condition: Callable[..., object]) -> str:
    """Return where a condition is written, and the line."""
    code = getattr(condition, "__code__", None)
    if code is None:
        return repr(condition)
    path = Path(code.co_filename)
    place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return f"`{line}` ({place}:{code.co_firstlineno})"
