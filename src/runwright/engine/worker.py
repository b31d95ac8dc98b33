"""The worker inside the server: it claims, executes, keeps its leases alive, and drains."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Sequence

from runwright.clock import Clock
from runwright.domain.lane import Lane, queue_of
from runwright.domain.outcome import Completed, Outcome
from runwright.domain.run import AGENT, Run, StopKind
from runwright.engine.attempt import Attempt, AttemptLost, Executor
from runwright.engine.commit import Commit
from runwright.engine.emitter import Emitter
from runwright.engine.loops import Loop
from runwright.engine.reach import Reach
from runwright.engine.requests import Take
from runwright.engine.schema import JobSchemas
from runwright.engine.values import Values
from runwright.errors import Error, Overtaken, StaleLease
from runwright.store.base import Store, Transaction
from runwright.telemetry import observe, report

CLAIM_POLL_S = 5.0
LANES_KNOWN = 10_000


class Worker:
    """Executes runs in `slots` at once. Hints wake it; a slow poll is the net beneath them."""

    def __init__(
        self,
        worker_id: str,
        executor: Executor,
        commit: Commit,
        store: Store,
        emitter: Emitter,
        values: Values,
        schemas: JobSchemas,
        clock: Clock,
        reach: Reach,
        *,
        slots: int = 100,
        lease_s: float = 30.0,
        heartbeat_s: float = 10.0,
    ) -> None:
        self.worker_id = worker_id
        self._executor = executor
        self._commit = commit
        self._store = store
        self._emitter = emitter
        self._values = values
        self._schemas = schemas
        self._reach = reach
        self._clock = clock
        self._slots = slots
        self._lease_s = lease_s
        self._reserved = 0
        self._running: dict[str, Attempt] = {}
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._arrived = asyncio.Event()
        self._arrived.set()
        self._hungry: dict[str, None] = {}
        self._mine: dict[str, bool] = {}
        self.loops = (
            Loop(f"{executor.name}.claimer", self._claim, clock, every_s=CLAIM_POLL_S),
            Loop(f"{executor.name}.heartbeat", self._beat, clock, every_s=heartbeat_s),
        )

    @property
    def draining(self) -> bool:
        """Tell whether the worker claims no more."""
        return self._draining

    @property
    def executor(self) -> str:
        """Return what executes its runs: worker, http or process."""
        return self._executor.name

    @property
    def slots(self) -> int:
        """Return how many attempts may execute at once."""
        return self._slots

    @property
    def busy(self) -> int:
        """Return how many attempts execute now."""
        return len(self._running)

    # --- what the commit asks -----------------------------------------------------------------------------------------

    def reserve(self, lane: str, count: int) -> int:
        """Hold up to `count` free slots for runs of that lane; return how many, 0 if it is not its work."""
        if self._draining or not self.serves(lane):
            return 0
        held = min(count, self._free())
        self._hold(held)
        return held

    def give_back(self, count: int) -> None:
        """Free reserved slots that no run took."""
        self._hold(-count)
        if self._hungry:
            self.loops[0].wake()

    def assign(self, runs: Sequence[tuple[Run, bytes | None]]) -> None:
        """Take runs that were claimed into reserved slots, each with its sealed payload."""
        self._hold(-len(runs))
        tools = (self._commit, self._store, self._emitter, self._values, self._schemas, self._clock, self._reach)
        for run, payload in runs:
            attempt = Attempt(run, payload, *tools)
            former = self._running.get(run.run_id)
            if former is not None:  # its lease was lost while this process stood still: two must not work at one run
                former.lose(StaleLease(f"the lease of run {run.run_id} has moved on"))
            self._running[run.run_id] = attempt
            self._empty.clear()
            attempt.task = asyncio.create_task(self._execute(attempt))

    def stop(self, run_id: str, lease_epoch: int, kind: StopKind) -> None:
        """Tell an executing attempt that a stop was asked for."""
        attempt = self._running.get(run_id)
        if attempt is not None and attempt.run.lease_epoch == lease_epoch and attempt.stop_requested != kind:
            attempt.stop(kind)

    def wake(self, lanes: Iterable[str]) -> None:
        """Hear that runs became ready in these lanes."""
        mine = [lane for lane in lanes if self.serves(lane)]
        if mine:
            self._hungry.update(dict.fromkeys(mine))
            self.loops[0].wake()

    def serves(self, lane: str) -> bool:
        """Tell whether the runs of a lane are its to take."""
        known = self._mine.get(lane)
        if known is None:
            if len(self._mine) >= LANES_KNOWN:
                self._mine.clear()
            known = self._mine[lane] = self._executor.serves(Lane.parse(lane))
        return known

    def _hold(self, count: int) -> None:
        self._reserved += count
        if self._reserved:
            self._arrived.clear()
        else:
            self._arrived.set()

    def _free(self) -> int:
        return max(self._slots - len(self._running) - self._reserved, 0)

    # --- the loops ----------------------------------------------------------------------------------------------------

    async def _claim(self) -> None:
        if not self.loops[0].hinted:
            self._hungry.update(dict.fromkeys(lane for lane in await self._store.lanes() if self.serves(lane)))
        queues: dict[str, list[str]] = {}
        for lane in self._hungry:
            queues.setdefault(queue_of(lane), []).append(lane)
        for left, lanes in zip(range(len(queues), 0, -1), queues.values(), strict=True):
            free = 0 if self._draining else self._free()
            if free == 0:
                return
            await self._take(lanes, math.ceil(free / left))  # ranks of several queues do not compare: each has a share
        if self._hungry and self._free():
            self.loops[0].wake()

    async def _take(self, lanes: list[str], count: int) -> None:
        self._hold(count)
        for lane in lanes:  # before the look: what becomes ready meanwhile makes it hungry again
            self._hungry.pop(lane, None)
        try:
            runs: list[Run] = await self._commit.apply(Take(tuple(lanes), count, self.worker_id))
            payloads = await self._store.payloads([run.run_id for run in runs]) if runs else {}
            await self._values.ensure(run.spec.project_id for run in runs)
        except BaseException:
            self._hold(-count)
            raise
        self._hold(len(runs) - count)
        self.assign([(run, payloads.get(run.run_id)) for run in runs])
        if len(runs) == count:
            self._hungry.update(dict.fromkeys(lanes))  # at the end of the line, behind the other queues

    async def _beat(self) -> None:
        leases = [(a.run.run_id, a.run.lease_epoch) for a in self._running.values() if not a.lost]
        if not leases:
            return
        lease_us = int(self._lease_s * 1e6)

        async def renew(tx: Transaction) -> list[str]:
            return await tx.renew(self.worker_id, [(run_id, epoch, tx.now + lease_us) for run_id, epoch in leases])

        epochs = dict(leases)
        for run_id in await self._store.write(renew):
            attempt = self._running.get(run_id)
            if attempt is not None and attempt.run.lease_epoch == epochs[run_id]:
                report("worker.lease_lost", run_id=run_id, worker_id=self.worker_id)
                attempt.lose(StaleLease(f"the lease of run {run_id} has moved on"))

    async def _ended(self, attempt: Attempt) -> Outcome:
        """Execute to the end, and write it. An agent that was spoken to since it last looked goes on instead."""
        while True:
            outcome = await attempt.execute(self._executor)
            hears = attempt.run.spec.kind == AGENT and isinstance(outcome, Completed)
            try:
                await attempt.finish(outcome, random.random(), self._lease_s, attempt.place if hears else None)
            except Overtaken:
                continue
            return outcome

    async def _execute(self, attempt: Attempt) -> None:
        observe("attempt.began", run=attempt.run, now=self._clock.now())
        outcome: Outcome | None = None
        try:
            outcome = await self._ended(attempt)
        except (AttemptLost, asyncio.CancelledError):
            report("worker.attempt_lost", run_id=attempt.run.run_id, worker_id=self.worker_id)
        except Error as refusal:
            report("worker.finish_refused", run_id=attempt.run.run_id, code=refusal.code, detail=refusal.detail)
        finally:
            observe("attempt.ended", run=attempt.run, outcome=outcome)
            if self._running.get(attempt.run.run_id) is attempt:
                del self._running[attempt.run.run_id]
            if not self._running:
                self._empty.set()
            if self._hungry:
                self.loops[0].wake()

    async def drain(self, timeout_s: float) -> int:
        """Claim no more, let attempts finish for `timeout_s`, hand the rest back; return how many those were."""
        first, self._draining = not self._draining, True
        if first:
            report("worker.draining", worker_id=self.worker_id, busy=self.busy)
        await self._arrived.wait()  # a claim under way brings its runs, and nobody else would know of them
        await self._clock.wait(self._empty, timeout_s)
        left = list(self._running.values())
        for attempt in left:
            attempt.released = True
            if attempt.task is not None:
                attempt.task.cancel()
        tasks = [attempt.task for attempt in left if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._lease_s)
        if first:
            report("worker.drained", worker_id=self.worker_id, handed_back=len(left))
        return len(left)
