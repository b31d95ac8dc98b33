"""The context of handlers that are plain functions: the same methods, blocking.

Nothing is written twice. A sync handler runs in a thread and drives the coroutines of `Context` itself, by hand; all
that they ever wait for goes through `FromThread`, which blocks that thread until the event loop has the answer. So the
functions of steps run in the handler's thread, and no coroutine is ever suspended there.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from runwright.client.context import Context
from runwright.client.facts import Checkpoint, Facts
from runwright.client.guard import Guard
from runwright.client.session import Child, Draft, Key, Session, Value, ValueKind

P = ParamSpec("P")
T = TypeVar("T")


class FromThread:
    """Wait in a thread for what happens on the event loop."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        """Append and keep durably, as `Session.save`."""
        self._wait(self._session.save(drafts, values, removed))

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata, as `Session.annotate`."""
        self._wait(self._session.annotate(annotations))

    async def spawn(self, child: Child) -> str:
        """Make a child of this run, as `Session.spawn`."""
        return self._wait(self._session.spawn(child))

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        """Make the run that continues this one, as `Session.go_on`."""
        return self._wait(self._session.go_on(payload, idempotency_key))

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers, as `Session.recall`."""
        return self._wait(self._session.recall(key, default))

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        """Keep a value for every run of the job, as `Session.remember`."""
        self._wait(self._session.remember(key, value, ttl_s))

    async def forget(self, key: str) -> None:
        """Forget what the job remembers, as `Session.forget`."""
        self._wait(self._session.forget(key))

    async def values(self, kind: ValueKind) -> dict[str, Any]:
        """Return what the run has kept, as `Session.values`."""
        return self._wait(self._session.values(kind))

    async def call(self, fn: Callable[[], Any], thread: bool) -> Any:
        """Call `fn` in this thread; what it returns is awaited on the event loop if that can be awaited."""
        del thread  # it is one already
        returned = fn()
        return self._wait(returned) if inspect.isawaitable(returned) else returned

    def _wait(self, awaitable: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(awaitable), self._loop).result()


def _blocking(
    method: Callable[Concatenate[Context, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncContext, P], T]":
    def call(self: "SyncContext", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return _drive(method(self.durable, *args, **kwargs))

    call.__name__, call.__qualname__, call.__doc__ = method.__name__, f"SyncContext.{method.__name__}", method.__doc__
    return call


class SyncContext(Facts):
    """The context of a handler that is a plain function; it runs in a thread, and every method blocks.

    Once somebody asked for a stop, the next call raises `Stop`; a thread that calls nothing cannot be stopped.
    """

    def __init__(self, session: Session, guard: Guard, checkpoint: Checkpoint, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(session, guard, checkpoint)
        self.durable = Context(session, guard, checkpoint, FromThread(session, loop))

    step = _blocking(Context.step)
    sleep = _blocking(Context.sleep)
    sleep_until = _blocking(Context.sleep_until)
    wait_for_event = _blocking(Context.wait_for_event)
    spawn = _blocking(Context.spawn)
    continue_run = _blocking(Context.continue_run)
    checkpoint = _blocking(Context.checkpoint)
    output = _blocking(Context.output)
    state = _blocking(Context.state)
    set_state = _blocking(Context.set_state)
    delete_state = _blocking(Context.delete_state)
    memory = _blocking(Context.memory)
    set_memory = _blocking(Context.set_memory)
    delete_memory = _blocking(Context.delete_memory)
    annotate = _blocking(Context.annotate)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _drive(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("a blocking context waits in its thread, never on the event loop")
