"""Control groups, on a directory that stands for the kernel's: here it is the test that kills and counts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.client.outcome import Completed, Failed
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.cgroup import Cgroups, Group, NotDelegated
from runwright.sandbox.means import Means
from tests.executors.test_process import Stage
from tests.waiting import until


class Hierarchy(Cgroups):
    """A directory in the place of the kernel's hierarchy; new groups have the files that the kernel gives them."""

    def __init__(self, root: Path) -> None:
        (root / "cgroup.controllers").write_text("cpu memory pids\n")
        self.mine = root / "mine"
        self.mine.mkdir()
        (self.mine / "cgroup.controllers").write_text("memory pids\n")
        (self.mine / "cgroup.subtree_control").write_text("")
        (root / "membership").write_text("1:cpu:/elsewhere\n0::/mine\n")
        super().__init__(root, root / "membership")

    def make(self, name: str, memory_bytes: int, pids_max: int) -> Group:
        group = super().make(name, memory_bytes, pids_max)
        (self.group / "memory.current").write_text("4096\n")
        (self.group / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
        return group

    @property
    def group(self) -> Path:
        """Return the only group."""
        [found] = self.mine.glob("runwright-process-*")
        return found

    def read(self, name: str) -> str:
        """Return what was written into a file of the only group."""
        return (self.group / name).read_text()

    def kill_for_memory(self) -> None:
        """Do what the kernel does when the group has no memory left."""
        (self.group / "memory.current").write_text(str(256 << 20))
        (self.group / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
        os.kill(int(self.read("cgroup.procs")), signal.SIGKILL)


@pytest.fixture
async def grouping(open_directory: Path, tmp_path: Path) -> AsyncIterator[tuple[Means, Hierarchy]]:
    """Find the means of this machine, and give them control groups."""
    found = await Means.find(Bounds(directory=open_directory, sample_s=0.02))
    hierarchy = Hierarchy(tmp_path)
    yield Means(replace(found.sandbox, cgroups=hierarchy), found.workspaces, found.bounds, found.clock), hierarchy
    found.close()


async def test_a_command_is_in_its_group_before_it_begins_and_killed_for_its_memory_it_says_so(
    grouping: tuple[Means, Hierarchy],
):
    means, hierarchy = grouping
    stage = Stage(means)
    running = asyncio.create_task(stage.sh("echo here; sleep 60"))
    await stage.begun()
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    bounds = [str(256 << 20), "0", "1", str(means.bounds.pids_max + 8)]
    assert [hierarchy.read(name) for name in names] == bounds
    assert Path(f"/proc/{hierarchy.read('cgroup.procs')}/status").read_text().count("NSpid:") == 1
    hierarchy.kill_for_memory()
    outcome = await running
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.code, outcome.retryable) == ("MemoryLimit", "process.memory_limit", False)
    [limited] = stage.journal.of("process.limited")
    assert limited == {"limit": "memory", "used": 256 << 20, "most": 256 << 20, "means": "cgroup"}
    assert stage.journal.of("process.started")[0]["memory_means"] == "cgroup"
    assert hierarchy.read("cgroup.kill") == "1", "whatever may be left in it"


async def test_what_it_used_is_what_the_group_counted(grouping: tuple[Means, Hierarchy]):
    means, hierarchy = grouping
    stage = Stage(means)
    wait, keep = "until test -e go; do sleep 0.01; done; rm go", 'echo "{}" > "$RUNWRIGHT_CHECKPOINT_FILE"'
    running = asyncio.create_task(stage.sh(f"echo; {wait}; {keep}; {wait}"))
    await stage.begun()
    (hierarchy.group / "memory.current").write_text(str(99 << 20))
    [go] = [place / "work" / "go" for place in means.workspaces.directory.glob("run_1.*")]
    go.touch()
    await until(lambda: stage.journal.kept["checkpoint"])  # which is looked at with every tenth look
    go.touch()
    assert await running == Completed(None)
    assert stage.journal.of("process.ended")[0]["peak_memory_bytes"] == 99 << 20
    assert stage.journal.of("process.limited") == []


async def test_a_group_that_the_kernel_refuses_is_no_reason_to_go_without(grouping: tuple[Means, Hierarchy]):
    means, hierarchy = grouping
    (hierarchy.mine / "runwright-process-run_1.1").mkdir()
    outcome = await Stage(means).sh("true")
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.retryable) == ("SandboxFailed", True)
    assert "its control group was refused: File exists" in outcome.message


def test_groups_are_made_only_in_a_subtree_with_memory_and_pids(tmp_path: Path):
    membership = tmp_path / "membership"
    membership.write_text("0::/mine\n")
    with pytest.raises(NotDelegated, match="no unified hierarchy"):
        Cgroups(tmp_path, membership)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "cgroup.controllers").write_text("pids\n")
    with pytest.raises(NotDelegated, match="memory"):
        Cgroups(tmp_path, membership)
    (mine / "cgroup.controllers").write_text("memory pids\n")
    with pytest.raises(NotDelegated, match="cannot be divided"):
        Cgroups(tmp_path, membership)


def test_the_server_moves_out_of_the_group_that_it_divides_and_removes_what_one_before_it_left(tmp_path: Path):
    mine = tmp_path / "mine"
    for name in ("runwright-process-run_1.1", "runwright-process-run_2.1"):
        (mine / name).mkdir(parents=True)
    (mine / "runwright-process-run_2.1" / "cgroup.procs").write_text("4711")
    hierarchy = tmp_path / "cgroup.controllers"
    hierarchy.write_text("memory pids\n")
    (tmp_path / "membership").write_text("0::/mine\n")
    (mine / "cgroup.controllers").write_text("memory pids\n")
    (mine / "cgroup.subtree_control").write_text("")
    Cgroups(tmp_path, tmp_path / "membership")
    assert (mine / "runwright-server" / "cgroup.procs").read_text() == str(os.getpid())
    assert (mine / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert [path.name for path in mine.glob("runwright-process-*")] == ["runwright-process-run_2.1"]
