"""Reschedule, debug, discard and free keys over real stores: what is durable, and what another engine finds."""

from typing import Any

import pytest

from runwright.domain import outcome as o
from runwright.errors import Conflict, InvalidTransition, NotFound
from runwright.store.queries.audit import ENTRIES
from tests.engine.conftest import Opener
from tests.engine.world import ADMIN, SECOND, World, failed

HOUR = 3600 * SECOND


async def reschedule(world: World, run_id: str, at: int, payload: dict[str, object] | None = None):
    reader = world.reader()
    return await world.engine.amend.reschedule(reader, ADMIN, run_id, at, payload, request_id="req_1")


async def audited(world: World) -> list[tuple[str, str]]:
    """Return what the audit log tells: action and target of each entry."""
    rows = await world.store.fetch(ENTRIES, org_id="org_1", after=0, limit=100)
    return [(action, target) for _, _, _, action, target, *_ in rows]


async def dead(world: World, **order: Any) -> str:
    """Make a dead letter."""
    run_id = await world.submit(world.job(max_attempts=2), **order)
    (run,) = await world.take()
    await world.finish(run, failed(retryable=False))
    return run_id


async def test_a_queued_run_is_put_off_and_comes_back_at_its_time_with_its_new_payload(world: World):
    run_id = await world.submit(world.job(run_ttl_secs=60), payload={"n": 1})
    due = world.clock.now() + HOUR
    record = await reschedule(world, run_id, due, {"n": 2})
    assert (record.run.state, record.run.expires_at) == ("scheduled", due + 60 * SECOND)
    assert world.reader().payload(record) == {"n": 2}
    assert await world.take() == []
    await world.past(3600)
    (run,) = await world.take()
    assert run.run_id == run_id
    sealed = (await world.store.payloads([run_id]))[run_id]
    assert world.engine.values.open("proj_1", run_id, "payload", sealed) == {"n": 2}
    assert (await world.types(run_id))[:3] == ["run.created", "run.rescheduled", "run.queued"]
    await world.check()


async def test_a_run_put_off_past_its_expiry_still_runs(world: World):
    run_id = await world.submit(world.job(run_ttl_secs=10))
    await reschedule(world, run_id, world.clock.now() + HOUR)
    await world.past(60)
    assert await world.state(run_id) == "scheduled", "it would have expired by now"
    await world.past(3540)
    assert [run.run_id for run in await world.take()] == [run_id]


async def test_a_run_that_is_to_begin_now_after_all_gives_a_worker_its_new_payload(open_world: Opener):
    world = await open_world()
    run_id = await world.submit(world.job(), scheduled_at=world.clock.now() + HOUR, payload={"n": 1})
    await reschedule(world, run_id, world.clock.now() - HOUR, {"n": 3})
    await world.crash()
    other = await open_world()
    (run,) = await other.take()
    sealed = (await other.store.payloads([run.run_id]))[run.run_id]
    assert sealed is not None
    assert other.engine.values.open("proj_1", run_id, "payload", sealed) == {"n": 3}


async def test_a_put_off_run_gives_its_slot_to_the_next(world: World):
    job = world.job(max_concurrency=1)
    first, second = [await world.submit(job) for _ in range(2)]
    assert (await world.run(second)).held_by is not None
    await reschedule(world, first, world.clock.now() + HOUR)
    await world.engine.commit.idle()
    assert [run.run_id for run in await world.take(2)] == [second]
    await world.check()


async def test_a_run_that_began_or_ended_is_not_rescheduled(world: World):
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    with pytest.raises(InvalidTransition):
        await reschedule(world, run_id, world.clock.now() + HOUR)
    await world.finish(run, o.Completed())
    with pytest.raises(InvalidTransition):
        await reschedule(world, run_id, world.clock.now() + HOUR)
    with pytest.raises(NotFound):
        await reschedule(world, "run_unknown", world.clock.now())


async def test_debug_mode_survives_the_process(open_world: Opener):
    world = await open_world()
    run_id = await world.submit(world.job())
    await world.engine.amend.debug(world.reader(), ADMIN, run_id, True, request_id=None)
    await world.crash()
    other = await open_world()
    assert (await other.run(run_id)).debug_mode
    await other.engine.amend.debug(other.reader(), ADMIN, run_id, False, request_id=None)
    assert not (await other.run(run_id)).debug_mode
    await other.check()


async def test_an_ended_run_cannot_be_debugged(world: World):
    with pytest.raises(InvalidTransition):
        await world.engine.amend.debug(world.reader(), ADMIN, await dead(world), True, request_id=None)


async def test_a_dead_letter_is_discarded_once_and_the_audit_log_says_so(world: World):
    run_id = await dead(world)
    record = await world.engine.amend.discard(world.reader(), ADMIN, run_id)
    assert record.dead_letter_left_at == world.clock.now()
    assert record.run.dead_lettered_at is not None
    with pytest.raises(Conflict):
        await world.engine.amend.discard(world.reader(), ADMIN, run_id)
    assert await audited(world) == [("run.discarded", run_id)]
    assert (await world.types(run_id))[-1] == "run.failed", "the terminal event is the last"


async def test_a_freed_key_makes_a_run_of_its_own(world: World):
    job = world.job()
    first = await world.submit(job, idempotency_key="k")
    assert await world.engine.amend.free_key(world.reader(), ADMIN, first)
    second = await world.submitted(job, idempotency_key="k")
    assert (second.hit, second.run_id != first) == (False, True)
    assert not await world.engine.amend.free_key(world.reader(), ADMIN, first), "the key is the second run's now"
    assert (await world.submitted(job, idempotency_key="k")).run_id == second.run_id
    assert await audited(world) == [("run.key_freed", first)]


async def test_a_run_without_a_key_has_none_to_free(world: World):
    assert not await world.engine.amend.free_key(world.reader(), ADMIN, await world.submit(world.job()))
