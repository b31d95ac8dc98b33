"""What stands between a handler and its lease: it tells the handler to stop, and when its context is over."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runwright.client.errors import LeaseLost, Stop
from runwright.client.session import StopSignal


class Guard:
    """Watch over one execution of a handler.

    `heed_stop` and `close` may be called from any thread; the rest belongs to the event loop of the execution.
    """

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

    def close(self) -> None:
        """Let no call of the context have an effect from here on: a thread may outlive its execution."""
        self._over = True

    @contextmanager
    def taking_effect(self) -> Iterator[None]:
        """Mark a piece of work that a stop should not tear: `cancel_on_stop` waits a little for its end."""
        self._effects += 1
        try:
            yield
        finally:
            self._effects -= 1
            if self._effects == 0 and self._when_calm is not None:
                self._when_calm()

    @contextmanager
    def cancel_on_stop(self, effect_grace_s: float) -> Iterator[None]:
        """Cancel the current task when a stop is asked for, and raise `Stop` in place of the `CancelledError`.

        A step that takes effect is given `effect_grace_s` to end first. A cancellation by somebody else passes
        through: the counting is that of `asyncio.timeout`.
        """
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        before = task.cancelling()
        active, sent = True, False
        timer: asyncio.TimerHandle | None = None

        def cancel() -> None:
            nonlocal sent
            if active and not sent:
                sent = self._told = True
                task.cancel()

        def interrupt() -> None:
            nonlocal timer
            if not self._effects:
                cancel()
                return
            # `cancel` must run outside of the task's own step, or the cancellation could hit the host's next await.
            self._when_calm = lambda: _soon(loop, cancel)
            timer = loop.call_later(effect_grace_s, cancel)

        forget = self.stop.listen(lambda: _soon(loop, interrupt))
        try:
            yield
        except asyncio.CancelledError:
            if sent:
                sent = False
                if task.uncancel() <= before and (requested := self.stop.requested) is not None:
                    raise Stop(requested) from None
            raise
        finally:
            active = False
            forget()
            if timer is not None:
                timer.cancel()
            if sent:  # the handler swallowed the cancellation, or ended in another way
                task.uncancel()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
