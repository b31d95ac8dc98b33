"""Watch a process while it runs: memory, processes and files against their limits, and what it writes for us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from runwright.clock import Clock
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.child import Child
from runwright.sandbox.tree import memory_bytes, tree
from runwright.sandbox.workspace import Workspace

SLOW = 10
"""Every so many samples the disk is looked at."""
OWN = 1
"""The first process of the sandbox is bubblewrap's: it counts for nothing."""


class Exceeded(NamedTuple):
    """A limit that was passed: which, how far, and by which means that was seen."""

    limit: str
    used: int
    most: int
    means: str


class Watch:
    """Looks at a process every `sample_s`; `over` hears of the first limit that it passes."""

    def __init__(
        self,
        child: Child,
        place: Workspace,
        bounds: Bounds,
        memory_bytes: int,
        over: Callable[[Exceeded], None],
        clock: Clock,
    ) -> None:
        self.peak_bytes = 0
        self._clock = clock
        self._child = child
        self._place = place
        self._bounds = bounds
        self._memory_bytes = memory_bytes
        self._over = over

    async def look(self, look_at_files: Callable[[], Awaitable[None]]) -> None:
        """Look until cancelled; `look_at_files` now and then, for what the command writes for us."""
        count = 0
        while True:
            await self._clock.sleep(self._bounds.sample_s)
            self._look_at_processes()
            count += 1
            if count % SLOW == 0:
                most = self._bounds.workspace_max_bytes
                used = await asyncio.to_thread(self._place.used_bytes, most)
                if used > most:
                    self._over(Exceeded("workspace", used, most, "sampled"))
                await look_at_files()

    def _look_at_processes(self) -> None:
        pids = tree(self._child.pid)
        if len(pids) - OWN > self._bounds.pids_max:
            self._over(Exceeded("pids", len(pids) - OWN, self._bounds.pids_max, "sampled"))
        if self._child.group is not None:
            used = self._child.group.memory_bytes
        else:
            used = memory_bytes(pids, self._memory_bytes)
            if used > self._memory_bytes:
                self._over(Exceeded("memory", used, self._memory_bytes, "sampled"))
        self.peak_bytes = max(self.peak_bytes, used)
