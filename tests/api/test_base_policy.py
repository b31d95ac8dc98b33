"""What the policy of a repository says of runtime runs over it holds, whatever their orders and they themselves do."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_approvals import member
from tests.api.test_runtime_approvals import status
from tests.sandbox.repositories import Repository

FORGET = ["sh", "-c", "rm -rf .runwright"]
ASK = {"kind": "approval", "step_id": "ask", "summary": "May it begin?"}


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, root: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("bases"), repository_roots=(str(root),)) as served:
        yield served


def based(root: Path, policy: str) -> str:
    """Return a repository with this policy."""
    work = Repository(root / f"base-{len(list(root.iterdir()))}")
    work.commit(**{"a.txt": "one\n", ".runwright/policy.yaml": policy})
    return str(work.path)


def does(*commands: list[str]) -> list[dict[str, Any]]:
    """Return steps that run commands."""
    return [{"kind": "command", "command": each} for each in commands]


async def made(server: Served, repo: str, steps: list[dict[str, Any]] | None, **order: Any) -> str:
    """Make a run that may write."""
    body = {"mode": "edit_gated", "repo": repo, **({} if steps is None else {"steps": steps}), **order}
    return str((await ok(server.admin.post("/api/v1/runs", json=body), 201))["run_id"])


async def events(server: Served, run_id: str, type_: str) -> list[dict[str, Any]]:
    """Return what the log says of a type."""
    page = await ok(server.admin.get(f"/api/v1/runs/{run_id}/events/list?limit=500"))
    return [each["payload"] for each in page["events"] if each["type"] == type_]


async def test_no_program_is_run_that_the_policy_of_the_base_does_not_allow(server: Served, root: Path):
    repo = based(root, "commands: {allow: [sh, 't*']}\n")
    run_id = await made(server, repo, does(FORGET, ["true"], ["ls"]), policy={"commands": ["*"]})
    ended = await status(server, run_id, "completed")
    assert (ended["stop"]["code"], ended["stop"]["class"]) == ("POLICY_DENIED", "blocked_by_policy")
    assert [each["status"] for each in ended["summaries"]["steps"]] == ["succeeded"] * 3 + ["denied"]
    (denied,) = await events(server, run_id, "policy.denied")
    assert (denied["subject"], denied["rule_id"]) == ("ls", "commands.allow")
    assert denied["reason"] == "the program is none that .runwright/policy.yaml allows"
    (read,) = await events(server, run_id, "policy.read")
    assert (read["policy_file"], read["commands"]) == (".runwright/policy.yaml", {"allow": ["sh", "t*"]})


async def test_of_two_budgets_the_smaller_holds(server: Served, root: Path):
    repo = based(root, "budgets: {max_tool_calls: 2, max_runtime_seconds: 3600}\n")
    steps = does(FORGET, ["true"], ["true"])
    run_id = await made(server, repo, steps, budget={"max_tool_calls": 9, "max_runtime_seconds": 60})
    ended = await status(server, run_id, "completed")
    assert ended["stop"]["code"] == "MAX_TOOL_CALLS_EXCEEDED"
    budget = ended["summaries"]["budget"]
    assert (budget["tool_calls"]["limit"], budget["runtime_seconds"]["limit"]) == (2, 60)


async def test_a_run_that_may_write_does_nothing_before_its_plan_was_allowed(server: Served, root: Path):
    repo = based(root, "approvals: {plan: {quorum: 2, ttl_seconds: 600}}\n")
    unasked = await made(server, repo, does(["true"]))
    ended = await status(server, unasked, "completed")
    assert ended["stop"]["code"] == "POLICY_DENIED"
    (denied,) = await events(server, unasked, "policy.denied")
    assert (denied["rule_id"], 'gate_id "plan"' in denied["reason"]) == ("approvals.plan", True)
    assert await events(server, unasked, "tool.call") == []

    late = await made(server, repo, [*does(["true"]), ASK])
    assert (await status(server, late, "completed"))["stop"]["code"] == "POLICY_DENIED"
    reads = await made(server, repo, does(["true"]), mode="audit_readonly")
    assert (await status(server, reads, "completed"))["stop"]["code"] == "NONE"

    asks = await made(server, repo, [ASK, *does(["true"])])
    await status(server, asks, "awaiting_approval")
    path = f"/api/v1/runs/{asks}/approvals"
    (asked,) = await ok(server.admin.get(path))
    assert (asked["gate_id"], asked["required"]["quorum"]) == ("plan", 2), "the step itself asks for one"
    told = {name: asked[name] for name in ("checkpoint_id", "subject_sha256")} | {"decision": "approve"}
    for name in ("Ada", "Bob"):
        await ok((await member(server, name)).post(path, json=told))
    assert (await status(server, asks, "completed"))["stop"]["code"] == "NONE"


async def test_a_policy_that_is_none_fails_a_run_that_it_could_have_bounded_and_no_other(server: Served, root: Path):
    repo = based(root, "approvals:\n  shove: {quorum: 2}\n")
    ended = await status(server, await made(server, repo, does(["true"])), "failed")
    assert (ended["stop"]["code"], ended["stop"]["exit_code"]) == ("CONFIG_INVALID", 2)
    assert ".runwright/policy.yaml:2: approvals.shove" in ended["stop"]["detail"]
    looks = await status(server, await made(server, repo, None, mode="audit_readonly"), "completed")
    assert looks["stop"]["code"] == "NONE"

    unseen = Path(repo) / ".runwright" / "policy.yaml"
    unseen.unlink()
    unseen.symlink_to("/etc/passwd")
    Repository(Path(repo)).commit()
    ended = await status(server, await made(server, repo, does(["true"])), "failed")
    assert "it was not checked out" in ended["stop"]["detail"], "it is not taken for one that is not there"


async def test_nobody_is_asked_whose_role_may_not_decide(server: Served, root: Path):
    nobody = {"roles": ["viewer", "operator"]}
    orders: list[tuple[str, dict[str, Any], str]] = [
        ("runs", {"steps": [*does(["true"]), ASK | nobody]}, "steps[1].roles"),
        ("loops/omar", {"repo": based(root, ""), "approvals": {"plan": nobody}}, "approvals.plan.roles"),
        ("loops/omar", {"repo": based(root, ""), "approvals": {"patch": nobody}}, "approvals.patch.roles"),
    ]
    for path, body, place in orders:
        answer = await server.admin.post(f"/api/v1/{path}", json=body)
        assert (answer.status_code, place in answer.text, "may decide" in answer.text) == (422, True, True), answer.text
