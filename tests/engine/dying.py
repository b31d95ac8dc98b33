"""Workers that die: all that executes runs stops at the n-th time that any of it waits, and never goes on.

What executes runs is the task of each attempt and every task that one of these makes: tools, the emitter, transactions.
A task that has died holds still wherever it waits, also when that has come. Only when it is cancelled, as the test lets
go of the dead, does it unwind, and then there must be nothing left that it could reach.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

ROOT = "Worker._execute"


class Mortal:
    """Watches the running loop, as a context. `awaits` counts how often its family waited since the last `arm`."""

    def __init__(self) -> None:
        self.awaits = 0
        self.dead = asyncio.Event()
        self.deaths = 0
        self._at: int | None = None
        self._last_will: Callable[[], AbstractContextManager[None]] = nullcontext
        self._estate = ExitStack()
        self._family: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def arm(self, at: int | None, last_will: Callable[[], AbstractContextManager[None]]) -> None:
        """Count anew, and die at that wait (None: at none); `last_will` begins with the death and ends with `bury`."""
        self.awaits, self._at, self._last_will = 0, at, last_will

    def let_go(self) -> None:
        """Let the dead unwind, each by itself: one may wait for another that nobody would cancel."""
        for task in self._family:
            task.cancel()

    def bury(self) -> None:
        """End what the last will began; who comes now is another."""
        self._estate.close()
        self.dead.clear()
        self._at = None

    def waits(self) -> None:
        """Hear that one of the family waits."""
        self.awaits += 1
        if self.awaits == self._at:
            self.deaths += 1
            self.dead.set()
            self._estate.enter_context(self._last_will())

    def __enter__(self) -> Mortal:
        self._loop = asyncio.get_running_loop()
        self._before = self._loop.get_task_factory()
        self._loop.set_task_factory(self._make)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.set_task_factory(self._before)

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, **given: Any) -> asyncio.Task[Any]:
        if asyncio.current_task(loop) not in self._family and getattr(coro, "__qualname__", "") != ROOT:
            return asyncio.Task(coro, loop=loop, **given)
        task = asyncio.Task(_Life(self, coro), loop=loop, **given)
        self._family.add(task)
        return task


class _Life(Coroutine[Any, Any, Any]):
    """A coroutine of the family."""

    def __init__(self, mortal: Mortal, coro: Coroutine[Any, Any, Any]) -> None:
        self._mortal = mortal
        self._coro = coro
        self._born = mortal.deaths
        self._unwinds = False

    def send(self, value: Any) -> Any:
        """Go on, unless it died meanwhile."""
        return self._never() if self._dead else self._step(self._coro.send, value)

    def throw(self, error: Any, *more: Any) -> Any:
        """Hear what went wrong where it waited; whoever died hears only that it is let go."""
        if self._dead and not isinstance(error, asyncio.CancelledError):
            return self._never()
        self._unwinds = self._mortal.deaths != self._born
        return self._step(self._coro.throw, error, *more)

    @property
    def _dead(self) -> bool:
        return self._mortal.deaths != self._born and not self._unwinds

    def _step(self, go_on: Callable[..., Any], *given: Any) -> Any:
        waited = go_on(*given)
        self._mortal.waits()
        return waited

    @staticmethod
    def _never() -> Any:
        never: Any = asyncio.get_running_loop().create_future()
        never._asyncio_future_blocking = True
        return never

    def close(self) -> None:
        """Give it up."""
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("it is a task's")
