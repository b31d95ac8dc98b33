"""A patch is applied as a whole or not at all, and nothing outside of the tree is ever written."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.domain.patch import Change, Patch, PatchBounds, between, made
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.unified import parse_unified
from runwright.fixers.apply import apply, resolved
from runwright.sandbox.beneath import Beneath

BOUNDS = PatchBounds()


def laid(root: Path, tree) -> Beneath:
    root.mkdir(exist_ok=True)
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return Beneath(root, None)


def held(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_bytes().decode() for p in root.rglob("*") if p.is_file()}


def directories(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_dir()}


def test_a_patch_makes_changes_moves_and_removes_files(tmp_path) -> None:
    files = laid(tmp_path / "t", {"a": "1\n", "old/deep/b": "2\n", "c": "3\n"})
    (files.root / "c").chmod(0o755)
    patch = made(
        [
            Change(path="a", before="1\n", after="one\n"),
            Change(path="old/deep/b", before="2\n"),
            Change(path="new/c", before="3\n", after="3\n4\n", moved_from="c"),
            Change(path="new/d/e", after=""),
        ],
        BOUNDS,
    )
    apply(patch, files, BOUNDS)
    assert held(files.root) == {"a": "one\n", "new/c": "3\n4\n", "new/d/e": ""}
    assert directories(files.root) == {"new", "new/d"}
    assert [os.access(files.root / name, os.X_OK) for name in ("new/c", "a", "new/d/e")] == [True, False, False]


def test_no_file_takes_the_place_of_a_directory_nor_the_other_way_round(tmp_path) -> None:
    for before, after in (({"a": "1"}, {"a/b": "2"}), ({"a/b": "2"}, {"a": "1"})):
        files = laid(tmp_path / next(iter(before)).replace("/", "-"), before)
        with pytest.raises(PatchRefused, match=r"a is (a directory|no ordinary file or directory)"):
            apply(between(before, after), files, BOUNDS)
        assert held(files.root) == before


def test_a_tree_that_is_another_is_left_as_it_is(tmp_path) -> None:
    tree = {"a": "1\n", "b": "2\n"}
    files = laid(tmp_path / "t", tree)
    for wrong in (between({"a": "0\n", "b": "2\n"}, {"a": "x", "b": "y"}), between({"b": "2\n"}, {"b": "x", "a": "y"})):
        with pytest.raises(PatchRefused, match="is not what the patch was made of"):
            apply(wrong, files, BOUNDS)
        assert held(files.root) == tree


def test_what_was_written_is_taken_back_when_a_later_write_fails(tmp_path) -> None:
    tree = {"a": "1\n", "b/c": "2\n", "gone/g": "4\n"}
    files = laid(tmp_path / "t", tree)
    (files.root / "b/c").chmod(0o755)
    changes = [
        Change(path="a", before="1\n", after="one"),
        Change(path="b/moved", before="2\n", after="2\n", moved_from="b/c"),
        Change(path="fresh/deep/new", after="x"),
        Change(path="gone/g", before="4\n"),
        Change(path="z", after="x"),
        Change(path="z/no", after="x"),
    ]
    before = directories(files.root)
    with pytest.raises(PatchRefused, match="z is no ordinary file or directory"):
        apply(Patch(tuple(changes)), files, BOUNDS)
    assert held(files.root) == tree
    assert directories(files.root) == before
    assert os.access(files.root / "b/c", os.X_OK)


@pytest.mark.parametrize("path", ["link/passwd", "file", "pipe", "dir"])
def test_what_is_no_file_of_the_tree_is_not_written(tmp_path, path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("root")
    files = laid(tmp_path / "t", {"dir/x": ""})
    (files.root / "link").symlink_to(outside)
    (files.root / "file").symlink_to(outside / "passwd")
    os.mkfifo(files.root / "pipe")
    for change in (
        Change(path=path, after="x"),
        Change(path=path, before="root", after="x"),
        Change(path=path, before="root"),
    ):
        with pytest.raises(PatchRefused):
            apply(Patch((change,)), files, BOUNDS)
    assert held(outside) == {"passwd": "root"}
    assert (files.root / "file").is_symlink()


def test_a_workspace_that_is_there_to_be_read_is_not_written(tmp_path) -> None:
    files = laid(tmp_path / "t", {})._replace(writable=False)
    with pytest.raises(PatchRefused, match="there to be read"):
        apply(between({}, {"a": "1"}), files, BOUNDS)
    assert held(files.root) == {}


def test_a_diff_over_a_workspace_is_the_patch_that_it_says(tmp_path) -> None:
    tree = {"a": "1\n2\n3\n"}
    files = laid(tmp_path / "t", tree)
    patch = between(tree, {"a": "1\nzwei\n3\n", "b": ""})
    assert resolved(parse_unified(patch.text, BOUNDS), files, BOUNDS) == patch


def test_a_program_is_made_where_that_may_be(tmp_path) -> None:
    files = laid(tmp_path / "t", {"a": "1"})
    bounds = PatchBounds(programs=True)
    text = "diff --git a/a b/a\nold mode 100644\nnew mode 100755\ndiff --git a/b b/b\nnew file mode 100755\n"
    apply(resolved(parse_unified(text, bounds), files, bounds), files, bounds)
    assert os.access(files.root / "a", os.X_OK)
    assert os.access(files.root / "b", os.X_OK)


NAMES = st.sampled_from(["a", "b c", 'd"e', "f/g", "f/h/i", "ü"])
TREES = st.dictionaries(NAMES, st.text(alphabet="ab\n\r\\", max_size=40), max_size=6)


@given(before=TREES, after=TREES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_patch_between_two_trees_applied_to_one_is_the_other_as_git_has_it(tmp_path, before, after) -> None:
    if before == after:
        return
    patch = between(before, after)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for root in (ours, theirs):
        subprocess.run(["rm", "-rf", str(root)], check=True)
        laid(root, before)
    apply(patch, Beneath(ours, None), BOUNDS)
    git = ["git", "apply", "--whitespace=nowarn", "-"]
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}
    subprocess.run(git, cwd=theirs, input=patch.text.encode(), check=True, env=env)
    assert held(ours) == after == held(theirs)


PARTS = st.sampled_from(["..", ".", "", "a", "link", "outside", ".git", "etc", "b"])


@given(
    path=st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    other=st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    form=st.sampled_from(["new", "plain", "rename", "delete"]),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_hostile_diff_writes_outside_of_the_tree(tmp_path, path, other, form) -> None:
    outside = tmp_path / "outside"
    subprocess.run(["rm", "-rf", str(tmp_path / "t"), str(outside)], check=True)
    laid(outside, {"b": "x\n", "a/b": "x\n"})
    files = laid(tmp_path / "t", {"a/b": "x\n", "b": "x\n"})
    (files.root / "link").symlink_to(outside)
    (files.root / "a/outside").symlink_to("../../outside")
    text = {
        "new": f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+y\n",
        "plain": f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n",
        "rename": f"diff --git a/{path} b/{other}\nrename from {path}\nrename to {other}\n",
        "delete": f"diff --git a/{path} b/{path}\ndeleted file mode 100644\n"
        f"--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
    }[form]
    try:
        apply(resolved(parse_unified(text, BOUNDS), files, BOUNDS), files, BOUNDS)
    except PatchRefused:
        assert held(files.root) == {"a/b": "x\n", "b": "x\n"}
    assert held(outside) == {"b": "x\n", "a/b": "x\n"}
    assert {each.name for each in tmp_path.iterdir()} == {"t", "outside"}
    assert not (files.root / ".git").exists()
