"""Let `telemetry` watch the calls of a model: when each began, its first piece, and how it ended.

Nothing that was said is handed over but the call itself, and whoever listens keeps its words to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from runwright.clock import Clock
from runwright.domain.model_call import Answer, ModelCall
from runwright.domain.run import Run
from runwright.errors import Error
from runwright.telemetry import observe


class Watch:
    """Keeps the time of one call."""

    __slots__ = ("_began", "_clock", "first_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.first_s: float | None = None

    def heard(self) -> None:
        """Hear that something came; the first counts."""
        if self.first_s is None:
            self.first_s = self.seconds

    @property
    def seconds(self) -> float:
        """Return how long the call has taken."""
        return self._clock.monotonic() - self._began


@contextmanager
def watched(run: Run, call: ModelCall, answer: Answer, clock: Clock) -> Iterator[Watch]:
    """Tell of a call that is made within this block; `answer` is what gathers what comes."""
    watch, error = Watch(clock), None
    observe("model.began", run=run, call=call)
    try:
        yield watch
    except BaseException as failure:
        error = _named(failure)
        raise
    finally:
        observe("model.ended", call=call, seconds=watch.seconds, first_s=watch.first_s, done=answer.done, error=error)


def _named(failure: BaseException) -> str:
    """Return a name of few: what a failure says may be what a provider says of the prompt."""
    if isinstance(failure, asyncio.CancelledError):
        return "cancelled"
    return failure.code if isinstance(failure, Error) else type(failure).__name__
