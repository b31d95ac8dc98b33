"""Every loop comes at its interval, comes at once when asked, and outlives what breaks in a round."""

import asyncio

import pytest

from runwright import telemetry
from runwright.clock import FrozenClock
from runwright.engine.loops import AGAIN_S, BREATH_S, Loop
from runwright.engine.steady import Steady
from runwright.errors import StoreError, StoreUnavailable
from tests.waiting import until


class Rounds:
    """A loop whose rounds do what the test put in."""

    def __init__(self, every_s: float = 10.0) -> None:
        self.clock = FrozenClock()
        self.hinted: list[bool] = []
        self.trouble: list[Exception] = []
        self.loop = Loop("test", self._once, self.clock, every_s=every_s)

    async def _once(self) -> None:
        self.hinted.append(self.loop.hinted)
        if self.trouble:
            raise self.trouble.pop()

    async def waits(self, rounds: int) -> None:
        """Return when so many rounds were begun and the loop waits for the next."""
        await until(lambda: len(self.hinted) == rounds and self.clock.sleepers == 1)


@pytest.fixture
async def rounds():
    made = Rounds()
    made.loop.start()
    await made.waits(1)
    yield made
    await made.loop.stop()


async def test_a_loop_begins_with_a_round_and_comes_at_its_interval(rounds: Rounds):
    rounds.clock.advance(9.9)
    await rounds.waits(1)
    rounds.clock.advance(0.1)
    await rounds.waits(2)
    assert rounds.hinted == [False, False]


async def test_a_hint_brings_a_round_at_once_and_is_used_up(rounds: Rounds):
    rounds.loop.wake()
    rounds.loop.wake()
    await rounds.waits(2)
    rounds.clock.advance(10)
    await rounds.waits(3)
    assert rounds.hinted == [False, True, False]


@pytest.mark.parametrize("trouble", [StoreUnavailable("down"), KeyError("a bug")])
async def test_a_round_that_breaks_is_reported_and_the_next_one_comes_soon(rounds: Rounds, trouble: Exception):
    heard: list[str] = []
    detach = telemetry.attach(lambda name, fields: heard.append(f"{name} {fields['loop']}"))
    rounds.trouble.append(trouble)
    rounds.loop.wake()
    await rounds.waits(2)
    detach()
    assert heard == [f"loop.{'failed' if isinstance(trouble, StoreUnavailable) else 'broken'} test"]
    rounds.clock.advance(BREATH_S)
    await rounds.waits(3)
    assert rounds.loop.rounds == 2, "a broken round does not count"


async def test_a_loop_that_goes_on_failing_says_so_now_and_then_and_each_round_is_counted(rounds: Rounds):
    lines: list[str] = []
    counted: list[str] = []
    undo = [
        telemetry.attach(lambda name, fields: lines.append(fields["code"])),
        telemetry.attach(lambda name, fields: counted.append(fields["code"]), "loop.failed"),
    ]
    rounds.loop.wake()
    for number in range(int(AGAIN_S / BREATH_S) + 2):
        rounds.trouble.append(StoreUnavailable("down"))
        rounds.clock.advance(BREATH_S)
        await rounds.waits(2 + number)
    assert (len(lines), len(counted)) == (2, int(AGAIN_S / BREATH_S) + 2)
    rounds.trouble.append(StoreError("otherwise"))
    rounds.clock.advance(BREATH_S)
    await until(lambda: lines[2:] == ["store.error"])
    for each in undo:
        each()


async def test_a_round_may_ask_for_the_next_one_earlier_but_not_later(rounds: Rounds):
    async def soon() -> None:
        rounds.loop.next_s = 2.0

    async def late() -> None:
        rounds.loop.next_s = 200.0

    rounds.loop._once = soon
    rounds.loop.wake()
    await until(lambda: rounds.loop.rounds == 2 and rounds.clock.sleepers == 1)
    rounds.loop._once = late
    rounds.clock.advance(2)
    await until(lambda: rounds.loop.rounds == 3 and rounds.clock.sleepers == 1)
    rounds.clock.advance(10)
    await until(lambda: rounds.loop.rounds == 4)


async def test_a_loop_that_was_stopped_does_nothing_more():
    made = Rounds()
    made.loop.start()
    await made.waits(1)
    await made.loop.stop()
    made.loop.wake()
    made.clock.advance(100)
    await asyncio.sleep(0)
    assert len(made.hinted) == 1
    await made.loop.stop()


# --- a clock that can be trusted --------------------------------------------------------------------------------------


def trusts(steady: Steady) -> bool:
    """Ask whether the clock may be believed; asking is what makes it look."""
    return steady.now


@pytest.mark.parametrize("jump", [16, -16, 86_400, -86_400])
def test_after_a_jump_of_the_clock_a_whole_lease_is_waited(jump: int):
    clock = FrozenClock()
    steady = Steady(clock, 30)
    clock.advance(1000)
    assert trusts(steady)
    clock.jump(jump)
    assert not trusts(steady)
    clock.advance(29)
    assert not trusts(steady)
    clock.advance(1)
    assert trusts(steady)


@pytest.mark.parametrize("jump", [14, -14, 0.5])
def test_small_corrections_of_the_clock_are_no_jump(jump: float):
    clock = FrozenClock()
    steady = Steady(clock, 30)
    for _ in range(10):
        clock.advance(5)
        clock.jump(jump)
        assert trusts(steady)


def test_a_second_jump_asks_for_patience_again():
    clock = FrozenClock()
    steady = Steady(clock, 30)
    clock.jump(100)
    assert not trusts(steady)
    clock.advance(29)
    clock.jump(-100)
    assert not trusts(steady)
    clock.advance(29)
    assert not trusts(steady)


def test_an_outage_asks_for_patience_too():
    clock = FrozenClock()
    steady = Steady(clock, 30)
    steady.disturb()
    assert not trusts(steady)
    clock.advance(30)
    assert trusts(steady)
