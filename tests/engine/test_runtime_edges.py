"""Edge cases of the runtime surface's reference, appendix K, that are the engine's; others stand where they belong.

A test of an edge case is named `test_k` and its number, one of a scenario `test_scenario_` and its number, wherever it
stands; a house test counts them.
"""

import asyncio

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.events import TERMINAL_TYPES, Draft
from runwright.domain.redaction import Redactor
from tests.engine.world import World

RUNS = 20
DAY_S = 86_400
redactor = Redactor()


async def test_k2_nobody_sees_an_end_before_the_event_that_tells_it_can_be_listed(world: World):
    ended, seen = asyncio.Event(), set[str]()

    async def look(run_id: str) -> None:
        while True:
            last = ended.is_set()
            terminal = (await world.record(run_id)).run.terminal  # as a status, read before the events are listed
            types = await world.types(run_id)
            if terminal:
                assert types[-1] in TERMINAL_TYPES
                seen.add(run_id)
                return
            assert not last
            await asyncio.sleep(0)

    run_ids = [await world.submit(world.job()) for _ in range(RUNS)]
    looking = [asyncio.create_task(look(run_id)) for run_id in run_ids]
    for run in await world.take(RUNS):
        await world.finish(run, o.Completed())
    ended.set()
    await asyncio.gather(*looking)
    assert seen == set(run_ids)


async def test_k14_a_clock_that_goes_back_makes_no_event_older_than_the_one_before(world: World):
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    for _ in range(3):
        world.clock.jump(-DAY_S)
        line = Draft("log", redactor.raw(b"{}"), redactor.text("a line"))
        await world.engine.commit.apply(c.Append(run_id, run.lease_epoch, (line,)))
    await world.finish(run, o.Completed())
    events = await world.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    times = [event.created_at for event in events]
    assert times == sorted(times)
    assert times[-1] > world.clock.now(), "the seq counts, and the time stands still until the clock has come up again"
    await world.check()
