"""Runs behind endpoints that start others: what their code is told, and who hears of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.accepted import Entrusted, Scene, scene
from tests.api.served import ok, refused


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("children")) as made:
        await made.job()
        await made.job("child", max_attempts=1)
        yield made


async def spawn(run: Entrusted, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await run.call("spawn", {"job_slug": "child", **body})
    return made


async def test_a_spawned_run_is_a_child_and_is_answered_whole(world: Scene):
    run = await world.accepted()
    made = await spawn(run, payload={"n": 1}, project_id="default", priority=3)
    assert (made["parent_run_id"], made["triggered_by"], made["priority"]) == (run.run_id, "spawn", 3)
    assert (made["parent_status"], made["awaited"], made["idempotency_hit"], made["stop"]) == (
        "executing",
        None,
        False,
        None,
    )
    children = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/children"))
    assert [child["id"] for child in children] == [made["id"]]


async def test_appendix_c_3_a_spawn_that_awaits_resumes_the_parent_with_the_result_of_its_child(world: Scene):
    run = await world.accepted()
    made = await spawn(run, await_completion=True, await_timeout_secs=60)
    assert made["parent_status"] == "waiting"
    child = await world.entrusted(made["id"])
    await child.call("complete", {"result": {"password": "hunter2-hunter2", "n": 1}}, 200)
    again = await world.entrusted(run.run_id, times=2)
    told = await spawn(again, await_completion=True)
    assert told["id"] == made["id"]
    assert told["awaited"] == {
        "run_id": made["id"],
        "status": "completed",
        "result": {"password": "hunter2-hunter2", "n": 1},
        "error": None,
        "error_class": None,
    }
    assert told["parent_status"] == "executing"
    await again.call("complete", {"result": {}}, 200)


async def test_a_parent_is_told_that_its_child_failed(world: Scene):
    run = await world.accepted()
    made = await spawn(run, await_completion=True)
    await (await world.entrusted(made["id"])).call("fail", {"error": "boom", "error_class": "Boom"}, 200)
    told = await spawn(await world.entrusted(run.run_id, times=2), await_completion=True)
    end = told["awaited"]
    assert (end["status"], end["error"], end["error_class"]) == ("failed", "boom", "Boom")


async def test_what_cannot_be_spawned_is_refused_and_the_run_executes_on(world: Scene):
    run = await world.accepted()
    other = await ok(world.server.admin.post("/v1/projects", json={"name": "other", "slug": "other"}), 201)
    for body, status, code in (
        ({"job_slug": "nobody"}, 404, "jobs.not_found"),
        ({"job_slug": "child", "project_id": other["id"]}, 404, "projects.not_found"),
        ({"payload": {}}, 422, "request.invalid"),
        ({"job_slug": "child", "job": "child"}, 422, "request.invalid"),
        ({"job_slug": "child", "await_timeout_secs": 0}, 422, "request.invalid"),
    ):
        await refused(run.client.post(run.path("spawn"), json=body), status, code)
    assert (await world.run(run.run_id))["status"] == "executing"


async def test_appendix_c_24_the_lineage_of_a_run_is_its_chain_of_continuations_and_ends(world: Scene):
    run = first = await world.accepted({"n": 0})
    ids = [first.run_id]
    for depth in (1, 2):
        made = await run.call("continue", {"payload": {"n": depth}})
        assert (made["continuation_of"], made["lineage_depth"], made["job_id"]) == (ids[-1], depth, made["job_id"])
        ids.append(made["id"])
        run = await world.entrusted(made["id"])
    for of in ids:
        listed = await ok(world.server.admin.get(f"/v1/runs/{of}/lineage"))
        assert [each["id"] for each in listed] == ids
    page = await world.server.admin.get(f"/v1/runs/{ids[0]}/lineage", params={"limit": 2})
    rest = await world.server.admin.get(
        f"/v1/runs/{ids[0]}/lineage", params={"limit": 2, "cursor": page.headers["x-next-cursor"]}
    )
    assert [each["id"] for each in (*page.json(), *rest.json())] == ids
    assert "x-next-cursor" not in rest.headers
    await refused(world.server.admin.get(f"/v1/runs/run_{'0' * 32}/lineage"), 404, "runs.not_found")
    assert (await first.call("complete", None, 200))["status"] == "completed"


async def test_there_is_an_end_to_continuations(tmp_path: Path):
    async with scene(tmp_path, lineage_max=1) as world:
        await world.job()
        run = await world.accepted()
        made = await run.call("continue")
        again = await world.entrusted(made["id"])
        await refused(again.client.post(again.path("continue")), 409, "runs.lineage_too_deep")
