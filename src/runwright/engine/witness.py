"""Find out what became of a transaction whose commit was never answered: its own events bear witness.

An event's salt is drawn for it, so its link in the chain is this transaction's and nobody else's. Whether the link is
there is asked under the lock of its run: a commit that the database still works at is waited for. A transaction that
only made runs has no such lock; what is not there yet may come later, so its outcome stays unknown.
"""

from __future__ import annotations

from runwright.clock import Clock
from runwright.domain.events import Event
from runwright.engine.batch import Batch
from runwright.errors import StoreUnavailable
from runwright.store.base import Store, Transaction
from runwright.store.queries.events import LINK
from runwright.telemetry import report

RETRY_S = 0.2


async def written(store: Store, batch: Batch, clock: Clock, patience_s: float) -> bool | None:
    """Tell whether a batch was written; None when that cannot be told, or not within `patience_s`."""
    old = next((events[0] for run_id, events in batch.events.items() if run_id in batch.before), None)
    event = old or next((events[0] for events in batch.events.values()), None)
    if event is None:
        return None
    give_up = clock.monotonic() + patience_s
    while True:
        try:
            found = await _is_there(store, event)
        except StoreUnavailable:
            if clock.monotonic() >= give_up:
                return None
            await clock.sleep(RETRY_S)
            continue
        report("commit.outcome_found", run_id=event.run_id, seq=event.seq, written=found)
        return True if found else (False if old is not None else None)


async def _is_there(store: Store, event: Event) -> bool:
    async def work(tx: Transaction) -> bool:
        await tx.runs([event.run_id], {})  # whoever still writes it is waited for
        links = await tx.fetch(LINK, run_id=event.run_id, seq=event.seq)
        return bool(links) and links[0][0] == event.hash

    return await store.write(work)
