"""What stands between a handler and its lease: it tells the handler to stop, and when its context is over."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from runwright.client.errors import LeaseLost, Stop
from runwright.client.session import StopSignal


class Guard:
    """Watch over one execution of a handler.

    `heed_stop` and `close` may be called from any thread; the rest belongs to the event loop of the execution.
    """

    __slots__ = ("_effects", "_over", "_told", "_when_calm", "stop")

    def __init__(self, stop: StopSignal) -> None:
        self.stop = stop
        self._told = False
        self._over = False
        self._effects = 0
        self._when_calm: Callable[[], None] | None = None

    def heed_stop(self, *, once: bool = False) -> None:
        """Raise `Stop` if a stop was asked for, and `LeaseLost` if the execution is over.

        With `once` it raises `Stop` only if the handler was not told yet: so that it may log, or save a checkpoint,
        while it cleans up.
        """
        if self._over:
            raise LeaseLost("this execution has ended; its context has no effect any more")
        requested = self.stop.requested
        if requested is not None and not (once and self._told):
            self._told = True
            raise Stop(requested)

    def tell(self) -> None:
        """Note that the handler was told to stop, by the cancellation of its await."""
        self._told = True

    def close(self) -> None:
        """Let no call of the context have an effect from here on: a thread may outlive its execution."""
        self._over = True

    @contextmanager
    def taking_effect(self) -> Iterator[None]:
        """Mark a piece of work that a stop should not tear: `CancelOnStop` waits a little for its end."""
        self._effects += 1
        try:
            yield
        finally:
            self._effects -= 1
            if self._effects == 0 and self._when_calm is not None:
                self._when_calm()

    def when_calm(self, call: Callable[[], None]) -> bool:
        """Call `call` once nothing takes effect any more; False, and no call, if nothing does now."""
        self._when_calm = call if self._effects else None
        return self._effects > 0


class CancelOnStop:
    """Cancel the current task when a stop is asked for, and raise `Stop` in place of the `CancelledError`.

    A step that takes effect is given `effect_grace_s` to end first. A cancellation by somebody else passes through:
    the counting is that of `asyncio.timeout`. Not a generator, as this runs once a run.
    """

    __slots__ = ("_active", "_before", "_effect_grace_s", "_forget", "_guard", "_loop", "_sent", "_task", "_timer")

    def __init__(self, guard: Guard, effect_grace_s: float) -> None:
        self._guard = guard
        self._effect_grace_s = effect_grace_s
        self._active = False
        self._sent = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler is awaited in a task")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._before = task.cancelling()
        self._active = True
        self._forget = self._guard.stop.listen(self._on_request)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        self._forget()
        del self._forget  # it leads back here: a circle that only the garbage collector would take away
        if self._timer is not None:
            self._timer.cancel()
        # Sent, but the handler may have swallowed it, or ended in another way.
        ours = self._sent and self._task.uncancel() <= self._before
        requested = self._guard.stop.requested
        if ours and requested is not None and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise Stop(requested) from None

    def _on_request(self) -> None:
        self._soon(self._interrupt)  # from whichever thread

    def _interrupt(self) -> None:
        # `_cancel` must run outside of the task's own step, or the cancellation could hit the host's next await.
        if self._guard.when_calm(lambda: self._soon(self._cancel)):
            self._timer = self._loop.call_later(self._effect_grace_s, self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._active and not self._sent:
            self._sent = True
            self._guard.tell()
            self._task.cancel()

    def _soon(self, call: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)
