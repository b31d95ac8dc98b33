"""Concurrency limits are exact: a slot is owned by one run at a time, and whoever frees it lets the next one in."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.client.handlers import job
from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.limits import concurrency_key, job_key, project_key
from runwright.engine.admission import BESIDE
from tests.engine.databases import Database
from tests.engine.world import PROJECT, World, failed, settled
from tests.waiting import until

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
NARROW = Project("proj_2", "org_1", "narrow", "Narrow", 1.0, 1, 0)


class Overlap:
    """Counts how many handlers run at once, all together and for each key."""

    def __init__(self) -> None:
        self.now: dict[Any, int] = {}
        self.most: dict[Any, int] = {}
        self.calls = 0

    def enter(self, key: Any) -> None:
        self.calls += 1
        self.now[key] = self.now.get(key, 0) + 1
        self.most[key] = max(self.most.get(key, 0), self.now[key])

    def leave(self, key: Any) -> None:
        self.now[key] -= 1


def counting(overlap: Overlap, turns: int = 3):
    @job
    async def work(ctx, payload):
        overlap.enter(payload.get("key"))
        for _ in range(turns):
            await asyncio.sleep(0)
        overlap.leave(payload.get("key"))

    return work


def used(world: World) -> dict[str, tuple[int, int]]:
    return {key: (used, most) for key, used, most in world.rows("SELECT limit_key, used, max FROM limits")}


async def ended(world: World) -> None:
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    await settled(world)


async def test_runs_of_a_job_with_one_slot_never_overlap(open_world):
    overlap = Overlap()
    world = await open_world(counting(overlap))
    world.engine.start()
    await asyncio.gather(*(world.submit(world.job("work", max_concurrency=1)) for _ in range(40)))
    await ended(world)
    assert (overlap.calls, overlap.most) == (40, {None: 1})
    await world.check()


async def test_appendix_c_18_runs_that_share_a_key_never_overlap_and_others_do(open_world):
    overlap = Overlap()
    world = await open_world(counting(overlap, turns=30))
    world.engine.start()
    definition = world.job("work", max_concurrency_per_key=1)
    orders = [{"payload": {"key": key}, "concurrency_key": key} for key in ("a", "b", "c") for _ in range(8)]
    await asyncio.gather(*(world.submit(definition, **order) for order in orders))
    await ended(world)
    assert overlap.calls == 24
    assert overlap.most == {"a": 1, "b": 1, "c": 1}
    await world.check()


async def test_a_limit_of_three_is_used_up_and_never_passed(open_world):
    overlap = Overlap()
    world = await open_world(counting(overlap, turns=50))
    world.engine.start()
    await asyncio.gather(*(world.submit(world.job("work", max_concurrency=3)) for _ in range(20)))
    await ended(world)
    assert (overlap.calls, overlap.most) == (20, {None: 3})


async def test_only_runs_that_own_their_slots_are_ready(world: World):
    run_ids = [await world.submit(world.job(max_concurrency=2)) for _ in range(5)]
    await world.check()
    runs = [await world.run(run_id) for run_id in run_ids]
    key = job_key(world.job().job_id)
    assert [run.held_by for run in runs] == [None, None, key, key, key]
    assert used(world) == {key: (2, 2)}
    assert [run.run_id for run in await world.take(10)] == run_ids[:2]


async def test_appendix_c_18_a_run_that_ends_parks_retries_or_pauses_lets_the_next_one_in(world: World):
    definition = world.job(max_concurrency=1)
    run_ids = [await world.submit(definition) for _ in range(6)]
    far = world.clock.now() + 10**12
    outcomes: list[o.Outcome] = [o.Completed(), o.Parked(far), failed(), failed(retryable=False)]
    for number, outcome in enumerate(outcomes):
        run = (await world.take())[0]
        assert run.run_id == run_ids[number]
        await world.finish(run, outcome)
        await settled(world)
        await world.check()
    run = (await world.take())[0]
    await world.stop(run.run_id, "pause")
    await world.finish(run, o.Stopped())
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == [run_ids[5]]
    await world.check()


@pytest.mark.parametrize("kind", ["cancel", "pause"])
async def test_a_ready_run_that_is_stopped_lets_the_next_one_in(world: World, kind):
    run_ids = [await world.submit(world.job(max_concurrency=1)) for _ in range(3)]
    await world.stop(run_ids[0], kind)
    await settled(world)
    await world.check()
    assert [run.run_id for run in await world.take(5)] == [run_ids[1]]


async def test_a_held_run_can_be_stopped_and_expires(world: World):
    definition = world.job(max_concurrency=1)
    run_ids = [await world.submit(definition, ttl_secs=60 if n == 3 else None) for n in range(4)]
    await world.stop(run_ids[1])
    await world.stop(run_ids[2], "pause")
    await world.past(61)
    assert [await world.state(run_id) for run_id in run_ids] == ["queued", "cancelled", "paused", "expired"]
    await world.check()


async def test_a_resumed_run_waits_for_a_slot_like_everybody(world: World):
    first, second = [await world.submit(world.job(max_concurrency=1)) for _ in range(2)]
    await world.stop(first, "pause")
    await settled(world)
    await world.resume(first)
    await world.check()
    assert [run.run_id for run in await world.take(5)] == [second]
    await world.finish((await world.run(second)), o.Completed())
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == [first]


async def test_a_run_needs_a_slot_of_each_of_its_limits(world: World):
    definition = world.job(project=NARROW, max_concurrency=2, max_concurrency_per_key=1)
    one = await world.submit(definition, NARROW, concurrency_key="a")
    other = await world.submit(definition, NARROW, concurrency_key="b")
    keys = [job_key(definition.job_id), concurrency_key(definition.job_id, "a"), project_key("proj_2")]
    assert used(world) == {keys[0]: (1, 2), keys[1]: (1, 1), keys[2]: (1, 1)}
    assert (await world.run(other)).held_by == keys[2]
    run = (await world.take(5))[0]
    assert run.run_id == one
    await world.finish(run, o.Completed())
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == [other]
    await world.check()


async def test_limits_of_keys_that_are_no_longer_used_do_not_pile_up(world: World):
    for number in range(20):
        await world.submit(world.job(max_concurrency_per_key=1), concurrency_key=f"customer {number}")
        await world.finish((await world.take())[0], o.Completed())
    await settled(world)
    assert used(world) == {}


async def test_a_run_that_moves_on_to_its_next_full_limit_leaves_the_slot_to_others(world: World):
    """Held by A, let in by A, and then held by B: the slot of A must not lie idle until somebody looks."""
    per_key = world.job("both", max_concurrency=2, max_concurrency_per_key=1)
    running = [await world.submit(per_key, concurrency_key=key) for key in ("a", "b")]
    same_key, other_key = [await world.submit(per_key, concurrency_key=key) for key in ("a", "c")]
    runs = {run.run_id: run for run in await world.take(5)}
    assert set(runs) == set(running)
    held_by = {run_id: (await world.run(run_id)).held_by for run_id in (same_key, other_key)}
    assert None not in held_by.values()
    await world.finish(runs[running[1]], o.Completed())  # frees the job's limit; the key "a" is still used
    await settled(world)
    await world.check()
    assert [run.run_id for run in await world.take(5)] == [other_key]


async def test_held_runs_go_on_after_a_crash(open_world):
    world = await open_world()
    definition = world.job(max_concurrency=1)
    run_ids = [await world.submit(definition) for _ in range(3)]
    run = (await world.take())[0]
    await world.crash()
    world = await open_world()
    await world.check()
    await world.finish(run, o.Completed())
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == [run_ids[1]]
    await world.check()


async def test_the_scheduler_finds_a_free_slot_that_nobody_was_told_of(world: World):
    run_ids = [await world.submit(world.job(max_concurrency=1)) for _ in range(3)]
    world.database.change("UPDATE limits SET max = 2")
    await world.round_of(world.engine.scheduler.loop)
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == run_ids[:2]


async def test_a_limit_that_was_raised_lets_more_in_and_old_runs_do_not_lower_it_again(world: World):
    old, new = world.job(max_concurrency=1), world.job(max_concurrency=3)
    first = await world.submit(old)
    run = (await world.take())[0]
    later = [await world.submit(new) for _ in range(4)]
    assert {taken.run_id for taken in await world.take(9)} == set(later[:2])
    await world.finish(run, o.Completed())
    await settled(world)
    key = job_key(old.job_id)
    assert used(world)[key] == (3, 3)
    assert [taken.run_id for taken in await world.take(9)] == [later[2]]
    assert await world.state(first) == "completed"
    await world.check()


async def test_a_raised_limit_reaches_those_who_were_held_by_the_lower_one(world: World):
    run_ids = [await world.submit(world.job(max_concurrency=1)) for _ in range(3)]
    run_ids.append(await world.submit(world.job(max_concurrency=3)))
    await world.round_of(world.engine.scheduler.loop)
    await settled(world)
    assert {run.run_id for run in await world.take(9)} == set(run_ids[:3])
    await world.check()


async def test_a_lowered_limit_lets_nobody_in_until_enough_have_left(world: World):
    first, second = [await world.submit(world.job(max_concurrency=2)) for _ in range(2)]
    runs = {run.run_id: run for run in await world.take(5)}
    third = await world.submit(world.job(max_concurrency=1))
    await world.finish(runs[first], o.Completed())
    await settled(world)
    assert (await world.take(5), await world.state(third)) == ([], "queued")
    await world.finish(runs[second], o.Completed())
    await settled(world)
    assert [run.run_id for run in await world.take(5)] == [third]
    await world.check()


@settings(max_examples=SOAK or 15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_used_slots_are_owned_whatever_happens(new_database, tmp_path_factory, data):
    async def scenario(database: Database) -> None:
        world = await World(tmp_path_factory.mktemp("w"), FrozenClock(), (), database).open()
        try:
            await story(world)
        finally:  # a case that hypothesis gives up, too
            await world.close()

    async def story(world: World) -> None:
        definition = world.job("a", project=NARROW, max_concurrency=2, max_concurrency_per_key=1, run_ttl_secs=100)
        projects = {"proj_1": PROJECT, "proj_2": NARROW}
        jobs = [definition, world.job("b", max_concurrency=1), world.job("c", max_concurrency_per_key=2)]
        run_ids: list[str] = []
        for _ in range(data.draw(st.integers(1, 14))):
            match data.draw(st.sampled_from(["submit", "submit", "take", "end", "stop", "resume", "time"])):
                case "submit":
                    made = data.draw(st.sampled_from(jobs))
                    key = data.draw(st.sampled_from([None, "x", "y"]))
                    run_ids.append(await world.submit(made, projects[made.project_id], concurrency_key=key))
                case "take":
                    await world.take(data.draw(st.integers(1, 3)))
                case "end":
                    for run_id in run_ids:
                        run = await world.run(run_id)
                        if run.state == "executing":
                            ends = [o.Completed(), failed(), o.Released(), o.Parked(world.clock.now() + 50)]
                            await world.finish(run, data.draw(st.sampled_from(ends)))
                            break
                case "time":
                    await world.past(data.draw(st.sampled_from([1.0, 40.0])))
                case verb if run_ids:
                    run_id = data.draw(st.sampled_from(run_ids))
                    state = await world.state(run_id)
                    if verb == "resume" and state == "paused":
                        await world.resume(run_id)
                    if verb == "stop" and state in ("scheduled", "queued", "waiting", "executing"):
                        await world.stop(run_id, data.draw(st.sampled_from(["cancel", "pause"])))
            await settled(world)
            await world.check()
            assert world.rows("SELECT limit_key FROM limits WHERE used > max OR used < 0") == []

    with new_database() as database:
        asyncio.run(scenario(database))


class Counting:
    """A store that counts the held runs which its transactions read."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self.store.write(lambda tx: work(_CountingTransaction(tx, self)))


class _CountingTransaction:
    def __init__(self, tx: Any, store: Counting) -> None:
        self._tx = tx
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def held(self, limit_keys: Sequence[str], count: int) -> Any:
        found = await self._tx.held(limit_keys, count)
        self._store.read += sum(map(len, found.values()))
        return found


async def test_an_end_reads_as_many_held_runs_as_it_may_let_in_however_many_wait(database: Database, tmp_path: Path):
    world = World(tmp_path, FrozenClock(), (), database)
    store = world.store = Counting(world.store)
    await world.open()
    asked = world.job(max_concurrency=1)
    await world.engine.commit.apply_all([world.order(asked) for _ in range(300)])
    (run,) = await world.take(10)
    store.read = 0
    await world.submit(asked)
    assert store.read == 1, "the first who waits says where the new one stands"
    store.read = 0
    await world.finish(run, o.Completed())
    await world.engine.commit.idle()
    assert 1 <= store.read < 3 * (BESIDE + 2)
    assert len(await world.take(10)) == 1
    await world.check()
    await world.close()
