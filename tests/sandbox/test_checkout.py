"""Checkouts of real repositories: which commit, what lies in the workspace, what is left out, what is refused."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import Kept, RunWorkspace, Snapshot
from runwright.errors import InvalidRequest
from runwright.sandbox.checkout import Checkout, CheckoutBounds, Repositories
from runwright.sandbox.means import Means
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.snapshot import Limits
from tests.sandbox.repositories import Repository


class Checkouts:
    """Checkouts of repositories beneath one allowed directory, each into a workspace of its own."""

    def __init__(self, means: Means, root: Path) -> None:
        self.means = means
        self.root = root
        self.bounds = CheckoutBounds(roots=(str(root),), timeout_s=60)
        self._places: list[RunWorkspace] = []
        self._before = self._there()

    async def of(
        self, repo: Path | str, ref: str | None = None, *, head_sha: str | None = None, **bounds: Any
    ) -> tuple[Checkout, Path]:
        """Check out; return what was told, and where it lies."""
        checkout, _, place = await self.kept(repo, ref, head_sha=head_sha, **bounds)
        return checkout, place.files.root

    async def kept(
        self, repo: Path | str, ref: str | None = None, *, head_sha: str | None = None, **bounds: Any
    ) -> tuple[Checkout, Snapshot | None, RunWorkspace]:
        """Check out; return what was told, the snapshot and the workspace."""
        repositories = Repositories(self.means, replace(self.bounds, **bounds))
        place = self.place(None)
        checkout, snapshot = await place.lay(
            lambda files: repositories.check_out(files, str(repo), ref, head_sha=head_sha)
        )
        return checkout, snapshot, place

    async def refused(self, repo: Path | str, ref: str | None = None, **bounds: Any) -> tuple[str, str]:
        """Return code and words of a checkout that is refused; nothing of it is left then."""
        with pytest.raises((CheckoutRefused, InvalidRequest)) as why:
            await self.of(repo, ref, **bounds)
        assert list(self._places[-1].files.root.iterdir()) == []
        refusal = why.value
        assert isinstance(refusal, CheckoutRefused | InvalidRequest)
        return refusal.code, str(refusal)

    def place(self, last: Kept | None) -> RunWorkspace:
        """Return the workspace of a run."""
        tools = ToolBounds(tree=self.bounds.tree)
        self._places.append(RunWorkspace(self.means, "", tools, f"run_{len(self._places)}", last))
        return self._places[-1]

    async def close(self) -> None:
        """Remove everything."""
        for place in self._places:
            await place.close()
        assert self._there() == self._before

    def _there(self) -> list[str]:
        return sorted(path.name for path in self.means.workspaces.directory.iterdir())


@pytest.fixture
async def checkouts(means: Means, open_directory: Path) -> AsyncIterator[Checkouts]:
    """Return checkouts beneath a directory of their own; nothing may be left of them afterwards."""
    root = open_directory / "repositories with space"
    root.mkdir()
    made = Checkouts(means, root)
    yield made
    shutil.rmtree(root)
    await made.close()


def held(root: Path) -> dict[str, bytes | str]:
    """Return what files hold, and where links lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(root))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(root))] = path.read_bytes()
    return found


def reasons(checkout: Checkout) -> dict[str, str]:
    """Return why what was left out."""
    return {each.path: each.reason for each in checkout.left_out}


# --- which commit -----------------------------------------------------------------------------------------------------


async def test_branches_tags_commits_and_the_default_branch_are_found_by_name(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    first = repository.commit(a="1\n")
    repository.git("tag", "-a", "-m", "x", "v1")
    second = repository.commit(a="2\n")
    repository.git("checkout", "--quiet", "-b", "feature/x")
    third = repository.commit(a="3\n")
    repository.git("checkout", "--quiet", "main")
    repository.git("tag", "main", first)  # a branch comes before a tag of that name
    asked = {None: second, "main": second, "v1": first, "feature/x": third, third: third, "refs/tags/main": first}
    for ref, head in asked.items():
        checkout, root = await checkouts.of(repository.path, ref)
        assert (checkout.head_sha, len((root / "a").read_text())) == (head, 2), ref
    assert (await checkouts.of(repository.path))[0].ref == "HEAD"
    assert (await checkouts.of(repository.path, "v1"))[0].ref == "refs/tags/v1"


async def test_a_commit_that_is_known_is_checked_out_again_whatever_its_branch_is_by_now(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    first = repository.commit(a="1\n")
    repository.commit(a="2\n")
    checkout, root = await checkouts.of(repository.path, "main", head_sha=first)
    assert (checkout.head_sha, checkout.ref, (root / "a").read_text()) == (first, "main", "1\n")


async def test_what_is_committed_is_checked_out_and_nothing_else_of_a_work_tree(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.commit(a="1\n")
    repository.write("a", "changed\n")
    repository.write("new", "not committed\n")
    _, root = await checkouts.of(repository.path)
    assert held(root) == {"a": b"1\n"}


async def test_a_bare_repository_and_one_that_is_packed_are_read_alike(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    head = repository.commit(a="1\n", b="2\n")
    repository.git("clone", "--quiet", "--bare", ".", str(checkouts.root / "bare.git"))
    repository.git("gc", "--quiet")
    repository.git("pack-refs", "--all")
    for path in (checkouts.root / "bare.git", repository.path):
        checkout, root = await checkouts.of(path)
        assert (checkout.head_sha, held(root)) == (head, {"a": b"1\n", "b": b"2\n"})


async def test_digests_may_be_sha_256(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r", "--object-format=sha256")
    head = repository.commit(a="1\n")
    for ref in (None, "main", head):
        checkout, root = await checkouts.of(repository.path, ref)
        assert (checkout.head_sha, held(root), len(head)) == (head, {"a": b"1\n"}, 64)


async def test_any_worker_rebuilds_the_checkout_from_its_snapshot_and_needs_no_repository(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.write("d/run", "#!/bin/sh\n", program=True)
    (repository.path / "link").symlink_to("d/run")
    repository.commit(a="1\n")
    _, snapshot, place = await checkouts.kept(repository.path)
    assert snapshot is not None
    shutil.rmtree(repository.path)

    async def load() -> bytes:
        return snapshot.archive

    other = checkouts.place(Kept(snapshot.tree_hash, load))
    await other.open()
    assert held(other.files.root) == held(place.files.root)
    assert os.access(other.files.root / "d/run", os.X_OK)


async def test_the_same_commit_is_the_same_tree_each_time(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.commit(**{name: name for name in "abcdef"})
    kept = [(await checkouts.kept(repository.path))[1] for _ in range(2)]
    assert kept[0] is not None
    assert kept[0] == kept[1]


# --- what lies there --------------------------------------------------------------------------------------------------


async def test_k10_an_empty_repository_is_an_empty_workspace(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    checkout, snapshot, place = await checkouts.kept(repository.path)
    assert (checkout.head_sha, checkout.ref, snapshot) == (None, None, None)
    assert list(place.files.root.iterdir()) == []
    assert (await checkouts.refused(repository.path, "main"))[0] == "ref.not_found"


async def test_k10_a_shallow_clone_is_a_source_like_any_other(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    for number in range(3):
        head = repository.commit(a=f"{number}\n")
    shallow = checkouts.root / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(shallow))
    checkout, root = await checkouts.of(shallow)
    assert (checkout.head_sha, held(root)) == (head, {"a": b"2\n"})


async def test_k10_submodules_are_told_and_not_fetched(checkouts: Checkouts):
    inner = Repository(checkouts.root / "inner")
    commit = inner.commit(a="inner\n")
    repository = Repository(checkouts.root / "r")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/inner")
    repository.write(".gitmodules", f'[submodule "inner"]\n\tpath = vendor/inner\n\turl = {inner.path}\n')
    repository.git("add", ".gitmodules")
    repository.commit_index()
    checkout, root = await checkouts.of(repository.path)
    assert reasons(checkout) == {"vendor/inner": "submodule"}
    assert list(held(root)) == [".gitmodules"]


async def test_k10_pointers_of_lfs_line_ends_and_empty_files_are_as_they_are_stored(checkouts: Checkouts):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"
    stored = {
        ".gitattributes": b"* text=auto eol=crlf\n*.bin filter=lfs diff=lfs merge=lfs -text\n* ident\n"
        b"*.u16 working-tree-encoding=UTF-16\n",
        "crlf.txt": b"a\r\nb\r\n",
        "lf.txt": b"a\nb\n",
        "ident.c": b"/* $Id$ */\n",
        "empty": b"",
        "large.bin": pointer,
        "text.u16": b"abc\n",
    }
    repository = Repository(checkouts.root / "r")
    for name, content in stored.items():
        oid = repository.git("hash-object", "-w", "--no-filters", "--stdin", given=content)
        repository.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{name}")
    repository.commit_index()
    checkout, root = await checkouts.of(repository.path)
    assert held(root) == stored
    assert checkout.left_out == ()


async def test_k10_names_of_any_kind_and_links_are_kept_or_told(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    oid = repository.loose(b"blob", b"x\n")
    inner = repository.entry("100644", "ä".encode(), oid)
    repository.commit_tree(
        ("120000", b"absolute", b"/etc/passwd"),
        ("100644", b"caf\xe9", b"x\n"),
        ("120000", b"link", b"with space/\xc3\xa4"),
        ("100644", b"new\nline", b"x\n"),
        ("120000", b"upwards", b"../../x"),
        ("40000", b"with space", inner),
    )
    checkout, root = await checkouts.of(repository.path)
    assert held(root) == {"link": "with space/ä", "new\nline": b"x\n", "with space/ä": b"x\n"}
    assert reasons(checkout) == {
        "caf\\xe9": "name_not_utf8",
        "absolute": "link_leads_out",
        "upwards": "link_leads_out",
    }


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_only_repositories_beneath_an_allowed_directory_are_read(checkouts: Checkouts, open_directory: Path):
    outside = Repository(open_directory / "outside")
    outside.commit(a="1\n")
    (checkouts.root / "way").symlink_to(outside.path)
    (checkouts.root / "file").mkdir()
    (checkouts.root / "file/.git").write_text(f"gitdir: {outside.path}/.git\n")
    (checkouts.root / "linked").mkdir()
    (checkouts.root / "linked/.git").symlink_to(outside.path / ".git")
    for repo in (outside.path, f"{checkouts.root}/../outside", "/etc", "relative", checkouts.root / "way"):
        assert (await checkouts.refused(repo))[0] == "repo.not_allowed", repo
    for name in ("file", "linked"):
        code, words = await checkouts.refused(checkouts.root / name)
        assert (code, "is not followed" in words) == ("repo.not_allowed", True)
    code, words = await checkouts.refused(outside.path, roots=())
    assert (code, "RUNWRIGHT_REPOSITORY_ROOTS" in words) == ("repo.not_allowed", True)


@pytest.mark.parametrize(
    "repo",
    [
        "ssh://git@example.org/x",
        "git@example.org:x/y.git",
        "file:///etc",
        "ext::sh -c touch% /tmp/x",
        "git://example.org/x",
        "--upload-pack=touch /tmp/x",
        "https://user:password@example.org/x",
        "https://127.0.0.1/x",
        "http://169.254.169.254/latest",
        "",
    ],
)
async def test_addresses_of_other_kinds_are_refused_by_their_words(checkouts: Checkouts, repo: str):
    assert (await checkouts.refused(repo))[0] == "repo.not_allowed"


async def test_what_is_not_there_is_said_to_be_not_there(checkouts: Checkouts):
    (checkouts.root / "empty").mkdir()
    repository = Repository(checkouts.root / "r")
    repository.commit(a="1\n")
    assert (await checkouts.refused(checkouts.root / "missing"))[0] == "repo.not_found"
    assert (await checkouts.refused(checkouts.root / "empty"))[0] == "repo.not_found"
    for ref in ("nothing", "f" * 40, "refs/heads/none"):
        assert (await checkouts.refused(repository.path, ref))[0] == "ref.not_found"
    for ref in ("--upload-pack=x", "a..b", "a b", "", "x" * 300, "main@{1}", "main~1", ".x"):
        assert (await checkouts.refused(repository.path, ref))[0] == "request.invalid"
    repository.git("symbolic-ref", "HEAD", "refs/heads/none")
    code, words = await checkouts.refused(repository.path)
    assert (code, "default branch" in words) == ("ref.not_found", True)
    tree = repository.git("rev-parse", "main^{tree}")
    repository.git("update-ref", "refs/tags/tree", tree)
    assert (await checkouts.refused(repository.path, "tree"))[0] == "ref.not_found"


async def test_more_than_may_be_is_refused_and_a_large_file_is_left_out(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.commit(**{f"f{number}": f"{number}\n" for number in range(30)})
    assert (await checkouts.refused(repository.path, tree=Limits(20, 1 << 20)))[0] == "repo.too_large"
    assert (await checkouts.refused(repository.path, tree=Limits(100, 40)))[0] == "repo.too_large"
    assert (await checkouts.refused(repository.path, repository_max_bytes=500))[0] == "repo.too_large"
    repository.write("zeros", bytes(3 << 20))  # some bytes in git's store
    repository.commit()
    checkout, root = await checkouts.of(repository.path, file_max_bytes=1 << 20)
    assert reasons(checkout) == {"zeros": "too_large"}
    assert not (root / "zeros").exists()


async def test_a_repository_that_lacks_what_it_names_is_broken_and_leaves_nothing(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.commit(a="1\n")
    oid = repository.git("rev-parse", "HEAD:a")
    (repository.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    assert (await checkouts.refused(repository.path))[0] == "repo.broken"
    borrowing = checkouts.root / "borrowing"
    repository.commit(a="2\n")
    repository.git("clone", "--quiet", "--shared", ".", str(borrowing))
    code, words = await checkouts.refused(borrowing)
    assert (code, "alternates" in words) == ("repo.not_allowed", True)


async def test_a_digest_that_is_not_of_what_it_names_is_found(checkouts: Checkouts):
    repository = Repository(checkouts.root / "r")
    repository.commit(a="1\n")
    oid = repository.git("rev-parse", "HEAD:a")
    stored = repository.path / ".git/objects" / oid[:2] / oid[2:]
    other = repository.loose(b"blob", b"2\n")
    stored.unlink()
    stored.write_bytes((repository.path / ".git/objects" / other[:2] / other[2:]).read_bytes())
    assert (await checkouts.refused(repository.path))[0] == "repo.broken"
