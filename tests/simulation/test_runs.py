"""All that can happen to runs, in any order, with crashes and jumping clocks, and what must hold after each step.

`RUNWRIGHT_TEST_SOAK=<examples>` makes a long campaign of new random cases; without it the cases are always the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from runwright import ids
from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.lane import Lane
from runwright.domain.run import TERMINAL, Run, ValueRef, Wait
from runwright.domain.tenancy import Cause
from runwright.engine.requests import Request, Submitted, Take
from runwright.errors import Error, IdempotencyMismatch, InvalidTransition, NotFound, StaleLease, StoreUnavailable
from runwright.store.base import Transaction
from tests.domain.specimens import log_line, text
from tests.engine.databases import DATABASES
from tests.engine.world import PROJECT, SECOND, World, failed, settled

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
SEED = secrets.randbits(64) if SOAK else 0
"""One for both databases: else each would draw its own from the name of its class."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 10 * SOAK)]

T = TypeVar("T")
P = ParamSpec("P")

NARROW = Project("proj_2", "org_1", "narrow", "Narrow", 3.0, 2, 0)
CAUSE = Cause("user:user_1", "because")
JOBS: dict[str, tuple[Project, dict[str, Any]]] = {
    "free": (PROJECT, {"max_attempts": 3, "poison_pill_threshold": 2}),
    "single": (PROJECT, {"max_attempts": 1, "run_ttl_secs": 500}),
    "narrow": (PROJECT, {"max_concurrency": 1, "max_attempts": 2}),
    "keyed": (NARROW, {"max_concurrency": 3, "max_concurrency_per_key": 1, "max_attempts": 5}),
    "slow": (NARROW, {"queue": "slow", "retry_initial_delay_secs": 0}),
}
QUEUES = ("default", "slow")
LANES = {
    queue: tuple(
        Lane("org_1", queue, project.project_id, "worker", slug).key
        for slug, (project, definition) in JOBS.items()
        if definition.get("queue", "default") == queue
    )
    for queue in QUEUES
}
ORDERS = st.fixed_dictionaries(
    {
        "job": st.sampled_from(sorted(JOBS)),
        "delay": st.sampled_from([None, None, 1, 40]),
        "ttl_secs": st.sampled_from([None, None, 20]),
        "priority": st.sampled_from([None, 0, 10]),
        "concurrency_key": st.sampled_from([None, "x", "y"]),
        "idempotency_key": st.sampled_from([None, None, None, "k1", "k2"]),
        "parent": st.one_of(st.none(), st.integers(0, 50)),
        "depends": st.sampled_from([None, None, None, 30, 10**6]),
    }
)
WHICH = st.integers(0, 1000)
VERBS = st.sampled_from(
    ["pause", "resume", "restart", "cancel", "take", "finish", "append", "submit", "due", "expire", "lose", "wake"]
)
BOUNCES = st.permutations(["pause", "resume", "take", "finish", "wake"])
OUTCOMES = st.sampled_from(
    ["completed", "failed", "another failure", "rejected", "parked", "waits", "waits for ever", "stopped", "released"]
)
KEYS = ("red", "blue")


class Hands:
    """The worker in the process, as the commit knows it: it takes runs into free slots, and a test does their work."""

    worker_id = "local-hands"

    def __init__(self) -> None:
        self.slots = 0
        self.taken: list[Run] = []
        self.told: list[str] = []

    def reserve(self, lane: str, count: int) -> int:
        held = min(count, self.slots)
        self.slots -= held
        return held

    def give_back(self, count: int) -> None:
        self.slots += count

    def assign(self, runs: Any) -> None:
        self.taken += [run for run, _ in runs]

    def stop(self, run_id: str, lease_epoch: int, kind: str) -> None:
        self.told.append(run_id)

    def wake(self, lanes: Iterable[str]) -> None:
        pass


def where(there: Callable[[Any], object]) -> Callable[[Callable[Concatenate[Any, P], None]], Callable[..., None]]:
    """Let a step do nothing where there is nothing that it could be done to.

    It is no precondition: what can be chosen must be the same when the same steps are tried again, and what a killed
    server had written is not.
    """

    def made(step: Callable[Concatenate[Any, P], None]) -> Callable[..., None]:
        @functools.wraps(step)
        def tried(self: Any, *args: P.args, **kwargs: P.kwargs) -> None:
            if there(self):
                step(self, *args, **kwargs)

        return tried

    return made


@seed(SEED)
class Runs(RuleBasedStateMachine):
    """A server, its callers, its workers, and the operator who kills it."""

    database_kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        ids._random.seed(0)  # ids order the runs of one instant: a case that is tried again must meet the same order
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="runwright-simulation-"))
        self.borrowed = contextlib.ExitStack()
        self.database = self.borrowed.enter_context(DATABASES[self.database_kind](self.directory))
        self.clock = FrozenClock()
        self.acknowledged: list[str] = []
        self.leases: list[Run] = []
        self.ended: dict[str, tuple[str, int, bytes]] = {}
        self.keys: dict[tuple[str, str], tuple[str, object, int]] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    @initialize()
    def open(self) -> None:
        self.world = World(self.directory, self.clock, (), self.database, retention_days=1, prune_batch=3)
        self.do(self.world.open())
        self.hands = Hands()
        self.world.engine.commit.workers = (self.hands,)

    def teardown(self) -> None:
        try:
            self.do(self.everything_ends())
            self.do(self.world.check())
            self.do(self.world.close())
        finally:
            ids._reseed()
            self.loop.close()
            self.borrowed.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- callers ------------------------------------------------------------------------------------------------------

    def order(self, wanted: dict[str, Any]) -> c.Submit:
        """Return the command for an order."""
        project, definition = JOBS[wanted["job"]]
        given = {name: wanted[name] for name in ("ttl_secs", "priority", "concurrency_key", "idempotency_key")}
        if wanted["delay"] is not None:
            given["scheduled_at"] = self.clock.now() + wanted["delay"] * SECOND
        if wanted["parent"] is not None and self.acknowledged:
            given["parent_run_id"] = self.acknowledged[wanted["parent"] % len(self.acknowledged)]
        job = self.world.job(wanted["job"], project=project, **definition)
        command = self.world.order(job, project, **given)
        if wanted["depends"] is None:
            return command
        until = self.clock.now() + wanted["depends"] * SECOND
        return replace(command, wait=Wait("dependency"), wait_until=until)

    @rule(wanted=ORDERS)
    def submit(self, wanted: dict[str, Any]) -> None:
        order = self.order(wanted)
        answer = self.answer(order)
        key = order.idempotency
        former = self.keys.get((key.scope, key.key)) if key is not None else None
        if former is not None and self.clock.now() - former[2] >= 86_400 * SECOND:
            former = None
        if former is None:
            assert isinstance(answer, Submitted)
            assert (answer.run_id, answer.hit) == (order.run_id, False)
        elif key is not None and former[1] == key.fingerprint:
            assert isinstance(answer, Submitted)
            assert (answer.run_id, answer.hit) == (former[0], True)
        else:
            assert isinstance(answer, IdempotencyMismatch)
        self.remember(order, answer)

    def remember(self, order: c.Submit, answer: Any) -> None:
        """Hold the server to what it acknowledged."""
        if isinstance(answer, Submitted) and not answer.hit:
            self.acknowledged.append(answer.run_id)
            if order.idempotency is not None:
                key = order.idempotency
                self.keys[key.scope, key.key] = (answer.run_id, key.fingerprint, self.clock.now())

    def answer(self, request: Request) -> Any:
        """Return what a request is answered with, refusals too."""
        return self.do(self.world.engine.commit.apply_all([request]))[0]

    @rule(which=WHICH, kind=st.sampled_from(["cancel", "pause"]))
    @where(lambda self: self.acknowledged)
    def stop(self, which: int, kind: Any) -> None:
        run = self.run_of(which)
        answer = self.answer(c.Stop(run.run_id, kind, CAUSE))
        if run.terminal:
            assert isinstance(answer, InvalidTransition)
        else:
            assert answer.state == (
                "executing" if run.state == "executing" else {"cancel": "cancelled", "pause": "paused"}[kind]
            )

    @rule(which=WHICH)
    @where(lambda self: self.acknowledged)
    def resume(self, which: int) -> None:
        run = self.run_of(which)
        answer = self.answer(c.Resume(run.run_id, CAUSE))
        assert isinstance(answer, InvalidTransition) == (run.state != "paused")

    @rule(which=WHICH)
    @where(lambda self: self.acknowledged)
    def wake(self, which: int) -> None:
        run = self.run_of(which)
        command = self.wake_of(run.run_id, which)
        answer = self.answer(command)
        assert isinstance(answer, Run)
        waits = run.state == "waiting" or (run.paused is not None and run.paused.state == "waiting")
        meant = waits and run.wait is not None and (run.wait.on, run.wait.key) == (command.on, command.key)
        kept = dict(
            self.world.rows("SELECT key, sealed FROM run_values WHERE run_id = ? AND kind = 'step'", run.run_id)
        )
        if meant:
            assert (answer.wait, answer.state) == (None, "paused" if run.state == "paused" else "queued")
            assert command.delivery is None or kept[command.delivery.name] == command.delivery.sealed
        else:
            assert answer == run

    def wake_of(self, run_id: str, which: int) -> c.Wake:
        if which % 3 == 0:
            return c.Wake(run_id=run_id, on="dependency", cause=CAUSE)
        key = KEYS[which % 2]
        given = c.Delivery(f"ctx.event:{key}", ValueRef("0" * 64, 2, text("{}")), b"given %d" % which)
        return c.Wake(run_id=run_id, on="event", key=key, cause=CAUSE, delivery=given)

    @rule(which=WHICH)
    @where(lambda self: self.acknowledged)
    def restart(self, which: int) -> None:
        run = self.run_of(which)
        answer = self.answer(c.Restart(run.run_id, CAUSE))
        if run.state == "executing" or (run.state in ("paused", "waiting") and (run.wait is None or run.started_at)):
            assert answer.state == ("executing" if run.state == "executing" else "queued")
        else:
            assert isinstance(answer, InvalidTransition)

    def run_of(self, which: int) -> Run:
        return self.do(self.world.run(self.acknowledged[which % len(self.acknowledged)]))

    # --- workers ------------------------------------------------------------------------------------------------------

    @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 4))
    def take(self, queue: str, count: int) -> None:
        answer = self.answer(Take(LANES[queue], count, "wrk-1"))
        assert len(answer) <= count
        self.leases += answer

    @rule()
    @where(lambda self: self.acknowledged)
    def every_ready_run_is_taken(self) -> None:
        for queue in QUEUES:
            self.leases += self.answer(Take(LANES[queue], 100, "wrk-2"))

    @rule(seconds=st.sampled_from([31, 100]))
    @where(lambda self: self.leases)
    def workers_are_lost_and_their_runs_begin_again(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for loop in ("reaper", "reaper"):  # after a jump the first one only begins to be patient
            self.a_loop_comes_round(loop)
            self.clock.advance(seconds)
        self.a_loop_comes_round("scheduler")
        self.every_ready_run_is_taken()

    @rule(which=WHICH, outcome=OUTCOMES)
    @where(lambda self: self.stale())
    def a_worker_that_was_thought_lost_writes_again(self, which: int, outcome: str) -> None:
        stale = self.stale()
        lease = stale[which % len(stale)]
        self.fenced(lease, c.Append(lease.run_id, lease.lease_epoch, (log_line(),), (c.Value("output", "k", b"late"),)))
        self.fenced(lease, self.finish_of(lease, outcome))

    def stale(self) -> list[Run]:
        """Return former leases of runs that execute now under another one."""
        now = dict(self.world.rows("SELECT run_id, lease_epoch FROM leases"))
        return [lease for lease in self.leases if now.get(lease.run_id, lease.lease_epoch) != lease.lease_epoch]

    @rule(slots=st.integers(0, 3))
    def free_slots_here(self, slots: int) -> None:
        self.hands.slots = slots

    @rule(which=WHICH, lines=st.integers(1, 3))
    @where(lambda self: self.leases)
    def append(self, which: int, lines: int) -> None:
        lease = self.leases[which % len(self.leases)]
        values = (c.Value("output", "k", b"sealed %d" % which),)
        self.fenced(lease, c.Append(lease.run_id, lease.lease_epoch, (log_line(),) * lines, values))

    @rule(which=WHICH, outcome=OUTCOMES, draw=st.sampled_from([0.0, 0.99]))
    @where(lambda self: self.leases)
    def finish(self, which: int, outcome: str, draw: float) -> None:
        lease = self.leases[which % len(self.leases)]
        self.fenced(lease, self.finish_of(lease, outcome, draw))

    def finish_of(self, lease: Run, outcome: str, draw: float = 0.5) -> c.Finish:
        outcomes: dict[str, o.Outcome] = {
            "completed": o.Completed(None, b"result"),
            "failed": failed(),
            "another failure": failed("KeyError", "another"),
            "rejected": failed(retryable=False),
            "parked": o.Parked(self.clock.now() + 25 * SECOND),
            "waits": o.Parked(self.clock.now() + 25 * SECOND, awaited(lease.lease_epoch)),
            "waits for ever": o.Parked(None, awaited(lease.lease_epoch)),
            "stopped": o.Stopped(),
            "released": o.Released(),
        }
        return c.Finish(lease.run_id, lease.lease_epoch, outcomes[outcome], draw, (log_line("last"),))

    def fenced(self, lease: Run, command: c.Append | c.Finish) -> None:
        """Apply a write of an attempt; one under an old lease must be refused and leave nothing."""
        before = self.do(self.world.record(lease.run_id))
        valid = before.run.state == "executing" and before.run.lease_epoch == lease.lease_epoch
        values = self.do(self.world.store.values(lease.run_id, "output"))
        answer = self.answer(command)
        if valid:
            assert isinstance(answer, Run)
        else:
            assert isinstance(answer, StaleLease)
            assert self.do(self.world.record(lease.run_id)) == before
            assert self.do(self.world.store.values(lease.run_id, "output")) == values

    @rule(which=WHICH)
    @where(lambda self: self.leases)
    def beat(self, which: int) -> None:
        lease = self.leases[which % len(self.leases)]
        run = self.do(self.world.run(lease.run_id))

        async def renew(tx: Transaction) -> list[str]:
            until = tx.now + 30 * SECOND
            return await tx.renew(lease.worker_id or "", [(lease.run_id, lease.lease_epoch, until)])

        kept = run.state == "executing" and run.lease_epoch == lease.lease_epoch
        assert self.do(self.world.store.write(renew)) == ([] if kept else [lease.run_id])

    # --- many things in one transaction -------------------------------------------------------------------------------

    @rule(plan=st.lists(st.tuples(VERBS, WHICH, ORDERS, OUTCOMES), min_size=2, max_size=6), apart=st.booleans())
    def burst(self, plan: list[tuple[str, int, dict[str, Any], str]], apart: bool) -> None:
        self.apply_together(plan, apart)

    @rule(verbs=BOUNCES, which=WHICH, wanted=ORDERS, outcome=OUTCOMES, apart=st.booleans())
    def everybody_wants_something_of_one_run(
        self, verbs: list[str], which: int, wanted: dict[str, Any], outcome: str, apart: bool
    ) -> None:
        self.apply_together([(verb, which, wanted, outcome) for verb in verbs], apart)

    def apply_together(self, plan: list[tuple[str, int, dict[str, Any], str]], apart: bool) -> None:
        """Apply requests as one transaction: one group of them, or several that arrive together."""
        requests = [made for entry in plan if (made := self.request(*entry)) is not None]
        commit = self.world.engine.commit

        async def at_once() -> list[Any]:
            if not apart:
                return await commit.apply_all(requests)
            return await asyncio.gather(*(commit.apply(request) for request in requests), return_exceptions=True)

        for request, answer in zip(requests, self.do(at_once()), strict=True):
            self.take_note(request, answer)

    def request(self, verb: str, which: int, wanted: dict[str, Any], outcome: str) -> Request | None:
        """Return a request of some kind about some run, or None when there is no such run yet."""
        if verb == "submit":
            return self.order(wanted)
        if verb == "take":
            return Take(LANES[QUEUES[which % 2]], which % 3 + 1, "wrk-2")
        if verb in ("append", "finish", "lose"):
            if not self.leases:
                return None
            lease = self.leases[which % len(self.leases)]
            if verb == "append":
                return c.Append(lease.run_id, lease.lease_epoch, (log_line(),))
            return self.finish_of(lease, outcome) if verb == "finish" else c.Lose(lease.run_id, lease.lease_epoch, 0.5)
        if not self.acknowledged:
            return None
        run_id = self.acknowledged[which % len(self.acknowledged)]
        named: dict[str, Request] = {
            "cancel": c.Stop(run_id, "cancel", CAUSE),
            "pause": c.Stop(run_id, "pause", CAUSE),
            "resume": c.Resume(run_id, CAUSE),
            "restart": c.Restart(run_id, CAUSE),
            "due": c.Due(run_id),
            "expire": c.Expire(run_id),
            "wake": self.wake_of(run_id, which),
        }
        return named[verb]

    def take_note(self, request: Request, answer: Any) -> None:
        if isinstance(request, c.Submit):
            self.remember(request, answer)
        elif isinstance(request, Take):
            self.leases += answer
        if isinstance(answer, Exception):
            assert isinstance(answer, InvalidTransition | StaleLease | IdempotencyMismatch | NotFound), repr(answer)

    # --- time, loops and death ----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 11, 31, 100, 90_000]), notice=st.booleans())
    def time_passes(self, seconds: float, notice: bool) -> None:
        self.clock.advance(seconds)
        for loop in ("scheduler", "reaper", "inbox") if notice else ():
            self.a_loop_comes_round(loop)

    @rule(seconds=st.sampled_from([-86_400, -20, 20, 86_400]))
    def the_clock_jumps(self, seconds: float) -> None:
        # A lease until 0 is that of a worker who died with the last process: it is over whatever the clock says.
        held = [
            run_id for (run_id,) in self.world.rows("SELECT run_id FROM leases WHERE until > 0 AND fence_at IS NULL")
        ]
        self.clock.jump(seconds)
        self.do(self.world.round_of(self.world.engine.reaper.loop))
        if abs(seconds) > 15:
            states = self.states()
            lost = [run_id for run_id in held if states[run_id] != "executing"]
            assert lost == [], "nobody's lease ends on the word of a clock that just moved"

    @rule(loop=st.sampled_from(["scheduler", "reaper", "inbox", "pruner"]))
    def a_loop_comes_round(self, loop: str) -> None:
        self.do(self.world.round_of(getattr(self.world.engine, loop).loop))

    @rule(plan=st.lists(st.tuples(VERBS, WHICH, ORDERS, OUTCOMES), max_size=4), turns=st.integers(0, 12))
    def the_server_is_killed(self, plan: list[tuple[str, int, dict[str, Any], str]], turns: int) -> None:
        requests = [made for entry in plan if (made := self.request(*entry)) is not None]

        async def die() -> list[Any]:
            tasks = [asyncio.create_task(self.world.engine.commit.apply(request)) for request in requests]
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.world.crash()
            answered = [_outcome_of(task) for task in tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return answered

        answers = self.do(die())
        for request, answer in zip(requests, answers, strict=True):
            if answer is not None:
                self.take_note(request, answer)
        self.keys = {key: taken for key, taken in self.keys.items() if taken[0] in self.acknowledged}
        self.open()
        self.adopt_what_was_not_acknowledged()

    def adopt_what_was_not_acknowledged(self) -> None:
        """Accept runs whose caller never heard of them: a commit that was durable just before the end."""
        there = [run_id for (run_id,) in self.world.rows("SELECT run_id FROM runs ORDER BY run_id")]
        self.acknowledged += [run_id for run_id in there if run_id not in self.acknowledged]
        for scope, key, fingerprint, target, at in self.world.rows(
            "SELECT scope, key, fingerprint, target, created_at FROM idempotency"
        ):
            self.keys.setdefault((scope, key), (target, fingerprint, at))
            if self.keys[scope, key][0] != target:
                self.keys[scope, key] = (target, fingerprint, at)

    # --- what must always hold ----------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        return dict(
            self.world.rows(
                "SELECT r.run_id, coalesce(h.state, r.state) FROM runs r LEFT JOIN run_heads h USING (run_id)"
            )
        )

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "world"):
            return
        self.do(settled(self.world))
        self.leases += self.hands.taken
        self.hands.taken.clear()
        states = self.states()
        assert [run_id for run_id in self.acknowledged if run_id not in states] == [], "an acknowledged run was lost"
        self.do(self.world.check())
        assert self.world.rows("SELECT * FROM limits WHERE used > max OR used < 0") == []
        for run_id, (state, seq, digest) in self.ended.items():
            run = self.do(self.world.run(run_id))
            assert (run.state, run.seq, run.hash) == (state, seq, digest), "an ended run changed"
        for run_id, state in states.items():
            if state in TERMINAL and run_id not in self.ended:
                run = self.do(self.world.run(run_id))
                self.ended[run_id] = (run.state, run.seq, run.hash)

    async def everything_ends(self) -> None:
        """Let time pass and workers work: no run may be left that nobody will ever move."""
        world = self.world
        for _ in range(150):
            await settled(world)
            states = dict(world.rows("SELECT run_id, state FROM run_heads"))
            if not states:
                return
            for run_id, state in states.items():
                if state == "paused":
                    await world.engine.commit.apply(c.Resume(run_id, CAUSE))
                for wake in (self.wake_of(run_id, number) for number in range(6)):
                    await world.engine.commit.apply(wake)
            for loop in (world.engine.scheduler.loop, world.engine.reaper.loop, world.engine.inbox.loop):
                await world.round_of(loop)
            for queue in QUEUES:
                for run in await world.take(100, queue=queue):
                    await _completed(world, run)
            self.clock.advance(100_000)
        raise AssertionError(f"these runs are stuck: {world.rows('SELECT * FROM run_heads')}")


def awaited(number: int) -> Wait:
    return Wait("event", KEYS[number % 2], f"ctx.event:{KEYS[number % 2]}")


async def _completed(world: World, run: Run) -> None:
    try:
        await world.finish(run, o.Completed())
    except Error as refusal:
        raise AssertionError(f"{run} was just claimed") from refusal


def _outcome_of(task: asyncio.Task[Any]) -> Any:
    """Return what a caller was told before the end, or None when it was told nothing."""
    if not task.done() or task.cancelled():
        return None
    # A process that is being killed tells nobody that it lost its database.
    return None if isinstance(task.exception(), StoreUnavailable) else task.exception() or task.result()


SEARCH = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target)


class RunsInPostgresql(Runs):
    """The same on PostgreSQL."""

    database_kind = "postgresql"


TestRuns = Runs.TestCase
TestRunsInPostgresql = RunsInPostgresql.TestCase
TestRuns.settings = TestRunsInPostgresql.settings = settings(
    max_examples=SOAK or 60,
    stateful_step_count=80 if SOAK else 30,
    derandomize=not SOAK,
    phases=(*SEARCH, Phase.shrink) if SOAK else SEARCH,
    suppress_health_check=list(HealthCheck),
)
