"""The commit that a tree of files becomes: what is new in it, what it changes, what it leaves as it was.

What a checkout had left out of the base (large files, submodules, names that no file can have, links that lead out) is
in the commit as it was in the base: a run that never saw it cannot have deleted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from runwright.domain.delivery_events import Changes
from runwright.domain.delivery_terms import COMMITTER, DeliveryTerms
from runwright.domain.git_objects import FILE, LINK, PROGRAM, Conflict, Format, Leaf, Objects, Person, digest, format_of

MODES = {"file": FILE, "program": PROGRAM, "link": LINK}
Status = Literal["added", "changed", "deleted"]


class Onto(NamedTuple):
    """What a commit is built upon: its leaves by path, those that were left out, and the digest of its tree."""

    leaves: Mapping[bytes, Leaf]
    kept: AbstractSet[bytes]
    root: str | None


NOWHERE = Onto({}, frozenset(), None)


class Lies(NamedTuple):
    """Something of a tree of files: `kind` is file, program or link; `content` where a link leads."""

    path: str
    kind: str
    content: bytes


class Change(NamedTuple):
    """What a commit changes at a path; `content` is new, None where nothing is there any more."""

    path: str
    status: Status
    mode: str
    content: bytes | None


class Planned(NamedTuple):
    """A commit, with the objects that a repository with its parent lacks."""

    commit: str
    tree: str
    objects: tuple[tuple[bytes, bytes], ...]
    changes: tuple[Change, ...]
    kept: int

    def counts(self) -> Changes:
        """Return how much it changes."""
        told = [change.status for change in self.changes]
        return Changes(told.count("added"), told.count("changed"), told.count("deleted"))


class NothingNew(Exception):
    """Say that the tree is the base's."""


def planned(terms: DeliveryTerms, onto: Onto, files: Iterable[Lies]) -> Planned:
    """Return the commit of files on top of a base. Raises `NothingNew`, and `Conflict`."""
    form = format_of(terms.base_sha)
    made, blobs = Objects(form), dict[str, bytes]()
    leaves = {path: onto.leaves[path] for path in onto.kept}
    changes: list[Change] = []
    for file in files:
        path = file.path.encode()
        if path in leaves:
            raise Conflict(file.path)
        leaf, was = _leaf(file, onto.leaves.get(path), form), onto.leaves.get(path)
        leaves[path] = leaf
        if leaf != was:
            blobs[leaf.oid] = file.content
            changes.append(Change(file.path, "added" if was is None else "changed", leaf.mode, file.content))
    changes += [
        Change(path.decode("utf-8", "backslashreplace"), "deleted", leaf.mode, None)
        for path, leaf in onto.leaves.items()
        if path not in leaves
    ]
    tree = made.tree(leaves)
    base = Objects(form)
    if base.tree(onto.leaves) == tree:
        raise NothingNew
    known = set(base.made) if onto.root in base.made else set[str]()
    there = {leaf.oid for leaf in onto.leaves.values()}
    new = [(b"blob", content) for oid, content in blobs.items() if oid not in there]
    new += [each for oid, each in made.made.items() if oid not in known]
    author, committer = Person(terms.author.name, terms.author.email), Person(COMMITTER.name, COMMITTER.email)
    last = Objects(form)
    commit = last.commit(tree, terms.base_sha, author, committer, terms.at_s, terms.message)
    changed = tuple(sorted(changes, key=lambda change: change.path))
    return Planned(commit, tree, (*new, last.made[commit]), changed, len(onto.kept))


def _leaf(file: Lies, was: Leaf | None, form: Format) -> Leaf:
    """Return what a file is in a tree; one that did not change keeps its mode, also where git writes another today."""
    mode, oid = MODES[file.kind], digest(b"blob", file.content, form)
    if was is not None and was.oid == oid and _kind(was.mode) == _kind(mode):
        return was
    return Leaf(mode, oid)


def _kind(mode: str) -> tuple[str, bool]:
    return mode[:2], mode[:2] == "10" and int(mode, 8) & 0o100 != 0
