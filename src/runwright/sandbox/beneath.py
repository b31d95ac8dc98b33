"""Open what lies beneath a directory that others write to: no name and no link leads out of it.

Every part of a path is opened by itself, and never through a link: what a link names is told, not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PARTS_MAX = 100
NAME_MAX = 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outside(Exception):
    """Say why a path is not followed."""


class Beneath(NamedTuple):
    """A directory that others write to; what is made in it is made for `owner`, if there is one.

    One that is not `writable` is there to be read.
    """

    root: Path
    owner: int | None
    writable: bool = True


def parts_of(path: str, *, root: str = "/workspace") -> tuple[str, ...]:
    """Return the names of a path beneath the root, which may be written absolutely. Raises `Outside`."""
    whole = path
    if path == root or path.startswith(f"{root}/"):
        path = path[len(root) :].lstrip("/")
    elif path.startswith("/"):
        raise Outside(f"{whole} is not in the workspace; paths are relative, or begin with {root}/")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts:
        raise Outside(f"{whole} leads upwards; name the file by its own path")
    if "\0" in path or len(parts) > PARTS_MAX or any(len(os.fsencode(part)) > NAME_MAX for part in parts):
        raise Outside("the path has a name that no file can have, or too many of them")
    return parts


@contextmanager
def directory(root: Path, parts: tuple[str, ...], *, make_for: Beneath | None = None) -> Iterator[int]:
    """Open a directory beneath the root; what is missing is made if it is told for whom.

    Raises `Outside` for what is no directory, `FileNotFoundError` for what is missing.
    """
    fd = os.open(root, _DIRECTORY)
    try:
        for place, part in enumerate(parts):
            if make_for is not None and _missing(fd, part):
                make_directory(fd, part, make_for.owner)
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=fd)
            except NotADirectoryError:
                raise Outside(_why(fd, part, "/".join(parts[: place + 1]))) from None
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def make_directory(fd: int, name: str, owner: int | None) -> None:
    """Make a directory in an open one, for a user."""
    os.mkdir(name, 0o755, dir_fd=fd)
    os.chmod(name, 0o755, dir_fd=fd)
    if owner is not None:
        os.chown(name, owner, owner, dir_fd=fd, follow_symlinks=False)


def opened(fd: int, name: str, path: str) -> int:
    """Open an ordinary file in an open directory. Raises `Outside` for what is none, `FileNotFoundError`."""
    if not stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
        raise Outside(_why(fd, name, path))
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)


def replace(fd: int, name: str, path: str, content: bytes, owner: int | None, *, program: bool | None = None) -> bool:
    """Write a whole file in an open directory, or nothing of it; return whether there was none before.

    It keeps the right to be executed, unless `program` says. Raises `Outside` for what is no ordinary file.
    """
    new = _missing(fd, name)
    if not new:
        if not stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            raise Outside(_why(fd, name, path))
        program = is_program(fd, name) if program is None else program
    mode = 0o755 if program else 0o644
    made = f".runwright-{os.urandom(8).hex()}"
    out = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
    try:
        with os.fdopen(out, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), owner, owner)
        os.rename(made, name, src_dir_fd=fd, dst_dir_fd=fd)
    except BaseException:
        os.unlink(made, dir_fd=fd)
        raise
    return new


def is_program(fd: int, name: str) -> bool:
    """Tell whether what has a name in an open directory may be executed."""
    return bool(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode & stat.S_IXUSR)


def names(fd: int) -> list[str]:
    """Return what lies in an open directory, in order."""
    with os.scandir(fd) as entries:
        return sorted(entry.name for entry in entries)


def _missing(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return False


def _why(fd: int, name: str, path: str) -> str:
    mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return f"{path} is a link to {os.readlink(name, dir_fd=fd)}, and links are not followed; name what it leads to"
    return f"{path} is a directory" if stat.S_ISDIR(mode) else f"{path} is no ordinary file or directory"
