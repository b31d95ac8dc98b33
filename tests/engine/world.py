"""An engine over a real store, under a clock that stands still until a test moves it.

The loops do not run by themselves: a test starts them, or asks for one round of one loop. A world can crash: then
everything that lived in memory is gone, and another world over the same database finds what was durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from runwright import config
from runwright.auth.keyring import Keyring
from runwright.client.handlers import Handler
from runwright.client.worker import Worker as Handlers
from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain import pruning
from runwright.domain.accounts import Project
from runwright.domain.chain import genesis, verify
from runwright.domain.events import TERMINAL_TYPES, Event
from runwright.domain.fold import fold
from runwright.domain.job import Job, JobDefinition
from runwright.domain.lane import queue_key
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run, StopKind
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.attempt import Executor
from runwright.engine.engine import Engine
from runwright.engine.loops import Loop
from runwright.engine.orders import Order
from runwright.engine.reader import Reader
from runwright.engine.requests import Submitted, Take
from runwright.executors.courier import DispatchingCourier
from runwright.executors.dispatch import Bounds, Dispatcher
from runwright.executors.python import PythonExecutor
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Record, Transaction
from runwright.store.queries.auth import INSERT_PROJECT
from runwright.store.queries.auth import PROJECT as PROJECT_ROW
from tests.engine.databases import Database, SqliteDatabase
from tests.waiting import until

ADMIN = Actor(kind="user", id="user_1", org_id="org_1", scopes=frozenset({"admin"}))
PROJECT = Project("proj_1", "org_1", "default", "Default", 1.0, None, 0)
MASTER_KEY = "00" * 32
SECOND = 1_000_000
PATIENCE_S = 20.0
AGAIN_S = 0.5


class World:
    """One process with an engine in it."""

    def __init__(
        self,
        directory: Path,
        clock: FrozenClock,
        handlers: Iterable[Handler[..., Any]],
        database: Database | None = None,
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.settings = config.load({}, overrides={"data_dir": directory, **settings})
        self.database = database or SqliteDatabase(directory)
        self.store = self.database.make(clock)
        self.opened = False
        self.redactor = Redactor(["hunter2-the-secret"])
        self.artifacts = FileArtifacts(directory / "artifacts", self.settings.artifact_max_bytes, clock)
        self._handlers = tuple(handlers)
        self.executor: PythonExecutor | None = None
        self.beside: list[tuple[Executor, int]] = []
        self.engine: Engine

    async def open(self) -> World:
        """Open the store and put the engine together; nothing runs yet."""
        await self.store.open()
        self.opened = True
        self.keyring = await Keyring.unlock(self.store, MASTER_KEY, None)
        for project_id in ("proj_1", "proj_2", "proj_3"):
            await self.keyring.ensure(project_id)
            slug = PROJECT.slug if project_id == PROJECT.project_id else project_id
            await self._found(msgspec.structs.replace(PROJECT, project_id=project_id, slug=slug))
        self.executor = (
            PythonExecutor([Handlers(self._handlers)], queues=self.settings.worker_queues, threads=8)
            if self._handlers
            else None
        )
        private = self.settings.allow_private_endpoints
        self.dispatcher = Dispatcher(self.clock, Bounds(), allow_private=private)
        self.engine = Engine(
            self.store,
            self.clock,
            self.settings,
            sealer=self.keyring,
            artifacts=self.artifacts,
            redactor=self.redactor,
            executors=[*([(self.executor, self.settings.slots)] if self.executor is not None else []), *self.beside],
            courier=DispatchingCourier(self.dispatcher, self.clock),
        )
        return self

    async def _found(self, project: Project) -> None:
        async def work(tx: Transaction) -> None:
            if not await tx.fetch(PROJECT_ROW, org_id=project.org_id, project_id=project.project_id):
                await tx.fetch(INSERT_PROJECT, **msgspec.structs.asdict(project))

        await self.store.write(work)

    async def close(self) -> None:
        """End in order."""
        await self.engine.drain()
        await self.dispatcher.close()
        await self.store.close()
        self.opened = False
        if self.executor is not None:
            self.executor.close()

    async def crash(self) -> None:
        """Lose everything that is not durable: no drain, no farewell to the database."""
        await self._end(self.database.crash)

    async def leave(self) -> None:
        """Do the same at the end of a test, and keep what leads to the database for the next one."""
        await self._end(self.database.leave)

    async def _end(self, let_go: Callable[[], Awaitable[None]]) -> None:
        await self.abandon()
        await let_go()
        self.opened = False
        if self.executor is not None:
            self.executor.close()

    async def abandon(self) -> None:
        """Let go of all that is under way; the database is there still."""
        here = asyncio.current_task()
        lost = [task for task in asyncio.all_tasks() if task is not here and task.get_name() in self._task_names()]
        lost += [task for attempt in self.attempts() if (task := attempt.task) is not None]
        while lost:
            for task in lost:
                task.cancel()  # once more, if it was clearing up: that is done to the end, whoever cancels meanwhile
            lost = [*(await asyncio.wait(lost, timeout=AGAIN_S))[1]]
        await self.dispatcher.close()

    def attempts(self) -> list[Any]:
        """Return what executes now."""
        return [attempt for worker in self.engine.workers for attempt in worker._running.values()]

    def _task_names(self) -> set[str]:
        return {"commit", "emitter", "webhook", *(loop.name for loop in self.engine.loops)}

    # --- jobs and runs ------------------------------------------------------------------------------------------------

    def job(self, slug: str = "greet", *, project: Project = PROJECT, **definition: Any) -> Job:
        """Return a job of a project."""
        now = self.clock.now()
        usual: dict[str, Any] = {"retry_strategy": "fixed", "retry_jitter": "none"}
        made = msgspec.convert({"name": slug, "slug": slug, **usual, **definition}, JobDefinition)
        return Job(
            job_id=f"job_{project.project_id}_{slug}",
            org_id=project.org_id,
            project_id=project.project_id,
            version=1,
            job_version_id="jobv_1",
            definition=made,
            created_at=now,
            updated_at=now,
        )

    def order(self, job: Job, project: Project = PROJECT, **order: Any) -> c.Submit:
        """Return the command that makes a run of a job."""
        made = Order(**order)
        return self.engine.submitter.command(ADMIN, project, job, made, request_id="req_1", trace_id="t" * 32)

    async def submit(self, job: Job, project: Project = PROJECT, **order: Any) -> str:
        """Make a run of a job and return its id."""
        return (await self.submitted(job, project, **order)).run_id

    async def submitted(self, job: Job, project: Project = PROJECT, **order: Any) -> Submitted:
        """Make a run of a job and return the whole answer."""
        answer: Submitted = await self.engine.commit.apply(self.order(job, project, **order))
        return answer

    async def take(self, count: int = 1, worker_id: str = "wrk-1", queue: str = "default") -> list[Run]:
        """Claim runs for a worker that is only a name."""
        runs: list[Run] = await self.engine.commit.apply(Take(await self.lanes(queue), count, worker_id))
        return runs

    async def lanes(self, queue: str = "default") -> tuple[str, ...]:
        """Return the lanes of a queue that hold ready runs."""
        return tuple(await self.store.lanes(queue_key("org_1", queue)))

    async def finish(self, run: Run, outcome: o.Outcome, **more: Any) -> Run:
        """End an attempt under the lease of `run`."""
        ended: Run = await self.engine.commit.apply(c.Finish(run.run_id, run.lease_epoch, outcome, 0.5, **more))
        return ended

    async def stop(self, run_id: str, kind: StopKind = "cancel") -> Run:
        """Ask a run to stop, and do not wait for it."""
        run: Run = await self.engine.commit.apply(c.Stop(run_id, kind, Cause(ADMIN.label)))
        return run

    async def resume(self, run_id: str) -> Run:
        """Let a paused run go on."""
        run: Run = await self.engine.commit.apply(c.Resume(run_id, Cause(ADMIN.label)))
        return run

    async def record(self, run_id: str) -> Record:
        """Return a run as it is stored."""
        found = await self.store.record(run_id)
        assert found is not None, run_id
        return found

    async def run(self, run_id: str) -> Run:
        """Return where a run stands, as it is stored."""
        return (await self.record(run_id)).run

    async def state(self, run_id: str) -> str:
        """Return the state of a run."""
        return (await self.run(run_id)).state

    async def events(self, run_id: str) -> list[Event]:
        """Return the whole log of a run."""
        return await self.store.events(run_id, 0, 100_000)

    async def types(self, run_id: str) -> list[str]:
        """Return the types of a run's events."""
        return [event.type for event in await self.events(run_id)]

    async def data(self, run_id: str, type: str) -> dict[str, Any]:
        """Return the data of the last event of a type."""
        found: dict[str, Any] = msgspec.json.decode(
            [e.data or b"" for e in await self.events(run_id) if e.type == type][-1]
        )
        return found

    async def data_of(self, run_id: str, type: str, name: str) -> list[Any]:
        """Return one field of each event of a type."""
        return [msgspec.json.decode(e.data or b"")[name] for e in await self.events(run_id) if e.type == type]

    def reader(self, actor: Actor = ADMIN) -> Reader:
        """Return what a caller may read."""
        return self.engine.reader(actor)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what SQL says of the durable state."""
        return self.database.rows(statement, *values)

    # --- time ---------------------------------------------------------------------------------------------------------

    async def round_of(self, loop: Loop) -> None:
        """Do one round of a loop, here and now."""
        await loop._once()

    async def past(self, seconds: float) -> None:
        """Let time pass, and let the scheduler do what has come due."""
        self.clock.advance(seconds)
        await self.round_of(self.engine.scheduler.loop)

    async def reap(self, seconds: float = 0) -> None:
        """Let time pass, and let the reaper look."""
        self.clock.advance(seconds)
        await self.round_of(self.engine.reaper.loop)

    # --- what must always hold ----------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Check every run that is stored: see `check_run` and `check_tables`."""
        runs = [(await self.record(run_id)).run for (run_id,) in self.rows("SELECT run_id FROM runs ORDER BY run_id")]
        for run in runs:
            await self.check_run(run)
        check_tables(self, runs)

    async def check_run(self, run: Run) -> None:
        """Check one run against its log: gapless, verified, folded into what it says, terminal event last."""
        events = await self.events(run.run_id)
        opening, root, pruned_at, way = self.rows(
            "SELECT opening, genesis, pruned_at, pruned_way FROM runs WHERE run_id = ?", run.run_id
        )[0]
        if pruned_at is not None:
            assert run.terminal, run
            assert events == [], run
            left = pruning.Remains(
                run.finished_at or 0, (root or genesis(opening)).hex(), run.hash.hex(), run.run_id, run.seq, run.state
            )
            told = self.rows("SELECT action FROM audit WHERE target = ?", pruning.root(left, way))
            assert told == [(pruning.ACTION,)], run
            return
        assert [event.seq for event in events] == list(range(1, run.seq + 1)), run
        assert verify(root or genesis(opening), (event.link() for event in events), run.hash) is None, run
        if root is not None:
            return  # its data were erased: the log tells no state any more
        folded = fold(events)
        assert (folded.state, folded.reason, folded.attempt) == (run.state, run.reason, run.attempt), (folded, run)
        assert (folded.lease_epoch, folded.due_at) == (run.lease_epoch, run.due_at), (folded, run)
        ends = [event.seq for event in events if event.type in TERMINAL_TYPES]
        assert ends == ([run.seq] if run.terminal else []), run
        assert all(a.created_at <= b.created_at for a, b in pairwise(events)), run


def check_tables(world: World, runs: list[Run]) -> None:
    """Check the narrow tables against the runs that they are about: nothing missing, nothing left over."""
    live = {run.run_id: run for run in runs if not run.terminal}
    queued = {run_id: run for run_id, run in live.items() if run.state == "queued"}
    assert ids_in(world, "run_heads") == sorted(live)
    ready = world.rows("SELECT run_id, lane, rank FROM ready ORDER BY run_id")
    wanted = [(i, r.spec.lane, r.rank) for i, r in sorted(queued.items()) if r.held_by is None]
    assert ready == wanted, "the ready runs are exactly the queued ones that own their slots"
    held = world.rows("SELECT run_id, limit_key, rank FROM held ORDER BY run_id")
    assert held == [(i, r.held_by, r.rank) for i, r in sorted(queued.items()) if r.held_by is not None]
    leases = world.rows("SELECT run_id, lease_epoch, worker_id, fence_at IS NOT NULL FROM leases ORDER BY run_id")
    executing = [
        (i, r.lease_epoch, r.worker_id, r.stop is not None) for i, r in sorted(live.items()) if r.state == "executing"
    ]
    assert leases == executing, "one lease for each executing run, and none for any other"
    kept = world.rows("SELECT run_id, name, at FROM timers ORDER BY run_id, name")
    assert kept == sorted((i, name, at) for i, run in live.items() for name, at in timers_of(run).items())
    waits = world.rows("SELECT run_id, event_key FROM signal_waits ORDER BY run_id")
    awaited = [(i, run.wait.key) for i, run in sorted(live.items()) if run.wait is not None and run.wait.on == "event"]
    assert waits == awaited, "whoever waits for an event can be found by it, and nobody else"
    amounts = dict(world.rows("SELECT budget_key, sum(amount_microusd) FROM reservations GROUP BY budget_key"))
    reserved = dict(world.rows("SELECT budget_key, reserved_microusd FROM budgets WHERE reserved_microusd <> 0"))
    assert reserved == {key: int(amount) for key, amount in amounts.items() if amount}, "all that is reserved is held"
    calls = {(i, run.usage.open.llm_call_id) for i, run in live.items() if run.usage.open is not None}
    assert calls.issuperset(world.rows("SELECT run_id, llm_call_id FROM reservations")), "and held by calls under way"
    owners: dict[str, int] = {}
    for run in live.values():
        for limit in run.spec.limits if run.owns_slots else ():
            owners[limit.key] = owners.get(limit.key, 0) + 1
    used = {key: used for key, used in world.rows("SELECT limit_key, used FROM limits") if used}
    assert used == owners, "used slots are owned, and owned slots are used"


def timers_of(run: Run) -> dict[str, int]:
    """Return the timers that a run must have: said again here, so that it is said twice."""
    found = {}
    if run.state in ("scheduled", "waiting") and run.due_at is not None:
        found["due"] = run.due_at
    if run.state in ("scheduled", "queued") and run.expires_at is not None and run.started_at is None:
        found["expire"] = run.expires_at
    return found


def ids_in(world: World, table: str) -> list[str]:
    """Return the run ids of a narrow table."""
    return [run_id for (run_id,) in world.rows(f"SELECT run_id FROM {table} ORDER BY run_id")]


def failed(error_class: str = "ValueError", message: str = "boom", **given: Any) -> o.Failed:
    """Return the outcome of an attempt that failed."""
    return o.Failed(error_class=error_class, message=Redactor().text(message), **given)


async def all_ended(world: World) -> None:
    """Let time go on until no run is live any more."""
    async with asyncio.timeout(PATIENCE_S):
        while world.rows("SELECT run_id FROM run_heads LIMIT 1"):
            world.clock.advance(0.001)
            await asyncio.sleep(0)
    await settled(world)


async def settled(world: World) -> None:
    """Return when the commit has answered everything and everybody had a turn to say more."""
    for _ in range(3):
        await world.engine.commit.idle()
        for _ in range(10):
            await asyncio.sleep(0)
            await until(lambda: world.database.quiet)
    await world.engine.commit.idle()


def lines(event: Event) -> bytes:
    """Encode an event as a follower might want it."""
    return b"%d %s %s\n" % (event.seq, event.type.encode(), event.data)
