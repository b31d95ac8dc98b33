"""Runs that gather triggers before they begin: debounced ones keep the last payload, batches keep them all.

Such a run is scheduled, with the reason `debounce` or `batch`, until its window is over. While it is open, a trigger of
the same job and key joins it instead of making another run; afterwards the next trigger makes the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from runwright.domain import events as e
from runwright.domain.commands import Decision, Join
from runwright.domain.ending import await_others, draft, leave
from runwright.domain.run import Gather, Run, Spec
from runwright.errors import InvalidTransition

BATCH_BYTES = 524_288
"""A batch that has so many bytes begins, whatever its size: it is delivered whole."""

_LENGTH_BYTES = 4


class Gathering(NamedTuple):
    """What triggers have in common that gather in one run."""

    job_id: str
    kind: str
    key: str


def gathering_of(spec: Spec) -> Gathering | None:
    """Return what the triggers of a run have in common; None for a run that gathers none."""
    return None if spec.gather is None else Gathering(spec.job_id or "", spec.gather.kind, spec.gather.key)


def gathers(run: Run) -> bool:
    """Tell whether a run still is as its window left it: nobody rescheduled, paused or ended it."""
    return run.spec.gather is not None and run.state == "scheduled" and run.reason == run.spec.gather.kind


def is_open(run: Run, at: int) -> bool:
    """Tell whether a trigger may join a run at an instant: not when its window is over, though nobody noticed yet."""
    return gathers(run) and run.due_at is not None and at < run.due_at


def due_at(gather: Gather, created_at: int, at: int) -> int:
    """Return when a run begins whose last trigger came at `at`: a batch counts from its first, a debounce from that."""
    if gather.kind == "batch":
        return created_at + gather.window_us
    return min(at + gather.window_us, created_at + gather.max_wait_us)


def join(run: Run, command: Join, at: int) -> Decision:
    """Answer a trigger that joins: the window goes on, or the batch is full and goes into the queue.

    Raises `InvalidTransition` for a run that is not open.
    """
    gather, tally = run.spec.gather, run.tally
    if gather is None or not is_open(run, at):
        raise InvalidTransition("only a run whose window is open can be joined")
    tally = replace(tally, joined=tally.joined + 1, joined_bytes=tally.joined_bytes + command.described.bytes)
    until = due_at(gather, run.spec.created_at, at)
    moved = None if run.expires_at is None or run.due_at is None else run.expires_at + until - run.due_at
    joined = replace(run, tally=tally, due_at=until, expires_at=moved)
    size = tally.joined + 1
    data = e.Joined(
        gather.kind, size, until, command.described, command.key, command.trace_id, command.cause.request_id
    )
    told = draft("run.joined", data, f"trigger {size} joined", actor=command.cause.actor)
    if not is_full(gather, size, run.spec.payload.bytes + tally.joined_bytes):
        return Decision(joined, (told,))
    if joined.wait is not None:
        waits = await_others(joined, joined.wait, at)
        return Decision(waits.run, (told, *waits.events))
    full = replace(leave(joined, "queued", at), due_at=None)
    return Decision(full, (told, draft("run.queued", e.Queued("full"), "queued: the batch is full")))


def is_full(gather: Gather, size: int, bytes: int) -> bool:
    """Tell whether a batch takes no more."""
    return gather.kind == "batch" and (size >= gather.max_size or bytes >= BATCH_BYTES)


def context(spec: Spec) -> str:
    """Return what the payload of a run is sealed for: the run, or what its triggers have in common."""
    gathering = gathering_of(spec)
    return f"{spec.run_id}/payload" if gathering is None else f"{'/'.join(gathering)}/payload"


def frame(sealed: bytes) -> bytes:
    """Return an item of a batch as it is stored: what comes later is put behind it."""
    return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def frames(stored: bytes) -> Iterator[bytes]:
    """Yield the sealed items of a batch, in the order in which they came."""
    place = 0
    while place < len(stored):
        begin = place + _LENGTH_BYTES
        place = begin + int.from_bytes(stored[place:begin], "big")
        yield stored[begin:place]


def sealed_parts(spec: Spec, payload: bytes) -> Iterator[bytes]:
    """Yield each sealed part that a stored payload consists of."""
    if spec.gather is not None and spec.gather.kind == "batch":
        yield from frames(payload)
    else:
        yield payload
