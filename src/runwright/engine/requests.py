"""What the commit is asked for, and what it answers and tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from runwright.domain import commands as c
from runwright.domain.batch_operations import BatchOperation, BatchResult
from runwright.domain.events import Draft, Event
from runwright.domain.outcome import Completed, Failed, Parked, Said
from runwright.domain.ports import LocalWorker
from runwright.domain.run import Run
from runwright.domain.schedule import Overlap, Schedule
from runwright.domain.signal import Signal
from runwright.domain.tenancy import Cause
from runwright.domain.thread import OnBusy


class Take(msgspec.Struct, frozen=True):
    """Claim up to `count` ready runs of these lanes for a worker, lowest rank first."""

    lanes: tuple[str, ...]
    count: int
    worker_id: str


class Admit(msgspec.Struct, frozen=True):
    """Move held runs on, now that these limits may have free slots: `most` of each, as far as anybody knows."""

    limit_keys: tuple[str, ...]
    most: int


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """Make the runs of a schedule's fires and set the next one, if the schedule still stands as it was `seen`.

    `submits` are in the order of `fired_at`, the instants that they are for. Nothing is made by a fire whose schedule
    another transaction holds, or has moved on: somebody else saw to it, or the job was changed.
    """

    seen: Schedule
    next_fire_at: int | None
    submits: tuple[c.Submit, ...] = ()
    fired_at: tuple[int, ...] = ()
    overlap: Overlap = "allow"


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """Lead a workflow's run on, if it still stands at `after` (`Run.place`): make the runs of steps, say in its log
    what became of which (`drafts`), let `followers` follow its pause, or the end of that, and end it.
    """

    run_id: str
    after: tuple[int, int]
    cause: Cause
    submits: tuple[c.Submit, ...] = ()
    drafts: tuple[Draft, ...] = ()
    followers: tuple[str, ...] = ()
    outcome: Completed | Failed | None = None


class Tell(msgspec.Struct, frozen=True):
    """Write what became of the requests before it in its group, in their own transaction: how a bulk verb went.

    `results` reads their answers, and the runs as they stand after them; without `finished` more of the operation is
    still to come.
    """

    operation: BatchOperation
    results: Callable[[Sequence[Any], Mapping[str, Run]], list[BatchResult]]
    finished: bool = True


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Wake the runs that wait for a signal, make the runs that it starts, and keep it where nobody waits for it."""

    signal: Signal
    cause: Cause
    submits: tuple[c.Submit, ...] = ()
    idempotency: c.IdempotencyKey | None = None


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """Make a run at the word of another's code: with what its log says of that, or with the wait that ends its attempt.

    Where the idempotency key finds the run that was made before, that one is waited for, and nothing is said again.
    """

    submit: c.Submit
    by: c.Append | c.Finish

    @property
    def run_id(self) -> str:
        """Return the id of the run whose code it is."""
        return self.by.run_id


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Make a run of a thread when it is its turn there, with the `message` that is said first.

    With `takes_back`, what the assistant said last is taken back before. At most `line_max` stand in its line.
    """

    submit: c.Submit
    on_busy: OnBusy = "reject"
    message: Said | None = None
    takes_back: bool = False
    line_max: int = 100

    @property
    def thread_id(self) -> str:
        """Return the id of the thread."""
        assert self.submit.spec.agent is not None
        return self.submit.spec.agent.thread_id


Request = c.Command | Spawn | Advance | Take | Admit | Fire | Tell | Send | Begin

OfMany = Take | Admit | Fire | Tell | Send | Begin
"""What names no run, but finds those that it is about."""

Recurring = c.Due | c.Expire | c.Lose | c.Fence
"""What loops ask for, of every process at once: one finds the run free and its hour come, the others pass it over."""

RECURRING: tuple[type, ...] = get_args(Recurring)
SLOTLESS = frozenset({c.Submit, c.Append, c.Debug, c.Touch, *get_args(OfMany)})
"""What changes no slot of a run that is there already; appends are what there is most of."""

UNLOCKED = frozenset({c.Submit, *get_args(OfMany), *RECURRING})
"""What locks no run by its name and waits for it: there is none yet, or whoever has it goes first."""


def by_kind(requests: Iterable[Request]) -> defaultdict[type, list[Any]]:
    """Return requests by their class: each is looked at once, however many kinds there are to look for."""
    kinds: defaultdict[type, list[Any]] = defaultdict(list)
    for request in requests:
        kinds[type(request)].append(request)
    return kinds


def child_of(finish: c.Finish) -> str | None:
    """Return the child whose end a run is to wait for, if it is."""
    outcome = finish.outcome
    return outcome.wait.key if isinstance(outcome, Parked) and outcome.wait.on == "child" else None


class Submitted(msgspec.Struct, frozen=True):
    """The answer to a submit: the run, whether an idempotency key found it, and whether the trigger joined it."""

    run_id: str
    run: Run | None
    hit: bool = False
    joined: bool = False


class Fired(msgspec.Struct, frozen=True):
    """The answer to a fire that moved its schedule on: the runs it made, and what their overlap policy did.

    `skipped` counts the fires that made no run, `cancelled` names the run that was asked to stop for the new one.
    """

    runs: tuple[Run, ...] = ()
    skipped: int = 0
    cancelled: str | None = None


class Spawned(msgspec.Struct, frozen=True):
    """The answer to a spawn: the run that was made or found, and how the run whose code made it now stands."""

    made: Submitted
    by: Run


class Sent(msgspec.Struct, frozen=True):
    """The answer to a send: the runs that it woke and made, whether it is kept, and whether `more` runs wait for it.

    `hit` tells that an idempotency key found the answer of an earlier send.
    """

    signal_id: str
    woken: tuple[str, ...] = ()
    triggered: tuple[str, ...] = ()
    kept: bool = False
    more: bool = False
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
