"""Objects of git, made without git: what trees and commits are called, and the pack in which they travel.

The same files, author and instant give the same digests on every machine, whoever makes them, however often. Nothing is
read but what is given here: no configuration, attribute, filter or hook of a repository has a say in it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Format = Literal["sha1", "sha256"]
FILE, PROGRAM, LINK, SUBMODULE, _TREE = "100644", "100755", "120000", "160000", "40000"
_KINDS = {b"commit": 1, b"tree": 2, b"blob": 3}
PACK_MAX = 2**32 - 1


class Leaf(NamedTuple):
    """What lies at a path: a file, a link, or another repository's commit."""

    mode: str
    oid: str


class Person(NamedTuple):
    """Who made a commit."""

    name: str
    email: str


class Conflict(Exception):
    """Say that two things would lie at one path."""


class Objects:
    """Objects in one format, by their digests, each with its kind and content."""

    def __init__(self, format: Format = "sha1") -> None:
        self.format = format
        self.made: dict[str, tuple[bytes, bytes]] = {}

    def add(self, kind: bytes, content: bytes) -> str:
        """Take an object; return its digest."""
        oid = digest(kind, content, self.format)
        self.made[oid] = (kind, content)
        return oid

    def tree(self, leaves: Mapping[bytes, Leaf]) -> str:
        """Make the trees of files by their paths; return the digest of the root. Raises `Conflict`."""
        root: dict[bytes, object] = {}
        for path, leaf in leaves.items():
            *parents, name = path.split(b"/")
            here = root
            for parent in parents:
                inner = here.setdefault(parent, {})
                if not isinstance(inner, dict):
                    raise Conflict(path.decode("utf-8", "backslashreplace"))
                here = inner
            if name in here:
                raise Conflict(path.decode("utf-8", "backslashreplace"))
            here[name] = leaf
        return self._tree(root)

    def _tree(self, entries: dict[bytes, object]) -> str:
        lines: list[tuple[bytes, bytes]] = []
        for name, entry in entries.items():
            if isinstance(entry, dict):
                leaf, order = Leaf(_TREE, self._tree(entry)), name + b"/"
            else:
                assert isinstance(entry, Leaf)
                leaf, order = entry, name
            lines.append((order, b"%b %b\0%b" % (leaf.mode.encode(), name, bytes.fromhex(leaf.oid))))
        return self.add(b"tree", b"".join(line for _, line in sorted(lines)))

    def commit(self, tree: str, parent: str | None, author: Person, committer: Person, at_s: int, message: str) -> str:
        """Make a commit at an instant (seconds, UTC); return its digest."""
        head = [f"tree {tree}", *([] if parent is None else [f"parent {parent}"])]
        head += [f"{role} {who.name} <{who.email}> {at_s} +0000" for role, who in _roles(author, committer)]
        return self.add(b"commit", ("\n".join(head) + f"\n\n{message}").encode())


def digest(kind: bytes, content: bytes, format: Format) -> str:
    """Return what git calls an object."""
    whole = b"%b %d\0%b" % (kind, len(content), content)
    if format == "sha256":
        return hashlib.sha256(whole).hexdigest()
    return hashlib.sha1(whole, usedforsecurity=False).hexdigest()


def pack(objects: Iterable[tuple[bytes, bytes]], format: Format = "sha1") -> bytes:
    """Return a pack of whole objects: their kinds and contents."""
    parts = [_packed(kind, content) for kind, content in objects]
    body = b"PACK" + (2).to_bytes(4, "big") + len(parts).to_bytes(4, "big") + b"".join(parts)
    end = hashlib.sha256(body) if format == "sha256" else hashlib.sha1(body, usedforsecurity=False)
    return body + end.digest()


def bundle(commit: str, parent: str | None, branch: str, packed: bytes, format: Format = "sha1") -> bytes:
    """Return a bundle, from which `git fetch` takes a commit into a repository that has its parent."""
    lines = ["# v2 git bundle"] if format == "sha1" else ["# v3 git bundle", "@object-format=sha256"]
    lines += [] if parent is None else [f"-{parent}"]
    lines += [f"{commit} refs/heads/{branch}", "", ""]
    return "\n".join(lines).encode() + packed


def zero(format: Format) -> str:
    """Return the digest of no object."""
    return "0" * (64 if format == "sha256" else 40)


def format_of(oid: str | None) -> Format:
    """Return the format that a digest is of; where there is none, git's own default."""
    return "sha256" if oid is not None and len(oid) == 64 else "sha1"


def _packed(kind: bytes, content: bytes) -> bytes:
    size = len(content)
    if size > PACK_MAX:
        raise ValueError("an object of git holds at most 4 GiB here")
    byte = (_KINDS[kind] << 4) | (size & 15)
    size >>= 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    head.append(byte)
    return bytes(head) + zlib.compress(content)


def _roles(author: Person, committer: Person) -> tuple[tuple[str, Person], ...]:
    return ("author", author), ("committer", committer)
