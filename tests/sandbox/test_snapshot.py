"""Snapshots of trees: the same for equal ones, what they restore, and what they refuse."""

import gzip
import io
import os
import socket
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.sandbox.snapshot import EMPTY, Limits, TreeRefused, WorkspaceMismatch, pack, survey, unpack

LIMITS = Limits(files=200, bytes=100_000)

NAMES = st.sampled_from(
    ["a", "b", "ä", "名前", "with space", "new\nline", "-rf", "x" * 120, ".hidden", "\u202e", "b.c"]
)
CONTENT: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=300), st.booleans()), st.just(("directory", {}))
)
LINKS = st.tuples(st.just("link"), NAMES)
TREES = st.recursive(
    st.dictionaries(NAMES, st.one_of(CONTENT, LINKS), max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(CONTENT, LINKS, st.tuples(st.just("directory"), inner)), max_size=4),
    max_leaves=12,
)


def plant(root: Path, tree: dict[str, tuple]) -> None:
    """Make what a description says."""
    for name, (kind, *what) in tree.items():
        path = root / name
        if kind == "directory":
            path.mkdir()
            plant(path, what[0])
        elif kind == "link":
            path.symlink_to(what[0])
        else:
            path.write_bytes(what[0])
            path.chmod(0o755 if what[1] else 0o600)


def seen(root: Path) -> dict[str, object]:
    """Return what lies beneath a directory, as the system tells it."""
    found: dict[str, object] = {}
    for place, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(place) / name
            mode = path.lstat().st_mode
            at = str(path.relative_to(root))
            if stat.S_ISLNK(mode):
                found[at] = ("link", str(path.readlink()))
            elif stat.S_ISDIR(mode):
                found[at] = ("directory", stat.S_IMODE(mode))
            else:
                found[at] = (path.read_bytes(), stat.S_IMODE(mode))
    return found


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_a_tree_comes_back_as_it_was(tree):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        plant(Path(one), tree)
        surveyed = survey(Path(one), LIMITS)
        archive = pack(Path(one), surveyed)
        restored = unpack(archive, Path(other), LIMITS, None)
        assert seen(Path(other)) == seen(Path(one))
        assert restored.digest == surveyed.digest
        assert pack(Path(other), restored) == archive


def test_equal_trees_have_one_digest_and_one_archive_whatever_order_they_were_made_in(tmp_path):
    for place, names in (("one", ["b", "a", "a.b", "c/d"]), ("other", ["c/d", "a.b", "a", "b"])):
        for name in names:
            (tmp_path / place / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place / name).write_text(name)
    os.utime(tmp_path / "one" / "a", (1, 1))
    trees = [survey(tmp_path / place, LIMITS) for place in ("one", "other")]
    assert trees[0] == trees[1]
    assert pack(tmp_path / "one", trees[0]) == pack(tmp_path / "other", trees[1])


@pytest.mark.parametrize("change", ["content", "name", "x bit", "empty directory", "link"])
def test_whatever_changes_changes_the_digest(tmp_path, change):
    (tmp_path / "a").write_text("1")
    (tmp_path / "l").symlink_to("a")
    before = survey(tmp_path, LIMITS).digest
    if change == "content":
        (tmp_path / "a").write_text("2")
    elif change == "name":
        (tmp_path / "a").rename(tmp_path / "b")
    elif change == "x bit":
        (tmp_path / "a").chmod(0o755)
    elif change == "empty directory":
        (tmp_path / "d").mkdir()
    else:
        (tmp_path / "l").unlink()
        (tmp_path / "l").symlink_to("b")
    assert survey(tmp_path, LIMITS).digest != before


def test_an_empty_directory_is_the_empty_tree(tmp_path):
    assert survey(tmp_path, LIMITS).digest == EMPTY


def test_the_tree_gets_the_permissions_that_a_restored_one_has(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "secret").write_text("x")
    (tmp_path / "closed" / "secret").chmod(0o000)
    (tmp_path / "closed").chmod(0o000)
    (tmp_path / "tool").write_text("x")
    (tmp_path / "tool").chmod(0o777)
    survey(tmp_path, LIMITS)
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"closed": 0o755, "closed/secret": 0o644, "tool": 0o755}


def _deep(root: Path) -> None:
    for _ in range(110):
        root /= "d"
        root.mkdir()


def _hole(root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 40)


def _socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
    finally:
        os.chdir(here)


KEPT_OUT = {
    "a pipe": (lambda root: os.mkfifo(root / "pipe"), "pipe is no file"),
    "a socket": (_socket, "s is no file"),
    "setuid": (lambda root: ((root / "su").write_text(""), (root / "su").chmod(0o4755)), "su changes who runs it"),
    "setgid": (lambda root: ((root / "sg").mkdir(), (root / "sg").chmod(0o2755)), "sg changes who runs it"),
    "an absolute link": (lambda root: (root / "l").symlink_to("/etc/passwd"), "may be outside"),
    "a link out": (lambda root: (root / "l").symlink_to(".."), "may be outside"),
    "a deep link out": (lambda root: ((root / "d").mkdir(), (root / "d" / "l").symlink_to("../../x")), "may be outsid"),
    "a link that climbs later": (lambda root: (root / "l").symlink_to("d/../x"), "may be outside"),
    "a target of bytes": (lambda root: (root / "l").symlink_to(os.fsdecode(b"\xff")), "no UTF-8"),
    "a name of bytes": (lambda root: Path(os.fsdecode(os.fsencode(root) + b"/\xff")).write_text(""), "no UTF-8"),
    "many files": (lambda root: [(root / str(n)).write_text("") for n in range(201)], "more than 200 files"),
    "many bytes": (lambda root: (root / "large").write_bytes(b"x" * 100_001), "too many bytes"),
    "a hole": (_hole, "too many bytes"),
    "depth": (_deep, "deep"),
    "a long path": (lambda root: (root / "/".join(["a" * 250] * 5)).mkdir(parents=True), "more than 1024 bytes"),
}


@pytest.mark.parametrize(("make", "said"), KEPT_OUT.values(), ids=KEPT_OUT)
def test_what_cannot_be_kept_is_refused(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(TreeRefused, match=said):
        survey(tmp_path, LIMITS)


def test_devices_are_refused(tmp_path):
    if os.geteuid() == 0:  # nobody else could have made one
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        with pytest.raises(TreeRefused, match="null is no file"):
            survey(tmp_path, LIMITS)


def test_links_that_climb_within_the_tree_are_kept(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "l").symlink_to("../../f")
    (tmp_path / "f").write_text("")
    assert [entry.holds for entry in survey(tmp_path, LIMITS).entries if entry.kind == "link"] == ["../../f"]


# --- archives that no tree made ---------------------------------------------------------------------------------------


def archive_of(*members: tuple[str, bytes, str, int]) -> bytes:
    """Return an archive of members: name, type, target, size."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, target, size in members:
            head = tarfile.TarInfo(name)
            head.type, head.linkname, head.size, head.mode = kind, target, size, 0o777
            archive.addfile(head, io.BytesIO(b"x" * size))
    return packed.getvalue()


NO_SNAPSHOTS = {
    "upwards": archive_of(("../out", tarfile.REGTYPE, "", 1)),
    "absolute": archive_of(("/out", tarfile.REGTYPE, "", 1)),
    "upwards later": archive_of(("d/../../out", tarfile.REGTYPE, "", 1)),
    "a link out": archive_of(("l", tarfile.SYMTYPE, "/tmp", 0)),
    "through a link out": archive_of(("l", tarfile.SYMTYPE, "..", 0), ("l/out", tarfile.REGTYPE, "", 1)),
    "through a link": archive_of(
        ("d", tarfile.DIRTYPE, "", 0), ("l", tarfile.SYMTYPE, "d", 0), ("l/f", tarfile.REGTYPE, "", 1)
    ),
    "a hard link": archive_of(("a", tarfile.REGTYPE, "", 1), ("h", tarfile.LNKTYPE, "a", 0)),
    "a device": archive_of(("n", tarfile.CHRTYPE, "", 0)),
    "a pipe": archive_of(("p", tarfile.FIFOTYPE, "", 0)),
    "twice the same": archive_of(("a", tarfile.REGTYPE, "", 1), ("a", tarfile.REGTYPE, "", 1)),
    "too large": archive_of(("a", tarfile.REGTYPE, "", 100_001)),
    "a bomb": gzip.compress(bytes(10_000_000)),
    "cut": archive_of(("a", tarfile.REGTYPE, "", 5000))[:-20],
    "words": b"nothing of the kind",
    "nothing": b"",
}


@pytest.mark.parametrize("archive", NO_SNAPSHOTS.values(), ids=NO_SNAPSHOTS)
def test_an_archive_that_is_no_snapshot_restores_nothing_outside(tmp_path, archive):
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(WorkspaceMismatch):
        unpack(archive, root, LIMITS, None)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert sum(path.lstat().st_size for path in root.rglob("*") if path.is_file()) <= LIMITS.bytes
