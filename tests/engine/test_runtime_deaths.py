"""A server dies wherever the log of a runtime run ends just now: the run goes on elsewhere, and no step is done twice.

Each command adds a line to a file of the workspace, so that its tree tells what was done, how often and in which order.
With `RUNWRIGHT_TEST_SOAK` a server dies behind every event, without it behind some.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runwright.agents.agents import Agents
from runwright.agents.providers.port import Bounds as Asking
from runwright.agents.providers.registry import Providers
from runwright.agents.providers.scripted import Script
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.toolbox import Toolbox
from runwright.clock import FrozenClock
from runwright.domain import orchestration
from runwright.domain.approval import Voter
from runwright.domain.commands import Stop, Vote
from runwright.domain.course import Course
from runwright.domain.events import TERMINAL_TYPES, Draft
from runwright.domain.run import Run, StopKind
from runwright.domain.runtime_terms import ApprovalStep, CommandStep, GateStep, IngestStep, ReportStep, ScanStep, Step
from runwright.domain.tenancy import Cause
from runwright.executors.agent_kit import Kit, LazyKit
from runwright.executors.orchestrated.executor import OrchestratedExecutor
from runwright.executors.orchestrated.words import unknown
from runwright.governance.runs import RuntimeOrder, RuntimeRuns
from runwright.sandbox.means import Means
from tests.engine.databases import Database
from tests.engine.world import ADMIN, PROJECT, World
from tests.waiting import until

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
POINTS = (5, 6, 10, 16, 19, 24)
"""Behind these events a server dies, if not behind each: in commands and gates, between steps, while it is asked."""
WAITS_S = 30
PAYING = "touch begun; while [ ! -e go ]; do sleep 0.02; done"
"""A command that goes on when the file `go` lies in its workspace."""


def adding(name: str, **more: Any) -> CommandStep:
    """Return a command that adds a line to a file."""
    return CommandStep(step_id=name, command=("sh", "-c", f"echo {name} >> lines"), **more)


STEPS: tuple[Step, ...] = (
    IngestStep(step_id="ingest"),
    adding("one"),
    adding("two"),
    ApprovalStep(step_id="ask", summary="Go on?"),
    GateStep(step_id="whole", command=("sh", "-c", 'test "$(echo $(cat lines))" = "one two"')),
    ScanStep(step_id="scan"),
    ReportStep(step_id="report"),
)


class Stage:
    """One server after the other over one database, each with the executor of runtime runs."""

    def __init__(
        self, directory: Path, database: Database, means: Means, scripts: Mapping[str, Script] | None = None
    ) -> None:
        self._directory = directory
        self._database = database
        self._means = means
        self._scripts = scripts or {}
        self._clock = FrozenClock()
        self._world: World | None = None

    @property
    def world(self) -> World:
        """Return the server that lives."""
        assert self._world is not None
        return self._world

    async def open(self) -> None:
        """Start a server."""
        clock = self._clock
        world = self._world = World(self._directory, clock, (), self._database)
        toolbox = Toolbox.builtin(clock, ToolBounds(), self._means)

        async def kit() -> Kit:
            return Kit(Providers(clock, Asking(), scripts=self._scripts), toolbox, self._means)

        executor = OrchestratedExecutor(LazyKit(kit))
        world.beside.append((executor, 4))
        await world.open()
        self.agents = Agents(world.engine, world.keyring)
        executor.attach(world.engine, self.agents)
        world.engine.start()

    async def die(self) -> None:
        """Lose the server; another takes over what it had."""
        await self.world.crash()
        await self.open()
        await self.world.reap(120)

    async def order(self, *steps: Step, **more: Any) -> str:
        """Make a run."""
        order = RuntimeOrder(**{"mode": "edit_gated", "steps": steps} | more)
        runs, about = RuntimeRuns(self.world.engine, self.agents), {"request_id": "req_1", "trace_id": "t" * 32}
        made = await runs.create(ADMIN, PROJECT, order, **about)
        return made.run_id

    async def until(self, run_id: str, seq: int | None = None) -> None:
        """Return when the log of a run has come so far, or (None) to its end; what it asks is allowed."""
        async with asyncio.timeout(WAITS_S):
            async for events in self.world.engine.hub.events(run_id, 0, live=True):
                last = events[-1]
                if last.type in TERMINAL_TYPES or (seq is not None and last.seq >= seq):
                    return
                run = await self.world.run(run_id)
                if run.wait is not None and run.wait.on == "approval":
                    await self._allow(run)

    async def working(self) -> Path:
        """Return the workspace of a command when it has begun."""
        begun = await until(lambda: [*self._means.workspaces.directory.glob("*/work/begun")], patience_s=WAITS_S)
        return begun[0].parent

    async def until_paused(self, run_id: str) -> None:
        """Return when a run is paused."""
        await until(lambda: self.world.run(run_id), lambda run: run.state == "paused", WAITS_S)

    async def stop(self, run_id: str, kind: StopKind) -> None:
        """Ask the run to stop."""
        await self.world.engine.commit.apply(Stop(run_id, kind, Cause(ADMIN.label)))

    async def _allow(self, run: Run) -> None:
        assert run.wait is not None
        assert run.wait.approval is not None
        vote = Vote(
            run_id=run.run_id,
            checkpoint_id=run.wait.key,
            verdict="approve",
            subject_sha256=run.wait.approval.subject_sha256,
            by=Voter("user_2", "admin"),
            cause=Cause("user:user_2"),
        )
        await self.world.engine.commit.apply(vote)


@pytest.fixture
async def stage(database: Database, tmp_path: Path, means: Means) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "data", database, means)
    await made.open()
    yield made
    if made.world.opened:
        await made.world.crash()


async def check(stage: Stage, run_id: str) -> None:
    """Check that each step was done once, in order, and that the log says what the run says."""
    world = stage.world
    run = await world.run(run_id)
    assert (run.state, run.course and run.course.gate_status) == ("completed", "passed"), await world.types(run_id)
    ended = await world.data_of(run_id, "step.completed", "step_id")
    assert ended == [step.ident for step in STEPS]
    types = Counter(await world.types(run_id))
    assert (types["approval.requested"], types["gate.result"], types["output.narrative"]) == (1, 1, 1)
    course = Course()
    for event in await world.events(run_id):
        course = orchestration.follow(course, [Draft(event.type, event.data)], event.created_at)  # type: ignore[arg-type]
    assert run.course == course, "the course that is kept is what the log folds into"
    await world.check_run(run)


async def test_wherever_a_server_dies_the_run_goes_on_and_no_step_is_done_twice(stage: Stage):
    run_id = await stage.order(*STEPS)
    await stage.until(run_id)
    await check(stage, run_id)
    points = (await stage.world.run(run_id)).seq
    assert points > max(POINTS)
    for at in range(2, points) if SOAK else POINTS:
        run_id = await stage.order(*STEPS)
        await stage.until(run_id, at)
        await stage.die()
        await stage.until(run_id)
        await check(stage, run_id)
    await stage.world.check()


async def test_what_a_gate_says_of_the_tree_is_durable_with_the_end_of_its_command(stage: Stage):
    written: list[list[str]] = []
    stage.world.engine.commit.listeners.append(
        lambda done: written.extend([event.type for event in events] for events in done.events.values())
    )
    await stage.until(await stage.order(GateStep(step_id="whole", command=("true",)), ReportStep(step_id="report")))
    (said,) = [each for each in written if "gate.result" in each]
    assert said[-3:] == ["tool.result", "gate.result", "step.completed"]


async def test_a_run_outlives_one_server_after_the_other(stage: Stage):
    run_id = await stage.order(*STEPS)
    for at in (5, 14, 24):
        await stage.until(run_id, at)
        await stage.die()
    await stage.until(run_id)
    await check(stage, run_id)


async def test_a_step_that_may_not_be_made_twice_ends_the_run_whose_server_died_in_it(stage: Stage):
    slow = CommandStep(step_id="slow", command=("sh", "-c", "echo begun; sleep 60"), effect="unsafe")
    run_id = await stage.order(slow, adding("later"))
    await stage.until(run_id, 5)
    await stage.die()
    await stage.until(run_id)
    run = await stage.world.run(run_id)
    assert (run.state, run.error_class) == ("failed", "OutcomeUnknown")
    assert run.course is not None
    assert run.course.stop is not None
    assert run.course.stop.code == "OUTCOME_UNKNOWN"
    assert await stage.world.data_of(run_id, "step.completed", "status") == ["outcome_unknown"]
    await stage.world.check()


async def test_a_pause_lets_a_command_end_that_may_not_be_made_twice(stage: Stage):
    once = CommandStep(step_id="once", command=("sh", "-c", PAYING), effect="unsafe")
    run_id = await stage.order(once, adding("later"))
    place = await stage.working()
    await stage.stop(run_id, "pause")
    (place / "go").touch()
    await stage.until_paused(run_id)
    assert await stage.world.data_of(run_id, "step.completed", "status") == ["succeeded"]
    await stage.world.engine.control.resume(stage.world.reader(), ADMIN, run_id, request_id=None)
    await stage.until(run_id)
    assert await stage.world.data_of(run_id, "step.completed", "status") == ["succeeded", "succeeded"]
    await stage.world.check()


async def test_a_command_that_a_pause_broke_off_says_so(stage: Stage):
    once = CommandStep(step_id="once", command=("sh", "-c", PAYING), effect="unsafe")
    run_id = await stage.order(once)
    await stage.working()
    await stage.stop(run_id, "pause")
    await stage.die()
    assert (await stage.world.run(run_id)).state == "paused"
    await stage.world.engine.control.resume(stage.world.reader(), ADMIN, run_id, request_id=None)
    await stage.until(run_id)
    assert await stage.world.data_of(run_id, "step.completed", "detail") == [unknown(paused=True)]
    run = await stage.world.run(run_id)
    assert (run.state, run.error_class) == ("failed", "OutcomeUnknown")
    await stage.world.check()


async def test_a_cancel_waits_for_no_command(stage: Stage):
    once = CommandStep(step_id="once", command=("sh", "-c", PAYING), effect="unsafe")
    run_id = await stage.order(once)
    await stage.working()
    await stage.stop(run_id, "pause")
    await stage.stop(run_id, "cancel")
    await stage.until(run_id)
    assert (await stage.world.run(run_id)).state == "cancelled"


async def test_an_erased_run_has_no_course_and_its_log_still_verifies(stage: Stage):
    run_id = await stage.order(adding("one"), objective="a secret plan")
    await stage.until(run_id)
    await stage.world.engine.operations.eraser.erase(stage.world.reader(), ADMIN, run_id)
    run = await stage.world.run(run_id)
    assert run.course is None
    assert run.spec.runtime is not None
    assert (run.spec.runtime.steps, run.spec.runtime.objective) == ((), "")
    await stage.world.check()
