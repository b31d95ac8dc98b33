"""Let a run wait at the word of its code, which calls by HTTP: its attempt is over, and its lease."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain.outcome import Parked
from runwright.domain.run import Run, Wait
from runwright.engine.attempt import Attempt
from runwright.engine.fleet import Fleet
from runwright.engine.requests import Spawned, Submitted
from runwright.engine.spawning import Spawner, Spawning
from runwright.engine.values import STEP, Values
from runwright.store.base import Store

EVENT = "ctx.event:"
SPAWN = "ctx.spawn:"
"""Before the name of a wait for an event or a child, among the names of a run's steps; the SDK names its waits so."""


class Awaited(msgspec.Struct, frozen=True):
    """What a wait came to: the run as it now stands, or the payload, if what it waits for was `received` before.

    `made` is the child that it waits for, if that was made now.
    """

    run: Run
    payload: Any = None
    received: bool = False
    made: Submitted | None = None


class Waits:
    """Parks runs. A wait whose event came is answered by what was sent, however often it is asked for again."""

    def __init__(self, fleet: Fleet, store: Store, values: Values, spawner: Spawner, clock: Clock) -> None:
        self._fleet = fleet
        self._store = store
        self._values = values
        self._spawner = spawner
        self._clock = clock

    async def event(self, attempt: Attempt, key: str, name: str, limit_us: int) -> Awaited:
        """Wait for an event, in the name that tells this wait from the run's others. Raises `StaleLease`."""
        step = f"{EVENT}{name}"
        found = await self._found(attempt.run, step)
        if found is not None:
            return Awaited(attempt.run, found["result"], received=True)
        parked = Parked(self._clock.now() + limit_us, Wait("event", key, step))
        run: Run = await self._fleet.finish(attempt, parked)
        return Awaited(run)

    async def child(self, attempt: Attempt, asked: Spawning, name: str, limit_us: int | None) -> Awaited:
        """Make a child and wait for its end, in one transaction, in the name that tells this wait from others.

        Raises `StaleLease`, and what `Spawner.spawn` raises.
        """
        step = f"{SPAWN}{name}"
        found = await self._found(attempt.run, step)
        if found is not None:
            return Awaited(attempt.run, found["result"], received=True)
        child = await self._spawner.child(attempt.run, asked)
        due_at = None if limit_us is None else self._clock.now() + limit_us
        spawned: Spawned = await self._fleet.finish(attempt, Parked(due_at, Wait("child", "", step)), child)
        return Awaited(spawned.by, made=spawned.made)

    async def _found(self, run: Run, step: str) -> Any:
        for kept in await self._store.values(run.run_id, STEP):
            if kept.key == step:
                return await self._values.unpack(run.spec.project_id, kept)
        return None
