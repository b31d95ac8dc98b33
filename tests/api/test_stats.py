"""Statistics over HTTP: of all, of a project, of a job; never of others."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, refused, serving
from tests.waiting import until

LIVE = {"scheduled": 2, "queued": 0, "executing": 0, "waiting": 0, "paused": 0}
"""What is live once all that ends has ended."""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(
        tmp_path_factory.mktemp("stats"), worker=("tests.acceptance.handlers:app",), outbox_s=0.02
    ) as served:
        await ok(served.admin.post("/v1/jobs", json={"slug": "e", "handler": "echo"}), 201)
        later = await ok(served.admin.post("/v1/jobs", json={"slug": "f", "handler": "echo"}), 201)
        due = (datetime.fromisoformat(later["created_at"]) + timedelta(days=1)).isoformat()
        for number in range(5):
            await ok(served.admin.post("/v1/jobs/e/trigger", json={"payload": {"n": number}}), 201)
        for _ in range(2):
            await ok(served.admin.post("/v1/jobs/f/trigger", json={"scheduled_at": due}), 201)
        yield served


async def settled(served: Served, **params: Any) -> dict[str, Any]:
    """Return the statistics once all has ended that will, and was counted."""
    found = until(
        lambda: ok(served.admin.get("/v1/stats", params=params)),
        lambda found: found["completed"] == 5 and found["depth"] in (None, LIVE),
    )
    return dict(await found)


async def test_the_numbers_of_all_of_a_project_and_of_a_job(server: Served) -> None:
    whole = await settled(server)
    assert (whole["project_id"], whole["job_id"], whole["grain"]) == (None, None, "minute")
    assert whole["depth"] == LIVE
    assert (whole["ended"], whole["failed"], whole["failure_rate"], whole["cost_usd"]) == (5, 0, 0.0, 0.0)
    assert whole["ends"] == [{"state": "completed", "reason": None, "count": 5}]
    assert 0 < whole["latency"]["total"]["p50_ms"] <= whole["latency"]["total"]["p99_ms"]
    assert whole["throughput_per_s"] > 0
    assert sum(each["ended"] for each in whole["series"]) == 5
    assert (await settled(server, project_id="default"))["depth"] == whole["depth"]
    job = await settled(server, job_id="e")
    assert (job["ended"], job["depth"]) == (5, None)
    assert (await settled(server, job_id=job["job_id"], window="7d"))["grain"] == "hour"
    idle = await ok(server.admin.get("/v1/stats", params={"job_id": "f"}))
    assert (idle["ended"], idle["failure_rate"], idle["latency"]["total"]["p95_ms"]) == (0, None, None)


@pytest.mark.parametrize("window", ["", "0m", "5", "5s", "-5m", "1.5h", "401d", "9999999m", "1h "])
async def test_a_window_that_means_nothing_is_422(server: Served, window: str) -> None:
    details = await refused(server.admin.get("/v1/stats", params={"window": window}), 422, "request.invalid")
    assert details["fields"][0]["path"] == "window"


async def test_a_key_counts_only_what_it_may_see(server: Served) -> None:
    await settled(server)
    neighbour = await server.neighbour()
    theirs = await ok(neighbour.get("/v1/stats"))
    assert (theirs["ended"], sum(theirs["depth"].values())) == (0, 0)
    job = (await ok(server.admin.get("/v1/stats", params={"job_id": "e"})))["job_id"]
    await refused(neighbour.get("/v1/stats", params={"job_id": job}), 404, "jobs.not_found")
    await refused(neighbour.get("/v1/stats", params={"job_id": "e"}), 404, "jobs.not_found")
    project = await ok(server.admin.post("/v1/projects", json={"slug": "quiet"}), 201)
    bound = await server.key("runs:read", project_id="quiet")
    quiet = await ok(bound.get("/v1/stats"))
    assert (quiet["project_id"], quiet["ended"]) == (project["id"], 0)
    await refused(bound.get("/v1/stats", params={"project_id": "default"}), 404, "projects.not_found")
    await refused(bound.get("/v1/stats", params={"job_id": job}), 404, "jobs.not_found")


async def test_statistics_outlive_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path, worker=("tests.acceptance.handlers:app",)) as first:
        await ok(first.admin.post("/v1/jobs", json={"slug": "e", "handler": "echo"}), 201)
        await ok(first.admin.post("/v1/jobs/e/trigger", json={}), 201)
    async with serving(tmp_path, outbox_s=0.02) as second:
        again = second.client(first.admin_token)
        found = await until(lambda: ok(again.get("/v1/stats")), lambda found: found["ended"])
        assert (found["completed"], sum(found["depth"].values())) == (1, 0)
