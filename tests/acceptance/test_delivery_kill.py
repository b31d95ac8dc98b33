"""A server is killed in the middle of a delivery, where the repository has more than the log knows of; it goes on."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.speech import PATIENCE_S, Json, Speech, said
from tests.engine.databases import Database
from tests.sandbox.git_server import Forge, serving
from tests.sandbox.repositories import Repository
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("acceptance-delivery-kill")

ALL = ["commit", "push", "open_pr"]


@pytest.fixture(scope="module", params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name one database: each event of a delivery on both is `tests/engine/test_delivery_deaths.py`."""
    return str(request.param)


class Silent(Forge):
    """A forge that takes the first push of a branch, and then of a pull request, and never says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pushes = 0
        self.taken = asyncio.Queue[int]()

    async def git(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        """Do what is asked, and say nothing of the first two pushes that were taken."""
        answer = await super().git(method, target, headers, body)
        if method == "POST" and target.endswith("/git-receive-pack"):
            self.pushes += 1
            if self.pushes <= 2:
                self.taken.put_nowait(self.pushes)
                await asyncio.Event().wait()
        return answer


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Silent]:
    async with serving(Silent(tmp_path / "forge")) as made:
        assert isinstance(made, Silent)
        yield made


def site(root: Path) -> Repository:
    """Return a bare repository of the forge, with one commit."""
    work = Repository(root / "work")
    work.commit(a="1\n")
    work.git("clone", "--quiet", "--bare", ".", str(root / "site.git"))
    work.git("--git-dir", str(root / "site.git"), "config", "http.receivepack", "true")
    return work


async def delivered(api: Speech, run_id: str) -> Json:
    """Return what is said of the delivery of a run."""
    body = {"run_ids": [run_id], "actions": ALL}
    (told,) = (await said(api.client.post("/api/v1/runs/git/pr/checkpoints", json=body)))["results"]
    result: Json = told
    return result


async def allow(api: Speech, asked: Json) -> None:
    """Let a member allow what a delivery asks."""
    user = await said(api.client.post("/v1/users", json={"name": "Ada"}), 201)
    await said(api.client.post("/v1/members", json={"user_id": user["id"], "role": "approver"}), 201)
    key = await api.key("admin", user_id=user["id"])
    path = f"/api/v1/runs/{asked['delivery_run_id']}/approvals"
    (found,) = await said(api.client.get(path))
    told = {"decision": "approve", **{name: found[name] for name in ("checkpoint_id", "subject_sha256")}}
    await said(api.client.post(path, json=told, headers={"authorization": f"Bearer {key['token']}"}))


async def test_a_server_killed_twice_amid_a_delivery_makes_one_commit_one_branch_and_one_pull_request(
    tmp_path: Path, database: Database, forge: Silent
):
    work, url = site(forge.root), f"{forge.url}/site.git"
    named: dict[str, Any] = {"forges": f"local={forge.url}", "repository_private": "true", "delivery_wait_s": 2}
    server = LiveServer(tmp_path, database, **MORTAL, **named, agent_slots=2, worker=None)
    await server.start()
    api = Speech(server.client())
    order = {"mode": "edit_gated", "repo": url, "steps": [{"kind": "command", "command": ["sh", "-c", "echo 2 > a"]}]}
    run_id = (await said(api.client.post("/api/v1/runs", json=order), 201))["run_id"]
    await api.ended(run_id)
    # This machine may need longer to ask than an answer waits.
    asked = await until(lambda: delivered(api, run_id), lambda asked: asked["error"]["code"] != "IN_PROGRESS")
    assert asked["error"]["code"] == "APPROVAL_MISSING"
    await allow(api, asked)
    for count, told in ((1, "delivery.committed"), (2, "delivery.pushed")):
        async with asyncio.timeout(PATIENCE_S):
            assert await forge.taken.get() == count
        log = [event["type"] for event in await api.events(asked["delivery_run_id"])]
        assert [each for each in log if each.startswith("delivery.")][-1] == told, "the log knows of less than was done"
        process = server.process
        await server.kill()
        assert process.returncode == -signal.SIGKILL
        await server.start()
        api = Speech(server.client())
    await api.ended(asked["delivery_run_id"])

    done = await delivered(api, run_id)
    assert (done["status"], done["commit_sha"]) == ("succeeded", asked["commit_sha"]), done
    assert await delivered(api, run_id) == done
    types = Counter(event["type"] for event in await api.events(asked["delivery_run_id"]))
    assert types["run.recovered"] == 2
    steps = ("prepared", "committed", "pushed", "pr_opened")
    assert [types[f"delivery.{each}"] for each in steps] == [1] * 4, types
    bare = str(forge.root / "site.git")
    listed = work.git("--git-dir", bare, "for-each-ref", "--format=%(refname) %(objectname)")
    refs = dict(line.split() for line in listed.splitlines())
    branch = f"omar/{run_id}"
    places = ["refs/heads/main", f"refs/heads/{branch}", f"refs/pull/1/from/{branch}", "refs/pull/1/head"]
    assert sorted(refs) == sorted(places)
    assert refs["refs/pull/1/head"] == refs[f"refs/heads/{branch}"] == done["commit_sha"]
    assert work.git("--git-dir", bare, "rev-list", "--count", "--all") == "2", "no commit but the base and this one"
    assert json.loads(work.git("--git-dir", bare, "show", f"refs/pull/1/from/{branch}"))["draft"] is True
    await server.close()
