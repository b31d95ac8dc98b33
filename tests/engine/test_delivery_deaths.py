"""A server dies wherever a delivery stands just now: it goes on elsewhere, to one commit, one branch, one pull request.

It dies before and after what is done to the repository, where the log does not know of it yet; with
`RUNWRIGHT_TEST_SOAK` at every such place, and behind every event.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from runwright.agents.agents import Agents
from runwright.agents.providers.port import Bounds as Asking
from runwright.agents.providers.registry import Providers
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.toolbox import Toolbox
from runwright.clock import FrozenClock
from runwright.domain.accounts import Project
from runwright.domain.approval import Voter
from runwright.domain.commands import Vote
from runwright.domain.delivery_wanted import Wanted
from runwright.domain.git_objects import Format
from runwright.domain.run import Run
from runwright.domain.runtime_terms import CommandStep, IngestStep
from runwright.domain.tenancy import Cause
from runwright.executors.agent_kit import Kit, LazyKit
from runwright.executors.delivery.executor import DeliveryExecutor
from runwright.executors.orchestrated.executor import OrchestratedExecutor
from runwright.forges.local import LocalForge
from runwright.forges.port import Forge, Refs, Remote, Update
from runwright.forges.registered import Forges, Secrets
from runwright.governance.deliveries import Asked, Deliveries
from runwright.governance.delivery_order import DeliveryOrder
from runwright.governance.runs import RuntimeOrder, RuntimeRuns
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means
from tests.engine.databases import Database, SqliteDatabase
from tests.engine.world import ADMIN, PROJECT, World
from tests.sandbox.repositories import Repository
from tests.waiting import until

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
POINTS = (2, 3, 7, 8)
"""Where a server dies, if not at each gate: before and after the branch is made, within and after the pull request."""
WAITS_S = 30


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make a directory that others may pass."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
async def means(root: Path) -> AsyncIterator[Means]:
    """Find the means of this machine."""
    (root / "means").mkdir()
    (root / "means").chmod(0o711)
    found = await Means.find(Bounds(directory=root / "means", sample_s=0.02))
    yield found
    found.close()


class Gate:
    """Counts what is done to repositories; whoever comes to the point where a server is to die goes no further."""

    def __init__(self) -> None:
        self.passed = 0
        self.at: int | None = None
        self.reached = asyncio.Event()

    def arm(self, at: int | None) -> None:
        """Count anew, and hold who comes there."""
        self.passed, self.at = 0, at
        self.reached.clear()

    async def come(self) -> None:
        """Come to the next point."""
        self.passed += 1
        if self.passed == self.at:
            self.reached.set()
            await asyncio.Event().wait()


class Guarded:
    """A repository with a gate before and after whatever is done to it."""

    def __init__(self, remote: Remote, gate: Gate) -> None:
        self._remote = remote
        self._gate = gate

    async def refs(self) -> Refs:
        """Return what it has."""
        await self._gate.come()
        return await self._remote.refs()

    async def push(self, updates: Sequence[Update], objects: Sequence[tuple[bytes, bytes]], format: Format) -> None:
        """Store objects and make refs, one by one: a server may die between two of them."""
        for place, update in enumerate(updates):
            await self._gate.come()
            await self._remote.push([update], objects if place == 0 else [], format)
        await self._gate.come()


class GuardedForges(Forges):
    """The forges of the settings, each with the gate."""

    gate: Gate

    async def open(self, repo: str, secrets: Secrets) -> Forge:
        """Return the forge of a repository."""
        forge = await super().open(repo, secrets)
        assert isinstance(forge, LocalForge)
        forge.remote = Guarded(forge.remote, self.gate)
        return forge


class Yard:
    """One server after the other over one database, each of which delivers."""

    def __init__(self, directory: Path, database: Database, means: Means, root: Path) -> None:
        self.gate = Gate()
        self._directory = directory
        self._database = database
        self._means = means
        self._settings = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 0.1}
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
        world = self._world = World(self._directory, clock, (), self._database, **self._settings)
        toolbox = Toolbox.builtin(clock, ToolBounds(), self._means)

        async def kit() -> Kit:
            return Kit(Providers(clock, Asking(), scripts={}), toolbox, self._means)

        lazy = LazyKit(kit)
        forges = GuardedForges(world.settings, clock)
        forges.gate = self.gate
        conducting, delivering = OrchestratedExecutor(lazy), DeliveryExecutor(lazy, forges)
        world.beside += [(conducting, 4), (delivering, 4)]
        await world.open()
        self.agents = Agents(world.engine, world.keyring)
        conducting.attach(world.engine, self.agents)
        delivering.attach(world.engine)
        world.engine.start()

    async def ran(self, repo: Path) -> str:
        """Return a run that has changed something."""
        steps = (IngestStep(), CommandStep(command=("sh", "-c", "echo changed > a")))
        order = RuntimeOrder(mode="edit_gated", repo=str(repo), steps=steps)
        made = await RuntimeRuns(self.world.engine, self.agents).create(
            ADMIN, PROJECT, order, request_id="req_1", trace_id="t" * 32
        )
        await self.ended(made.run_id)
        return made.run_id

    async def begun(self, run_id: str, branch: str) -> str:
        """Begin to deliver a run to a branch; return the delivery."""

        async def project(_: str) -> Project:
            return PROJECT

        deliveries = Deliveries(self.world.engine, Forges(self.world.settings, self._clock))
        order = DeliveryOrder(runs=((run_id, Wanted(actions=("commit", "push", "open_pr"), branch=branch)),))
        (item,) = (await deliveries.deliver(Asked(ADMIN, project, "req_1", "t" * 32), order)).items
        assert item.delivery_run_id is not None, item
        return item.delivery_run_id

    async def ended(self, run_id: str, seq: int | None = None) -> None:
        """Return at the end of a run, or once its log has come so far; a server that comes to the gate dies there."""

        async def ended() -> bool:
            if self.gate.reached.is_set():
                await self.die()
            run = await self.world.run(run_id)
            if run.wait is not None and run.state == "waiting":
                await self._allow(run)
            return run.terminal or (seq is not None and run.seq >= seq)

        await until(ended, patience_s=WAITS_S)

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

    async def die(self) -> None:
        """Lose the server; another takes over what it had."""
        self.gate.arm(None)
        await self.world.crash()
        await self.open()
        await self.world.reap(120)


@pytest.fixture
async def yard(tmp_path: Path, means: Means, root: Path) -> AsyncIterator[Yard]:
    made = Yard(tmp_path / "data", SqliteDatabase(tmp_path / "data"), means, root)
    await made.open()
    yield made
    if made.world.opened:
        await made.world.crash()


def git(path: Path, *words: str) -> str:
    """Return what git says of a repository."""
    told = subprocess.run(["git", *words], cwd=path, capture_output=True, check=True, text=True)
    return told.stdout.strip()


async def test_wherever_a_server_dies_there_is_one_commit_one_branch_and_one_pull_request(yard: Yard, root: Path):
    work = Repository(root / "work")
    work.commit(a="1\n")
    repo = root / "site.git"
    git(root, "clone", "--quiet", "--bare", str(work.path), str(repo))
    run_id = await yard.ran(repo)
    first = await yard.begun(run_id, "omar/0")
    await yard.ended(first)
    gates, last = yard.gate.passed, (await yard.world.run(first)).seq
    assert gates == 8, "before and after the branch, before each ref of the pull request and after it, and each look"
    points: list[tuple[int | None, int | None]] = [(at, None) for at in (range(1, gates + 1) if SOAK else POINTS)]
    points += [(None, seq) for seq in range(2, last)] if SOAK else []
    for count, (at, seq) in enumerate(points, 1):
        yard.gate.arm(at)
        delivery_id = await yard.begun(run_id, f"omar/{count}")
        if seq is not None:
            await yard.ended(delivery_id, seq)
            await yard.die()
        await yard.ended(delivery_id)
        run = await yard.world.run(delivery_id)
        types = Counter(await yard.world.types(delivery_id))
        assert (run.state, run.course and run.course.stop and run.course.stop.code) == ("completed", "NONE"), types
        done = ("delivery.prepared", "approval.approved", "delivery.committed", "delivery.pushed", "delivery.pr_opened")
        assert [types[each] for each in done] == [1] * 5, f"dead at {at or seq}: {types}"
        assert at is None or types["run.recovered"] == 1, f"dead at {at}: {types}"
        await yard.world.check_run(run)
    heads = git(repo, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/omar").splitlines()
    assert len(heads) == len(points) + 1
    assert len({line.split()[0] for line in heads}) == 1, "the same tree is the same commit"
    pulls = git(repo, "for-each-ref", "--format=%(refname)", "refs/pull").splitlines()
    named = [name.partition("/from/")[2] for name in pulls if "/from/" in name]
    assert sorted(named) == sorted(f"omar/{count}" for count in range(len(points) + 1))
    assert len(pulls) == 2 * len(named)
    assert git(repo, "fsck", "--strict") == ""
    assert not list(repo.rglob("tmp_obj_*"))
