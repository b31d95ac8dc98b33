"""What people type reaches a command as from a keyboard, and its terminal has the size that they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runwright.sandbox.command import Command, Ended, run_command
from runwright.sandbox.grip import Grip
from runwright.sandbox.means import Means

TIMEOUT_S = 30.0


class Screen:
    """What a command printed so far, and a way to wait for some of it."""

    def __init__(self) -> None:
        self.shown = b""
        self._news = asyncio.Event()

    async def heard(self, stream: str, piece: bytes) -> None:
        self.shown += piece
        self._news.set()

    async def shows(self, text: bytes) -> None:
        while text not in self.shown:
            self._news.clear()
            await self._news.wait()


class Desk:
    """Runs commands that somebody types for."""

    def __init__(self, means: Means, tree: Path) -> None:
        self._means = means
        self._tree = tree
        self.screen = Screen()

    async def run(self, words: str, hold: Callable[[Grip], Awaitable[None]], *, tty: bool = True) -> Ended:
        command = Command(
            words=("sh", "-c", words),
            timeout_s=TIMEOUT_S,
            memory_bytes=128 << 20,
            cpus=1,
            output_max_bytes=1 << 20,
            tty=tty,
            stdin=True,
        )
        return await run_command(self._means, self._tree, command, self.screen.heard, hold=hold)


@pytest.fixture
async def desk(means: Means) -> Desk:
    place = await means.workspaces.make("typed", {}, None)
    return Desk(means, place.work)


async def test_a_line_that_is_typed_is_read_and_echoed(desk: Desk):
    echoed = []

    async def hold(grip: Grip) -> None:
        echoed.append(await grip.write(b"Ada\n"))

    ended = await desk.run("read name; echo hello $name", hold)
    assert (ended.status, echoed) == (0, [True])
    assert desk.screen.shown == b"Ada\r\nhello Ada\r\n"


async def test_what_is_typed_while_the_terminal_does_not_echo_is_said_not_to_be_echoed(desk: Desk):
    echoed = []

    async def hold(grip: Grip) -> None:
        await desk.screen.shows(b"password")
        echoed.append(await grip.write(b"hunter2\n"))
        await desk.screen.shows(b"again")
        echoed.append(await grip.write(b"seen\n"))

    ended = await desk.run("stty -echo; echo password; read p; stty echo; echo again; read q; echo ${#p} ${#q}", hold)
    assert (ended.status, echoed) == (0, [False, True])
    assert b"hunter2" not in desk.screen.shown
    assert desk.screen.shown.endswith(b"7 4\r\n")


async def test_an_interrupt_reaches_the_command_and_not_its_sandbox(desk: Desk):
    async def hold(grip: Grip) -> None:
        await desk.screen.shows(b"ready")
        await grip.write(b"\x03")

    ended = await desk.run("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done", hold)
    assert (ended.status, b"caught" in desk.screen.shown) == (9, True)
    desk.screen = Screen()
    ended = await desk.run("echo ready; exec sleep 60", hold)
    assert ended.status == 128 + 2, "without a trap it dies of it, and its sandbox says so"


async def test_another_size_is_told_to_the_command_by_a_signal(desk: Desk):
    async def hold(grip: Grip) -> None:
        await desk.screen.shows(b"24 80")
        grip.resize(100, 30)

    ended = await desk.run("trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.05; done", hold)
    assert (ended.status, b"30 100" in desk.screen.shown) == (0, True)


@pytest.mark.parametrize(("tty", "typed"), [(True, b"a\nb\n"), (True, b"a\nb"), (False, b"a\nb"), (False, b"")])
async def test_the_end_of_what_is_typed_is_the_end_of_what_is_read(desk: Desk, tty: bool, typed: bytes):
    async def hold(grip: Grip) -> None:
        await grip.write(typed)
        await grip.end()

    ended = await desk.run("cat > got; wc -c < got", hold, tty=tty)
    assert ended.status == 0
    assert desk.screen.shown.split()[-1].endswith(str(len(typed)).encode())


async def test_who_writes_faster_than_the_command_reads_waits_and_loses_nothing(desk: Desk):
    size = 1 << 20

    async def hold(grip: Grip) -> None:
        await grip.write(b"x" * size)
        await grip.end()

    ended = await desk.run("sleep 0.2; wc -c", hold, tty=False)
    assert (ended.status, desk.screen.shown.strip()) == (0, str(size).encode())


async def test_a_command_that_reads_no_more_keeps_the_writer_waiting_and_ends_all_the_same(desk: Desk):
    written = []

    async def hold(grip: Grip) -> None:
        with suppress(OSError):  # it has ended
            while True:
                await grip.write(b"x" * 65_536)
                written.append(65_536)

    ended = await desk.run("exec <&-; echo on; sleep 0.2", hold, tty=False)
    assert (ended.status, desk.screen.shown) == (0, b"on\n")
    assert sum(written) <= 1 << 20


async def test_a_hand_that_breaks_ends_the_command_and_is_told(desk: Desk):
    async def hold(grip: Grip) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await desk.run("sleep 60", hold)
