"""A repository on this machine that takes branches: objects and refs are written as git stores them, nothing runs.

No git is started and no hook is asked. Objects come first, each whole under its own name; a ref is made by a link,
which fails where one is there: so whoever is killed in between has written nothing that anybody sees.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runwright.domain.git_objects import Format, digest
from runwright.domain.repository import Local, is_sha
from runwright.forges.port import HEADS, Refs, Refused, Update
from runwright.sandbox import beneath
from runwright.sandbox.copying import SMALL_MAX, opened_repository
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.surely import whole

REFS_MAX = 100_000
_REF = "ref: "
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class BareRepository:
    """A repository in a directory of this machine."""

    def __init__(self, local: Local) -> None:
        self._local = local

    async def refs(self) -> Refs:
        """Return what it has. Raises `Refused`."""
        return await whole(asyncio.to_thread(self._refs))

    async def push(self, updates: Sequence[Update], objects: Sequence[tuple[bytes, bytes]], format: Format) -> None:
        """Store objects and make refs. Raises `Refused`."""
        await whole(asyncio.to_thread(self._push, updates, objects, format))

    @contextmanager
    def _open(self) -> Iterator[int]:
        try:
            with opened_repository(self._local) as fd:
                yield fd
        except (CheckoutRefused, beneath.Outside) as why:
            raise Refused("FORGE_ERROR", str(why), retryable=False) from None
        except OSError as why:
            raise Refused("FORGE_ERROR", f"the repository cannot be written: {why.strerror}", retryable=False) from None

    def _refs(self) -> Refs:
        with self._open() as fd:
            found = dict(_packed(_small(fd, "packed-refs")))
            with _inner(fd, "refs") as refs:
                found |= dict(_loose(refs, "refs", 0))
            head = _small(fd, "HEAD").strip()
        named = head.startswith(f"{_REF}{HEADS}")
        return Refs(found, head.removeprefix(f"{_REF}{HEADS}") if named else None)

    def _push(self, updates: Sequence[Update], objects: Sequence[tuple[bytes, bytes]], format: Format) -> None:
        there = self._refs().oids
        for update in updates:
            _require_room(update.name, there)
        with self._open() as fd:
            with _inner(fd, "objects") as store:
                for kind, content in objects:
                    _store(store, kind, content, format)
            for update in updates:
                self._make(fd, update)

    def _make(self, fd: int, update: Update) -> None:
        *parents, name = update.name.split("/")
        with _made(fd, parents) as inner, _inner(fd, "objects") as store:
            temporary = _written(store, f"{update.oid}\n".encode(), 0o644)  # beside refs it would be one
            try:
                os.link(temporary, name, src_dir_fd=store, dst_dir_fd=inner)
            except FileExistsError:
                raise Refused("PUSH_REJECTED", f"{update.name} was made by somebody else just now") from None
            finally:
                os.unlink(temporary, dir_fd=store)
            os.fsync(inner)


def _require_room(name: str, there: Iterable[str]) -> None:
    """Raise `Refused` for a ref that is there, or that lies where another one does."""
    for each in there:
        if each == name or each.startswith(f"{name}/") or name.startswith(f"{each}/"):
            raise Refused("PUSH_REJECTED", f"{name} has no room beside {each}; name another branch")


def _small(fd: int, name: str) -> str:
    try:
        with os.fdopen(beneath.opened(fd, name, name), "rb") as file:
            content = file.read(SMALL_MAX + 1)
    except FileNotFoundError:
        return ""
    if len(content) > SMALL_MAX:
        raise Refused("FORGE_ERROR", f"its file {name} has more than {SMALL_MAX} bytes", retryable=False)
    return content.decode("utf-8", "replace")


def _packed(told: str) -> Iterator[tuple[str, str]]:
    for line in told.splitlines():
        oid, _, name = line.partition(" ")
        if is_sha(oid):
            yield name, oid


def _loose(fd: int, above: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > beneath.PARTS_MAX:
        raise Refused("FORGE_ERROR", "the names of its refs are too deep", retryable=False)
    for name in beneath.names(fd)[:REFS_MAX]:
        try:
            with _inner(fd, name) as inner:
                yield from _loose(inner, f"{above}/{name}", depth + 1)
        except NotADirectoryError:
            oid = _small(fd, name).strip()
            if is_sha(oid):
                yield f"{above}/{name}", oid


@contextmanager
def _inner(fd: int, name: str) -> Iterator[int]:
    inner = os.open(name, _DIRECTORY, dir_fd=fd)
    try:
        yield inner
    finally:
        os.close(inner)


@contextmanager
def _made(fd: int, parts: Sequence[str]) -> Iterator[int]:
    """Open a directory, and make what of it is missing; no link is followed on the way."""
    here = os.dup(fd)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=here)
            inner = os.open(part, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


def _store(fd: int, kind: bytes, content: bytes, format: Format) -> None:
    oid = digest(kind, content, format)
    with _made(fd, [oid[:2]]) as inner:
        temporary = _written(inner, zlib.compress(b"%b %d\0%b" % (kind, len(content), content)), 0o444)
        os.rename(temporary, oid[2:], src_dir_fd=inner, dst_dir_fd=inner)


def _written(fd: int, content: bytes, mode: int) -> str:
    name = f"tmp_obj_{os.urandom(8).hex()}"
    out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
    with os.fdopen(out, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return name


def directory_of(local: Local) -> str:
    """Return where a repository lies, for people."""
    return str(Path(local.root).joinpath(*local.parts))
