"""Hand what transactions left in the outbox to those who work across runs: each entry once, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from runwright.clock import Clock
from runwright.engine.loops import Loop
from runwright.store.base import OutboxEntry, Store, Transaction
from runwright.store.queries.rollups import TAKE_OUTBOX

Consumer = Callable[[Transaction, Sequence[OutboxEntry]], Awaitable[None]]
"""Deals with entries in the transaction that settles them: what it writes is written exactly once."""


class Outbox:
    """Looks every `every_s` seconds, so that a busy server settles many entries with one transaction.

    `settled` is called when what the consumers have written is durable.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        consumers: Mapping[str, Consumer],
        *,
        every_s: float = 1.0,
        batch: int = 500,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._consumers = consumers
        self._batch = batch
        self._settled = settled
        self.loop = Loop("outbox", self._once, clock, every_s=every_s)

    async def _once(self) -> None:
        for topic, consume in self._consumers.items():
            if not await self._store.outbox(topic, 1):
                continue
            if await self._settle(topic, consume) == self._batch:
                self.loop.next_s = 0.0
            self._settled()

    async def _settle(self, topic: str, consume: Consumer) -> int:
        async def work(tx: Transaction) -> int:
            if not await tx.alone(f"outbox.{topic}"):
                return 0
            entries = [OutboxEntry(*row) for row in await tx.fetch(TAKE_OUTBOX, topic=topic, limit=self._batch)]
            await consume(tx, entries)
            await tx.settle([entry.entry for entry in entries])
            return len(entries)

        return await self._store.write(work)
