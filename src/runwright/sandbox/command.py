"""Run one command in the sandbox, in a tree of files that stays, and gather what it says within bounds."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from runwright.sandbox.child import Asked, Child, NotStarted
from runwright.sandbox.grip import Grip
from runwright.sandbox.means import Means
from runwright.sandbox.programs import BIN
from runwright.sandbox.reading import Reading
from runwright.sandbox.relay import Relay
from runwright.sandbox.sandbox import FILES
from runwright.sandbox.surely import surely
from runwright.sandbox.watch import Exceeded, Watch
from runwright.sandbox.workspace import Workspace

_MERGED = ("/bin/sh", "-c", 'exec 2>&1; exec "$@"', "sh")
"""One pipe for both outputs keeps their order; what the sandbox says itself stays apart."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GROUP_SPARE = 8
Hear = Callable[[str, bytes], Awaitable[None]]
"""Hears a piece of `stdout` or `stderr` as it comes; what is said next waits until it returns."""
Hold = Callable[[Grip], Awaitable[None]]
"""Gives a command what it reads, and its terminal its size, until it is cancelled: the command has ended."""
Way = Callable[[socket.socket], Relay]
"""Makes a relay of what listens inside."""
LEFT_OUT = re.compile(r"\n\[… \d+ bytes left out …\]\n")
"""What stands in an output where its middle was dropped."""


class Command(NamedTuple):
    """What is run, and its bounds. `files` lie in `FILES` while it runs; `/tmp` and the home there are its own.

    One that is not `writable` has the tree read-only: the kernel refuses whatever would change it. `programs` are those
    of this installation that it finds by their names, before the system's. With `tty` it has a terminal in place of two
    pipes; with `stdin` it reads what it is given while it runs.
    """

    words: tuple[str, ...]
    timeout_s: float
    memory_bytes: int
    cpus: int
    output_max_bytes: int
    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    writable: bool = True
    programs: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False


class Ended(NamedTuple):
    """How it ended: `status` is None for a command that did not end by itself, for the time or for `exceeded`."""

    status: int | None
    output: str
    truncated: bool
    exceeded: Exceeded | None


async def run_command(
    means: Means,
    tree: Path,
    command: Command,
    heard: Hear | None = None,
    *,
    way: Way | None = None,
    hold: Hold | None = None,
) -> Ended:
    """Run a command with `tree` as its workspace; no process of it is left, whoever cancels.

    With `heard` its outputs come apart, and are heard while it runs; without, they share a pipe, in their exact order.
    `hold` is given the hand on one that has a terminal or reads.
    `way` passes on what it sends to the one address that it may talk to; without it there is none. Raises `NotStarted`
    when it could not begin, which is `ProgramMissing` for one of its `programs`.
    """
    await means.programs.lay(command.programs)
    place = await means.workspaces.make("command", {}, None, work=tree)
    child = Child(means.clock)
    try:
        await asyncio.to_thread(_lay, place, command.files)
        return await _Running(means, place, child, command, heard, way, hold).to_the_end()
    finally:
        await surely(_cleared(means, place, child))


async def _cleared(means: Means, place: Workspace, child: Child) -> None:
    await child.close()
    await means.workspaces.remove(place)


def _lay(place: Workspace, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (place.files / name).write_text(text)
        (place.files / name).chmod(0o644)


class _Running:
    def __init__(
        self,
        means: Means,
        place: Workspace,
        child: Child,
        command: Command,
        heard: Hear | None,
        way: Way | None,
        hold: Hold | None,
    ) -> None:
        self._means = means
        self._hold = hold
        self._way = way
        self._child = child
        self._place = place
        self._command = command
        self._hear = heard
        self._exceeded: Exceeded | None = None
        self._heard = Heard(command.output_max_bytes)
        self._watch = Watch(child, place, means.bounds, command.memory_bytes, self._over, means.clock)

    async def to_the_end(self) -> Ended:
        cpus = self._means.cpus.take(self._command.cpus)
        try:
            await self._start(cpus)
            async with self._relayed():
                status = await self._followed()
        finally:
            self._means.cpus.give_back(cpus)
        if self._exceeded is None and self._child.group is not None and self._child.group.out_of_memory:
            most = self._command.memory_bytes
            self._exceeded = Exceeded("memory", most, most, "cgroup")
        return Ended(None if self._exceeded else status, self._heard.text(), self._heard.cut, self._exceeded)

    def _relayed(self) -> AbstractAsyncContextManager[None]:
        if self._way is None or self._child.listener is None:
            return nullcontext()
        return self._way(self._child.listener)

    async def _start(self, cpus: tuple[int, ...]) -> None:
        bounds, sandbox, memory = self._means.bounds, self._means.sandbox, self._command.memory_bytes
        limits = {"CORE": 0, "NOFILE": bounds.files_max, "FSIZE": bounds.workspace_max_bytes}
        limits["NPROC"] = 2 * bounds.pids_max + _GROUP_SPARE
        env = {"PATH": _PATH, "HOME": "/tmp", "TMPDIR": "/tmp", "USER": "run", "LANG": "C.UTF-8"}
        words = self._command.words if self._hear else (*_MERGED, *self._command.words)
        shown = self._means.programs.directory if self._command.programs else None
        env |= {} if shown is None else {"PATH": f"{BIN}:{_PATH}"}
        tty, stdin = self._command.tty, self._command.stdin
        env |= {"TERM": "xterm-256color"} if tty else {}
        env |= self._command.env
        asked = Asked(words, env, tty, False, cpus, memory, limits, os.devnull, self._command.writable, shown, stdin)
        await self._child.start(sandbox, self._place, asked)
        if sandbox.cgroups is not None:
            try:
                name = self._place.directory.name
                self._child.group = sandbox.cgroups.make(name, memory, bounds.pids_max + _GROUP_SPARE)
                self._child.group.add(self._child.pid)
            except OSError as refused:
                raise NotStarted(f"its control group was refused: {refused.strerror}") from None

    async def _followed(self) -> int | None:
        streams = [asyncio.create_task(self._follow(*each)) for each in self._child.streams.items()]
        beside = [asyncio.create_task(self._watch.look(_nothing))]
        if self._hold is not None and self._child.grip is not None:
            beside.append(asyncio.create_task(_ending(self._hold(self._child.grip), self._child.kill)))
        try:
            self._child.release()
            in_time, status = await self._ended_in_time()
            await asyncio.gather(*streams)
        finally:
            for task in (*streams, *beside):
                task.cancel()
            went = await asyncio.gather(*beside, *streams, return_exceptions=True)
        broken = next((each for each in went[1 : len(beside)] if isinstance(each, Exception)), None)
        if broken is not None:
            raise broken
        if status is None and in_time and self._exceeded is None:
            raise NotStarted(self._heard.text().strip() or "the sandbox ended before the command began")
        return status if in_time else None

    async def _follow(self, name: str, stream: Reading) -> None:
        while piece := await stream.read():
            self._heard.add(piece)
            if self._hear is not None:
                await self._hear(name, piece)

    async def _ended_in_time(self) -> tuple[bool, int | None]:
        try:
            async with asyncio.timeout(self._command.timeout_s):
                return True, await self._child.ended()
        except TimeoutError:
            self._child.kill()
            return False, await self._child.ended()

    def _over(self, exceeded: Exceeded) -> None:
        if self._exceeded is None:
            self._exceeded = exceeded
            self._child.kill()


async def _ending(work: Awaitable[None], end: Callable[[], None]) -> None:
    """Do some work; where it breaks, what it is for is ended."""
    try:
        await work
    except Exception:
        end()
        raise


async def _nothing() -> None:
    """Look at no files: nobody waits for any."""


class Heard:
    """What was said, of which the beginning and the end are kept, each half of what may be."""

    def __init__(self, most_bytes: int) -> None:
        self._half = max(most_bytes // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, piece: bytes) -> None:
        """Take a piece."""
        room = self._half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        over = len(self._tail) - self._half
        if over > 0:
            self._dropped += over
            del self._tail[:over]

    @property
    def cut(self) -> bool:
        """Tell whether something was dropped."""
        return self._dropped > 0

    def text(self) -> str:
        """Return it, with a line where something was dropped."""
        if not self._dropped:
            return bytes(self._head + self._tail).decode("utf-8", "replace")
        between = f"\n[… {self._dropped} bytes left out …]\n"
        return self._head.decode("utf-8", "replace") + between + self._tail.decode("utf-8", "replace")


def inside(name: str) -> str:
    """Return where a command finds one of its `files`."""
    return f"{FILES}/{name}"
