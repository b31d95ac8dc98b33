"""What may be changed of a run that exists: when it begins, its payload, its key, and whether it is recorded."""

import pytest

from runwright.api import instants
from runwright.clock import SystemClock
from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, later, refused, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


def now() -> str:
    return instants.text(SystemClock().now())


async def reschedule(api: Speech, run_id: str, **body: object) -> Json:
    made: Json = await said(api.client.post(f"/v1/runs/{run_id}/reschedule", json=body))
    return made


async def test_appendix_c_14_a_run_put_off_past_its_expiry_still_runs(api: Speech):
    run = await api.trigger(await api.job("echo"), {"n": 1}, scheduled_at=later(now(), hours=1), ttl_secs=60)
    due = later(run["expires_at"], hours=1)
    moved = await reschedule(api, run["id"], scheduled_at=due, payload={"n": 2})
    assert (moved["status"], moved["scheduled_at"][:19]) == ("delayed", due[:19])
    assert moved["expires_at"][:19] == later(due, seconds=60)[:19]
    assert moved["payload"] == {"n": 2}
    await reschedule(api, run["id"], scheduled_at="2020-01-01T00:00:00Z")
    ended = await api.ended(run["id"])
    assert (ended["status"], ended["result"]) == ("completed", {"n": 2})
    types = [event["type"] for event in await api.events(run["id"])]
    assert types[:3] == ["run.created", "run.rescheduled", "run.rescheduled"]


async def test_only_a_run_that_has_not_begun_is_rescheduled_within_a_year(api: Speech, gate: Gate):
    job = await api.job("hold")
    executing = (await api.trigger(job, {"gate": gate.port}))["id"]
    await gate.arrived()
    body = {"scheduled_at": later(now(), hours=1)}
    await refused(api.client.post(f"/v1/runs/{executing}/reschedule", json=body), 409, "runs.invalid_transition")
    gate.open()
    await api.ended(executing)
    await refused(api.client.post(f"/v1/runs/{executing}/reschedule", json=body), 409, "runs.invalid_transition")
    delayed = (await api.trigger(job, scheduled_at=later(now(), hours=1)))["id"]
    path = f"/v1/runs/{delayed}/reschedule"
    for odd in ({}, {"scheduled_at": "soon"}, {"scheduled_at": later(now(), days=370)}, {**body, "payload": [1]}):
        await refused(api.client.post(path, json=odd), 422, "request.invalid")
    await said(api.client.delete(f"/v1/runs/{delayed}"))


async def test_a_key_that_was_given_free_makes_a_run_of_its_own(api: Speech, admin: ContractClient):
    job, key = await api.job("echo"), unique("key")
    first = await api.done(job, {"n": 1}, idempotency_key=key)
    path = f"/v1/runs/{first['id']}/idempotency-key"
    assert await said(admin.delete(path)) == {"status": "reset", "run_id": first["id"]}
    assert await said(admin.delete(path)) == {"status": "unset", "run_id": first["id"]}
    second = await api.trigger(job, {"n": 2}, idempotency_key=key)
    assert second["id"] != first["id"]
    assert (await api.run(first["id"]))["idempotency_key"] == key, "what made it stays told"
    assert [entry["action"] for entry in await api.listed("/v1/audit", target=first["id"])] == ["run.key_freed"]


async def test_an_attempt_of_a_handler_is_recorded_in_debug_mode(api: Speech, admin: ContractClient):
    run = await api.done(await api.job("echo"), {"password": "hunter2hunter2", "n": 1}, debug_mode=True)
    (attempt,) = await api.listed(f"/v1/runs/{run['id']}/attempts")
    request, response = attempt["exchanges"]
    assert (request["way"], response["way"]) == ("request", "response")
    assert request["body"] == response["body"] == '{"n":1,"password":"[redacted:password]"}'
    assert response["head"] == {"outcome": "completed"}
    later_on = await said(admin.post(f"/v1/runs/{run['id']}/replay", json={"force": True, "debug_mode": True}), 201)
    await api.ended(later_on["id"])
    (again,) = await api.listed(f"/v1/runs/{later_on['id']}/attempts")
    assert [each["way"] for each in again["exchanges"]] == ["request", "response"]


async def test_a_run_that_is_debugged_before_it_begins_is_recorded(api: Speech):
    run = await api.trigger(await api.job("stumble", max_attempts=2), {"times": 1}, scheduled_at=later(now(), hours=1))
    answer = await said(api.client.post(f"/v1/runs/{run['id']}/debug", json={}))
    assert answer == {"run_id": run["id"], "debug_mode": True}
    await reschedule(api, run["id"], scheduled_at=now())
    await api.ended(run["id"])
    attempts = await api.listed(f"/v1/runs/{run['id']}/attempts")
    assert [[each["way"] for each in attempt["exchanges"]] for attempt in attempts] == [["request", "response"]] * 2
    assert attempts[0]["exchanges"][1]["head"]["outcome"] == "failed"


async def test_a_new_payload_is_judged_by_the_schema_of_the_run_s_version(api: Speech):
    schema = {"type": "object", "required": ["n"]}
    job = await api.job("echo", payload_schema=schema)
    run = await api.trigger(job, {"n": 1}, scheduled_at=later(now(), hours=1))
    await said(api.client.patch(f"/v1/jobs/{job}", json={"payload_schema": None}))
    body = {"scheduled_at": later(now(), hours=2), "payload": {"m": 1}}
    await refused(api.client.post(f"/v1/runs/{run['id']}/reschedule", json=body), 422, "payload.schema_mismatch")
    moved = await reschedule(api, run["id"], scheduled_at=later(now(), hours=2), payload={"n": 2})
    assert moved["payload"] == {"n": 2}
    await said(api.client.delete(f"/v1/runs/{run['id']}"))
