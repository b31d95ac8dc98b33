"""Deliveries through the API: the trees of runs become commits, branches and pull requests of a local forge."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_approvals import member, no
from tests.api.test_runtime_approvals import status
from tests.sandbox.repositories import Repository

BATCH = "/api/v1/runs/git/pr/checkpoints"
ALL = ["commit", "push", "open_pr"]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def server(tmp_path: Path, root: Path) -> AsyncIterator[Served]:
    named = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 30}
    async with serving(tmp_path, **named) as served:
        yield served


def bare(root: Path, name: str, **files: str) -> Path:
    """Return a bare repository with one commit."""
    work = Repository(root / f"{name}-work")
    work.commit(**({"a.txt": "one\n", "b.txt": "two\n"} | files))
    path = root / f"{name}.git"
    work.git("clone", "--quiet", "--bare", ".", str(path))
    return path


def git(path: Path, *words: str) -> str:
    """Return what git says of a repository."""
    told = subprocess.run(
        ["git", "-c", "safe.directory=*", *words], cwd=path, capture_output=True, check=True, text=True
    )
    return told.stdout.strip()


async def ran(server: Served, repo: Path | None, *commands: str, **order: Any) -> str:
    """Return a run that has done these commands, and ended."""
    steps = [{"kind": "command", "command": ["sh", "-c", each]} for each in commands]
    body = {"mode": "edit_gated", "steps": steps, **order} | ({} if repo is None else {"repo": str(repo)})
    run_id: str = (await ok(server.admin.post("/api/v1/runs", json=body), 201))["run_id"]
    await status(server, run_id, "completed", "failed")
    return run_id


async def delivered(server: Served, *run_ids: str, **body: Any) -> dict[str, Any]:
    """Return the answer of a call that delivers."""
    answer: dict[str, Any] = await ok(server.admin.post(BATCH, json={"run_ids": run_ids, **body}))
    return answer


async def allow(server: Served, result: dict[str, Any], by: httpx2.AsyncClient, decision: str = "approve") -> None:
    """Decide what a delivery asks."""
    assert result["error"]["code"] == "APPROVAL_MISSING", result
    path = f"/api/v1/runs/{result['delivery_run_id']}/approvals"
    (asked,) = [each for each in await ok(server.admin.get(path)) if each["checkpoint_id"] == result["checkpoint_id"]]
    told = {"checkpoint_id": asked["checkpoint_id"], "subject_sha256": asked["subject_sha256"], "decision": decision}
    await ok(by.post(path, json=told))


async def test_a_run_is_committed_pushed_and_has_a_pull_request_once_it_was_allowed(server: Served, root: Path):
    repo = bare(root, "first")
    run_id = await ran(server, repo, "echo changed > a.txt; rm b.txt; mkdir d; echo new > 'd/with space'")
    (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
    assert (asked["status"], asked["error"]["code"]) == ("failed", "APPROVAL_MISSING")
    assert git(repo, "for-each-ref", "refs/heads/omar") == ""
    ada = await member(server, "Ada")
    await allow(server, asked, ada)
    answer = await delivered(server, run_id, actions=ALL)
    (done,) = answer["results"]
    assert (done["status"], done["error"]) == ("succeeded", None), done
    assert [step["status"] for step in done["steps"]] == ["done", "done", "done"]
    branch = f"omar/{run_id}"
    assert git(repo, "rev-parse", branch) == done["commit_sha"] == asked["commit_sha"]
    assert git(repo, "log", "--format=%P", "-1", branch) == git(repo, "rev-parse", "main")
    assert git(repo, "diff", "--name-status", "main", branch).split("\n") == ["M\ta.txt", "D\tb.txt", "A\td/with space"]
    assert git(repo, "fsck", "--strict", "--full") == ""
    assert (done["pr"]["provider"], done["pr"]["number"], done["pr"]["reused"]) == ("local", 1, False)
    told = json.loads(git(repo, "show", f"refs/pull/1/from/{branch}"))
    assert (told["base"], told["draft"], told["commit_sha"]) == ("main", True, done["commit_sha"])
    assert await delivered(server, run_id, actions=ALL) == answer
    assert len(git(repo, "for-each-ref", "refs/pull").splitlines()) == 2
