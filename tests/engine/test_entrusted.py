"""Runs that an endpoint accepted: what it calls keeps them, silence loses them, and their time-out ends them."""

import asyncio
import json
from typing import Any

import pytest

from runwright.domain import outcome as o
from runwright.engine.calls import Said
from runwright.engine.carrying import HELD_BACK
from runwright.errors import RunEnded, StaleLease
from tests.engine.world import World

HTTP: dict[str, Any] = {
    "execution_mode": "http",
    "endpoint_url": "https://hooks.example.com/",
    "heartbeat_timeout_secs": 60,
}
LINE = Said("log", {}, "info", "still here")


async def entrusted(world: World, **definition):
    """Return the attempt of a run that its endpoint has accepted."""
    run_id = await world.submit(world.job(**{**HTTP, "timeout_secs": 3600, **definition}))
    run = (await world.take(worker_id="local-1"))[0]
    await world.finish(run, o.Accepted())
    assert (await world.run(run_id)).entrusted
    return await world.engine.fleet.attempt(run_id, 1)


async def test_appendix_c_16_an_endpoint_that_stays_silent_loses_its_run_and_it_is_tried_again(world: World):
    attempt = await entrusted(world)
    run_id = attempt.run.run_id
    await world.reap(59)
    assert await world.state(run_id) == "executing"
    await world.reap(1)
    run = await world.run(run_id)
    assert (run.state, run.reason, run.error_class) == ("scheduled", "retry", "WorkerLost")
    with pytest.raises(StaleLease):
        await world.engine.calls.record(attempt, LINE)
    await world.check()


async def test_an_endpoint_that_calls_keeps_its_run(world: World):
    attempt = await entrusted(world)
    for _ in range(20):
        await world.reap(50)
        attempt = await world.engine.fleet.attempt(attempt.run.run_id, 1)
        await world.engine.fleet.touch(attempt)
        await world.engine.calls.record(attempt, LINE)
    assert await world.state(attempt.run.run_id) == "executing"
    await world.check()


async def test_a_call_that_follows_at_once_writes_no_lease_but_a_heartbeat_does(world: World):
    attempt = await entrusted(world)
    fleet = world.engine.fleet

    async def until() -> int:
        return int(world.rows("SELECT until FROM leases WHERE run_id = ?", attempt.run.run_id)[0][0])

    await fleet.touch(attempt)
    first = await until()
    world.clock.advance(14)
    await fleet.touch(attempt)
    assert await until() == first
    await fleet.touch(attempt, now=True)
    assert await until() == first + 14_000_000
    world.clock.advance(15)
    await fleet.touch(attempt)
    assert await until() == first + 29_000_000


async def test_an_endpoint_that_works_past_the_time_out_fails_by_it(world: World):
    attempt = await entrusted(world, timeout_secs=100, max_attempts=1)
    await world.reap(50)
    await world.engine.fleet.touch(attempt, now=True)
    await world.reap(49)
    await world.engine.fleet.touch(attempt, now=True)
    assert await world.state(attempt.run.run_id) == "executing"
    await world.reap(1)
    run = await world.run(attempt.run.run_id)
    assert (run.state, run.reason, run.error_class) == ("failed", "timeout", "Timeout")
    with pytest.raises(RunEnded):
        await world.engine.fleet.attempt(attempt.run.run_id, 1)


async def test_a_heartbeat_that_crosses_the_acceptance_finds_the_lease_at_its_new_holder(world: World):
    run_id = await world.submit(world.job(**HTTP))
    run = (await world.take(worker_id="local-1"))[0]
    attempt = await world.engine.fleet.attempt(run_id, 1)
    await world.finish(run, o.Accepted())
    attempt.take_note(run)  # as it was known before
    await world.engine.fleet.touch(attempt, now=True)
    assert world.rows("SELECT worker_id FROM leases") == [("endpoint",)]


async def test_calls_of_one_lease_share_their_turn_however_often_it_is_found(world: World):
    attempt = await entrusted(world)
    run_id, fleet = attempt.run.run_id, world.engine.fleet
    found = [await fleet.attempt(run_id, 1)]
    fleet._known.forget(run_id)
    found += await asyncio.gather(*(fleet.attempt(run_id, 1) for _ in range(5)))
    assert len({id(each.turn) for each in found}) == 1
    made = await asyncio.gather(*(world.engine.calls.checkpoint(each, {}) for each in found))
    assert sorted(sequence for _, sequence in made) == [1, 2, 3, 4, 5, 6]


async def test_a_secret_cut_between_two_calls_is_found_by_a_process_that_did_not_see_the_first(world: World):
    attempt = await entrusted(world)
    run_id, fleet, calls = attempt.run.run_id, world.engine.fleet, world.engine.calls
    await calls.stream(attempt, "the key is hunter2-the-", "out", done=False)
    fleet._known.forget(run_id)  # as after a restart, or behind a load balancer
    await calls.stream(await fleet.attempt(run_id, 1), "secret, and more", "out", done=False)
    fleet._known.forget(run_id)
    await fleet.finish(await fleet.attempt(run_id, 1), o.Completed())
    chunks = [event.data or b"" for event in await world.events(run_id) if event.type == "stream.chunk"]
    text = "".join(json.loads(chunk)["chunk"] for chunk in chunks)
    assert text == "the key is [redacted:known], and more"
    assert b"hunter2" not in b"".join(chunks)


async def test_what_a_stream_holds_back_lies_sealed_and_is_wiped_at_the_end(world: World):
    attempt = await entrusted(world)
    run_id, fleet = attempt.run.run_id, world.engine.fleet
    await world.engine.calls.stream(attempt, "hunter2-the-", "out", done=False)
    (kept,) = await world.store.values(run_id, HELD_BACK)
    assert kept.sealed is not None
    assert b"hunter2" not in kept.sealed
    await fleet.finish(attempt, o.Completed())
    (kept,) = await world.store.values(run_id, HELD_BACK)
    assert kept.sealed is None
