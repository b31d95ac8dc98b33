"""What the code of a running job asks for by HTTP, one call at a time: each is durable when it is answered."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from runwright.domain.events import Event, Level
from runwright.engine.attempt import Attempt
from runwright.engine.emitter import STREAM
from runwright.engine.fleet import Fleet
from runwright.engine.packing import Saving
from runwright.engine.values import Values
from runwright.store.base import Store
from runwright.store.queries.events import LAST_CHECKPOINT

SOURCE = "sdk"
"""Who saves a checkpoint, unless it says otherwise."""


class Said(NamedTuple):
    """A record as the job's code gave it."""

    type: str
    data: dict[str, Any]
    level: Level = "info"
    message: str = ""


class Keep(NamedTuple):
    """A working value as the job's code gave it."""

    kind: str
    key: str
    data: Any
    schema: dict[str, Any] | None = None


class Working(msgspec.Struct, frozen=True):
    """A working value as the job's code reads it: exact."""

    key: str
    value: Any
    updated_at: int


class Calls:
    """Answers what an executing run's code calls. Calls of one run take turns, so that none counts as another does."""

    def __init__(self, fleet: Fleet, store: Store, values: Values) -> None:
        self._fleet = fleet
        self._store = store
        self._values = values

    async def record(self, attempt: Attempt, said: Said, keep: Keep | None = None) -> Event:
        """Append one record, with the value that it tells of, and return it as it stands in the log.

        Raises `StaleLease`, `TooLarge`, and `InvalidRequest` for a value that is not what its schema says.
        """
        async with attempt.turn:
            return await self._record(attempt, said, keep)

    async def _record(self, attempt: Attempt, said: Said, keep: Keep | None) -> Event:
        run = await self._fleet.write(attempt, [Saving([said], [] if keep is None else [keep])])
        return (await self._store.events(run.run_id, run.seq - 1, 1))[0]

    async def stream(self, attempt: Attempt, chunk: str, stream_id: str, *, done: bool) -> None:
        """Append a piece of a stream. An end that could begin a secret comes with the piece that shows what it is.

        Raises `StaleLease`.
        """
        said = Said(STREAM, {"chunk": chunk, "stream_id": stream_id, "done": done})
        await self._fleet.append(attempt, [Saving([said])])

    async def checkpoint(self, attempt: Attempt, state: dict[str, Any], source: str = SOURCE) -> tuple[Event, int]:
        """Save the next checkpoint; return its record and its sequence: one more than the last that the run has kept.

        Raises `StaleLease`.
        """
        async with attempt.turn:
            last = (await self._store.fetch(LAST_CHECKPOINT, run_id=attempt.run.run_id))[0][0]
            sequence = (last or 0) + 1
            said = Said("checkpoint.saved", {"sequence": sequence, "source": source}, message=f"checkpoint {sequence}")
            # What is kept beside a checkpoint, where an output has its schema, says who saved it.
            beside = None if source == SOURCE else {"source": source}
            return await self._record(attempt, said, Keep("checkpoint", str(sequence), state, beside)), sequence

    async def last_checkpoint(self, attempt: Attempt) -> Working | None:
        """Return the checkpoint that the run has saved last, or was replayed from, exact, by its sequence."""
        spec = attempt.run.spec
        kept = await self._store.values(spec.run_id, "checkpoint")
        if not kept:
            return None
        last = max(kept, key=lambda value: int(value.key))
        return Working(last.key, await self._values.unpack(spec.project_id, last), last.created_at)

    async def state(self, attempt: Attempt, key: str | None = None) -> list[Working]:
        """Return what the run keeps, by key, exact; with a key, that one alone."""
        spec = attempt.run.spec
        kept = [value for value in await self._store.values(spec.run_id, "state") if key is None or value.key == key]
        return [
            Working(value.key, await self._values.unpack(spec.project_id, value), value.created_at) for value in kept
        ]

    async def forget(self, attempt: Attempt, key: str) -> None:
        """Forget what the run keeps under a key; where nothing is kept, nothing happens. Raises `StaleLease`."""
        async with attempt.turn:
            kept = await self._store.values(attempt.run.run_id, "state")
            if any(value.key == key for value in kept):
                said = Said("state.deleted", {"state_key": key}, "debug", f"state {key} deleted")
                await self._fleet.write(attempt, [Saving([said], removed=[("state", key)])])
