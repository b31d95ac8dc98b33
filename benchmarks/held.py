"""What a transaction that is held open does to claims and appends, with many idle streams beside them.

What is deleted or replaced while somebody's snapshot is older stays where it was: whoever begins at the beginning of a
queue, or reads a row that is written all the time, steps over more of it each second. In a minute a machine changes
its pace, too: so there are two servers, each with a database of its own in one PostgreSQL, both loaded in turns and
compared over the same seconds. A snapshot holds up the clearing of its own database alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from benchmarks.database import POSTGRESQL, databases
from benchmarks.figures import Figure
from benchmarks.follow import Follower, Reading
from benchmarks.handlers import APPENDED, CLAIMED, COUNTED, GO, STOP
from benchmarks.labour import labouring
from benchmarks.server import Server, serving
from benchmarks.stamps import Stamps
from benchmarks.wire import Connection, connections, request, run_id, trigger
from runwright.clock import SystemClock

Progress = Callable[[str], None]
CLAIMS, APPENDS = "claims", "events appended"
SLOTS = {CLAIMS: CLAIMED, APPENDS: APPENDED}
ITEMS = 20
"""Runs a request: few, so that there are many transactions, each of which replaces rows."""
BACKLOG = 1_000
"""Runs that wait at most: a claim finds some, and they are gone soon after the load ends."""
WRITERS = 8
_clock = SystemClock()


Rates = dict[str, list[float]]


@dataclass
class Site:
    """A server with a database of its own, and its rates: before anybody holds a snapshot, and since, oldest first."""

    load: Load
    url: str
    before: Rates = field(default_factory=lambda: {CLAIMS: [], APPENDS: []})
    since: Rates = field(default_factory=lambda: {CLAIMS: [], APPENDS: []})


async def held_open(
    rounds: int, followers: int, held_s: float, window_s: float, windows: int, tell: Progress, on: str = POSTGRESQL
) -> list[Figure]:
    """Measure claims and appends at a server whose database somebody holds a snapshot of, and at one beside it."""
    found: list[tuple[Site, Site]] = []
    lost = 0
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: {followers} streams at each server")
            async with _site(fresh(), followers) as (free, idle), _site(fresh(), followers) as (held, others):
                for _ in range(windows):
                    await _windows(((free, free.before), (held, held.before)), window_s)
                tell(f"round {number + 1} of {rounds}: held open for {held_s:g} s")
                async with _snapshot(held.url):
                    until = time.perf_counter() + held_s
                    while time.perf_counter() < until:
                        await _windows(((free, free.since), (held, held.since)), window_s)
                lost += sum(follower.lost + follower.ended.done() for follower in (*idle, *others))
            found.append((free, held))
    conditions = (
        f"two databases in one PostgreSQL, each with one server and one worker process and {followers} idle streams of"
        f" as many runs ({lost} lost); windows of {window_s:g} s, claims and appends at both in turns"
    )
    return [figure for name in SLOTS for figure in _figures(name, found, windows, held_s, conditions)]


async def _windows(sites: tuple[tuple[Site, Rates], tuple[Site, Rates]], window_s: float) -> None:
    """Add a window of claims and one of appends at both sites; the second goes first every other time.

    Whoever comes first after the claims of both still has what they left to be done beside it.
    """
    turn = len(sites[0][1][CLAIMS]) % 2
    for name in SLOTS:
        for site, rates in sites[:: -1 if turn else 1]:
            rates[name].append(await site.load.window(name, window_s))


def _figures(name: str, found: list[tuple[Site, Site]], last: int, held_s: float, conditions: str) -> Iterator[Figure]:
    """Compare the last windows under the snapshot, which have the most behind them, with those beside them."""
    free = [_mean(free.since[name][-last:]) for free, _ in found]
    held = [_mean(held.since[name][-last:]) for _, held in found]
    paces = [_mean(free.since[name][-last:]) / _mean(free.before[name]) for free, _ in found]
    alike = [_mean(held.before[name]) / _mean(free.before[name]) for free, held in found]
    course = [
        f"{under / max(beside, 1):.2f}" for beside, under in zip(*(site.since[name] for site in found[-1]), strict=True)
    ]
    ratios = [under / beside for beside, under in zip(free, held, strict=True)]
    yield Figure(name=f"{name}, nobody holds a snapshot", unit="/s", rounds=free, conditions=conditions)
    yield Figure(name=f"{name}, a snapshot held for {held_s:g} s", unit="/s", rounds=held,
                 conditions=f"the last {last} windows under it, and those beside them")  # fmt: skip
    yield Figure(name=f"{name}, the same two before it is held", unit="×", rounds=alike)
    yield Figure(name=f"{name}, nobody holds a snapshot, later ÷ before", unit="×", rounds=paces,
                 conditions="what both sites' polls and the machine do to either")  # fmt: skip
    yield Figure(name=f"{name}, held ÷ not held", unit="×", rounds=ratios, goal="held",
                 conditions=f"window by window, in the last round: {' '.join(course)}",
                 bound="what the statements step over: rows that are gone, but not for the snapshot")  # fmt: skip


def _mean(rates: list[float]) -> float:
    return sum(rates) / len(rates)


@asynccontextmanager
async def _site(settings: dict[str, Any], followers: int) -> AsyncIterator[tuple[Site, list[Follower]]]:
    """Run a server and a worker on a new database, with idle streams, and writers that wait for their turn."""
    with serving(worker=False, stamps=COUNTED, **settings) as (server, stamps), labouring(server, stamps):
        async with _idle(server, followers) as idle, _load(server, stamps) as load:
            yield Site(load, settings["database_url"]), idle


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    """Hold a transaction open that has read something: nothing which it might see is cleared away meanwhile."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("SELECT count(*) FROM run_heads")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def _idle(server: Server, count: int) -> AsyncIterator[list[Follower]]:
    """Follow so many runs that are due tomorrow."""
    line, reading = await Connection.to(server), Reading()
    opened: list[Follower] = []
    later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    for number in range(count):
        body = {"payload": {"n": number}, "scheduled_at": later}
        made = run_id(await line.ask(request("POST", "/v1/jobs/noop/trigger?project_id=default", body)))
        opened.append(await Follower.to(server, reading, made))
    try:
        yield opened
    finally:
        for follower in opened:
            follower.close()
        line.close()


@dataclass
class Load:
    """What a server is given to do: runs to claim, or events to append, never both at once."""

    lines: list[Connection]
    stamps: Stamps
    asked: int = 0

    async def window(self, name: str, window_s: float) -> float:
        """Return the rate of claims or appends in one window; what was begun in it has ended when this returns."""
        slot = SLOTS[name]
        first, begun = self.stamps.at(slot), time.perf_counter()
        until = begun + window_s
        if name == APPENDS:
            self.stamps.note(GO)
            await _clock.sleep(window_s)
            self.stamps.forget(GO)
        else:
            await asyncio.gather(*(self._trigger(line, until) for line in self.lines))
        rate = (self.stamps.at(slot) - first) / (time.perf_counter() - begun)
        while self.stamps.at(CLAIMED) < self.asked:
            await _clock.sleep(0.01)
        return rate

    async def _trigger(self, line: Connection, until: float) -> None:
        body = {"items": [{"payload": {"n": number}} for number in range(ITEMS)]}
        asked = request("POST", "/v1/jobs/counted/trigger/bulk?project_id=default", body)
        while time.perf_counter() < until:
            if self.asked - self.stamps.at(CLAIMED) >= BACKLOG:
                await _clock.sleep(0.002)
                continue
            self.asked += ITEMS
            await line.ask(asked)


@asynccontextmanager
async def _load(server: Server, stamps: Stamps) -> AsyncIterator[Load]:
    """Let writers wait for their turn, and warm up both kinds of work."""
    load = Load(await connections(server, 4), stamps)
    for number in range(WRITERS):
        await load.lines[0].ask(trigger("writer", {"n": number}))
    for name in (*SLOTS, *SLOTS):
        await load.window(name, 1.0)
    try:
        yield load
    finally:
        stamps.note(STOP)
        for line in load.lines:
            line.close()
