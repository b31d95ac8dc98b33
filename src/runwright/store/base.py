"""The contract of a store, on one page. A backend that passes `tests/store` may stand behind the engine.

A store runs on the event loop. `write` gives one transaction: its reads lock what they return, all its writes commit
together or not at all, and it returns only when they are durable. Everything else reads the last committed state.
Whatever breaks underneath is raised as a `StoreError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from runwright.domain.batch_operations import BatchOperation
from runwright.domain.commands import IdempotencyKey
from runwright.domain.events import Event
from runwright.domain.gathering import Gathering
from runwright.domain.run import Run, Spec
from runwright.domain.schedule import Schedule
from runwright.domain.signal import Signal
from runwright.store.query import Query

T = TypeVar("T")
Row = tuple[Any, ...]


class Lease(msgspec.Struct, frozen=True):
    """A worker's hold on an executing run. After `until` it is lost; at `fence_at` a stop request ends it."""

    run_id: str
    lease_epoch: int
    worker_id: str
    until: int
    fence_at: int | None = None


class Attempt(msgspec.Struct, frozen=True):
    """The record of one lease of a run, written when it ended."""

    run_id: str
    lease_epoch: int
    attempt: int
    executor: str
    worker_id: str
    started_at: int
    ended_at: int
    outcome: str
    error_class: str | None
    error: str | None
    queue_wait_us: int
    trace: bytes | None = None


class StoredValue(msgspec.Struct, frozen=True):
    """A working value of a run: sealed bytes, or the digest of the artifact that holds them."""

    run_id: str
    kind: str
    key: str
    sealed: bytes | None
    artifact: str | None
    note: bytes | None
    created_at: int


class Timer(msgspec.Struct, frozen=True):
    """An instant at which a run wants a command: `due` or `expire`."""

    run_id: str
    name: str
    at: int


class Slots(msgspec.Struct):
    """How much of a concurrency limit is used, of how much."""

    used: int
    max: int


class Held(msgspec.Struct, frozen=True):
    """A due run that waits for a slot of `limit_key`, its first full limit."""

    limit_key: str
    rank: float
    run_id: str


class Place(NamedTuple):
    """Where a queue begins: its smallest ready rank, or when it is empty the latest turn taken in it; and the
    project's last turn, 0 if it had none.
    """  # fmt: skip

    floor: float
    turn: float


class InboxEntry(msgspec.Struct, frozen=True):
    """A durable command for another run, written by the transaction that caused it."""

    entry: int
    run_id: str
    command: bytes


class OutboxEntry(msgspec.Struct, frozen=True):
    """A fact for a consumer across runs, written by the transaction that made it true."""

    entry: int
    topic: str
    run_id: str
    data: bytes


class Birth(msgspec.Struct, frozen=True):
    """A new run: where it stands, the exact bytes of its spec, and its sealed payload."""

    run: Run
    opening: bytes
    payload: bytes | None


class Record(msgspec.Struct, frozen=True):
    """A run as readers see it: the run, its sealed values, and what happened to it after its end."""

    run: Run
    payload: bytes | None
    result: bytes | None
    dead_letter_left_at: int | None
    replayed_as: str | None
    lease: Lease | None = None
    erased_at: int | None = None
    pruned_at: int | None = None

    @property
    def has_data(self) -> bool:
        """Tell whether the values and texts of the run are still there: neither erased nor taken by retention."""
        return self.erased_at is None and self.pruned_at is None


class Ended(msgspec.Struct, frozen=True):
    """An ended run as retention finds it. `genesis` is None while the digest of the opening is the genesis."""

    run_id: str
    org_id: str
    state: str
    finished_at: int
    seq: int
    hash: bytes
    genesis: bytes | None
    opening: bytes
    pruned_at: int | None


class ChangeSet(msgspec.Struct):
    """Everything that one transaction of the commit writes. Only `engine/commit.py` makes one."""

    births: list[Birth] = []
    moved: list[tuple[Run, bytes | None]] = []
    heads_new: list[Run] = []
    heads_moved: list[Run] = []
    heads_gone: list[str] = []
    ready: list[Run] = []
    unready: list[Run] = []
    held: list[Run] = []
    unheld: list[Run] = []
    limits: dict[str, Slots] = {}
    turns: dict[tuple[str, str], float] = {}
    leases: list[Lease] = []
    leases_gone: list[str] = []
    fences: list[tuple[str, int]] = []
    timers: list[Timer] = []
    timers_gone: list[tuple[str, str]] = []
    attempts: list[Attempt] = []
    events: list[Event] = []
    values: list[StoredValue] = []
    values_gone: list[tuple[str, str, str]] = []
    idempotency: list[tuple[IdempotencyKey, str]] = []
    replays: list[tuple[str, str]] = []
    inbox: list[tuple[str, bytes]] = []
    outbox: list[tuple[str, str, bytes]] = []
    schedules: list[Schedule] = []
    payloads: list[tuple[str, bytes]] = []
    batches: list[BatchOperation] = []
    joined: dict[str, tuple[bytes, bool]] = {}
    """Run → the payload that its last triggers brought, and whether it follows the others."""
    gatherings: list[tuple[Gathering, str]] = []
    gatherings_gone: list[tuple[Gathering, str]] = []
    signal_waits: list[tuple[str, str, str]] = []
    signal_waits_gone: list[tuple[str, str, str]] = []
    kept_signals: list[Signal] = []
    kept_signals_gone: list[str] = []


class Transaction(Protocol):
    """One transaction. `now` is the store's time (µs), read once.

    Others run beside it, in this process or another. Locks are taken in one order, whoever asks: idempotency keys,
    names to `meet` under, gatherings, limits, budgets, runs, each sorted by key. Who locks a run has all its rows in
    `run_heads`, `ready`, `held`, `timers` and `signal_waits`, and nobody else writes its log. What comes after the runs
    (`schedules`, `take`, `leases`) passes over what others hold, and so never waits.
    """

    now: int

    async def alone(self, duty: str) -> bool:
        """Tell whether no other transaction is at this duty; until this one ends, none will be."""

    async def idempotency(self, keys: Sequence[IdempotencyKey], since: int) -> dict[tuple[str, str], tuple[str, str]]:
        """Return (scope, key) → (fingerprint, target) of the keys taken after `since`, and within the time that each
        has of its own; all are locked, taken or not.
        """  # fmt: skip

    async def gatherings(self, keys: Sequence[Gathering]) -> dict[Gathering, str]:
        """Return the runs in which these triggers gather; all are locked, also those that have none."""

    async def meet(self, names: Sequence[str]) -> None:
        """Lock names, whatever they stand for: of two transactions that meet under one, the later sees the other's."""

    async def specs(self, run_ids: Sequence[str]) -> dict[str, Spec]:
        """Return the specs of the runs that exist. They never change, so nothing is locked."""

    async def limits(self, keys: Sequence[str]) -> dict[str, Slots]:
        """Return the limits that exist; locked, also those that do not: nobody uses or waits for them."""

    async def runs(self, run_ids: Sequence[str], known: Mapping[str, Run], *, wait: bool = True) -> dict[str, Run]:
        """Return the runs that exist, locked. A `known` run that nobody moved since may be returned as it is.

        Without `wait`, those that another transaction holds are left out.
        """

    async def dead_letters(self, run_ids: Sequence[str]) -> set[str]:
        """Return those of the runs that are in the dead letter queue; locked: nobody else takes them off it."""

    async def leases(self, run_ids: Sequence[str]) -> dict[str, Lease]:
        """Return the leases of those runs that execute, locked against renewal; without those being renewed."""

    async def schedules(self, job_ids: Sequence[str]) -> dict[str, Schedule]:
        """Return the schedules of those jobs, locked; without those that another transaction holds."""

    async def take(self, lanes: Sequence[str], count: int) -> list[str]:
        """Remove and return up to `count` ready runs of these lanes, lowest rank first; locked ones stay for others."""

    async def open(self, lanes: Sequence[str]) -> dict[str, bool]:
        """Return those of the lanes whose queue is not paused, with whether a ready run waits in them."""

    async def held(self, limit_keys: Sequence[str], count: int) -> dict[str, list[Held]]:
        """Return the first `count` runs held by each limit, lowest rank first; nothing for one that holds none."""

    async def places(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Place]:
        """Return for each (key of the queue, project) where a run of it would stand."""

    async def apply(self, changes: ChangeSet) -> None:
        """Write a change set."""

    async def renew(self, worker_id: str, leases: Sequence[tuple[str, int, int]]) -> list[str]:
        """Extend a worker's leases (run, epoch, until); return the runs whose lease is no longer that worker's."""

    async def deliver(self, entries: Sequence[int]) -> None:
        """Remove inbox entries whose commands were applied."""

    async def settle(self, entries: Sequence[int]) -> None:
        """Remove outbox entries that their consumer has dealt with."""

    async def ended(self, run_ids: Sequence[str]) -> list[Ended]:
        """Return those of the runs that have ended, by id; locked, without those that another transaction holds."""

    async def thin(self, ways: Mapping[str, bytes]) -> list[str]:
        """Delete all records of ended runs and keep their rows, each with its way to the root that the audit log has.

        Returns the artifacts that were named there.
        """

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Delete runs that were thinned before."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a query inside the transaction and return its rows; a statement without rows returns none."""


class Lending(Protocol):
    """Connections that a store lends to its callers: how many at most, how many now, and who waits for one."""

    size: int
    in_use: int
    waiting: int


class Readings(Protocol):
    """What is read of the last committed state: of everybody, or `within` one organization."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""

    async def record(self, run_id: str) -> Record | None:
        """Return one run for a reader."""

    async def records_of(self, run_ids: Sequence[str]) -> list[Record]:
        """Return those of the runs that exist, in any order."""

    async def events(self, run_id: str, after_seq: int, limit: int, most_bytes: int | None = None) -> list[Event]:
        """Return up to `limit` events of a run with a larger seq, in order; with `most_bytes`, no more of them than it
        takes to hold so many bytes of data, one at least.
        """

    async def events_after(self, seqs: Mapping[str, int], limit: int) -> dict[str, list[Event]]:
        """Return run → up to `limit` of its events with a larger seq than the one given, in order; nothing for none."""

    async def values(self, run_id: str, kind: str) -> list[StoredValue]:
        """Return the values of one kind, by key."""

    async def payloads(self, run_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return the sealed payloads of runs."""

    async def attempts(self, run_id: str) -> list[Attempt]:
        """Return the ended attempts of a run, oldest first."""


class Store(Readings, Protocol):
    """A database that keeps runs."""

    @property
    def pools(self) -> Mapping[str, Lending]:
        """Return what the store lends connections from, by what they are for; nothing where nobody ever waits."""

    async def open(self) -> None:
        """Open, lock and migrate. Raises `StoreLocked`, `StoreReadOnly` or `SchemaMismatch`, each saying what to do."""

    async def close(self) -> None:
        """Finish the write under way and let go of everything. May be called twice."""

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction and return its result once it is durable; an exception rolls all back."""

    def within(self, org_id: str) -> Readings:
        """Return the readings of whoever belongs to an organization.

        With row-level security PostgreSQL itself keeps all other organizations' rows from them.
        """

    async def due(self, at: int, limit: int) -> list[Timer]:
        """Return the timers that have come due by `at`, oldest first."""

    async def next_timer(self) -> int | None:
        """Return the instant of the earliest timer."""

    async def lapsed(self, at: int, limit: int) -> list[Lease]:
        """Return leases whose stop request's grace is over by `at`, then those that ran out, longest ago first."""

    async def starved(self, limit: int) -> list[str]:
        """Return limits that have a free slot and held runs: the net under the admission."""

    async def lanes(self, prefix: str = "") -> list[str]:
        """Return the lanes that hold ready runs and whose keys begin so.

        A run that another process put before others without a word may be missing for a few seconds, in all three.
        """

    async def claimable(self, prefix: str = "") -> list[str]:
        """Return the same for a claim: one that another process filled may be missing for a few seconds."""

    async def depths(self, prefix: str = "") -> dict[str, int]:
        """Return the lanes that hold ready runs, with how many (counted up to 1 000)."""

    def lower(self, ranks: Mapping[str, float]) -> None:
        """Hear that another process put runs into these lanes, none before the rank given: claims begin there again."""

    async def leases_of(self, worker_id: str) -> list[Lease]:
        """Return the leases that a worker holds."""

    async def inbox(self, limit: int, after: int = 0) -> list[InboxEntry]:
        """Return the oldest entries of the inbox, behind the entry `after`."""

    async def outbox(self, topic: str, limit: int) -> list[OutboxEntry]:
        """Return the oldest entries of a topic."""
