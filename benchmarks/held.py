"""What a transaction that is held open does to claims and appends, with many idle streams beside them.

What is deleted or replaced while somebody's snapshot is older stays where it was: whoever begins at the beginning of a
queue, or reads a row that is written all the time, steps over more of it each second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

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


@dataclass
class Windows:
    """The rates found: in the windows before the transaction and while it was open, oldest first, and after it."""

    before: dict[str, list[float]] = field(default_factory=lambda: {CLAIMS: [], APPENDS: []})
    held: dict[str, list[float]] = field(default_factory=lambda: {CLAIMS: [], APPENDS: []})
    after: dict[str, list[float]] = field(default_factory=lambda: {CLAIMS: [], APPENDS: []})


async def held_open(
    rounds: int, followers: int, held_s: float, window_s: float, windows: int, tell: Progress, on: str = POSTGRESQL
) -> list[Figure]:
    """Measure claims and appends, in turns, before another connection's snapshot, under it, and after it."""
    found = []
    with databases(on) as fresh:
        for number in range(rounds):
            settings = fresh()
            with serving(worker=False, stamps=COUNTED, **settings) as (server, stamps), labouring(server, stamps):
                tell(f"round {number + 1} of {rounds}: {followers} streams")
                async with AsyncExitStack() as stack:
                    idle = await stack.enter_async_context(_idle(server, followers))
                    load = await stack.enter_async_context(_load(server, stamps))
                    each = Windows()
                    await load.go_on(each.before, held_s, window_s)
                    tell(f"round {number + 1} of {rounds}: held open for {held_s:g} s")
                    async with _snapshot(settings["database_url"]):
                        await load.go_on(each.held, held_s, window_s)
                    await load.windows(each.after, windows, window_s)
                    lost = sum(follower.lost + follower.ended.done() for follower in idle)
            found.append(each)
    return [figure for name in SLOTS for figure in _figures(name, found, windows, followers, held_s, window_s, lost)]


def _figures(
    name: str, found: list[Windows], last: int, followers: int, held_s: float, window_s: float, lost: int
) -> list[Figure]:
    """Compare the last windows under the snapshot, which have the most behind them, with the last of as long a time
    before it.
    """
    before, held, after = (
        [_mean(w.before[name][-last:]) for w in found],
        [_mean(w.held[name][-last:]) for w in found],
        [_mean(w.after[name]) for w in found],
    )
    course = " ".join(f"{rate:.0f}" for rate in found[-1].held[name])
    conditions = (
        f"one server and one worker process, {followers} idle streams of as many runs ({lost} lost), windows of"
        f" {window_s:g} s, claims and appends in turns"
    )
    ratios = [late / early for early, late in zip(before, held, strict=True)]
    return [
        Figure(name=f"{name}, no old snapshot for {held_s:g} s", unit="/s", rounds=before, conditions=conditions),
        Figure(name=f"{name}, a snapshot held for {held_s:g} s", unit="/s", rounds=held,
               conditions=f"the last {last} windows under it; all of the last round's: {course}"),
        Figure(name=f"{name}, after it", unit="/s", rounds=after),
        Figure(name=f"{name}, held ÷ before", unit="×", rounds=ratios, goal="held",
               bound="what the statements step over: rows that are gone, but not for the snapshot"),
    ]  # fmt: skip


def _mean(rates: list[float]) -> float:
    return sum(rates) / len(rates)


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

    async def windows(self, rates: dict[str, list[float]], count: int, window_s: float) -> None:
        """Add the rates of so many windows of claims and of appends, in turns."""
        for _ in range(count):
            for name in SLOTS:
                rates[name].append(await self.window(name, window_s))

    async def go_on(self, rates: dict[str, list[float]], for_s: float, window_s: float) -> None:
        """Add the rates of as many windows as it takes until so much time has passed."""
        until = time.perf_counter() + for_s
        while time.perf_counter() < until:
            await self.windows(rates, 1, window_s)

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
    warm: dict[str, list[float]] = {CLAIMS: [], APPENDS: []}
    await load.windows(warm, 2, 1.0)
    try:
        yield load
    finally:
        stamps.note(STOP)
        for line in load.lines:
            line.close()
