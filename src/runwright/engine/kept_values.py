"""All that a run was given, gave and kept, each as one JSON under an id: its artifacts, as readers see them.

What models were told, whole outputs of tools and workspaces are behind a scope of their own (ADR 0060). A workspace is
an archive, in which no redactor finds anything: it is never shown here.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from runwright.engine.values import Values, encode
from runwright.errors import MissingScope, NotFound
from runwright.store.base import Readings, Record, StoredValue
from runwright.store.queries.evidence import COUNT_VALUES, NAMES, VALUES
from runwright.store.queries.values import BY_KEY

PROMPTS = "prompts:read"
"""The scope that lets a caller read what models were told, and whole outputs of tools."""
OF_ROW = ("payload", "result")
"""The kinds of values that lie in the run's own row, without a key."""
BEHIND_PROMPTS = frozenset({"prompt", "tool_output"})
NEVER = frozenset({"snapshot"})
PAGE = 500

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,127}")


class KeptValue(NamedTuple):
    """A value under its id: the JSON as readers see it, None where they see nothing of it; `redacted` if it differs."""

    ident: str
    kind: str
    key: str
    shown: bytes | None
    redacted: bool
    created_at: int


class Name(NamedTuple):
    """What a value is called, and since when it is there."""

    ident: str
    created_at: int


class KeptValues:
    """Reads the values of runs that the caller was shown and whose data are there."""

    def __init__(self, store: Readings, values: Values, *, prompts: bool) -> None:
        self._store = store
        self._values = values
        self._hidden = NEVER if prompts else NEVER | BEHIND_PROMPTS

    async def one(self, record: Record, ident: str) -> KeptValue:
        """Return a value by its id. Raises `NotFound`, and `MissingScope` for what is behind another scope."""
        run_id = record.run.run_id
        kind, key = _value_of(run_id, ident)
        if kind in OF_ROW and key == "" and getattr(record, kind) is not None:
            return self._of_row(record, kind)
        rows = await self._store.fetch(BY_KEY, run_id=run_id, kind=kind, key=key)
        if not rows or kind in OF_ROW or kind in NEVER:
            raise NotFound("artifact", ident)
        if kind in self._hidden:
            raise MissingScope(PROMPTS)
        return await self._unpacked(record, StoredValue(*rows[0]))

    async def names(self, record: Record) -> list[Name]:
        """Return what the values of a run are called that the caller may read, oldest first; none of them is read."""
        run = record.run
        of_row = {"payload": run.spec.created_at, "result": run.finished_at or run.at}
        found = [(kind, "", at) for kind, at in of_row.items() if getattr(record, kind) is not None]
        found += await self._store.fetch(NAMES, run_id=run.run_id)
        seen = (Name(artifact_id(run.run_id, kind, key), at) for kind, key, at in found if kind not in self._hidden)
        return sorted(seen, key=lambda name: (name.created_at, name.ident))

    async def all(self, record: Record) -> AsyncIterator[KeptValue]:
        """Yield all values of a run: payload and result, then the others by kind and key."""
        for kind in OF_ROW:
            if getattr(record, kind) is not None:
                yield self._of_row(record, kind)
        place = {"kind": "", "key": ""}
        while rows := await self._store.fetch(VALUES, run_id=record.run.run_id, **place, limit=PAGE):
            for stored in [StoredValue(*row) for row in rows]:
                yield await self._unpacked(record, stored)
                place = {"kind": stored.kind, "key": stored.key}

    async def count(self, record: Record) -> int:
        """Return how many values a run has beside payload and result."""
        rows = await self._store.fetch(COUNT_VALUES, run_id=record.run.run_id)
        return int(rows[0][0])

    def _of_row(self, record: Record, kind: str) -> KeptValue:
        run, spec = record.run, record.run.spec
        if kind == "payload":
            return self._shown(record, kind, "", self._values.payload(spec, record.payload), spec.created_at)
        result = self._values.open(spec.project_id, spec.run_id, "result", record.result)
        return self._shown(record, kind, "", result, run.finished_at or run.at)

    async def _unpacked(self, record: Record, stored: StoredValue) -> KeptValue:
        if stored.kind in self._hidden:
            ident = artifact_id(stored.run_id, stored.kind, stored.key)
            return KeptValue(ident, stored.kind, stored.key, None, False, stored.created_at)
        value = await self._values.unpack(record.run.spec.project_id, stored)
        return self._shown(record, stored.kind, stored.key, value, stored.created_at)

    def _shown(self, record: Record, kind: str, key: str, value: Any, at: int) -> KeptValue:
        shown = encode(self._values.shown(record.run.spec.project_id, value))
        ident = artifact_id(record.run.run_id, kind, key)
        return KeptValue(ident, kind, key, shown, shown != encode(value), at)


def artifact_id(run_id: str, kind: str, key: str) -> str:
    """Return the id of a value among the artifacts of its run; a key that fits into no path is written in base64."""
    if not key:
        return f"{run_id}.{kind}"
    plain = _PLAIN_KEY.fullmatch(key)
    return f"{run_id}.{kind}.{key if plain else '~' + urlsafe_b64encode(key.encode()).decode().rstrip('=')}"


def _value_of(run_id: str, ident: str) -> tuple[str, str]:
    owner, _, rest = ident.partition(".")
    kind, _, key = rest.partition(".")
    if key.startswith("~"):
        try:
            key = urlsafe_b64decode(key[1:] + "=" * (-len(key[1:]) % 4)).decode()
        except ValueError:
            key = ""
    if owner != run_id or not kind or artifact_id(run_id, kind, key) != ident:
        raise NotFound("artifact", ident)
    return kind, key
