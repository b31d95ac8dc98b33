"""Why a run is not executing: each answer where it is true, over real stores."""

from msgspec.structs import replace

from runwright import job
from runwright.client.context import Context
from runwright.domain import outcome as o
from tests.engine.conftest import Opener
from tests.engine.nodes import introduced
from tests.engine.world import ADMIN, PROJECT, SECOND, World


@job
async def greet(ctx: Context, payload: dict[str, object]) -> None:
    """Do nothing."""


async def code(world: World, run_id: str) -> str:
    return (await world.engine.explainer.why(await world.run(run_id), world.clock.now())).code


async def test_states_say_what_they_wait_for(world: World):
    later = await world.submit(world.job(), scheduled_at=world.clock.now() + SECOND)
    assert await code(world, later) == "scheduled"
    await world.stop(later, "pause")
    assert await code(world, later) == "paused"
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    assert await code(world, run_id) == "executing"
    await world.finish(run, o.Parked(world.clock.now() + SECOND))
    assert await code(world, run_id) == "waiting"
    await world.stop(run_id)
    assert await code(world, run_id) == "ended"


async def test_a_full_limit_says_how_full_it_is_and_who_comes_first(world: World):
    limited = world.job(max_concurrency=1)
    first, second, third = [await world.submit(limited) for _ in range(3)]
    assert await code(world, first) == "no_worker"
    why = await world.engine.explainer.why(await world.run(third), world.clock.now())
    assert (why.code, why.limit is not None) == ("limit", True)
    assert why.limit is not None
    assert (why.limit.used, why.limit.max) == (1, 1)
    assert "1 runs wait for it before this one" in why.message
    assert (await world.engine.explainer.why(await world.run(second), world.clock.now())).message.count("0 runs") == 1


async def test_a_paused_queue_and_a_missing_worker_are_named(world: World):
    run_id = await world.submit(world.job())
    why = await world.engine.explainer.why(await world.run(run_id), world.clock.now())
    assert (why.code, "'greet'" in why.message) == ("no_worker", True)
    await world.engine.queues.pause(ADMIN, "default")
    assert await code(world, run_id) == "queue_paused"


async def test_a_worker_elsewhere_counts_while_it_is_heard_of(world: World):
    ahead, run_id = [await world.submit(world.job()) for _ in range(2)]
    said = introduced("wrk_1", project_id=PROJECT.project_id)
    await world.engine.workforce.enrol(said)
    why = await world.engine.explainer.why(await world.run(run_id), world.clock.now())
    assert (why.code, why.line is not None and (why.line.workers, why.line.free_slots)) == ("ready", (1, 1))
    (run,) = await world.take(1, "wrk_1")
    left = run_id if run.run_id == ahead else ahead
    assert await code(world, left) == "workers_busy"
    world.clock.advance(1000)
    assert await code(world, left) == "no_worker", "nobody has heard of it for long"


async def test_a_worker_elsewhere_that_runs_no_commands_is_none_for_a_command(world: World):
    run_id = await world.submit(world.job(execution_mode="process", command=("true",)))
    said = introduced("wrk_1", project_id=PROJECT.project_id)
    await world.engine.workforce.enrol(said)
    why = await world.engine.explainer.why(await world.run(run_id), world.clock.now())
    assert (why.code, "RUNWRIGHT_PROCESS_SLOTS" in why.message) == ("no_worker", True)
    await world.engine.workforce.enrol(replace(said, processes=True))
    assert await code(world, run_id) == "ready"


async def test_a_worker_of_this_process_counts(open_world: Opener):
    world = await open_world(greet)
    await world.engine.queues.pause(ADMIN, "default")
    run_id = await world.submit(world.job())
    why = await world.engine.explainer.why(await world.run(run_id), world.clock.now())
    assert (why.code, why.line is not None and why.line.workers) == ("queue_paused", 1)
