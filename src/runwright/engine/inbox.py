"""Apply durable commands that one run's transaction left for other runs."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.domain.commands import Stop
from runwright.domain.tenancy import Cause
from runwright.engine.commit import Commit
from runwright.engine.loops import Loop
from runwright.engine.requests import Committed
from runwright.errors import Error, InvalidTransition, NotFound
from runwright.store.base import Store, Transaction
from runwright.store.queries.runs import LIVE_CHILDREN

POLL_S = 5.0


class Inbox:
    """Entries are applied at least once and in order; each of them is harmless to apply again.

    The process that wrote one applies it at once; what a crash left behind, whoever polls next.
    """

    def __init__(self, store: Store, commit: Commit, clock: Clock, *, batch: int = 500) -> None:
        self._store = store
        self._commit = commit
        self._batch = batch
        self.loop = Loop("inbox", self._once, clock, every_s=POLL_S)

    def committed(self, done: Committed) -> None:
        """Hear that a transaction left something."""
        if done.inbox:
            self.loop.wake()

    async def _once(self) -> None:
        entries = await self._store.inbox(self._batch)
        for entry in entries:
            await self._cancel_children(entry.run_id)
            number = entry.entry

            async def delivered(tx: Transaction, number: int = number) -> None:
                await tx.deliver(number)

            await self._store.write(delivered)
        if len(entries) == self._batch:
            self.loop.next_s = 0.0

    async def _cancel_children(self, run_id: str) -> None:
        cause = Cause(f"run:{run_id}", "the parent was cancelled")
        children = await self._store.fetch(LIVE_CHILDREN, run_id=run_id)
        answers = await self._commit.apply_all([Stop(child, "cancel", cause) for (child,) in children])
        for answer in answers:
            if isinstance(answer, Error) and not isinstance(answer, InvalidTransition | NotFound):
                raise answer
