"""One key, one run: however many requests carry it, and whenever they come."""

import asyncio

import pytest

from runwright.errors import IdempotencyMismatch, StoreError
from tests.engine.world import World

DAY_S = 86_400


async def test_a_hundred_concurrent_triggers_with_one_key_make_one_run(world: World):
    job = world.job()
    answers = await asyncio.gather(
        *(world.submitted(job, payload={"n": 1}, idempotency_key="once") for _ in range(100))
    )
    assert len({answer.run_id for answer in answers}) == 1
    assert sorted(answer.hit for answer in answers) == [False] + [True] * 99
    assert len(world.rows("SELECT run_id FROM runs")) == 1
    assert await world.types(answers[0].run_id) == ["run.created"]
    await world.check()


async def test_hundred_triggers_in_as_many_transactions_make_one_run(open_world):
    world = await open_world(commit_batch_max=1)
    job = world.job()
    answers = await asyncio.gather(*(world.submitted(job, idempotency_key="once") for _ in range(100)))
    assert len({answer.run_id for answer in answers}) == 1
    assert [answer.hit for answer in answers].count(False) == 1


async def test_a_key_with_another_request_is_refused_with_both_fingerprints(world: World):
    job = world.job()
    first = await world.submit(job, payload={"n": 1}, idempotency_key="k")
    for different in (
        {"payload": {"n": 2}},
        {"payload": {"n": 1}, "priority": 3},
        {"payload": {"n": 1}, "ttl_secs": 9},
    ):
        with pytest.raises(IdempotencyMismatch) as caught:
            await world.submit(job, idempotency_key="k", **different)
        assert caught.value.data is not None
        assert caught.value.data["expected"] != caught.value.data["given"]
    assert world.rows("SELECT run_id FROM runs") == [(first,)]


async def test_the_second_of_two_different_requests_in_one_transaction_is_refused(world: World):
    orders = [world.order(world.job(), payload={"n": n}, idempotency_key="k") for n in (1, 2, 1)]
    first, second, third = await world.engine.commit.apply_all(orders)
    assert (first.hit, type(second), third.hit) == (False, IdempotencyMismatch, True)
    assert third.run_id == first.run_id


async def test_a_key_is_one_for_each_job_and_project(world: World):
    jobs = [world.job("one"), world.job("two")]
    run_ids = [await world.submit(job, idempotency_key="k") for job in jobs]
    assert len(set(run_ids)) == 2


async def test_without_a_key_every_request_makes_a_run(world: World):
    job = world.job()
    assert len({await world.submit(job, payload={}) for _ in range(3)}) == 3


async def test_appendix_c_12_a_key_is_free_again_after_its_time(world: World):
    job = world.job()
    first = await world.submitted(job, payload={"n": 1}, idempotency_key="k")
    world.clock.advance(DAY_S - 1)
    assert (await world.submitted(job, payload={"n": 1}, idempotency_key="k")).hit
    world.clock.advance(1)
    again = await world.submitted(job, payload={"n": 2}, idempotency_key="k")
    assert not again.hit
    assert again.run_id != first.run_id
    world.clock.advance(DAY_S - 1)
    assert (await world.submitted(job, payload={"n": 2}, idempotency_key="k")).run_id == again.run_id


async def test_the_pruner_forgets_keys_that_are_free_and_no_others(world: World):
    await world.submit(world.job(), idempotency_key="old")
    world.clock.advance(DAY_S / 2)
    await world.submit(world.job(), idempotency_key="young")
    world.clock.advance(DAY_S / 2 + 1)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT key FROM idempotency") == [("young",)]


async def test_a_key_outlives_a_crash(open_world):
    world = await open_world()
    first = await world.submit(world.job(), payload={"n": 1}, idempotency_key="k")
    await world.crash()
    reopened = await open_world()
    again = await reopened.submitted(reopened.job(), payload={"n": 1}, idempotency_key="k")
    assert (again.run_id, again.hit) == (first, True)


async def test_a_submit_that_failed_has_taken_no_key(open_world):
    world = await open_world()
    order = world.order(world.job(), idempotency_key="k")
    await world.crash()
    with pytest.raises(StoreError):
        await world.engine.commit.apply(order)
    reopened = await open_world()
    assert reopened.rows("SELECT key FROM idempotency") == []
    assert not (await reopened.submitted(reopened.job(), idempotency_key="k")).hit
