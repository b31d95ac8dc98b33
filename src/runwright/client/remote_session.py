"""`Session` over REST: one lease of one run in a worker elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from runwright.client.asking import told
from runwright.client.errors import ApiError, ClientError, LeaseLost, StopKind
from runwright.client.processes import ProcessOrder
from runwright.client.reporting import BACKOFF, FOR_NOW, OVER, Log, Reporter
from runwright.client.run_handle import AsyncRunHandle
from runwright.client.session import Child, Draft, Key, StopSignal, Value, ValueKind
from runwright.client.transport import Transport

T = TypeVar("T")

LEASE_OVER = OVER | {"auth.stale_token"}


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the server gave to this worker."""

    run_id: str
    job: str
    attempt: int
    lease_epoch: int
    payload: Any
    metadata: dict[str, str]
    tags: dict[str, str]
    secrets: dict[str, str] = {}
    env: dict[str, str] = {}
    idempotency_key: str | None
    rerun_unknown_steps: bool
    timeout_secs: float | None
    run_token: str
    job_id: str | None = None
    process: ProcessOrder | None = None
    stop: StopKind | None
    from_checkpoint: int | None = None


class _Kept(msgspec.Struct):
    values: dict[str, Any]
    next: str | None


class ServerClock:
    """The server's clock, from what it said (µs) in an answer to what was sent at an instant of ours (monotonic s)."""

    def __init__(self, said_us: int, sent_at: float) -> None:
        self._said_us = said_us
        self._sent_at = sent_at

    def now(self) -> int:
        """Return the time in microseconds since the epoch, early by at most as long as that answer took."""
        return self._said_us + int((time.monotonic() - self._sent_at) * 1e6)


class RemoteSession:
    """What a handler's side of a lease needs, told to and asked of the server."""

    def __init__(
        self, given: Assignment, reporter: Reporter, transport: Transport, worker_id: str, clock: ServerClock
    ) -> None:
        self.run_id = given.run_id
        self.job = given.job
        self.attempt = given.attempt
        self.lease_epoch = given.lease_epoch
        self._from_checkpoint = given.from_checkpoint
        self.payload: Any = given.payload
        self.metadata: Mapping[str, str] = given.metadata
        self.tags: Mapping[str, str] = given.tags
        self.secrets: Mapping[str, str] = given.secrets
        self.env: Mapping[str, str] = given.env
        self.idempotency_key = given.idempotency_key
        self.rerun_unknown_steps = given.rerun_unknown_steps
        self.timeout_s = given.timeout_secs
        self.run_token = given.run_token
        self.job_id = given.job_id or ""
        self.process = given.process
        self.stop = StopSignal()
        if given.stop is not None:
            self.stop.request(given.stop)
        self.log = Log(given.run_id, given.lease_epoch, self.stop)
        self._reporter = reporter
        self._transport = transport
        self._worker_id = worker_id
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    def now(self) -> int:
        """Return the time in microseconds since the epoch, as the server's clock has it."""
        return self._clock.now()

    def emit(self, draft: Draft) -> None:
        """Append an event soon: buffered, from any thread, never blocking."""
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            self._reporter.emit(self.log, draft)
        else:
            self.log.require_lease()
            self._loop.call_soon_threadsafe(self._emit_for_thread, draft)

    def _emit_for_thread(self, draft: Draft) -> None:
        try:
            self._reporter.emit(self.log, draft)
        except LeaseLost:
            pass  # the thread hears of it at its next call
        except Exception as refusal:  # noqa: BLE001 - the thread has gone on: what cannot be kept ends the attempt
            self.log.give_up(str(refusal))

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        """Append events, keep values and forget others in one transaction; durable when it returns."""
        await self._reporter.save(self.log, drafts, values, removed)

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata; durable when it returns."""
        await self._reporter.save(self.log, [], annotations=annotations)

    async def spawn(self, child: Child) -> str:
        """Make a child of this run and return its id; durable when it returns."""
        self.log.require_lease()
        asked = {name: value for name, value in msgspec.to_builtins(child).items() if value is not None}
        job = asked.pop("job")
        return (await self._called(lambda handle: handle.spawn(job, **asked))).id

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        """Make the run that continues this one and return its id; without a payload it is given this one's."""
        made = await self._called(lambda handle: handle.continue_run(payload, idempotency_key=idempotency_key))
        return made.id

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers under a key; `default` where that is nothing."""
        return await self._called(lambda handle: handle.memory(key, default))

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        """Keep a value for every run of the job; durable when it returns."""
        await self._called(lambda handle: handle.set_memory(key, value, ttl_secs=ttl_s))

    async def forget(self, key: str) -> None:
        """Forget what the job remembers under a key; durable when it returns."""
        await self._called(lambda handle: handle.delete_memory(key))

    async def _called(self, call: Callable[[AsyncRunHandle], Awaitable[T]]) -> T:
        """Call the server for the run, with its token; a lease that is over ends the attempt."""
        self.log.require_lease()
        try:
            async with AsyncRunHandle(self.run_id, self.run_token, self._transport.url) as handle:
                return await call(handle)
        except ApiError as refused:
            if refused.code in LEASE_OVER:
                self.log.give_up(refused.message)
                self.log.require_lease()
            raise

    async def values(self, kind: ValueKind) -> dict[str, Any]:
        """Return the values of this kind that the run has kept, by key, from earlier leases too."""
        if self.lease_epoch == 1 and self._from_checkpoint is None:
            return {}
        found: dict[str, Any] = {}
        after: str | None = None
        while True:
            self.log.require_lease()
            body: dict[str, Any] = {
                "worker_id": self._worker_id,
                "run_id": self.run_id,
                "lease_epoch": self.lease_epoch,
                "kind": kind,
            }
            if after is not None:
                body["after"] = after
            page = await self._kept(body)
            found |= page.values
            after = page.next
            if after is None:
                return found

    async def _kept(self, body: dict[str, Any]) -> _Kept:
        """Ask for as long as the lease holds: that the line is cut is no failure of the attempt."""
        failures = 0
        while True:
            self.log.require_lease()
            try:
                return await told(_Kept, self._transport, "/v1/worker/kept", body, within_s=self._reporter.patience_s)
            except ApiError as refused:
                if refused.code in OVER:
                    self.log.give_up(refused.message)
                elif refused.status not in FOR_NOW:
                    raise
            except ClientError:
                pass
            failures += 1
            await asyncio.sleep(BACKOFF.delay_s(failures))
