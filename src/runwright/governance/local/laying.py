"""Lay the files of a directory of this machine into a workspace: a copy, which commands may do with what they like."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from runwright.domain.inventory import Skip, Skipped
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.snapshot import TreeRefused, link_target


def lay_files(root: Path, paths: Sequence[str], into: Beneath, file_max_bytes: int) -> tuple[Skipped, ...]:
    """Copy files into an empty workspace; return what was left out, each with its reason."""
    left: list[Skipped] = []
    for path in paths:
        reason, size = _laid(root, path, into, file_max_bytes)
        if reason is not None:
            left.append(Skipped(os.fsencode(path).decode("utf-8", "backslashreplace"), reason, size))
    return tuple(left)


def _laid(root: Path, path: str, into: Beneath, most: int) -> tuple[Skip | None, int]:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "name_not_utf8", 0
    *parents, name = path.split("/")
    try:
        with beneath.directory(root, tuple(parents)) as fd:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                target = link_target(path, os.readlink(name, dir_fd=fd))
                with beneath.directory(into.root, tuple(parents), make_for=into) as out:
                    os.symlink(target, name, dir_fd=out)
                return None, 0
            if stat.S_ISDIR(found.st_mode):
                return "submodule", 0
            if found.st_size > most:
                return "too_large", found.st_size
            source = beneath.opened(fd, name, path)
        with os.fdopen(source, "rb") as file:
            _copy(file.read(most), name, tuple(parents), into, program=bool(found.st_mode & stat.S_IXUSR))
    except TreeRefused:
        return "link_leads_out", 0
    except (OSError, beneath.Outside):
        return "unreadable", 0
    return None, 0


def _copy(content: bytes, name: str, parents: tuple[str, ...], into: Beneath, *, program: bool) -> None:
    mode = 0o755 if program else 0o644
    with beneath.directory(into.root, parents, make_for=into) as fd:
        out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
        with os.fdopen(out, "wb") as to:
            to.write(content)
            os.fchmod(to.fileno(), mode)
            if into.owner is not None:
                os.fchown(to.fileno(), into.owner, into.owner)
