"""Be one with the other server processes of the database: tell them what was committed here, hear what they did.

What is told is a hint: where to look. What is heard wakes whoever waits here, and each of them reads the store. A slow
loop beneath does the same without any hint, so that a lost one costs `every_s` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from runwright.clock import Clock
from runwright.domain.events import CHANGES
from runwright.domain.hints import Asked, Hint, Kept
from runwright.domain.ports import Bus
from runwright.domain.run import Run
from runwright.engine.feed import Feed
from runwright.engine.fleet import Fleet
from runwright.engine.loops import Loop
from runwright.engine.requests import Committed
from runwright.engine.stream import Hub
from runwright.engine.worker import Worker
from runwright.engine.workforce import Workforce
from runwright.store.base import Store
from runwright.store.queries.workforce import STOPPING

AGING: tuple[Kept, ...] = ("jobs", "projects", "webhooks")
"""What has no age of its own and is forgotten at each look."""


class Neighbours:
    """Tells the bus, and hears it. `caches` are forgotten by name when others changed what lies in them."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        *,
        hub: Hub,
        feed: Feed,
        fleet: Fleet,
        workforce: Workforce,
        workers: Sequence[Worker],
        caches: Mapping[Kept, Callable[[], None]],
        every_s: float,
    ) -> None:
        self._store = store
        self._bus = bus
        self._hub = hub
        self._feed = feed
        self._fleet = fleet
        self._workforce = workforce
        self._workers = workers
        self._caches = caches
        self._missed = False
        self.loop = Loop("neighbours", self._once, clock, every_s=every_s)

    # --- telling ------------------------------------------------------------------------------------------------------

    def committed(self, done: Committed) -> None:
        """Tell what a durable transaction changed."""
        if not self._bus.peers:
            return
        moved = {run_id for run_id, events in done.events.items() if any(event.type in CHANGES for event in events)}
        self._bus.send(
            Hint(lanes=done.ready, moved=moved, told=done.events.keys() - moved, stops=list(map(_asked, done.stops)))
        )

    def changed(self, kept: Kept) -> None:
        """Tell that what processes keep in memory was changed."""
        self._bus.send(Hint(forget={kept}))

    def wake(self, lanes: Iterable[str]) -> None:
        """Tell that runs of these lanes may be taken again."""
        self._bus.send(Hint(lanes=dict.fromkeys(lanes, 0.0)))

    def drained(self, worker_id: str) -> None:
        """Tell that a worker was asked to drain."""
        self._bus.send(Hint(drains={worker_id}))

    # --- hearing ------------------------------------------------------------------------------------------------------

    def heard(self, hint: Hint) -> None:
        """Let everybody look who waits for something of this kind."""
        for kept in hint.forget:
            self._forget(kept)
        if hint.lanes:
            self._ready(hint.lanes)
        self._stop(hint.stops)
        for worker_id in hint.drains:
            self._workforce.heard(worker_id)
            self._fleet.nudge(worker_id)
        if hint.moved:
            self._fleet.moved(hint.moved)
            self._feed.look(hint.moved)
        if hint.moved or hint.told:
            self._hub.look(hint.moved | hint.told)
        if hint.look:
            self._missed = True
            self.loop.wake()

    def _ready(self, lanes: Mapping[str, float]) -> None:
        self._store.lower(lanes)
        for worker in self._workers:
            worker.wake(lanes)
        self._fleet.wake(lanes)

    def _stop(self, stops: Iterable[Asked]) -> None:
        for asked in stops:
            for worker in self._workers:
                worker.stop(asked.run_id, asked.lease_epoch, asked.kind)
            self._fleet.asked(asked)

    def _forget(self, kept: Kept) -> None:
        forget = self._caches.get(kept)
        if forget is not None:
            forget()

    # --- the net ------------------------------------------------------------------------------------------------------

    async def _once(self) -> None:
        missed, self._missed = self._missed, False
        for kept in self._caches:
            if missed or kept in AGING:
                self._forget(kept)
        self._hub.look()
        if missed:
            self._feed.resync()
        known = self._fleet.stops.run_ids
        stops = [
            Asked(run_id, lease_epoch, worker_id, kind)
            for run_id, lease_epoch, worker_id, kind in await self._store.fetch(STOPPING)
        ]
        self._fleet.stops.keep({asked.run_id for asked in stops}, known)
        self._stop(stops)
        for worker_id in await self._workforce.refresh():
            self._fleet.nudge(worker_id)
        lanes = await self._store.lanes()
        if lanes:
            # Lowered only after something was missed: a mark that nobody lowers is looked under every few seconds.
            ranks = dict.fromkeys(lanes, 0.0)
            if missed:
                self._store.lower(ranks)
            for worker in self._workers:
                worker.wake(ranks)
            self._fleet.wake(ranks)


def _asked(run: Run) -> Asked:
    return Asked(run.run_id, run.lease_epoch, run.worker_id or "", run.stop or "cancel")
