"""How long a test may take: one that takes longer fails alone, and one that cannot be ended ends its process.

It takes the place of the timer of pytest-timeout, whose setting and marker tell the limit: that one ends the process,
and what it says is lost where xdist started it. Here a test is interrupted when `SOFT` of its time is over: what runs
on the loop of asynchronous tests is cancelled, all else gets an exception. At the limit the interpreter writes down
where every thread stands and exits, whatever it does by then: `tests/deaths.py` tells that.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from anyio import pytest_plugin

from tests import deaths

SOFT = 5 / 6
"""The part of its time after which a test is interrupted; the rest is for what it has to clear up."""
AGAIN = 1 / 24
"""The part of its time after which it is interrupted again, where it still runs."""
RUNNER = "TestRunner._run_tests_and_fixtures"
"""The task in which anyio runs asynchronous tests and their fixtures."""


class OutOfTime(BaseException):
    """Say which test took too long, and what it waited for; no test takes it for a failure that it expects."""


class Timer:
    """The time of one test. It is interrupted in its three phases alone, and not while these are reported."""

    def __init__(self, nodeid: str, limit_s: float) -> None:
        self.told: list[str] = []
        self.in_phase = False
        self._nodeid = nodeid
        self._limit_s = limit_s
        self._began = time.monotonic()

    def begin(self) -> None:
        """Wait for the end of what is left of it; to clear up there is always some."""
        used_s = time.monotonic() - self._began
        last_s = max(self._limit_s - used_s, self._limit_s * (1 - SOFT))
        soft_s = last_s / 2 if self.told else max(self._limit_s * SOFT - used_s, self._limit_s * AGAIN)
        signal.signal(signal.SIGALRM, self._interrupt)
        signal.setitimer(signal.ITIMER_REAL, soft_s, self._limit_s * AGAIN)
        faulthandler.dump_traceback_later(last_s, exit=True, file=deaths.last_words())

    def phase(self) -> Generator[None, Any, Any]:
        """Let no phase pass that was interrupted, whatever became of the interruption."""
        before = len(self.told)
        self.in_phase = True
        try:
            done = yield
        except BaseException as failure:
            if len(self.told) == before or isinstance(failure, OutOfTime):
                raise
            raise OutOfTime(self.told[before]) from failure
        finally:
            self.in_phase = False
            if len(self.told) > before:
                pytest_timeout_cancel_timer()  # to report it takes its own time
                _forget_runner()
        if len(self.told) > before:
            raise OutOfTime(self.told[before])
        return done

    def _interrupt(self, *_: object) -> None:
        if not self.in_phase:
            return
        standing = "\n".join(_standing())
        self.told.append(f"{self._nodeid} took more than {self._limit_s * SOFT:g} s\n{standing}")
        deaths.note(self.told[-1])
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise OutOfTime(self.told[-1]) from None
        running = [task for task in asyncio.all_tasks(loop) if _named(task) == RUNNER]
        stuck = len(self.told) > 1 and asyncio.current_task(loop) is not None
        if stuck or not running:  # in a step that does not end, or on a loop of the test's own
            raise OutOfTime(self.told[-1])
        for task in running:
            loop.call_soon_threadsafe(task.cancel, "it took too long")


_timers: list[Timer] = []


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Begin to wait."""
    _timers[:] = [Timer(item.nodeid, settings.timeout)]
    _timers[0].begin()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer() -> bool:
    """Wait no longer."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    return (yield from _timers[0].phase()) if _timers else (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    return (yield from _timers[0].phase()) if _timers else (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, Any, Any]:
    for timer in _timers:
        timer.begin()  # again: with a failure, of which a debugger might be asked, the waiting ended
    return (yield from _timers[0].phase()) if _timers else (yield)


def _forget_runner() -> None:
    """Let fixtures be torn down by a new task: anyio goes on with one that was cancelled."""
    runner: Any = pytest_plugin._current_runner
    task: asyncio.Task[Any] | None = getattr(runner, "_runner_task", None)
    if task is not None and task.done():
        runner._runner_task = None


def _standing() -> Iterator[str]:
    """Tell what each task of the running loop waits for."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return
    for task in sorted(tasks, key=asyncio.Task.get_name):
        yield f"  {task.get_name()}"
        waits: Any = task.get_coro()
        while waits is not None:
            frame = _first(waits, "cr_frame", "ag_frame", "gi_frame")
            if frame is not None:
                yield f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
            waits = _first(waits, "cr_await", "ag_await", "gi_yieldfrom")


def _first(thing: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)


def _named(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", ""))
