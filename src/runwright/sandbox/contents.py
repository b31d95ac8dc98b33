"""What an archive of a tree holds, for people to read: what lies where, and the texts as far as there is room."""

from __future__ import annotations

import io
import tarfile
import zlib

import msgspec

from runwright.sandbox.snapshot import DIRECTORY, FILE, LINK, PROGRAM, Limits, expanded


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a tree. `text` is None of what is no text, and of what there was no room for; `to`: of a link."""

    path: str
    kind: str
    bytes: int
    text: str | None = None
    to: str | None = None


class Contents(msgspec.Struct, frozen=True):
    """What a tree holds, in the order of its paths; `whole`: the text of every file that is one is there."""

    files: tuple[Found, ...]
    whole: bool


def contents(archive: bytes, limits: Limits, room: int) -> Contents:
    """Return what an archive holds, with at most `room` bytes of text; nothing of one that cannot be read."""
    found: list[Found] = []
    whole = True
    try:
        with tarfile.open(fileobj=io.BytesIO(expanded(archive, limits)), mode="r:") as members:
            for member in members:
                fits = member.size <= room
                each = _found(member, members, fits=fits)
                whole = whole and fits
                room -= member.size if each.text is not None else 0
                found.append(each)
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError):
        return Contents((), whole=False)
    return Contents(tuple(found), whole)


def _found(member: tarfile.TarInfo, members: tarfile.TarFile, *, fits: bool) -> Found:
    if member.isdir():
        return Found(path=member.name, kind=DIRECTORY, bytes=0)
    if member.issym():
        return Found(path=member.name, kind=LINK, bytes=0, to=member.linkname)
    kind = PROGRAM if member.mode & 0o100 else FILE
    file = members.extractfile(member) if fits else None
    return Found(path=member.name, kind=kind, bytes=member.size, text=None if file is None else _text(file.read()))


def _text(content: bytes) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
