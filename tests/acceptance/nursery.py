"""Servers, workers and commands forked from a process which has loaded their code: each would load it for a second.

What is forked is a process like any other: with an environment, streams and an end of its own, stopped and killed; it
does not outlive who asked for it. A program asks in the words of `ASKING`: so the commands of the guides are started.
`live_server.program`, the commands of the README and the quickstart, and all of `tests/cli` start as anybody's do.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
MESSAGE_MAX = 1 << 20
PATIENCE_S = 10
LOADED = ("runwright.serving", "runwright.cli.main", "runwright.cli.serve", "runwright.cli.worker")

DOOR = "TEST_NURSERY"
"""The environment variable that tells a program the number of the door that it was given."""
ASKING = f"""\
#!{sys.executable} -IS
import json, os, signal, socket, sys
door = socket.socket(fileno=int(os.environ["{DOOR}"]))
mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked = {{"tokens": sys.argv[1:], "env": {{**os.environ}}, "cwd": os.getcwd()}}
socket.send_fds(door, [json.dumps(asked).encode()], [1, 2, theirs.fileno(), 0])
theirs.close()
pid = int(mine.recv(64))
def tell(number, _):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended, and how is about to be said
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, tell)
code = int(mine.recv(64))
os._exit(code if code >= 0 else 128 - code)  # an interpreter that ends in order dies of a signal meanwhile
"""
"""The program `runwright`, as the guides call it: it has another forked, and ends as that does."""


class Forked:
    """A forked process, as asyncio shows those that it starts; its standard output is read, its status comes later."""

    def __init__(self, pid: int, out: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader()
        self._out = out
        self._status = status
        self._ending: asyncio.Task[None]

    @classmethod
    async def of(cls, pid: int, out: int, status: socket.socket) -> Forked:
        """Return the process, its streams connected to this loop."""
        forked, loop = cls(pid, out, status), asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(forked.stdout), os.fdopen(out, "rb", 0))
        status.setblocking(False)
        forked._ending = asyncio.create_task(forked._end())
        return forked

    async def _end(self) -> None:
        code = await asyncio.get_running_loop().sock_recv(self._status, 64)
        self._status.close()
        self.returncode = int(code or b"-9")

    async def wait(self) -> int:
        """Return the status once the process has ended."""
        await asyncio.shield(self._ending)
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, None]:
        """Return all of its standard output once the process has ended."""
        out = await self.stdout.read()
        await self.wait()
        return out, None

    def send_signal(self, number: int) -> None:
        """Send a signal. Raises `ProcessLookupError` for a process that has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


_doors: list[socket.socket] = []


async def start(tokens: list[str], env: dict[str, str], errors: int, given: int | None = None) -> Forked:
    """Start `runwright` with these words and this environment.

    `errors` is where its standard error goes, `given` is its standard input: nothing, if that is None.
    """
    here = door()
    out, out_end = os.pipe()
    status, status_end = socket.socketpair()
    asked = json.dumps({"tokens": tokens, "env": env}).encode()
    fds = [out_end, errors, status_end.fileno(), *([] if given is None else [given])]
    socket.send_fds(here, [asked], fds)
    os.close(out_end)
    status_end.close()
    return await Forked.of(int(here.recv(64)), out, status)


def door() -> socket.socket:
    """Return where this process asks for others."""
    if not _doors:
        _doors.append(_open())
    return _doors[0]


def _open() -> socket.socket:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-m", "tests.acceptance.nursery", str(there.fileno())]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
    process = subprocess.Popen(words, cwd=REPOSITORY, env=kept, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
    there.close()
    atexit.register(_close, here, process)
    return here


def _close(door: socket.socket, process: subprocess.Popen[bytes]) -> None:
    door.close()
    process.wait(PATIENCE_S)


def _live(door: socket.socket) -> dict[str, Any] | None:
    """Fork whoever is asked for, until nobody asks any more; in a forked process, return what it is to be."""
    woken, waking = socket.socketpair()
    for end in (woken, waking):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    children: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for each in (door, woken):
            selector.register(each, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _bury(children, selector)
            for pid, status in children.items():
                if status in ready:  # nobody says anything there: who asked for it is gone
                    selector.unregister(status)
                    os.kill(pid, signal.SIGKILL)
            if door not in ready:
                continue
            asked, fds, _, _ = socket.recv_fds(door, MESSAGE_MAX, 4)
            if not asked:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return None
            out, errors, status, *given = fds
            made: dict[str, Any] = json.loads(asked)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number, fd in ((1, out), (2, errors), *((0, fd) for fd in given)):
                    os.dup2(fd, number)
                for fd in (*fds, *children.values(), *(each.fileno() for each in (door, woken, waking))):
                    os.close(fd)
                return made
            children[pid] = status
            selector.register(status, selectors.EVENT_READ)
            for fd in (out, errors, *given):
                os.close(fd)
            if "cwd" in made:
                os.write(status, str(pid).encode())
            else:
                door.send(str(pid).encode())


def _bury(children: dict[int, int], selector: selectors.BaseSelector) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        heir = children.pop(pid)
        with suppress(KeyError):
            selector.unregister(heir)
        with suppress(BrokenPipeError):
            os.write(heir, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(heir)


def _become(wanted: dict[str, Any]) -> None:
    """Be the process that is wanted, in its directory."""
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.argv = ["runwright", *wanted["tokens"]]
    if "cwd" in wanted:
        os.chdir(wanted["cwd"])
        sys.path.remove(str(REPOSITORY))
    if os.environ.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.exit(sys.modules["runwright.cli.main"].main())


if __name__ == "__main__":
    for name in LOADED:
        __import__(name)
    gc.freeze()
    wanted = _live(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        _become(wanted)
