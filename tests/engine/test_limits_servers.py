"""Limits hold on two servers at once: eight claimers, and never two runs where one may be."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.run import Run
from runwright.engine.requests import Take
from tests.engine.test_cron_servers import Shared
from tests.engine.world import PATIENCE_S, World
from tests.postgres import new_database

SOAK = "RUNWRIGHT_TEST_SOAK" in os.environ
RUNS = 10_000 if SOAK else 120
CLAIMERS = 8
KEYS = 5
LOOK = 10
"""After so many claims in vain somebody looks for what nobody took."""


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


async def labour(world: World, name: str, left: list[int]) -> None:
    """Claim, work and finish, one run after the other, until nothing is left."""
    in_vain = 0
    while left[0] > 0:
        runs: list[Run] = await world.engine.commit.apply(Take(await world.lanes(), 1, name))
        world.clock.advance(0.001)
        for run in runs:
            await asyncio.sleep(0)
            world.clock.advance(0.001)
            await world.finish(run, o.Completed())
            left[0] -= 1
        in_vain = 0 if runs else in_vain + 1
        if in_vain % LOOK == 1:
            await world.round_of(world.engine.scheduler.loop)  # a slot that the other server freed, and nobody took


def overlaps(world: World, column: str) -> list[tuple[str, str]]:
    """Return the pairs of attempts that executed at one moment and share what may be executed once at a time."""
    spans: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for run_id, begun, ended, shared in world.rows(
        f"SELECT a.run_id, a.started_at, a.ended_at, {column} FROM attempts a JOIN runs r ON r.run_id = a.run_id"
    ):
        spans[shared].append((begun, ended, run_id))
    found = []
    for those in spans.values():
        those.sort()
        found += [(one[2], two[2]) for one, two in pairwise(those) if two[0] < one[1]]
    return found


@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize("limit", ["job", "key"])
async def test_appendix_c_18_eight_claimers_on_two_servers_never_overlap(servers: tuple[World, World], limit: str):
    world = servers[0]
    asked = world.job("one", **({"max_concurrency": 1} if limit == "job" else {"max_concurrency_per_key": 1}))  # type: ignore[arg-type]
    for first in range(0, RUNS, 500):
        orders = [world.order(asked, concurrency_key=f"k{n % KEYS}") for n in range(first, min(first + 500, RUNS))]
        await world.engine.commit.apply_all(orders)
    left = [RUNS]
    async with asyncio.timeout(PATIENCE_S * (300 if SOAK else 2)):
        await asyncio.gather(*(labour(servers[n % 2], f"wrk-{n}", left) for n in range(CLAIMERS)))
    assert world.rows("SELECT count(*) FROM attempts") == [(RUNS,)]
    shared = "r.job_id" if limit == "job" else "convert_from(r.opening, 'utf8')::json ->> 'concurrency_key'"
    assert overlaps(world, shared) == []
    await world.check()
