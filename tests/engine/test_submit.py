"""From an order for a job to a run that says what was ordered."""

import msgspec
import pytest

from runwright.domain.accounts import Project
from runwright.domain.limits import concurrency_key, job_key, project_key
from runwright.domain.run import Limit, Spec
from runwright.errors import Conflict, InvalidRequest
from tests.engine.world import ADMIN, SECOND, World

HEAVY = Project("proj_1", "org_1", "default", "Default", 2.5, 7, 0)


async def spec_of(world: World, run_id: str) -> Spec:
    """Return the spec as the log's first event has it, which is what readers and auditors see."""
    data = await world.data(run_id, "run.created")
    told = msgspec.convert(data["spec"], Spec)
    assert told == (await world.run(run_id)).spec
    return told


async def test_a_run_says_what_its_job_and_its_order_say(world: World):
    definition = world.job(
        "report",
        queue="slow",
        handler="make-report",
        max_attempts=5,
        timeout_secs=60,
        priority=2,
        tags={"team": "blue", "env": "test"},
        default_metadata={"a": "job"},
        max_concurrency=3,
        max_concurrency_per_key=1,
        poison_pill_threshold=4,
        rerun_unknown_steps=True,
    )
    run_id = await world.submit(
        definition,
        HEAVY,
        payload={"n": 1},
        tags={"env": "order"},
        metadata={"b": "order"},
        concurrency_key="k",
        batch_id="batch_1",
        parent_run_id="run_parent",
    )
    spec = await spec_of(world, run_id)
    assert (spec.queue, spec.handler, spec.max_attempts, spec.timeout_s) == ("slow", "make-report", 5, 60.0)
    assert (spec.priority, spec.weight, spec.poison_pill_threshold, spec.rerun_unknown_steps) == (2, 2.5, 4, True)
    assert spec.tags == {"team": "blue", "env": "order"}
    assert spec.metadata == {"a": "job", "b": "order"}
    assert spec.limits == (
        Limit(job_key(definition.job_id), 3),
        Limit(concurrency_key(definition.job_id, "k"), 1),
        Limit(project_key("proj_1"), 7),
    )
    assert (spec.batch_id, spec.parent_run_id, spec.triggered_by) == ("batch_1", "run_parent", "manual")
    assert (spec.job_version, spec.created_by, spec.trace_id) == (1, ADMIN.label, "t" * 32)


async def test_what_an_order_overrides_wins(world: World):
    run_id = await world.submit(
        world.job(max_attempts=5, timeout_secs=60, priority=2, retry_initial_delay_secs=1),
        priority=9,
        max_attempts_override=2,
        timeout_secs_override=5,
        retry_backoff="linear",
        retry_initial_delay_secs=7,
        retry_max_delay_secs=70,
    )
    spec = await spec_of(world, run_id)
    assert (spec.priority, spec.max_attempts, spec.timeout_s) == (9, 2, 5.0)
    assert (spec.retry.strategy, spec.retry.initial_ms, spec.retry.max_ms) == ("linear", 7000, 70_000)


async def test_expiry_counts_from_the_scheduled_time(world: World):
    now = world.clock.now()
    runs = [
        await world.run(await world.submit(world.job(run_ttl_secs=60))),
        await world.run(await world.submit(world.job(run_ttl_secs=60), ttl_secs=10)),
        await world.run(await world.submit(world.job(), ttl_secs=10, scheduled_at=now + 100 * SECOND)),
        await world.run(await world.submit(world.job(), ttl_secs=10, scheduled_at=now - 100 * SECOND)),
        await world.run(await world.submit(world.job())),
    ]
    assert [run.expires_at and (run.expires_at - now) // SECOND for run in runs] == [60, 10, 110, 10, None]
    assert [run.state for run in runs] == ["queued", "queued", "scheduled", "queued", "queued"]


async def test_a_disabled_job_starts_nothing(world: World):
    with pytest.raises(Conflict) as caught:
        await world.submit(world.job(enabled=False))
    assert caught.value.code == "jobs.disabled"


async def test_overrides_that_make_no_policy_are_refused(world: World):
    with pytest.raises(InvalidRequest) as caught:
        await world.submit(world.job(), retry_backoff="custom")
    assert [field.path for field in caught.value.fields] == ["retry_backoff"]


async def test_secrets_in_an_order_do_not_reach_the_log_and_the_chain_still_holds(world: World):
    secret = "hunter2-the-secret"
    run_id = await world.submit(world.job(), tags={"note": secret}, metadata={"password": "swordfish"})
    spec = await spec_of(world, run_id)
    assert secret not in str(spec)
    assert "swordfish" not in str(spec)
    await world.check()


async def test_runs_made_at_different_times_sort_by_their_ids(world: World):
    run_ids = []
    for _ in range(5):
        run_ids.append(await world.submit(world.job()))
        world.clock.advance(0.000001)
    assert run_ids == sorted(run_ids)
