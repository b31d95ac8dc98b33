"""Many runs at once: cancelled and replayed in the order asked for, and an operation tells what became of each."""

from typing import Any

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Json, Speech, later, refused, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


async def operation(api: Speech, response: Any, verb: str) -> Json:
    """Return the batch operation that an answer names."""
    found: Json = await said(api.client.get(f"/v1/batch-operations/{response.headers['x-batch-id']}"))
    assert found["verb"] == verb
    assert found["finished_at"] >= found["created_at"]
    return found


async def dead(api: Speech, count: int = 1, **fields: Any) -> tuple[str, list[str]]:
    """Make a job and dead letters of it, oldest first."""
    job = await api.job("stumble", max_attempts=2, **fields)
    made = [(await api.done(job, {"how": "rejected", "times": 1, "n": n}))["id"] for n in range(count)]
    return job, made


async def put_off(api: Speech, job: str, count: int, **fields: Any) -> list[str]:
    """Make runs that do not begin today."""
    due = later((await api.done(await api.job("echo")))["created_at"], hours=1)
    return [(await api.trigger(job, {"n": n}, scheduled_at=due, **fields))["id"] for n in range(count)]


async def test_appendix_c_21_a_hundred_mixed_ids_are_told_in_order_and_counted_once(api: Speech, gate: Gate):
    job = await api.job("hold")
    waiting = await put_off(api, job, 90)
    paused = waiting[:5]
    for run_id in paused:
        await api.verb(run_id, "pause")
    executing = (await api.trigger(job, {"gate": gate.port}))["id"]
    await gate.arrived()
    ended = (await api.done(await api.job("echo")))["id"]
    unknown = "run_" + "0" * 32
    asked = [ended, *paused, *waiting[50:], unknown, executing, *waiting[:50], ended, paused[0], unknown]
    assert len(asked) > 95
    response = await api.client.post("/v1/runs/bulk-cancel", json={"run_ids": asked, "reason": "enough"})
    answer = await said(_given(response))
    unique_ids = list(dict.fromkeys(asked))
    assert [result["id"] for result in answer["results"]] == unique_ids
    told = {result["id"]: result for result in answer["results"]}
    assert {told[run_id]["status"] for run_id in waiting} == {"canceled"}
    assert told[executing]["status"] == "executing"
    assert (told[ended]["status"], told[ended]["code"]) == ("completed", "runs.invalid_transition")
    assert (told[unknown]["status"], told[unknown]["code"]) == ("not_found", "runs.not_found")
    assert (answer["total"], answer["canceled"], answer["failed"]) == (len(unique_ids), len(unique_ids) - 2, 2)
    gate.open()
    assert (await api.ended(executing))["status"] in ("canceled", "completed")
    assert (await api.events(waiting[9]))[-1]["data"]["note"] == "enough"
    kept = await operation(api, response, "cancel")
    assert (kept["item_count"], kept["created_count"]) == (len(unique_ids), len(unique_ids) - 2)
    assert [result["id"] for result in kept["results"]] == unique_ids


async def _given(response: Any) -> Any:
    return response


async def test_an_empty_bulk_cancel_answers_zeros(api: Speech):
    bodies: tuple[Json, ...] = ({}, {"run_ids": []})
    for body in bodies:
        answer = await said(api.client.post("/v1/runs/bulk-cancel", json=body))
        assert answer == {"results": [], "total": 0, "canceled": 0, "failed": 0}
    assert (await api.client.post("/v1/runs/bulk-cancel")).status_code == 200, "without a body, too"
    many = {"run_ids": [f"run_{n}" for n in range(501)]}
    await refused(api.client.post("/v1/runs/bulk-cancel", json=many), 422, "request.invalid")


async def test_everything_that_filters_hold_is_previewed_and_then_cancelled(api: Speech):
    project = await api.project()
    job, other = [await api.job("echo", project_id=project) for _ in range(2)]
    mine = await put_off(api, job, 5, tags={"env": "prod"})
    await put_off(api, job, 2, tags={"env": "test"})
    spared = await put_off(api, other, 2, tags={"env": "prod"})
    path = f"/v1/runs/bulk-cancel-all?project_id={project}"
    body: Json = {"job_id": job, "tags": {"env": "prod"}, "status": "delayed", "payload_contains": {}}
    preview = await said(api.client.post(path, json={**body, "dry_run": True}))
    assert (preview["total"], preview["canceled"], preview["dry_run"]) == (5, 0, True)
    part = await said(api.client.post(path, json={**body, "limit": 2}))
    assert ([result["id"] for result in part["results"]], part["more"]) == (mine[:2], True)
    response = await api.client.post(path, json=body)
    rest = response.json()
    assert ([result["id"] for result in rest["results"]], rest["more"]) == (mine[2:], False)
    kept = await operation(api, response, "cancel_all")
    assert (kept["project_id"], kept["job_id"], kept["created_count"]) == (project, job, 3)
    assert [(await api.run(run_id))["status"] for run_id in spared] == ["delayed"] * 2
    nothing = await said(api.client.post(path, json={**body, "state": ["completed"]}))
    assert nothing["total"] == 0, "what has ended is not cancelled"
    everything = await said(api.client.post(path, json={}))
    assert everything["canceled"] == 4
    assert (await said(api.client.post(path)))["total"] == 0


async def test_runs_that_were_asked_to_end_do_not_stand_in_the_way(api: Speech, gate: Gate):
    project = await api.project()
    held = await api.trigger(await api.job("deaf", project_id=project), {"gate": gate.port})
    await gate.arrived()
    waiting = await put_off(api, await api.job("echo", project_id=project), 2)
    path = f"/v1/runs/bulk-cancel-all?project_id={project}"
    told = [await said(api.client.post(path, json={"limit": 1})) for _ in range(3)]
    assert [answer["results"][0]["id"] for answer in told] == [held["id"], *waiting]
    assert [answer["more"] for answer in told] == [True, True, False]
    gate.open()


async def test_a_project_must_be_named_unless_the_key_has_one(api: Speech, server: LiveServer):
    await refused(api.client.post("/v1/runs/bulk-cancel-all", json={}), 422, "request.invalid")
    bound = server.client((await api.key("admin", project_id=await api.project()))["token"])
    assert (await said(bound.post("/v1/runs/bulk-cancel-all", json={})))["total"] == 0


async def test_replays_come_in_order_and_problems_stand_in_the_operation(api: Speech):
    job, letters = await dead(api, 3)
    completed = (await api.done(await api.job("echo")))["id"]
    unknown = "run_" + "0" * 32
    asked = [letters[2], completed, letters[0], unknown, letters[2], letters[1]]
    response = await api.client.post("/v1/runs/bulk-replay", json={"run_ids": asked})
    made = response.json()
    assert [run["replay_of"] for run in made] == [letters[2], letters[0], letters[1]]
    assert [run["payload"]["n"] for run in made] == [2, 0, 1]
    assert {run["triggered_by"] for run in made} == {"retry"}
    kept = await operation(api, response, "replay")
    (entry,) = await api.listed("/v1/audit", target=kept["id"])
    assert (entry["action"], entry["data"]) == ("runs.replayed", {"runs": 3})
    assert [(each["id"], each["code"]) for each in kept["results"]] == [
        (letters[2], None),
        (completed, "runs.completed"),
        (letters[0], None),
        (unknown, "runs.not_found"),
        (letters[1], None),
    ]
    assert [each["new_run_id"] for each in kept["results"] if each["code"] is None] == [run["id"] for run in made]
    assert (kept["item_count"], kept["created_count"]) == (5, 3)
    assert {(await api.ended(run["id"]))["status"] for run in made} == {"dead_letter"}, job
    await refused(api.client.post("/v1/runs/bulk-replay", json={"run_ids": []}), 422, "request.invalid")


async def test_a_bulk_replay_with_a_key_makes_its_runs_once(api: Speech):
    _, letters = await dead(api, 2)
    headers = {"idempotency-key": unique("key")}
    first, second = [
        await said(api.client.post("/v1/runs/bulk-replay", json={"run_ids": letters}, headers=headers))
        for _ in range(2)
    ]
    assert [run["id"] for run in first] == [run["id"] for run in second]


async def test_the_dead_letter_queue_holds_what_was_neither_replayed_nor_discarded(api: Speech):
    project = await api.project()
    _, letters = await dead(api, 4, project_id=project)
    queue = "/v1/runs/dlq"
    assert [run["id"] for run in await api.listed(queue, project_id=project)] == letters[::-1]
    paged = await api.listed(queue, project_id=project, limit=1, order="asc")
    assert [run["id"] for run in paged] == letters, "page by page"
    again = await said(api.client.post(f"/v1/runs/{letters[0]}/dlq-replay"), 201)
    assert (again["replay_of"], again["attempt"], again["triggered_by"]) == (letters[0], 1, "retry")
    (entry,) = await api.listed("/v1/audit", target=letters[0])
    assert (entry["action"], entry["data"]) == ("run.replayed", {"replayed_as": again["id"]})
    gone = await api.verb(letters[1], "discard")
    assert (gone["status"], gone["dead_letter_left_at"] is None) == ("dead_letter", False)
    left = await api.listed(queue, project_id=project)
    assert [run["id"] for run in left if run["id"] in letters] == [letters[3], letters[2]]
    for letter in letters[:2]:
        await refused(api.client.post(f"/v1/runs/{letter}/dlq-replay"), 409, "runs.not_dead_lettered")
        await refused(api.client.post(f"/v1/runs/{letter}/discard"), 409, "runs.not_dead_lettered")
    entries = await api.listed("/v1/audit", target=letters[1])
    assert [entry["action"] for entry in entries] == ["run.discarded"]
    single = (await api.done(await api.job("stumble", max_attempts=1)))["id"]
    await refused(api.client.post(f"/v1/runs/{single}/dlq-replay"), 409, "runs.not_dead_lettered")


async def test_dead_letters_are_replayed_by_their_ids_or_by_their_project_oldest_first(api: Speech):
    project = await api.project()
    _, letters = await dead(api, 4, project_id=project)
    path, unknown = "/v1/runs/bulk-dlq-replay", "run_" + "0" * 32
    response = await api.client.post(path, json={"project_id": project, "limit": 2})
    oldest = response.json()
    assert [run["replay_of"] for run in oldest["replayed"]] == letters[:2]
    assert (oldest["count"], oldest["errors"]) == (2, [])
    assert (await operation(api, response, "dlq_replay"))["project_id"] == project
    for run in oldest["replayed"]:
        await api.ended(run["id"])
    answer = await said(api.client.post(path, json={"run_ids": [letters[3], letters[0], unknown, letters[3]]}))
    assert [run["replay_of"] for run in answer["replayed"]] == [letters[3]]
    assert [(each["id"], each["code"]) for each in answer["errors"]] == [
        (letters[0], "runs.not_dead_lettered"),
        (unknown, "runs.not_found"),
    ]
    await refused(api.client.post(path, json={"run_ids": [letters[0]]}), 409, "runs.not_dead_lettered")
    await refused(api.client.post(path, json={"project_id": await api.project()}), 409, "runs.not_dead_lettered")


async def test_both_or_neither_is_the_only_400(api: Speech):
    ambiguous: tuple[Json, ...] = ({}, {"run_ids": [], "project_id": await api.project()}, {"limit": 5})
    for body in ambiguous:
        await refused(api.client.post("/v1/runs/bulk-dlq-replay", json=body), 400, "request.ambiguous")
    wrong: tuple[Json, ...] = (
        {"run_ids": ["x"] * 501},
        {"project_id": "p", "limit": 501},
        {"project_id": "p", "limit": 0},
    )
    for body in wrong:
        await refused(api.client.post("/v1/runs/bulk-dlq-replay", json=body), 422, "request.invalid")


async def test_a_bulk_trigger_is_an_operation_too(api: Speech):
    job, key = await api.job("echo"), unique("key")
    items: list[Json] = [
        {"payload": {"a": 1}, "idempotency_key": key},
        {"payload": {"a": 1}, "idempotency_key": key},
        {"payload": {"a": 2}, "idempotency_key": key},
    ]
    response = await api.client.post(f"/v1/jobs/{job}/trigger/bulk", json={"items": items})
    answer = response.json()
    kept = await operation(api, response, "trigger")
    assert kept["id"] == answer["batch_id"]
    assert (kept["item_count"], kept["created_count"], kept["job_id"]) == (3, 1, job)
    assert [each["id"] for each in kept["results"]] == [each["id"] for each in answer["results"]]
    assert [each["code"] for each in kept["results"]] == [None, None, "idempotency.mismatch"]


async def test_operations_are_listed_newest_first_and_are_their_projects(api: Speech, server: LiveServer):
    project = await api.project()
    job = await api.job("echo", project_id=project)
    batches = [(await api.bulk(job, [{}]))["batch_id"] for _ in range(3)]
    assert [row["id"] for row in await api.listed("/v1/batch-operations", project_id=project, limit=2)] == batches[::-1]
    bound = server.client((await api.key("admin", project_id=await api.project()))["token"])
    assert await said(bound.get("/v1/batch-operations")) == []
    await refused(bound.get(f"/v1/batch-operations/{batches[0]}"), 404, "batches.not_found")


async def test_appendix_c_22_whatever_ended_badly_is_replayed_by_one_endpoint(api: Speech, admin: ContractClient):
    _, (letter,) = await dead(api)
    (cancelled,) = await put_off(api, await api.job("echo"), 1)
    await said(admin.delete(f"/v1/runs/{cancelled}"))
    expired = await api.done(await api.job("nobody-has-this"), ttl_secs=1)
    assert expired["status"] == "expired"
    completed = (await api.done(await api.job("echo")))["id"]
    for run_id in (letter, cancelled, expired["id"]):
        again = await said(admin.post(f"/v1/runs/{run_id}/replay"), 201)
        assert again["replay_of"] == run_id
        assert again["expires_at"] is None or again["expires_at"] > expired["expires_at"]
    await refused(admin.post(f"/v1/runs/{completed}/replay"), 409, "runs.completed")
    await said(admin.post(f"/v1/runs/{completed}/replay", json={"force": True}), 201)


async def test_a_replay_goes_on_from_a_checkpoint_of_the_original(api: Speech, admin: ContractClient):
    job = await api.job("remembers", max_attempts=1)
    run = await api.done(job, {"save": [{"n": 1}, {"n": 2}], "fail": True})
    path = f"/v1/runs/{run['id']}/replay"
    again = await said(admin.post(path, json={"from_checkpoint": 1, "payload": {"save": [{"n": 3}]}}), 201)
    ended = await api.ended(again["id"])
    assert ended["result"] == {"began": {"n": 1}}
    saved = await api.listed(f"/v1/runs/{again['id']}/checkpoints")
    assert [(each["sequence"], each["source"], each["state"]) for each in saved] == [
        (1, "replay", {"n": 1}),
        (2, "sdk", {"n": 3}),
    ]
    assert (await api.events(again["id"]))[1]["type"] == "checkpoint.saved"
    await refused(admin.post(path, json={"from_checkpoint": 3}), 404, "checkpoints.not_found")
    await refused(admin.post(path, json={"from_checkpoint": 0}), 422, "request.invalid")
