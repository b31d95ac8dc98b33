"""Scenario 6 whole: runtime runs that ask people, whoever decides, and what becomes of the run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_approvals import DIGEST, deciding, member, no
from tests.waiting import until

ASK = {"kind": "approval", "step_id": "ask", "summary": "Go on?", "gate_id": "plan", "risk": "high"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def status(server: Served, run_id: str, *words: str) -> dict[str, Any]:
    """Return the status of a run once it shows one of these words."""
    return await server.seen(run_id, lambda status: status["status"] in words)


async def asking(server: Served, *steps: dict[str, Any], **step: Any) -> dict[str, Any]:
    """Return what a runtime run asks, first of all."""
    order = {"mode": "edit_gated", "steps": [{**ASK, **step}, *steps]}
    run_id = (await ok(server.admin.post("/api/v1/runs", json=order), 201))["run_id"]
    await status(server, run_id, "awaiting_approval")
    (found,) = await ok(server.admin.get(f"/api/v1/runs/{run_id}/approvals"))
    return dict(found)


async def test_scenario_6_of_two_approvers_one_denies_and_the_run_ends_denied(server: Served):
    ada, grace = await member(server, "Ada"), await member(server, "Grace", "admin")
    found = await asking(server, {"kind": "report"}, quorum=2)
    seen = {"subject_sha256": found["subject_sha256"]}
    await no(deciding(ada, found, subject_sha256=DIGEST), 409, "SUBJECT_CHANGED")
    await no(deciding(await server.key("admin", service=True), found, **seen), 403, "NOT_AN_APPROVER")
    token = server.house.services.tenants.run_tokens.mint(found["run_id"], 1)
    await no(deciding(server.client(token), found, **seen), 403, "NOT_AN_APPROVER")
    await no(deciding(server.admin, found, **seen), 403, "SELF_APPROVAL_FORBIDDEN")
    assert (await ok(deciding(ada, found, **seen)))["status"] == "pending"
    assert (await ok(deciding(grace, found, "deny", **seen)))["status"] == "denied"
    ended = await status(server, found["run_id"], "completed", "failed")
    assert (ended["status"], ended["stop"]["code"], ended["gate_status"]) == ("completed", "APPROVAL_DENIED", "blocked")
    assert [step["status"] for step in ended["summaries"]["steps"]] == ["denied", "pending"]
    assert "0 of 2 steps were done" in ended["summaries"]["narrative"]


async def test_scenario_6_nobody_decides_in_time_and_the_run_ends_expired(server: Served):
    found = await asking(server, {"kind": "report"}, ttl_seconds=1)
    ended = await status(server, found["run_id"], "completed", "failed")
    assert (ended["status"], ended["stop"]["code"]) == ("completed", "APPROVAL_EXPIRED")
    late = deciding(server.admin, found, subject_sha256=found["subject_sha256"])
    await no(late, 410, "APPROVAL_EXPIRED")


async def test_scenario_6_an_approval_is_for_the_steps_that_it_showed_and_the_next_one_is_asked_anew(server: Served):
    ada = await member(server, "Ada")
    first = await asking(server, {**ASK, "step_id": "again", "summary": "And now?"}, {"kind": "report"})
    await ok(deciding(ada, first, subject_sha256=first["subject_sha256"]))
    path = f"/api/v1/runs/{first['run_id']}/approvals"
    *_, second = await until(lambda: ok(server.admin.get(path)), lambda asked: len(asked) > 1)
    assert second["subject_sha256"] != first["subject_sha256"]
    await no(deciding(ada, second, subject_sha256=first["subject_sha256"]), 409, "SUBJECT_CHANGED")
    await ok(deciding(ada, second, subject_sha256=second["subject_sha256"]))
    assert (await status(server, first["run_id"], "completed", "failed"))["stop"]["code"] == "NONE"


async def test_steps_that_people_could_not_be_shown_are_refused_before_anything_is_done(server: Served):
    many = [{"kind": "command", "command": ["echo", "x" * 32_000]} for _ in range(8)]
    answer = await server.admin.post("/api/v1/runs", json={"steps": [ASK, *many]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["fields"][0]["path"]) == (422, "VALIDATION", "steps")
    await ok(server.admin.post("/api/v1/runs", json={"steps": [*many, ASK]}), 201)


async def test_an_order_that_people_are_just_still_shown_is_asked(server: Served):
    almost = [{"kind": "command", "command": ["echo", "\x01" * 4_000]} for _ in range(10)]
    assert (await asking(server, *almost))["status"] == "pending"


async def test_who_waits_with_an_older_etag_is_answered_at_once(server: Served):
    run_id = (await asking(server))["run_id"]
    path = f"/api/v1/runs/{run_id}/status"
    async with asyncio.timeout(20):
        older = await server.admin.get(f"{path}?wait=60", headers={"if-none-match": 'W/"1"'})
    assert (older.status_code, older.json()["status"]) == (200, "awaiting_approval")
    held = {"if-none-match": older.headers["etag"]}
    assert (await server.admin.get(f"{path}?wait=0.01", headers=held)).status_code == 304
    assert (await server.admin.get(path, headers={"if-none-match": "*"})).status_code == 304


async def test_k4_an_approval_after_the_cancel_of_a_runtime_run_is_refused_and_its_evidence_is_sealed(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    await ok(server.admin.post(f"/api/v1/runs/{found['run_id']}/cancel", json={}), 202)
    await no(deciding(ada, found, subject_sha256=found["subject_sha256"]), 409, "ALREADY_DECIDED")
    bundle = await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/evidence"))
    assert [row["type"] for row in bundle["approvals"]] == ["approval.requested", "approval.superseded"]
    assert (await status(server, found["run_id"], "cancelled"))["evidence"]["sealed"] is True
