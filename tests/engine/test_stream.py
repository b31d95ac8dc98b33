"""Streams have no gaps and no repeats: wherever they are cut, whoever else follows, whatever is committed meanwhile."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.run import Run
from runwright.engine.requests import Committed
from runwright.engine.stream import Cut, Hub, Lagged
from runwright.store.base import Record
from tests.domain.specimens import log_line
from tests.engine.world import World, lines, settled
from tests.waiting import until

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))


def short(event) -> bytes:
    """Encode an event in another form."""
    return b"%d;" % event.seq


async def read(hub: Hub, run_id: str, after_seq: int = 0, **options) -> bytes:
    """Follow a run to its end and return all bytes."""
    return b"".join([frames async for frames in hub.follow(run_id, after_seq, options.pop("encode", lines), **options)])


async def say(world: World, run: Run, *texts: str) -> None:
    """Append records to the log of an executing run."""
    await world.engine.commit.apply(c.Append(run.run_id, run.lease_epoch, tuple(map(log_line, texts))))


async def executing(world: World) -> Run:
    await world.submit(world.job())
    return (await world.take())[0]


async def whole(world: World, run_id: str) -> bytes:
    return b"".join(map(lines, await world.events(run_id)))


@pytest.fixture
async def ended(world: World) -> Run:
    """Return a run that has ended, with some history."""
    run = await executing(world)
    for number in range(10):
        await say(world, run, *(f"{number}.{n}" for n in range(number % 4)))
    return await world.finish(run, o.Completed())


# --- history ----------------------------------------------------------------------------------------------------------


async def test_a_stream_cut_at_every_seq_and_resumed_gives_exactly_the_same_bytes(world: World, ended: Run):
    events = await world.events(ended.run_id)
    for cut in range(len(events)):
        before = b"".join(map(lines, events[:cut]))
        assert before + await read(world.engine.hub, ended.run_id, cut) == await whole(world, ended.run_id)


@pytest.mark.parametrize("page", [1, 2, 3, 7, 500])
async def test_the_size_of_the_pages_does_not_show(world: World, ended: Run, page: int):
    hub = Hub(world.store, world.clock, page=page)
    assert await read(hub, ended.run_id) == await whole(world, ended.run_id)


async def test_a_stream_that_does_not_follow_ends_after_the_backlog(world: World):
    run = await executing(world)
    await say(world, run, "one")
    assert await read(world.engine.hub, run.run_id, live=False) == await whole(world, run.run_id)
    assert await read(world.engine.hub, run.run_id, 3, live=False) == b""
    assert world.engine.hub.channels == 0


# --- live -------------------------------------------------------------------------------------------------------------


async def test_all_who_keep_up_are_given_the_very_same_bytes_and_each_form_its_own(world: World):
    run = await executing(world)
    seen: list[list[bytes]] = [[], [], []]

    async def follow(place: int, encode) -> None:
        async for frames in world.engine.hub.follow(run.run_id, 2, encode):
            seen[place].append(frames)

    async with asyncio.TaskGroup() as group:
        for place, encode in enumerate((lines, short, lines)):
            group.create_task(follow(place, encode))
            await settled(world)  # those who ask for the same wait one behind the other
        await say(world, run, "one", "two")
        await settled(world)
        await world.finish(run, o.Completed())
    assert [id(frames) for frames in seen[0]] == [id(frames) for frames in seen[2]]
    assert seen[1] == [b"3;4;", b"5;"]


async def test_one_who_goes_while_all_wait_takes_nobody_along_and_leaves_nothing(world: World):
    run = await executing(world)
    hub = world.engine.hub
    staying = asyncio.create_task(read(hub, run.run_id))
    await settled(world)
    for _ in range(50):
        going = asyncio.create_task(read(hub, run.run_id))
        await settled(world)
        going.cancel()
        await asyncio.wait([going])
    assert len(hub._channels[run.run_id]._waiting) == 1
    await world.finish(run, o.Completed())
    assert await staying == await whole(world, run.run_id)


async def test_followers_who_come_at_any_time_and_leave_at_any_seq_see_the_same_bytes(world: World):
    hub = world.engine.hub
    run = await executing(world)
    followers = []
    for number in range(12):
        followers.append(asyncio.create_task(read(hub, run.run_id)))
        followers.append(asyncio.create_task(read(hub, run.run_id, number % 5)))
        await say(world, run, f"line {number}", "another")
        await asyncio.sleep(0)
    await world.finish(run, o.Completed())
    got = await asyncio.gather(*followers)
    events = await world.events(run.run_id)
    for number in range(12):
        assert got[2 * number] == b"".join(map(lines, events))
        assert got[2 * number + 1] == b"".join(map(lines, events[number % 5 :]))
    assert hub.channels == 0


async def test_a_live_stream_cut_at_every_seq_and_resumed_gives_exactly_the_same_bytes(world: World):
    hub = world.engine.hub
    for cut in range(1, 9):
        run = await executing(world)

        async def cut_off(run: Run = run, cut: int = cut) -> bytes:
            got, seen = b"", 0
            async for frames in hub.follow(run.run_id, 0, lines):
                for line in frames.splitlines(keepends=True):
                    got, seen = got + line, seen + 1
                    if seen == cut:
                        return got
            return got

        first = asyncio.create_task(cut_off())
        for number in range(3):
            await say(world, run, f"{number}.1", f"{number}.2")
        await world.finish(run, o.Completed())
        assert await first + await read(hub, run.run_id, cut) == await whole(world, run.run_id)


async def test_k23_hundreds_of_followers_of_one_run_are_served_from_one_window(world: World):
    run = await executing(world)
    tasks = [asyncio.create_task(read(world.engine.hub, run.run_id)) for _ in range(300)]
    tasks += [asyncio.create_task(read(world.engine.hub, run.run_id, encode=short)) for _ in range(50)]
    await settled(world)
    assert world.engine.hub.channels == 1
    reads = 0
    events = world.store.events

    async def counted(*arguments):
        nonlocal reads
        reads += 1
        return await events(*arguments)

    world.store.events = counted  # type: ignore[method-assign]
    for number in range(20):
        await say(world, run, f"line {number}")
        await settled(world)
    await world.finish(run, o.Completed())
    got = await asyncio.gather(*tasks)
    assert reads == 0, "whoever is up to date is fed from memory"
    assert set(got[:300]) == {await whole(world, run.run_id)}
    assert set(got[300:]) == {b"".join(b"%d;" % seq for seq in range(1, 24))}
    assert world.engine.hub.channels == 0


async def test_a_follower_that_leaves_takes_nothing_from_the_others(world: World):
    run = await executing(world)
    stays = asyncio.create_task(read(world.engine.hub, run.run_id))
    leaves = asyncio.create_task(read(world.engine.hub, run.run_id))
    await settled(world)
    leaves.cancel()
    await asyncio.wait([leaves])
    await say(world, run, "one")
    await world.finish(run, o.Completed())
    assert await stays == await whole(world, run.run_id)


async def test_a_stream_of_a_run_that_does_not_exist_yet_waits_for_its_first_event(world: World):
    order = world.order(world.job())
    early = asyncio.create_task(read(world.engine.hub, order.run_id))
    await settled(world)
    await world.engine.commit.apply(order)
    await world.stop(order.run_id)
    assert await early == await whole(world, order.run_id)


async def test_whoever_asks_for_more_than_there_is_is_let_go_at_the_end(world: World):
    run = await executing(world)
    ahead = asyncio.create_task(read(world.engine.hub, run.run_id, 1000))
    await settled(world)
    await say(world, run, "one")
    await world.finish(run, o.Completed())
    assert await ahead == b""


async def test_whoever_resumes_at_the_end_of_an_ended_run_is_let_go(world: World, ended: Run):
    async with asyncio.timeout(20):
        assert await read(world.engine.hub, ended.run_id, ended.seq) == b""


# --- slow readers -----------------------------------------------------------------------------------------------------


async def test_the_window_of_a_run_is_bounded_in_bytes_too(world: World):
    hub = Hub(world.store, world.clock, window_max_bytes=2000)
    world.engine.commit.listeners.append(hub.committed)
    run = await executing(world)
    stream = hub.follow(run.run_id, 0, lines)
    await anext(stream)
    next_frames = asyncio.ensure_future(anext(stream))
    await settled(world)
    await say(world, run, "in time")
    await next_frames
    await say(world, run, *("x" * 500 for _ in range(5)))
    with pytest.raises(Lagged):
        await anext(stream)
    assert hub.channels == 0


async def test_a_live_reader_that_falls_out_of_the_window_is_told_and_resumes_without_loss(world: World):
    hub = Hub(world.store, world.clock, window_max=10)
    world.engine.commit.listeners.append(hub.committed)
    run = await executing(world)
    got, seq = b"", 0
    stream = hub.follow(run.run_id, 0, lines)
    got += await anext(stream)
    next_frames = asyncio.ensure_future(anext(stream))
    await settled(world)
    await say(world, run, "in time")
    got += await next_frames
    await say(world, run, *(f"line {n}" for n in range(30)))
    with pytest.raises(Lagged) as caught:
        await anext(stream)
    seq = caught.value.seq
    assert seq == 3
    await world.finish(run, o.Completed())
    assert got + await read(hub, run.run_id, seq) == await whole(world, run.run_id)
    assert hub.channels == 0


async def test_a_reader_of_history_never_lags_however_slow_it_is(world: World):
    hub = Hub(world.store, world.clock, window_max=5, page=2)
    world.engine.commit.listeners.append(hub.committed)
    run = await executing(world)
    await say(world, run, *(f"old {n}" for n in range(20)))
    got = b""
    async for frames in hub.follow(run.run_id, 0, lines):
        got += frames
        if (await world.run(run.run_id)).state == "executing":
            await say(world, run, *(f"new {n}" for n in range(8)))
            if got.count(b"\n") > 12:
                await world.finish(run, o.Completed())
    assert got == await whole(world, run.run_id)


# --- retention --------------------------------------------------------------------------------------------------------
async def test_a_stream_whose_history_retention_took_says_where_and_what_is_left(open_world):
    world = await open_world(retention_days=1)
    run = await executing(world)
    await say(world, run, *(f"line {n}" for n in range(9)))
    await world.finish(run, o.Completed())
    hub = Hub(world.store, world.clock, page=4)
    behind, second = hub.follow(run.run_id, 0, lines), hub.follow(run.run_id, 3, lines, live=False)
    got = [await anext(behind), await anext(second)]
    world.clock.advance(2 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    for follower, seq in ((behind, 4), (second, 7), (hub.follow(run.run_id, 0, lines), 0)):
        with pytest.raises(Cut) as caught:
            await anext(follower)
        assert (caught.value.seq, caught.value.run.state) == (seq, "completed")
    assert [frames.count(b"\n") for frames in got] == [4, 4]
    assert await read(hub, run.run_id, 12) == b""
    assert hub.channels == 0


async def test_who_is_behind_a_window_is_told_too_and_who_follows_nothing_any_more_ends(open_world):
    world = await open_world(retention_days=1, summary_retention_days=2)
    hub = Hub(world.store, world.clock, page=2, window_max=2)
    world.engine.commit.listeners.append(hub.committed)
    run = await executing(world)
    live = hub.follow(run.run_id, 2, lines)
    waiting = asyncio.ensure_future(anext(live))
    await settled(world)
    await say(world, run, "in time")
    await waiting
    await say(world, run, *(f"line {n}" for n in range(9)))
    late, later = hub.follow(run.run_id, 0, lines), hub.follow(run.run_id, 0, lines)
    await anext(late)
    await anext(later)
    await world.finish(run, o.Completed())
    world.clock.advance(1.5 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    with pytest.raises(Cut):
        await anext(late)
    world.clock.advance(86_400)
    await world.round_of(world.engine.pruner.loop)
    assert await world.store.record(run.run_id) is None
    assert [frames async for frames in later] == []
    assert hub.channels == 1, "that of who lags, and has not heard of it yet"
    with pytest.raises(Lagged):
        await anext(live)
    assert hub.channels == 0


async def test_who_asks_beyond_the_end_is_let_go_when_another_reader_was_the_first_to_see_it(world: World):
    shared = Shared(world)
    run = await executing(world)
    record, asking = world.store.record, asyncio.Event()
    over, told = asyncio.Event(), asyncio.Event()

    async def early(run_id: str) -> Record | None:
        found = await record(run_id)
        asking.set()
        await told.wait()
        return found

    async def late(run_id: str) -> Record | None:
        asking.set()
        await over.wait()
        return await record(run_id)

    async def asks(after_seq: int, slowly: Callable[[str], Awaitable[Record | None]]) -> asyncio.Task[bytes]:
        world.store.record = slowly  # type: ignore[assignment]
        following = asyncio.create_task(read(shared.hub, run.run_id, after_seq))
        await asking.wait()
        asking.clear()
        return following

    beyond, before = await asks(100, early), await asks(run.seq, late)
    world.store.record = record  # type: ignore[method-assign]
    shared.mine = False
    await world.finish(run, o.Completed())
    rest = (await world.events(run.run_id))[run.seq :]
    async with asyncio.timeout(20):
        over.set()
        assert await before == b"".join(map(lines, rest))
        told.set()
        await settled(world)
        shared.hub.committed(Committed({}, {run.run_id: rest}))
        assert await beyond == b""


# --- any interleaving -------------------------------------------------------------------------------------------------
@settings(max_examples=SOAK or 25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.integers(1, 4)),
            st.tuples(st.just("follow"), st.integers(0, 6)),
            st.tuples(st.just("turns"), st.integers(1, 12)),
        ),
        max_size=25,
    ),
    st.integers(1, 3),
)
def test_a_follower_misses_nothing_whatever_is_committed_while_it_reads(database, tmp_path, plan, page):
    async def scenario() -> None:
        world = await World(tmp_path, FrozenClock(), (), database).open()
        hub = Hub(world.store, world.clock, page=page)
        world.engine.commit.listeners.append(hub.committed)
        run = await executing(world)
        followers: list[tuple[int, asyncio.Task[bytes]]] = []
        commits: list[asyncio.Task[None]] = []
        for verb, number in plan:
            if verb == "say":
                commits.append(asyncio.create_task(say(world, run, *("x" * number))))
            elif verb == "follow":
                followers.append((number, asyncio.create_task(read(hub, run.run_id, number))))
            else:
                for _ in range(number):
                    await asyncio.sleep(0)
        await asyncio.gather(*commits)
        await world.finish(run, o.Completed())
        events = await world.events(run.run_id)
        async with asyncio.timeout(20):
            for after, task in followers:
                assert await task == b"".join(map(lines, events[after:]))
        assert hub.channels == 0
        await world.close()

    asyncio.run(scenario())


# --- what other processes write ---------------------------------------------------------------------------------------


class Shared:
    """A hub that hears only what `mine` says was committed by its own process; everything else another one wrote."""

    def __init__(self, world: World, **options: int) -> None:
        self.hub = Hub(world.store, world.clock, **options)
        self.mine = True
        world.engine.commit.listeners.append(self.hear)

    def hear(self, done: Committed) -> None:
        """Pass on what is ours."""
        if self.mine:
            self.hub.committed(done)


async def test_a_stream_reads_what_others_wrote_before_what_this_process_committed(world: World):
    shared = Shared(world)
    run = await executing(world)
    following = asyncio.create_task(read(shared.hub, run.run_id))
    await settled(world)
    await say(world, run, "ours")
    await settled(world)
    shared.mine = False
    await say(world, run, "theirs", "theirs too")
    shared.mine = True
    await say(world, run, "ours again")
    await world.finish(run, o.Completed())
    async with asyncio.timeout(20):
        assert await following == await whole(world, run.run_id)


async def test_what_is_committed_while_the_store_is_read_comes_once(world: World):
    shared = Shared(world)
    run = await executing(world)
    following = asyncio.create_task(read(shared.hub, run.run_id))
    await settled(world)
    events_after, asked, answered = world.store.events_after, asyncio.Event(), asyncio.Event()

    async def slow(*arguments):
        found = await events_after(*arguments)
        asked.set()
        await answered.wait()
        return found

    world.store.events_after = slow  # type: ignore[method-assign]
    shared.mine = False
    await say(world, run, "theirs")
    shared.hub.look()
    await asked.wait()
    shared.mine = True
    shared.hub.committed(Committed({}, {run.run_id: await world.events(run.run_id)}))
    await say(world, run, "ours")
    answered.set()
    await settled(world)
    late = asyncio.create_task(read(shared.hub, run.run_id))
    await settled(world)
    await world.finish(run, o.Completed())
    async with asyncio.timeout(20):
        assert await following == await late == await whole(world, run.run_id)


async def test_a_hub_that_is_told_to_look_reads_all_that_is_followed_and_nothing_else(world: World):
    shared = Shared(world, page=2)
    shared.mine = False
    runs = [await executing(world) for _ in range(3)]
    following = [asyncio.create_task(read(shared.hub, run.run_id)) for run in runs]
    await settled(world)
    for run in runs:
        await say(world, run, *map(str, range(7)))
        await world.finish(run, o.Completed())
    await settled(world)
    assert not any(task.done() for task in following)
    shared.hub.look(["run_of_nobody", runs[0].run_id])
    async with asyncio.timeout(20):
        assert await following[0] == await whole(world, runs[0].run_id)
        assert not following[1].done()
        shared.hub.look()
        for run, task in zip(runs, following, strict=True):
            assert await task == await whole(world, run.run_id)
    assert shared.hub.channels == 0


async def test_a_stream_of_a_run_that_another_process_makes_later_begins_with_its_first_event(world: World):
    shared = Shared(world)
    shared.mine = False
    order = world.order(world.job())
    early = asyncio.create_task(read(shared.hub, order.run_id))
    await settled(world)
    await world.engine.commit.apply(order)
    await world.stop(order.run_id)
    shared.hub.look([order.run_id])
    async with asyncio.timeout(20):
        assert await early == await whole(world, order.run_id)


async def test_waiting_for_a_run_to_leave_ends_when_another_process_ended_it(world: World):
    shared = Shared(world)
    shared.mine = False
    run = await executing(world)
    waiting = asyncio.create_task(shared.hub.left_executing(run.run_id, 2))
    await until(lambda: world.clock.sleepers == 1)
    shared.hub.look()
    await settled(world)
    assert not waiting.done()
    await world.finish(run, o.Completed())
    shared.hub.look([run.run_id])
    assert await waiting is True


async def test_a_history_that_is_all_filtered_away_is_read_to_its_end(world: World, ended: Run):
    hub = Hub(world.store, world.clock, page=2)
    async with asyncio.timeout(20):
        assert await read(hub, ended.run_id, encode=lambda event: b"") == b""
        last = await read(hub, ended.run_id, encode=lambda e: lines(e) if e.seq == ended.seq else b"", live=False)
    assert last.startswith(b"%d " % ended.seq)


@settings(max_examples=SOAK or 25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["ours", "theirs", "both"]), st.integers(1, 4)),
            st.tuples(st.just("follow"), st.integers(0, 6)),
            st.tuples(st.just("look"), st.just(0)),
            st.tuples(st.just("turns"), st.integers(1, 12)),
        ),
        max_size=30,
    ),
    st.integers(1, 3),
)
def test_a_follower_misses_nothing_whichever_process_commits(database, tmp_path, plan, page):
    async def scenario() -> None:
        world = await World(tmp_path, FrozenClock(), (), database).open()
        shared = Shared(world, page=page)
        run = await executing(world)
        followers: list[tuple[int, asyncio.Task[bytes]]] = []
        for verb, number in plan:
            if verb == "follow":
                followers.append((number, asyncio.create_task(read(shared.hub, run.run_id, number))))
            elif verb == "look":
                shared.hub.look()
            elif verb == "turns":
                for _ in range(number):
                    await asyncio.sleep(0)
            else:
                for place in range(number):
                    shared.mine = verb == "ours" or (verb == "both" and place % 2 == 1)
                    await say(world, run, *("x" * number))
        shared.mine = False
        await world.finish(run, o.Completed())
        events = await world.events(run.run_id)

        def all_done() -> bool:
            shared.hub.look()  # the slow poll
            return all(task.done() for _, task in followers)

        await until(all_done)
        async with asyncio.timeout(20):
            for after, task in followers:
                assert await task == b"".join(map(lines, events[after:]))
        assert shared.hub.channels == 0
        await world.close()

    asyncio.run(scenario())


# --- leaving the executing state --------------------------------------------------------------------------------------


async def test_waiting_for_a_run_to_leave_ends_when_it_left(world: World):
    run = await executing(world)
    waiting = [asyncio.create_task(world.engine.hub.left_executing(run.run_id, 2)) for _ in range(3)]
    await until(lambda: world.clock.sleepers == 3)
    await world.finish(run, o.Completed())
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert world.engine.hub._moved == {}


async def test_waiting_for_a_run_to_leave_ends_with_its_time_and_disturbs_no_other(world: World):
    run = await executing(world)
    short_wait = asyncio.create_task(world.engine.hub.left_executing(run.run_id, 1))
    long_wait = asyncio.create_task(world.engine.hub.left_executing(run.run_id, 5))
    await until(lambda: world.clock.sleepers == 2)
    world.clock.advance(1)
    assert await short_wait is False
    await world.finish(run, o.Completed())
    assert await long_wait is True
