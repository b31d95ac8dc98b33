"""Retention forgets ended runs with everything of theirs, and never a live one."""

from runwright.auth.tickets import Tickets
from runwright.domain import outcome as o
from runwright.domain.commands import Append
from runwright.domain.workforce import Introduction
from tests.engine.world import ADMIN, World, until

DAY_S = 86_400


async def ended(world: World) -> str:
    """Make a run with a large output that has ended."""
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    packed, _ = await world.engine.values.pack("proj_1", run_id, "output", "k", {"n": "x" * 100})
    await world.engine.commit.apply(Append(run_id, run.lease_epoch, (), (packed,)))
    await world.finish(run, o.Completed())
    return run_id


def files(world: World) -> int:
    return sum(path.is_file() for path in (world.directory / "artifacts").rglob("*"))


async def test_without_a_retention_nothing_is_forgotten(open_world):
    world = await open_world()
    run_id = await ended(world)
    world.clock.advance(10_000 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    assert await world.state(run_id) == "completed"


async def test_an_old_run_goes_with_its_events_values_attempts_and_artifacts(open_world):
    world = await open_world(retention_days=7, value_inline_max_bytes=0)
    old = await ended(world)
    world.clock.advance(3 * DAY_S)
    young = await ended(world)
    world.clock.advance(4 * DAY_S + 1)
    assert files(world) == 2
    await world.round_of(world.engine.pruner.loop)
    assert await world.store.record(old) is None
    for table in ("run_events", "run_values", "attempts"):
        assert {run_id for (run_id,) in world.rows(f"SELECT run_id FROM {table}")} == {young}
    assert files(world) == 1
    await world.check()


async def test_live_runs_stay_however_old_they_are(open_world):
    world = await open_world(retention_days=1)
    run_ids = [await world.submit(world.job()) for _ in range(4)]
    await world.stop(run_ids[3], "pause")
    runs = {run.run_id: run for run in await world.take(2)}
    await world.finish(runs[run_ids[0]], o.Parked(world.clock.now() + 10**15))
    world.clock.advance(1000 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    states = [await world.state(run_id) for run_id in run_ids]
    assert states == ["waiting", "executing", "queued", "paused"]
    await world.check()


async def test_many_old_runs_go_batch_by_batch(open_world):
    world = await open_world(retention_days=1, prune_batch=3)
    for _ in range(8):
        await ended(world)
    world.clock.advance(2 * DAY_S)
    world.engine.pruner.loop.start()
    await until(lambda: not world.rows("SELECT run_id FROM runs"))
    await until(lambda: world.engine.pruner.loop.rounds >= 3)


async def test_tickets_that_are_over_are_forgotten(world: World):
    tickets = Tickets(world.store, world.settings, world.clock)
    await tickets.issue(ADMIN, "/v1/runs")
    world.clock.advance(30)
    await tickets.issue(ADMIN, "/v1/jobs")
    world.clock.advance(30)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT path FROM tickets") == [("/v1/jobs",)]


async def test_workers_that_were_not_seen_for_a_week_are_forgotten(world: World):
    fields = {"org_id": "org_1", "project_id": None, "name": "", "version": "", "sdk": "", "queues": ()}
    for number in (1, 2):
        said = Introduction(worker_id=f"wrk_{number}", handlers=("greet",), slots=1, **fields)  # type: ignore[arg-type]
        await world.engine.workforce.enrol(said)
        world.clock.advance(100 * 3600)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT worker_id FROM workers") == [("wrk_2",)]
