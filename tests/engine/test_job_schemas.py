"""Payloads and results are what their job's schemas say, or no run begins, and none completes."""

from typing import Any

import pytest

from runwright.client.handlers import job
from runwright.engine.jobs import Change
from runwright.errors import InvalidRequest
from tests.engine.world import ADMIN, PROJECT, World, settled
from tests.waiting import until

PAGES = {"type": "object", "required": ["pages"], "properties": {"pages": {"type": "integer", "minimum": 1}}}


async def made(world: World, **definition: Any) -> Change:
    """Make a job that is stored: a result is judged by the version that its run is of."""
    return (await world.engine.jobs.create(ADMIN, PROJECT, world.job("write", **definition).definition)).value


async def test_a_payload_that_its_job_refuses_makes_no_run(world: World):
    asked = world.job(payload_schema=PAGES)
    await world.submit(asked, payload={"pages": 3})
    for payload, path in (({}, "payload"), ({"pages": 0}, "payload.pages"), ({"pages": "3"}, "payload.pages")):
        with pytest.raises(InvalidRequest) as refused:
            world.order(asked, payload=payload)
        assert refused.value.code == "payload.schema_mismatch"
        assert [field.path for field in refused.value.fields] == [path]
    assert world.rows("SELECT count(*) FROM runs") == [(1,)]


async def test_a_result_that_its_job_refuses_fails_the_run_at_once(open_world):
    @job(slug="write", max_attempts=5)
    async def write(ctx, payload):
        return payload.get("result")

    world = await open_world(write)
    changed = await made(world, max_attempts=5, result_schema=PAGES)
    good, bad, none, text = [
        await world.submit(changed.job, payload={"result": result})
        for result in ({"pages": 2}, {"pages": "hunter2-the-secret"}, None, "pages")
    ]
    await world.engine.jobs.update(ADMIN, changed.job, {"result_schema": None})
    world.engine.start()
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    await settled(world)
    assert await world.state(good) == "completed"
    for run_id in (bad, none, text):
        run = await world.run(run_id)
        assert (run.state, run.reason, run.attempt, run.error_class) == ("failed", "rejected", 1, "ResultInvalid")
        data = await world.data(run_id, "run.failed")
        assert (data["code"], data["retryable"]) == ("result.schema_mismatch", False)
        assert data["error"].startswith("the result is not what the job's result_schema says: result")
        assert "hunter2" not in data["error"]
    assert "result.pages: the value is not of type" in ((await world.run(bad)).error or "")
    await world.check()


async def test_a_job_without_schemas_says_nothing_of_them_in_its_runs(world: World):
    spec = (await world.run(await world.submit(world.job()))).spec
    assert not spec.checks_result
    assert b"checks_result" not in world.rows("SELECT opening FROM runs")[0][0]


async def test_schemas_that_differ_only_by_one_and_true_are_two_versions(world: World):
    first = (await made(world, payload_schema={"const": 1})).job
    again = (await world.engine.jobs.update(ADMIN, first, {"payload_schema": {"const": 1}})).job
    other = (await world.engine.jobs.update(ADMIN, first, {"payload_schema": {"const": True}})).job
    assert (again.version, other.version) == (1, 2)


async def test_a_template_that_the_jobs_own_schema_refuses_is_refused_with_it(world: World):
    with pytest.raises(InvalidRequest) as refused:
        await made(world, payload_schema=PAGES, cron="* * * * *", payload_template={"pages": 0})
    assert [field.path for field in refused.value.fields] == ["payload_template.pages"]
