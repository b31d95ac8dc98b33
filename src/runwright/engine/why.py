"""Tell why a run is not executing, from where it stands: its state, its limits, its queue, and who could take it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from runwright.domain.lane import Lane, queue_key
from runwright.domain.presets import PROCESS
from runwright.domain.run import Run
from runwright.domain.workforce import Introduction, RemoteWorker
from runwright.engine.worker import Worker
from runwright.store.base import Store
from runwright.store.queries import places
from runwright.store.queries import workforce as q
from runwright.store.queries.approvals import ASKED
from runwright.store.queries.shapes import Slice, read

WORKERS_READ = 1000
_OF_PROCESSES = "give a server slots for it (RUNWRIGHT_PROCESS_SLOTS), or start a worker with --processes"
_names = msgspec.json.Decoder(tuple[str, ...]).decode


class FullLimit(msgspec.Struct, frozen=True):
    """The limit that a run waits for a slot of."""

    key: str
    used: int
    max: int


class Line(msgspec.Struct, frozen=True):
    """The queue that a run stands in; `before` counts up to 1 000 who come first, `workers` who is known to serve."""

    queue: str
    paused: bool
    before: int
    workers: int
    free_slots: int


class Why(msgspec.Struct, frozen=True):
    """Why a run is where it is: a stable code, a sentence, and what it stands on."""

    code: str
    message: str
    limit: FullLimit | None = None
    line: Line | None = None


class Explainer:
    """Answers for runs that the caller was shown. Workers inside other servers are not known here."""

    def __init__(self, store: Store, workers: Iterable[Worker], *, seen_within_us: int) -> None:
        self._store = store
        self._workers = tuple(workers)
        self._seen_within_us = seen_within_us

    async def why(self, run: Run, now: int) -> Why:
        """Return why a run is not executing, or that it is."""
        if run.state == "queued":
            return await (self._held(run, run.held_by) if run.held_by is not None else self._ready(run, now))
        return _standing(run)

    async def ages_s(self, lanes: Iterable[str], now: int) -> dict[str, float]:
        """Return queue → for how many seconds the run has been ready that is first in one of these lanes."""
        found: dict[str, float] = {}
        for lane in lanes:
            queue = Lane.parse(lane).queue
            for (since_at,) in await self._store.fetch(places.HEAD_SINCE, lane=lane):
                found[queue] = max(found.get(queue, 0.0), (now - since_at) / 1e6)
        return found

    async def asking(self) -> int:
        """Return how many runs wait for a person's answer, counted up to 1 000."""
        count: int = (await self._store.fetch(places.ASKING))[0][0]
        return count

    async def approving(self) -> int:
        """Return how many approvals wait for people, counted up to 1 000."""
        count: int = (await self._store.fetch(ASKED))[0][0]
        return count

    async def _held(self, run: Run, limit_key: str) -> Why:
        found = await self._store.fetch(places.LIMIT, limit_key=limit_key)
        used, size = found[0] if found else (0, 0)
        before = (await self._store.fetch(places.HELD_BEFORE, limit_key=limit_key, rank=run.rank or 0.0))[0][0]
        what = {"job": "its job", "key": "its concurrency key", "project": "its project"}[limit_key.partition(":")[0]]
        message = f"the limit of {what} is full ({used} of {size}), and {_many(before)} wait for it before this one"
        return Why("limit", message, FullLimit(limit_key, used, size))

    async def _ready(self, run: Run, now: int) -> Why:
        line = await self._line(run, now)
        if line.paused:
            return Why("queue_paused", f"the queue {line.queue!r} is paused; resume it", line=line)
        if not line.workers:
            served = f"handler {run.spec.handler!r}" if run.spec.handler else f"execution mode {run.spec.executor!r}"
            start = _OF_PROCESSES if run.spec.executor == PROCESS else "start one"
            message = f"no worker that is known here takes the {served} from the queue {line.queue!r}; {start}"
            return Why("no_worker", message, line=line)
        if not line.free_slots:
            message = f"every slot of its workers is busy, and {_many(line.before)} are before this one"
            return Why("workers_busy", message, line=line)
        return Why("ready", f"it is about to be claimed; {_many(line.before)} are before this one", line=line)

    async def _line(self, run: Run, now: int) -> Line:
        spec = run.spec
        lane = Lane.parse(spec.lane)
        paused = await self._store.fetch(q.PAUSED_QUEUE, queue=queue_key(spec.org_id, spec.queue))
        before = (await self._store.fetch(places.READY_BEFORE, lane=spec.lane, rank=run.rank or 0.0))[0][0]
        here = [worker for worker in self._workers if worker.serves(spec.lane) and not worker.draining]
        free = sum(max(worker.slots - worker.busy, 0) for worker in here)
        busy: dict[str, int] = dict(await self._store.fetch(q.BUSY))
        rows = await read(self._store, q.WORKERS, Slice(WORKERS_READ), org_id=spec.org_id)
        elsewhere = [worker for worker in map(q.worker, rows) if self._serves(worker, lane, now)]
        free += sum(max(worker.slots - busy.get(worker.worker_id, 0), 0) for worker in elsewhere)
        return Line(spec.queue, bool(paused), before, len(here) + len(elsewhere), free)

    def _serves(self, worker: RemoteWorker, lane: Lane, now: int) -> bool:
        alive = worker.gone_at is None and worker.drain_at is None and now - worker.seen_at <= self._seen_within_us
        said = Introduction(
            worker_id=worker.worker_id,
            org_id=worker.org_id,
            project_id=worker.project_id,
            name=worker.name,
            version=worker.version,
            sdk=worker.sdk,
            queues=_names(worker.queues),
            handlers=_names(worker.handlers),
            slots=worker.slots,
            processes=bool(worker.processes),
        )
        return alive and said.serves(lane)


def _standing(run: Run) -> Why:
    if run.terminal:
        return Why("ended", f"the run has ended: it is {run.state}")
    if run.state == "executing":
        asked = f"; it was asked to {run.stop} and has not confirmed" if run.stop is not None else ""
        return Why("executing", f"it is executing, attempt {run.attempt}{asked}")
    if run.state == "paused":
        return Why("paused", "it is paused; resume it")
    if run.state == "waiting" and run.spec.workflow is not None:
        return Why("waiting", "it waits for its steps")
    if run.state == "waiting" and run.wait is not None and run.wait.approval is not None:
        gate = run.wait.approval
        have, need = len(gate.approved_by), gate.required.quorum
        return Why("waiting", f"it waits for people to approve {gate.gate_id}: {have} of {need} have")
    if run.state == "waiting":
        what = "its sleep" if run.reason == "timer" else f"a matching {run.reason}"
        return Why("waiting", f"it waits for {what}")
    said = {"retry": f"attempt {run.attempt} failed; the next one is due", "delay": "its time has not come"}
    said["rate_limit"] = "its job lets in only so many runs within a time (rate_limit); it has its turn when it is due"
    return Why("scheduled", said.get(run.reason or "delay", f"it is not due yet: {run.reason}"))


def _many(count: int) -> str:
    return f"{count}+ runs" if count >= places.COUNTED else f"{count} runs"
