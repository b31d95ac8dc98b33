"""Retention forgets ended runs with everything of theirs, and never a live one."""

import msgspec
import pytest

from runwright.auth.tickets import Tickets
from runwright.domain import outcome as o
from runwright.domain.commands import Append
from runwright.domain.workforce import Introduction
from tests.engine.world import ADMIN, PROJECT, World
from tests.waiting import until

DAY_S = 86_400
OTHER = msgspec.structs.replace(PROJECT, project_id="proj_2", slug="other")
AUDITED = "SELECT data FROM audit WHERE action = 'runs.pruned' ORDER BY number"


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


async def test_an_old_run_leaves_its_summary_and_proof_that_retention_took_the_rest(open_world):
    world = await open_world(retention_days=7, value_inline_max_bytes=0)
    old = await ended(world)
    world.clock.advance(3 * DAY_S)
    young = await ended(world)
    world.clock.advance(4 * DAY_S + 1)
    assert files(world) == 2
    before = await world.record(old)
    await world.round_of(world.engine.pruner.loop)
    record = await world.record(old)
    assert (record.run, record.pruned_at) == (before.run, world.clock.now())
    assert (record.payload, world.reader().payload(record), world.reader().result(record)) == (None, None, None)
    assert (await world.record(young)).pruned_at is None
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
    await until(lambda: not world.rows("SELECT run_id FROM runs WHERE pruned_at IS NULL"))
    await until(lambda: world.engine.pruner.loop.rounds >= 3)
    assert [msgspec.json.decode(data)["runs"] for (data,) in world.rows(AUDITED)] == [3, 3, 2]
    await world.check()


async def test_a_summary_is_kept_for_a_time_of_its_own(open_world):
    world = await open_world(retention_days=1, summary_retention_days=5, prune_batch=2)
    run_ids = {await ended(world) for _ in range(3)}
    for later_days, left in ((4.9, 3), (0, 3), (0.2, 1), (0, 0)):
        world.clock.advance(later_days * DAY_S)
        await world.round_of(world.engine.pruner.loop)
        assert len(world.rows("SELECT run_id FROM runs")) == left
        assert run_ids >= {run_id for (run_id,) in world.rows("SELECT run_id FROM runs")}
    assert await world.store.record(next(iter(run_ids))) is None


async def test_the_child_of_a_live_run_is_kept_whole(open_world):
    world = await open_world(retention_days=1)
    parent = await world.submit(world.job())
    child = await world.submit(world.job(), parent_run_id=parent)
    taken = {run.run_id: run for run in await world.take(2)}
    await world.finish(taken[child], o.Completed())
    for day, pruned in ((2, False), (4, True)):
        world.clock.advance(2 * DAY_S)
        await world.round_of(world.engine.pruner.loop)
        assert ((await world.record(child)).pruned_at is not None) is pruned, day
        if not pruned:
            await world.finish(taken[parent], o.Completed())


async def test_what_was_thinned_can_be_erased_and_stays_proven(open_world):
    world = await open_world(retention_days=1)
    run_ids = [await ended(world) for _ in range(5)]
    world.clock.advance(2 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_ids[2])
    record = await world.record(run_ids[2])
    assert record.erased_at is not None
    assert record.pruned_at is not None
    await world.check()


async def test_while_an_older_server_may_be_at_work_nothing_is_thinned(open_world):
    world = await open_world(retention_days=1)
    await ended(world)
    world.clock.advance(2 * DAY_S)
    world.database.change("UPDATE migrations SET applied_at = ? WHERE name = 'pruned'", world.clock.now())
    for later_s, thinned in ((0, 0), (3599, 0), (1, 1)):
        world.clock.advance(later_s)
        await world.round_of(world.engine.pruner.loop)
        assert len(world.rows("SELECT 1 FROM runs WHERE pruned_at IS NOT NULL")) == thinned


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


@pytest.mark.parametrize(("server", "own", "kept_days"), [(0, 2.5, 2.5), (5, 2.5, 2.5), (2, 2.5, 2), (3, None, 3)])
async def test_a_project_may_have_its_logs_go_earlier_than_the_server_says_and_never_later(
    open_world, server: float, own: float | None, kept_days: float
):
    world = await open_world(retention_days=server)
    world.database.change("UPDATE projects SET retention_days = ? WHERE project_id = 'proj_1'", own)
    mine, other = await ended(world), await world.submit(world.job(project=OTHER), OTHER)
    await world.finish((await world.take())[0], o.Completed())
    for later_s, gone in ((-1, False), (2, True)):
        world.clock.advance((kept_days * DAY_S if later_s < 0 else 0) + later_s)
        await world.round_of(world.engine.pruner.loop)
        assert ((await world.record(mine)).pruned_at is not None) is gone
    assert ((await world.record(other)).pruned_at is not None) is (server == kept_days)
    await world.check()
