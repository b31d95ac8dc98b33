"""Several servers on one PostgreSQL fire each tick of each schedule once, whatever they do at the same time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runwright import ids
from runwright.clock import FrozenClock
from runwright.domain.job import Job
from runwright.errors import InvalidTransition
from tests.engine.databases import PostgresDatabase
from tests.engine.timetable import HOUR, MINUTE, Town, at, turn_to
from tests.engine.world import SECOND, settled
from tests.postgres import new_database

T = TypeVar("T")
BERLIN = "Europe/Berlin"


class Shared(PostgresDatabase):
    """A database that other servers go on using when one of them is gone."""

    async def crash(self) -> None:
        self._store._writers.closed = self._store._readers.closed = True
        for connection in self._made:
            connection.terminate()


class Server(Town):
    """One of several servers in this process, whose loops a test runs: they have the names of each other's."""

    async def crash(self) -> None:
        busy = self.engine.commit._busy
        if busy is not None:
            busy.cancel()
            await asyncio.wait([busy])
        await self.database.crash()
        self.opened = False


@pytest.fixture
async def towns(tmp_path: Path) -> AsyncIterator[tuple[Town, Town]]:
    """Return two servers on one database, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        pair = [Town(tmp_path / name, clock, (), Shared(url)) for name in ("first", "second")]
        for town in pair:
            await town.open()
        yield pair[0], pair[1]
        for town in pair:
            await town.close()


async def look_together(*towns: Town) -> None:
    """Let several loops look at the same moment, as often as they want to at once."""
    for _ in range(5):
        await asyncio.gather(*(town.look() for town in towns))
        if all(town.engine.cron.loop.next_s is None or town.engine.cron.loop.next_s > 1 for town in towns):
            return


async def test_appendix_c_17_two_servers_fire_each_tick_once(towns: tuple[Town, Town]):
    first, second = towns
    jobs = [await first.create(f"job-{n}", cron="* * * * *") for n in range(20)]
    begun = first.clock.now()
    for _ in range(10):
        first.clock.advance(MINUTE)
        await look_together(first, second)
    for job in jobs:
        assert await first.fires(job) == [begun + n * MINUTE * SECOND for n in range(1, 11)]
    makers = [town.engine.cron.loop.rounds for town in towns]
    assert makers == [0, 0], "the rounds were the test's"


@pytest.mark.parametrize("day", [(2027, 3, 28), (2027, 10, 31)], ids=["forward", "back"])
async def test_appendix_c_17_two_servers_fire_once_on_the_days_on_which_clocks_are_set_also_across_a_restart(
    towns: tuple[Town, Town], day: Any
):
    first, second = towns
    turn_to(first.clock, at(BERLIN, *day))
    job = await first.create(cron="30 2 * * *", timezone=BERLIN)
    for hour in range(23):
        if hour == 2:
            await second.close()
        first.clock.advance(HOUR)
        await look_together(*((first,) if hour == 2 else towns))
        if hour == 2:
            second.store = second.database.make(second.clock)
            await second.open()
    assert len(await first.fires(job)) == 1


class Servers(RuleBasedStateMachine):
    """Two servers, their operator who changes jobs and kills servers, and workers who finish runs."""

    def __init__(self) -> None:
        super().__init__()
        ids._random.seed(0)
        self.loop = asyncio.new_event_loop()
        self.stack = ExitStack()
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="runwright-servers-")))
        self.spans: dict[str, list[list[int | None]]] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def begin(self) -> None:
        self.url = self.stack.enter_context(new_database())
        self.clock = FrozenClock()
        self.towns = [self.do(self.town(name)) for name in ("first", "second")]
        self.jobs: dict[str, Job] = {}
        for overlap in ("allow", "skip", "cancel"):
            job = self.do(self.towns[0].create(overlap, cron="* * * * *", catch_up="all", overlap=overlap))
            self.jobs[overlap] = job
            self.spans[overlap] = [[self.clock.now(), None]]

    async def town(self, name: str) -> Town:
        town = Server(self.directory / name, self.clock, (), Shared(self.url), cron_catch_up_max=1000)
        await town.open()
        return town

    def teardown(self) -> None:
        try:
            self.do(look_together(*self.towns))
            self.all_was_fired()
            for town in self.towns:
                self.do(town.close())
        finally:
            ids._reseed()
            self.loop.close()
            self.stack.close()

    @rule(seconds=st.sampled_from([20, 60, 61, 150]), who=st.sampled_from([(0,), (1,), (0, 1)]))
    def time_passes(self, seconds: int, who: tuple[int, ...]) -> None:
        self.clock.advance(seconds)
        self.do(look_together(*(self.towns[n] for n in who)))

    @rule(seconds=st.sampled_from([60, 120]), overlap=st.sampled_from(["allow", "skip", "cancel"]))
    def a_job_is_changed_while_both_look(self, seconds: int, overlap: str) -> None:
        """Switch a job off or on. Whether a fire that is due is made before or after that is anybody's guess."""
        self.clock.advance(seconds)
        job, spans = self.jobs[overlap], self.spans[overlap]
        enabled = job.definition.enabled

        async def change_and_look() -> Job:
            looking = asyncio.gather(*(town.look() for town in self.towns))
            changed = await self.towns[0].change(job, enabled=not enabled)
            await looking
            return changed

        self.jobs[overlap] = self.do(change_and_look())
        if enabled:
            spans[-1][1] = self.clock.now()
        else:
            spans.append([self.clock.now(), None])

    @rule(overlap=st.sampled_from(["skip", "cancel"]))
    def a_run_is_cancelled_while_both_look(self, overlap: str) -> None:
        self.clock.advance(MINUTE)

        async def cancel_and_look() -> None:
            unfinished = [run for run in await self.towns[0].runs_of(self.jobs[overlap]) if not run.terminal]
            stops = [self.towns[0].stop(run.run_id) for run in unfinished]
            for outcome in await asyncio.gather(*stops, *(town.look() for town in self.towns), return_exceptions=True):
                assert outcome is None or not isinstance(outcome, Exception) or isinstance(outcome, InvalidTransition)

        self.do(cancel_and_look())

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([60, 180]), turns=st.integers(0, 12))
    def a_server_is_killed_while_both_look(self, which: int, seconds: int, turns: int) -> None:
        self.clock.advance(seconds)
        victim, other = self.towns[which], self.towns[1 - which]

        async def kill() -> None:
            tasks = [asyncio.create_task(town.look()) for town in (victim, other)]
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[0].cancel()
            await victim.crash()
            await asyncio.wait(tasks)
            assert tasks[1].exception() is None

        self.do(kill())
        self.towns[which] = self.do(self.town(("first", "second")[which]))

    @invariant()
    def no_fire_is_doubled_and_none_is_made_up(self) -> None:
        for overlap, job in self.jobs.items():
            fires = self.do(self.towns[0].fires(job))
            assert len(fires) == len(set(fires))
            assert all(any(self.within(fire, span) for span in self.spans[overlap]) for fire in fires)
            unfinished = [run for run in self.do(self.towns[0].runs_of(job)) if not run.terminal]
            assert overlap == "allow" or len(unfinished) <= 1

    def all_was_fired(self) -> None:
        """Look at the job whose fires do not wait for its runs: each tick of a span is there, but for its last ones."""
        self.do(settled(self.towns[0]))
        fires = set(self.do(self.towns[0].fires(self.jobs["allow"])))
        for begin, end in self.spans["allow"]:
            assert begin is not None
            sure = self.clock.now() if end is None else self.seen_before(end)
            first = begin - begin % (MINUTE * SECOND) + MINUTE * SECOND
            assert set(range(first, sure + 1, MINUTE * SECOND)) <= fires

    def seen_before(self, end: int) -> int:
        """Return until when a span that ended was looked at for sure: the steps before its end were looked at."""
        return end - 180 * SECOND

    @staticmethod
    def within(fire: int, span: list[int | None]) -> bool:
        begin, end = span
        assert begin is not None
        return begin < fire and (end is None or fire <= end)


TestServers = Servers.TestCase
TestServers.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target),
    suppress_health_check=list(HealthCheck),
)
