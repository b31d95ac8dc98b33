"""Triggers gather in one run on however many servers they arrive: none is lost or doubled, no batch is too large."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright.clock import FrozenClock
from runwright.engine.requests import Submitted
from tests.engine.test_cron_servers import Shared
from tests.engine.world import World
from tests.postgres import new_database


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Return two servers on one database, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("first", "second")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.crash()


async def both(servers: tuple[World, World], count: int, **definition: object) -> list[Submitted]:
    """Trigger one job so many times, on both servers at once; the scheduler looks meanwhile."""

    async def each(number: int) -> Submitted:
        world = servers[number % 2]
        return await world.submitted(world.job("shared", **definition), payload={"n": number})  # type: ignore[arg-type]

    rounds = [world.round_of(world.engine.scheduler.loop) for world in servers]
    answers = await asyncio.gather(*(each(number) for number in range(count)), *rounds)
    return [answer for answer in answers if answer is not None]


async def test_a_batch_is_filled_from_two_servers_exactly(servers: tuple[World, World]):
    answers = await both(servers, 100, batch={"window_secs": 10, "max_size": 7})
    world = servers[0]
    run_ids = {answer.run_id for answer in answers}
    payloads = [world.reader().exact_payload(await world.record(run_id)) for run_id in sorted(run_ids)]
    assert sorted(len(payload["items"]) for payload in payloads) == [2, *[7] * 14]
    assert sorted(item["payload"]["n"] for payload in payloads for item in payload["items"]) == list(range(100))
    assert sum(not answer.joined for answer in answers) == 15
    await world.check()


async def test_a_debounced_run_is_one_run_on_two_servers_and_begins_once(servers: tuple[World, World]):
    answers = await both(servers, 60, debounce={"window_secs": 5, "max_wait_secs": 20})
    world = servers[0]
    [run_id] = {answer.run_id for answer in answers}
    joined = [event for event in await world.events(run_id) if event.type == "run.joined"]
    assert len(joined) == 59
    for server in servers:
        await server.past(2.5)
    await asyncio.gather(*(server.round_of(server.engine.scheduler.loop) for server in servers))
    assert (await world.types(run_id)).count("run.queued") == 1
    await world.check()
