"""What agent runs keep by digest, for those who may read it: what models were told, long outputs, the last workspace.

The log names all of it and holds none of it: who may read a run reads no prompt yet.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

import msgspec

from runwright.agents.notes import LAST, OUTPUT, PROMPT, SNAPSHOT, noted
from runwright.agents.tools.bounds import ToolBounds
from runwright.engine.reader import Reader
from runwright.engine.values import Values
from runwright.errors import NotFound
from runwright.sandbox.contents import contents

KeptKind = Literal["prompt", "tool_output", "snapshot"]
assert set(get_args(KeptKind)) == {PROMPT, OUTPUT, SNAPSHOT}


class KeptValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value under its digest, redacted; `truncated`: not every text of a workspace is shown."""

    kind: KeptKind
    value: Any
    truncated: bool
    created_at: int


class KeptValues:
    """Finds them."""

    def __init__(self, values: Values, bounds: ToolBounds) -> None:
        self._values = values
        self._bounds = bounds

    async def find(self, reader: Reader, run_id: str, digest: str) -> KeptValue:
        """Return what a run keeps under a digest that its log names.

        Of workspaces only the last one is kept. Raises `NotFound`, and `Gone` for a run whose data were erased.
        """
        record = await reader.run(run_id)
        kinds: tuple[KeptKind, ...] = ("prompt", "tool_output")
        for kind in kinds:
            seen = await reader.value(record, kind, digest)
            if seen is not None:
                return KeptValue(kind=kind, value=seen.value, truncated=False, created_at=seen.created_at)
        last = await reader.exact_bytes(record, SNAPSHOT, LAST, noted(digest))
        if last is None:
            raise NotFound("value", digest)
        room = self._bounds.output_max_bytes
        held = await asyncio.to_thread(contents, last.value, self._bounds.tree, room)
        files = self._values.shown(record.run.spec.project_id, msgspec.to_builtins(held.files))
        return KeptValue(kind="snapshot", value={"files": files}, truncated=not held.whole, created_at=last.created_at)
