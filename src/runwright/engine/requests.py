"""What the commit is asked for, and what it answers and tells."""

from __future__ import annotations

import msgspec

from runwright.domain import commands as c
from runwright.domain.events import Event
from runwright.domain.ports import LocalWorker
from runwright.domain.run import Run


class Take(msgspec.Struct, frozen=True):
    """Claim up to `count` ready runs of these lanes for a worker, lowest rank first."""

    lanes: tuple[str, ...]
    count: int
    worker_id: str


class Admit(msgspec.Struct, frozen=True):
    """Move held runs on, now that these limits may have free slots."""

    limit_keys: tuple[str, ...]


Request = c.Command | Take | Admit

Recurring = c.Due | c.Expire | c.Lose | c.Fence
"""What loops ask for, of every process at once: one finds the run free and its hour come, the others pass it over."""


class Submitted(msgspec.Struct, frozen=True):
    """The answer to a submit: the run, and whether an idempotency key found it instead of making it."""

    run_id: str
    run: Run | None
    hit: bool = False


class Committed(msgspec.Struct):
    """What one durable transaction did, for those who follow the log: hub, worker, loops."""

    runs: dict[str, Run]
    events: dict[str, list[Event]]
    ready: dict[str, float] = {}
    """The lanes in which runs became ready, with the smallest rank that came in."""
    earliest_timer: int | None = None
    inbox: bool = False
    stops: list[Run] = []


class Reserved(msgspec.Struct):
    """Slots that a worker of this process keeps free for new runs of one lane."""

    worker: LocalWorker
    count: int
    taken: int = 0


class Fused(msgspec.Struct):
    """A run that was claimed in the transaction that made it."""

    worker: LocalWorker
    command: c.Submit
