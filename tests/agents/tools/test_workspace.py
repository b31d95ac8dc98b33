"""Workspaces: what is kept of them after each call, and that any worker rebuilds the same."""

import asyncio

import pytest
from msgspec.structs import replace

from runwright.agents.tools.port import Fault
from runwright.agents.tools.workspace import Kept, RunWorkspace
from runwright.domain.globs import Scope
from runwright.sandbox.means import Means
from runwright.sandbox.snapshot import Limits, WorkspaceMismatch
from tests.agents.tools.bench import BOUNDS, Bench, kept, value
from tests.breaking import broken_off
from tests.deadlines import deadline
from tests.waiting import until


async def test_a_call_that_changes_the_tree_leaves_a_snapshot_and_one_that_does_not_leaves_none(bench: Bench):
    calls = [
        bench.ready("shell", command="echo 1 > a"),
        bench.ready("shell", command="cat a; touch a; echo 1 > a"),
        bench.ready("files", action="read", path="a"),
        bench.ready("files", action="write", path="a", content="1\n"),
        bench.ready("files", action="write", path="a", content="2\n"),
        bench.ready("shell", command="echo 1 > a; exit 1"),
    ]
    made = await bench.make(*calls)
    assert [each.snapshot is not None for each in made] == [True, False, False, False, True, True]
    first, second, third = bench.journal.snapshots
    assert first.tree_hash == third.tree_hash != second.tree_hash
    assert first.archive == third.archive
    assert (first.told.files, first.told.bytes) == (1, 2)


async def test_a_call_that_runs_out_of_time_leaves_what_it_did(bench: Bench, means: Means):
    work = means.workspaces.directory
    with deadline(44.5) as time:
        call = bench.ready("shell", command="echo 1 > a; sleep 60", timeout_s=time.seconds)
        running = asyncio.create_task(bench.make(call))
        await until(lambda: list(work.glob("run_1.*/work/a")))
        time.passes()
        (made,) = await running
    assert isinstance(made.result, Fault)
    assert made.snapshot is not None


async def test_another_worker_goes_on_in_the_same_tree(bench: Bench, means: Means):
    script = "mkdir -p d/empty; echo text > d/ä; cp d/ä p; chmod 700 p; ln -s d/ä l; head -c 70000 /dev/urandom > noise"
    await bench.sh(script)
    look = "find . -printf '%P %y %m %l\\n' | LC_ALL=C sort; cat l | sha256sum; sha256sum noise"
    before = await bench.sh(look)
    async with Bench(means, last=bench.journal.last) as other:
        assert await other.sh(look) == before
        assert await other.sh("echo more >> d/ä; rm l; ./p 2>&1; cat d/ä") == "./p: 1: text: not found\ntext\nmore\n"
        assert len(other.journal.snapshots) == 1


async def test_k15_a_call_whose_end_nobody_knows_finds_the_tree_as_it_was_before(bench: Bench, means: Means):
    await bench.sh("echo 0 > count")
    before = bench.journal.last
    add = "n=$(cat count); echo $((n + 1)) | tee count"
    assert await bench.sh(add) == "1\n"  # and the worker dies before that is written
    async with Bench(means, last=before) as other:
        assert await other.sh(add) == "1\n"


UNKEEPABLE = {
    "too many files": ("seq 1 60 | xargs touch", "more than 50 files"),
    "too many bytes": ("head -c 200000 /dev/zero > f", "too many bytes"),
    "an absolute link": ("ln -s /etc/passwd l", "may be outside"),
    "a pipe": ("mkfifo p", "p is no file"),
    "setuid": ("echo > s; chmod u+s s", "changes who runs it"),
    "closed doors": ("mkdir -p d/e; mkfifo d/e/p; chmod 000 d/e d", "d/e/p is no file"),
}


@pytest.mark.parametrize(("command", "said"), UNKEEPABLE.values(), ids=UNKEEPABLE)
async def test_what_cannot_be_kept_is_undone_and_the_model_is_told(means: Means, command: str, said: str):
    async with Bench(means, bounds=replace(BOUNDS, tree=Limits(50, 100_000))) as bench:
        await bench.said("files", action="write", path="a", content="kept\n")
        (made,) = await bench.make(bench.ready("shell", command=f"echo done; rm -f a; {command}"))
        assert isinstance(made.result, Fault), made
        assert (made.result.code, made.snapshot) == ("workspace.refused", None)
        assert said in made.result.message
        assert made.result.said == {"exit_code": 0, "output": "done\n"}
        assert (await bench.said("files", action="read", path="a"))["content"] == "kept\n"
        assert (await bench.said("files", action="list"))["entries"] == [{"name": "a", "kind": "file", "bytes": 5}]
        await bench.workspace.close()
        assert [path for path in means.workspaces.directory.iterdir() if path.name.startswith("run_1.")] == []


async def test_what_a_tool_changes_out_of_the_scope_is_undone_and_the_model_is_told(means: Means):
    async with Bench(means, scope=Scope(allow=("src/**",), deny=("**/keep",))) as bench:
        await bench.said("files", action="write", path="src/a", content="1\n")
        for asked in (
            {"tool": "files", "action": "write", "path": "b", "content": "2\n"},
            {"tool": "files", "action": "write", "path": "src/x/keep", "content": "2\n"},
            {"tool": "shell", "command": "rm src/a; ln -s src l"},
        ):
            code, said = await bench.refused(asked.pop("tool"), **asked)
            assert (code, "may not be changed" in said) == ("workspace.refused", True)
        assert (await bench.said("files", action="list"))["entries"] == [{"name": "src", "kind": "directory"}]
        last = bench.journal.last
        async with Bench(means, last=last, scope=Scope(deny=("src/a",))) as other:
            assert (await other.refused("shell", command="rm src/a"))[0] == "workspace.refused"
            assert await other.sh("echo 3 > src/b && cat src/a") == "1\n"


async def test_before_the_first_snapshot_what_is_undone_leaves_nothing(bench: Bench):
    assert (await bench.refused("shell", command="touch a; mkfifo p"))[0] == "workspace.refused"
    assert await bench.said("files", action="list") == {"entries": []}


async def test_what_was_undone_once_more_is_the_last_snapshot_that_was_brought_along(bench: Bench, means: Means):
    await bench.sh("echo kept > a")
    async with Bench(means, last=bench.journal.last) as other:
        assert (await other.refused("shell", command="rm a; mkfifo p"))[0] == "workspace.refused"
        assert await other.sh("cat a") == "kept\n"


async def test_a_snapshot_that_is_another_tree_ends_the_run(bench: Bench, means: Means):
    await bench.sh("echo 1 > a")
    await bench.sh("echo 2 > a")
    one, other = bench.journal.snapshots
    for wrong in (replace(one, archive=other.archive), replace(one, archive=one.archive[:-9])):
        async with Bench(means, last=kept(wrong)) as again:
            with pytest.raises(WorkspaceMismatch):
                await again.make(again.ready("shell", command="cat a"))
            assert again.journal.ended == []
    assert [path for path in means.workspaces.directory.iterdir() if path.name.startswith("run_1.")] == [
        bench.workspace.files.root.parent
    ]


async def test_a_snapshot_that_cannot_be_read_is_no_fault_of_the_tool(means: Means):
    async def load() -> bytes:
        raise ConnectionError("the store is away")

    async with Bench(means, last=Kept("0" * 64, load)) as bench:
        with pytest.raises(ConnectionError):
            await bench.make(bench.ready("files", action="list"))


async def test_a_run_whose_tools_need_no_workspace_has_none(bench: Bench, means: Means):
    await bench.result("http", method="GET", url="http://127.0.0.1:9/")
    assert [path for path in means.workspaces.directory.iterdir() if path.name.startswith("run_1.")] == []


async def test_calls_that_begin_together_open_one_workspace(bench: Bench, means: Means):
    made = await bench.make(*(bench.ready("files", action="list") for _ in range(8)))
    assert [value(each) for each in made] == [{"entries": []}] * 8
    assert len([path for path in means.workspaces.directory.iterdir() if path.name.startswith("run_1.")]) == 1


async def test_without_a_sandbox_nothing_touches_a_workspace_and_the_rest_works():
    async with Bench(None) as bench:
        for tool, arguments in (
            ("shell", {"command": "true"}),
            ("python", {"code": "1"}),
            ("files", {"action": "list"}),
        ):
            code, message = await bench.refused(tool, **arguments)
            assert code == "tool.no_sandbox"
            assert message == "no sandbox works on this server: bubblewrap (bwrap) is not installed"
        assert (await bench.refused("http", method="GET", url="http://127.0.0.1:9/"))[0] == "http.unreached"


async def test_a_cancel_while_it_is_rebuilt_leaves_nothing(bench: Bench, means: Means):
    await bench.sh("seq 1 1000 | xargs touch")
    async with Bench(means, last=bench.journal.last) as other:
        running = asyncio.create_task(other.make(other.ready("files", action="list")))
        await until(lambda: len([*means.workspaces.directory.glob("run_1.*")]) >= 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len([path for path in means.workspaces.directory.iterdir() if path.name.startswith("run_1.")]) == 1


async def test_wherever_its_work_is_broken_off_a_workspace_leaves_nothing(bench: Bench, means: Means):
    await bench.sh("echo 1 > a")

    async def work(place: RunWorkspace) -> None:
        await place.open()
        (place.files.root / "a").write_text("2")
        assert await place.settle() is not None
        (place.files.root / "a").write_text("3")
        await place.put_back()
        await place.close()

    at, more = 0, True
    while more:
        at += 1
        place = RunWorkspace(means, "", BOUNDS, "run_2", bench.journal.last)
        more = await broken_off(work(place), at)
        await place.close()
        left = [path.name for path in means.workspaces.directory.iterdir() if path.name.startswith("run_2.")]
        assert left == [], f"it was broken off at its wait number {at}"
    assert at > 5
