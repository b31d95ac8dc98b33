"""What an attempt says and keeps, made ready to be stored: events redacted, values sealed and told of by digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw

from runwright.domain.events import CATALOGUE, Draft
from runwright.domain.redaction import compose
from runwright.domain.run import Run, ValueRef
from runwright.engine.annotations import require_annotations
from runwright.engine.emitter import STREAMED, Buffer, Described, Emitter, Note, Packed
from runwright.engine.schema import require_valid
from runwright.engine.values import Values


class Kept(Protocol):
    """A working value to store, as it came: exact, with the JSON Schema of an output if it has one."""

    @property
    def kind(self) -> str:
        """What it is: step, checkpoint, output or state."""
        ...

    @property
    def key(self) -> str:
        """What it is called among its kind."""
        ...

    @property
    def data(self) -> Any:
        """The value."""
        ...

    @property
    def schema(self) -> dict[str, Any] | None:
        """What an output must be; of other values, what is noted beside them."""
        ...


class Saving(NamedTuple):
    """Records that belong together with the values that they tell of."""

    notes: Sequence[Note]
    values: Sequence[Kept] = ()
    removed: Sequence[tuple[str, str]] = ()
    annotations: Mapping[str, str] = {}


class Packer:
    """Makes savings of one attempt ready."""

    def __init__(self, values: Values, emitter: Emitter, buffer: Buffer) -> None:
        self._values = values
        self._emitter = emitter
        self._buffer = buffer

    async def pack(self, run: Run, savings: Sequence[Saving], emit: Callable[[Note], None]) -> Packed:
        """Return savings as they are stored, in one; what belongs to a stream is emitted instead."""
        packed = Packed([], [], [], {})
        for saving in savings:
            refs = await self._keep(packed, run, saving.values)
            for note in saving.notes:
                if note.type in STREAMED:
                    emit(note)  # its pieces are redacted as one text
            drafts = [self._draft(run, note) for note in saving.notes if note.type not in STREAMED]
            last = saving.notes[-1] if saving.notes else None
            if refs and drafts and last is not None and "value" in CATALOGUE[last.type].data.__struct_fields__:
                drafts[-1] = self._draft(run, Described(last, {**last.data, "value": refs[-1]}))
            packed.drafts.extend(drafts)
            for removed in saving.removed:  # the store removes before it writes
                packed.values[:] = [value for value in packed.values if (value.kind, value.key) != removed]
                packed.removed.append(removed)
            if saving.annotations:
                self._annotate(packed, run, saving.annotations)
        return packed

    async def _keep(self, packed: Packed, run: Run, values: Sequence[Kept]) -> list[ValueRef]:
        """Take in values; return what events say of them."""
        refs: list[ValueRef] = []
        for kept in values:
            if kept.kind == "output" and kept.schema is not None:
                require_valid(kept.data, kept.schema)
            place = run.spec.project_id, run.run_id, kept.kind, kept.key
            stored, ref = await self._values.pack(*place, kept.data, kept.schema)
            packed.values.append(stored)
            refs.append(ref)
        return refs

    def _draft(self, run: Run, note: Note | Described) -> Draft:
        return self._emitter.draft(run.spec.project_id, note, self._buffer.writer)

    def _annotate(self, packed: Packed, run: Run, annotations: Mapping[str, str]) -> None:
        require_annotations(run, annotations)
        clean = self._emitter.redactors.of(run.spec.project_id).data(annotations)
        packed.drafts.append(Draft("run.annotated", compose({"annotations": Raw(clean)})))
        packed.annotations.update(msgspec.json.decode(clean))
