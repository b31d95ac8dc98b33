"""Approvals over HTTP: who may decide what, what is refused and how, the list of a run and the inbox."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from runwright.domain import commands as c
from runwright.domain.lane import queue_key
from runwright.domain.run import Run
from runwright.engine.requests import Take
from tests.api.served import RUN, Served, ok, serving
from tests.engine.deciding import gated

DIGEST, OTHER = "d" * 64, "e" * 64
ADDRESSES = ("/api/v1/runs", "/api/v1/runtime/runs")


@pytest.fixture
async def server(tmp_path: Any) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        await ok(served.admin.post("/v1/jobs", json={"name": "ship", "slug": "ship"}), 201)
        yield served


async def asking(server: Served, by: httpx2.AsyncClient | None = None, **asked: Any) -> dict[str, Any]:
    """Return the approval that a run has just asked for; the run was made by the admin, or another."""
    made = await ok((by or server.admin).post("/v1/jobs/ship/trigger", json={}), 201)
    engine = server.house.services.engine
    lanes = tuple(await engine.store.lanes(queue_key(made["org_id"], "default")))
    runs: list[Run] = await engine.commit.apply(Take(lanes, 10, "wrk-1"))
    (run,) = [run for run in runs if run.run_id == made["id"]]
    parked = gated(engine, run.spec.project_id, **{"subject": {"kind": "diff", "diff": "+ 1\n"}, **asked})
    await engine.commit.apply(c.Finish(run.run_id, run.lease_epoch, parked, 0.5))
    (found,) = await ok(server.admin.get(f"/api/v1/runs/{run.run_id}/approvals"))
    return dict(found)


async def member(server: Served, name: str, role: str = "approver", scope: str = "admin") -> httpx2.AsyncClient:
    """Return the client of a new member of the organization, whose key asks for a scope."""
    user = await ok(server.admin.post("/v1/users", json={"name": name}), 201)
    await ok(server.admin.post("/v1/members", json={"user_id": user["id"], "role": role}), 201)
    return await server.key(scope, user_id=user["id"])


def deciding(client: httpx2.AsyncClient, found: dict[str, Any], decision: str = "approve", **more: Any) -> Any:
    """Return the call that decides an approval."""
    address, headers = more.pop("address", ADDRESSES[0]), more.pop("headers", {})
    body = {"checkpoint_id": found["checkpoint_id"], "decision": decision, "subject_sha256": DIGEST, **more}
    return client.post(f"{address}/{found['run_id']}/approvals", json=body, headers=headers)


async def no(call: Any, status: int, code: str) -> dict[str, Any]:
    """Return the details of a refusal on this surface."""
    response: httpx2.Response = await call
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return error["details"] or {}


async def state(server: Served, run_id: str) -> tuple[str, str | None]:
    found = await ok(server.admin.get(f"/api/v1/runs/{run_id}/status"))
    return found["state"], found["reason"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_person_decides_and_the_run_goes_on(server: Served, address: str):
    ada = await member(server, "Ada")
    found = await asking(server)
    assert (found["status"], found["subject"]["sha256"], found["subject"]["diff"]) == ("pending", DIGEST, "+ 1\n")
    assert await state(server, found["run_id"]) == ("waiting", "approval")
    made = await ok(deciding(ada, found, comment="looks right", address=address))
    assert (made["status"], made["decided_at"] is not None) == ("approved", True)
    (vote,) = made["decisions"]
    assert (vote["decision"], vote["name"], vote["role"], vote["comment"]) == (
        "approve", "Ada", "approver", "looks right",
    )  # fmt: skip
    assert vote["self_approved"] is False
    assert await state(server, found["run_id"]) == ("queued", None)
    assert await ok(server.admin.get(f"{address}/{found['run_id']}/approvals")) == [made]


async def test_scenario_6_two_approvers_decide_at_once_and_one_denial_denies(server: Served):
    ada, grace = await member(server, "Ada"), await member(server, "Grace", "admin")
    found = await asking(server, quorum=2)
    await ok(deciding(ada, found))
    made = await ok(deciding(grace, found, "deny", comment="not before the release"))
    assert (made["status"], [vote["decision"] for vote in made["decisions"]]) == ("denied", ["approve", "deny"])
    details = await no(deciding(ada, found), 409, "ALREADY_DECIDED")
    assert details == {"checkpoint_id": found["checkpoint_id"], "status": "denied"}
    raced = await asking(server)
    answers = await asyncio.gather(deciding(ada, raced), deciding(grace, raced, "deny"))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_scenario_6_an_approval_of_another_diff_is_refused(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    details = await no(deciding(ada, found, subject_sha256=OTHER), 409, "SUBJECT_CHANGED")
    assert details == {"checkpoint_id": found["checkpoint_id"], "subject_sha256": DIGEST}
    assert await state(server, found["run_id"]) == ("waiting", "approval")


async def test_scenario_6_no_token_of_a_service_an_agent_or_a_run_decides(server: Served):
    found = await asking(server)
    service = await server.key("admin", "approvals:decide", service=True)
    run_token = server.house.services.tenants.run_tokens.mint(found["run_id"], 1)
    for client in (service, server.client(run_token)):
        for decision in ("approve", "deny"):
            await no(deciding(client, found, decision), 403, "NOT_AN_APPROVER")
    await no(deciding(server.client(run_token[:-4] + "AAAA"), found), 401, "AUTH_REQUIRED")
    assert await state(server, found["run_id"]) == ("waiting", "approval")


async def test_scenario_6_an_approval_that_nobody_gives_in_time_is_a_denial(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server, ttl_s=1)
    await server.seen(found["run_id"], lambda run: run["state"] != "waiting", RUN)
    await no(deciding(ada, found), 410, "APPROVAL_EXPIRED")
    (now,) = await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/approvals"))
    assert (now["status"], now["decisions"]) == ("expired", [])


async def test_with_two_approvers_the_runs_creator_cannot_approve_his_own(server: Served):
    first = await asking(server)
    made = await ok(deciding(server.admin, first))
    assert [vote["self_approved"] for vote in made["decisions"]] == [True]
    ada = await member(server, "Ada")
    second = await asking(server)
    await no(deciding(server.admin, second), 403, "SELF_APPROVAL_FORBIDDEN")
    assert (await ok(deciding(ada, second)))["status"] == "approved"
    third = await asking(server)
    assert (await ok(deciding(server.admin, third, "deny")))["status"] == "denied"


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_the_wrong_role_lacks_the_scope_whatever_its_key_asks_for(server: Served, role: str):
    client = await member(server, "Eve", role)
    await no(deciding(client, await asking(server)), 403, "MISSING_SCOPE")


async def test_the_roles_and_people_that_a_run_leaves_out_decide_nothing(server: Served):
    ada, grace = await member(server, "Ada"), await member(server, "Grace", "admin")
    me = await ok(grace.get("/v1/me"))
    admins = await asking(server, roles=("admin",), exclude_actors=(me["user"]["id"],))
    for client in (ada, grace):
        await no(deciding(client, admins), 403, "NOT_AN_APPROVER")
    assert (await ok(deciding(server.admin, admins)))["status"] == "approved"


async def test_k3_a_cancel_during_an_approval_wait_supersedes_it(server: Served):
    found = await asking(server)
    await ok(server.admin.post(f"/api/v1/runs/{found['run_id']}/cancel", json={}), 202)
    (now,) = await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/approvals"))
    assert (now["status"], await state(server, found["run_id"])) == ("superseded", ("cancelled", "user"))


async def test_k4_an_approval_after_the_cancel_is_refused(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    await ok(server.admin.post(f"/api/v1/runs/{found['run_id']}/cancel", json={}), 202)
    details = await no(deciding(ada, found), 409, "ALREADY_DECIDED")
    assert details["status"] == "superseded"
    assert await state(server, found["run_id"]) == ("cancelled", "user")


async def test_a_checkpoint_of_nobody_of_another_run_and_of_another_organization_is_404(server: Served):
    ada = await member(server, "Ada")
    found, other = await asking(server), await asking(server)
    await no(deciding(ada, {**found, "checkpoint_id": "apr_none"}), 404, "CHECKPOINT_NOT_FOUND")
    await no(deciding(ada, {**found, "checkpoint_id": other["checkpoint_id"]}), 404, "CHECKPOINT_NOT_FOUND")
    stranger = await server.neighbour()
    await no(deciding(stranger, found), 404, "RUN_NOT_FOUND")
    await no(stranger.get(f"/api/v1/runs/{found['run_id']}/approvals"), 404, "RUN_NOT_FOUND")
    assert await ok(stranger.get("/api/v1/approvals")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision": "maybe"},
        {"subject_sha256": "sha256:" + DIGEST},
        {"subject_sha256": DIGEST.upper()},
        {"comment": "x" * 4097},
        {"quorum": 1},
    ],
)
async def test_a_malformed_decision_is_422(server: Served, wrong: dict[str, Any]):
    await no(deciding(server.admin, await asking(server), **wrong), 422, "VALIDATION")


async def test_the_same_decision_under_its_key_is_the_same_answer(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    headers = {"Idempotency-Key": "once"}
    first = await ok(deciding(ada, found, headers=headers))
    assert await ok(deciding(ada, found, headers=headers)) == first
    await no(deciding(ada, found, "deny", headers=headers), 409, "IDEMPOTENCY_MISMATCH")


async def test_the_inbox_holds_what_waits_in_the_whole_organization_and_pages(server: Served):
    ada = await member(server, "Ada")
    asked = [await asking(server) for _ in range(4)]
    await ok(deciding(ada, asked[0]))
    inbox = await ok(ada.get("/api/v1/approvals?status=pending"))
    assert [row["checkpoint_id"] for row in inbox] == [row["checkpoint_id"] for row in reversed(asked[1:])]
    assert [row["status"] for row in await ok(ada.get("/api/v1/approvals?status=approved"))] == ["approved"]
    assert len(await ok(ada.get("/api/v1/approvals?project_id=default"))) == 4
    page = await ada.get("/api/v1/approvals?status=pending&project_id=default&limit=2")
    rest = await ok(ada.get(f"/api/v1/approvals?status=pending&limit=2&cursor={page.headers['x-next-cursor']}"))
    assert page.json() + rest == inbox
    bound = await server.key("runs:read", project_id=(await ok(server.admin.get("/v1/projects/default")))["id"])
    assert await ok(bound.get("/api/v1/approvals?status=pending")) == inbox
    await no(ada.get("/api/v1/approvals?status=maybe"), 422, "VALIDATION")


async def test_the_decision_is_in_the_log_with_its_person_and_under_the_originals_names(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    await ok(deciding(ada, found))
    events = (await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/events/list")))["events"]
    told = {event["type"]: event for event in events}
    assert (told["approval.requested"]["kind"], told["approval.requested"]["legacy_type"]) == (
        "governance", "approval_requested",
    )  # fmt: skip
    decided = told["approval.approved"]
    assert (decided["legacy_type"], decided["actor"]) == ("approved", told["approval.approved"]["payload"]["actor"])
    assert decided["payload"]["quorum"] == {"have": 1, "need": 1}
    assert decided["payload"]["summary"]


async def test_the_evidence_of_a_run_holds_what_was_asked_and_decided(server: Served):
    ada = await member(server, "Ada")
    found = await asking(server)
    await ok(deciding(ada, found, comment="looks right"))
    bundle = await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/evidence?profile=full"))
    assert [(row["type"], row["checkpoint_id"]) for row in bundle["approvals"]] == [
        ("approval.requested", found["checkpoint_id"]),
        ("approval.approved", found["checkpoint_id"]),
    ]
    assert (bundle["approvals"][1]["comment"], bundle["approvals"][1]["subject_sha256"]) == ("looks right", DIGEST)


async def test_an_erasure_takes_what_was_asked(server: Served):
    found = await asking(server)
    await ok(server.admin.post(f"/api/v1/runs/{found['run_id']}/cancel", json={}), 202)
    await ok(server.admin.post(f"/v1/runs/{found['run_id']}/erase"))
    assert await ok(server.admin.get(f"/api/v1/runs/{found['run_id']}/approvals")) == []
    assert await ok(server.admin.get("/api/v1/approvals")) == []


async def test_a_scrape_tells_what_waits_and_how_long_people_took(server: Served):
    ada = await member(server, "Ada")
    found, _ = await asking(server), await asking(server)
    await ok(deciding(ada, found, "deny"))
    page = (await server.admin.get("/metrics")).text
    assert "runwright_approvals_pending_runs 1.0" in page
    assert 'runwright_approval_duration_seconds_count{status="denied"} 1.0' in page
