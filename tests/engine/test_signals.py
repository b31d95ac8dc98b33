"""Events wake the runs that wait for them, start jobs, and are never lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain.words import word_of
from runwright.errors import IdempotencyMismatch, InvalidRequest, QuotaExceeded
from tests.engine.signalling import delivered, kept, park, parked, parking, send, sent, triggered_by
from tests.engine.test_cron_servers import Shared
from tests.engine.world import ADMIN, PROJECT, World, settled
from tests.postgres import new_database

SECRET = {"token": "hunter2-the-secret", "n": [1, None]}


async def test_appendix_c_15_an_event_wakes_the_run_that_waits_for_it_and_its_code_finds_the_payload_exact(
    world: World,
):
    run = await parked(world)
    assert (run.state, run.reason) == ("waiting", "event")
    answer = await send(world, payload=SECRET)
    assert (answer.woken, answer.kept, answer.more) == ((run.run_id,), False, False)
    assert await delivered(world, run.run_id) == {"ctx.event:go": SECRET}
    told = await world.data(run.run_id, "run.queued")
    assert (told["reason"], told["key"]) == ("event", "go")
    assert "hunter2" not in told["value"]["preview"]
    (again,) = await world.take()
    assert (again.run_id, again.attempt, again.lease_epoch) == (run.run_id, 1, 2)
    await world.check()


async def test_an_event_that_comes_before_its_waiter_is_kept_and_given_to_the_first_of_its_project(world: World):
    assert (await send(world, payload={"n": 1})).kept
    world.clock.advance(0.001)
    assert (await send(world, payload={"n": 2})).kept
    first, second, third = [await parked(world) for _ in range(3)]
    assert [run.state for run in (first, second, third)] == ["queued", "queued", "waiting"]
    assert [await delivered(world, run.run_id) for run in (first, second)] == [
        {"ctx.event:go": {"n": 1}},
        {"ctx.event:go": {"n": 2}},
    ]
    assert kept(world) == []
    await world.check()


async def test_a_kept_event_is_forgotten_after_a_day(world: World):
    await send(world)
    world.clock.advance(86_399)
    await world.round_of(world.engine.pruner.loop)
    assert kept(world) == ["go"]
    world.clock.advance(2)
    assert (await parked(world)).state == "waiting"
    await world.round_of(world.engine.pruner.loop)
    assert kept(world) == []


async def test_an_event_that_is_sent_twice_wakes_once(world: World):
    run = await parked(world)
    answers = await asyncio.gather(send(world), send(world))
    assert sorted(answer.woken for answer in answers) == [(), (run.run_id,)]
    assert sorted(answer.kept for answer in answers) == [False, True]
    assert (await world.types(run.run_id)).count("run.queued") == 1


async def test_all_that_wait_for_a_key_are_woken_and_nobody_else(world: World):
    one, two, other = await parked(world), await parked(world), await parked(world, "goes")
    assert sorted((await send(world)).woken) == sorted([one.run_id, two.run_id])
    assert await world.state(other.run_id) == "waiting"
    await world.check()


async def test_an_event_of_another_project_wakes_nobody_and_is_not_given_to_this_one(world: World):
    run = await parked(world)
    foreign = replace(PROJECT, project_id="proj_2")
    answer = await send(world, project=foreign)
    assert (answer.woken, answer.kept) == ((), True)
    assert await world.state(run.run_id) == "waiting"
    assert (await parked(world)).state == "waiting"


async def test_a_prefix_wakes_those_who_wait_now_and_is_kept_for_nobody(world: World):
    runs = [await parked(world, key) for key in ("order.1", "order.2", "orders", "ordeq", "order/")]
    answer = await send(world, "order", by_prefix=True)
    assert sorted(answer.woken) == sorted(run.run_id for run in runs if run.wait and run.wait.key != "ordeq")
    assert not (await send(world, "order", by_prefix=True)).kept
    assert (await parked(world, "order.1")).state == "waiting"


@pytest.mark.parametrize("park_first", [True, False])
async def test_a_run_that_parks_in_the_transaction_of_the_event_gets_it(world: World, park_first: bool):
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    finish = c.Finish(run.run_id, run.lease_epoch, parking(world, "go"), 0.5)
    pair = (world.engine.commit.apply(finish), send(world, payload={"n": 1}))
    await asyncio.gather(*(pair if park_first else reversed(pair)))
    assert await world.state(run_id) == "queued"
    assert await delivered(world, run_id) == {"ctx.event:go": {"n": 1}}
    assert kept(world) == []
    await world.check()


async def test_a_wait_that_takes_too_long_fails_and_its_event_comes_for_somebody_else(world: World):
    run = await parked(world, within_s=10)
    await world.past(11)
    ended = await world.run(run.run_id)
    assert (ended.state, ended.reason, word_of(ended)) == ("failed", "wait_timeout", "timed_out")
    assert (await send(world)).kept
    await world.check()


async def test_a_paused_run_hears_of_its_event_when_it_is_resumed(world: World):
    run = await parked(world)
    await world.stop(run.run_id, "pause")
    assert (await send(world, payload={"n": 1})).woken == (run.run_id,)
    assert (await send(world)).kept
    assert await world.state(run.run_id) == "paused"
    assert (await world.resume(run.run_id)).state == "queued"
    assert await delivered(world, run.run_id) == {"ctx.event:go": {"n": 1}}
    await world.check()


async def test_a_run_that_waits_owns_no_slot(world: World):
    job = world.job("narrow", max_concurrency=1)
    first, second = [await world.submit(job) for _ in range(2)]
    (run,) = await world.take(2)
    await park(world, run)
    await settled(world)
    (other,) = await world.take(2)
    assert (run.run_id, other.run_id) == (first, second)
    await send(world)
    assert await world.take(2) == [], "woken, it waits for a slot as any other"
    await world.check()


# --- jobs that events start -------------------------------------------------------------------------------------------


async def test_an_event_starts_the_jobs_whose_triggers_it_meets_each_once(world: World):
    await triggered_by(world, {"key": "order.paid"}, {"prefix": "order."}, slug="both")
    await triggered_by(world, {"prefix": "order."}, slug="by-prefix")
    await triggered_by(world, {"key": "order.sent"}, {"prefix": "invoice"}, slug="another")
    await triggered_by(world, {"key": "order.paid"}, slug="disabled", enabled=False)
    answer = await send(world, "order.paid", {"n": 1})
    runs = [await world.run(run_id) for run_id in answer.triggered]
    assert sorted(run.spec.handler or "" for run in runs) == ["both", "by-prefix"]
    assert {run.spec.triggered_by for run in runs} == {"event"}
    payloads = [world.reader().exact_payload(await world.record(run.run_id)) for run in runs]
    assert payloads == [{"n": 1}, {"n": 1}]
    assert answer.kept, "a run may wait for it, too"


async def test_a_prefix_starts_the_jobs_of_every_key_that_begins_so(world: World):
    for slug, trigger in (("a", {"key": "order.paid"}), ("b", {"prefix": "order.p"}), ("c", {"prefix": "o"})):
        await triggered_by(world, trigger, slug=slug)
    await triggered_by(world, {"key": "orders"}, slug="d")
    answer = await send(world, "order.", by_prefix=True)
    assert sorted([str((await world.run(run_id)).spec.handler) for run_id in answer.triggered]) == ["a", "b", "c"]


async def test_a_filter_looks_into_the_payload_and_a_template_makes_another(world: World):
    template = {"who": "{{payload.user.name}}", "key": "{{event.key}}", "tags": ["{{ payload.tags.1 }}"], "no": "{{x}}"}
    wanted = {"kind": "new", "tags": ["b"]}
    await triggered_by(world, {"prefix": "user", "filter": wanted, "payload_template": template})
    assert (await send(world, "user-1", {"kind": "old", "tags": ["b"]})).triggered == ()
    sending = {"kind": "new", "tags": ["a", "b"], "user": {"name": "Ada"}}
    (run_id,) = (await send(world, "user-1", sending)).triggered
    made = world.reader().exact_payload(await world.record(run_id))
    assert made == {"who": "Ada", "key": "user-1", "tags": ["b"], "no": None}


async def test_a_job_that_is_changed_or_deleted_is_not_started_any_more(world: World):
    changed, deleted = [await triggered_by(world, {"key": "go"}, slug=slug) for slug in ("changed", "deleted")]
    await world.engine.jobs.update(ADMIN, changed, {"event_triggers": [{"key": "stop"}]})
    await world.engine.jobs.delete(ADMIN, deleted)
    assert (await send(world)).triggered == ()
    assert len((await send(world, "stop")).triggered) == 1


async def test_a_trigger_needs_a_key_or_a_prefix(world: World):
    for wrong in ({}, {"key": "a", "prefix": "b"}):
        with pytest.raises(InvalidRequest, match="key or prefix"):
            await triggered_by(world, wrong)


async def test_a_job_that_cannot_take_the_payload_is_told_and_holds_up_nothing(world: World):
    run = await parked(world)
    await triggered_by(world, {"key": "go", "payload_template": {"much": "{{payload.text}}"}}, slug="fits")
    deep: dict[str, object] = {}
    for _ in range(150):
        deep = {"a": deep}
    template = {"one": deep}
    await triggered_by(world, {"key": "go", "payload_template": {**template, "x": "{{payload}}"}}, slug="nests")
    payload: dict[str, object] = {"text": "x"}
    for _ in range(198):
        payload = {"p": payload}
    answer, refused = await sent(world, payload={"payload": payload})
    assert answer.woken == (run.run_id,)
    assert (len(answer.triggered), [(each.job, each.code) for each in refused]) == (1, [("nests", "value.too_deep")])


# --- once, and within bounds ------------------------------------------------------------------------------------------


async def test_an_event_with_an_idempotency_key_counts_once_and_is_answered_the_same(world: World):
    await triggered_by(world, {"key": "go"})
    run = await parked(world)
    first = await send(world, idempotency_key="k", payload={"n": 1})
    again = await send(world, idempotency_key="k", payload={"n": 1})
    assert (first.woken, len(first.triggered), first.hit) == ((run.run_id,), 1, False)
    assert again == replace(first, hit=True)
    with pytest.raises(IdempotencyMismatch):
        await send(world, idempotency_key="k", payload={"n": 2})
    assert len(world.rows("SELECT run_id FROM runs")) == 2
    assert kept(world) == []


async def test_only_so_many_events_of_a_key_are_kept(open_world):
    world = await open_world(signals_kept_max=2)
    for _ in range(2):
        await send(world)
    with pytest.raises(QuotaExceeded):
        await send(world)
    assert (await send(world, "another")).kept
    await parked(world)
    assert (await send(world)).kept


async def test_one_event_wakes_only_so_many_and_says_that_there_are_more(open_world):
    world = await open_world(signal_wakes_max=2)
    runs = [await parked(world) for _ in range(3)]
    first = await send(world)
    second = await send(world)
    assert (len(first.woken), first.more, len(second.woken), second.more) == (2, True, 1, False)
    assert {*first.woken, *second.woken} == {run.run_id for run in runs}


# --- crashes, and several servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(0, 16, 3))
async def test_a_crash_at_any_moment_of_a_send_leaves_all_of_it_or_nothing(open_world, turns: int):
    world = await open_world()
    await triggered_by(world, {"key": "go"})
    run = await parked(world)
    sending = asyncio.create_task(send(world, payload={"n": 1}))
    for _ in range(turns):
        await asyncio.sleep(0)
    await world.crash()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    world = await open_world()
    state, count = await world.state(run.run_id), len(world.rows("SELECT run_id FROM runs"))
    assert (state, count) in (("waiting", 1), ("queued", 2))
    if state == "waiting":
        assert (await send(world, payload={"n": 1})).woken == (run.run_id,)
    assert await delivered(world, run.run_id) == {"ctx.event:go": {"n": 1}}
    assert kept(world) == []
    await world.check()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("here", "there")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.close()


async def test_an_event_on_one_server_and_a_run_that_parks_on_another_always_meet(servers: tuple[World, World]):
    here, there = servers
    for number in range(40):
        key = f"key-{number}"
        run_id = await here.submit(here.job())
        (run,) = [run for run in await here.take(2) if run.run_id == run_id]
        finish = c.Finish(run.run_id, run.lease_epoch, parking(here, key), 0.5)
        await asyncio.gather(here.engine.commit.apply(finish), send(there, key, {"n": number}))
        assert await here.state(run_id) == "queued", "the event and its waiter passed each other"
        assert await delivered(here, run_id) == {f"ctx.event:{key}": {"n": number}}
        assert kept(here) == []
    await here.check()


async def test_an_event_that_two_servers_send_wakes_once(servers: tuple[World, World]):
    here, there = servers
    for number in range(20):
        key = f"key-{number}"
        run = await parked(here, key)
        answers = await asyncio.gather(send(here, key), send(there, key))
        assert sorted(answer.woken for answer in answers) == [(), (run.run_id,)]
        assert [answer.kept for answer in answers].count(True) == 1
