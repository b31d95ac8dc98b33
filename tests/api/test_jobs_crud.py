"""Jobs over HTTP: created, found by id or slug, changed in versions, deleted; and what is refused, where."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec import UnsetType

from runwright.api import instants
from runwright.api.jobs.job_schemas import CreateJobRequest, Shown, UpdateJobRequest
from runwright.domain.job import JobDefinition
from tests.api.served import Served, ok, refused, serving

EVERYTHING: dict[str, Any] = {
    "name": "Index the library",
    "slug": "index",
    "description": "Reads every book.",
    "execution_mode": "worker",
    "endpoint_url": None,
    "fallback_endpoint_url": None,
    "retry_on": [],
    "heartbeat_timeout_secs": 60,
    "command": [],
    "tty": False,
    "preset": "micro",
    "network": "none",
    "queue": "books.big",
    "handler": "index-one",
    "max_attempts": 7,
    "timeout_secs": 1.5,
    "retry_strategy": "custom",
    "retry_initial_delay_secs": 2,
    "retry_max_delay_secs": 60,
    "retry_delays_secs": [1, 2.5, 30],
    "retry_jitter": "none",
    "max_concurrency": 4,
    "max_concurrency_per_key": 1,
    "run_ttl_secs": 3600,
    "priority": 9,
    "tags": {"team": "library"},
    "default_metadata": {"shelf": "A"},
    "poison_pill_threshold": 2,
    "rerun_unknown_steps": True,
    "cron": "0 6 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "catch_up": "all",
    "overlap": "skip",
    "payload_template": {"shelf": {"n": 1}},
    "payload_schema": {"type": "object", "required": ["shelf"]},
    "result_schema": {"properties": {"books": {"type": "integer"}}},
    "environment": None,
    "webhook_url": "https://hooks.example.com/ends",
    "execution_window_cron": "* 8-17 * * *",
    "dedup_window_secs": None,
    "rate_limit": {"max": 5, "window_secs": 60},
    "debounce": {"window_secs": 5, "max_wait_secs": 60},
    "batch": None,
    "on_complete": [{"job": "mail", "payload_template": {"a": "{{result.b}}"}}],
    "on_failure": [{"job": "alarm", "payload_template": None}],
    "event_triggers": [
        {"key": "book.sold", "prefix": None, "filter": {"n": 1}, "payload_template": {"shelf": "{{payload.shelf}}"}},
        {"key": None, "prefix": "shelf.", "filter": {}, "payload_template": None},
    ],
    "enabled": False,
}
DEFAULTS: dict[str, Any] = {
    "description": "",
    "execution_mode": "worker",
    "endpoint_url": None,
    "fallback_endpoint_url": None,
    "retry_on": [],
    "heartbeat_timeout_secs": 60,
    "command": [],
    "tty": False,
    "preset": "micro",
    "network": "none",
    "queue": "default",
    "handler": None,
    "max_attempts": 3,
    "timeout_secs": 300,
    "retry_strategy": "exponential",
    "retry_initial_delay_secs": 1,
    "retry_max_delay_secs": 3600,
    "retry_delays_secs": [],
    "retry_jitter": "proportional",
    "max_concurrency": None,
    "max_concurrency_per_key": None,
    "run_ttl_secs": None,
    "priority": 0,
    "tags": {},
    "default_metadata": {},
    "poison_pill_threshold": None,
    "rerun_unknown_steps": False,
    "cron": None,
    "timezone": "UTC",
    "catch_up": "one",
    "overlap": "allow",
    "payload_template": {},
    "payload_schema": None,
    "result_schema": None,
    "environment": None,
    "webhook_url": None,
    "execution_window_cron": None,
    "dedup_window_secs": None,
    "rate_limit": None,
    "debounce": None,
    "batch": None,
    "on_complete": [],
    "on_failure": [],
    "event_triggers": [],
    "enabled": True,
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server with one job, for requests that change nothing."""
    async with serving(tmp_path_factory.mktemp("standing")) as served:
        await create(served.admin, slug="greet")
        yield served


async def create(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Create a job and return it."""
    job: dict[str, Any] = await ok(client.post("/v1/jobs", json=fields), 201)
    return job


def test_the_shapes_of_jobs_have_the_fields_of_the_definition() -> None:
    def fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
        return {each.name: each.type for each in msgspec.structs.fields(kind)}

    definition = fields(JobDefinition)
    spelled = {"rate_limit_max", "rate_limit_window_secs"}
    assert set(fields(CreateJobRequest)) == {*definition, "project_id"} | spelled
    assert set(fields(Shown)) == set(definition)
    assert fields(UpdateJobRequest) == {name: kind | UnsetType for name, kind in definition.items()}


async def test_a_job_has_its_defaults_and_every_field(server: Served) -> None:
    job = await create(server.admin, slug="greet")
    project = (await ok(server.admin.get("/v1/projects")))[0]
    assert job == {
        **DEFAULTS,
        "name": "greet",
        "slug": "greet",
        "id": job["job_id"],
        "job_id": job["job_id"],
        "org_id": project["org_id"],
        "project_id": project["id"],
        "version": 1,
        "job_version_id": job["job_version_id"],
        "created_at": job["created_at"],
        "updated_at": job["created_at"],
        "signing_secret": None,
    }
    assert job["id"].startswith("job_")
    assert job["job_version_id"].startswith("jobv_")
    assert len(job["created_at"]) == len("2026-11-21T08:15:00.000001Z")


async def test_every_field_that_is_accepted_is_kept(server: Served) -> None:
    job = await create(server.admin, **EVERYTHING, project_id="default")
    assert {name: job[name] for name in EVERYTHING} == EVERYTHING
    assert await ok(server.admin.get("/v1/jobs/index")) == {**job, "signing_secret": None}
    assert set(EVERYTHING) == set(JobDefinition.__struct_fields__)
    of_others = ["execution_mode", "endpoint_url", "fallback_endpoint_url", "retry_on", "heartbeat_timeout_secs"]
    of_others += ["command", "tty", "preset", "network", "environment", "dedup_window_secs", "batch"]
    assert [name for name in DEFAULTS if EVERYTHING[name] == DEFAULTS[name]] == of_others


async def test_a_command_and_what_goes_with_it_are_kept(server: Served) -> None:
    said = {"execution_mode": "process", "command": ["python3", "-u", ""], "tty": True, "preset": "large-2x"}
    said |= {"network": "host"}
    job = await create(server.admin, slug="command", **said)
    assert {name: job[name] for name in said} == said
    changed = await ok(server.admin.patch("/v1/jobs/command", json={"command": ["true"], "preset": "micro"}))
    assert (changed["command"], changed["preset"], changed["version"]) == (["true"], "micro", 2)


async def test_a_name_suggests_the_slug(server: Served) -> None:
    assert (await create(server.admin, name="Send the Report!"))["slug"] == "send-the-report"


async def test_a_job_is_found_by_id_and_by_slug(server: Served) -> None:
    job = await create(server.admin, slug="greet")
    for path in ("greet", job["id"], "greet?project_id=default", f"{job['id']}?project_id={job['project_id']}"):
        assert await ok(server.admin.get(f"/v1/jobs/{path}")) == job
    for path in ("nothing", "job_" + "0" * 32, "GREET", "greet%20", "x" * 500):
        await refused(server.admin.get(f"/v1/jobs/{path}"), 404, "jobs.not_found")
    await refused(server.admin.get("/v1/jobs/greet?project_id=nowhere"), 404, "projects.not_found")


async def test_one_slug_names_a_job_in_each_project(server: Served) -> None:
    await ok(server.admin.post("/v1/projects", json={"slug": "mill"}), 201)
    here = await create(server.admin, slug="greet")
    there = await create(server.admin, slug="greet", project_id="mill")
    assert await ok(server.admin.get("/v1/jobs/greet")) == here
    assert await ok(server.admin.get("/v1/jobs/greet?project_id=mill")) == there
    assert await ok(server.admin.get(f"/v1/jobs/{there['id']}")) == there
    await refused(server.admin.get(f"/v1/jobs/{there['id']}?project_id=default"), 404, "jobs.not_found")
    await refused(server.admin.post("/v1/jobs", json={"slug": "greet"}), 409, "conflict.already_exists")
    bound = await server.key("jobs:read", "jobs:write", project_id="mill")
    assert await ok(bound.get("/v1/jobs/greet")) == there
    await refused(bound.get(f"/v1/jobs/{here['id']}"), 404, "jobs.not_found")
    assert await ok(bound.get("/v1/jobs")) == [there]
    assert await ok(server.admin.get("/v1/jobs")) == [there, here]
    assert await ok(server.admin.get("/v1/jobs?project_id=default")) == [here]
    await refused(bound.get("/v1/jobs?project_id=default"), 404, "projects.not_found")
    assert (await create(bound, slug="mine"))["project_id"] == there["project_id"]


async def test_a_change_makes_a_version_and_no_change_makes_none(server: Served) -> None:
    first = await create(server.admin, slug="greet", tags={"a": "1", "b": "2"}, run_ttl_secs=60)
    second = await ok(server.admin.patch("/v1/jobs/greet", json={"max_attempts": 9, "tags": {"c": "3"}}))
    assert (second["version"], second["max_attempts"], second["tags"]) == (2, 9, {"c": "3"})
    assert second["job_version_id"] != first["job_version_id"]
    assert (second["id"], second["created_at"]) == (first["id"], first["created_at"])
    assert second["updated_at"] > first["updated_at"]
    for body in ({}, {"max_attempts": 9}, {"tags": {"c": "3"}, "enabled": True}):
        assert await ok(server.admin.patch(f"/v1/jobs/{first['id']}", json=body)) == second
    third = await ok(server.admin.patch("/v1/jobs/greet", json={"run_ttl_secs": None}))
    assert (third["version"], third["run_ttl_secs"]) == (3, None)

    versions = await ok(server.admin.get("/v1/jobs/greet/versions"))
    assert [each["version"] for each in versions] == [1, 2, 3]
    assert [each["max_attempts"] for each in versions] == [3, 9, 9]
    assert [each["job_version_id"] for each in versions] == [each["job_version_id"] for each in (first, second, third)]
    assert {each["created_by"] for each in versions} == {(await ok(server.admin.get("/v1/me")))["actor"]}
    assert {name for each in versions for name in each} >= set(EVERYTHING)
    newest = await ok(server.admin.get("/v1/jobs/greet/versions?order=desc&limit=1"))
    assert [each["version"] for each in newest] == [3]


async def test_a_renamed_job_is_found_by_its_new_slug_alone(server: Served) -> None:
    await create(server.admin, slug="taken")
    job = await create(server.admin, slug="greet")
    await refused(server.admin.patch("/v1/jobs/greet", json={"slug": "taken"}), 409, "conflict.already_exists")
    await ok(server.admin.patch("/v1/jobs/greet", json={"slug": "welcome"}))
    assert (await ok(server.admin.get("/v1/jobs/welcome")))["id"] == job["id"]
    await refused(server.admin.get("/v1/jobs/greet"), 404, "jobs.not_found")
    assert (await create(server.admin, slug="greet"))["id"] != job["id"]


async def test_a_deleted_job_is_gone_and_its_slug_is_free(server: Served) -> None:
    job = await create(server.admin, slug="greet")
    await ok(server.admin.delete("/v1/jobs/greet"), 204)
    for call in (
        server.admin.get("/v1/jobs/greet"),
        server.admin.get(f"/v1/jobs/{job['id']}"),
        server.admin.get(f"/v1/jobs/{job['id']}/versions"),
        server.admin.patch("/v1/jobs/greet", json={"priority": 1}),
        server.admin.delete("/v1/jobs/greet"),
        server.admin.post("/v1/jobs/greet/trigger"),
    ):
        await refused(call, 404, "jobs.not_found")
    assert await ok(server.admin.get("/v1/jobs")) == []
    again = await create(server.admin, slug="greet")
    assert (again["version"], again["id"] != job["id"]) == (1, True)


async def test_a_job_with_live_runs_stays(server: Served) -> None:
    later = {"scheduled_at": instants.text(server.house.services.clock.now() + 3_600_000_000)}
    await create(server.admin, slug="other")
    await ok(server.admin.post("/v1/jobs/other/trigger", json=later), 201)
    await create(server.admin, slug="greet")
    run = await ok(server.admin.post("/v1/jobs/greet/trigger", json=later), 201)
    assert (await refused(server.admin.delete("/v1/jobs/greet"), 409, "conflict"))["run_id"] == run["id"]
    await ok(server.admin.delete(f"/v1/runs/{run['id']}"))
    await ok(server.admin.delete("/v1/jobs/greet"), 204)
    assert (await ok(server.admin.get(f"/v1/runs/{run['id']}")))["job_version"] == 1


async def test_a_repeated_request_finds_its_job(server: Served) -> None:
    def make(headers: dict[str, str], **fields: Any):
        return server.admin.post("/v1/jobs", json={"slug": "greet", **fields}, headers=headers)

    key = {"Idempotency-Key": "once"}
    first = await ok(make(key), 201)
    assert await ok(make(key)) == first
    assert await ok(make({"X-Idempotency-Key": "once"}, project_id="default")) == first
    changed = await ok(server.admin.patch("/v1/jobs/greet", json={"priority": 3}))
    assert await ok(make(key)) == changed, "the job as it is now"
    details = await refused(make(key, priority=4), 409, "idempotency.mismatch")
    assert len({details["expected"], details["given"]}) == 2
    await refused(make({"Idempotency-Key": "twice"}), 409, "conflict.already_exists")
    await ok(server.admin.delete("/v1/jobs/greet"), 204)
    assert (await ok(make(key), 201))["id"] != first["id"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "slug"),
        ({"name": "!"}, "slug"),
        ({"slug": "Greet"}, "slug"),
        ({"slug": "_greet"}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "greet\n"}, "slug"),
        ({"slug": "é"}, "slug"),
        ({"slug": "g" * 129}, "slug"),
        ({"slug": "job_" + "019a9f3c2b107abc8def0123456789ab"}, "slug"),
        ({"slug": "g", "name": ""}, "name"),
        ({"slug": "g", "name": "n" * 256}, "name"),
        ({"slug": "g", "name": "a\0b"}, "name"),
        ({"slug": "g", "execution_mode": "container"}, "execution_mode"),
        ({"slug": "g", "execution_mode": "process"}, "command"),
        ({"slug": "g", "execution_mode": "process", "command": [""]}, "command"),
        ({"slug": "g", "execution_mode": "process", "command": ["a"] * 257}, "command"),
        ({"slug": "g", "execution_mode": "process", "command": ["a"], "preset": "huge"}, "preset"),
        ({"slug": "g", "execution_mode": "process", "command": ["a"], "network": "all"}, "network"),
        ({"slug": "g", "execution_mode": "process", "command": ["a"], "handler": "h"}, "handler"),
        ({"slug": "g", "execution_mode": "process", "command": ["a"], "retry_on": [503]}, "retry_on"),
        ({"slug": "g", "command": ["a"]}, "command"),
        ({"slug": "g", "tty": True}, "tty"),
        ({"slug": "g", "preset": "small-1x"}, "preset"),
        ({"slug": "g", "network": "host"}, "network"),
        ({"slug": "g", "execution_mode": "http"}, "endpoint_url"),
        ({"slug": "g", "execution_mode": "http", "endpoint_url": None}, "endpoint_url"),
        ({"slug": "g", "fallback_endpoint_url": "https://example.com"}, "fallback_endpoint_url"),
        ({"slug": "g", "retry_on": [503]}, "retry_on"),
        ({"slug": "g", "heartbeat_timeout_secs": 61}, "heartbeat_timeout_secs"),
        ({"slug": "g", "execution_mode": "worker", "endpoint_url": "https://example.com"}, "endpoint_url"),
        ({"slug": "g", "queue": ""}, "queue"),
        ({"slug": "g", "queue": "a b"}, "queue"),
        ({"slug": "g", "queue": "a\n"}, "queue"),
        ({"slug": "g", "handler": "a\n"}, "handler"),
        ({"slug": "g", "max_attempts": 0}, "max_attempts"),
        ({"slug": "g", "max_attempts": 101}, "max_attempts"),
        ({"slug": "g", "max_attempts": 2.5}, "max_attempts"),
        ({"slug": "g", "max_attempts": None}, "max_attempts"),
        ({"slug": "g", "timeout_secs": 0.9}, "timeout_secs"),
        ({"slug": "g", "timeout_secs": 86_401}, "timeout_secs"),
        ({"slug": "g", "timeout_secs": "300"}, "timeout_secs"),
        ({"slug": "g", "retry_strategy": "never"}, "retry_strategy"),
        ({"slug": "g", "retry_initial_delay_secs": -1}, "retry_initial_delay_secs"),
        ({"slug": "g", "retry_strategy": "custom"}, "retry_delays_secs"),
        ({"slug": "g", "retry_delays_secs": [1]}, "retry_delays_secs"),
        ({"slug": "g", "retry_strategy": "custom", "retry_delays_secs": [1] * 101}, "retry_delays_secs"),
        ({"slug": "g", "retry_strategy": "custom", "retry_delays_secs": [1, -1]}, "retry_delays_secs[1]"),
        ({"slug": "g", "retry_jitter": True}, "retry_jitter"),
        ({"slug": "g", "max_concurrency": 0}, "max_concurrency"),
        ({"slug": "g", "max_concurrency_per_key": 0}, "max_concurrency_per_key"),
        ({"slug": "g", "run_ttl_secs": 0}, "run_ttl_secs"),
        ({"slug": "g", "priority": 11}, "priority"),
        ({"slug": "g", "tags": {"k": 1}}, "tags[...]"),
        ({"slug": "g", "tags": {"k": "v" * 257}}, "tags[...]"),
        ({"slug": "g", "tags": {str(n): "" for n in range(65)}}, "tags"),
        ({"slug": "g", "default_metadata": {"k": "v" * 1025}}, "default_metadata[...]"),
        ({"slug": "g", "poison_pill_threshold": 0}, "poison_pill_threshold"),
        ({"slug": "g", "enabled": 1}, "enabled"),
        ({"slug": "g", "cron": "* * * *"}, "cron"),
        ({"slug": "g", "cron": "0 0 30 2 *"}, "cron"),
        ({"slug": "g", "cron": "9" * 201}, "cron"),
        ({"slug": "g", "cron": "* * * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"slug": "g", "cron": "* * * * *", "catch_up": "some"}, "catch_up"),
        ({"slug": "g", "cron": "* * * * *", "overlap": "wait"}, "overlap"),
        ({"slug": "g", "cron": "* * * * *", "payload_template": [1]}, "payload_template"),
        ({"slug": "g", "timezone": "Europe/Berlin"}, "timezone"),
        ({"slug": "g", "catch_up": "all"}, "catch_up"),
        ({"slug": "g", "overlap": "skip"}, "overlap"),
        ({"slug": "g", "payload_template": {"a": 1}}, "payload_template"),
        ({"slug": "g", "every": "1h"}, "every"),
        ({"slug": "g", "id": "job_1"}, "id"),
    ],
)
async def test_a_job_that_says_nonsense_is_refused_at_its_place(standing: Served, body, path) -> None:
    details = await refused(standing.admin.post("/v1/jobs", json=body), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == [path]
    assert [each["slug"] for each in await ok(standing.admin.get("/v1/jobs"))] == ["greet"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": None}, "max_attempts"),
        ({"project_id": "default"}, "project_id"),
        ({"version": 7}, "version"),
        ({"retry_strategy": "custom"}, "retry_delays_secs"),
        ({"retry_delays_secs": [1]}, "retry_delays_secs"),
        ({"slug": "job_" + "019a9f3c2b107abc8def0123456789ab"}, "slug"),
    ],
)
async def test_a_change_that_says_nonsense_changes_nothing(standing: Served, body, path) -> None:
    job = await ok(standing.admin.get("/v1/jobs/greet"))
    details = await refused(standing.admin.patch("/v1/jobs/greet", json=body), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == [path]
    assert await ok(standing.admin.get("/v1/jobs/greet")) == job


async def test_jobs_have_scopes(server: Served) -> None:
    await create(server.admin, slug="greet")
    reader, writer = await server.key("jobs:read"), await server.key("jobs:write")
    for call in (
        reader.post("/v1/jobs", json={"slug": "x"}),
        reader.patch("/v1/jobs/greet", json={"priority": 1}),
        reader.delete("/v1/jobs/greet"),
        writer.get("/v1/jobs"),
        writer.get("/v1/jobs/greet"),
        writer.get("/v1/jobs/greet/versions"),
    ):
        await refused(call, 403, "auth.missing_scope")
    assert len(await ok(reader.get("/v1/jobs"))) == 1
    await ok(writer.patch("/v1/jobs/greet", json={"priority": 1}))


async def test_another_organizations_jobs_are_not_there(server: Served) -> None:
    job = await create(server.admin, slug="greet")
    other = await server.neighbour()
    for ident in (job["id"], "greet"):
        for call in (
            other.get(f"/v1/jobs/{ident}"),
            other.get(f"/v1/jobs/{ident}/versions"),
            other.patch(f"/v1/jobs/{ident}", json={"priority": 1}),
            other.delete(f"/v1/jobs/{ident}"),
        ):
            await refused(call, 404, "jobs.not_found")
    await refused(other.get(f"/v1/jobs?project_id={job['project_id']}"), 404, "projects.not_found")
    foreign = {"slug": "x", "project_id": job["project_id"]}
    await refused(other.post("/v1/jobs", json=foreign), 404, "projects.not_found")
    assert await ok(other.get("/v1/jobs")) == []
    assert await ok(server.admin.get("/v1/jobs/greet")) == job


async def test_jobs_are_paged_newest_first_without_gap_or_repeat(server: Served) -> None:
    made = [(await create(server.admin, slug=f"job-{number}"))["id"] for number in range(7)]
    for query in ("", "&project_id=default"):
        seen, path = [], f"/v1/jobs?limit=3{query}"
        while path:
            response = await server.admin.get(path)
            seen += [each["id"] for each in response.json()]
            path = response.headers.get("link", "").partition(">")[0].lstrip("<")
        assert seen == made[::-1]
    before = await ok(server.admin.get(f"/v1/jobs?before={made[2]}"))
    assert [each["id"] for each in before] == [made[1], made[0]]
