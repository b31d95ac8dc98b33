"""Snapshots of a tree of files: what it holds as one archive, the same for equal trees, and the tree from it again.

A tree is directories, files, which of them may be executed, and links that stay within it. Owners, times and other
permissions are none of it: `survey` gives the tree itself the permissions that a restored one would have. Whatever else
somebody may make (devices, pipes, sockets, files that change who runs them, links that lead out) is refused.

Nobody may write to the tree meanwhile.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from runwright.sandbox import beneath
from runwright.sandbox.beneath import PARTS_MAX

PIECE_BYTES = 1 << 20
FILE, PROGRAM, DIRECTORY, LINK = "file", "program", "directory", "link"
_MODES = {FILE: 0o644, PROGRAM: 0o755, DIRECTORY: 0o755}
_HASHED_AS = b"runwright tree 1\n"
PATH_MAX_BYTES = 1024
"""Of a path in the tree, and of where a link leads."""
_AROUND_A_FILE = 8 * tarfile.BLOCKSIZE + 2 * PATH_MAX_BYTES
"""The most that an archive has of a file beside what it holds."""


class Limits(NamedTuple):
    """How many files a tree may have, and how many bytes they may hold together."""

    files: int
    bytes: int


class TreeRefused(Exception):
    """Say why a tree cannot be kept."""


class WorkspaceMismatch(Exception):
    """Say that what was restored is not the tree that was kept."""

    code = "workspace.mismatch"


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Something in a tree: `holds` is the digest of a file, and the target of a link."""

    path: str
    kind: str
    holds: str = ""
    bytes: int = 0


class Tree(msgspec.Struct, frozen=True):
    """What a tree holds, in the order of its paths."""

    entries: tuple[Entry, ...]

    @property
    def digest(self) -> str:
        """Return its digest: equal trees have equal ones."""
        return hashlib.sha256(_HASHED_AS + msgspec.json.encode(self.entries)).hexdigest()

    @property
    def bytes(self) -> int:
        """Return how many bytes its files hold together."""
        return sum(entry.bytes for entry in self.entries)


EMPTY = Tree(()).digest


def survey(root: Path, limits: Limits) -> Tree:
    """Return what a tree holds, its permissions set to those of a restored one. Raises `TreeRefused`."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found: list[Entry] = []
        for entry in _walk(fd, (), [limits.bytes]):
            if len(found) >= limits.files:
                raise TreeRefused(f"it has more than {limits.files} files and directories")
            found.append(entry)
    finally:
        os.close(fd)
    return Tree(tuple(sorted(found, key=lambda entry: entry.path.split("/"))))


def pack(root: Path, tree: Tree) -> bytes:
    """Return the archive (a compressed tar) of a tree that was surveyed."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as out,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry in tree.entries:
            head = tarfile.TarInfo(entry.path)
            head.mode = _MODES.get(entry.kind, 0o777)
            if entry.kind == LINK:
                head.type, head.linkname = tarfile.SYMTYPE, entry.holds
                archive.addfile(head)
            elif entry.kind == DIRECTORY:
                head.type = tarfile.DIRTYPE
                archive.addfile(head)
            else:
                head.size = entry.bytes
                *parents, name = entry.path.split("/")
                with beneath.directory(root, tuple(parents)) as fd:
                    file = os.fdopen(beneath.opened(fd, name, entry.path), "rb")
                with file:
                    archive.addfile(head, file)
    return packed.getvalue()


def unpack(archive: bytes, root: Path, limits: Limits, owner: int | None) -> Tree:
    """Fill an empty directory from an archive, for a user; return what it holds then.

    Raises `WorkspaceMismatch` for what is no archive of a tree within the limits.
    """
    try:
        content = expanded(archive, limits)
        left = limits.bytes
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as members:
            for member in members:
                left -= member.size
                if left < 0:
                    raise ValueError("its files hold too many bytes")
                _make(member, members, root, owner)
        return survey(root, limits)
    except (tarfile.TarError, zlib.error, OSError, EOFError, TreeRefused, beneath.Outside, ValueError) as wrong:
        raise WorkspaceMismatch(f"the snapshot cannot be restored: {wrong}") from wrong


def contents(archive: bytes, limits: Limits) -> Iterator[tuple[Entry, bytes]]:
    """Yield what an archive holds, in order: each entry with the bytes of a file, or of a link's target.

    Raises `WorkspaceMismatch` for what is no archive of a tree within the limits.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(expanded(archive, limits)), mode="r:") as members:
            for member in members:
                yield _read(member, members)
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as wrong:
        raise WorkspaceMismatch(f"the snapshot cannot be read: {wrong}") from wrong


def _read(member: tarfile.TarInfo, members: tarfile.TarFile) -> tuple[Entry, bytes]:
    if member.isdir():
        return Entry(member.name, DIRECTORY), b""
    if member.issym():
        return Entry(member.name, LINK, member.linkname), member.linkname.encode()
    found = members.extractfile(member)
    if found is None:
        raise ValueError(f"{member.name} is no file, directory or link")
    content = found.read()
    kind = PROGRAM if member.mode & stat.S_IXUSR else FILE
    return Entry(member.name, kind, hashlib.sha256(content).hexdigest(), len(content)), content


def _walk(fd: int, parts: tuple[str, ...], left: list[int]) -> Iterator[Entry]:
    with os.scandir(fd) as entries:
        for each in entries:
            path = "/".join((*parts, each.name))
            found = each.stat(follow_symlinks=False)
            entry = _entry(fd, each.name, path, found, left)
            yield entry
            if entry.kind == DIRECTORY:
                if len(parts) + 1 >= PARTS_MAX:
                    raise TreeRefused(f"its directories lie more than {PARTS_MAX} deep")
                inner = os.open(each.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                try:
                    yield from _walk(inner, (*parts, each.name), left)
                finally:
                    os.close(inner)


def _entry(fd: int, name: str, path: str, found: os.stat_result, left: list[int]) -> Entry:
    _require_text(path, path)
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        return Entry(path, LINK, link_target(path, os.readlink(name, dir_fd=fd)))
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise TreeRefused(f"{path} changes who runs it (setuid or setgid)")
    if stat.S_ISDIR(mode):
        _permit(fd, name, mode, DIRECTORY)
        return Entry(path, DIRECTORY)
    if not stat.S_ISREG(mode):
        raise TreeRefused(f"{path} is no file, directory or link")
    left[0] -= found.st_size
    if left[0] < 0:
        raise TreeRefused("its files hold too many bytes")
    kind = PROGRAM if mode & stat.S_IXUSR else FILE
    _permit(fd, name, mode, kind)
    return Entry(path, kind, _digest(fd, name, path), found.st_size)


def _permit(fd: int, name: str, mode: int, kind: str) -> None:
    if stat.S_IMODE(mode) != _MODES[kind]:
        os.chmod(name, _MODES[kind], dir_fd=fd)


def _digest(fd: int, name: str, path: str) -> str:
    with os.fdopen(beneath.opened(fd, name, path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_target(path: str, target: str) -> str:
    """Return where a link leads. It may climb at its beginning only, and no higher than it lies: so no chain of links
    leads out, whatever the others are.
    """  # fmt: skip
    steps = [step for step in target.split("/") if step not in {"", "."}]
    climbs = next((place for place, step in enumerate(steps) if step != ".."), len(steps))
    if target.startswith("/") or ".." in steps[climbs:] or climbs > path.count("/"):
        raise TreeRefused(f"the link {path} leads to {target[:200]}, which may be outside")
    _require_text(target, path)
    return target


def _require_text(name: str, path: str) -> None:
    try:
        if len(name.encode()) <= PATH_MAX_BYTES:
            return
    except UnicodeEncodeError:
        raise TreeRefused(f"{os.fsencode(path)!r} has a name that is no UTF-8") from None
    raise TreeRefused(f"{path[:200]} has a name of more than {PATH_MAX_BYTES} bytes")


def expanded(archive: bytes, limits: Limits) -> bytes:
    """Return the tar within an archive.

    Raises `ValueError` and `zlib.error` for one that is cut short, or larger than a tree may be.
    """
    most = limits.bytes + limits.files * _AROUND_A_FILE + tarfile.RECORDSIZE
    reader = zlib.decompressobj(wbits=31)
    content = reader.decompress(archive, most)
    if not reader.eof:
        raise ValueError("it is cut short, or larger than a tree may be")
    return content


def _make(member: tarfile.TarInfo, members: tarfile.TarFile, root: Path, owner: int | None) -> None:
    *parents, name = member.name.split("/")
    if not name or any(part in {"", ".", ".."} for part in (*parents, name)):
        raise ValueError(f"{member.name!r} is no path of a tree")
    with beneath.directory(root, tuple(parents)) as fd:
        if member.isdir():
            beneath.make_directory(fd, name, owner)
        elif member.issym():
            os.symlink(link_target(member.name, member.linkname), name, dir_fd=fd)
            if owner is not None:
                os.chown(name, owner, owner, dir_fd=fd, follow_symlinks=False)
        elif member.type == tarfile.REGTYPE and member.sparse is None:
            _write(fd, name, members, member, owner)
        else:
            raise ValueError(f"{member.name} is no file, directory or link")


def _write(fd: int, name: str, members: tarfile.TarFile, member: tarfile.TarInfo, owner: int | None) -> None:
    mode = _MODES[PROGRAM if member.mode & stat.S_IXUSR else FILE]
    out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
    content = members.extractfile(member)
    with os.fdopen(out, "wb") as file:
        while content is not None and (piece := content.read(PIECE_BYTES)):
            file.write(piece)
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), owner, owner)
