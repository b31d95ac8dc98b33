"""Whether this server should be sent work: the store answers, the loops go round, the backlog is bearable, no drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runwright.clock import Clock
from runwright.engine.engine import Engine
from runwright.engine.loops import Loop
from runwright.errors import StoreError
from runwright.store.base import Transaction

OK = "ok"
LEAST_INTERVAL_S = 1.0
"""A loop that comes more often than this is judged as if it came this often."""


class Health:
    """Look at everything that a server needs. `draining` tells whether it is about to end."""

    def __init__(self, engine: Engine, clock: Clock, draining: Callable[[], bool]) -> None:
        self._engine = engine
        self._clock = clock
        self._draining = draining
        self._writing: asyncio.Task[str] | None = None
        self._written = asyncio.Event()

    async def checks(self) -> dict[str, str]:
        """Return each check by name: `ok`, or what is wrong; takes at most `ready_timeout_s`."""
        settings = self._engine.settings
        found = {
            "store": await self._store(settings.ready_timeout_s),
            "backlog": OK if self._engine.commit.backlog < settings.commit_backlog_max else "full",
            "drain": "draining" if self._draining() else OK,
        }
        if self._engine.bus is not None:
            found["bus"] = OK if self._engine.bus.connected else self._deaf
        return found | {f"loop.{loop.name}": self._loop(loop) for loop in self._engine.loops}

    @property
    def _deaf(self) -> str:
        return f"degraded: hears no other server, and looks every {self._engine.settings.bus_poll_s:g} s instead"

    def _loop(self, loop: Loop) -> str:
        if not loop.alive:
            return "stopped"
        most_s = max(loop.every_s, LEAST_INTERVAL_S) * self._engine.settings.ready_loop_intervals
        return OK if loop.silent_s <= most_s else f"no good round for {loop.silent_s:.0f} s"

    async def _store(self, timeout_s: float) -> str:
        # A write that hangs cannot be given up, so the next look waits for the same one: they never pile up.
        if self._writing is None or self._writing.done():
            self._written = written = asyncio.Event()
            self._writing = asyncio.create_task(self._write(), name="health")
            self._writing.add_done_callback(lambda _: written.set())
        writing = self._writing
        if not await self._clock.wait(self._written, timeout_s):
            return f"no answer within {timeout_s:g} s"
        return writing.result()

    async def _write(self) -> str:
        async def nothing(tx: Transaction) -> None:
            await tx.limits([])

        try:
            await self._engine.store.write(nothing)
            await self._engine.store.leases_of("")  # readings have connections of their own
        except StoreError as broken:
            return broken.code
        return OK
