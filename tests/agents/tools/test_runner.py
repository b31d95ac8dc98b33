"""The calls of one turn: which run side by side, that no failure is another's, and that nothing outlives them."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.agents.tools.port import Fault, Result, Said, Scene
from runwright.agents.tools.runner import Made
from runwright.domain.tools import Action, Effect, Ready, ToolSpec
from runwright.sandbox.means import Means
from runwright.sandbox.workspace import Workspaces
from tests.agents.tools.bench import Bench, processes_with, value
from tests.waiting import until


class Gate:
    """A tool whose calls wait until they are let through by name; it remembers how many were in at a time."""

    def __init__(self, name: str, effect: Effect) -> None:
        self.spec = ToolSpec(
            name=name,
            description="",
            schema={"type": "object", "properties": {"name": {"type": "string"}, "timeout_s": {"type": "number"}}},
            actions={"": Action("low", effect)},
        )
        self.waiting: dict[str, asyncio.Event] = {}
        self.inside: set[str] = set()
        self.most = 0
        self.keys: list[str] = []
        self.failing: dict[str, BaseException] = {}

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Wait at the gate."""
        name = call.arguments["name"]
        self.keys.append(scene.idempotency_key)
        self.inside.add(name)
        self.most = max(self.most, len(self.inside))
        try:
            await self.waiting.setdefault(name, asyncio.Event()).wait()
            if name in self.failing:
                raise self.failing[name]
            return Said(name)
        finally:
            self.inside.discard(name)

    def open(self, *names: str) -> None:
        """Let calls through."""
        for name in names:
            self.waiting.setdefault(name, asyncio.Event()).set()


@pytest.fixture
def look() -> Gate:
    """Return a tool that changes nothing."""
    return Gate("look", "read_only")


@pytest.fixture
def act() -> Gate:
    """Return a tool that does."""
    return Gate("act", "unsafe")


@pytest.fixture
def bench(look: Gate, act: Gate) -> Bench:
    """Return a run with these tools, in a hurry."""
    return Bench(None, tools=[look, act], late_s=0.05)


async def test_calls_that_change_nothing_run_side_by_side_and_come_back_in_order(bench: Bench, look: Gate):
    calls = [bench.ready("look", name=str(number)) for number in range(20)]
    running = asyncio.create_task(bench.make(*calls))
    await until(lambda: len(look.inside) == 8)
    look.open(*map(str, reversed(range(20))))
    assert [made.result for made in await running] == [Said(str(number)) for number in range(20)]
    assert look.most == 8
    assert bench.journal.begun == [[call.tool_call_id for call in calls]]
    assert sorted(bench.journal.ended) == sorted(call.tool_call_id for call in calls)
    assert sorted(look.keys) == sorted(f"run_1:{call.tool_call_id}" for call in calls)


async def test_one_that_changes_something_runs_alone_after_all_before_it(bench: Bench, look: Gate, act: Gate):
    names = [("look", "a"), ("look", "b"), ("act", "c"), ("act", "d"), ("look", "e")]
    running = asyncio.create_task(bench.make(*(bench.ready(tool, name=name) for tool, name in names)))
    steps = [({"a", "b"}, "a"), ({"b"}, "b"), ({"c"}, "c"), ({"d"}, "d"), ({"e"}, "e")]
    for inside, opened in steps:
        await until(partial(_inside, inside, look, act))
        (look if opened in "abe" else act).open(opened)
    await running
    assert bench.journal.begun == [["call_1", "call_2"], ["call_3"], ["call_4"], ["call_5"]]
    assert act.most == 1


def _inside(names: set[str], *gates: Gate) -> bool:
    return set().union(*(gate.inside for gate in gates)) == names


async def test_one_failure_spoils_nothing_else(bench: Bench, look: Gate, act: Gate):
    look.failing["b"] = ValueError("a s3cret")
    act.failing["d"] = KeyError("a s3cret")
    look.open("a", "b", "c")
    act.open("d", "e")
    names = [("look", "a"), ("look", "b"), ("look", "c"), ("act", "d"), ("act", "e")]
    made = await bench.make(*(bench.ready(tool, name=name) for tool, name in names))
    assert [each.result for each in made] == [
        Said("a"),
        Fault("tool.failed", "the tool failed by itself (ValueError)"),
        Said("c"),
        Fault("tool.failed", "the tool failed by itself (KeyError)"),
        Said("e"),
    ]
    assert len(bench.journal.ended) == 5


async def test_a_tool_that_does_not_keep_its_time_is_ended(bench: Bench, look: Gate):
    look.open("quick")
    calls = [bench.ready("look", name="slow", timeout_s=0.01), bench.ready("look", name="quick")]
    slow, quick = await bench.make(*calls)
    assert slow.result == Fault("tool.timeout", "it was ended, as it took longer than 0.01 s")
    assert quick.result == Said("quick")
    assert look.inside == set()


async def test_a_cancel_ends_all(bench: Bench, look: Gate):
    calls = [bench.ready("look", name=str(number)) for number in range(3)] + [bench.ready("act", name="never")]
    running = asyncio.create_task(bench.make(*calls))
    await until(lambda: len(look.inside) == 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert look.inside == set()
    assert bench.journal.begun == [["call_1", "call_2", "call_3"]]
    assert bench.journal.ended == []


class Lost(Exception):
    """Say that the lease is."""


async def test_what_the_journal_raises_ends_all(bench: Bench, look: Gate, act: Gate, monkeypatch: pytest.MonkeyPatch):
    async def end(made: object) -> None:
        raise Lost

    monkeypatch.setattr(bench.journal, "end", end)
    calls = [bench.ready("look", name=name) for name in "ab"] + [bench.ready("act", name="c")]
    running = asyncio.create_task(bench.make(*calls))
    await until(lambda: len(look.inside) == 2)
    look.open("a")
    with pytest.raises(Lost):
        await running
    assert (look.inside, act.keys) == (set(), [])


async def test_a_call_of_a_tool_that_this_server_does_not_have_is_told(bench: Bench, look: Gate):
    call = replace(bench.ready("look", name="a"), tool="gone")
    assert (await bench.make(call))[0].result == Fault("tool.unknown", "there is no tool gone on this server")


async def test_what_one_writes_the_next_one_reads(means: Means):
    async with Bench(means) as bench:
        made = await bench.make(
            bench.ready("files", action="write", path="a", content="1"),
            bench.ready("files", action="read", path="a"),
            bench.ready("shell", command="echo -n 2 > a"),
            bench.ready("files", action="read", path="a"),
            bench.ready("files", action="list"),
        )
    assert [value(made[1])["content"], value(made[3])["content"]] == ["1", "2"]
    assert bench.journal.begun == [["call_1"], ["call_2"], ["call_3"], ["call_4", "call_5"]]


async def test_a_cancel_between_two_commands_starts_no_more(means: Means, monkeypatch: pytest.MonkeyPatch):
    running: list[asyncio.Task[list[Made]]] = []
    async with Bench(means) as bench:
        real = bench.journal.end

        async def end(made: Made) -> None:
            await real(made)
            running[0].cancel()

        monkeypatch.setattr(bench.journal, "end", end)
        running.append(asyncio.create_task(bench.make(*(bench.ready("shell", command="true") for _ in range(3)))))
        with pytest.raises(asyncio.CancelledError):
            await running[0]
    assert bench.journal.ended == ["call_1"]


WORKER = """
import asyncio, sys
from pathlib import Path
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means
from runwright.sandbox.workspace import Workspaces
from tests.agents.tools.bench import Bench

async def main():
    means = await Means.find(Bounds(directory=Path(sys.argv[1])))
    bench = Bench(means)
    command = f"(setsid sleep {sys.argv[2]} &); echo > begun; sleep {sys.argv[2]}"
    await bench.make(bench.ready("shell", command=command))

asyncio.run(main())
"""


async def test_a_worker_that_is_killed_leaves_no_process(open_directory: Path):
    marker = f"6{os.getpid()}{int.from_bytes(os.urandom(3))}"
    place = open_directory / "killed"
    place.mkdir()
    place.chmod(0o711)
    with subprocess.Popen([sys.executable, "-c", WORKER, str(place), marker]) as worker:
        await until(lambda: worker.poll() is not None or list(place.glob("*/run_1.*/work/begun")))
        assert worker.poll() is None
        assert len(processes_with(marker)) > 1
        worker.kill()
    await until(lambda: not processes_with(marker))
    Workspaces(place, None, resolver="").close()
    assert list(place.iterdir()) == [], "what it left on the disk goes when the next worker starts"
