"""Commits are made without git, and are what git makes of the same files."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from runwright.domain.commit_plan import NOWHERE, Lies, NothingNew, Onto, planned
from runwright.domain.delivery_terms import Author, DeliveryTerms
from runwright.domain.git_objects import Conflict, Format, Leaf, bundle, digest, pack
from runwright.domain.workspace import WorkspaceSnapshot
from tests.sandbox.repositories import Repository

FILES = (
    Lies("a", "file", b"one\n"),
    Lies("a-b", "file", b""),
    Lies("d/with space\ttab", "file", b"deep"),
    Lies("d.txt", "program", b"#!/bin/sh\r\nexit\r\n"),
    Lies("d0", "link", b"d/with space\ttab"),
    Lies("ünï/☃", "file", bytes(range(256))),
)


def terms(**given: Any) -> DeliveryTerms:
    """Return the terms of a delivery, with what a test wants to be different."""
    usual: dict[str, Any] = {
        "run_id": "run_1",
        "snapshot": WorkspaceSnapshot(archive_sha256="0" * 64, tree_hash="0" * 64, files=1, bytes=1),
        "laid_hash": "0" * 64,
        "base_sha": None,
        "actions": ("commit",),
        "message": "Ünderstood\n\nRunwright-Run: run_1\n",
        "author": Author("A", "a@example.org"),
        "at_s": 1_800_000_000,
        "branch": "omar/run_1",
    }
    return DeliveryTerms(**usual | given)


def onto(**leaves: bytes) -> Onto:
    """Return a base with these files."""
    found = {name.encode(): Leaf("100644", digest(b"blob", content, "sha1")) for name, content in leaves.items()}
    return Onto(found, frozenset(), None)


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)])
def test_git_takes_the_pack_finds_it_sound_and_writes_the_same_tree_of_the_same_files(
    tmp_path: Path, options: tuple[str, ...]
):
    form: Format = "sha256" if options else "sha1"
    base = "f" * 64 if options else None
    made = planned(terms(base_sha=base), NOWHERE, FILES)
    theirs = Repository(tmp_path / "theirs", *options)
    theirs.git("index-pack", "--stdin", "--strict" if base is None else "-v", given=pack(made.objects, form))
    assert theirs.git("cat-file", "-t", made.commit) == "commit"
    assert theirs.git("rev-parse", f"{made.commit}^{{tree}}") == made.tree
    ours = Repository(tmp_path / "ours", *options)
    for file in FILES:
        if file.kind == "link":
            (ours.path / file.path).symlink_to(file.content.decode())
        else:
            ours.write(file.path, file.content, program=file.kind == "program")
    ours.commit()
    assert ours.git("rev-parse", "HEAD^{tree}") == made.tree
    assert planned(terms(base_sha=base), NOWHERE, reversed(FILES)).commit == made.commit


def test_a_bundle_is_fetched_into_a_repository_that_has_the_parent(tmp_path: Path):
    repository = Repository(tmp_path / "r")
    base = repository.commit(a="1\n", b="2\n")
    made = planned(terms(base_sha=base), onto(a=b"1\n", b=b"2\n"), [Lies("a", "file", b"3\n")])
    (tmp_path / "x.bundle").write_bytes(bundle(made.commit, base, "omar/run_1", pack(made.objects)))
    repository.git("fetch", "--quiet", str(tmp_path / "x.bundle"), "omar/run_1:omar")
    assert repository.git("rev-parse", "omar") == made.commit
    assert repository.git("diff", "--name-status", "main", "omar").split("\n") == ["M\ta", "D\tb"]
    assert repository.git("log", "-1", "--format=%an %ae %cn %at %ct", "omar").endswith("1800000000 1800000000")


def test_only_what_is_new_is_packed_and_the_changes_are_counted():
    base = onto(a=b"1\n", b=b"2\n", c=b"3\n")
    made = planned(terms(), base, [Lies("a", "file", b"1\n"), Lies("b", "file", b"3\n"), Lies("d", "file", b"4\n")])
    counts = made.counts()
    assert (counts.added, counts.changed, counts.deleted) == (1, 1, 1)
    assert [content for kind, content in made.objects if kind == b"blob"] == [b"4\n"]


def test_a_tree_that_is_the_bases_is_nothing_new_and_a_mode_alone_is():
    base = onto(a=b"1\n")
    with pytest.raises(NothingNew):
        planned(terms(), base, [Lies("a", "file", b"1\n")])
    assert planned(terms(), base, [Lies("a", "program", b"1\n")]).counts().changed == 1
    old = Onto({b"a": Leaf("100664", digest(b"blob", b"1\n", "sha1"))}, frozenset(), None)
    with pytest.raises(NothingNew):
        planned(terms(), old, [Lies("a", "file", b"1\n")])


def test_what_a_checkout_left_out_stays_and_nothing_is_written_over_it():
    big, module = Leaf("100644", "1" * 40), Leaf("160000", "2" * 40)
    leaves = {b"big.bin": big, b"lib": module, b"\xff": big, b"a": Leaf("100644", digest(b"blob", b"1", "sha1"))}
    base = Onto(leaves, frozenset({b"big.bin", b"lib", b"\xff"}), None)
    made = planned(terms(), base, [])
    assert (made.kept, made.counts().deleted) == (3, 1)
    (tree,) = [content for kind, content in made.objects if kind == b"tree"]
    assert b"100644 big.bin\0" in tree
    assert b"160000 lib\0" in tree
    assert b"100644 \xff\0" in tree
    for path in ("big.bin", "lib", "lib/x.py", "big.bin/x"):
        with pytest.raises(Conflict):
            planned(terms(), base, [Lies(path, "file", b"")])


def test_a_person_is_told_by_git_as_they_are(tmp_path: Path):
    made = planned(terms(author=Author("Zoë O'Neil", "zoe@example.org")), NOWHERE, FILES[:1])
    repository = Repository(tmp_path / "r")
    repository.git("unpack-objects", "-q", given=pack(made.objects))
    said = subprocess.run(
        ["git", "log", "-1", "--format=%an|%ae|%cn|%B", made.commit],
        cwd=repository.path,
        capture_output=True,
        check=True,
    )
    assert said.stdout.decode().startswith("Zoë O'Neil|zoe@example.org|Runwright|Ünderstood")
