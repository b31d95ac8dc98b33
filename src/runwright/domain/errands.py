"""Errands: what a transaction leaves to be done to other runs, durably; `engine.inbox` has each done at least once.

Each is harmless when it is done again. Nobody waits for one while the transaction is open, and none is left by a run
to which no other is related.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from runwright.domain.run import Run

Errand = Literal["cancel_children", "release", "depend", "chain", "wake_parent", "advance", "deliver"]
ERRANDS: tuple[Errand, ...] = get_args(Errand)
"""Every kind of errand; a new one is an entry here and a handler in `engine` or above, and no other is ever left."""

_encode = msgspec.json.Encoder().encode


def errand(kind: Errand, body: Any = None) -> bytes:
    """Return an errand as it is stored: its kind, and after a space the JSON of what it is about besides the run."""
    return kind.encode() if body is None else kind.encode() + b" " + _encode(body)


def left_by(new: Run, *, awaited: bool) -> Iterator[bytes]:
    """Yield the errands that a run leaves by coming into a state, whatever brought it there.

    `awaited`: runs of other jobs may wait for the end of one of its job.
    """
    if new.state == "cancelled":
        yield errand("cancel_children")
    if new.terminal and new.spec.spawned:
        yield errand("wake_parent")
    if awaited and new.terminal:
        yield errand("release")
    if new.state in new.spec.chains:
        yield errand("chain")
    if new.state == "completed" and new.spec.runtime is not None and new.spec.runtime.delivers:
        yield errand("deliver")
    if new.state == "waiting" and new.reason == "dependency":
        yield errand("depend")  # what it needs may have come while it was made, or paused
    if new.spec.workflow is not None or new.spec.step is not None:
        yield from _of_workflow(new)


def _of_workflow(new: Run) -> Iterator[bytes]:
    """Yield what leads a workflow on: it began, was paused or resumed; a step's run ended, or followed a pause."""
    if new.spec.workflow is None:
        if new.terminal or (new.state == "paused" and new.reason == "parent"):
            yield errand("advance", new.spec.parent_run_id)
    elif new.state == "failed":
        yield errand("cancel_children")  # it took too long; one that fails by a step has none that are live
    elif not new.terminal:
        yield errand("advance", new.run_id)


def read(stored: bytes) -> tuple[str, bytes]:
    """Return the kind of a stored errand, whoever left it, and its JSON (`null` for none)."""
    kind, _, body = stored.partition(b" ")
    return kind.decode(), body or b"null"
