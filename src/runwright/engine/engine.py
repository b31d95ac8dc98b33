"""The engine: the verbs and the loops of runs, put together over a store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import partial

from runwright import ids
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.errands import Errand
from runwright.domain.hints import Kept
from runwright.domain.ports import ArtifactStore, Bus, ProjectSealer
from runwright.domain.redaction import Redactor
from runwright.domain.tenancy import Actor
from runwright.engine.amend import Amend
from runwright.engine.attempt import Executor
from runwright.engine.batch import Terms
from runwright.engine.batches import Batches
from runwright.engine.bulk import Bulk
from runwright.engine.calls import Calls
from runwright.engine.chains import Chains
from runwright.engine.commit import Commit
from runwright.engine.control import Control
from runwright.engine.cron import CronLoop, CronTerms
from runwright.engine.dependencies import Dependencies, Known
from runwright.engine.emitter import Emitter
from runwright.engine.feed import Feed
from runwright.engine.fleet import Fleet
from runwright.engine.flows import Flows
from runwright.engine.inbox import Handler, Inbox
from runwright.engine.jobs import Jobs
from runwright.engine.loops import Loop
from runwright.engine.meeting import Rules
from runwright.engine.memory import Memory
from runwright.engine.neighbours import Neighbours
from runwright.engine.operations import Operations
from runwright.engine.postman import Courier
from runwright.engine.queues import Queues
from runwright.engine.reach import Reach
from runwright.engine.reader import Reader
from runwright.engine.reaper import Reaper
from runwright.engine.relations import Relations
from runwright.engine.releases import Releases
from runwright.engine.replays import Replays
from runwright.engine.requests import Committed
from runwright.engine.scheduler import Scheduler
from runwright.engine.schedules import Schedules
from runwright.engine.schema import JobSchemas
from runwright.engine.signing_secrets import SigningSecrets
from runwright.engine.steady import Steady
from runwright.engine.stream import Hub
from runwright.engine.submit import Submitter
from runwright.engine.tape import Limits
from runwright.engine.values import Values
from runwright.engine.vault import Vault
from runwright.engine.waits import Waits
from runwright.engine.watched import Watched
from runwright.engine.webhooks import Webhooks
from runwright.engine.why import Explainer
from runwright.engine.worker import Worker
from runwright.engine.workforce import Workforce
from runwright.store.base import Store
from runwright.telemetry import report


class Engine:
    """Everything that happens to runs in this process. Each of `executors`, with so many slots, makes it a worker.

    With a `bus` it is one of several processes that work on the same store. Without a `courier` it sends no webhooks.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        *,
        sealer: ProjectSealer,
        artifacts: ArtifactStore,
        redactor: Redactor,
        executors: Iterable[tuple[Executor, int]] = (),
        bus: Bus | None = None,
        courier: Courier | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self.watched = Watched()
        believed_s = math.inf if bus is None else settings.bus_poll_s
        self.vault = Vault(store, clock, settings, sealer, redactor, believed_s)
        most = (settings.value_inline_max_bytes, settings.body_max_bytes, settings.state_value_max_bytes)
        self.values = Values(self.vault, sealer, artifacts, *most)
        ttl_us = int(settings.idempotency_ttl_h * 3_600_000_000)
        self.commit = self._commit(clock, ttl_us)
        self.hub = Hub.of(settings, store, clock)
        self.schemas = JobSchemas(store)
        secrets = SigningSecrets(store, sealer)
        changed = partial(self.changed, "webhooks")
        self.webhooks = Webhooks(store, clock, settings, secrets, self.vault.redactors, self.watched, courier, changed)
        self.jobs = self._jobs(secrets, ttl_us)
        self.caches: dict[Kept, Callable[[], None]] = {"jobs": self._forget_jobs, "webhooks": self.webhooks.forget}
        self._graph(clock, ttl_us)
        self.relations = Relations(store, clock, settings, self.commit, self.values, self.submitter, self.jobs)
        self.reach = Reach(self.relations.spawner, self._memory(clock))
        self.control = Control(self.commit, self.hub, self.vault.redactors)
        self._operate(clock)
        steady = Steady(clock, settings.lease_s)
        self.scheduler = Scheduler(store, self.commit, clock, steady, batch=settings.scheduler_batch)
        self.reaper = Reaper.of(settings, store, self.commit, clock, steady)
        self.cron = self._cron(sealer, clock, steady)
        self.schedules = Schedules(store, clock)
        self.inbox = Inbox(store, clock, self._errands(), batch=settings.inbox_batch)
        self.feed = Feed(store, window_max=settings.feed_window)
        self.operations = Operations(store, clock, settings, artifacts, self.webhooks)
        self.pruner = self.operations.pruner
        self.emitter = self._emitter(clock)
        self.fleet = self._fleet(clock, believed_s)
        self.calls = Calls(self.fleet, store, self.values)
        self.waits = Waits(self.fleet, store, self.values, self.relations.spawner, clock)
        self.workforce = Workforce(store, self._drained)
        self.queues = Queues(store, self._wake)
        self.workers = tuple(self._worker(executor, slots, clock) for executor, slots in executors)
        self.bus = bus
        self.neighbours = None if bus is None else self._neighbours(bus, clock)
        self._listen()

    def _graph(self, clock: Clock, idempotency_ttl_us: int) -> None:
        """Make what makes runs, and what releases some because of others."""
        store, commit, values = self.store, self.commit, self.values
        commit.awaited = self.known = Known(store)
        self.dependencies = Dependencies(store, idempotency_ttl_us, self._dependencies_changed)
        self.releases = self._releases(clock)
        self.submitter = Submitter(commit, values, self.schemas, self.vault.redactors, clock, self.known)
        self.flows = Flows(store, clock, self.settings, commit, values, self.submitter, self.vault.redactors)
        self.chains = Chains(store, commit, self.submitter, values, depth_max=self.settings.chain_depth_max)

    def _operate(self, clock: Clock) -> None:
        """Put together what operators do to runs: change them, do them again, both to many at once."""
        self.amend = Amend(self.store, self.commit, self.values, self.schemas)
        self.replays = Replays(self.jobs, self.flows, self.submitter, self.values)
        self.bulk = Bulk(self.commit, clock, self.vault.redactors, chunk=self.settings.commit_batch_max)

    @property
    def batches(self) -> Batches:
        """Return the reads of what bulk verbs did."""
        return Batches(self.store)

    @property
    def explainer(self) -> Explainer:
        """Return who tells why runs are not executing."""
        seen_within_s = 2 * self.settings.lease_s + self.settings.claim_wait_s
        return Explainer(self.store, self.workers, seen_within_us=int(seen_within_s * 1e6))

    def _listen(self) -> None:
        """Let everybody hear of transactions who follows what is committed."""
        self.commit.workers = self.workers
        self.commit.listeners += [self._tell_workers, self.fleet.committed, self.hub.committed, self.feed.committed]
        self.commit.listeners += [self.scheduler.committed, self.reaper.committed, self.inbox.committed]
        if self.neighbours is not None:
            self.commit.listeners.append(self.neighbours.committed)

    def _jobs(self, secrets: SigningSecrets, idempotency_ttl_us: int) -> Jobs:
        return Jobs(
            self.store,
            secrets,
            idempotency_ttl_us,
            allow_private=self.settings.allow_private_endpoints,
            schema_max_bytes=self.settings.schema_max_bytes,
            tell=self._jobs_changed,
        )

    def _neighbours(self, bus: Bus, clock: Clock) -> Neighbours:
        return Neighbours(
            self.store,
            bus,
            clock,
            hub=self.hub,
            feed=self.feed,
            fleet=self.fleet,
            workforce=self.workforce,
            workers=self.workers,
            caches=self.caches,
            every_s=self.settings.bus_poll_s,
        )

    def _commit(self, clock: Clock, idempotency_ttl_us: int) -> Commit:
        settings = self.settings
        return Commit(
            self.store,
            clock,
            Terms(int(settings.lease_s * 1e6), int(settings.stop_grace_s * 1e6), self.watched),
            self.values.hand_over,
            Rules(settings.signal_wakes_max, settings.signals_kept_max, int(settings.signals_kept_h * 3.6e9)),
            batch_max=settings.commit_batch_max,
            backlog_max=settings.commit_backlog_max,
            idempotency_ttl_us=idempotency_ttl_us,
        )

    def _errands(self) -> dict[Errand, Handler]:
        """Return who does which errand: one for each kind that there is, but what `governance` attends to."""
        return {
            "cancel_children": self.relations.children.cancel,
            "release": self.releases.release,
            "depend": self.releases.depend,
            "chain": self.chains.follow,
            "wake_parent": self.relations.children.tell_parent,
            "advance": self.flows.advances.advance,
        }

    def _releases(self, clock: Clock) -> Releases:
        settings = self.settings
        return Releases(
            self.store,
            self.commit,
            self.known,
            clock,
            scan=settings.dependency_scan,
            every_s=settings.dependency_poll_s,
        )

    def _memory(self, clock: Clock) -> Memory:
        return Memory(
            self.store,
            self.values,
            clock,
            value_max_bytes=self.settings.memory_value_max_bytes,
            max_bytes=self.settings.memory_max_bytes,
            keys_max=self.settings.memory_keys_max,
        )

    def _fleet(self, clock: Clock, believed_s: float) -> Fleet:
        return Fleet(
            self.store,
            self.commit,
            self.emitter,
            self.values,
            self.schemas,
            clock,
            self.reach,
            lease_s=self.settings.lease_s,
            attempts_max=self.settings.remote_attempts_max,
            believed_s=believed_s,
        )

    def _emitter(self, clock: Clock) -> Emitter:
        settings = self.settings
        return Emitter(
            self.commit,
            self.vault.redactors,
            clock,
            flush_s=settings.emit_flush_ms / 1000,
            flush_bytes=settings.emit_flush_bytes,
            buffer_max_bytes=settings.emit_buffer_max_bytes,
            limits=Limits(settings.terminal_command_max_bytes, settings.terminal_attempt_max_bytes),
            patience_s=settings.lease_s,
        )

    def _cron(self, sealer: ProjectSealer, clock: Clock, steady: Steady) -> CronLoop:
        settings = self.settings
        terms = CronTerms(
            batch=settings.cron_batch,
            catch_up_max=settings.cron_catch_up_max,
            late_us=int(settings.cron_late_s * 1e6),
            poll_s=settings.cron_poll_s,
        )
        return CronLoop(self.store, self.commit, self.submitter, sealer, clock, steady, terms)

    def _worker(self, executor: Executor, slots: int, clock: Clock) -> Worker:
        return Worker(
            "local-" + ids.new_id("wrk", clock.now()),
            executor,
            self.commit,
            self.store,
            self.emitter,
            self.values,
            self.schemas,
            clock,
            self.reach,
            slots=slots,
            lease_s=self.settings.lease_s,
            heartbeat_s=self.settings.heartbeat_s,
        )

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Return the loops of this process, in the order in which they are started."""
        own = [loop for worker in self.workers for loop in worker.loops]
        looking = (self.reaper.loop, self.scheduler.loop, self.cron.loop, self.inbox.loop)
        graph = (self.releases.loop, self.flows.advances.loop)
        others = () if self.neighbours is None else (self.neighbours.loop,)
        return (*looking, *graph, *self.operations.loops, *self.webhooks.loops, *own, *others)

    def _jobs_changed(self) -> None:
        self.cron.loop.wake()
        self.changed("jobs")

    async def _dependencies_changed(self) -> None:
        await self.known.refresh()
        self.inbox.loop.wake()
        self.changed("jobs")

    def _forget_jobs(self) -> None:
        self.jobs.directory.forget()
        self.releases.loop.wake()
        self.cron.loop.wake()

    def reader(self, actor: Actor) -> Reader:
        """Return the reads that this caller may make."""
        return Reader(self.store, self.values, actor, scan_budget=self.settings.scan_budget)

    def start(self) -> None:
        """Start the loops."""
        for worker in self.workers:
            report("worker.started", worker_id=worker.worker_id, slots=worker.slots)
        for loop in self.loops:
            loop.start()
        if self.bus is not None and self.neighbours is not None:
            self.bus.open(self.neighbours.heard)

    async def drain(self) -> int:
        """Let running attempts finish, or hand them back, then stop the loops; return how many were handed back."""
        left = await self.drain_workers()
        await asyncio.gather(*(loop.stop() for loop in self.loops))
        await asyncio.gather(self.commit.idle(), self.webhooks.idle())
        if self.bus is not None:
            await self.bus.close()
        await asyncio.gather(self.hub.close(), self.feed.close())
        return left

    async def drain_workers(self) -> int:
        """Let running attempts finish, or hand them back; return how many were handed back."""
        self.fleet.close()
        return sum(await asyncio.gather(*(worker.drain(self.settings.drain_s) for worker in self.workers)))

    def _wake(self, lanes: Iterable[str]) -> None:
        ready = set(lanes)
        for worker in self.workers:
            worker.wake(ready)
        self.fleet.wake(ready)
        if self.neighbours is not None:
            self.neighbours.wake(ready)

    def changed(self, kept: Kept) -> None:
        """Let other processes know that what they keep in memory was changed here."""
        if self.neighbours is not None:
            self.neighbours.changed(kept)

    def _drained(self, worker_id: str) -> None:
        if self.neighbours is not None:
            self.neighbours.drained(worker_id)

    def _tell_workers(self, done: Committed) -> None:
        for worker in self.workers:
            if done.ready:
                worker.wake(done.ready)
            for run in done.stops:
                if run.stop is not None:
                    worker.stop(run.run_id, run.lease_epoch, run.stop)
