"""Apply a patch to the files of a workspace: all of it or nothing, never through a link, never outside.

Everything is looked at before anything is written: that each file holds what the patch was made of, and that no new one
is in the way of another. Should a write fail after that, what was written is taken back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from runwright.domain.draft import Draft, Read, resolve
from runwright.domain.patch import FILE_MAX_BYTES, Change, Patch, PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath, Outside

_Undo = Callable[[], None]


def reader(files: Beneath, bounds: PatchBounds, *, setting: str | None = FILE_MAX_BYTES) -> Read:
    """Return how a draft reads the files of a workspace. What is no file, or too large, is refused.

    `setting` is what says how large a file may be.
    """
    named = "" if setting is None else f" ({setting})"

    def read(path: str) -> bytes | None:
        *parents, name = path.split("/")
        try:
            with (
                beneath.directory(files.root, tuple(parents)) as fd,
                os.fdopen(beneath.opened(fd, name, path), "rb") as file,
            ):
                content = file.read(bounds.file_bytes + 1)
        except FileNotFoundError:
            return None
        except Outside as why:
            raise PatchRefused("path", str(why)) from None
        if len(content) > bounds.file_bytes:
            raise PatchRefused("too_large", f"{path} has more than {bounds.file_bytes} bytes{named}")
        return content

    return read


def resolved(draft: Draft, files: Beneath, bounds: PatchBounds) -> Patch:
    """Return the patch that a draft is over the files of a workspace. Raises `PatchRefused`."""
    return resolve(draft, reader(files, bounds), bounds)


def apply(patch: Patch, files: Beneath, bounds: PatchBounds) -> None:
    """Apply a patch to the files of a workspace. Raises `PatchRefused`, and `OSError`: nothing is changed then."""
    if not files.writable:
        raise PatchRefused("path", "the workspace is there to be read")
    read = reader(files, bounds)
    for change in patch.changes:
        _require_fit(change, read)
    done: list[_Undo] = []
    programs: dict[str, bool] = {}
    try:
        for change in patch.changes:
            if change.before is not None and (change.after is None or change.moved_from is not None):
                programs[change.path] = _remove(change.moved_from or change.path, files, done)
        for change in patch.changes:
            if change.after is not None:
                _write(change, files, done, programs.get(change.path))
    except BaseException as failure:
        for undo in reversed(done):
            undo()
        if isinstance(failure, Outside):
            raise PatchRefused("path", str(failure)) from None
        raise


def _require_fit(change: Change, read: Read) -> None:
    source = change.moved_from or change.path
    found = read(source)
    wanted = None if change.before is None else change.before.encode()
    if found != wanted:
        raise PatchRefused("mismatch", f"{source} is not what the patch was made of")
    if change.moved_from is not None and read(change.path) is not None:
        raise PatchRefused("exists", f"{change.path} is there already")


def _remove(path: str, files: Beneath, done: list[_Undo]) -> bool:
    """Remove a file, and the directories that nothing is left in, as git does; return whether it could be executed."""
    *parents, name = path.split("/")
    with beneath.directory(files.root, tuple(parents)) as fd:
        program = beneath.is_program(fd, name)
        with os.fdopen(beneath.opened(fd, name, path), "rb") as file:
            content = file.read()
        os.unlink(name, dir_fd=fd)
    done.append(lambda: _put(path, content, files, program))
    _prune(files, parents, 0)
    return program


def _write(change: Change, files: Beneath, done: list[_Undo], was_program: bool | None) -> None:
    """Write what a file holds afterwards; one that is moved keeps the right to be executed."""
    *parents, name = change.path.split("/")
    kept = _depth(files, parents)
    before = change.before if change.moved_from is None else None
    if before is None:
        done.append(lambda: _take_back(change.path, files, kept))
        _put(
            change.path, (change.after or "").encode(), files, was_program if change.program is None else change.program
        )
        return
    with beneath.directory(files.root, tuple(parents)) as fd:
        program = beneath.is_program(fd, name)
    done.append(lambda: _put(change.path, before.encode(), files, program))
    _put(change.path, (change.after or "").encode(), files, change.program)


def _put(path: str, content: bytes, files: Beneath, program: bool | None) -> None:
    *parents, name = path.split("/")
    with beneath.directory(files.root, tuple(parents), make_for=files) as fd:
        beneath.replace(fd, name, path, content, files.owner, program=program)


def _take_back(path: str, files: Beneath, kept: int) -> None:
    *parents, name = path.split("/")
    with suppress(FileNotFoundError), beneath.directory(files.root, tuple(parents)) as fd:
        os.unlink(name, dir_fd=fd)
    _prune(files, parents, kept)


def _prune(files: Beneath, parents: list[str], kept: int) -> None:
    """Remove the directories of a path that are empty, from the innermost; the first `kept` stay."""
    for depth in range(len(parents), kept, -1):
        try:
            with beneath.directory(files.root, tuple(parents[: depth - 1])) as fd:
                os.rmdir(parents[depth - 1], dir_fd=fd)
        except FileNotFoundError:
            continue
        except OSError:
            return


def _depth(files: Beneath, parents: list[str]) -> int:
    """Return how many directories of a path are there."""
    for depth in range(len(parents), 0, -1):
        with suppress(FileNotFoundError), beneath.directory(files.root, tuple(parents[:depth])):
            return depth
    return 0
