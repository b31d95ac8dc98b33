"""End the attempts whose worker is gone, and fence off those that do not stop when asked."""

from __future__ import annotations

import random
from typing import Self

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.commands import Fence, Lose
from runwright.domain.run import Run
from runwright.engine.commit import Commit
from runwright.engine.loops import Loop
from runwright.engine.requests import Committed
from runwright.engine.steady import Steady
from runwright.errors import StoreError
from runwright.store.base import Store
from runwright.telemetry import report


class Reaper:
    """Reads leases, never "no output for a while"."""

    def __init__(
        self,
        store: Store,
        commit: Commit,
        clock: Clock,
        steady: Steady,
        *,
        every_s: float = 5.0,
        grace_s: float = 10.0,
        recoveries_max: int = 5,
        batch: int = 500,
    ) -> None:
        self._store = store
        self._commit = commit
        self._clock = clock
        self._steady = steady
        self._grace_s = grace_s
        self._recoveries_max = recoveries_max
        self._batch = batch
        self._fences: list[float] = []
        self.loop = Loop("reaper", self._once, clock, every_s=every_s)

    @classmethod
    def of(cls, settings: Settings, store: Store, commit: Commit, clock: Clock, steady: Steady) -> Self:
        """Return the reaper that the settings want."""
        return cls(
            store,
            commit,
            clock,
            steady,
            every_s=settings.reaper_s,
            grace_s=settings.stop_grace_s,
            recoveries_max=settings.agent_recoveries_max,
        )

    def committed(self, done: Committed) -> None:
        """Hear of stop requests, to be there when their grace is over."""
        if done.stops:
            self._fences.append(self._clock.monotonic() + self._grace_s)
            self.loop.wake()

    async def _once(self) -> None:
        try:
            await self._look()
        except StoreError:
            self._steady.disturb()
            raise

    async def _look(self) -> None:
        now = self._clock.now()
        lapsed = await self._store.lapsed(now, self._batch)
        steady = self._steady.now
        commands = [
            Lose(lease.run_id, lease.lease_epoch, random.random(), self._recoveries_max)
            if lease.until <= now
            else Fence(lease.run_id, lease.lease_epoch)
            for lease in lapsed
            # A lease until 0 was ended by the store itself: its worker lived in a process that is gone for sure.
            if lease.until > now or lease.until == 0 or steady
        ]
        if commands:
            answers = await self._commit.apply_all(commands)
            for command, answer in zip(commands, answers, strict=True):
                if isinstance(answer, Run) and answer.state != "executing":
                    name = "reaper.lost" if isinstance(command, Lose) else "reaper.fenced"
                    report(name, run_id=command.run_id, lease_epoch=command.lease_epoch)
        passed = self._clock.monotonic()
        self._fences = [at for at in self._fences if at > passed]
        if commands and len(lapsed) == self._batch:
            self.loop.next_s = 0.0
        elif self._fences:
            self.loop.next_s = self._fences[0] - passed
