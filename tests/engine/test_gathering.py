"""Triggers that gather in one run: debounced ones keep the last payload, batches keep all of them."""

from typing import Any

import pytest

from runwright.client.handlers import job
from runwright.engine.requests import Submitted
from runwright.errors import IdempotencyMismatch, InvalidRequest
from tests.engine.world import ADMIN, World, all_ended

LATEST = {"window_secs": 5, "max_wait_secs": 12}


async def trigger(world: World, asked: Any, **order: Any) -> Submitted:
    """Trigger a job, and say what an exact reader finds in the run."""
    return await world.submitted(asked, **order)


async def payload(world: World, run_id: str) -> Any:
    """Return the exact payload of a run as it is stored."""
    return world.reader().exact_payload(await world.record(run_id))


async def test_a_debounced_run_begins_a_window_after_its_last_trigger_with_that_ones_payload(world: World):
    asked = world.job(debounce=LATEST)
    first = await trigger(world, asked, payload={"n": 1}, tags={"of": "first"})
    run = await world.run(first.run_id)
    assert (run.state, run.reason, run.due_at) == ("scheduled", "debounce", world.clock.now() + 5_000_000)
    await world.past(4)
    again = await trigger(world, asked, payload={"n": 2})
    assert (again.run_id, again.joined, again.hit) == (first.run_id, True, False)
    await world.past(4)
    assert await world.state(first.run_id) == "scheduled"
    assert await payload(world, first.run_id) == {"n": 2}
    await world.past(1)
    run = await world.run(first.run_id)
    assert (run.state, run.spec.tags) == ("queued", {"of": "first"})
    assert await world.types(first.run_id) == ["run.created", "run.joined", "run.queued"]
    other = await trigger(world, asked, payload={"n": 3})
    assert not other.joined
    assert world.rows("SELECT run_id FROM gatherings") == [(other.run_id,)]
    await world.check()


async def test_appendix_c_28_steady_traffic_does_not_put_a_debounced_run_off_beyond_its_longest_wait(world: World):
    asked = world.job(debounce=LATEST)
    made: dict[str, list[int]] = {}
    for second in range(40):
        answer = await trigger(world, asked, payload={"second": second})
        made.setdefault(answer.run_id, []).append(second)
        await world.past(1)
    assert [seconds[0] for seconds in made.values()] == [0, 12, 24, 36]
    for run_id, seconds in list(made.items())[:-1]:
        assert await world.state(run_id) == "queued"
        assert await payload(world, run_id) == {"second": seconds[-1]}
    await world.check()


async def test_a_batch_begins_when_it_is_full_or_its_window_is_over_and_keeps_where_each_item_came_from(world: World):
    asked = world.job(batch={"window_secs": 10, "max_size": 3})
    answers = [await trigger(world, asked, payload={"n": n}, idempotency_key=f"k{n}") for n in range(4)]
    assert len({answer.run_id for answer in answers[:3]}) == 1
    full, rest = answers[0].run_id, answers[3].run_id
    assert (await world.state(full), await world.state(rest)) == ("queued", "scheduled")
    assert (await world.run(rest)).reason == "batch"
    items = (await payload(world, full))["items"]
    assert [item["payload"] for item in items] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [item["idempotency_key"] for item in items] == ["k0", "k1", "k2"]
    assert {item["triggered_by"] for item in items} == {ADMIN.label}
    await world.past(9)
    assert await world.state(rest) == "scheduled"
    await world.past(1)
    assert await world.state(rest) == "queued"
    assert world.rows("SELECT count(*) FROM gatherings") == [(0,)]
    await world.check()


async def test_keys_gather_apart_and_a_key_without_a_window_is_refused(world: World):
    debounced, batched = world.job("one", debounce=LATEST), world.job("two", batch={"window_secs": 10, "max_size": 9})
    keys = ["a", "b", "a", None, None]
    runs = [(await trigger(world, debounced, debounce_key=key)).run_id for key in keys]
    assert [runs.index(run_id) for run_id in runs] == [0, 1, 0, 3, 3]
    for asked, order, path in (
        (debounced, {"batch_key": "a"}, "batch_key"),
        (batched, {"debounce_key": "a"}, "debounce_key"),
        (world.job("three"), {"batch_key": "a"}, "batch_key"),
        (debounced, {"scheduled_at": world.clock.now() + 1}, "scheduled_at"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            world.order(asked, **order)
        assert [field.path for field in refused.value.fields] == [path]


async def test_appendix_c_28_an_idempotency_key_is_honoured_by_what_it_joined(world: World):
    asked = world.job(batch={"window_secs": 10, "max_size": 10})
    first = await trigger(world, asked, payload={"n": 1}, idempotency_key="one")
    joined = await trigger(world, asked, payload={"n": 2}, idempotency_key="two")
    for key, number in (("one", 1), ("two", 2)):
        again = await trigger(world, asked, payload={"n": number}, idempotency_key=key)
        assert (again.run_id, again.hit, again.joined) == (first.run_id, True, False)
    with pytest.raises(IdempotencyMismatch):
        await trigger(world, asked, payload={"n": 3}, idempotency_key="two")
    assert joined.run_id == first.run_id
    assert len((await payload(world, first.run_id))["items"]) == 2
    await world.past(10)
    late = await trigger(world, asked, payload={"n": 2}, idempotency_key="two")
    assert (late.run_id, late.hit) == (first.run_id, True), "also when the run has gone on"


async def test_a_run_that_was_stopped_or_whose_window_is_over_is_joined_no_more(world: World):
    asked = world.job(debounce=LATEST)
    cancelled = (await trigger(world, asked)).run_id
    await world.stop(cancelled)
    paused = (await trigger(world, asked)).run_id
    await world.stop(paused, "pause")
    late = (await trigger(world, asked)).run_id
    world.clock.advance(5)
    fresh = (await trigger(world, asked)).run_id
    assert len({cancelled, paused, late, fresh}) == 4, "nobody has looked at the timers yet, and the window is over"
    await world.resume(paused)
    assert await world.state(paused) == "queued"
    await world.past(0)
    assert (await world.state(late), await world.state(fresh)) == ("queued", "scheduled")
    assert world.rows("SELECT run_id FROM gatherings") == [(fresh,)]
    await world.check()


async def test_what_gathers_is_given_to_its_handler_whole(open_world):
    seen: list[Any] = []

    @job(slug="sum")
    async def total(ctx, payload):
        seen.append(payload)
        return {"sum": sum(item["payload"]["n"] for item in payload["items"])}

    world = await open_world(total)
    asked = world.job("sum", batch={"window_secs": 5, "max_size": 4}, payload_schema={"required": ["n"]})
    with pytest.raises(InvalidRequest):
        world.order(asked, payload={})
    run_ids = {(await trigger(world, asked, payload={"n": n})).run_id for n in range(4)}
    spawned = await trigger(world, asked, payload={"n": 40}, triggered_by="spawn")
    assert not spawned.joined
    world.engine.start()
    await all_ended(world)
    results = [world.reader().result(await world.record(run_id)) for run_id in (*run_ids, spawned.run_id)]
    assert results == [{"sum": 6}, {"sum": 40}]
    exact = world.reader().exact_payload(await world.record(spawned.run_id))
    again = world.order(asked, payload=exact, replay_of=spawned.run_id)
    assert again.spec.gather is None
    await world.check()


async def test_a_run_that_waits_for_more_triggers_expires_by_its_own_window(world: World):
    asked = world.job(debounce={"window_secs": 5, "max_wait_secs": 60}, run_ttl_secs=3)
    run_id = (await trigger(world, asked)).run_id
    await world.past(4)
    await trigger(world, asked)
    await world.past(4)
    assert await world.state(run_id) == "scheduled", "the time in which it must begin counts from when it may"
    await world.past(1)
    assert await world.state(run_id) == "queued"
    await world.past(3)
    assert await world.state(run_id) == "expired"
    await world.check()


async def test_a_thousand_triggers_in_one_transaction_are_gathered_like_single_ones(world: World):
    asked = world.job(batch={"window_secs": 5, "max_size": 300})
    orders = [world.order(asked, payload={"n": n}) for n in range(1000)]
    answers = await world.engine.commit.apply_all(orders)
    runs = list(dict.fromkeys(answer.run_id for answer in answers))
    sizes = [len((await payload(world, run_id))["items"]) for run_id in runs]
    assert sizes == [300, 300, 300, 100]
    numbers = [item["payload"]["n"] for run_id in runs for item in (await payload(world, run_id))["items"]]
    assert numbers == list(range(1000))
    assert [await world.state(run_id) for run_id in runs] == ["queued"] * 3 + ["scheduled"]
    await world.check()
