"""The metrics of one server: heard from `telemetry`, kept in tallies, written out for Prometheus at `/metrics`.

Whatever happens to runs is counted once a transaction of the commit, from what it wrote, whoever executed them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from runwright import telemetry
from runwright.domain.events import BEGINS, TERMINAL_TYPES
from runwright.domain.lane import Lane
from runwright.domain.run import Run
from runwright.engine.batch import Batch
from runwright.engine.engine import Engine
from runwright.errors import StoreError
from runwright.observability import catalogue as m
from runwright.observability.agents import EXHAUSTED, AgentTallies
from runwright.observability.approvals import ApprovalTallies
from runwright.observability.catalogue import Metric
from runwright.observability.courses import STEP_ENDED, CourseTallies
from runwright.observability.processes import OF_PROCESSES, ProcessTallies
from runwright.observability.relations import RelationTallies
from runwright.observability.scans import SCANNED, ScanTallies
from runwright.observability.tallies import Counter, Gauge, Histogram, Labels

_PHASES = ("dns", "tcp", "tls", "ttfb", "transfer")
Tally = TypeVar("Tally", Counter, Gauge, Histogram)


class Metrics:
    """Count what one engine and its surfaces do. `page` is what a scrape gets; `close` ends the listening."""

    def __init__(self, engine: Engine, *, streams_open: Callable[[], int], queues_max: int) -> None:
        """Listen from now on; queues beyond the `queues_max` longest are shown as one, `other`."""
        self._engine = engine
        self._queues_max = queues_max
        self._depths: dict[Labels, float] = {}
        self._ages: dict[Labels, float] = {}
        self._webhook_lag: dict[Labels, float] = {}
        self._inputs_waiting: dict[Labels, float] = {}
        self._approvals_pending: dict[Labels, float] = {}
        self._shown: list[Counter | Gauge | Histogram] = []
        self._commit_seconds = self._show(Histogram(m.COMMIT_SECONDS))
        self._commit_requests = self._show(Histogram(m.COMMIT_REQUESTS))
        self._commit_failures = self._show(Counter(m.COMMIT_FAILURES))
        self._events = self._show(Counter(m.EVENTS))
        self._created = self._show(Counter(m.RUNS_CREATED))
        self._ended = self._show(Counter(m.RUNS_ENDED))
        self._run_seconds = self._show(Histogram(m.RUN_SECONDS))
        self._retries = self._show(Counter(m.RETRIES))
        self._dead_letters = self._show(Counter(m.DEAD_LETTERS))
        self._bulk_items = self._show(Counter(m.BULK_ITEMS))
        self._queue_wait = self._show(Histogram(m.QUEUE_WAIT))
        self._start_delay = self._show(Histogram(m.START_DELAY))
        self._attempt_seconds = self._show(Histogram(m.ATTEMPT_SECONDS))
        self._dispatches = self._show(Counter(m.DISPATCHES))
        self._dispatch_seconds = self._show(Histogram(m.DISPATCH_SECONDS))
        self._lease_losses = self._show(Counter(m.LEASE_LOSSES))
        self._fences = self._show(Counter(m.FENCES))
        self._cron_fires = self._show(Counter(m.CRON_FIRES))
        self._cron_lateness = self._show(Histogram(m.CRON_LATENESS))
        self._cron_missed = self._show(Counter(m.CRON_MISSED))
        self._cron_overlaps = self._show(Counter(m.CRON_OVERLAPS))
        self._cron_refused = self._show(Counter(m.CRON_REFUSED))
        self._workflow_steps = self._show(Counter(m.WORKFLOW_STEPS))
        self._webhooks = self._show(Counter(m.WEBHOOK_DELIVERIES))
        self._loop_failures = self._show(Counter(m.LOOP_FAILURES))
        self._lagged = self._show(Counter(m.STREAMS_LAGGED))
        self._sockets_closed = self._show(Counter(m.SOCKETS_CLOSED))
        self._hints_sent = self._show(Counter(m.BUS_SENT))
        self._hints_missed = self._show(Counter(m.BUS_MISSED))
        self._bus_losses = self._show(Counter(m.BUS_LOSSES))
        self._bus_lag = self._show(Histogram(m.BUS_LAG))
        self._requests = self._show(Counter(m.HTTP_REQUESTS))
        self._request_seconds = self._show(Histogram(m.HTTP_SECONDS))
        self._evidence_seconds = self._show(Histogram(m.EVIDENCE_SECONDS))
        self._evidence_bytes = self._show(Histogram(m.EVIDENCE_BYTES))
        self._evidence_refused = self._show(Counter(m.EVIDENCE_REFUSED))
        self._deliveries = self._show(Counter(m.DELIVERIES))
        self._processes, self._relations, self._agents = ProcessTallies(), RelationTallies(), AgentTallies()
        self._approvals, self._scans, self._courses = ApprovalTallies(), ScanTallies(), CourseTallies()
        self._shown += self._processes.shown + self._relations.shown + self._agents.shown + self._approvals.shown
        self._shown += self._scans.shown + self._courses.shown
        self._show_gauges(streams_open)
        self._registry = CollectorRegistry()
        self._registry.register(_Ours(self._shown))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._hearers, self._told = self._all_hearers(), self._all_told()
        self._detach = telemetry.attach(self._hear, *self._hearers)

    async def page(self, accept: str | None) -> tuple[bytes, str]:
        """Return all metrics and their media type, by what the scraper accepts.

        The depths and ages of queues are left out while the store cannot say them, as are the lag of webhooks, the
        waiting inputs and the pending approvals.
        """
        try:
            lanes = await self._engine.store.depths()
            oldest = await self._engine.explainer.ages_s(list(lanes)[: self._queues_max], self._engine.clock.now())
            self._webhook_lag = {(): await self._engine.webhooks.deliveries.lag_s()}
            self._inputs_waiting = {(): float(await self._engine.explainer.asking())}
            self._approvals_pending = {(): float(await self._engine.explainer.approving())}
        except StoreError:
            lanes, oldest, self._webhook_lag, self._inputs_waiting, self._approvals_pending = {}, {}, {}, {}, {}
        self._ages = {(queue,): seconds for queue, seconds in oldest.items()}
        depths: dict[str, int] = {}
        for lane, count in lanes.items():
            queue = Lane.parse(lane).queue
            depths[queue] = depths.get(queue, 0) + count
        longest = sorted(depths.items(), key=lambda each: (-each[1], each[0]))
        self._depths = {(queue,): float(count) for queue, count in longest[: self._queues_max]}
        rest = sum(count for _, count in longest[self._queues_max :])
        if rest:
            self._depths["other",] = float(rest)
        encode, media_type = choose_encoder(accept or "")
        return encode(self._registry), media_type

    def close(self) -> None:
        """Hear no more."""
        self._detach()

    def _show(self, tally: Tally) -> Tally:
        self._shown.append(tally)
        return tally

    def _show_gauges(self, streams_open: Callable[[], int]) -> None:
        engine = self._engine
        samples: tuple[tuple[Metric, Callable[[], float]], ...] = (
            (m.COMMIT_BACKLOG, lambda: engine.commit.backlog),
            (m.COMMIT_BACKLOG_MAX, lambda: engine.settings.commit_backlog_max),
            (m.STREAMS_OPEN, streams_open),
            (m.BUS_CONNECTED, lambda: engine.bus is not None and engine.bus.connected),
            (m.BUS_PEERS, lambda: 0 if engine.bus is None else engine.bus.peers),
        )
        for metric, read in samples:
            self._show(Gauge(metric, _unlabelled(read)))
        self._show(Gauge(m.SLOTS, lambda: {(worker.executor,): worker.slots for worker in engine.workers}))
        self._show(Gauge(m.SLOTS_BUSY, lambda: {(worker.executor,): worker.busy for worker in engine.workers}))
        self._show(Gauge(m.QUEUE_DEPTH, lambda: self._depths))
        self._show(Gauge(m.QUEUE_AGE, lambda: self._ages))
        self._show(Gauge(m.WEBHOOK_LAG, lambda: self._webhook_lag))
        self._show(Gauge(m.INPUTS_WAITING, lambda: self._inputs_waiting))
        self._show(Gauge(m.APPROVALS_PENDING, lambda: self._approvals_pending))
        pools = engine.store.pools
        self._show(Gauge(m.CONNECTIONS, lambda: {(name,): pool.in_use for name, pool in pools.items()}))
        self._show(Gauge(m.CONNECTIONS_MAX, lambda: {(name,): pool.size for name, pool in pools.items()}))
        self._show(Gauge(m.CONNECTIONS_WANTED, lambda: {(name,): pool.waiting for name, pool in pools.items()}))
        self._show(Gauge(m.BUILD, lambda: {(version("runwright"),): 1.0}))

    def _all_hearers(self) -> dict[str, Callable[..., None]]:
        return {
            "commit.written": self._written,
            "commit.failed": lambda code: self._commit_failures.add((code,)),
            "attempt.began": self._began,
            "model.ended": self._agents.answered,
            "tool.ended": self._agents.made,
            "dispatch.ended": self._dispatched,
            "reaper.lost": lambda **_: self._lease_losses.add(),
            "reaper.fenced": lambda **_: self._fences.add(),
            "cron.fired": self._fired,
            "cron.missed": lambda fires, **_: self._cron_missed.add((), fires),
            "cron.skipped": lambda fires, **_: self._cron_overlaps.add(("skipped",), fires),
            "cron.cancelled": lambda **_: self._cron_overlaps.add(("cancelled",)),
            "cron.refused": lambda **_: self._cron_refused.add(),
            "workflow.advanced": self._advanced,
            "webhook.sent": lambda result: self._webhooks.add((result,)),
            "loop.failed": lambda loop, **_: self._loop_failures.add((loop,)),
            "loop.broken": lambda loop, **_: self._loop_failures.add((loop,)),
            "bus.sent": lambda hints: self._hints_sent.add((), hints),
            "bus.missed": lambda hints: self._hints_missed.add((), hints),
            "bus.lost": lambda **_: self._bus_losses.add(),
            "bus.heard": self._heard,
            "evidence.exported": self._exported,
            "delivery.ended": lambda action, code: self._deliveries.add((action, code)),
            "evidence.refused": lambda code, **_: self._evidence_refused.add((code,)),
            "stream.lagged": lambda **_: self._lagged.add(),
            "socket.closed": lambda code, **_: self._sockets_closed.add((str(code),)),
            "http.answered": self._answered,
        }

    def _all_told(self) -> dict[str, Callable[[Run, bytes | None], None]]:
        """Return who counts what the data of an event tell, by its type."""
        told: dict[str, Callable[[Run, bytes | None], None]] = {
            SCANNED: lambda run, data: self._scans.count(data),
            EXHAUSTED: lambda run, data: self._agents.exhausted(data),
            STEP_ENDED: self._courses.step,
        }
        return told | {kind: partial(self._process_told, kind) for kind in OF_PROCESSES}

    def _process_told(self, kind: str, run: Run, data: bytes | None) -> None:
        self._processes.count(kind, data)

    def _hear(self, name: str, fields: Mapping[str, Any]) -> None:
        self._hearers[name](**fields)

    def _written(self, batch: Batch, requests: int, seconds: float) -> None:
        self._commit_seconds.observe(seconds)
        self._commit_requests.observe(requests)
        runs = batch.after
        types: dict[str, int] = {}
        for run_id, events in batch.events.items():
            for event in events:
                kind = event.type
                types[kind] = types.get(kind, 0) + 1
                if event.seq == 1:
                    spec = runs[run_id].spec
                    self._created.add((spec.kind, spec.executor))
                    self._relations.born(spec)
                elif kind in BEGINS:
                    run = runs[run_id]
                    self._queue_wait.observe(run.queue_wait_us / 1e6, (run.spec.executor,))
                elif kind in self._told:
                    self._told[kind](runs[run_id], event.data)
            self._relations.moved(batch.before.get(run_id), runs[run_id])
            if events and events[-1].type in TERMINAL_TYPES:
                self._end(runs[run_id])
        for run_id in batch.asking:
            self._approvals.moved(batch.before.get(run_id), batch.events.get(run_id, ()))
        for kind, count in types.items():
            self._events.add((kind,), count)
        retries = types.get("run.retrying")
        if retries:
            self._retries.add((), retries)
        for operation in batch.changes.batches:
            if operation.finished_at is not None:  # one in several parts is told with each of them
                self._bulk_items.add((operation.verb, "done"), operation.created_count)
                self._bulk_items.add((operation.verb, "refused"), operation.item_count - operation.created_count)
        for attempt in batch.changes.attempts:
            took = max(attempt.ended_at - attempt.started_at, 0) / 1e6
            self._attempt_seconds.observe(took, (attempt.executor, attempt.outcome))

    def _end(self, run: Run) -> None:
        self._courses.end(run)
        kind, state = run.spec.kind, run.state
        self._ended.add((kind, state, run.reason or ""))
        self._run_seconds.observe(max(run.since_at - run.spec.created_at, 0) / 1e6, (kind, state))
        if run.dead_lettered_at is not None:
            self._dead_letters.add()

    def _began(self, run: Run, now: int) -> None:
        self._start_delay.observe(max(now - run.since_at, 0) / 1e6, (run.spec.executor,))

    def _dispatched(self, status: int | None, code: str | None, phases: Any) -> None:
        result = f"{status // 100}xx" if status is not None else "given_up" if code is None else "fault"
        self._dispatches.add((result,))
        if phases is not None:
            for phase in _PHASES:
                self._dispatch_seconds.observe(getattr(phases, f"{phase}_us") / 1e6, (phase,))

    def _heard(self, seconds: float) -> None:
        self._bus_lag.observe(seconds)

    def _exported(self, profile: str, form: str, seconds: float, bytes: int) -> None:
        self._evidence_seconds.observe(seconds, (profile, form))
        self._evidence_bytes.observe(bytes, (form,))

    def _advanced(self, steps: Iterable[str], **_: Any) -> None:
        for done in steps:
            self._workflow_steps.add((done,))

    def _fired(self, late_us: int, **_: Any) -> None:
        self._cron_fires.add()
        self._cron_lateness.observe(late_us / 1e6)

    def _answered(self, method: str, route: str, status: int | None, seconds: float, **_: Any) -> None:
        shown = "aborted" if status is None else f"{status // 100}xx"
        self._requests.add((method, route, shown))
        self._request_seconds.observe(seconds, (method, route))


def _unlabelled(read: Callable[[], float]) -> Callable[[], dict[Labels, float]]:
    return lambda: {(): float(read())}


class _Ours(Collector):
    """Hands what the tallies hold to the registry of the library."""

    def __init__(self, shown: Iterable[Counter | Gauge | Histogram]) -> None:
        self._shown = shown

    def collect(self) -> Iterable[Family]:
        """Return everything, one family a metric."""
        return [tally.family() for tally in self._shown]

    def describe(self) -> Iterable[Family]:
        """Return nothing: the catalogue has no two metrics of one name."""
        return []
