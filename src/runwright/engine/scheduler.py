"""Move runs along by the clock: what is due, what expired, and what waits for a slot that is free."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.domain.commands import Due, Expire
from runwright.engine.commit import Commit
from runwright.engine.loops import Loop
from runwright.engine.requests import Admit, Committed
from runwright.engine.steady import Steady
from runwright.store.base import Store

POLL_S = 5.0


class Scheduler:
    """Fires timers when they come due, and looks for held runs whose limit has a free slot."""

    def __init__(self, store: Store, commit: Commit, clock: Clock, steady: Steady, *, batch: int = 500) -> None:
        self._store = store
        self._commit = commit
        self._clock = clock
        self._steady = steady
        self._batch = batch
        self._next_at: int | None = None
        self.loop = Loop("scheduler", self._once, clock, every_s=POLL_S)

    def committed(self, done: Committed) -> None:
        """Hear of new timers; an earlier one than the next wakes the loop."""
        at = done.earliest_timer
        if at is not None and (self._next_at is None or at < self._next_at):
            self._next_at = at
            self.loop.wake()

    async def _once(self) -> None:
        self._next_at = None  # a timer that is added while this round looks wakes the next one
        steady = self._steady.now
        now = self._clock.now()
        timers = await self._store.due(now, self._batch)
        commands = [
            Due(timer.run_id) if timer.name == "due" else Expire(timer.run_id)
            for timer in timers
            if timer.name == "due" or steady
        ]
        if commands:
            await self._commit.apply_all(commands)
        starved = await self._store.starved(self._batch)
        if starved:
            await self._commit.apply(Admit(tuple(starved), self._batch))
        self._next_at = await self._store.next_timer()
        if commands and len(timers) == self._batch:
            self.loop.next_s = 0.0
        elif self._next_at is not None:
            late = not commands and self._next_at <= now
            self.loop.next_s = POLL_S if late else max(self._next_at - self._clock.now(), 0) / 1e6
