"""Run Python handlers in this process: `client` knows how a handler is called, this room what stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runwright.client import outcome as c
from runwright.client.errors import LeaseLost
from runwright.client.execution import run_handler
from runwright.client.handlers import Handler
from runwright.client.session import Child, Draft, Key, StopSignal, Value
from runwright.client.worker import Worker
from runwright.domain import outcome as o
from runwright.domain.lane import Lane
from runwright.domain.run import Wait
from runwright.domain.secrets import Provision
from runwright.engine.attempt import Attempt, AttemptLost
from runwright.engine.captures import came_back, handed_over
from runwright.engine.spawning import Spawning
from runwright.engine.values import encode
from runwright.errors import Error, StaleLease


class PythonExecutor:
    """Executes the handlers of one or several `Worker`s; sync ones run in at most `threads` threads."""

    name = "worker"

    def __init__(self, workers: Iterable[Worker], *, queues: Iterable[str] = (), threads: int = 100) -> None:
        self.handlers: dict[str, Handler[..., Any]] = {}
        for worker in workers:
            self.handlers.update(worker.handlers)
        self._queues = frozenset(queues)
        self._threads = ThreadPoolExecutor(threads, "runwright-handler")

    def serves(self, lane: Lane) -> bool:
        """Tell whether it has this lane's handler, and takes from its queue: from every one, unless some are named."""
        named = not self._queues or lane.queue in self._queues
        return named and lane.executor == self.name and lane.handler in self.handlers

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Call the attempt's handler and return how it ended."""
        name = attempt.run.spec.handler or ""
        handler = self.handlers[name]  # its lane has the handler's name
        session = LocalSession(attempt, await attempt.provision())
        if attempt.debug:
            attempt.capture("debug.request", handed_over(attempt.run), encode(session.payload))
        try:
            ended = await run_handler(handler, session, threads=self._threads)
        except LeaseLost as lost:
            raise AttemptLost from lost
        if attempt.debug:
            attempt.capture("debug.response", *came_back(ended))
        return _outcome(attempt, ended)

    def close(self) -> None:
        """Take no more handlers; threads that are busy end with their handler."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _outcome(attempt: Attempt, ended: c.Outcome) -> o.Outcome:
    match ended:
        case c.Completed():
            return attempt.completed(ended.result)
        case c.Parked():
            return o.Parked(ended.wake_at, Wait(ended.on, ended.key, ended.name))
        case c.Stopped():
            return o.Stopped()
        case c.Failed():
            return attempt.failed(
                ended.error_class,
                ended.message,
                retryable=ended.retryable,
                code=ended.code,
                retry_after_s=ended.retry_after_s,
                traceback=ended.traceback,
            )


class LocalSession:
    """`client.session.Session` over an attempt of this process."""

    def __init__(self, attempt: Attempt, provision: Provision) -> None:
        spec = attempt.run.spec
        self.secrets: Mapping[str, str] = provision.secrets
        self.env: Mapping[str, str] = provision.variables
        self._attempt = attempt
        self._loop = asyncio.get_running_loop()
        self.run_id = spec.run_id
        self.job = spec.handler or ""
        self.attempt = attempt.run.attempt
        self.lease_epoch = attempt.run.lease_epoch
        self.payload: Any = attempt.payload()
        self.metadata: Mapping[str, str] = attempt.run.metadata
        self.tags: Mapping[str, str] = spec.tags
        self.idempotency_key = spec.idempotency_key
        self.rerun_unknown_steps = spec.rerun_unknown_steps
        self.stop = StopSignal()
        attempt.on_stop = self.stop.request
        if attempt.stop_requested is not None:
            self.stop.request(attempt.stop_requested)

    def now(self) -> int:
        """Return the time in microseconds since the epoch, as the server's clock has it."""
        return self._attempt.clock.now()

    def emit(self, draft: Draft) -> None:
        """Append an event soon: buffered, from any thread, never blocking."""
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if not on_loop:
            self._loop.call_soon_threadsafe(self._emit_for_thread, draft)
            return
        try:
            self._attempt.emit(draft)
        except AttemptLost as lost:
            raise LeaseLost(f"The lease of run {self.run_id} is over.") from lost

    def _emit_for_thread(self, draft: Draft) -> None:
        # The thread has gone on: what cannot be kept ends the attempt, and the thread hears of it at its next call.
        try:
            self._attempt.emit(draft)
        except AttemptLost:
            pass
        except Error as refusal:
            self._attempt.lose(refusal)

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        """Append events, keep values and forget others in one transaction; durable when it returns."""
        try:
            await self._attempt.save(drafts, values, removed)
        except AttemptLost as lost:
            raise LeaseLost(f"The lease of run {self.run_id} is over.") from lost

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata; durable when it returns."""
        try:
            await self._attempt.annotate(annotations)
        except AttemptLost as lost:
            raise LeaseLost(f"The lease of run {self.run_id} is over.") from lost

    async def spawn(self, child: Child) -> str:
        """Make a child of this run and return its id; durable when it returns."""
        asked = Spawning(
            job=child.job,
            payload=child.payload,
            tags=dict(child.tags),
            metadata=dict(child.metadata),
            priority=child.priority,
            concurrency_key=child.concurrency_key,
            idempotency_key=child.idempotency_key,
        )
        try:
            return (await self._attempt.spawner.spawn(self._attempt.run, asked)).made.run_id
        except StaleLease as lost:
            self._attempt.lose(lost)
            raise LeaseLost(f"The lease of run {self.run_id} is over.") from lost

    async def values(self, kind: str) -> dict[str, Any]:
        """Return the values of this kind that the run has kept, by key, from earlier leases too."""
        return await self._attempt.stored(kind)
