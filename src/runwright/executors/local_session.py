"""`client.session.Session` over an attempt of this process, and what its end means for the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from runwright.client import outcome as c
from runwright.client.errors import LeaseLost
from runwright.client.session import Child, Draft, Key, StopSignal, Value
from runwright.domain import outcome as o
from runwright.domain.run import Wait
from runwright.domain.secrets import Provision
from runwright.engine.attempt import Attempt, AttemptLost
from runwright.engine.spawning import Spawning
from runwright.errors import Error, StaleLease

T = TypeVar("T")


def outcome_of(attempt: Attempt, ended: c.Outcome) -> o.Outcome:
    """Return how an execution ended as the engine takes it: redacted, sealed."""
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
        return (await self._reached(self._attempt.reach.spawner.spawn(self._attempt.run, asked))).made.run_id

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        """Make the run that continues this one and return its id; without a payload it is given this one's."""
        given = self._attempt.payload() if payload is None else payload
        spawner, run = self._attempt.reach.spawner, self._attempt.run
        return (await self._reached(spawner.go_on(run, given, idempotency_key))).made.run_id

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers under a key."""
        found = await self._attempt.reach.memory.recall(self._attempt.run, key)
        return default if found is None else found.value

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        """Keep a value for every run of the job; durable when it returns."""
        await self._reached(self._attempt.reach.memory.remember(self._attempt.run, key, value, ttl_s))

    async def forget(self, key: str) -> None:
        """Forget what the job remembers under a key; durable when it returns."""
        await self._reached(self._attempt.reach.memory.forget(self._attempt.run, key))

    async def _reached(self, reached: Awaitable[T]) -> T:
        try:
            return await reached
        except StaleLease as lost:
            self._attempt.lose(lost)
            raise LeaseLost(f"The lease of run {self.run_id} is over.") from lost

    async def values(self, kind: str) -> dict[str, Any]:
        """Return the values of this kind that the run has kept, by key, from earlier leases too."""
        return await self._attempt.stored(kind)
