"""Runtime runs over HTTP: made, executed in the sandbox, and shown, under both addresses."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright.config import archive_max_bytes
from tests.api.served import Served, ok, serving
from tests.api.test_runtime_runs import ADDRESSES, FOURTEEN, PROMISED, drained
from tests.waiting import until

WRITE = {"kind": "command", "command": ["sh", "-c", "echo a line && echo made > here"], "step_id": "write"}
LOOK = {"kind": "gate", "command": ["test", "-e", "here"], "step_id": "look"}


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("orders")) as served:
        yield served


async def refused(server: Served, body: dict[str, Any], status: int, code: str, address: str = ADDRESSES[0]) -> Any:
    """See that a run is not made, in the words of this surface."""
    answer = await server.admin.post(address, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer.json()["error"]["details"]


async def made(server: Served, address: str = ADDRESSES[0], **body: Any) -> str:
    return str((await ok(server.admin.post(address, json=body), 201))["run_id"])


async def ended(server: Served, run_id: str, address: str = ADDRESSES[0]) -> dict[str, Any]:
    """Return where a run stands when it has ended."""
    return await server.seen(run_id, lambda status: status["ended_at"], f"{address}/{{}}/status")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_run_of_which_nothing_is_said_looks_at_an_empty_workspace_and_reports(server: Served, address: str):
    answer = await server.admin.post(address)
    assert answer.status_code == 201, answer.text
    first = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{first['run_id']}"
    assert first.keys() >= FOURTEEN
    assert first["status"] in ("queued", "running", "completed")
    assert first["mode"] == "audit_readonly"
    assert first["runtime_profile"] == "container_readonly"
    status = await ended(server, first["run_id"], address)
    assert (status["status"], status["current_stage"], status["kind"]) == ("completed", "DONE", "runtime")
    assert status["stop"] == {
        "class": "clean", "code": "NONE", "reason": None, "detail": None, "exit_code": 0,
    }  # fmt: skip
    assert (status["gate_status"], status["summaries"]["findings"]["scanned"]) == ("passed", True)
    assert [(step["id"], step["status"]) for step in status["summaries"]["steps"]] == [
        ("ingest", "succeeded"),
        ("scan", "succeeded"),
        ("report", "succeeded"),
    ]
    assert "of 3 steps" in status["summaries"]["narrative"]
    assert [each["stage"] for each in status["stage_history"]] == ["INGESTING", "SCANNING", "RECONCILING", "DONE"]


async def test_one_log_has_every_family_of_events_with_every_promised_field(server: Served):
    run_id = await made(server, mode="edit_gated", steps=[WRITE, LOOK, {"kind": "report"}])
    await ended(server, run_id)
    events = await drained(server, ADDRESSES[0], run_id, 500)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "run.started"
    assert events[0]["legacy_type"] == "run_started"
    assert events[0]["payload"]["mode"] == "edit_gated"
    types = {event["type"] for event in events}
    assert types >= {
        "run.started", "run.claimed", "run.stage_changed", "step.started", "tool.call", "terminal.output",
        "tool.result", "step.completed", "gate.result", "output.narrative", "run.completed",
    }  # fmt: skip
    for event in events:
        assert event.keys() >= PROMISED
        assert event["payload"]["summary"]
    end = events[-1]["payload"]
    assert (end["stop_class"], end["stop_code"], end["gate_status"]) == ("clean", "NONE", "passed")
    assert (end["totals"]["steps"], end["totals"]["tool_calls"]) == (3, 2)


async def test_a_step_finds_what_the_step_before_it_made(server: Served):
    run_id = await made(server, mode="edit_gated", steps=[WRITE, LOOK])
    status = await ended(server, run_id)
    assert status["gate_status"] == "passed"
    assert status["summaries"]["gates"] == [
        {"id": "look", "name": "look", "status": "green", "required": True, "detail": "it ended with the exit code 0"}
    ]


async def test_what_a_step_makes_in_a_mode_that_lets_it_not_write_is_not_there_for_the_next(server: Served):
    run_id = await made(server, steps=[{**WRITE, "on_failure": "continue"}, LOOK])
    status = await ended(server, run_id)
    assert (status["status"], status["gate_status"]) == ("completed", "blocked")
    assert status["stop"]["code"] == "GATE_NOT_GREEN"
    assert status["stop"]["exit_code"] == 1


async def test_a_command_that_fails_ends_the_run_in_order(server: Served):
    fails = {"kind": "command", "command": ["sh", "-c", "exit 7"], "step_id": "build", "name": "Build it"}
    run_id = await made(server, mode="edit_gated", steps=[fails, {**WRITE, "step_id": "later"}, LOOK])
    status = await ended(server, run_id)
    assert (status["status"], status["stop"]["class"]) == ("completed", "validation_error")
    assert (status["stop"]["code"], status["gate_status"]) == ("STEP_FAILED", "error")
    assert [step["status"] for step in status["summaries"]["steps"]] == ["failed", "skipped", "failed"]
    assert status["summaries"]["steps"][0]["exit_code"] == 7
    assert "Build it" in status["stop"]["detail"]


async def test_a_command_that_the_policy_does_not_name_is_not_run(server: Served):
    run_id = await made(server, mode="edit_gated", steps=[WRITE, LOOK], policy={"commands": ["test"]})
    status = await ended(server, run_id)
    assert (status["stop"]["class"], status["stop"]["code"]) == ("blocked_by_policy", "POLICY_DENIED")
    assert (status["gate_status"], status["stop"]["exit_code"]) == ("blocked", 1)
    events = await drained(server, ADDRESSES[0], run_id, 500)
    (denied,) = [event for event in events if event["type"] == "policy.denied"]
    assert (denied["kind"], denied["payload"]["subject"]) == ("governance", "sh")
    assert "tool.call" not in {event["type"] for event in events}


async def test_what_a_command_changes_out_of_its_scope_is_put_back_and_ends_the_run(server: Served):
    allowed = {"kind": "command", "command": ["sh", "-c", "mkdir -p src/a && echo x > src/a/x"], "step_id": "allowed"}
    outside = {"kind": "command", "command": ["sh", "-c", "echo y > src/y; echo z > z"], "on_failure": "continue"}
    there = {"kind": "gate", "command": ["sh", "-c", "test -e src/a/x && test ! -e src/y && test ! -e z"]}
    run_id = await made(
        server, mode="edit_gated", steps=[allowed, outside, there], policy={"paths": {"allow": ["src/**"]}}
    )
    status = await ended(server, run_id)
    assert (status["stop"]["class"], status["stop"]["code"]) == ("blocked_by_policy", "PATH_OUT_OF_SCOPE")
    assert [step["status"] for step in status["summaries"]["steps"]] == ["succeeded", "denied", "pending"]
    events = await drained(server, ADDRESSES[0], run_id, 500)
    (denied,) = [event for event in events if event["type"] == "policy.denied"]
    assert (denied["payload"]["subject"], denied["payload"]["rule_id"]) == ("z", "policy.paths")
    snapshots = [event["payload"]["snapshot"] for event in events if event["payload"].get("snapshot")]
    assert [snapshot["files"] for snapshot in snapshots] == [3]


async def test_a_policy_that_could_not_be_kept_is_refused(server: Served):
    body: dict[str, Any] = {"policy": {"network": "allow"}}
    assert (await refused(server, body, 422, "VALIDATION"))["fields"][0]["path"] == "policy.network"
    body = {"policy": {"paths": {"allow": ["src/**", "/etc"]}}}
    assert (await refused(server, body, 422, "VALIDATION"))["fields"][0]["path"] == "policy.paths.allow[1]"
    await refused(server, {"policy": {"domains": ["pypi.org"]}}, 422, "VALIDATION")


async def test_a_budget_is_warned_of_once_and_then_ends_the_run(server: Served):
    steps = [{**WRITE, "step_id": f"s{number}"} for number in range(7)]
    run_id = await made(server, mode="edit_gated", steps=steps, budget={"max_tool_calls": 5})
    status = await ended(server, run_id)
    assert (status["stop"]["class"], status["stop"]["code"]) == ("budget_exhausted", "MAX_TOOL_CALLS_EXCEEDED")
    assert status["summaries"]["budget"]["state"] == "exhausted"
    assert status["summaries"]["budget"]["tool_calls"] == {"used": 5, "limit": 5, "pct": 100}
    types = [event["type"] for event in await drained(server, ADDRESSES[0], run_id, 500)]
    assert (types.count("budget.warning"), types.count("budget.exhausted")) == (1, 1)


async def test_a_command_runs_no_longer_than_the_budget_lets_the_run(server: Served):
    endless = {"kind": "command", "command": ["sleep", "600"], "step_id": "sleep"}
    run_id = await made(server, steps=[endless], budget={"max_runtime_seconds": 1})
    status = await ended(server, run_id)
    assert (status["status"], status["stop"]["code"]) == ("completed", "MAX_RUNTIME_EXCEEDED")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_an_idempotency_key_makes_one_run(server: Served, address: str):
    headers = {"idempotency-key": f"once-{address}"}
    first = await server.admin.post(address, json={"labels": {"a": "b"}}, headers=headers)
    again = await server.admin.post(ADDRESSES[0], json={"labels": {"a": "b"}}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.json()["run_id"] == first.json()["run_id"]
    assert first.json()["labels"] == {"a": "b"}
    other = await server.admin.post(address, json={"labels": {}}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_MISMATCH")


async def test_k24_a_request_that_is_repeated_while_the_first_is_in_flight_joins_it(server: Served):
    headers = {"idempotency-key": "in flight"}
    calls = [server.admin.post(ADDRESSES[0], json={}, headers=headers) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["run_id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"colour": "blue"}, "colour"),
        ({"mode": "yolo"}, "mode"),
        ({"steps": []}, "steps"),
        ({"steps": [{"kind": "command"}]}, "steps[0].command"),
        ({"steps": [{"kind": "command", "command": []}]}, "steps[0].command"),
        ({"steps": [{"kind": "dance"}]}, "steps[0].kind"),
        ({"steps": [WRITE, WRITE]}, "steps"),
        ({"pipeline": "nightly"}, "pipeline"),
        ({"pipeline": "audit", "steps": [WRITE]}, "pipeline"),
        ({"budget": {"max_tokens": 0}}, "budget.max_tokens"),
        ({"ref": "main"}, "ref"),
        ({"runtime_profile": "container_write"}, "runtime_profile"),
    ],
)
async def test_what_is_wrong_with_an_order_is_named_by_its_path(server: Served, body: dict[str, Any], path: str):
    details = await refused(server, body, 422, "VALIDATION")
    assert [field["path"] for field in details["fields"]] == [path]


async def test_a_project_that_is_not_the_callers_is_not_there(server: Served):
    await refused(server, {"project_id": "nobody"}, 404, "PROJECTS_NOT_FOUND")


async def test_a_server_makes_runs_only_in_the_modes_that_it_is_set_to(tmp_path: Any):
    async with serving(tmp_path, runtime_modes=("advice", "audit_readonly")) as careful:
        details = await refused(careful, {"mode": "edit_gated"}, 403, "MODE_NOT_ALLOWED")
        assert details == {"allowed": ["advice", "audit_readonly"]}
        await made(careful)


async def test_a_server_without_slots_takes_no_runtime_run(tmp_path: Any):
    async with serving(tmp_path, runtime_slots=0) as idle:
        run_id = await made(idle)
        status = await ok(idle.admin.get(f"/api/v1/runs/{run_id}/status"))
        assert (status["status"], status["current_stage"]) == ("queued", "QUEUED")
        cancelled = await ok(idle.admin.post(f"/api/v1/runs/{run_id}/cancel", json={"reason": "enough"}), 202)
        assert (cancelled["status"], cancelled["stop"]["class"]) == ("cancelled", "manual_stop")
        assert cancelled["stop"]["code"] == "MANUAL_STOP"


async def test_a_cancel_ends_what_runs(server: Served):
    run_id = await made(server, steps=[{"kind": "command", "command": ["sleep", "600"], "step_id": "sleep"}])
    status = await server.seen(
        run_id, lambda status: any(step["status"] == "running" for step in status["summaries"]["steps"])
    )
    assert status["current_stage"] == "RUNNING"
    await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={}), 202)
    status = await ended(server, run_id)
    assert (status["status"], status["stop"]["code"]) == ("cancelled", "MANUAL_STOP")
    assert status["evidence"]["sealed"] is True
    assert [step["status"] for step in status["summaries"]["steps"]] == ["interrupted"]


# --- approvals --------------------------------------------------------------------------------------------------------

ASK = {"kind": "approval", "step_id": "ask", "summary": "Write the file?", "gate_id": "write", "risk": "high"}


async def asking(server: Served, *after: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a run that waits for an approval, and what it asks."""
    run_id = await made(server, mode="edit_gated", steps=[WRITE, ASK, *after])
    status = await server.seen(run_id, lambda status: status["status"] == "awaiting_approval")
    assert (status["current_stage"], status["gate_status"]) == ("AWAITING_APPROVAL", "needs_approval"), status
    (asked,) = await ok(server.admin.get(f"/api/v1/runs/{run_id}/approvals"))
    assert status["pending_approvals"] == [asked["checkpoint_id"]]
    return run_id, asked


async def decide(server: Served, run_id: str, asked: dict[str, Any], decision: str) -> None:
    body = {"decision": decision, "checkpoint_id": asked["checkpoint_id"], "subject_sha256": asked["subject_sha256"]}
    await ok(server.admin.post(f"/api/v1/runs/{run_id}/approvals", json=body))


async def test_a_run_goes_on_when_what_it_asks_is_approved(server: Served):
    run_id, asked = await asking(server, LOOK)
    assert asked["subject"]["steps"][0]["command"] == LOOK["command"]
    await decide(server, run_id, asked, "approve")
    status = await ended(server, run_id)
    assert (status["stop"]["code"], status["gate_status"], status["pending_approvals"]) == ("NONE", "passed", [])
    assert [step["status"] for step in status["summaries"]["steps"]] == ["succeeded"] * 3


async def test_a_run_ends_in_order_when_what_it_asks_is_denied(server: Served):
    run_id, asked = await asking(server, LOOK)
    await decide(server, run_id, asked, "deny")
    status = await ended(server, run_id)
    assert (status["status"], status["stop"]["class"]) == ("completed", "blocked_by_policy")
    assert (status["stop"]["code"], status["stop"]["exit_code"]) == ("APPROVAL_DENIED", 13)
    assert status["gate_status"] == "blocked", "the gate did not run, and what did not run is not green"


async def test_k3_a_cancel_while_an_approval_is_asked_for_supersedes_it(server: Served):
    run_id, _ = await asking(server)
    cancelled = await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={}), 202)
    assert (cancelled["status"], cancelled["pending_approvals"]) == ("cancelled", [])
    (asked,) = await ok(server.admin.get(f"/api/v1/runs/{run_id}/approvals"))
    assert asked["status"] == "superseded"


async def test_a_paused_run_asks_on_after_its_pause(server: Served):
    run_id, asked = await asking(server, LOOK)
    await ok(server.admin.post(f"/v1/runs/{run_id}/pause"))
    await ok(server.admin.post(f"/v1/runs/{run_id}/resume"))
    await decide(server, run_id, asked, "approve")
    assert (await ended(server, run_id))["gate_status"] == "passed"


# --- waiting for news -------------------------------------------------------------------------------------------------


async def test_a_status_that_waits_comes_when_something_has_happened(server: Served):
    run_id, asked = await asking(server)
    status = await ok(server.admin.get(f"/api/v1/runs/{run_id}/status"))
    news = f"/api/v1/runs/{run_id}/status?wait=60&since_seq={status['total_events']}"
    waiting = asyncio.create_task(ok(server.admin.get(news)))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await decide(server, run_id, asked, "approve")
    assert (await waiting)["total_events"] > status["total_events"]
    status = await ended(server, run_id)
    assert await ok(server.admin.get(f"/api/v1/runs/{run_id}/status?wait=60")) == status, "nothing more comes"


async def test_a_status_that_waits_in_vain_comes_all_the_same(server: Served):
    run_id, _ = await asking(server)
    first = await ok(server.admin.get(f"/api/v1/runs/{run_id}/status"))
    later = await ok(server.admin.get(f"/api/v1/runs/{run_id}/status?wait=0.05"))
    assert later == first
    await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={}), 202)


async def test_a_status_that_the_caller_has_is_not_sent_again(server: Served):
    run_id, asked = await asking(server)
    first = await server.admin.get(f"/api/v1/runs/{run_id}/status")
    known = {"if-none-match": first.headers["etag"]}
    again = await server.admin.get(f"/api/v1/runs/{run_id}/status", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await decide(server, run_id, asked, "deny")
    assert (await server.admin.get(f"/api/v1/runs/{run_id}/status", headers=known)).status_code == 200


# --- repositories -----------------------------------------------------------------------------------------------------

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3


def git(directory: Path, *words: str) -> str:
    """Run git in a directory."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_GLOBAL": os.devnull}
    who = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ("git", *who, *words), cwd=directory, env=env, check=True, capture_output=True
    ).stdout.decode()


@pytest.fixture(scope="module")
async def housed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, Path, str]]:
    """Return a server that takes repositories of a directory, one of these, and its commit."""
    root = tmp_path_factory.mktemp("repositories")
    repository = root / "blue"
    repository.mkdir()
    git(repository, "init")
    (repository / "app.py").write_text(f'TOKEN = "{SECRET}"\n')
    (repository / "here").write_text("a file\n")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "first")
    root.chmod(0o755)
    ours = {"repository_roots": (str(root),), "scanners": ("none",)}
    async with serving(tmp_path_factory.mktemp("housed"), **ours) as served:
        yield served, repository, git(repository, "rev-parse", "HEAD").strip()


async def test_an_audit_of_a_repository_checks_it_out_and_tells_its_findings(housed: tuple[Served, Path, str]):
    server, repository, commit = housed
    run_id = await made(server, repo=str(repository), ref="main", gate={"severity_gate": "P2"})
    status = await ended(server, run_id)
    assert (status["repo"], status["ref"]) == (str(repository), "main")
    assert (status["status"], status["stop"]["code"]) == ("completed", "FINDINGS_REMAIN"), status
    assert (status["gate_status"], status["stop"]["exit_code"]) == ("blocked", 1)
    found = status["summaries"]["findings"]
    assert (found["P0"], found["new"], found["scanned"]) == (1, 1, True)
    assert commit in status["summaries"]["narrative"]
    assert [each["stage"] for each in status["stage_history"]][:2] == ["CLONING", "SCANNING"]
    events = await drained(server, ADDRESSES[0], run_id, 500)
    assert SECRET not in str(events)
    (opened,) = [event for event in events if event["type"] == "finding.opened"]
    assert (opened["kind"], opened["payload"]["file"], opened["payload"]["line"]) == ("finding", "app.py", 1)


async def test_a_command_works_in_the_repository_that_the_run_names(housed: tuple[Served, Path, str]):
    server, repository, _ = housed
    run_id = await made(server, repo=str(repository), steps=[LOOK])
    status = await ended(server, run_id)
    assert status["gate_status"] == "passed", "nobody looked for findings, so none stand in the way"
    assert [step["kind"] for step in status["summaries"]["steps"]] == ["ingest", "gate"]


async def test_a_run_says_itself_which_findings_it_passes(housed: tuple[Served, Path, str]):
    server, repository, _ = housed
    for gate, code in (("P0", "FINDINGS_REMAIN"), ("none", "NONE")):
        run_id = await made(server, repo=str(repository), gate={"severity_gate": gate})
        assert (await ended(server, run_id))["stop"]["code"] == code


@pytest.mark.parametrize("mode", ["advice", "audit_readonly"])
async def test_no_command_writes_in_a_mode_that_only_looks(housed: tuple[Served, Path, str], mode: str):
    server, repository, _ = housed
    run_id = await made(server, repo=str(repository), mode=mode, steps=[WRITE])
    status = await ended(server, run_id)
    assert (status["stop"]["code"], status["summaries"]["steps"][1]["status"]) == ("STEP_FAILED", "failed")
    events = await drained(server, ADDRESSES[0], run_id, 500)
    said = "".join(event["payload"]["chunk"] for event in events if event["type"] == "terminal.output")
    assert "Read-only file system" in said


async def test_a_repository_beyond_the_servers_directories_is_refused(housed: tuple[Served, Path, str]):
    server, _, _ = housed
    await refused(server, {"repo": "/etc"}, 422, "REPO_NOT_ALLOWED")
    await refused(server, {"repo": "git@example.com:a/b"}, 422, "REPO_NOT_ALLOWED")
    details = await refused(server, {"repo": "https://example.com/a.git", "ref": "--upload-pack=x"}, 422, "VALIDATION")
    assert [field["path"] for field in details["fields"]] == ["ref"]


async def test_a_ref_that_is_not_there_fails_the_run_in_words(housed: tuple[Served, Path, str]):
    server, repository, _ = housed
    run_id = await made(server, repo=str(repository), ref="nobody")
    status = await ended(server, run_id)
    assert (status["status"], status["stop"]["class"], status["stop"]["code"]) == (
        "failed", "validation_error", "CONFIG_INVALID",
    )  # fmt: skip


# --- the seed, literally ----------------------------------------------------------------------------------------------


async def test_each_address_of_the_seed_answers_and_one_log_has_every_family_of_events(server: Served):
    made_run = await ok(
        server.admin.post("/api/v1/runs", json={"mode": "edit_gated", "steps": [WRITE, ASK, LOOK]}), 201
    )
    run_id = made_run["run_id"]
    await server.seen(run_id, lambda status: status["status"] == "awaiting_approval")
    (asked,) = await ok(server.admin.get(f"/api/v1/runs/{run_id}/approvals"))
    await decide(server, run_id, asked, "approve")
    await ended(server, run_id)
    stream = await server.admin.get(f"/api/v1/runs/{run_id}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = (await ok(server.admin.get(f"/api/v1/runs/{run_id}/events/list")))["events"]
    types = {event["type"] for event in events}
    families = {
        "lifecycle": {"run.started", "run.stage_changed", "run.completed"},
        "tool": {"tool.call", "tool.result"},
        "output": {"terminal.output", "output.narrative"},
        "governance": {"approval.requested", "approval.approved", "gate.result"},
    }
    missing = [name for told in families.values() for name in told - types]
    assert missing == []
    for event in events:
        assert event.keys() >= PROMISED
        assert event["payload"]["summary"]
        assert event["usage"].keys() >= {"input_tokens", "output_tokens", "cost_microusd"}
        assert event["kind"] in families or event["kind"] in ("checkpoint", "finding", "system")
    evidence = await ok(server.admin.get(f"/api/v1/runs/{run_id}/evidence"))
    assert evidence["sealed"] is True
    assert [gate["status"] for gate in evidence["gates"]] == ["green"]
    assert [each["type"] for each in evidence["approvals"]] == ["approval.requested", "approval.approved"]
    await ok(server.admin.get("/api/v1/runtime/kpi?compare_window_days=&baseline_window_days="))
    await ok(server.admin.get("/api/v1/models/catalog"))
    await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={}), 200)


async def test_the_order_of_the_documentation_is_taken_and_passes(server: Served):
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "runtime-runs.md").read_text("utf-8")
    order = json.loads(page.partition("```json file=order.json\n")[2].partition("```")[0])
    status = await ended(server, await made(server, **order))
    assert (status["stop"]["code"], status["gate_status"], status["labels"]) == ("NONE", "passed", {"team": "blue"})


async def test_runtime_runs_are_found_among_runs_of_every_kind(server: Served):
    run_id = await made(server)
    await ended(server, run_id)
    listed = await ok(server.admin.get("/v1/runs?kind=runtime&limit=1"))
    assert [(run["id"], run["kind"], run["status"]) for run in listed] == [(run_id, "runtime", "completed")]
    refused_words = [await server.admin.post(f"/v1/runs/{run_id}/{verb}", json={}) for verb in ("replay", "restart")]
    assert [answer.status_code for answer in refused_words] == [409, 409], [answer.text for answer in refused_words]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_what_no_artifact_can_hold_fails_its_step_and_says_so_and_what_one_can_is_kept(tmp_path: Path):
    most = archive_max_bytes(1 << 20)
    limits = {"runtime_workspace_max_bytes": most, "agent_workspace_max_bytes": most}
    async with serving(tmp_path, artifact_max_bytes=1 << 20, **limits) as small:
        for size, came in ((most - 8192, "succeeded"), (most, "failed")):
            made_of = {"kind": "command", "command": ["sh", "-c", f"head -c {size} /dev/urandom > noise"]}
            status = await ended(small, await made(small, mode="edit_gated", steps=[made_of]))
            (step,) = status["summaries"]["steps"]
            assert (status["status"], step["status"]) == ("completed", came)
        assert "RUNWRIGHT_ARTIFACT_MAX_BYTES" in step["detail"]


async def test_a_repository_is_checked_out_once(server: Served):
    twice = {"steps": [{"kind": "ingest"}, {"kind": "report"}, {"kind": "ingest"}]}
    assert (await refused(server, twice, 422, "VALIDATION"))["fields"][0]["path"] == "steps"


async def test_a_run_of_a_project_that_is_full_is_made_and_waits_for_its_place(server: Served):
    project = await ok(server.admin.post("/v1/projects", json={"slug": "narrow", "max_concurrency": 1}), 201)
    sleeps = {"kind": "command", "command": ["sleep", "600"], "step_id": "sleep"}
    first = await made(server, steps=[sleeps], project_id=project["id"])
    await server.seen(first, lambda status: status["status"] == "running")
    second = await made(server, steps=[{"kind": "report"}], project_id=project["id"])
    waiting = await ok(server.admin.get(f"/api/v1/runs/{second}/status"))
    assert (waiting["status"], waiting["current_stage"]) == ("queued", "QUEUED")
    await ok(server.admin.post(f"/api/v1/runs/{first}/cancel", json={}), 202)
    assert (await ended(server, second))["status"] == "completed"


async def test_what_became_of_runs_and_their_steps_is_counted(tmp_path: Any):
    async with serving(tmp_path) as counting:
        await ended(counting, await made(counting, mode="edit_gated", steps=[WRITE, LOOK]))
        await ended(counting, await made(counting, steps=[LOOK, {"kind": "report"}]))
        counted = until(lambda: counting.admin.get("/metrics"), lambda page: 'stop_code="GATE_NOT_GREEN"' in page.text)
        page = (await counted).text  # what is durable is shown before it is counted
    ends = 'runwright_runtime_runs_ended_total{gate_status="%s",mode="%s",stop_code="%s"} 1.0'
    assert ends % ("passed", "edit_gated", "NONE") in page
    assert ends % ("blocked", "audit_readonly", "GATE_NOT_GREEN") in page
    steps = 'runwright_runtime_steps_total{kind="%s",status="%s"} %s.0'
    assert steps % ("gate", "succeeded", 1) in page
    assert steps % ("gate", "failed", 1) in page
    assert steps % ("report", "succeeded", 1) in page


async def test_a_program_that_is_not_there_fails_its_step_alone(server: Served):
    missing = {"command": ["nobody-has-this"]}
    steps = [
        {"kind": "command", "on_failure": "continue", **missing},
        {"kind": "gate", "required": False, "step_id": "maybe", **missing},
        {"kind": "gate", "step_id": "must", **missing},
    ]
    status = await ended(server, await made(server, steps=steps))
    assert (status["status"], status["stop"]["code"], status["gate_status"]) == (
        "completed",
        "GATE_NOT_GREEN",
        "blocked",
    )
    assert [gate["status"] for gate in status["summaries"]["gates"]] == ["not_run", "not_run"]
    detail = "nobody-has-this is not there in the sandbox, or cannot be run"
    assert [step["detail"] for step in status["summaries"]["steps"]] == [detail] * 3
