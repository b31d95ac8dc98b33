"""The schedule of a job over HTTP: what it says, what is to come, and the runs that come of it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runwright.clock import SystemClock
from tests.api.served import Served, ok, refused, serving
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, lease_s=600) as served:  # a shorter one would take the test's clock for one that jumps
        yield served


async def test_a_schedule_tells_what_it_says_and_what_is_to_come(server: Served) -> None:
    job = await ok(server.admin.post("/v1/jobs", json={"slug": "nightly", "cron": "0 0 * * *"}), 201)
    schedule = await ok(server.admin.get("/v1/jobs/nightly/schedule"))
    created = datetime.fromisoformat(job["created_at"])
    midnights = [created.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=n) for n in range(1, 11)]
    upcoming = [midnight.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for midnight in midnights]
    assert schedule == {
        "job_id": job["id"],
        "enabled": True,
        "cron": "0 0 * * *",
        "timezone": "UTC",
        "catch_up": "one",
        "overlap": "allow",
        "next_fire_at": upcoming[0],
        "last_fired_at": None,
        "last_run_id": None,
        "upcoming": upcoming,
    }
    one = await ok(server.admin.get(f"/v1/jobs/{job['id']}/schedule?count=1"))
    assert one["upcoming"] == upcoming[:1]
    await ok(server.admin.patch("/v1/jobs/nightly", json={"enabled": False}))
    disabled = await ok(server.admin.get("/v1/jobs/nightly/schedule"))
    assert (disabled["enabled"], disabled["next_fire_at"], disabled["upcoming"]) == (False, None, [])


async def test_a_schedule_that_is_not_there_is_told_apart_from_a_job_that_is_not(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json={"slug": "plain"}), 201)
    await refused(server.admin.get("/v1/jobs/plain/schedule"), 409, "jobs.no_cron")
    await refused(server.admin.get("/v1/jobs/nothing/schedule"), 404, "jobs.not_found")
    for count in ("0", "101", "x"):
        await refused(server.admin.get(f"/v1/jobs/plain/schedule?count={count}"), 422, "request.invalid")


async def test_the_runs_of_a_schedule_are_found_by_who_triggered_them(server: Served) -> None:
    clock = server.house.services.clock
    assert isinstance(clock, SystemClock)
    job = {"slug": "often", "cron": "* * * * *", "payload_template": {"a": 1}, "queue": "nobody"}
    made = await ok(server.admin.post("/v1/jobs", json=job), 201)
    clock.shift(60_000_000)
    server.house.services.engine.cron.loop.wake()
    runs = await until(lambda: ok(server.admin.get("/v1/runs?project_id=default&triggered_by=cron")))
    schedule = await ok(server.admin.get("/v1/jobs/often/schedule"))
    assert (runs[0]["job_id"], runs[0]["payload"], runs[0]["created_by"]) == (made["id"], {"a": 1}, "system:cron")
    assert runs[0]["scheduled_at"] == schedule["last_fired_at"]
    assert schedule["last_run_id"] == runs[0]["id"]
    assert schedule["next_fire_at"] > schedule["last_fired_at"]


async def test_a_change_of_cron_is_a_version_and_all_its_fields_come_back(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json={"slug": "nightly"}), 201)
    fields = {"cron": "0 6 * * *", "timezone": "Asia/Tokyo", "catch_up": "all", "overlap": "cancel"}
    changed = await ok(server.admin.patch("/v1/jobs/nightly", json={**fields, "payload_template": {"n": [1]}}))
    assert {name: changed[name] for name in fields} == fields
    assert (changed["version"], changed["payload_template"]) == (2, {"n": [1]})
    again: dict[str, Any] = {
        "cron": None,
        "timezone": "UTC",
        "catch_up": "one",
        "overlap": "allow",
        "payload_template": {},
    }
    details = await refused(server.admin.patch("/v1/jobs/nightly", json={"cron": None}), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == list(again)[1:]
    assert (await ok(server.admin.patch("/v1/jobs/nightly", json=again)))["version"] == 3
