import asyncio
import inspect
import itertools
import time
from collections.abc import Iterator

import pytest

from tests.waiting import GROWTH, LONGEST_S, SHORTEST_S, TURNS_S, pauses, until, until_then


async def test_what_holds_at_once_takes_no_turn():
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    assert (await until(lambda: "yes"), turns) == ("yes", [])


async def test_the_first_true_answer_is_returned_whoever_gives_it():
    answers: Iterator[object] = iter([0, None, [], "at last", "too late"])

    async def ask() -> object:
        return next(answers)

    assert await until(ask) == "at last"
    assert await until(lambda: next(answers)) == until_then(lambda: "too late")


async def test_what_is_enough_can_be_told_of_the_answer():
    counting = itertools.count()
    assert await until(lambda: next(counting), lambda number: number > 3) == 4
    assert until_then(lambda: next(counting), lambda number: number > 7) == 8


def test_only_turns_are_given_away_for_a_moment_and_then_pauses_grow_to_the_longest():
    found = [*itertools.islice(pauses(itertools.count(7, TURNS_S / 4).__next__), 30)]
    assert found[:4] == [0, 0, 0, SHORTEST_S]
    assert found[4:] == [pytest.approx(min(SHORTEST_S * GROWTH**number, LONGEST_S)) for number in range(1, 27)]


async def test_who_waits_long_asks_seldom_and_leaves_the_processor_to_others():
    for waits in (until, until_then):
        asked: list[float] = []
        began = time.monotonic()

        def ask(asked: list[float] = asked, began: float = began) -> bool:
            asked.append(time.monotonic() - began)
            return asked[-1] > 0.05

        waited: object = waits(ask)
        assert await waited if inspect.isawaitable(waited) else waited
        late = [at for at in asked if at > 2 * TURNS_S]
        assert len(late) <= 1 + (asked[-1] - TURNS_S) / SHORTEST_S


@pytest.mark.parametrize("wait", ["on a loop", "without one"])
async def test_who_waits_in_vain_says_for_what_and_what_there_was_instead(wait: str):
    pigs: list[str] = []
    told = r"^waited 0.01 s in vain for `.*(pigs).*` \(tests/test_waiting.py:\d+\); the last answer was \[\]$"
    with pytest.raises(AssertionError, match=told):
        await until(lambda: pigs, patience_s=0.01) if wait == "on a loop" else until_then(lambda: pigs, patience_s=0.01)


async def test_a_question_that_is_never_answered_is_waited_for_in_vain():
    with pytest.raises(AssertionError, match=r"vain for `async def wait\(.*the last answer was None$"):
        await until(asyncio.Event().wait, patience_s=0.01)


async def test_both_conditions_are_told_where_there_are_two():
    def ask() -> int:
        return 4

    with pytest.raises(AssertionError, match=r"`def ask\(\) -> int:` \(.*, `.*lambda number: number > 4.*`"):
        await until(ask, lambda number: number > 4, patience_s=0.01)


@pytest.mark.parametrize("error", [TimeoutError, ValueError])
async def test_a_question_that_fails_fails_the_waiting_with_its_own_words(error: type[Exception]):
    def ask() -> bool:
        raise error("of its own")

    with pytest.raises(error, match="of its own"):
        await until(ask)
    with pytest.raises(error, match="of its own"):
        until_then(ask)
