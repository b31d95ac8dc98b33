"""A workshop for remediation loops: real repositories, sandbox, log and store; a scanner and a fixer that go by marks.

A line that says ``BAD-P1 name`` is a finding of that severity, one that says ``MEND`` too is mended by the fixer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.agents import Agents
from runwright.agents.providers.port import Bounds as Asking
from runwright.agents.providers.registry import Providers
from runwright.agents.providers.scripted import Script, Turn
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.toolbox import Toolbox
from runwright.clock import FrozenClock
from runwright.domain import orchestration
from runwright.domain.approval import Verdict, Voter
from runwright.domain.commands import Vote
from runwright.domain.events import TERMINAL_TYPES, Draft, Event
from runwright.domain.finding import Finding, Match, Severity, symbol, window
from runwright.domain.loop_course import LoopCourse
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.model_call import Usage
from runwright.domain.patch import Patch, PatchBounds, between
from runwright.domain.quality_gate import QualityGate
from runwright.domain.route import RouteDefinition
from runwright.domain.run import Run
from runwright.domain.tenancy import Cause
from runwright.engine.requests import Committed
from runwright.executors.agent_kit import Kit, LazyKit
from runwright.executors.omar.executor import OmarExecutor
from runwright.fixers.apply import reader
from runwright.forges.registered import Forges
from runwright.governance.deliveries import Deliveries
from runwright.governance.loops import LoopOrder, Loops
from runwright.governance.step_models import Models
from runwright.sandbox.means import Means
from runwright.sandbox.scanner import Ground, Report, ScanBounds, Seen
from tests.engine.databases import Database
from tests.engine.world import ADMIN, PROJECT, World

WAITS_S = 60
_MARK = re.compile(r"BAD-(P[0-3])")
WHOLE = QualityGate(id="whole", command=("sh", "-c", "! grep -q broken app.py"))


class Marks:
    """Finds the marks."""

    name = "marks"

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at every text."""
        read = reader(ground.files, PatchBounds())
        found: list[Match] = []
        for text in ground.texts:
            lines = (read(text.path) or b"").decode().splitlines()
            for number, line in enumerate(lines, 1):
                if mark := _MARK.search(line):
                    found.append(
                        Match(
                            rule_id="marks:bad", severity=msgspec.convert(mark[1], Severity),
                            message="a mark", tool="marks", file=text.path,
                            line=number, window=window(lines, number, number), symbol=symbol(lines, number),
                        )
                    )  # fmt: skip
        return Report(scanner=self.name, status="completed", files=len(ground.texts), matches=tuple(found))


class Mender:
    """Takes out the lines of findings that may be mended."""

    name = "mender"

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Return the patch."""
        read = reader(ground.files, bounds)
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for name in dict.fromkeys(each.file for each in findings):
            before[name] = (read(name) or b"").decode()
            lines = before[name].splitlines(keepends=True)
            after[name] = "".join(line for line in lines if "MEND" not in line)
        return between(before, after) if before != after else None


def repository(at: Path, files: Mapping[str, str]) -> str:
    """Make a repository of one commit; return its path."""
    at.mkdir(parents=True)
    for name, content in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(content, "utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *who, *words], cwd=at, check=True, capture_output=True)
    return str(at)


def says(*answers: str, usage: Usage | None = None) -> Script:
    """Return the script of a model that gives these answers, one to each try at the same thing."""
    counted: dict[str, Any] = {} if usage is None else {"usage": usage}
    return Script(turns=tuple(Turn(text=(answer,), **counted) for answer in answers))


def edits(*each: Mapping[str, Any]) -> str:
    """Return an answer that is a patch."""
    return f"```json\n{msgspec.json.encode(list(each)).decode()}\n```"


class Workshop:
    """One server after the other over one database, each with the executor of loops."""

    def __init__(self, directory: Path, database: Database, means: Means, places: Path) -> None:
        self.directory = directory
        self.clock = FrozenClock()
        self.scripts: dict[str, Script] = {}
        self.tools: tuple[Any, ...] = ((Mender(),), lambda policy, base: (Marks(),))
        self._places = places
        self._database = database
        self._means = means
        self._world: World | None = None
        self._repositories = 0
        self._estate = contextlib.ExitStack()

    @property
    def world(self) -> World:
        """Return the server that lives."""
        assert self._world is not None
        return self._world

    async def open(self) -> None:
        """Start a server."""
        roots = (str(self.directory / "repositories"),)
        world = World(self.directory / "data", self.clock, (), self._database, repository_roots=roots)
        self._world = world
        toolbox = Toolbox.builtin(self.clock, ToolBounds(), self._means)

        async def kit() -> Kit:
            return Kit(Providers(self.clock, Asking(), scripts=self.scripts), toolbox, self._means)

        executor = OmarExecutor(LazyKit(kit), *self.tools)
        world.beside.append((executor, 4))
        await world.open()
        self.agents = Agents(world.engine, world.keyring)
        executor.attach(world.engine, self.agents)
        world.engine.start()

    async def reopen(self) -> None:
        """Lose the server, and start another one."""
        await self.world.crash()
        await self.open()

    async def die(self) -> None:
        """Lose the server; another takes over what it had."""
        await self.world.abandon()
        self._estate.close()
        await self.reopen()
        await self.world.reap(120)

    def dies_behind(self, last: Callable[[Event], bool]) -> asyncio.Event:
        """Let nothing be written any more behind the first transaction with such an event, and tell of it: let it `die`
        then.
        """  # fmt: skip
        engine, came = self.world.engine, asyncio.Event()

        def listen(done: Committed) -> None:
            if any(last(event) for events in done.events.values() for event in events):
                engine.commit.listeners.remove(listen)
                self._estate.enter_context(self._database.unwritable())
                came.set()

        engine.commit.listeners.append(listen)
        return came

    def made(self, **files: str) -> str:
        """Return the path of a new repository with these files: a name's `__` is a dot."""
        self._repositories += 1
        at = self.directory / "repositories" / f"r{self._repositories}"
        return repository(at, {name.replace("__", "."): content for name, content in files.items()})

    async def model(self, name: str, *answers: str, usage: Usage | None = None, priced: bool = True) -> Models:
        """Return a model that gives these answers."""
        self.scripts[name] = says(*answers, usage=usage)
        price = {"price": {"input": 1_000_000, "output": 1_000_000}} if priced else {}
        definition = msgspec.convert({"kind": "scripted", "model": name, **price}, RouteDefinition)
        await self.agents.routes.create(ADMIN, PROJECT, name, definition)
        return Models(orchestrator=name)

    async def order(self, repo: str, **more: Any) -> str:
        """Make a loop."""
        own = {name: more.pop(name) for name in LoopTerms.__struct_fields__ if name in more}
        order = LoopOrder(repo=repo, loop=LoopTerms(**own), **more)
        about = {"request_id": "req_1", "trace_id": "t" * 32}
        deliveries = Deliveries(self.world.engine, Forges(self.world.settings, self.world.clock))
        made = await Loops(self.world.engine, self.agents, deliveries).create(ADMIN, PROJECT, order, **about)
        return made.run_id

    async def until(self, run_id: str, seq: int | None = None, verdict: Verdict | None = "approve") -> Run:
        """Return when the log of a run has come so far, or (None) to its end; what it asks is decided so."""
        async with asyncio.timeout(WAITS_S):
            async for events in self.world.engine.hub.events(run_id, 0, live=True):
                last = events[-1]
                if last.type in TERMINAL_TYPES or (seq is not None and last.seq >= seq):
                    break
                run = await self.world.run(run_id)
                if run.wait is not None and run.wait.on == "approval":
                    if verdict is None:
                        break
                    await self.decide(run, verdict)
        return await self.world.run(run_id)

    async def decide(self, run: Run, verdict: Verdict) -> None:
        """Decide what a run asks."""
        assert run.wait is not None
        assert run.wait.approval is not None
        vote = Vote(
            run_id=run.run_id,
            checkpoint_id=run.wait.key,
            verdict=verdict,
            subject_sha256=run.wait.approval.subject_sha256,
            by=Voter("user_2", "admin"),
            cause=Cause("user:user_2"),
        )
        await self.world.engine.commit.apply(vote)

    async def ended(self, repo: str, **more: Any) -> LoopCourse:
        """Make a loop, and return how it ended, with everything checked that is true of each."""
        return await self.checked(await self.until(await self.order(repo, **more)))

    async def checked(self, run: Run) -> LoopCourse:
        """Return how a loop ended, with everything checked that is true of each."""
        assert run.terminal, run.state
        assert run.spec.runtime is not None
        course = orchestration.course_of(run.spec.runtime)
        for event in await self.world.events(run.run_id):
            course = orchestration.follow(course, [Draft(event.type, event.data)], event.created_at)  # type: ignore[arg-type]
        assert run.course == course, "the course that is kept is what the log folds into"
        await self.world.check_run(run)
        assert not list(self.places()), "no workspace is left"
        assert course.loop is not None
        assert course.loop.exit_reason is not None
        return course.loop

    def places(self) -> Iterator[Path]:
        """Return the workspaces that lie on the disk."""
        return (each for each in self._places.rglob("work") if each.is_dir())


@pytest.fixture
async def workshop(database: Database, open_directory: Path, tmp_path: Path, means: Means) -> AsyncIterator[Workshop]:
    made = Workshop(tmp_path, database, means, open_directory)
    await made.open()
    yield made
    if made.world.opened:
        await made.world.crash()
