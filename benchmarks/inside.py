"""What is measured inside one process: whole lives, the way to a handler's first line, events to followers."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks import ceiling
from benchmarks.database import POSTGRESQL, SECURED, SQLITE, databases
from benchmarks.figures import Figure, percentile
from benchmarks.goals import goal_on
from benchmarks.rig import BEGUN, Rig, rig
from runwright.api.sse import v1_frame

Progress = Callable[[str], None]
LIVES_BOUND = {
    SQLITE: "Python on the one core of the event loop; SQLite's statements are its largest part",
    POSTGRESQL: "Python on the one core of the event loop, then PostgreSQL's statements on the other: in turns",
    SECURED: "as on PostgreSQL; each reading is a transaction, and policies are looked at for each row",
}
START_BOUND = {
    SQLITE: "one durable transaction on an idle loop, and the hop to the thread that commits",
    POSTGRESQL: "one durable transaction, a round trip for each of its statements",
    SECURED: "one durable transaction, a round trip for each of its statements, three for a reading",
}


async def _many(count: int, at_once: int, one: Callable[[], Awaitable[object]]) -> None:
    left = iter(range(count))

    async def keep_going() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(keep_going() for _ in range(at_once)))


async def _settle(subject: Rig) -> None:
    engine = subject.house.services.engine
    while any(worker.busy for worker in engine.workers) or await engine.store.lanes():
        await asyncio.sleep(0)


async def whole_lives(rounds: int, count: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure submit → claimed → executed → completed, everything durable, three chained events a run."""
    rates, tops, own = [], [], []
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            tops.append(await ceiling.lives_per_second(count, fresh()))
            async with rig(slots=1000, **fresh()) as subject:
                await _many(min(count, 500), 100, lambda: subject.submit("noop", {"n": 1}))
                await _settle(subject)
                cpu_s, begun = time.process_time(), time.perf_counter()
                await _many(count, 500, lambda: subject.submit("noop", {"n": 1}))
                await _settle(subject)
                rates.append(count / (time.perf_counter() - begun))
                own.append((time.process_time() - cpu_s) / count * 1e6)
    return [
        Figure(
            name="whole life of a no-op run",
            unit="runs/s",
            rounds=rates,
            ceiling=tops,
            goal=goal_on("lives", on),
            conditions=f"in process, {count} runs, 500 submitters, 3 events a run, payload and result sealed;"
            f" {statistics.median(own):.0f} µs of our processor a run",
            bound=LIVES_BOUND[on],
        )
    ]


async def start_latency(rounds: int, count: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure the way from the submit call to the handler's begin under light load, one run at a time."""
    middles, tails = [], []
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            async with rig(slots=100, **fresh()) as subject:
                waits = [await _start_ms(subject) for _ in range(count)]
            middles.append(percentile(waits, 0.5))
            tails.append(percentile(waits, 0.99))
    conditions = f"in process, {count} runs, one at a time, submit call to the handler's first line"
    bound = START_BOUND[on]
    return [
        Figure(
            name=f"trigger to start, in process, {name}", unit="ms", rounds=found, goal=goal_on(goal, on),
            conditions=conditions, bound=bound,
        )
        for name, found, goal in (("p50", middles, "start_p50"), ("p99", tails, "start_p99"))
    ]  # fmt: skip


async def _start_ms(subject: Rig) -> float:
    asked = time.perf_counter()
    made = await subject.submit("stamp", {"n": 1})
    while made.run_id not in BEGUN:
        await asyncio.sleep(0)
    return (BEGUN.pop(made.run_id) - asked) * 1000


async def events_delivered(
    rounds: int, runs: int, batches: int, lines: int, tell: Progress, on: str = SQLITE
) -> list[Figure]:
    """Measure events appended durably by running jobs and read by one live follower a run, as SSE frames."""
    rates, tops = [], []
    total = runs * batches * (lines + 1)
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            tops.append(await ceiling.events_per_second(total, fresh()))
            async with rig(slots=runs, **fresh()) as subject:
                rates.append(await _delivered(subject, runs, batches, lines, total))
    return [
        Figure(
            name="events appended and delivered, in process",
            unit="events/s",
            rounds=rates,
            ceiling=tops,
            goal=goal_on("events", on),
            conditions=f"{runs} runs, one follower each, {lines} lines a durable batch, encoded as SSE",
            bound="Python on the one core of the event loop",
        )
    ]


async def _delivered(subject: Rig, runs: int, batches: int, lines: int, total: int) -> float:
    hub = subject.house.services.engine.hub

    async def follow(run_id: str) -> int:
        return sum([frames.count(b"\n\n") async for frames in hub.follow(run_id, 0, v1_frame)])

    begun = time.perf_counter()
    payload = {"batches": batches, "lines": lines}
    made = await asyncio.gather(*(subject.submit("chatty", payload) for _ in range(runs)))
    seen = sum(await asyncio.gather(*(follow(each.run_id) for each in made)))
    took = time.perf_counter() - begun
    if seen != total + 3 * runs:
        raise RuntimeError(f"{seen} events came, {total + 3 * runs} were written")
    return seen / took
