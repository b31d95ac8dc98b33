"""What the commands of a run printed, read back from its log: as it was, as a recording, or as its digest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from hashlib import sha256

import msgspec

from runwright.domain.cast import RECORDED, Cast
from runwright.domain.run import Run
from runwright.domain.terminal_events import OUTPUT, TerminalOutput
from runwright.engine.reader import Reader
from runwright.store.base import Record

PAGE = 32
"""Events read at once; each holds up to 64 KiB."""
DIGESTS_MAX = 1000
NOTHING = sha256().hexdigest()

_read = msgspec.json.Decoder(TerminalOutput).decode


async def printed(reader: Reader, run_id: str) -> AsyncIterator[bytes]:
    """Yield the bytes in the order of their arrival, both outputs of a command in one."""
    async for event in reader.all_of_type(run_id, OUTPUT, PAGE):
        if event.data is not None:
            yield _read(event.data).bytes()


async def recorded(reader: Reader, run: Run) -> AsyncIterator[bytes]:
    """Yield an asciicast 3 of it, line by line."""
    cast = Cast(run.run_id, run.started_at or run.spec.created_at)
    yield cast.head()
    async for event in reader.terminal(run.run_id, PAGE):
        if event.type in RECORDED:
            line = cast.line(event)
            if line:
                yield line


class Digests:
    """Digests of what ended runs printed: each is read once, however many ask for it at once."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    def forget(self, run_id: str) -> None:
        """Forget the digest of a run whose data were erased."""
        self._known.pop(run_id, None)

    async def of(self, reader: Reader, record: Record) -> str:
        """Return the SHA-256 of all that an ended run printed, as the log holds it: of nothing, once that is erased."""
        run_id = record.run.run_id
        if record.erased_at is not None:
            self.forget(run_id)
            return NOTHING
        task = self._known.get(run_id)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._known[run_id] = asyncio.create_task(_digest(reader, run_id), name="digest")
        self._known.move_to_end(run_id)
        while len(self._known) > DIGESTS_MAX:
            self._known.popitem(last=False)
        return await asyncio.shield(task)


async def _digest(reader: Reader, run_id: str) -> str:
    digest = sha256()
    async for piece in printed(reader, run_id):
        digest.update(piece)
    return digest.hexdigest()
