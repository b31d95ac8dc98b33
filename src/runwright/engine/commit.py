"""The commit: the one place that changes runs and appends events.

Group commit: commands of this process that arrive while a transaction waits for the disk are applied together by the
next one, up to `batch_max`, with no artificial wait. A command's answer is given when its transaction is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.domain import commands as c
from runwright.domain.ports import LocalWorker
from runwright.domain.run import Run
from runwright.engine.batch import Batch, Terms
from runwright.engine.meeting import HandOver, Meeting, Rules
from runwright.engine.requests import Admit, Advance, Begin, Committed, Fire, Fused, Request, Reserved, Send, Spawn
from runwright.engine.transact import Transact
from runwright.engine.witness import written
from runwright.errors import OutcomeUnknown, Overloaded, StoreReadOnly, StoreUnavailable
from runwright.store.base import Store, Transaction
from runwright.telemetry import observe, report

OUTCOME_S = 30.0
"""How long a database is waited for that was lost in a commit; the transactions after it wait, too."""


class _Group(msgspec.Struct):
    """Requests that share a transaction, and where their answers go."""

    requests: list[Request]
    answer: asyncio.Future[list[Any]]


class Commit:
    """The writer of runs. `listeners` hear of every transaction after it is durable, before its callers do.

    Runs of the jobs in `awaited` leave an errand when they end: runs of other jobs may wait for that.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        terms: Terms,
        hand_over: HandOver,
        rules: Rules,
        *,
        batch_max: int = 500,
        backlog_max: int = 20_000,
        known_max: int = 20_000,
        idempotency_ttl_us: int = 86_400_000_000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms
        self._hand_over = hand_over
        self._rules = rules
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
        self.awaited: Container[str | None] = frozenset()

    @property
    def backlog(self) -> int:
        """Return how many requests wait for a transaction."""
        return self._backlog

    async def apply(self, request: Request) -> Any:
        """Apply one request and return its answer once it is durable; raises what the request was refused with."""
        answer = (await self._taken([request]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def apply_all(self, requests: Sequence[Request]) -> list[Any]:
        """Apply requests in one transaction and return their answers, in order; a refused one answers its `Error`.

        Raises `Overloaded`, before anything is kept, when too many requests wait and these would make new runs: what
        exists can always be written, stopped and finished. Raises `StoreError` when the transaction failed: then
        nothing of it was written, but for `OutcomeUnknown`.
        """
        return await self._taken(list(requests))

    def _taken(self, requests: list[Request]) -> asyncio.Future[list[Any]]:
        """Let requests wait for their transaction; return where their answers will be."""
        full = self._backlog + len(requests) > self._backlog_max
        if full and any(_makes_runs(request) for request in requests):
            raise Overloaded("too many commands wait for the store; try again shortly", retry_after_s=1.0)
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending.append(_Group(requests, answer))
        self._backlog += len(requests)
        if self._busy is None:
            self._busy = asyncio.create_task(self._drain(), name="commit")
        return answer

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
            batch, done = await self._settled(groups, reserved)
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
        requests = sum(len(answered) for answered in done.answers)
        observe("commit.written", batch=batch, requests=requests, seconds=self._clock.monotonic() - begun)
        self._announce(batch, done.fused)
        for group, answered in zip(groups, done.answers, strict=True):
            if not group.answer.done():
                group.answer.set_result(answered)

    async def _settled(self, groups: list[_Group], reserved: dict[str, Reserved]) -> tuple[Batch, Transact]:
        """Return what was written; a commit whose answer was lost is looked for, so that nobody does it twice."""
        tried: list[tuple[Batch, Transact]] = []

        async def work(tx: Transaction) -> None:
            tried.append(await self._transact(tx, groups, reserved))

        try:
            await self._store.write(work)
        except OutcomeUnknown as unknown:
            found = await written(self._store, tried[-1][0], self._clock, OUTCOME_S)
            if found is None:
                raise
            if not found:
                raise StoreUnavailable("the database was lost before it committed") from unknown
        return tried[-1]

    async def _transact(
        self, tx: Transaction, groups: list[_Group], reserved: dict[str, Reserved]
    ) -> tuple[Batch, Transact]:
        for slots in reserved.values():
            slots.taken = 0  # a store may try a transaction again
        requests = [group.requests for group in groups]
        done = Transact(
            requests,
            self._known,
            reserved,
            self._terms,
            Meeting(self._hand_over, self._rules),
            batch_max=self._batch_max,
            idempotency_ttl_us=self._idempotency_ttl_us,
            awaited=self.awaited,
        )
        batch = await done.decide(tx)
        await tx.apply(batch.seal())
        return batch, done

    def _reserve(self, groups: list[_Group]) -> dict[str, Reserved]:
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
                    reserved[lane] = Reserved(worker, slots)
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

    def _announce(self, batch: Batch, fused: list[Fused]) -> None:
        changes = batch.changes
        done = Committed(
            batch.after,
            batch.events,
            _lowest(changes.ready),
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
            self._pending.appendleft(_Group([Admit(tuple(sorted(batch.freed)), len(batch.after))], _unheard()))
            self._backlog += 1


def _makes_runs(request: Request) -> bool:
    if isinstance(request, Fire | Send | Advance):
        return bool(request.submits)
    return isinstance(request, c.Submit | Spawn | Begin)


def _lowest(ready: Sequence[Run]) -> dict[str, float]:
    lanes: dict[str, float] = {}
    for run in ready:
        rank = run.rank or 0.0
        lanes[run.spec.lane] = min(lanes.get(run.spec.lane, rank), rank)
    return lanes


def _unheard() -> asyncio.Future[list[Any]]:
    """Return a future for an answer that nobody waits for; what fails is met by the search for starved limits."""
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.exception())
    return future
