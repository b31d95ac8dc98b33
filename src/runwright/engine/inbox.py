"""Do the errands that one run's transaction left about others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from runwright.clock import Clock
from runwright.domain.errands import Errand, read
from runwright.engine.loops import Loop
from runwright.engine.requests import Committed
from runwright.errors import Error, StoreError
from runwright.store.base import InboxEntry, Store
from runwright.telemetry import report

POLL_S = 5.0

Handler = Callable[[str, bytes], Awaitable[None]]
"""Does one kind of errand: given the run that left it and its JSON. It may be called again, also at the same time."""


class Inbox:
    """Errands are done at least once, oldest first, and each of them is harmless to do again.

    The process that left one does it at once; what a crash left behind, whoever polls next. One that cannot be done
    stays for the next round and holds up no other; one of a newer server's kind is left to that.
    """

    def __init__(self, store: Store, clock: Clock, handlers: Mapping[Errand, Handler], *, batch: int = 500) -> None:
        self._store = store
        self._handlers: dict[str, Handler] = {str(kind): handler for kind, handler in handlers.items()}
        self._batch = batch
        self.loop = Loop("inbox", self._once, clock, every_s=POLL_S)

    def attend(self, kind: Errand, handler: Handler) -> None:
        """Let somebody above the engine do a kind of errand; say so before the loop starts."""
        self._handlers[kind] = handler

    def committed(self, done: Committed) -> None:
        """Hear that a transaction left something."""
        if done.inbox:
            self.loop.wake()

    async def _once(self) -> None:
        entries = await self._store.inbox(self._batch)
        while entries:
            await self._deliver([entry.entry for entry in entries if await self._done(entry)])
            # On behind the last: those that cannot be done stand at the front, and may be more than a batch.
            more = len(entries) == self._batch
            entries = await self._store.inbox(self._batch, entries[-1].entry) if more else []

    async def _deliver(self, done: Sequence[int]) -> None:
        if done:
            await self._store.write(lambda tx: tx.deliver(done))

    async def _done(self, entry: InboxEntry) -> bool:
        kind, body = read(entry.command)
        handler = self._handlers.get(kind)
        if handler is None:
            return False
        try:
            await handler(entry.run_id, body)
        except StoreError:
            raise
        except Error as refusal:
            report("inbox.refused", run_id=entry.run_id, error=f"{kind}: {refusal}")
            return False
        except Exception as broken:  # noqa: BLE001 - a bug of ours with one errand is no other's matter
            report("inbox.broken", run_id=entry.run_id, error=f"{kind}: {broken!r}")
            return False
        return True
