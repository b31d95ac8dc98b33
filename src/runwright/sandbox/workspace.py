"""The workspace of an attempt: made before its process, removed after it, and read with distrust in between.

The process owns what it writes here, and may leave links and pipes for whoever looks; nothing here follows one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from runwright.sandbox.surely import surely, whole
from runwright.telemetry import report

PREFIX = "runwright-processes-"
PAYLOAD, CHECKPOINT, RESULT = "payload.json", "checkpoint.json", "result.json"
_PASSWD = "root:x:0:0::/:/bin/false\nrun:x:1000:1000::/workspace:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = "root:x:0:\nrun:x:1000:\nnogroup:x:65534:\n"
_HOSTS = "127.0.0.1 localhost run\n::1 localhost\n"


class TooMuch(Exception):
    """Say that a file is larger than it may be."""


class Workspace:
    """The directories of one attempt: `work`, `tmp`, and `files`, by which the command and Runwright talk.

    `work` may be one that outlives the others.
    """

    def __init__(self, directory: Path, resolver: str, work: Path | None = None) -> None:
        self.directory = directory
        self.work = work or directory / "work"
        self._lent = work is not None
        self.tmp = directory / "tmp"
        self.files = directory / "files"
        self._etc = directory / "etc"
        self._resolver = resolver

    def fill(self, payload: Any, checkpoint: Any, uid: int | None) -> None:
        """Make the directories, and tell the command its payload and the checkpoint that it goes on from, if any."""
        made = [self.tmp, self.files] if self._lent else [self.work, self.tmp, self.files]
        for directory in (*made, self._etc):
            directory.mkdir(mode=0o755 if directory == self._etc else 0o700)
        etc = {"passwd": _PASSWD, "group": _GROUP, "hosts": _HOSTS, "resolv.conf": f"nameserver {self._resolver}\n"}
        for name, text in etc.items():
            (self._etc / name).write_text(text)
        (self.files / PAYLOAD).write_bytes(msgspec.json.encode(payload))
        if checkpoint is not None:
            (self.files / CHECKPOINT).write_bytes(msgspec.json.encode(checkpoint))
        if uid is not None:
            for path in (*made, *self.files.iterdir()):
                os.chown(path, uid, uid)
            self.directory.chmod(0o711)

    def etc(self, *, network: bool) -> list[tuple[str, str]]:
        """Return the files of /etc that are made for the sandbox, each with its place there."""
        theirs = ("hosts", "resolv.conf") if network else ()
        made = [(str(self._etc / name), f"/etc/{name}") for name in ("passwd", "group", "hosts", "resolv.conf")]
        return [(f"/etc/{Path(to).name}" if Path(to).name in theirs else source, to) for source, to in made]

    def mark(self, name: str) -> tuple[int, ...] | None:
        """Return what changes when one of the `files` is written; None while there is none."""
        try:
            found = (self.files / name).stat(follow_symlinks=False)
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Return one of the `files`; None where there is no ordinary one. Raises `TooMuch`."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self.files / name, flags)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise TooMuch(f"{name} has more than {most_bytes} bytes (RUNWRIGHT_PROCESS_VALUE_MAX_BYTES)")
        return content

    def used_bytes(self, most: int) -> int:
        """Return how much its files take on the disk, at least if that is more than `most`."""
        used = 0
        waiting = [self.work, self.tmp, self.files]
        while waiting and used <= most:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        found = entry.stat(follow_symlinks=False)
                        used += found.st_blocks * 512 + 4096 * entry.is_dir(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(Path(entry.path))
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError:
                return most + 1  # deeper than a path may be long: nobody could count it
        return used


class Workspaces:
    """The directory of this process's workspaces. What a process that is gone has left is removed when it is opened."""

    def __init__(self, directory: Path, uid: int | None, *, resolver: str) -> None:
        self.uid = uid
        self._resolver = resolver
        for left in directory.glob(f"{PREFIX}*"):
            self._clear(left)
        self.directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory))
        self.directory.chmod(0o711 if uid is not None else 0o700)
        self._lock = os.open(self.directory / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _clear(self, left: Path) -> None:
        try:
            found = left.stat(follow_symlinks=False)
            if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
                return
            lock = os.open(left / ".lock", os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_now(left)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)

    async def make(self, name: str, payload: Any, checkpoint: Any, work: Path | None = None) -> Workspace:
        """Return a new workspace, around a `work` that is there already if one is named."""
        directory = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.directory))
        place = Workspace(directory, self._resolver, work)
        try:
            await whole(asyncio.to_thread(place.fill, payload, checkpoint, self.uid))
        except BaseException:
            await surely(self.remove(place))
            raise
        return place

    async def remove(self, place: Workspace) -> None:
        """Remove a workspace with everything in it, however deep; to the end, whoever cancels meanwhile."""
        await whole(self._removed(place))

    async def _removed(self, place: Workspace) -> None:
        if await _ran(*_removing(place.directory)) or not place.directory.exists():
            return
        await _ran("chmod", "-R", "u+rwX", "--", str(place.directory))  # it may have closed doors before its owner
        if not await _ran(*_removing(place.directory)):
            report("sandbox.workspace_left", directory=str(place.directory))

    def close(self) -> None:
        """Remove the directory."""
        _remove_now(self.directory)
        os.close(self._lock)


async def _ran(*command: str) -> bool:
    null = asyncio.subprocess.DEVNULL
    return await (await asyncio.create_subprocess_exec(*command, stdin=null, stderr=null)).wait() == 0


def _removing(path: Path) -> list[str]:
    return ["rm", "-rf", "--one-file-system", "--", str(path)]


def _remove_now(path: Path) -> None:
    pid = os.posix_spawnp("rm", _removing(path), os.environ)
    os.waitpid(pid, 0)
