"""Attempts that run elsewhere: in workers that speak REST, and at endpoints that accepted a run.

What they write goes the way of every attempt's records: redacted, sealed, fenced by the lease's epoch. The last number
that an attempt gave one of its appends is stored with what that append wrote, so that one which is sent twice, because
its answer was lost on the way, is written once.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from runwright.clock import Clock
from runwright.domain import outcome as o
from runwright.domain.commands import Submit, Value
from runwright.domain.events import Draft
from runwright.domain.hints import Asked
from runwright.domain.lane import Lane, queue_key
from runwright.domain.run import ENDPOINT, Run
from runwright.domain.workforce import Introduction
from runwright.engine.attempt import Attempt, AttemptLost
from runwright.engine.batch import lease_until
from runwright.engine.captures import Way
from runwright.engine.carrying import HELD_BACK
from runwright.engine.commit import Commit
from runwright.engine.emitter import Emitter, Packed
from runwright.engine.known_attempts import KnownAttempts, stand
from runwright.engine.packing import Saving
from runwright.engine.reach import Reach
from runwright.engine.requests import Committed, Take
from runwright.engine.schema import JobSchemas
from runwright.engine.stops import Stopping, Stops
from runwright.engine.values import Values
from runwright.errors import Error, NotFound, Overtaken, RunEnded, StaleLease
from runwright.store.base import Store, Transaction
from runwright.telemetry import report

RECEIPT = "receipt"
LOOK_AGAIN_S = 5.0
RENEW_AFTER = 0.25
"""The part of a heartbeat's time after which a call of an endpoint renews its lease."""


class Claimed(NamedTuple):
    """What a claim brings: attempts to execute, and requests to stop others."""

    attempts: list[Attempt]
    stops: list[Stopping]


class _Waiting:
    """A claim that waits for work."""

    def __init__(self, worker: Introduction) -> None:
        self.worker = worker
        self.news = asyncio.Event()


class Fleet:
    """Hands runs to workers elsewhere, and takes what they and endpoints write about them.

    They may talk to another process each time. So an attempt is known here for `believed_s`, then it is looked up.
    """

    def __init__(
        self,
        store: Store,
        commit: Commit,
        emitter: Emitter,
        values: Values,
        schemas: JobSchemas,
        clock: Clock,
        reach: Reach,
        *,
        lease_s: float,
        attempts_max: int,
        believed_s: float = math.inf,
    ) -> None:
        self._store = store
        self._commit = commit
        self._emitter = emitter
        self._values = values
        self._schemas = schemas
        self._reach = reach
        self._clock = clock
        self._lease_s = lease_s
        self._lease_us = int(lease_s * 1e6)
        self._known = KnownAttempts(clock, attempts_max, believed_s)
        self._waiting: dict[str, _Waiting] = {}
        self.stops = Stops()
        self._closed = False

    # --- what the commit tells ----------------------------------------------------------------------------------------

    def committed(self, done: Committed) -> None:
        """Hear which runs moved, which became ready, and which were asked to stop."""
        self._known.committed(done)
        self.stops.settle(done)
        for run in done.stops:
            if run.worker_id is not None and run.stop is not None:
                self.asked(Asked(run.run_id, run.lease_epoch, run.worker_id, run.stop))
        if self._waiting and done.ready:
            self.wake(done.ready)

    def asked(self, asked: Asked) -> None:
        """Hear that a run was asked to stop, here or by way of another process; its worker hears of it once."""
        if self.stops.add(asked):
            self.nudge(asked.worker_id)
        self._known.asked(asked.run_id, asked.kind)

    def moved(self, run_ids: Iterable[str]) -> None:
        """Hear that another process moved runs: what is known of them here is looked up before it is used again."""
        self._known.doubt(run_ids)

    def wake(self, lanes: Iterable[str]) -> None:
        """Hear that runs of these lanes may be taken."""
        for lane in map(Lane.parse, lanes):
            for waiting in self._waiting.values():
                if waiting.worker.serves(lane):
                    waiting.news.set()

    def nudge(self, worker_id: str) -> None:
        """Let a worker's waiting claim answer now: there is something to tell."""
        waiting = self._waiting.get(worker_id)
        if waiting is not None:
            waiting.news.set()

    def close(self) -> None:
        """Let every waiting claim answer now, and none wait any more: the server drains."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.news.set()

    # --- workers ------------------------------------------------------------------------------------------------------

    async def claim(
        self, worker: Introduction, count: int, wait_s: float, *, stay: Callable[[], bool], gone: asyncio.Event
    ) -> Claimed:
        """Return up to `count` attempts for a worker, or stop requests; wait up to `wait_s` for either.

        A claim of a worker replaces the one that still waits. `stay` is asked before each look: a caller that is gone
        (`gone` is set as it goes), or that is to drain, takes nothing.
        """
        replaced = self._waiting.get(worker.worker_id)
        if replaced is not None:
            replaced.news.set()
        waiting = self._waiting[worker.worker_id] = _Waiting(worker)
        until = self._clock.monotonic() + wait_s
        try:
            while True:
                waiting.news.clear()
                mine = self._waiting.get(worker.worker_id) is waiting and not gone.is_set() and not self._closed
                attempts = await self._take(worker, count) if mine and count and stay() else []
                stops = self.stops.take(worker.worker_id) if mine else []
                left = until - self._clock.monotonic()
                if attempts or stops or left <= 0 or not mine or not stay():
                    return Claimed(attempts, stops)
                await self._first(waiting.news, gone, min(left, LOOK_AGAIN_S))
        finally:
            if self._waiting.get(worker.worker_id) is waiting:
                del self._waiting[worker.worker_id]

    async def _first(self, one: asyncio.Event, other: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.create_task(self._clock.wait(event, seconds)) for event in (one, other)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _take(self, worker: Introduction, count: int) -> list[Attempt]:
        prefixes = [queue_key(worker.org_id, queue) for queue in worker.queues] or [f"{worker.org_id}/"]
        lanes = [lane for prefix in prefixes for lane in await self._store.claimable(prefix)]
        mine = tuple(lane for lane in lanes if worker.serves(Lane.parse(lane)))
        if not mine:
            return []
        runs: list[Run] = await self._commit.apply(Take(mine, count, worker.worker_id))
        return await self._opened(runs, received=0)

    async def again(self, worker_id: str, running: Iterable[str]) -> list[Attempt]:
        """Return the attempts that a worker was given and does not know of: the answer to its claim was lost.

        Their leases begin anew.
        """
        known = set(running)
        lost = [lease for lease in await self._store.leases_of(worker_id) if lease.run_id not in known]
        records = [await self._store.record(lease.run_id) for lease in lost]
        runs = [r.run for r in records if r is not None and r.run.state == "executing" and r.run.worker_id == worker_id]
        gone = await self._renew(worker_id, {run.run_id: run for run in runs})  # it counts the lease from this answer
        return await self._opened([run for run in runs if run.run_id not in gone], received=None)

    async def _opened(self, runs: Sequence[Run], *, received: int | None) -> list[Attempt]:
        payloads = await self._store.payloads([run.run_id for run in runs]) if runs else {}
        await self._values.ensure(run.spec.project_id for run in runs)
        return [self._open(run, payloads.get(run.run_id), received=received) for run in runs]

    async def beat(self, worker_id: str, leases: Sequence[tuple[str, int]]) -> tuple[list[str], list[Stopping]]:
        """Extend a worker's leases (run, epoch); return those that are lost, and the runs that it must stop."""
        runs: dict[str, Run] = {}
        for run_id, epoch in leases:
            try:
                runs[run_id] = (await self.attempt(run_id, epoch)).run
            except Error:
                continue
        lost = await self._renew(worker_id, runs)
        for run_id in lost:
            report("worker.lease_lost", run_id=run_id, worker_id=worker_id)
        self.stops.take(worker_id)  # the answer tells them all
        stops = [
            Stopping(run_id, run.lease_epoch, run.stop)
            for run_id, run in runs.items()
            if run.stop is not None and run_id not in lost
        ]
        return [run_id for run_id, _ in leases if run_id not in runs or run_id in lost], stops

    async def _renew(self, worker_id: str, runs: Mapping[str, Run]) -> set[str]:
        """Extend the leases of these runs; return those that are another's by now."""
        # Its own time-out comes first, and tells more; a worker that has none is ended when its lease is.
        late_us = self._lease_us

        async def renew(tx: Transaction) -> list[str]:
            until = tx.now + self._lease_us
            wanted = [
                (run_id, run.lease_epoch, until if run.deadline_at is None else min(until, run.deadline_at + late_us))
                for run_id, run in runs.items()
            ]
            return await tx.renew(worker_id, wanted)

        return set(await self._store.write(renew)) if runs else set()

    # --- one attempt --------------------------------------------------------------------------------------------------

    async def attempt(self, run_id: str, lease_epoch: int | None, worker_id: str | None = None) -> Attempt:
        """Return the attempt of a lease; without an epoch, of whatever lease the run has.

        Raises `NotFound`, `RunEnded` for a run that has ended, and `StaleLease` for a lease that is over or another's.
        """
        known = self._known.find(run_id, lease_epoch)
        if known is not None:
            await self._values.ensure([known.run.spec.project_id])
        else:
            record = await self._store.record(run_id)
            if record is None:
                raise NotFound("run", run_id)
            if record.run.terminal:
                raise RunEnded(f"the run has ended: it is {record.run.state}", data={"state": record.run.state})
            if record.run.state != "executing" or lease_epoch not in (None, record.run.lease_epoch):
                raise StaleLease(f"the lease of run {run_id} has moved on; stop working on it")
            await self._values.ensure([record.run.spec.project_id])
            known = self._known.brought_up(record.run) or self._open(record.run, record.payload, received=None)
        if worker_id is not None and known.run.worker_id != worker_id:
            raise StaleLease(f"the lease of run {run_id} is another worker's; stop working on it")
        return known

    def _open(self, run: Run, payload: bytes | None, *, received: int | None) -> Attempt:
        tools = (self._commit, self._store, self._emitter, self._values, self._schemas, self._clock, self._reach)
        attempt = Attempt(run, payload, *tools)
        attempt.received = received
        return self._known.add(attempt)

    async def append(self, attempt: Attempt, savings: Sequence[Saving], number: int | None = None) -> None:
        """Append what an attempt wrote, durable when it returns; with a number, once, however often it is sent.

        Raises `StaleLease`, and `InvalidRequest` for what no job may write.
        """
        async with attempt.turn:
            await self.write(attempt, savings, number)

    async def write(self, attempt: Attempt, savings: Sequence[Saving], number: int | None = None) -> Run:
        """Append as `append` does, for who has the attempt's turn; return the run as its last record left it."""
        while True:
            if await self._recalled(attempt) >= (math.inf if number is None else number):
                return attempt.run
            try:
                packed = await self._packed(attempt, savings, number)
                run = await attempt.append(packed._replace(after=attempt.place))
            except Overtaken:
                await self._catch_up(attempt)
                continue
            except AttemptLost as lost:
                self._known.forget(attempt.run.run_id)
                raise _cause(lost) from None
            attempt.received = number if number is not None else attempt.received
            attempt.wrote(run)
            return run

    async def _packed(self, attempt: Attempt, savings: Sequence[Saving], number: int | None) -> Packed:
        packed = await attempt.pack(savings)
        held_back = attempt.carried.left(attempt.run)
        if held_back is not None:
            packed.values.append(held_back)
        if number is not None:
            epoch = str(attempt.run.lease_epoch)
            packed.values.append(Value(RECEIPT, epoch, None, None, str(number).encode()))
        return packed

    async def _catch_up(self, attempt: Attempt) -> None:
        """Take an attempt to where another process left it. Raises `StaleLease` when its lease is over."""
        record = await self._store.record(attempt.run.run_id)
        run = None if record is None else record.run
        if run is None or run.state != "executing" or run.lease_epoch != attempt.run.lease_epoch:
            self._known.forget(attempt.run.run_id)
            raise StaleLease(f"the lease of run {attempt.run.run_id} has moved on; stop working on it")
        attempt.take_note(run)
        stand(attempt, run)

    async def _recalled(self, attempt: Attempt) -> int:
        """Return the number of the last append; an attempt that another process began goes on as that one left it."""
        if attempt.received is None:
            epoch, found = str(attempt.run.lease_epoch), {}
            for kind in (RECEIPT, HELD_BACK):
                kept = await self._store.values(attempt.run.run_id, kind)
                found[kind] = next((value for value in kept if value.key == epoch), None)
            held_back, receipt = found[HELD_BACK], found[RECEIPT]
            await attempt.carried.take_up(attempt.run, None if held_back is None else held_back.sealed)
            attempt.received = int(receipt.note) if receipt is not None and receipt.note is not None else 0
        return attempt.received

    async def capture(self, attempt: Attempt, way: Way, head: Mapping[str, Any], body: bytes) -> None:
        """Record what is handed over or comes back, durable when it returns, if the attempt began in debug mode.

        Raises `StaleLease`.
        """
        if not attempt.debug:
            return
        async with attempt.turn:
            attempt.capture(way, head, body)
            await self.write(attempt, [])

    async def annotate(self, attempt: Attempt, annotations: dict[str, str]) -> Run:
        """Add to the run's metadata. Raises `StaleLease`, and `InvalidRequest` for too many or too long ones."""
        await self.append(attempt, [Saving((), annotations=annotations)])
        return attempt.run

    async def finish(self, attempt: Attempt, outcome: o.Outcome, child: tuple[Submit, Draft] | None = None) -> Any:
        """End an attempt with its outcome, or with a wait for the `child` that is made in the same transaction.

        Returns what the commit answered. Raises `StaleLease` when its lease is over.
        """
        async with attempt.turn:
            while True:
                await self._recalled(attempt)
                try:
                    answer = await attempt.finish(outcome, random.random(), self._lease_s, attempt.place, child)
                    break
                except Overtaken:
                    await self._catch_up(attempt)
            self._known.forget(attempt.run.run_id)
            return answer

    async def touch(self, attempt: Attempt, *, now: bool = False) -> None:
        """Renew the lease of a run that its endpoint works on: a call of it is a sign of life.

        A lease that was renewed a moment ago is left alone, unless it is to be done `now`.
        """
        run = attempt.run
        length_s = self._lease_s if run.spec.heartbeat_ms is None else run.spec.heartbeat_ms / 1000
        renewed = self._known.renewed_s.get(run.run_id)
        fresh = renewed is not None and self._clock.monotonic() - renewed < length_s * RENEW_AFTER
        if run.worker_id is None or (fresh and not now) or not (run.entrusted or now):
            return

        async def renew(tx: Transaction) -> list[str]:
            until = lease_until(run, tx.now, self._lease_us)
            return await tx.renew(run.worker_id or ENDPOINT, [(run.run_id, run.lease_epoch, until)])

        if await self._store.write(renew):
            self._known.forget(run.run_id)
            found = await self.attempt(run.run_id, run.lease_epoch)
            if found.run.worker_id == run.worker_id:
                raise StaleLease(f"the lease of run {run.run_id} has moved on; stop working on it")
            await self.touch(found, now=now)  # the endpoint took the run over from its dispatch meanwhile
            return
        self._known.renewed_s[run.run_id] = self._clock.monotonic()

    async def kept(self, attempt: Attempt, kind: str) -> dict[str, Any]:
        """Return the values of a kind that the run has kept, by key, of checkpoints the last one."""
        return await attempt.stored(kind, look=True)


def _cause(lost: AttemptLost) -> Error:
    cause = lost.__cause__
    return cause if isinstance(cause, Error) else StaleLease()
