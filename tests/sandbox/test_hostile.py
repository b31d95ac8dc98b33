"""Must-show 7: a hostile repository is contained, redacted and reported; nothing of it is done."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.clock import SystemClock
from runwright.domain.redaction import Redactor
from runwright.sandbox.checkout import Checkout, CheckoutBounds, Repositories
from runwright.sandbox.command import Command
from runwright.sandbox.ingest import Examined, examine
from runwright.sandbox.means import Means
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.scanner import ScanBounds
from tests.sandbox.git_server import Forge, serving
from tests.sandbox.hostile import HUGE_BYTES, ORDERS, TOKEN, hostile
from tests.sandbox.repositories import Repository

REDACTOR = Redactor()
LEFT_OUT = {
    "..": "name_forbidden",
    ".GIT/HEAD": "name_forbidden",
    ".GIT/config": "name_forbidden",
    ".git/HEAD": "name_forbidden",
    ".git/config": "name_forbidden",
    "huge.txt": "too_large",
    "passwd": "link_leads_out",
    "up": "link_leads_out",
}


@pytest.fixture
def canary(open_directory: Path) -> Path:
    """Return a directory that everybody may write to, and nobody should."""
    path = open_directory / "canary"
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    for left in path.iterdir():
        left.unlink()
    return path


@pytest.fixture(scope="module")
def trap(open_directory: Path) -> Repository:
    """Make the hostile repository once."""
    return hostile(open_directory / "hostile", open_directory / "canary")


@pytest.fixture
async def place(means: Means) -> AsyncIterator[RunWorkspace]:
    """Return the workspace of a run that only reads."""
    place = RunWorkspace(means, "", ToolBounds(), "run_1", None, writable=False)
    yield place
    await place.close()


async def laid(means: Means, root: Path, place: RunWorkspace, repo: str) -> Checkout:
    """Check out a repository beneath a directory, or on this machine's network."""
    repositories = Repositories(means, CheckoutBounds(roots=(str(root),), allow_private=True, timeout_s=60))
    checkout, _ = await place.lay(lambda files: repositories.check_out(files, repo, None))
    return checkout


async def reported(means: Means, root: Path, place: RunWorkspace, repo: str) -> tuple[Checkout, Examined]:
    """Check out, and look through what lies there; return what is told of it."""
    checkout = await laid(means, root, place, repo)
    left_out, hooks = checkout.left_out, checkout.hooks
    return checkout, await examine(place, REDACTOR, ScanBounds(), SystemClock(), left_out=left_out, hooks=hooks)


def told_of(seen: Examined) -> set[tuple[str, str, str]]:
    """Return severity, rule and file of the findings."""
    return {(each.severity, each.rule_id.partition(":")[2], each.file) for each in seen.findings}


IN_THE_TREE = {
    ("P0", "github_token", "settings.env"),
    ("P1", "forbidden-name", ".."),
    ("P1", "forbidden-name", ".GIT/HEAD"),
    ("P1", "forbidden-name", ".GIT/config"),
    ("P1", "forbidden-name", ".git/HEAD"),
    ("P1", "forbidden-name", ".git/config"),
    ("P1", "git-submodule", ".gitmodules"),
    ("P2", "git-filter", ".gitattributes"),
    ("P2", "instructions", "README.md"),
    ("P2", "link-leads-out", "passwd"),
    ("P2", "link-leads-out", "up"),
    ("P3", "git-hook", "hooks/post-checkout"),
    ("P3", "too-large", "huge.txt"),
}


def test_the_traps_go_off_for_whoever_opens_the_repository_with_git(trap: Repository, canary: Path):
    subprocess.run(["git", "status"], cwd=trap.path, capture_output=True, check=False)
    assert list(canary.iterdir()) != []


async def test_scenario_11_a_hostile_repository_of_this_machine_is_contained_redacted_and_reported(
    means: Means, trap: Repository, place: RunWorkspace, canary: Path
):
    checkout, seen = await reported(means, trap.path.parent, place, str(trap.path))
    assert list(canary.iterdir()) == []
    assert {each.path: each.reason for each in checkout.left_out} == LEFT_OUT
    assert seen.inventory.skipped_by == {"link_leads_out": 2, "name_forbidden": 5, "too_large": 1}
    hooks = {("P2", "repository-hook", f".git/hooks/{name}") for name in checkout.hooks}
    assert len(hooks) == 5
    assert told_of(seen) == IN_THE_TREE | hooks
    _is_clean(place.files.root)
    written = msgspec.json.encode((checkout, seen))
    assert TOKEN.encode() not in written
    assert ORDERS.encode() not in written
    assert b"root:" not in written


async def test_a_hostile_repository_behind_an_address_is_contained_and_reported(
    means: Means, trap: Repository, place: RunWorkspace, canary: Path, tmp_path: Path
):
    bare = tmp_path / "bare.git"
    Repository(tmp_path / "x").git("clone", "--quiet", "--bare", "--no-hardlinks", str(trap.path), str(bare))
    for left in canary.iterdir():
        left.unlink()
    async with serving(Forge(tmp_path)) as forge:
        _, seen = await reported(means, tmp_path, place, f"{forge.url}/bare.git")
    assert list(canary.iterdir()) == []
    assert told_of(seen) == IN_THE_TREE
    _is_clean(place.files.root)


async def test_git_that_a_step_runs_in_the_workspace_obeys_nothing_that_was_planted(
    means: Means, trap: Repository, place: RunWorkspace, canary: Path
):
    await laid(means, trap.path.parent, place, str(trap.path))
    command = Command(("sh", "-c", "git status; cat passwd up; ls -la"), 60, 256 << 20, 1, 65_536)
    ended = await place.run(command)
    assert "not a git repository" in ended.output
    assert "root:" not in ended.output
    assert list(canary.iterdir()) == []
    assert await place.settle() is None


async def test_a_tree_that_unfolds_without_end_is_refused_in_time(means: Means, place: RunWorkspace, tmp_path: Path):
    bomb = Repository(tmp_path / "bomb")
    oid = bomb.loose(b"blob", b"x")
    mode = "100644"
    for _ in range(10):
        oid = bomb.loose(b"tree", b"".join(bomb.entry(mode, f"{n}".encode(), oid) for n in range(10)))
        mode = "40000"
    bomb.git("update-ref", "refs/heads/main", bomb.git("commit-tree", oid, "-m", "x"))
    with pytest.raises(CheckoutRefused) as why:
        await laid(means, tmp_path, place, str(bomb.path))
    assert why.value.code == "repo.too_large"
    assert list(place.files.root.iterdir()) == []


async def test_a_name_that_two_things_have_is_made_once_and_nothing_is_written_through_a_link(
    means: Means, place: RunWorkspace, tmp_path: Path, canary: Path
):
    repository = Repository(tmp_path / "twice")
    inner = repository.entry("100644", b"x", repository.loose(b"blob", b"through\n"))
    repository.commit_tree(
        ("120000", b"a", str(canary).encode()),
        ("40000", b"a", inner),
        ("100644", b"b", b"1\n"),
        ("100755", b"b", b"2\n"),
        ("120000", b"c", b"b"),
        ("40000", b"c", inner),
    )
    checkout, _ = await reported(means, tmp_path, place, str(repository.path))
    assert list(canary.iterdir()) == []
    told = {(each.path, each.reason) for each in checkout.left_out}
    assert told == {("a", "link_leads_out"), ("b", "name_twice"), ("c", "name_twice")}
    assert (place.files.root / "b").read_text() == "1\n"
    assert (place.files.root / "c/x").read_text() == "through\n"


def _is_clean(root: Path) -> None:
    there = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert there == [
        ".gitattributes",
        ".gitmodules",
        "README.md",
        "hooks",
        "hooks/post-checkout",
        "plain.txt",
        "settings.env",
    ]
    assert (root / "plain.txt").read_bytes() == b"a\nb\n"
    assert sum(path.stat().st_size for path in root.rglob("*")) < HUGE_BYTES
