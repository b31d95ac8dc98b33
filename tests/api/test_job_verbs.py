"""The verbs of a job, over HTTP: cloned, paused, resumed, and asked how it is doing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, refused, serving
from tests.waiting import until

FIELDS = {
    "slug": "report",
    "name": "The report",
    "max_attempts": 7,
    "payload_schema": {"type": "object"},
    "tags": {"team": "blue"},
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, outbox_s=0.02) as served:
        yield served


async def test_a_clone_is_a_job_of_its_own_with_the_same_definition(server: Served) -> None:
    job = await ok(server.admin.post("/v1/jobs", json=FIELDS), 201)
    await ok(server.admin.patch("/v1/jobs/report", json={"max_attempts": 8}))
    clone = await ok(server.admin.post("/v1/jobs/report/clone"), 201)
    own = {"id", "job_id", "slug", "job_version_id", "created_at", "updated_at", "handler", "max_attempts"}
    assert {name for name in clone if clone[name] != job[name]} == own
    assert (clone["slug"], clone["version"], clone["max_attempts"]) == ("report-copy", 1, 8)
    assert clone["handler"] == "report", "the code that executes it is still called so"
    await refused(server.admin.post("/v1/jobs/report/clone"), 409, "conflict.already_exists")
    other = await ok(server.admin.post(f"/v1/jobs/{job['id']}/clone", json={"slug": "b", "name": "B"}), 201)
    assert (other["slug"], other["name"], other["enabled"]) == ("b", "B", True)
    await refused(server.admin.post("/v1/jobs/nothing/clone"), 404, "jobs.not_found")


async def test_a_clone_of_a_schedule_does_not_fire_unless_it_is_told_to(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json={"slug": "nightly", "cron": "0 2 * * *"}), 201)
    quiet = await ok(server.admin.post("/v1/jobs/nightly/clone"), 201)
    assert (quiet["cron"], quiet["enabled"]) == ("0 2 * * *", False)
    loud = await ok(server.admin.post("/v1/jobs/nightly/clone", json={"slug": "c", "enabled": True}), 201)
    assert loud["enabled"]


async def test_the_clone_of_an_http_job_has_a_secret_of_its_own(server: Served) -> None:
    http = {"slug": "hook", "execution_mode": "http", "endpoint_url": "https://hooks.example.com/run"}
    job = await ok(server.admin.post("/v1/jobs", json=http), 201)
    clone = await ok(server.admin.post("/v1/jobs/hook/clone"), 201)
    assert clone["signing_secret"].startswith("whsec_")
    assert clone["signing_secret"] != job["signing_secret"]


async def test_a_paused_job_starts_nothing_and_what_it_started_goes_on(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json=FIELDS), 201)
    run = await ok(server.admin.post("/v1/jobs/report/trigger"), 201)
    paused = await ok(server.admin.post("/v1/jobs/report/pause"))
    assert (paused["enabled"], paused["version"]) == (False, 2)
    assert (await ok(server.admin.post("/v1/jobs/report/pause")))["version"] == 2
    await refused(server.admin.post("/v1/jobs/report/trigger"), 409, "jobs.disabled")
    assert (await ok(server.admin.get(f"/v1/runs/{run['id']}")))["status"] == "queued"
    assert (await ok(server.admin.post("/v1/jobs/report/resume")))["enabled"]
    await ok(server.admin.post("/v1/jobs/report/trigger"), 201)
    reader = await server.key("jobs:read")
    await refused(reader.post("/v1/jobs/report/pause"), 403, "auth.missing_scope")


async def test_health_counts_what_became_of_a_jobs_runs(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json=FIELDS), 201)
    fresh = await ok(server.admin.get("/v1/jobs/report/health"))
    assert (fresh["health"], fresh["success_rate"], fresh["total"], fresh["window"]) == ("unknown", None, 0, "24h")
    runs = [await ok(server.admin.post("/v1/jobs/report/trigger"), 201) for _ in range(3)]
    for run in runs:
        await ok(server.admin.delete(f"/v1/runs/{run['id']}"))
    path = "/v1/jobs/report/health?window=30m"
    told = await until(lambda: ok(server.admin.get(path)), lambda health: health["total"] == 3)
    assert (told["canceled"], told["total"], told["health"]) == (3, 3, "unknown")
    assert told["p95_duration_ms"] is not None
    await refused(server.admin.get("/v1/jobs/report/health", params={"window": "soon"}), 422, "request.invalid")
