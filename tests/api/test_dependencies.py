"""Dependencies over HTTP: made, read, changed, deleted, and what they say of a run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, refused, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        for slug in ("ingest", "report"):
            await ok(served.admin.post("/v1/jobs", json={"slug": slug, "queue": "nobody"}), 201)
        yield served


async def test_a_dependency_is_made_read_changed_and_deleted(server: Served) -> None:
    path = "/v1/jobs/report/dependencies"
    job = await ok(server.admin.get("/v1/jobs/report"))
    upstream = await ok(server.admin.get("/v1/jobs/ingest"))
    body = {"depends_on_job_id": "ingest", "max_age_secs": 60}
    made = await ok(server.admin.post(path, json=body, headers={"Idempotency-Key": "a"}), 201)
    assert await ok(server.admin.post(path, json=body, headers={"Idempotency-Key": "a"}), 200) == made
    assert (made["job_id"], made["depends_on_job_id"]) == (job["id"], upstream["id"])
    assert (made["condition"], made["on_miss"], made["max_age_secs"]) == ("completed", "wait", 60)
    one = f"{path}/{made['id']}"
    assert await ok(server.admin.get(path)) == [made] == [await ok(server.admin.get(one))]
    changed = await ok(server.admin.patch(one, json={"max_age_secs": None, "condition": "any"}))
    assert (changed["max_age_secs"], changed["condition"], changed["on_miss"]) == (None, "any", "wait")
    await refused(server.admin.get(f"/v1/jobs/ingest/dependencies/{made['id']}"), 404, "dependencies.not_found")
    await refused(server.admin.delete("/v1/jobs/ingest"), 409, "jobs.awaited")
    await ok(server.admin.delete(one), 204)
    assert await ok(server.admin.get(path)) == []


async def test_what_cannot_be_is_refused_and_says_why(server: Served) -> None:
    path = "/v1/jobs/report/dependencies"
    await ok(server.admin.post("/v1/jobs/ingest/dependencies", json={"depends_on_job_id": "report"}), 201)
    details = await refused(server.admin.post(path, json={"depends_on_job_id": "ingest"}), 422, "dependencies.cycle")
    assert len(details["cycle"]) == 3
    await refused(server.admin.post(path, json={"depends_on_job_id": "report"}), 422, "dependencies.cycle")
    await refused(server.admin.post(path, json={"depends_on_job_id": "nothing"}), 404, "jobs.not_found")
    for wrong in ({"condition": "good"}, {"on_miss": "cry"}, {"max_age_secs": 0}, {"more": 1}):
        await refused(server.admin.post(path, json={"depends_on_job_id": "ingest", **wrong}), 422, "request.invalid")
    twice = server.admin.post("/v1/jobs/ingest/dependencies", json={"depends_on_job_id": "report"})
    await refused(twice, 409, "conflict.already_exists")


async def test_a_run_says_what_it_waits_for(server: Served) -> None:
    body = {"depends_on_job_id": "ingest", "timeout_secs": 3600}
    made = await ok(server.admin.post("/v1/jobs/report/dependencies", json=body), 201)
    run = await ok(server.admin.post("/v1/jobs/report/trigger", json={"payload": {"dependency_key": "k"}}), 201)
    assert (run["status"], run["reason"]) == ("waiting", "dependency")
    status = await ok(server.admin.get(f"/v1/runs/{run['id']}/dependency-status"))
    (one,) = status.pop("dependencies")
    assert status == {
        "run_id": run["id"],
        "job_id": run["job_id"],
        "status": "waiting",
        "dependency_key": "k",
        "dependencies_satisfied": False,
    }
    reason = "no run of that job has ended yet"
    assert one == {**made, "satisfied": False, "matched_run_id": None, "reason": reason}
    dry = await ok(server.admin.post("/v1/jobs/report/trigger", json={"dry_run": True}))
    assert dry["status"] == "waiting"
    free = await ok(server.admin.post("/v1/jobs/ingest/trigger", json={}), 201)
    answer = await ok(server.admin.get(f"/v1/runs/{free['id']}/dependency-status"))
    assert (answer["dependencies"], answer["dependencies_satisfied"]) == ([], True)
