"""Deliveries to forges over HTTP: what only a project's token may read and write, and a forge that is away."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_approvals import member
from tests.api.test_deliveries import ALL, BATCH, allow, delivered, ran
from tests.forges.hub import TOKEN, GitHubHub
from tests.sandbox import git_server
from tests.sandbox.git_server import Forge
from tests.sandbox.repositories import Repository


def site(root: Path, name: str) -> Repository:
    """Make a bare repository that is pushed to over HTTP; return it."""
    work = Repository(root / "work")
    work.commit(a="1\n")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    work.git("clone", "--quiet", "--bare", ".", str(root / name))
    work.git("--git-dir", str(root / name), "config", "http.receivepack", "true")
    return work


@asynccontextmanager
async def served(directory: Path, *forges: str) -> AsyncIterator[Served]:
    """Serve with forges of this machine."""
    async with serving(directory, forges=forges, repository_private=True, delivery_wait_s=30) as server:
        yield server


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[GitHubHub]:
    site(tmp_path, "acme/site.git")
    async with git_server.serving(GitHubHub(tmp_path)) as forge:
        assert isinstance(forge, GitHubHub)
        yield forge


async def told(server: Served, *run_ids: str) -> str:
    """Return all that the API tells of runs: events, values, evidence."""
    tails = ("events/list", "artifacts", "evidence", "status", "approvals")
    paths = [f"/api/v1/runs/{run_id}/{tail}" for run_id in run_ids for tail in tails]
    return json.dumps([await ok(server.admin.get(path)) for path in paths])


async def test_a_private_repository_is_read_and_delivered_to_with_the_projects_token_which_nobody_sees(
    tmp_path: Path, hub: GitHubHub
):
    repo = f"{hub.url}/acme/site.git"
    async with served(tmp_path / "data", f"github={hub.url}#FORGE_TOKEN") as server:
        blind = await ran(server, repo, "true")
        stands = await ok(server.admin.get(f"/api/v1/runs/{blind}/status"))
        assert (stands["status"], stands["stop"]["code"]) == ("failed", "CONFIG_INVALID")
        await ok(server.admin.post("/v1/environments", json={"name": "forges"}), 201)
        secret = {"name": "FORGE_TOKEN", "value": TOKEN, "environment": "forges"}
        await ok(server.admin.post("/v1/secrets", json=secret), 201)
        run_id = await ran(server, repo, "env; cat /proc/*/environ 2>/dev/null; echo 2 > a")
        (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
        await allow(server, asked, await member(server, "Ada"))
        (done,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert (done["status"], done["pr"]["provider"], done["pr"]["number"]) == ("succeeded", "github", 1), done
        assert done["pr"]["url"] == f"{hub.url}/acme/site/pull/1"
        assert hub.pulls[0]["draft"] is True
        seen = await told(server, run_id, done["delivery_run_id"])
    assert TOKEN not in seen
    assert "FORGE_TOKEN" not in seen


async def test_a_loop_reads_a_private_repository_and_looks_for_what_its_policy_forbids(tmp_path: Path, hub: GitHubHub):
    work = Repository(tmp_path / "ours")
    forbidden = "policy:\n  forbid_patterns:\n    - {id: tls-off, pattern: 'verify=False', in: '*.py', severity: P1}\n"
    work.write(".runwright/policy.yaml", forbidden)
    work.write("app.py", "get(url, verify=False)\n")
    work.commit(a="1\n")
    work.git("clone", "--quiet", "--bare", ".", str(tmp_path / "acme/ours.git"))
    async with served(tmp_path / "data", f"github={hub.url}#FORGE_TOKEN") as server:
        loops, order = "/api/v1/loops/omar", {"repo": f"{hub.url}/acme/ours.git", "max_iterations": 1}
        blind = await ok(server.admin.post(loops, json=order), 202)
        assert (await loop_ended(server, blind["loop_id"]))["exit_reason"] == "infra_error"
        await ok(server.admin.post("/v1/secrets", json={"name": "FORGE_TOKEN", "value": TOKEN}), 201)
        made = await ok(server.admin.post(loops, json=order), 202)
        shown = await loop_ended(server, made["loop_id"])
        assert (shown["exit_reason"], shown["findings"]["start"]["P1"]) == ("no_progress", 1), shown
        assert TOKEN not in await told(server, made["loop_id"])


async def loop_ended(server: Served, loop_id: str) -> dict[str, Any]:
    """Return what is shown of a loop at its end."""
    while True:
        shown: dict[str, Any] = await ok(server.admin.get(f"/api/v1/loops/omar/{loop_id}", params={"wait": 5}))
        if shown["run_state"] in ("completed", "failed"):
            return shown


async def test_a_forge_that_is_away_for_all_is_503_and_what_was_allowed_goes_on_when_it_is_back(
    tmp_path: Path, hub: GitHubHub
):
    repo = f"{hub.url}/acme/site.git"
    async with served(tmp_path / "data", f"github={hub.url}#FORGE_TOKEN") as server:
        await ok(server.admin.post("/v1/secrets", json={"name": "FORGE_TOKEN", "value": TOKEN}), 201)
        run_id = await ran(server, repo, "echo 2 > a")
        (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
        hub.say = {"POST ": (503, {"Retry-After": "7"}, {})}
        await allow(server, asked, await member(server, "Ada"))
        answer = await server.admin.post(BATCH, json={"run_ids": [run_id], "actions": ALL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "FORGE_UNAVAILABLE"), answer.text
        assert answer.headers["retry-after"] == "7"
        both = await delivered(server, run_id, "run_nobody", actions=ALL)
        assert [each["error"]["code"] for each in both["results"]] == ["FORGE_ERROR", "RUN_NOT_FOUND"]
        assert both["results"][0]["error"]["retry_after_s"] == 7
        hub.say = {}
        (done,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert (done["status"], done["checkpoint_id"]) == ("succeeded", asked["checkpoint_id"])
        assert [step["status"] for step in done["steps"]] == ["done", "unchanged", "done"]
        assert len(hub.pulls) == 1


async def test_a_delivery_to_a_forge_that_the_project_has_lost_its_token_for_fails_before_people_are_asked(
    tmp_path: Path, hub: GitHubHub
):
    async with served(tmp_path / "data", f"github={hub.url}#FORGE_TOKEN") as server:
        token = {"name": "FORGE_TOKEN", "value": TOKEN}
        secret = await ok(server.admin.post("/v1/secrets", json=token), 201)
        run_id = await ran(server, f"{hub.url}/acme/site.git", "echo 2 > a")
        await ok(server.admin.delete(f"/v1/secrets/{secret['id']}"), 204)
        (lost,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert (lost["error"]["code"], lost["error"]["retryable"]) == ("FORGE_ERROR", False), lost
        assert "no secret FORGE_TOKEN" in lost["error"]["message"]
        assert [step["status"] for step in lost["steps"]] == ["skipped", "failed", "skipped"]
        assert await ok(server.admin.get(f"/api/v1/runs/{lost['delivery_run_id']}/approvals")) == []
        await ok(server.admin.post("/v1/secrets", json=token), 201)
        (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert asked["error"]["code"] == "APPROVAL_MISSING", asked


async def test_a_local_forge_over_http_takes_branches_and_keeps_its_pull_requests_as_refs(tmp_path: Path):
    work = site(tmp_path, "site.git")
    async with git_server.serving(Forge(tmp_path)) as forge, served(tmp_path / "data", f"local={forge.url}") as server:
        run_id = await ran(server, f"{forge.url}/site.git", "echo 2 > a")
        (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
        await allow(server, asked, await member(server, "Ada"))
        (done,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert (done["status"], done["pr"]["number"]) == ("succeeded", 1), done
        work.git("fetch", "--quiet", str(tmp_path / "site.git"), f"omar/{run_id}")
        assert work.git("show", "FETCH_HEAD:a") == "2"
        kept = work.git("--git-dir", str(tmp_path / "site.git"), "show", f"refs/pull/1/from/omar/{run_id}")
        assert json.loads(kept)["base"] == "main"


async def test_what_no_forge_is_named_for_is_committed_and_not_pushed(tmp_path: Path):
    site(tmp_path, "site.git")
    async with git_server.serving(Forge(tmp_path)) as forge, served(tmp_path / "data") as server:
        run_id = await ran(server, f"{forge.url}/site.git", "echo 2 > a")
        (stopped,) = (await delivered(server, run_id, actions=ALL))["results"]
        error = stopped["error"]
        assert (error["code"], error["retryable"], stopped["delivery_run_id"]) == ("FORGE_ERROR", False, None)
        (asked,) = (await delivered(server, run_id))["results"]
        assert asked["error"]["code"] == "APPROVAL_MISSING"
