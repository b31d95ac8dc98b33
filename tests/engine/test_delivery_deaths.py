"""A server dies wherever a delivery waits just now: it goes on elsewhere, to one commit, one branch, one pull request.

With `RUNWRIGHT_TEST_SOAK` one dies at every wait of its executor, without it at some.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
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
from runwright.domain.run import Run
from runwright.domain.runtime_terms import CommandStep, IngestStep
from runwright.domain.tenancy import Cause
from runwright.executors.agent_kit import Kit, LazyKit
from runwright.executors.delivery.executor import DeliveryExecutor
from runwright.executors.orchestrated.executor import OrchestratedExecutor
from runwright.forges.registered import Forges
from runwright.governance.deliveries import Asked, Deliveries
from runwright.governance.delivery_order import DeliveryOrder, Wanted
from runwright.governance.runs import RuntimeOrder, RuntimeRuns
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means
from tests.engine.databases import Database, SqliteDatabase
from tests.engine.dying import Mortal
from tests.engine.world import ADMIN, PROJECT, World
from tests.sandbox.repositories import Repository

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
POINTS = 8
"""At so many waits of all a server dies, if not at every one."""
WAITS_S = 60


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


class Yard:
    """One server after the other over one database, each of which delivers."""

    def __init__(self, directory: Path, database: Database, means: Means, root: Path) -> None:
        self.mortal = Mortal()
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
        conducting, delivering = OrchestratedExecutor(lazy), DeliveryExecutor(lazy, Forges(world.settings, clock))
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

    async def ended(self, run_id: str) -> None:
        """Return at the end of a run, whoever dies until then; what it asks is allowed."""
        async with asyncio.timeout(WAITS_S):
            while True:
                if self.mortal.dead.is_set():
                    await self._next()
                run = await self.world.run(run_id)
                if run.terminal:
                    return
                if run.wait is not None and run.state == "waiting":
                    await self._allow(run)
                await asyncio.sleep(0)

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

    async def _next(self) -> None:
        """Bury the dead, and let another server take over what it had."""
        self._database.sever()
        await asyncio.sleep(0)
        self.mortal.let_go()
        await self.world.abandon()
        self.mortal.bury()
        await self.close()
        await self.open()
        await self.world.reap(120)

    async def close(self) -> None:
        """Let go of the server."""
        if self._world is not None and self.world.opened:
            await self.world.crash()

    def arm(self, at: int | None) -> None:
        """Let a server die at a wait from now on."""
        self.mortal.arm(at, self._database.unwritable)


@pytest.fixture
async def yard(tmp_path: Path, means: Means, root: Path) -> AsyncIterator[Yard]:
    made = Yard(tmp_path / "data", SqliteDatabase(tmp_path / "data"), means, root)
    with made.mortal:
        await made.open()
        yield made
        await made.close()


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
    yard.arm(None)
    await yard.ended(await yard.begun(run_id, "omar/0"))
    waits = yard.mortal.awaits
    assert waits > POINTS
    at = range(1, waits + 1) if SOAK else range(waits // POINTS, waits + 1, waits // POINTS)
    for count, point in enumerate(at, 1):
        yard.arm(point)
        delivery_id = await yard.begun(run_id, f"omar/{count}")
        await yard.ended(delivery_id)
        run = await yard.world.run(delivery_id)
        types = Counter(await yard.world.types(delivery_id))
        assert (run.state, run.course and run.course.stop and run.course.stop.code) == ("completed", "NONE"), types
        done = ("delivery.prepared", "approval.approved", "delivery.committed", "delivery.pushed", "delivery.pr_opened")
        assert [types[each] for each in done] == [1] * 5, f"at the wait {point}: {types}"
        await yard.world.check_run(run)
    heads = git(repo, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/omar").splitlines()
    assert len(heads) == len(at) + 1
    assert len({line.split()[0] for line in heads}) == 1, "the same tree is the same commit"
    pulls = git(repo, "for-each-ref", "--format=%(refname)", "refs/pull").splitlines()
    named = [name.partition("/from/")[2] for name in pulls if "/from/" in name]
    assert sorted(named) == sorted(f"omar/{count}" for count in range(len(at) + 1))
    assert len(pulls) == 2 * len(named)
    assert git(repo, "fsck", "--strict") == ""
    assert not list(repo.rglob("tmp_obj_*"))
