"""A process in its sandbox: started, held until everything around it is set, ended with all that it has started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runwright.clock import Clock
from runwright.domain.terminal_events import COLUMNS, ROWS
from runwright.sandbox import launch
from runwright.sandbox.cgroup import Group
from runwright.sandbox.grip import Grip
from runwright.sandbox.reading import Reading
from runwright.sandbox.relay import PORT
from runwright.sandbox.sandbox import Sandbox
from runwright.sandbox.surely import whole
from runwright.sandbox.tree import send, tree
from runwright.sandbox.workspace import PAYLOAD, Workspace

LAUNCH = launch.__file__
_PROGRAMS = "/usr/bin:/bin"
"""Where the program lies that makes a command the leader of its terminal's session: what is typed to interrupt it
reaches it then, and not the sandbox.
"""
START_S = 30.0
GONE_S = 5.0


class Asked(NamedTuple):
    """What is started; what it reads is its payload, unless it is told to read something else.

    With `stdin` it reads what is written to the child's `grip`. The workspace of one that is not `writable` is there to
    be read; `programs` is a directory that it is shown.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    tty: bool
    network: bool
    cpus: tuple[int, ...]
    memory_bytes: int
    limits: Mapping[str, int]
    reads: str | None = None
    writable: bool = True
    programs: Path | None = None
    stdin: bool = False


NO_PROGRAM = "bwrap: execvp "
"""How the sandbox begins to say that it has no such program."""


class NotStarted(Exception):
    """Say why the sandbox could not be made."""


class Child:
    """A process tree. `streams` are what it writes, by name; `listener` is open inside a network without a way out.

    `grip` holds what it reads, and its terminal, where it has one of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.streams: dict[str, Reading] = {}
        self.listener: socket.socket | None = None
        self.group: Group | None = None
        self.grip: Grip | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._status: Reading | None = None
        self._told = b""
        self._gate: int | None = None
        self._pid = 0
        self._pidfd: int | None = None
        self._counters: list[Any] = []

    async def start(self, sandbox: Sandbox, place: Workspace, asked: Asked) -> None:
        """Start the process up to where it waits for `release`. Raises `NotStarted`."""
        ends = _Ends(asked, place, sandbox.filter)
        leader = shutil.which("setsid", path=_PROGRAMS) if asked.tty else None
        order = {
            "parent": os.getpid(),
            "uid": sandbox.uid,
            "tty": asked.tty and leader is None,
            "network": asked.network,
            "cpus": asked.cpus,
            "limits": asked.limits,
            "listener": ends.listener,
            "port": PORT,
            "command": sandbox.arguments(
                place,
                asked.command if leader is None else (leader, "--ctty", *asked.command),
                tty=asked.tty,
                network=asked.network,
                writable=asked.writable,
                memory_bytes=asked.memory_bytes,
                fds=ends.options,
                programs=asked.programs,
            ),
        }
        try:
            await whole(self._spawn(order, ends))
        except BaseException:
            if ends.reception is not None:
                ends.reception.close()
            raise
        finally:
            ends.close_theirs()
            self.streams, self._status, self._gate = ends.streams, ends.status, ends.gate
            self.grip = ends.grip
        try:
            async with asyncio.timeout(START_S):
                await self._begun(ends)
        except TimeoutError:
            raise NotStarted(f"the sandbox did not come about within {START_S:g} s") from None
        finally:
            if ends.reception is not None:
                ends.reception.close()

    async def _spawn(self, order: dict[str, Any], ends: _Ends) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", LAUNCH, json.dumps(order)),
            stdin=ends.stdin,
            stdout=ends.stdout,
            stderr=ends.stderr,
            env={},  # the command's is bubblewrap's to set: before that, it could change what runs as the server
            cwd="/",
            pass_fds=ends.passed,
            start_new_session=True,
        )

    async def _begun(self, ends: _Ends) -> None:
        status = await self._status_of("child-pid")
        if status is None:
            raise NotStarted(await self.last_words())
        self._pid = status
        try:
            self._pidfd = os.pidfd_open(status)  # it is held, so it still lives, unless its sandbox did not come about
        except ProcessLookupError:
            raise NotStarted(await self.last_words()) from None
        for path in (f"/proc/{status}/net/snmp", f"/proc/{status}/net/snmp6"):
            with contextlib.suppress(OSError):
                self._counters.append(open(path))  # noqa: SIM115, PTH123, ASYNC230 - it keeps the network's numbers
        if ends.reception is not None:
            self.listener = ends.received()

    async def _status_of(self, name: str) -> int | None:
        """Return a number of bubblewrap's status, or None when it ends without having told it."""
        assert self._status is not None
        while True:
            with contextlib.suppress(ValueError):
                for part in self._told.split(b"}")[:-1]:
                    found = json.loads(part + b"}")
                    if name in found:
                        return int(found[name])
            more = await self._status.read()
            if not more:
                return None
            self._told += more

    async def last_words(self) -> str:
        """Return the last line of what it said on its error output, once it has ended."""
        stream = self.streams.get("stderr") or self.streams["tty"]
        words = b""
        while more := await stream.read():
            words = (words + more)[-4096:]
        text = words.decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "the sandbox ended before it was made"

    def release(self) -> None:
        """Let the command begin."""
        if self._gate is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended, and says itself why
                os.write(self._gate, b"\n")
            os.close(self._gate)
            self._gate = None

    @property
    def pid(self) -> int:
        """Return the first process inside, by its number outside."""
        return self._pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the command."""
        send([pid for pid in tree(self._pid) if pid != self._pid], self._pid, number)

    def kill(self) -> None:
        """End every process, now: with the first of them the kernel ends all."""
        if self._pidfd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif self._process is not None and self._process.returncode is None:
            send(tree(self._process.pid), self._process.pid, signal.SIGKILL)

    async def ended(self) -> int | None:
        """Wait for the end; return the exit status (128 + n for the signal n), None for a command that never began."""
        assert self._process is not None
        await self._process.wait()
        return await self._status_of("exit-code")

    def ways_refused(self) -> int:
        """Return how often something was to be sent where no way leads."""
        refused = 0
        for file in self._counters:
            file.seek(0)
            lines = [line.split() for line in file.read().splitlines()]
            refused += sum(int(line[1]) for line in lines if line[0] == "Ip6OutNoRoutes")
            tables = [line for line in lines if line[0] == "Ip:"]
            if tables:
                names, numbers = tables
                refused += int(numbers[names.index("OutNoRoutes")])
        return refused

    async def _silent(self) -> None:
        """Wait until nobody can write any more: of a sandbox that was killed while it was made, all are gone then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                for stream in self.streams.values():
                    while await stream.read():
                        pass

    async def _held(self) -> None:
        """Take hold of what is being made, which waits at the gate by then: who is killed before it is known what he
        made leaves that behind, and without a gate it would begin.
        """
        if self._process is None or self._pidfd is not None:
            return
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(GONE_S):
                pid = await self._status_of("child-pid")
                if pid is not None:
                    self._pidfd = os.pidfd_open(pid)

    async def close(self) -> None:
        """End it, if it has not ended, and let everything go that was held for it."""
        await self._held()
        self.kill()
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None
        if self._process is not None:
            await self._process.wait()
        if self._pidfd is None:
            await self._silent()
        if self.group is not None:
            await self.group.close(self._clock)
        for end in [*self.streams.values(), self._status, self.grip]:
            if end is not None:
                end.close()
        for file in self._counters:
            file.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        if self.listener is not None:
            self.listener.close()


class _Ends:
    """The ends of everything between a process and this one."""

    def __init__(self, asked: Asked, place: Workspace, program: bytes | None) -> None:
        status, told = os.pipe()
        waits, self.gate = os.pipe()
        self._theirs = [told, waits]
        self.options = {"json-status-fd": told, "block-fd": waits, "args": _filled("environment", _cleared(asked.env))}
        self._theirs.append(self.options["args"])
        if program is not None:
            self.options["seccomp"] = _filled("seccomp", program)
            self._theirs.append(self.options["seccomp"])
        self.status = Reading(status)
        self.streams: dict[str, Reading] = {}
        self.grip: Grip | None = None
        if asked.tty:
            controls, terminal = pty.openpty()
            self.grip = Grip(os.dup(controls), tty=True)
            termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
            self.stdin = self.stdout = self.stderr = terminal
            self._theirs.append(terminal)
            self.streams["tty"] = Reading(controls)
        else:
            if asked.stdin:
                self.stdin, held = os.pipe()
                self.grip = Grip(held, tty=False)
            else:
                self.stdin = os.open(asked.reads or place.files / PAYLOAD, os.O_RDONLY | os.O_CLOEXEC)
            self.stdout, self.stderr = self._pipe("stdout"), self._pipe("stderr")
            self._theirs.append(self.stdin)
        self.reception: socket.socket | None = None
        self.listener: int | None = None
        self.passed = tuple(self.options.values())
        if not asked.network:
            self.reception, theirs = socket.socketpair()
            self.listener = theirs.detach()
            self._theirs.append(self.listener)
            self.passed = (*self.passed, self.listener)

    def _pipe(self, name: str) -> int:
        ours, theirs = os.pipe()
        self.streams[name] = Reading(ours)
        self._theirs.append(theirs)
        return theirs

    def close_theirs(self) -> None:
        """Close here what the process has by now."""
        for fd in self._theirs:
            os.close(fd)

    def received(self) -> socket.socket | None:
        """Return the socket that listens inside; it was sent before bubblewrap began."""
        assert self.reception is not None
        _, fds, _, _ = socket.recv_fds(self.reception, 64, 1)
        return socket.socket(fileno=fds[0]) if fds else None


def _cleared(env: Mapping[str, str]) -> bytes:
    """Return the arguments that make up an environment, as bubblewrap reads them where nobody else can."""
    words = ["--clearenv", *(word for name, value in env.items() for word in ("--setenv", name, value))]
    return b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def _filled(name: str, content: bytes) -> int:
    fd = os.memfd_create(name, 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
