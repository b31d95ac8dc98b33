"""Let runs into their queues: those of a transaction, and those that were held while a limit was full.

What is read of those who wait is what may be let in and a few beside it, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runwright.engine.batch import Batch, Reading
from runwright.engine.requests import Admit
from runwright.engine.throttling import admissible
from runwright.store.base import Slots, Transaction

BESIDE = 16
"""How many held runs are looked at beside those that slots were freed for: others free and take slots meanwhile."""


class Admission:
    """The held runs that one transaction may let in. `asked` are the limits that may have free slots."""

    def __init__(self, admits: Iterable[Admit], batch_max: int) -> None:
        told = tuple(admits)
        self.asked = sorted({key for admit in told for key in admit.limit_keys})
        self._most = min(2 * sum(admit.most for admit in told) + BESIDE, batch_max)
        self._batch_max = batch_max
        self._again_for: set[str] = set()

    async def guess(self, tx: Transaction) -> set[str]:
        """Return who may be let in, before anything is locked: the limits of these must be locked, too."""
        held = await tx.held(self.asked, self._most) if self.asked else {}
        return {entry.run_id for entries in held.values() for entry in entries}

    async def found(self, tx: Transaction, slots: Mapping[str, Slots], guessed: set[str]) -> list[str]:
        """Return who may be let in, now that the limits of those who were guessed are locked."""
        waiting: list[str] = []
        for key, entries in (await tx.held(self.asked, self._most)).items() if guessed else ():
            free = slots[key].max - slots[key].used if key in slots else self._batch_max
            for entry in entries[: max(free, 0)]:
                if entry.run_id in guessed:
                    waiting.append(entry.run_id)
                else:  # it came between the guess and the lock, and its other limits are not locked
                    self._again_for.add(key)
        return waiting

    async def admit(
        self, tx: Transaction, batch: Batch, slots: Mapping[str, Slots], held: list[str], answers: list[list[Any]]
    ) -> None:
        """Put who enters a queue into it, or hold them; the batch says of which limits slots are free now."""
        entering = await admissible(tx, batch, batch.entering(held), answers)
        keys = batch.limits_touched(entering)
        reading = Reading({key: slots[key] for key in keys if key in slots})
        if keys:
            # The first who stays held decides, and before it stand at most those that this batch moves.
            moving = sum(run.held_by is not None for run in batch.before.values())
            reading.held = await tx.held(sorted(keys), min(moving + 1, self._batch_max))
        if entering:
            places = await tx.places(sorted({(run.spec.queue_key, run.spec.project_id) for run in entering}))
            reading.floors = {queue: place.floor for (queue, _), place in places.items()}
            reading.turns = {pair: place.turn for pair, place in places.items()}
        if entering or keys:
            batch.admit(entering, reading)
            batch.freed = {key for key in batch.freed if reading.held.get(key)}
        batch.freed |= self._again_for
