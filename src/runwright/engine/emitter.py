"""Collect what running attempts write, and append it in batches: by time, by bytes, or when somebody must be sure.

Everything is redacted here, before it is kept. Pieces of one stream that meet in one flush become one event. What a
model says is read as it comes: after a silence of a flush time its words wait for nothing, and so it is never more
transactions than there are flush times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple, Protocol

from runwright.clock import Clock
from runwright.domain.commands import Append, Value
from runwright.domain.events import CATALOGUE, LEVELS, Draft, Level, Writer, writer_of
from runwright.domain.redaction import RedactedText, Redactor, Stream, compose
from runwright.domain.run import Run
from runwright.engine.commit import Commit
from runwright.engine.redactors import Redactors
from runwright.engine.tape import MARK, ON_TAPE, USUAL, Limits, Tape
from runwright.errors import Error, Internal, InvalidRequest, StoreUnavailable, TooLarge

RETRY_S = 0.2
STREAM = "stream.chunk"
MESSAGE = "message.delta"
STREAMED = frozenset({STREAM, MESSAGE}) | ON_TAPE
"""The events that carry pieces of a text: redacted as one, and merged with their neighbours."""


_OF_MESSAGE = f"{MARK}message{MARK}"
"""How the names of the streams of a model's messages begin; the channel and the segment follow."""


_WRITERS: dict[Writer, str] = {"job": "a job", "agent": "an agent", "runtime": "a runtime run"}


class Note(Protocol):
    """What a job writes, as it came: an event type that jobs may append, and its plain data."""

    @property
    def type(self) -> str:
        """The event type."""
        ...

    @property
    def data(self) -> dict[str, Any]:
        """The event's data."""
        ...

    @property
    def level(self) -> Level:
        """How loud it is."""
        ...

    @property
    def message(self) -> str:
        """A line for people."""
        ...


class Described:
    """A note with the description of the value it names."""

    def __init__(self, note: Note, data: dict[str, Any]) -> None:
        self.type = note.type
        self.level = note.level
        self.message = note.message
        self.data = data


class Packed(NamedTuple):
    """Records, values, and what is forgotten, as one append stores them."""

    drafts: list[Draft]
    values: list[Value]
    removed: list[tuple[str, str]]
    annotations: dict[str, str]
    after: tuple[int, int] | None = None
    """Where the run must stand when this is written."""


class Buffer:
    """The unwritten records of one attempt."""

    def __init__(
        self,
        run_id: str,
        project_id: str,
        lease_epoch: int,
        lost: Callable[[Error], None],
        writer: Writer = "job",
        limits: Limits = USUAL,
    ) -> None:
        self.run_id = run_id
        self.project_id = project_id
        self.lease_epoch = lease_epoch
        self.lost = lost
        self.writer: Writer = writer
        self.drafts: list[Draft] = []
        self.bytes = 0
        self.streams: dict[str, Stream] = {}
        self.tape = Tape(limits)
        self._pieces: dict[str, list[str]] = {}

    @property
    def empty(self) -> bool:
        """Tell whether nothing waits, in no stream either."""
        return not (self.drafts or self.streams or self._pieces) and self.tape.empty

    def forget(self) -> None:
        """Tell nobody any more: the attempt is over. It and its buffer name each other, and nothing else names them."""
        self.lost = _unheard

    def add(self, draft: Draft) -> None:
        """Keep a redacted record."""
        self.drafts.append(draft)
        self.bytes += len(draft.data) + len(draft.message) + 64

    def add_piece(self, stream_id: str, text: str) -> None:
        """Keep a piece of a stream; it is merged with its neighbours when the buffer is taken."""
        if text:
            self._pieces.setdefault(stream_id, []).append(text)
            self.bytes += len(text)

    def merge(self, redactor: Redactor, stream_id: str, *, done: bool = False) -> None:
        """Turn the pieces of a stream into one record."""
        pieces = self._pieces.pop(stream_id, [])
        if pieces or done:
            # The pieces went through their stream's redaction; to look at them again, cut as they are, would find more.
            chunk = "".join(pieces)
            if stream_id.startswith(_OF_MESSAGE):
                channel, segment = stream_id.removeprefix(_OF_MESSAGE).split(MARK, 1)
                said = {"content": chunk, "role": "assistant", "channel": channel, "segment_id": segment}
                self.drafts += [Draft(MESSAGE, compose(said))] if chunk else []
            else:
                data = {"chunk": chunk, "stream_id": redactor.text(stream_id), "done": done}
                self.drafts.append(Draft(STREAM, compose(data)))

    def put_back(self, drafts: Sequence[Draft]) -> None:
        """Keep records again that could not be stored, before everything that came since."""
        since, self.drafts = self.drafts, []
        for draft in drafts:
            self.add(draft)
        self.drafts += since

    def take(self, redactor: Redactor) -> tuple[Draft, ...]:
        """Return everything kept so far, in order, and begin anew."""
        for stream_id in list(self._pieces):
            self.merge(redactor, stream_id)
        drafts, self.drafts, self.bytes = (*self.drafts, *self.tape.take(redactor)), [], 0
        return drafts


def _rest(redactor: Redactor, stream_id: str, stream: Stream) -> str:
    """Return what a stream held back. A model may be cut off at any token: the larger part of a secret stays away."""
    rest = stream.close()
    return redactor.cut_off(rest) if stream_id.startswith(_OF_MESSAGE) else rest


def _unheard(refusal: Error) -> None:
    """Hear nothing."""


class Emitter:
    """Appends the records of all attempts of a worker."""

    def __init__(
        self,
        commit: Commit,
        redactors: Redactors,
        clock: Clock,
        *,
        flush_s: float = 0.025,
        flush_bytes: int = 32_768,
        buffer_max_bytes: int = 8_388_608,
        patience_s: float = 30.0,
        limits: Limits = USUAL,
    ) -> None:
        self._commit = commit
        self.redactors = redactors
        self._limits = limits
        self._clock = clock
        self._flush_s = flush_s
        self._flush_bytes = flush_bytes
        self._buffer_max_bytes = buffer_max_bytes
        self._patience_s = patience_s
        self._dirty: dict[Buffer, None] = {}
        self._early = asyncio.Event()
        self._flushed_at = -inf
        self._task: asyncio.Task[None] | None = None

    def buffer(self, run: Run, lost: Callable[[Error], None]) -> Buffer:
        """Return an empty buffer for an attempt; `lost` hears why its records cannot be stored."""
        spec = run.spec
        return Buffer(run.run_id, spec.project_id, run.lease_epoch, lost, writer_of(spec.kind), self._limits)

    def draft(self, project_id: str, note: Note, writer: Writer = "job") -> Draft:
        """Return the redacted record of a note of a project.

        Raises `InvalidRequest` for what its `writer` may not append.
        """
        self._require(note.type, writer)
        if note.level not in LEVELS:
            raise InvalidRequest(f"the level {note.level!r} is none of {', '.join(LEVELS)}", code="events.level")
        redactor = self.redactors.of(project_id)
        message = redactor.text(note.message) if note.message else RedactedText("")
        return Draft(note.type, redactor.data(note.data), message, note.level)

    def _require(self, type_: str, writer: Writer) -> None:
        entry = CATALOGUE.get(type_)
        if entry is None or not entry.may_be_by(writer):
            raise InvalidRequest(f"{_WRITERS[writer]} cannot append events of the type {type_!r}", code="events.type")

    def emit(self, buffer: Buffer, note: Note) -> None:
        """Keep a note for the next flush, which comes within the flush time; at once for words after a silence.

        Raises `TooLarge` when too much waits, and `InvalidRequest` for what may not be appended.
        """
        if buffer.bytes + buffer.tape.bytes > self._buffer_max_bytes:
            raise TooLarge(f"more than {self._buffer_max_bytes} bytes of records wait to be stored; write less at once")
        if note.type == STREAM:
            if MARK in str(note.data.get("stream_id", "")):
                raise InvalidRequest("the id of a stream has no zero byte", code="events.data")
            self._emit_chunk(buffer, note.data)
            self._mark(buffer)
        elif note.type == MESSAGE and buffer.writer != "job":
            name = f"{_OF_MESSAGE}{note.data['channel']}{MARK}{note.data['segment_id']}"
            done = note.data.get("done", False)
            self._emit_chunk(buffer, {"stream_id": name, "chunk": note.data["content"], "done": done})
            self._mark(buffer, read_live=True)
        elif note.type in ON_TAPE:
            self._require(note.type, buffer.writer)
            buffer.tape.tell(note.type, note.data, buffer.streams, self.redactors.of(buffer.project_id))
            self._mark(buffer)
        else:
            self.keep(buffer, self.draft(buffer.project_id, note, buffer.writer))

    def keep(self, buffer: Buffer, draft: Draft) -> None:
        """Keep a record of ours for the next flush."""
        buffer.add(draft)
        self._mark(buffer)

    def _mark(self, buffer: Buffer, *, read_live: bool = False) -> None:
        self._dirty[buffer] = None
        if self._task is None:
            self._task = asyncio.create_task(self._flush_soon(), name="emitter")
        rested = self._clock.monotonic() - self._flushed_at >= self._flush_s
        if buffer.bytes + buffer.tape.bytes >= self._flush_bytes or (read_live and rested):
            self._early.set()

    def _emit_chunk(self, buffer: Buffer, data: dict[str, Any]) -> None:
        stream_id = str(data.get("stream_id", "default"))
        redactor = self.redactors.of(buffer.project_id)
        stream = buffer.streams[stream_id] = redactor.carried(buffer.streams.get(stream_id))
        buffer.add_piece(stream_id, stream.feed(str(data.get("chunk", ""))))
        if data.get("done"):
            buffer.add_piece(stream_id, _rest(redactor, stream_id, buffer.streams.pop(stream_id)))
            buffer.merge(redactor, stream_id, done=True)

    async def _flush_soon(self) -> None:
        try:
            while self._dirty:
                await self._clock.wait(self._early, self._flush_s)
                self._early.clear()
                await self._flush()
        finally:
            self._task = None

    async def _flush(self) -> None:
        buffers, self._dirty = list(self._dirty), {}
        taken = [(buffer, buffer.take(self.redactors.of(buffer.project_id))) for buffer in buffers]
        full = [(buffer, drafts) for buffer, drafts in taken if drafts]
        if not full:
            return
        self._flushed_at = inf  # words that come meanwhile come after no silence, however long this takes
        appends = [Append(buffer.run_id, buffer.lease_epoch, drafts) for buffer, drafts in full]
        try:
            answers = await self._commit.apply_all(appends)
        except StoreUnavailable:
            for buffer, drafts in full:
                buffer.put_back(drafts)
                self._dirty[buffer] = None
            await self._clock.sleep(RETRY_S)
            return
        except Exception:  # noqa: BLE001 - one of them broke the transaction: apart, it fails alone
            answers = await asyncio.gather(*map(self._commit.apply, appends), return_exceptions=True)
        finally:
            self._flushed_at = self._clock.monotonic()
        for (buffer, _), answer in zip(full, answers, strict=True):
            if isinstance(answer, Exception):
                buffer.lost(answer if isinstance(answer, Error) else Internal())

    async def save(self, buffer: Buffer, packed: Packed) -> Run:
        """Append what waits and what is packed, in one transaction; durable when it returns, with the run after it.

        Raises `StaleLease` when the attempt's lease is over, and `Overtaken` as `Append` says: then
        what waited is gone, too, for its streams go on from where the other process left them.
        """
        waiting = buffer.take(self.redactors.of(buffer.project_id))
        self._dirty.pop(buffer, None)
        append = Append(
            buffer.run_id,
            buffer.lease_epoch,
            (*waiting, *packed.drafts),
            tuple(packed.values),
            tuple(packed.removed),
            packed.annotations,
            packed.after,
        )
        give_up = self._clock.monotonic() + self._patience_s
        while True:
            try:
                appended: Run = await self._commit.apply(append)
                return appended
            except StoreUnavailable:  # as long as a lease may live, the store may come back
                if self._clock.monotonic() >= give_up:
                    raise
                await self._clock.sleep(RETRY_S)

    def close(self, buffer: Buffer) -> tuple[Draft, ...]:
        """Return the last records of an attempt, its streams' held-back ends included, for its finish to carry."""
        if buffer.empty:
            buffer.tape.over()
            return ()
        redactor = self.redactors.of(buffer.project_id)
        buffer.tape.close(buffer.streams, redactor)
        for stream_id, stream in list(buffer.streams.items()):
            buffer.add_piece(stream_id, _rest(redactor, stream_id, redactor.carried(stream)))
        buffer.streams.clear()
        self._dirty.pop(buffer, None)
        return buffer.take(redactor)
