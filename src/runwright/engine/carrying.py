"""What lies between two writes of an attempt: ends of streams that redaction holds back, and counts of its commands.

They are stored, sealed, with the records that they follow. So any process takes the next piece, of a stream or of what
a command prints, as the one before would have.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.commands import Value
from runwright.domain.run import Run
from runwright.domain.scan import Undecided
from runwright.domain.terminal_events import OUTPUT, TerminalOutput
from runwright.engine.emitter import Buffer
from runwright.engine.redactors import Redactors
from runwright.engine.tape import Counted
from runwright.engine.values import Values
from runwright.store.base import Store
from runwright.store.queries.events import OF_TERMINAL, event_of

HELD_BACK = "held-back"
"""The kind of value that keeps it, by the lease's epoch."""
_OF_COMMANDS = "\0commands"
"""What stands among the streams' names for the counts: no stream is called so."""
PAGE = 32
"""Events of a terminal that are read at once; each holds up to 64 KiB."""


class Carried:
    """What one process holds of it for an attempt."""

    def __init__(self, buffer: Buffer, values: Values, store: Store, redactors: Redactors) -> None:
        self._buffer = buffer
        self._values = values
        self._store = store
        self._redactors = redactors
        self._stored = False

    def left(self, run: Run) -> Value | None:
        """Return it as a value to be stored; None when there was and is nothing."""
        buffer, counted = self._buffer, self._buffer.tape.counted
        if not (buffer.streams or counted or self._stored):
            return None
        left: dict[str, Any] = {stream_id: stream.undecided for stream_id, stream in buffer.streams.items()}
        left |= {_OF_COMMANDS: counted} if counted else {}
        self._stored = bool(left)
        key = str(run.lease_epoch)
        if not left:
            return Value(HELD_BACK, key, None)
        encoded = msgspec.json.encode(left)
        return Value(HELD_BACK, key, self._values.seal(run.spec.project_id, run.run_id, f"{HELD_BACK}/{key}", encoded))

    async def take_up(self, run: Run, sealed: bytes | None) -> None:
        """Take it up as another process left it, and know what the commands printed by way of others."""
        spec = run.spec
        left = self._values.open(spec.project_id, spec.run_id, f"{HELD_BACK}/{run.lease_epoch}", sealed) or {}
        counted = msgspec.convert(left.pop(_OF_COMMANDS, {}), dict[str, Counted])
        redactor = self._redactors.of(spec.project_id)
        self._buffer.streams = {
            name: redactor.stream(msgspec.convert(state, Undecided)) for name, state in left.items()
        }
        self._stored = bool(left or counted)
        after_seq = self._buffer.tape.rewind(counted)
        if counted:
            await self._recall(run, after_seq)

    async def _recall(self, run: Run, after_seq: int) -> None:
        while True:
            rows = await self._store.fetch(OF_TERMINAL, run_id=run.run_id, after_seq=after_seq, limit=PAGE)
            for event in map(event_of, rows):
                if event.type == OUTPUT and event.lease_epoch == run.lease_epoch and event.data is not None:
                    self._buffer.tape.recall(msgspec.json.decode(event.data, type=TerminalOutput))
                after_seq = event.seq
            if len(rows) < PAGE:
                return

    def confirm(self, run: Run) -> None:
        """Hear that all that was handed over is in the log of the run, as it stands now."""
        self._buffer.tape.confirm(run.seq)
