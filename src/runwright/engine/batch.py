"""Work out what one transaction of the commit writes: decide, number and chain, admit, and compare before with after.

A `Batch` touches no database: it is given what was read under lock and ends in a `ChangeSet`. Business rules are not
here; they are in `domain`.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from runwright.domain import commands as c
from runwright.domain.chain import SALT_BYTES, Header, body, data_digest, link
from runwright.domain.errands import left_by
from runwright.domain.events import Draft, Event
from runwright.domain.gathering import gathering_of, gathers
from runwright.domain.limits import turn_and_rank
from runwright.domain.outcome import Completed, Parked, Said, said_by
from runwright.domain.rollups import TOPIC, moves
from runwright.domain.run import Run, timers
from runwright.domain.state import decide
from runwright.domain.touching import forgotten
from runwright.engine.attempt_record import record_of
from runwright.engine.values import INPUT, KEYS, STEP
from runwright.engine.watched import Watched
from runwright.store.base import Birth, ChangeSet, Held, Lease, Slots, StoredValue, Timer


class Terms(Struct, frozen=True):
    """The durations (µs) that the commit writes into leases, and whose steps it records."""

    lease_us: int
    grace_us: int
    watched: Watched = msgspec.field(default_factory=Watched)


class Reading(Struct):
    """What a batch needs to know of queues and limits, read under lock."""

    slots: dict[str, Slots] = {}
    held: dict[str, list[Held]] = {}
    floors: dict[str, float] = {}
    turns: dict[tuple[str, str], float] = {}


class Batch:
    """The decisions of one transaction, in order. The log of a run that is `asking` tells of its approvals."""

    def __init__(
        self, now: int, runs: dict[str, Run], terms: Terms, awaited: Container[str | None] = frozenset()
    ) -> None:
        self.now = now
        self.before: Mapping[str, Run] = dict(runs)
        self.after: dict[str, Run] = runs
        self.changes = ChangeSet()
        self.events: dict[str, list[Event]] = {}
        self.freed: set[str] = set()
        self._terms = terms
        self._awaited = awaited
        self.taken: set[str] = set()
        self._touched: dict[str, None] = {}
        self._births: dict[str, c.Submit] = {}
        self._results: dict[str, bytes | None] = {}
        self.said: dict[str, tuple[Said, ...]] = {}
        self.asking: dict[str, None] = {}

    def decide(self, command: c.Command) -> Run:
        """Answer one command; raises what `domain.state.decide` raises, and then nothing of it is written."""
        run_id = command.run_id
        old = self.after.get(run_id)
        decision = decide(old, command, self.now)
        new = decision.run
        if decision.events:
            # Records that came with an end belong to the attempt that ended, not to the state it led to.
            worker_id = new.worker_id or (old.worker_id if old is not None else None)
            new = self._append(new, decision.events, worker_id)
        if new is not old:
            self.after[run_id] = new
            self._touched[run_id] = None
            if new.wait is not (None if old is None else old.wait) and (_asks(old) or _asks(new)):
                self.asking[run_id] = None
        if old is not None and old.state == "executing" and new.state != "executing":
            self.changes.attempts.append(record_of(old, new))  # here, where nothing that follows can blur how it ended
        self._keep(command, new, changed=new is not old)
        untyped = forgotten(old, new)
        if untyped:
            self._remove(run_id, tuple((KEYS, input_id) for input_id in untyped))
        return new

    def _keep(self, command: c.Command, run: Run, *, changed: bool) -> None:
        match command:
            case c.Submit():
                self._bear(command)
            case c.Claim():
                pass
            case c.Append():
                if command.removed:
                    self._remove(run.run_id, command.removed)
                self._store(run.run_id, command.values)
            case c.Finish():
                self._store(run.run_id, command.values)
                if isinstance(command.outcome, Completed):
                    self._results[run.run_id] = command.outcome.sealed
                if run.spec.agent is not None and (run.terminal or isinstance(command.outcome, Parked)):
                    self.said[run.run_id] = said_by(command.outcome)
            case c.Join():
                self._join(command, run)
            case c.Reschedule(payload=payload) if payload is not None:
                self.changes.payloads.append((run.run_id, payload))
            case c.Proceed(outcome=Completed(sealed=sealed)) if changed:
                self._results[run.run_id] = sealed
            case c.Answer() | c.Vote():
                self._hear(command, run)
            case c.Touch(sealed=sealed) if sealed is not None:
                self._store(run.run_id, (c.Value(KEYS, command.input_id, sealed),))
            case c.Wake(delivery=given) if changed and given is not None:
                kept = StoredValue(run.run_id, STEP, given.name, given.sealed, None, None, self.now)
                self.changes.values.append(kept)

    def _hear(self, command: c.Answer | c.Vote, run: Run) -> None:
        given = command.delivery if isinstance(command, c.Answer) else None
        if given is not None:
            self.changes.values.append(StoredValue(run.run_id, INPUT, given.name, given.sealed, None, None, self.now))
        if command.idempotency is not None:
            self.changes.idempotency.append((command.idempotency, run.run_id))

    def _bear(self, command: c.Submit) -> None:
        run_id = command.run_id
        self._births[run_id] = command
        if command.idempotency is not None:
            self.changes.idempotency.append((command.idempotency, run_id))
        if command.dedup is not None:
            self.changes.idempotency.append((command.dedup, run_id))
        if command.spec.replay_of is not None:
            self.changes.replays.append((command.spec.replay_of, run_id))
        self._store(run_id, command.values)

    def _join(self, command: c.Join, run: Run) -> None:
        if command.idempotency is not None:
            self.changes.idempotency.append((command.idempotency, run.run_id))
        follows = run.spec.gather is not None and run.spec.gather.kind == "batch"
        before = self.changes.joined.get(run.run_id, (b"", follows))[0] if follows else b""
        self.changes.joined[run.run_id] = (before + command.payload, follows)

    def _store(self, run_id: str, values: tuple[c.Value, ...]) -> None:
        for v in values:
            self.changes.values.append(StoredValue(run_id, v.kind, v.key, v.sealed, v.artifact, v.note, self.now))

    def _remove(self, run_id: str, keys: tuple[tuple[str, str], ...]) -> None:
        # The store removes before it writes: what an earlier command of this transaction kept must not come after.
        gone = {(run_id, *key) for key in keys}
        self.changes.values = [v for v in self.changes.values if (v.run_id, v.kind, v.key) not in gone]
        self.changes.values_gone.extend(sorted(gone))

    def _append(self, run: Run, drafts: tuple[Draft, ...], worker_id: str | None) -> Run:
        # The hot loop of the engine: number, date, salt and chain.
        run_id, seq, digest, epoch = run.run_id, run.seq, run.hash, run.lease_epoch
        at = max(self.now, run.at)
        actor = f"worker:{worker_id}" if worker_id is not None else "system:engine"
        salts = os.urandom(SALT_BYTES * len(drafts))
        kept = self.events.setdefault(run_id, [])
        for number, draft in enumerate(drafts):
            seq += 1
            salt = salts[SALT_BYTES * number : SALT_BYTES * (number + 1)]
            who = draft.actor or actor
            covered = body(draft.level, epoch, draft.message, draft.data)
            header = Header(who, at, data_digest(salt, covered).hex(), run_id, seq, draft.type, {})
            digest = link(digest, header)
            event = Event(run_id, seq, draft.type, draft.level, who, draft.message, draft.data, salt, epoch, at, digest)
            kept.append(event)
        return replace(run, seq=seq, hash=digest, at=at)

    def entering(self, admitted: Iterable[str] = ()) -> list[Run]:
        """Return the runs that want into their queue now: those without a place in it, and the held ones named."""
        named = set(admitted)
        wanted = []
        for run_id in (*self._touched, *(run_id for run_id in named if run_id not in self._touched)):
            run = self.after.get(run_id)
            if run is None or run.state != "queued":
                continue
            if run.rank is None or (run_id in named and run.held_by is not None):
                wanted.append(run)
        return wanted

    def limits_touched(self, entering: list[Run]) -> set[str]:
        """Return the keys of every limit that this batch takes or frees."""
        moved = [run for run in map(self.after.__getitem__, self._touched) if self._owned(run) != run.owns_slots]
        return {limit.key for run in (*moved, *entering) for limit in run.spec.limits}

    def _owned(self, run: Run) -> bool:
        old = self.before.get(run.run_id)
        return old is not None and old.owns_slots

    def admit(self, entering: list[Run], reading: Reading) -> None:
        """Put the entering runs into their queue, or hold each under its first full limit; lowest rank goes first."""
        self._settle_slots(entering, reading)
        ranked = []
        for run in entering:
            if run.rank is None:
                place = (run.spec.queue_key, run.spec.project_id)
                turn, rank = turn_and_rank(
                    self._floor(run, reading),
                    reading.turns.get(place, 0.0),
                    run.spec.weight,
                    run.spec.priority,
                )
                reading.turns[place] = self.changes.turns[place] = turn
                run = replace(run, rank=rank)
            ranked.append(run)
        for run in sorted(ranked, key=lambda run: (run.rank or 0.0, run.run_id)):
            full = self._first_full(run, reading)
            if full is None:
                for limit in run.spec.limits:
                    reading.slots[limit.key].used += 1
            elif run.held_by is not None and run.held_by != full:
                self.freed.add(run.held_by)  # it did not take the slot that it was let in for: the next one may
            self.after[run.run_id] = replace(run, held_by=full)
            self._touched[run.run_id] = None

    def _floor(self, run: Run, reading: Reading) -> float:
        # Those who are held stand in line, too: without them priority would mean nothing while a limit is full.
        waiting = [reading.held[limit.key][0].rank for limit in run.spec.limits if reading.held.get(limit.key)]
        floor = reading.floors[run.spec.queue_key]
        return min(floor, *waiting) if waiting else floor

    def _settle_slots(self, entering: list[Run], reading: Reading) -> None:
        waiting = {run.run_id for run in entering}
        for run_id in (*self._touched, *waiting.difference(self._touched)):
            new = self.after[run_id]
            owned = self._owned(new)
            owns = new.owns_slots and run_id not in waiting
            if owned == owns and run_id not in waiting:
                continue
            for limit in new.spec.limits:
                slots = reading.slots.setdefault(limit.key, Slots(0, limit.max))
                if run_id in self._births:  # a new run knows the limit as it is; an older one, as it was
                    slots.max = limit.max
                slots.used += owns - owned
                self.changes.limits[limit.key] = slots
                if owned and not owns:
                    self.freed.add(limit.key)

    def _first_full(self, run: Run, reading: Reading) -> str | None:
        for limit in run.spec.limits:
            slots = reading.slots[limit.key]
            earlier = [h for h in reading.held.get(limit.key, ()) if h.run_id != run.run_id]
            overtakes = any((h.rank, h.run_id) < (run.rank, run.run_id) and self._still_held(h) for h in earlier)
            if slots.used >= slots.max or overtakes:
                return limit.key
        return None

    def _still_held(self, held: Held) -> bool:
        run = self.after.get(held.run_id)
        return run is None or run.held_by == held.limit_key

    def seal(self) -> ChangeSet:
        """Compare before with after and return everything that the transaction writes."""
        changed: list[tuple[Run | None, Run]] = []
        for run_id in self._touched:
            new, old = self.after[run_id], self.before.get(run_id)
            submitted = self._births.get(run_id)
            if submitted is not None:
                self.changes.births.append(Birth(new, submitted.opening, submitted.payload))
            elif old is not None and _row_differs(old, new):
                self.changes.moved.append((new, self._results.get(run_id)))
            if old is None or old.state != new.state:
                changed.append((old, new))
                for left in left_by(new, awaited=new.spec.job_id in self._awaited):
                    self.changes.inbox.append((run_id, left))
            self._seal_head(old, new)
            self._seal_place(old, new)
            self._seal_lease(old, new)
            self._seal_timers(old, new)
            if new.spec.gather is not None:
                self._seal_gathering(old, new)
            if new.wait is not None or (old is not None and old.wait is not None):
                self._seal_wait(old, new)
        steps = self._terms.watched.steps(self.after, self.events)
        if changed or steps:  # one row for the whole transaction: it tells of many runs, so of none by its id
            self.changes.outbox.append((TOPIC, "", moves(changed, steps)))
        for events in self.events.values():
            self.changes.events.extend(events)
        return self.changes

    def _seal_gathering(self, old: Run | None, new: Run) -> None:
        gathering = gathering_of(new.spec)
        if gathering is None:
            return
        if old is None and gathers(new):
            self.changes.gatherings.append((gathering, new.run_id))
        elif old is not None and gathers(old) and not gathers(new):
            self.changes.gatherings_gone.append((gathering, new.run_id))

    def _seal_head(self, old: Run | None, new: Run) -> None:
        if new.terminal:
            if old is not None:
                self.changes.heads_gone.append(new.run_id)
        elif old is None:
            self.changes.heads_new.append(new)
        else:
            self.changes.heads_moved.append(new)

    def _seal_place(self, old: Run | None, new: Run) -> None:
        was = None if new.run_id in self.taken else _place(old)  # a take has left its place empty already
        place = _place(new)
        if was == place:
            return
        if old is not None and was is not None:
            (self.changes.unready if old.held_by is None else self.changes.unheld).append(old)
        if place is not None:
            (self.changes.ready if new.held_by is None else self.changes.held).append(new)

    def _seal_lease(self, old: Run | None, new: Run) -> None:
        executed = old if old is not None and old.state == "executing" else None
        executes = new.state == "executing"
        if executed is not None and (not executes or new.lease_epoch != executed.lease_epoch):
            self.changes.leases_gone.append(new.run_id)
            executed = None
        elif executes and executed is not None and new.worker_id != executed.worker_id:
            self.changes.leases_gone.append(new.run_id)  # the endpoint takes it over, under the same epoch
            executed = None
        if executes and executed is None and new.worker_id is not None:
            fence_at = self.now + self._terms.grace_us if new.stop is not None else None
            until = lease_until(new, self.now, self._terms.lease_us)
            self.changes.leases.append(Lease(new.run_id, new.lease_epoch, new.worker_id, until, fence_at))
        elif executes and executed is not None and new.stop != executed.stop:
            self.changes.fences.append((new.run_id, self.now + self._terms.grace_us))

    def _seal_wait(self, old: Run | None, new: Run) -> None:
        was, waits = _awaited(old), _awaited(new)
        if was != waits:
            project_id = new.spec.project_id
            if was is not None:
                self.changes.signal_waits_gone.append((project_id, was, new.run_id))
            if waits is not None:
                self.changes.signal_waits.append((project_id, waits, new.run_id))

    def _seal_timers(self, old: Run | None, new: Run) -> None:
        had = timers(old) if old is not None else {}
        wants = timers(new)
        if had != wants:
            self.changes.timers.extend(Timer(new.run_id, name, at) for name, at in wants.items() if had.get(name) != at)
            self.changes.timers_gone.extend((new.run_id, name) for name in had if name not in wants)


def lease_until(run: Run, now: int, lease_us: int) -> int:
    """Return until when an executing run is its holder's without a sign of life.

    An endpoint has its own heartbeat, and nobody else ends its attempt when that has taken too long: its lease does.
    """
    if not run.entrusted or run.spec.heartbeat_ms is None:
        return now + lease_us
    until = now + run.spec.heartbeat_ms * 1000
    return until if run.deadline_at is None else min(until, max(run.deadline_at, now))


def _asks(run: Run | None) -> bool:
    """Tell whether a run waits for people to approve something."""
    return run is not None and run.wait is not None and run.wait.approval is not None


def _awaited(run: Run | None) -> str | None:
    """Return the key of the event that a run waits for."""
    return run.wait.key if run is not None and run.wait is not None and run.wait.on == "event" else None


def _place(run: Run | None) -> tuple[str | None, float | None] | None:
    if run is None or run.state != "queued" or run.rank is None:
        return None
    return (run.held_by, run.rank)


_HEAD_ONLY = frozenset({"seq", "hash", "at", "rank", "held_by"})
_ROW_FIELDS = tuple(field for field in Run.__struct_fields__ if field not in _HEAD_ONLY and field != "spec")


def _row_differs(old: Run, new: Run) -> bool:
    """Tell whether `runs` must be written: an append moves the head alone."""
    if old.state == new.state and old.since_at == new.since_at:
        return any(getattr(old, field) != getattr(new, field) for field in _ROW_FIELDS)
    return True
