"""Who comes first: projects take turns, priority is a bounded head start, and who waits long is not forgotten."""

from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from tests.engine.world import PROJECT, World, settled

OTHER = Project("proj_2", "org_1", "other", "Other", 1.0, None, 0)
HEAVY = Project("proj_3", "org_1", "heavy", "Heavy", 2.0, None, 0)


async def fill(world: World, project: Project, count: int, **order: object) -> list[str]:
    definition = world.job(project=project)
    return [await world.submit(definition, project, **order) for _ in range(count)]


async def taken_of(world: World, project: Project, count: int) -> int:
    """Take runs and return how many were the project's; equal ranks come in any order, so one more or less is luck."""
    return sum(run.spec.project_id == project.project_id for run in await world.take(count))


async def test_runs_of_one_project_come_in_the_order_in_which_they_were_made(world: World):
    run_ids = []
    for _ in range(20):
        run_ids += await fill(world, PROJECT, 1)
        world.clock.advance(0.001)
    assert [run.run_id for run in await world.take(20)] == run_ids


async def test_a_project_with_few_runs_does_not_wait_behind_one_with_many(world: World):
    await fill(world, PROJECT, 50)
    await fill(world, OTHER, 5)
    assert await taken_of(world, OTHER, 10) in (4, 5, 6)


async def test_many_runs_made_at_once_take_as_many_turns_as_if_they_came_one_by_one(world: World):
    bulk = [world.order(world.job()) for _ in range(50)]
    await world.engine.commit.apply_all(bulk)
    await fill(world, OTHER, 5)
    assert await taken_of(world, OTHER, 10) in (4, 5, 6)


async def test_a_project_of_twice_the_weight_comes_twice_as_often(world: World):
    await fill(world, PROJECT, 30)
    await fill(world, HEAVY, 30)
    assert await taken_of(world, HEAVY, 30) in (19, 20, 21)


async def test_a_project_that_rested_has_saved_up_no_turns(world: World):
    await fill(world, PROJECT, 40)
    await world.take(20)
    await fill(world, OTHER, 20)
    assert await taken_of(world, OTHER, 10) in (4, 5, 6)


async def test_an_empty_queue_forgets_nobody_who_comes_back(world: World):
    await fill(world, PROJECT, 30)
    await world.take(30)
    await fill(world, PROJECT, 5)
    await fill(world, OTHER, 5)
    assert await taken_of(world, OTHER, 4) in (1, 2, 3)


async def test_priority_overtakes_all_but_the_first_in_line(world: World):
    low = await fill(world, PROJECT, 3)
    world.clock.advance(1)
    high = await fill(world, PROJECT, 1, priority=9)
    assert [run.run_id for run in await world.take(5)] == [low[0], *high, *low[1:]]


async def test_the_head_start_of_priority_is_bounded(world: World):
    old = (await fill(world, PROJECT, 1))[0]
    seen = 0
    while await world.state(old) == "queued":
        await fill(world, PROJECT, 10, priority=1)
        await world.take(10)
        seen += 10
        assert seen <= 150, "a hundred turns are the head start of one level"


async def test_queues_do_not_know_each_other(world: World):
    await fill(world, PROJECT, 5)
    there = await world.submit(world.job("elsewhere", queue="slow"))
    assert [run.run_id for run in await world.take(9, queue="slow")] == [there]
    assert len(await world.take(9)) == 5


async def test_a_run_that_was_held_keeps_the_rank_of_its_admission(world: World):
    definition = world.job("narrow", max_concurrency=1)
    first, held = [await world.submit(definition) for _ in range(2)]
    rank = (await world.run(held)).rank
    crowd = await fill(world, PROJECT, 10)
    run = (await world.take())[0]
    assert run.run_id == first
    await world.finish(run, o.Completed())
    await settled(world)
    assert (await world.run(held)).rank == rank
    assert [run.run_id for run in await world.take(2)] == [held, crowd[0]]
    await world.check()
