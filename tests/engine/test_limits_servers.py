"""Limits hold on two servers at once: eight claimers, and never two runs where one may be."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
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


class Met:
    """Sees whether two executions go on at one moment that share what may be executed once at a time.

    The instants of attempts cannot tell: a claim has that of its transaction's begin, which may wait for the end of
    the run before.
    """

    def __init__(self) -> None:
        self.overlaps: list[tuple[str, str]] = []
        self._now: dict[str, str] = {}

    @contextmanager
    def alone(self, run: Run) -> Iterator[None]:
        """Execute a run: from when its claim is answered until its end is asked for."""
        [shared] = [limit.key for limit in run.spec.limits]
        if shared in self._now:
            self.overlaps.append((self._now[shared], run.run_id))
        self._now[shared] = run.run_id
        yield
        self._now.pop(shared, None)


async def labour(world: World, name: str, left: list[int], met: Met) -> None:
    """Claim, work and finish, one run after the other, until nothing is left."""
    in_vain = 0
    while left[0] > 0:
        runs: list[Run] = await world.engine.commit.apply(Take(await world.lanes(), 1, name))
        world.clock.advance(0.001)
        for run in runs:
            with met.alone(run):
                await asyncio.sleep(0)
                world.clock.advance(0.001)
            await world.finish(run, o.Completed())
            left[0] -= 1
        in_vain = 0 if runs else in_vain + 1
        if in_vain % LOOK == 1:
            await world.round_of(world.engine.scheduler.loop)  # a slot that the other server freed, and nobody took


@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize("limit", ["job", "key"])
async def test_appendix_c_18_eight_claimers_on_two_servers_never_overlap(servers: tuple[World, World], limit: str):
    world = servers[0]
    asked = world.job("one", **({"max_concurrency": 1} if limit == "job" else {"max_concurrency_per_key": 1}))  # type: ignore[arg-type]
    for first in range(0, RUNS, 500):
        orders = [world.order(asked, concurrency_key=f"k{n % KEYS}") for n in range(first, min(first + 500, RUNS))]
        await world.engine.commit.apply_all(orders)
    left, met = [RUNS], Met()
    async with asyncio.timeout(PATIENCE_S * (300 if SOAK else 2)):
        await asyncio.gather(*(labour(servers[n % 2], f"wrk-{n}", left, met) for n in range(CLAIMERS)))
    assert world.rows("SELECT count(*) FROM attempts") == [(RUNS,)]
    assert met.overlaps == []
    await world.check()
