import asyncio
import time

import pytest

from runwright.clock import Clock, FrozenClock, SystemClock


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_both_clocks_are_clocks():
    clocks: list[Clock] = [SystemClock(), FrozenClock()]
    assert len(clocks) == 2


def test_system_clock_tells_microseconds_since_the_epoch():
    before = time.time_ns() // 1000
    assert before <= SystemClock().now() <= time.time_ns() // 1000


def test_system_clock_goes_on():
    clock = SystemClock()
    first = clock.monotonic()
    asyncio.run(clock.sleep(0.002))
    assert clock.monotonic() - first >= 0.002


def test_system_clock_waits_for_an_event_or_for_its_time():
    async def scenario():
        clock, event = SystemClock(), asyncio.Event()
        assert await clock.wait(event, 0.001) is False
        assert await clock.wait(event, 0) is False
        asyncio.get_running_loop().call_soon(event.set)
        assert await clock.wait(event, None) is True
        assert await clock.wait(event, 0) is True

    asyncio.run(scenario())


def test_frozen_clock_stands_still_and_moves_both_times_when_told():
    clock = FrozenClock(5_000_000)
    assert (clock.now(), clock.monotonic()) == (5_000_000, 0.0)
    clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (6_500_000, 1.5)


def test_a_jump_moves_the_wall_clock_and_wakes_nobody():
    async def scenario():
        clock = FrozenClock(5_000_000)
        task = asyncio.create_task(clock.sleep(1))
        await settle()
        clock.jump(-3)
        clock.jump(3600)
        await settle()
        assert (clock.now(), clock.monotonic(), clock.sleepers) == (3_602_000_000, 0.0, 1)
        clock.advance(1)
        await task

    asyncio.run(scenario())


def test_advancing_wakes_sleepers_in_the_order_of_their_due_times():
    async def scenario():
        clock, woken = FrozenClock(), []

        async def sleeper(seconds, name):
            await clock.sleep(seconds)
            woken.append(name)

        tasks = [asyncio.create_task(sleeper(s, n)) for s, n in ((3, "c"), (1, "a"), (2, "b"), (1, "a2"), (9, "z"))]
        await settle()
        assert clock.sleepers == 5
        clock.advance(0.999999)
        await settle()
        assert woken == []
        clock.advance(2.000001)
        await settle()
        assert woken == ["a", "a2", "b", "c"]
        assert clock.sleepers == 1
        clock.advance(6)
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_many_small_steps_add_up_exactly():
    async def scenario():
        clock = FrozenClock()
        task = asyncio.create_task(clock.sleep(1))
        await settle()
        for _ in range(10):
            clock.advance(0.1)
        await task
        assert clock.monotonic() == 1.0

    asyncio.run(scenario())


def test_frozen_wait_ends_by_the_event_or_by_the_time():
    async def scenario():
        clock, event = FrozenClock(), asyncio.Event()
        late = asyncio.create_task(clock.wait(event, 5))
        await settle()
        clock.advance(5)
        assert await late is False
        early = asyncio.create_task(clock.wait(event, 5))
        ever = asyncio.create_task(clock.wait(event, None))
        await settle()
        event.set()
        assert await early is True
        assert await ever is True
        assert clock.sleepers == 0
        assert await clock.wait(event, 0) is True
        event.clear()
        assert await clock.wait(event, 0) is False

    asyncio.run(scenario())


def test_a_cancelled_sleeper_is_forgotten():
    async def scenario():
        clock = FrozenClock()
        tasks = [asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.wait(asyncio.Event(), 1))]
        await settle()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert clock.sleepers == 0
        clock.advance(2)

    asyncio.run(scenario())


def test_sleeping_for_no_time_lets_others_run_first():
    async def scenario():
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)
        await FrozenClock().sleep(0)
        assert ran == [1]

    asyncio.run(scenario())


def test_monotonic_time_never_goes_back():
    with pytest.raises(ValueError, match="never goes back"):
        FrozenClock().advance(-1)
