"""What is measured of streams over HTTP: events to one follower a run, their lag, and thousands of followers."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from itertools import islice

from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure, cores, percentile
from benchmarks.follow import Follower, Reading
from benchmarks.handlers import GO
from benchmarks.server import Server, serving
from benchmarks.stamps import Stamps
from benchmarks.wire import Connection, connections, run_id, settled, trigger

Progress = Callable[[str], None]
GENERATOR = "followers in one process of their own on raw sockets, every seq checked"
OPENING = 50
"""Streams that are opened at a time: as many as arrive together would wait for each other."""


async def delivered(rounds: int, runs: int, batches: int, lines: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure events appended as fast as jobs can, to one follower a run."""
    rates, shares, lost = [], [], 0
    total = runs * (batches * (lines + 1) + 3)
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            with serving(**fresh()) as (server, _):
                asking = await connections(server, 1)
                server_s, own_s, begun = server.cpu_s, time.process_time(), time.perf_counter()
                reading = Reading()
                payload = {"batches": batches, "lines": lines}
                made = [run_id(await asking[0].ask(trigger("chatty", payload))) for _ in range(runs)]
                followers = [await Follower.to(server, reading, each) for each in made]
                await asyncio.gather(*(follower.ended for follower in followers))
                wall_s = time.perf_counter() - begun
                shares.append(cores(server.cpu_s - server_s, time.process_time() - own_s, wall_s))
            seen = sum(follower.events for follower in followers)
            lost += total - seen + sum(follower.lost for follower in followers)
            rates.append(seen / wall_s)
    conditions = f"{runs} runs, {lines} lines a durable batch; {GENERATOR}; {shares[-1]}"
    return [
        Figure(
            name="events appended and delivered over SSE", unit="events/s", rounds=rates, goal="events",
            conditions=f"{conditions}; {lost} lost", bound="Python on the server's one core",
        )
    ]  # fmt: skip


async def lag(rounds: int, runs: int, seconds: float, rate: float, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure how late events come at many streams, each run writing a line every so often."""
    from_line, from_commit, shares, lost = [], [], [], 0
    count = int(seconds * rate)
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            with serving(stamps=1, **fresh()) as (server, stamps):
                asking = await Connection.to(server)
                payloads = [
                    {"count": count, "every_s": 1 / rate, "offset_s": place / runs / rate} for place in range(runs)
                ]
                made = [run_id(await asking.ask(trigger("ticker", payload))) for payload in payloads]
                reading = Reading()
                followers = [await Follower.to(server, reading, each) for each in made]
                shares.append(await _watch(server, stamps, followers))
                await settled(asking)
            lost += sum(follower.lost for follower in followers)
            from_line.append(percentile(_all(followers, line=True), 0.99))
            from_commit.append(_all(followers, line=False))
    conditions = f"{runs} runs at {rate:g} lines/s, one follower each; {GENERATOR}; {shares[-1]}; {lost} lost"
    bound = (
        "the commit and the loop's turn; before it, from the line, up to `RUNWRIGHT_EMIT_FLUSH_MS` (25) of gathering"
    )
    name = f"lag at {runs} streams"
    return [
        Figure(name=f"{name}, append to reader, p50", unit="ms", rounds=[percentile(r, 0.5) for r in from_commit],
               conditions=conditions, bound=bound),
        Figure(name=f"{name}, append to reader, p99", unit="ms", rounds=[percentile(r, 0.99) for r in from_commit],
               goal="lag_p99", conditions=conditions, bound=bound),
        Figure(name=f"{name}, handler's line to reader, p99", unit="ms", rounds=from_line, conditions=conditions,
               bound=bound),
    ]  # fmt: skip


async def fan_out(rounds: int, followers: int, seconds: float, rate: float, tell: Progress) -> list[Figure]:
    """Measure thousands of followers of one run on one server: how late events come, memory, and what is lost."""
    tails, late, memory, missed, shares = [], [], [], [], []
    count = int(seconds * rate)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        with serving(stamps=1) as (server, stamps):
            asking = await Connection.to(server)
            followed = run_id(await asking.ask(trigger("ticker", {"count": count, "every_s": 1 / rate})))
            reading, opened = Reading(), []
            opened += [await Follower.to(server, reading, followed)]
            before_kib = server.rss_kib
            while len(opened) < followers:
                few = min(OPENING, followers - len(opened))
                opened += await asyncio.gather(*(Follower.to(server, reading, followed) for _ in range(few)))
            memory.append((server.rss_kib - before_kib) / max(followers - 1, 1))
            shares.append(await _watch(server, stamps, opened))
            await settled(asking)
        whole = count + 2  # its creation, its begin, its lines; the end is counted apart
        missed.append(float(sum(f.lost + abs(whole + 1 - f.events) for f in opened)))
        tails.append(percentile(_all(opened, line=False), 0.99))
        late.append(percentile(_all(opened, line=True), 0.99))
    name = f"{followers} followers of one run"
    conditions = f"{rate:g} events/s for {seconds:g} s; {GENERATOR}; {shares[-1]}"
    bound = "one socket write a delivery on the server's one core; the follower's process has the other"
    return [
        Figure(name=f"{name}, append to reader, p99", unit="ms", rounds=tails, goal="fan_p99", conditions=conditions,
               bound=bound),
        Figure(name=f"{name}, handler's line to reader, p99", unit="ms", rounds=late, conditions=conditions,
               bound=bound),
        Figure(name=f"{name}, memory of the server each", unit="KiB", rounds=memory, goal="fan_memory",
               conditions="growth of resident memory from 1 follower to all, kernel's socket buffers not counted",
               bound="uvicorn's connection, the request's scope, two tasks"),
        Figure(name=f"{name}, lost", unit="events", rounds=missed, goal="lost",
               conditions=f"of {(whole + 1) * followers} deliveries a round, every seq checked"),
    ]  # fmt: skip


async def _watch(server: Server, stamps: Stamps, followers: list[Follower]) -> str:
    """Let the handlers begin and wait until every follower has seen the end; return who used how many cores."""
    server_s, own_s, begun = server.cpu_s, time.process_time(), time.perf_counter()
    stamps.note(GO)
    await asyncio.gather(*(follower.ended for follower in followers))
    wall_s = time.perf_counter() - begun
    return cores(server.cpu_s - server_s, time.process_time() - own_s, wall_s)


def _all(followers: list[Follower], *, line: bool) -> array[float]:
    """Return the lags of all followers; from the commit, those of the lines alone: what was there before is no lag."""
    together: array[float] = array("d")
    for follower in followers:
        lags = follower.from_line_ms if line else follower.from_commit_ms
        together.extend(lags if line else islice(lags, len(lags) - len(follower.from_line_ms) - 1, len(lags) - 1))
    return together
