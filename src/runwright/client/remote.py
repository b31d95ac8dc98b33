"""A worker elsewhere: it claims runs from a server over REST, executes their handlers here, and drains on SIGTERM.

It never works on under a lease that may be over: what was not confirmed by a heartbeat within the length of a lease,
counted from when it was sent, is given up here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import Any

import msgspec

from runwright.client.api import AsyncClient
from runwright.client.asking import told
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ClientError, LeaseLost, StopKind
from runwright.client.execution import run_handler
from runwright.client.outcome import Outcome
from runwright.client.processes import ProcessCall, ProcessRunner
from runwright.client.remote_attempt import RemoteAttempt, wire
from runwright.client.remote_session import Assignment, RemoteSession, ServerClock
from runwright.client.reporting import Reporter
from runwright.client.worker import Worker

PROTOCOL = 1
WAIT_S = 20.0
ANSWER_S = 15.0
BREATH_S = 0.05
BACKOFF = Backoff(attempts=1, initial_s=0.2, max_s=5.0)
FOR_NOW = frozenset({408, 425, 429, 502, 503, 504})
"""Refusals that pass: the worker asks again, as it does when nobody answers."""
ENDED_MAX = 10_000

_log = logging.getLogger("runwright.worker")


class _Stop(msgspec.Struct):
    run_id: str
    lease_epoch: int
    kind: StopKind


class _Claimed(msgspec.Struct):
    assignments: list[Assignment]
    stops: list[_Stop]
    drain: bool
    notice: str | None
    now: int
    lease_secs: float
    heartbeat_secs: float
    stop_grace_secs: float = 10.0


class _Beaten(msgspec.Struct):
    lost: list[str]
    stops: list[_Stop]
    drain: bool


class RemoteWorker:
    """Executes the handlers of a `Worker` for the server at `url`, up to `slots` runs at once.

    Without `queues` it takes from every queue; with `processes` it takes runs of commands, too, which that runs.
    `version` names the code of the handlers, for operators. `on_ready` is called once, when the server has answered the
    first claim.
    """

    def __init__(
        self,
        worker: Worker,
        url: str | None = None,
        api_key: str | None = None,
        *,
        slots: int = 10,
        queues: Sequence[str] = (),
        name: str = "",
        version: str = "",
        drain_s: float = 30.0,
        processes: ProcessRunner | None = None,
        on_ready: Callable[[RemoteWorker], None] | None = None,
    ) -> None:
        self.worker = worker
        self.worker_id = _new_id()
        self.client = AsyncClient(url, api_key, timeout_s=WAIT_S + ANSWER_S, backoff=BACKOFF)
        self._transport = self.client.transport
        self._reporter = Reporter(self._transport, self.worker_id)
        self._slots = slots
        self._drain_s = drain_s
        self._processes = processes
        self._on_ready = on_ready
        self._introduction = {
            "worker_id": self.worker_id,
            "protocol": PROTOCOL,
            "name": name or socket.gethostname(),
            "version": version,
            "sdk": f"runwright-python/{version_of('runwright')}",
            "queues": list(queues),
            "jobs": list(worker.handlers),
            "processes": processes is not None,
            "slots": slots,
        }
        self._threads = ThreadPoolExecutor(slots, "runwright-handler")
        self._running: dict[str, RemoteAttempt] = {}
        self._ended: dict[str, int] = {}
        self._draining = asyncio.Event()
        self._freed = asyncio.Event()
        self._ready = asyncio.Event()
        self._lease_s = 30.0
        self._heartbeat_s = 10.0
        self._stop_grace_s = 10.0
        self._noticed: str | None = None

    def drain(self) -> None:
        """Claim no more; `run` returns when the attempts have ended, or were handed back."""
        self._draining.set()
        self._freed.set()

    async def register(self) -> None:
        """Have a job for each handler, with the options of its decorator. Raises `ApiError` without the scope.

        Waits for a server that is not there yet.
        """
        waiting, failures = list(self.worker.handlers.values()), 0
        while waiting and not self._draining.is_set():
            options = waiting[-1].options.given()
            try:
                await self.client.jobs.put(options.pop("slug"), **options)
            except ClientError as failed:
                failures = await self._failed("register", failed, failures)
            else:
                waiting.pop()
                failures = 0

    async def run(self) -> int:
        """Work until drained; return how many attempts were handed back. Raises `ApiError` when the server refuses."""
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            await self._claim_all()
            return await self._end()
        finally:
            beating.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
            await self.client.aclose()

    # --- claiming -----------------------------------------------------------------------------------------------------

    async def _claim_all(self) -> None:
        failures, recover = 0, False
        polling: asyncio.Task[_Claimed] | None = None
        draining = asyncio.create_task(self._draining.wait())
        try:
            while not self._draining.is_set():
                free = self._slots - len(self._running)
                if free == 0:
                    free = await self._breathe()
                self._freed.clear()
                sent_at = time.monotonic()
                # The first answer says that all is well. Later ones leave at least half a lease to who gets a run.
                wait_s = min(WAIT_S, self._lease_s / 2) if self._ready.is_set() else 0.0
                polling = asyncio.create_task(self._claim(free, wait_s=wait_s, recover=recover))
                freed = asyncio.create_task(self._freed.wait())
                # A slot that comes free asks anew: the server answers the claim that still waits with nothing.
                waits: set[asyncio.Task[Any]] = {polling, draining} | ({freed} if free == 0 else set())
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                freed.cancel()
                try:
                    claimed = await self._claimed(polling)
                except ClientError as failed:
                    failures, recover = await self._failed("claim", failed, failures), True
                else:
                    failures, recover = 0, False
                    if claimed is not None:
                        self._accept(claimed, sent_at)
        finally:
            draining.cancel()
            if polling is not None:
                polling.cancel()

    async def _claimed(self, polling: asyncio.Task[_Claimed]) -> _Claimed | None:
        """Return what a claim brought; one that has to be given up is replaced, so that nothing it brings is lost."""
        if not polling.done():
            replacing = asyncio.create_task(self._claim(0, wait_s=0.0))
            await asyncio.wait({polling, replacing})
            replaced = replacing.exception() or replacing.result()
            if isinstance(replaced, _Claimed):
                self._heed(replaced)
        return await polling

    async def _breathe(self) -> int:
        """Give a full worker a moment to have room before it asks for nothing but stop requests."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._freed.wait(), BREATH_S)
        return self._slots - len(self._running)

    async def _claim(self, free: int, *, wait_s: float, recover: bool = False) -> _Claimed:
        body = {**self._introduction, "free": free, "wait_secs": wait_s, "recover": recover}
        if recover:
            body["running"] = list(self._running)
        within_s = wait_s + min(ANSWER_S, self._lease_s / 2)
        return await told(_Claimed, self._transport, "/v1/worker/claim", body, within_s=within_s, repeatable=False)

    async def _failed(self, what: str, why: ClientError, failures: int) -> int:
        """Rest after a failure, as long as the server asks; return how many there were. Raises a final refusal."""
        if isinstance(why, ApiError) and why.status not in FOR_NOW:
            raise why
        failures += 1
        _log.warning("cannot %s: %s; trying again", what, why)
        asked_s = why.retry_after_s if isinstance(why, ApiError) else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), BACKOFF.delay_s(failures, asked_s))
        return failures

    def _accept(self, claimed: _Claimed, sent_at: float) -> None:
        self._lease_s, self._heartbeat_s = claimed.lease_secs, claimed.heartbeat_secs
        self._stop_grace_s = claimed.stop_grace_secs
        self._reporter.patience_s = min(ANSWER_S, self._lease_s / 2)
        if not self._ready.is_set():
            self._ready.set()
            if self._on_ready is not None:
                self._on_ready(self)
        for assignment in claimed.assignments:
            # What this process gave up, or has ended as the server answered, is not begun again under the same lease.
            if self._ended.get(assignment.run_id, 0) < assignment.lease_epoch:
                known = self._running.get(assignment.run_id)
                if known is None or known.session.lease_epoch < assignment.lease_epoch:
                    if known is not None:
                        known.session.log.give_up("its lease has moved on")
                    self._begin(assignment, ServerClock(claimed.now, sent_at), sent_at)
        self._heed(claimed)

    def _begin(self, assignment: Assignment, clock: ServerClock, sent_at: float) -> None:
        running = RemoteAttempt(RemoteSession(assignment, self._reporter, self._transport, self.worker_id, clock))
        running.keep(sent_at + self._lease_s)
        self._running[assignment.run_id] = running
        running.task = asyncio.create_task(self._execute(running))

    def _heed(self, said: _Claimed | _Beaten) -> None:
        for stop in said.stops:
            running = self._running.get(stop.run_id)
            if running is not None and running.session.lease_epoch == stop.lease_epoch:
                running.session.stop.request(stop.kind)
        if isinstance(said, _Claimed) and said.notice != self._noticed:
            self._noticed = said.notice
            _log.warning("%s", said.notice)
        if said.drain and not self._draining.is_set():
            _log.info("the server asked this worker to drain")
            self.drain()

    # --- executing ----------------------------------------------------------------------------------------------------

    async def _execute(self, running: RemoteAttempt) -> None:
        session = running.session
        lost = asyncio.create_task(session.log.lost.wait())
        working = asyncio.create_task(self._outcome(session))
        try:
            await asyncio.wait({working, lost}, return_when=asyncio.FIRST_COMPLETED)
            if session.log.lost.is_set() and not working.done():
                working.cancel()
            outcome = await working
            await self._reporter.finish(session.log, outcome)
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait({working})
            if running.released and not session.log.lost.is_set():
                # An outcome that is on its way stands: what has finished is not repeated.
                await self._reporter.finish(session.log, session.log.outcome or {"status": "released"})
        except LeaseLost as why:
            _log.warning("%s", why)
        finally:
            lost.cancel()
            running.close()
            self._remember(session)
            if self._running.get(session.run_id) is running:
                del self._running[session.run_id]
            self._freed.set()

    def _remember(self, session: RemoteSession) -> None:
        self._ended[session.run_id] = max(self._ended.pop(session.run_id, 0), session.lease_epoch)
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    async def _outcome(self, session: RemoteSession) -> dict[str, Any]:
        limit = asyncio.timeout(session.timeout_s)
        try:
            async with limit:
                return wire(await self._ended_by(session))
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"the attempt took longer than {session.timeout_s:g} s"
            return {"status": "failed", "error_class": "Timeout", "message": message, "reason": "timeout"}

    async def _ended_by(self, session: RemoteSession) -> Outcome:
        if session.process is None:
            return await run_handler(self.worker.handlers[session.job], session, threads=self._threads)
        if self._processes is None:
            raise ClientError("The server gave this worker a command, which it had not asked for.")
        call = ProcessCall(
            order=session.process,
            job_id=session.job_id,
            run_token=session.run_token,
            api_url=self.client.url,
            stop_grace_s=self._stop_grace_s,
        )
        return await self._processes(call, session)

    # --- leases -------------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        await self._ready.wait()
        while True:
            await asyncio.sleep(self._heartbeat_s / 2)
            await self._beat_once()

    async def _beat_once(self) -> None:
        sent_at = time.monotonic()
        held = {running.session.run_id: running for running in self._running.values()}
        runs = [{"run_id": run_id, "lease_epoch": each.session.lease_epoch} for run_id, each in held.items()]
        body = {"worker_id": self.worker_id, "runs": runs}
        try:
            beaten = await told(_Beaten, self._transport, "/v1/worker/heartbeat", body, within_s=self._lease_s / 4)
        except ClientError as why:
            _log.warning("no heartbeat: %s", why)
            return
        for run_id, running in held.items():
            if run_id in beaten.lost:
                running.session.log.give_up()
            else:
                running.keep(sent_at + self._lease_s)
        self._heed(beaten)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _end(self) -> int:
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._drain_s)
        left = [running for running in self._running.values() if running.task is not None and not running.task.done()]
        for running in left:
            running.released = True
            if running.task is not None:
                running.task.cancel()
        if left:
            await asyncio.wait([running.task for running in left if running.task is not None], timeout=self._lease_s)
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(min(ANSWER_S, self._lease_s / 2)):
                await self._transport.send("POST", "/v1/worker/leave", body={"worker_id": self.worker_id})
        return len(left)


def _new_id() -> str:
    """Return an id that sorts by the time it was made (UUIDv7)."""
    ms = datetime.now(UTC).timestamp() * 1000
    return f"wrk_{int(ms):012x}7{uuid.uuid4().hex[13:]}"
