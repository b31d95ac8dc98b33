"""The commit: the one place that changes runs and appends events.

Group commit: commands of this process that arrive while a transaction waits for the disk are applied together by the
next one, up to `batch_max`, with no artificial wait. A command's answer is given when its transaction is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain import commands as c
from runwright.domain.events import Event
from runwright.domain.lane import queue_of
from runwright.domain.ports import LocalWorker
from runwright.domain.run import Run
from runwright.engine.batch import Batch, Reading, Terms
from runwright.errors import Error, IdempotencyMismatch, NotFound, Overloaded, StoreReadOnly, StoreUnavailable
from runwright.store.base import Store, Transaction
from runwright.telemetry import observe, report


class Take(msgspec.Struct, frozen=True):
    """Claim up to `count` ready runs of these lanes for a worker, lowest rank first."""

    lanes: tuple[str, ...]
    count: int
    worker_id: str


class Admit(msgspec.Struct, frozen=True):
    """Move held runs on, now that these limits may have free slots."""

    limit_keys: tuple[str, ...]


Request = c.Command | Take | Admit


class Submitted(msgspec.Struct, frozen=True):
    """The answer to a submit: the run, and whether an idempotency key found it instead of making it."""

    run_id: str
    run: Run | None
    hit: bool = False


class Committed(msgspec.Struct):
    """What one durable transaction did, for those who follow the log: hub, worker, loops."""

    runs: dict[str, Run]
    events: dict[str, list[Event]]
    ready: set[str] = set()
    earliest_timer: int | None = None
    inbox: bool = False
    stops: list[Run] = []


class _Group(msgspec.Struct):
    """Requests that share a transaction, and where their answers go."""

    requests: list[Request]
    answer: asyncio.Future[list[Any]]


class _Reserved(msgspec.Struct):
    """Slots that a worker of this process keeps free for new runs of one lane."""

    worker: LocalWorker
    count: int
    taken: int = 0


class _Fused(msgspec.Struct):
    """A run that was claimed in the transaction that made it."""

    worker: LocalWorker
    command: c.Submit


class Commit:
    """The writer of runs. `listeners` hear of every transaction after it is durable, before its callers do."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        terms: Terms,
        *,
        batch_max: int = 500,
        backlog_max: int = 20_000,
        known_max: int = 20_000,
        idempotency_ttl_us: int = 86_400_000_000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms
        self._batch_max = batch_max
        self._backlog_max = backlog_max
        self._known_max = known_max
        self._idempotency_ttl_us = idempotency_ttl_us
        self._known: dict[str, Run] = {}
        self._pending: deque[_Group] = deque()
        self._backlog = 0
        self._busy: asyncio.Task[None] | None = None
        self.workers: tuple[LocalWorker, ...] = ()
        self.listeners: list[Callable[[Committed], None]] = []

    @property
    def backlog(self) -> int:
        """Return how many requests wait for a transaction."""
        return self._backlog

    async def apply(self, request: Request) -> Any:
        """Apply one request and return its answer once it is durable; raises what the request was refused with."""
        answer = (await self.apply_all([request]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def apply_all(self, requests: Sequence[Request]) -> list[Any]:
        """Apply requests in one transaction and return their answers, in order; a refused one answers its `Error`.

        Raises `Overloaded`, before anything is kept, when too many requests wait and these would make new runs: what
        exists can always be written, stopped and finished. Raises `StoreError` when the transaction failed: then
        nothing of it was written.
        """
        full = self._backlog + len(requests) > self._backlog_max
        if full and any(isinstance(request, c.Submit) for request in requests):
            raise Overloaded("too many commands wait for the store; try again shortly", retry_after_s=1.0)
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending.append(_Group(list(requests), answer))
        self._backlog += len(requests)
        if self._busy is None:
            self._busy = asyncio.create_task(self._drain(), name="commit")
        return await answer

    async def idle(self) -> None:
        """Return when every request that was made so far has its answer."""
        while self._busy is not None:
            await asyncio.wait([self._busy])

    async def _drain(self) -> None:
        try:
            while self._pending:
                groups: list[_Group] = []
                count = 0
                while self._pending and (not groups or count + len(self._pending[0].requests) <= self._batch_max):
                    groups.append(self._pending.popleft())
                    count += len(groups[-1].requests)
                self._backlog -= count
                await self._write(groups)
        finally:
            self._busy = None

    async def _write(self, groups: list[_Group]) -> None:
        """Write groups in one transaction; a transaction that fails is tried again in halves, to find the culprit."""
        reserved = self._reserve(groups)
        begun = self._clock.monotonic()
        try:
            batch, answers, fused = await self._store.write(lambda tx: self._transact(tx, groups, reserved))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the callers must hear of it
            for held in reserved.values():
                held.worker.give_back(held.count)
            observe("commit.failed", code=getattr(failure, "code", "bug"))
            self._known.clear()  # whether a failed commit reached the disk is known to the store alone
            if len(groups) > 1 and not isinstance(failure, StoreUnavailable | StoreReadOnly):
                middle = len(groups) // 2
                await self._write(groups[:middle])
                await self._write(groups[middle:])
                return
            for group in groups:
                if not group.answer.done():
                    group.answer.set_exception(failure)
            return
        for held in reserved.values():
            if held.taken < held.count:
                held.worker.give_back(held.count - held.taken)
        self._remember(batch.after)
        requests = sum(len(answered) for answered in answers)
        observe("commit.written", batch=batch, requests=requests, seconds=self._clock.monotonic() - begun)
        self._announce(batch, fused)
        for group, answered in zip(groups, answers, strict=True):
            if not group.answer.done():
                group.answer.set_result(answered)

    async def _transact(
        self, tx: Transaction, groups: list[_Group], reserved: dict[str, _Reserved]
    ) -> tuple[Batch, list[list[Any]], list[_Fused]]:
        requests = [request for group in groups for request in group.requests]
        taken = await self._idempotent(tx, requests)
        reading = Reading()
        held = await self._held(tx, requests)
        takes = [request for request in requests if isinstance(request, Take)]
        paused = await tx.paused() if takes or reserved else set()
        claimed = {id(take): await tx.take(_open(take.lanes, paused), take.count) for take in takes}
        named = [r.run_id for r in requests if not isinstance(r, Take | Admit | c.Submit)]
        named += [run_id for run_ids in claimed.values() for run_id in run_ids]
        runs = await tx.runs([*dict.fromkeys([*named, *held])], self._known)
        batch = Batch(tx.now, runs, self._terms)
        fusing = await _fusing(tx, reserved, paused)
        fused: list[_Fused] = []
        answers: list[list[Any]] = []
        for group in groups:
            answered: list[Any] = []
            for request in group.requests:
                try:
                    answered.append(self._answer(batch, request, taken, claimed, fusing, fused))
                except Error as refusal:
                    answered.append(refusal)
            answers.append(answered)
        _bring_up_to_date(batch, answers)
        await self._admit(tx, batch, reading, held)
        await tx.apply(batch.seal())
        return batch, answers, fused

    def _answer(
        self,
        batch: Batch,
        request: Request,
        taken: dict[tuple[str, str], tuple[str, str]],
        claimed: dict[int, list[str]],
        fusing: dict[str, _Reserved],
        fused: list[_Fused],
    ) -> Any:
        match request:
            case c.Submit():
                return self._submit(batch, request, taken, fusing, fused)
            case Take():
                run_ids = claimed[id(request)]
                batch.taken.update(run_ids)
                # One that was stopped earlier in this very transaction is nobody's to claim.
                waiting = [run_id for run_id in run_ids if batch.after[run_id].state == "queued"]
                return [batch.decide(c.Claim(run_id, request.worker_id)) for run_id in waiting]
            case Admit():
                return None
            case _:
                if request.run_id not in batch.after:
                    raise NotFound("run", request.run_id)
                return batch.decide(request)

    def _submit(
        self,
        batch: Batch,
        command: c.Submit,
        taken: dict[tuple[str, str], tuple[str, str]],
        fusing: dict[str, _Reserved],
        fused: list[_Fused],
    ) -> Submitted:
        key = command.idempotency
        if key is not None:
            former = taken.get((key.scope, key.key))
            if former is not None:
                fingerprint, run_id = former
                if fingerprint != key.fingerprint:
                    data = {"expected": fingerprint, "given": key.fingerprint}
                    raise IdempotencyMismatch(
                        "this idempotency key was used for another request; use a new key, or send the same request",
                        data=data,
                    )
                return Submitted(run_id, batch.after.get(run_id), hit=True)
        run = batch.decide(command)
        if key is not None:
            taken[key.scope, key.key] = (key.fingerprint, run.run_id)
        if fusing and run.state == "queued" and not run.spec.limits:
            held = fusing.get(run.spec.lane)
            if held is not None and held.taken < held.count:
                held.taken += 1
                run = batch.decide(c.Claim(run.run_id, held.worker.worker_id))
                fused.append(_Fused(held.worker, command))
        return Submitted(run.run_id, run)

    async def _idempotent(self, tx: Transaction, requests: Iterable[Request]) -> dict[tuple[str, str], tuple[str, str]]:
        keys = [r.idempotency for r in requests if isinstance(r, c.Submit) and r.idempotency is not None]
        return await tx.idempotency(keys, tx.now - self._idempotency_ttl_us) if keys else {}

    async def _held(self, tx: Transaction, requests: Iterable[Request]) -> list[str]:
        """Return the held runs that the free slots of the limits named by `Admit` requests could let in."""
        keys = sorted({key for r in requests if isinstance(r, Admit) for key in r.limit_keys})
        if not keys:
            return []
        slots = await tx.limits(keys)
        waiting: list[str] = []
        for key in keys:
            free = slots[key].max - slots[key].used if key in slots else self._batch_max
            if free > 0:
                waiting += [entry.run_id for entry in await tx.held(key, min(free, self._batch_max))]
        return waiting

    async def _admit(self, tx: Transaction, batch: Batch, reading: Reading, held: list[str]) -> None:
        entering = batch.entering(held)
        keys = sorted(batch.limits_touched(entering))
        if keys:
            reading.slots = await tx.limits(keys)
            reading.held = {key: await tx.held(key, self._batch_max) for key in keys}
        if entering:
            reading.floors = await tx.floors(sorted({run.spec.queue_key for run in entering}))
            pairs = sorted({(run.spec.queue_key, run.spec.project_id) for run in entering})
            reading.turns = await tx.turns(pairs)
        if entering or keys:
            batch.admit(entering, reading)
            batch.freed = {key for key in batch.freed if reading.held.get(key)}

    def _reserve(self, groups: list[_Group]) -> dict[str, _Reserved]:
        if not self.workers:
            return {}
        wanted: dict[str, int] = {}
        for group in groups:
            for request in group.requests:
                if isinstance(request, c.Submit) and not request.spec.limits:
                    lane = request.spec.lane
                    wanted[lane] = wanted.get(lane, 0) + 1
        reserved = {}
        for lane, count in wanted.items():
            for worker in self.workers:
                slots = worker.reserve(lane, count)
                if slots:
                    reserved[lane] = _Reserved(worker, slots)
                    break
        return reserved

    def _remember(self, runs: dict[str, Run]) -> None:
        for run_id, run in runs.items():
            if run.terminal:
                self._known.pop(run_id, None)
            else:
                self._known[run_id] = run
        while len(self._known) > self._known_max:
            self._known.pop(next(iter(self._known)))

    def _announce(self, batch: Batch, fused: list[_Fused]) -> None:
        changes = batch.changes
        done = Committed(
            batch.after,
            batch.events,
            {run.spec.lane for run in changes.ready},
            min((timer.at for timer in changes.timers), default=None),
            bool(changes.inbox),
            [batch.after[run_id] for run_id, _ in changes.fences],
        )
        for listener in self.listeners:
            try:
                listener(done)
            except Exception as bug:  # noqa: BLE001 - what is durable is answered, whatever a listener makes of it
                report("commit.listener_broken", error=repr(bug))
        for worker in self.workers if fused else ():
            runs = [(batch.after[f.command.run_id], f.command.payload) for f in fused if f.worker is worker]
            if runs:
                worker.assign(runs)
        if batch.freed:
            self._pending.appendleft(_Group([Admit(tuple(sorted(batch.freed)))], _unheard()))
            self._backlog += 1


def _open(lanes: tuple[str, ...], paused: set[str]) -> list[str]:
    return [lane for lane in lanes if queue_of(lane) not in paused] if paused else list(lanes)


async def _fusing(tx: Transaction, reserved: dict[str, _Reserved], paused: set[str]) -> dict[str, _Reserved]:
    """Return the reserved slots whose lane nobody waits in: there a new run may begin in its first transaction."""
    if not reserved:
        return {}
    empty = await tx.empty(_open(tuple(sorted(reserved)), paused))
    return {lane: held for lane, held in reserved.items() if lane in empty}


def _bring_up_to_date(batch: Batch, answers: list[list[Any]]) -> None:
    """Let each taker know its runs as the transaction leaves them: one may have been asked to stop after the claim."""
    for answered in answers:
        for place, answer in enumerate(answered):
            if isinstance(answer, list):
                answered[place] = [batch.after[run.run_id] for run in answer]


def _unheard() -> asyncio.Future[list[Any]]:
    """Return a future for an answer that nobody waits for; what fails is met by the search for starved limits."""
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.exception())
    return future
