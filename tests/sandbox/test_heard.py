"""A command's output is heard while it runs, each stream apart, and comes back from the log byte for byte."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright.executors.terminal import Terminal
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.command import Command, Ended, run_command
from runwright.sandbox.means import Means
from tests.engine.test_tape import Log


@pytest.fixture
async def means() -> AsyncIterator[Means]:
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o711)
        found = await Means.find(Bounds(directory=Path(name), sample_s=0.02))
        yield found
        found.close()


@pytest.fixture
def tree(means: Means) -> Path:
    made = means.bounds.directory / "tree"
    made.mkdir()
    made.chmod(0o777)
    return made


def command(script: str) -> Command:
    return Command(("sh", "-c", script), timeout_s=30, memory_bytes=256 << 20, cpus=1, output_max_bytes=1000)


async def test_output_is_heard_while_the_command_runs_and_each_stream_by_its_name(means: Means, tree: Path):
    log, begun = Log(), asyncio.Event()
    terminal = Terminal(log, "cmd_1", lambda: 0)

    async def hear(stream: str, piece: bytes) -> None:
        await terminal.heard(stream, piece)
        if stream == "stderr":
            begun.set()

    script = "printf 'out\\377'; printf err >&2; while ! test -e go; do sleep 0.01; done; printf later"
    terminal.begin(["sh"])
    running = asyncio.create_task(run_command(means, tree, command(script), hear))
    async with asyncio.timeout(30):
        await begun.wait()
    assert not running.done()
    (tree / "go").touch()
    ended: Ended = await running
    terminal.end(ended.status)
    log.flush()
    assert (log.printed("stdout"), log.printed("stderr")) == (b"out\xfflater", b"err")
    assert (ended.status, "later" in ended.output) == (0, True)


async def test_all_that_is_printed_is_heard_though_only_its_ends_are_returned(means: Means, tree: Path):
    heard = 0

    async def hear(stream: str, piece: bytes) -> None:
        nonlocal heard
        heard += len(piece)

    ended = await run_command(means, tree, command("head -c 300000 /dev/zero"), hear)
    assert (heard, ended.truncated, ended.status) == (300_000, True, 0)
