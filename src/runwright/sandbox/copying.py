"""Take a copy of a repository on this machine: what git stores, and nothing by which it could be told to do something.

Objects, refs and `HEAD` are copied, file by file and without following a link; its configuration, hooks, attributes,
alternates and all else stay behind. What is copied is only read by a git in the sandbox.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runwright.domain.repository import Local
from runwright.sandbox import beneath
from runwright.sandbox.refusal import CheckoutRefused

SMALL_MAX = 16 << 20
REFS_MAX = 100_000
HOOKS_MAX = 20
PIECE_BYTES = 1 << 20
TRIES = 3
"""A repository that is packed anew meanwhile loses files while it is copied: it is looked at again."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOSE, _OBJECT = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{38}|[0-9a-f]{62}")
_PACK = re.compile(r"pack-[0-9a-f]{40,64}\.(?:pack|idx)")
_SHA256 = re.compile(rb"^\s*objectformat\s*=\s*\"?sha256", re.IGNORECASE | re.MULTILINE)
_REFTABLE = re.compile(rb"^\s*refstorage\s*=\s*\"?reftable", re.IGNORECASE | re.MULTILINE)
_CONFIG = "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n[uploadpack]\n\tallowAnySHA1InWant = true\n"
_EXTENSION = "[extensions]\n\tobjectformat = sha256\n"


class Copied(NamedTuple):
    """What was seen of the repository: the names of its hooks."""

    hooks: tuple[str, ...]


def copy_repository(local: Local, into: Path, owner: int | None, most_bytes: int) -> Copied:
    """Copy what a repository stores into a new directory, for a user. Raises `CheckoutRefused`."""
    for attempt in range(1, TRIES + 1):
        into.mkdir(mode=0o755)
        try:
            with opened_repository(local) as fd:
                return _Copy(fd, into, owner, most_bytes).made()
        except FileNotFoundError:
            if attempt == TRIES:
                raise CheckoutRefused("repo.broken", "the repository changed while it was read; try again") from None
            _emptied(into)
        except beneath.Outside as why:
            raise CheckoutRefused("repo.not_allowed", f"the repository is not read: {why}") from None
        except OSError as why:
            raise CheckoutRefused("repo.not_found", f"the repository cannot be read: {why.strerror}") from None
    raise AssertionError("every attempt ends")


@contextmanager
def opened_repository(local: Local) -> Iterator[int]:
    """Open the directory in which git stores a repository."""
    root = Path(local.root).resolve()
    try:
        with beneath.directory(root, local.parts) as fd:
            inner = _stored_in(fd)
            try:
                yield inner
            finally:
                os.close(inner)
    except FileNotFoundError:
        if not _there(root, local.parts):
            raise CheckoutRefused("repo.not_found", "there is no such directory on this server") from None
        raise


def _there(root: Path, parts: tuple[str, ...]) -> bool:
    try:
        with beneath.directory(root, parts):
            return True
    except OSError:
        return False


def _stored_in(fd: int) -> int:
    """Return the directory of git within a work tree, or the bare repository itself, open."""
    mode = _mode(fd, ".git")
    if mode is None:
        if _mode(fd, "HEAD") is None or _mode(fd, "objects") is None or _mode(fd, "refs") is None:
            raise CheckoutRefused("repo.not_found", "the directory is no repository of git")
        return os.dup(fd)
    if stat.S_ISDIR(mode):
        return os.open(".git", _DIRECTORY, dir_fd=fd)
    what = "a link" if stat.S_ISLNK(mode) else "a file that names another place"
    raise CheckoutRefused("repo.not_allowed", f"its .git is {what}, which is not followed; name the repository itself")


def _mode(fd: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


class _Copy:
    def __init__(self, fd: int, into: Path, owner: int | None, most_bytes: int) -> None:
        self._fd = fd
        self._into = into
        self._owner = owner
        self._left = self._most = most_bytes
        self._refs = 0

    def made(self) -> Copied:
        """Copy; refs before objects, as git writes them after."""
        config = self._small("config")
        if _REFTABLE.search(config):
            raise CheckoutRefused("repo.not_allowed", "it keeps its refs as a reftable, which this server cannot read")
        sha256 = _SHA256.search(config) is not None
        written = _CONFIG.format(version=int(sha256)) + (_EXTENSION if sha256 else "")
        self._write(self._into / "config", written.encode())
        for name in ("HEAD", "packed-refs", "shallow"):
            if (content := self._small(name)) or name == "HEAD":
                self._write(self._into / name, content)
        self._all_refs(self._fd, "refs", self._into / "refs", 0)
        with self._inner(self._fd, "objects") as objects:
            self._objects(objects, self._into / "objects")
        if self._owner is not None:
            os.chown(self._into, self._owner, self._owner)
        return Copied(self._hooks())

    def _small(self, name: str) -> bytes:
        if _mode(self._fd, name) is None:
            return b""
        with os.fdopen(beneath.opened(self._fd, name, f".git/{name}"), "rb") as file:
            content = file.read(SMALL_MAX + 1)
        if len(content) > SMALL_MAX:
            raise CheckoutRefused("repo.too_large", f"its file .git/{name} has more than {SMALL_MAX} bytes")
        return content

    def _hooks(self) -> tuple[str, ...]:
        if not stat.S_ISDIR(_mode(self._fd, "hooks") or 0):
            return ()
        with self._inner(self._fd, "hooks") as fd:
            found = [name for name in beneath.names(fd) if not name.endswith(".sample")]
        return tuple(name for name in sorted(found)[:HOOKS_MAX] if name.isascii() and name.isprintable())

    @contextmanager
    def _inner(self, fd: int, name: str) -> Iterator[int]:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            raise beneath.Outside(f"{name} is a link, or no directory") from None
        try:
            yield inner
        finally:
            os.close(inner)

    def _all_refs(self, fd: int, name: str, into: Path, depth: int) -> None:
        if depth > beneath.PARTS_MAX:
            raise CheckoutRefused("repo.too_large", "the names of its refs are too deep")
        self._made(into)
        with self._inner(fd, name) as inner:
            for each in beneath.names(inner):
                mode = _mode(inner, each)
                self._refs += 1
                if self._refs > REFS_MAX:
                    raise CheckoutRefused("repo.too_large", f"it has more than {REFS_MAX} refs that are not packed")
                if mode is not None and stat.S_ISDIR(mode):
                    self._all_refs(inner, each, into / each, depth + 1)
                elif mode is not None and stat.S_ISREG(mode):
                    self._file(inner, each, into / each, 4096)

    def _objects(self, fd: int, into: Path) -> None:
        self._made(into)
        self._made(into / "pack")
        for name in beneath.names(fd):
            if _LOOSE.fullmatch(name):
                self._made(into / name)
                with self._inner(fd, name) as inner:
                    for each in filter(_OBJECT.fullmatch, beneath.names(inner)):
                        self._file(inner, each, into / name / each, self._left)
        if _mode(fd, "info") is not None:
            with self._inner(fd, "info") as info:
                if _mode(info, "alternates") is not None:
                    message = "it borrows objects from another repository (alternates); repack it with `git repack -ad`"
                    raise CheckoutRefused("repo.not_allowed", message)
        if _mode(fd, "pack") is not None:
            with self._inner(fd, "pack") as packs:
                for each in filter(_PACK.fullmatch, beneath.names(packs)):
                    self._file(packs, each, into / "pack" / each, self._left)

    def _made(self, directory: Path) -> None:
        directory.mkdir(mode=0o755, exist_ok=True)
        if self._owner is not None:
            os.chown(directory, self._owner, self._owner)

    def _file(self, fd: int, name: str, to: Path, most: int) -> None:
        with os.fdopen(beneath.opened(fd, name, name), "rb") as file, to.open("xb") as out:
            room = min(most, self._left)
            while piece := file.read(min(PIECE_BYTES, room + 1)):
                room -= len(piece)
                self._left -= len(piece)
                if room < 0:
                    message = f"what it stores is larger than {self._most} bytes (RUNWRIGHT_REPOSITORY_MAX_BYTES)"
                    raise CheckoutRefused("repo.too_large", message)
                out.write(piece)
        if self._owner is not None:
            os.chown(to, self._owner, self._owner)

    def _write(self, to: Path, content: bytes) -> None:
        to.write_bytes(content)
        if self._owner is not None:
            os.chown(to, self._owner, self._owner)


def _emptied(directory: Path) -> None:
    for path, directories, files in os.walk(directory, topdown=False):
        for name in files:
            (Path(path) / name).unlink()
        for name in directories:
            (Path(path) / name).rmdir()
    directory.rmdir()
