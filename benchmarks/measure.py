"""What is measured: whole lives, the way to the first line of a handler, events to a follower, the way over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks import ceiling
from benchmarks.figures import Figure
from benchmarks.rig import BEGUN, Rig, rig
from runwright.api.sse import v1_frame

Progress = Callable[[str], None]


async def _many(count: int, at_once: int, one: Callable[[], Awaitable[object]]) -> None:
    left = iter(range(count))

    async def keep_going() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(keep_going() for _ in range(at_once)))


async def _settle(subject: Rig) -> None:
    worker = subject.house.services.engine.worker
    assert worker is not None
    while worker.busy or await subject.house.services.engine.store.waiting_queues():
        await asyncio.sleep(0)


async def whole_lives(rounds: int, count: int, tell: Progress) -> Figure:
    """Measure submit → claimed → executed → completed, everything durable, three chained events a run."""
    rates, tops = [], []
    for number in range(rounds):
        tell(f"whole lives, round {number + 1} of {rounds}")
        tops.append(await ceiling.lives_per_second(count))
        async with rig(slots=1000) as subject:
            await _many(500, 100, lambda: subject.submit("noop", {"n": 1}))
            await _settle(subject)
            begun = time.perf_counter()
            await _many(count, 500, lambda: subject.submit("noop", {"n": 1}))
            await _settle(subject)
            rates.append(count / (time.perf_counter() - begun))
    note = "in process, 500 submitters, 3 events a run, payload and result sealed"
    return Figure("whole life of a no-op run", "runs/s", rates, tops, note)


async def start_latency(rounds: int, count: int, tell: Progress) -> list[Figure]:
    """Measure the way from the submit call to the handler's begin under light load, one run at a time."""
    middles, tails = [], []
    for number in range(rounds):
        tell(f"start latency, round {number + 1} of {rounds}")
        async with rig(slots=100) as subject:
            waits = []
            for _ in range(count):
                asked = time.perf_counter()
                made = await subject.submit("stamp", {"n": 1})
                while made.run_id not in BEGUN:
                    await asyncio.sleep(0)
                waits.append((BEGUN.pop(made.run_id) - asked) * 1000)
            waits.sort()
            middles.append(waits[len(waits) // 2])
            tails.append(waits[int(len(waits) * 0.99)])
    note = "one run at a time, submit call to the handler's first line"
    return [
        Figure("trigger to start, p50", "ms", middles, note=note),
        Figure("trigger to start, p99", "ms", tails, note=note),
    ]


async def events_delivered(rounds: int, runs: int, batches: int, lines: int, tell: Progress) -> Figure:
    """Measure events appended durably by running jobs and read by one live follower a run, as SSE frames."""
    rates, tops = [], []
    total = runs * batches * (lines + 1)
    for number in range(rounds):
        tell(f"events, round {number + 1} of {rounds}")
        tops.append(await ceiling.events_per_second(total))
        async with rig(slots=runs) as subject:
            hub = subject.house.services.engine.hub

            async def follow(run_id: str, hub: object = hub) -> int:
                seen = 0
                async for frames in hub.follow(run_id, 0, v1_frame):  # type: ignore[attr-defined]
                    seen += frames.count(b"\n\n")
                return seen

            begun = time.perf_counter()
            made = await asyncio.gather(
                *(subject.submit("chatty", {"batches": batches, "lines": lines}) for _ in range(runs))
            )
            seen = sum(await asyncio.gather(*(follow(each.run_id) for each in made)))
            took = time.perf_counter() - begun
            assert seen == total + 3 * runs, f"{seen} events came, {total + 3 * runs} were written"
            rates.append(seen / took)
    note = f"{runs} runs, one follower each, {lines} lines a durable batch, redacted, chained, encoded as SSE"
    return Figure("events appended and delivered", "events/s", rates, tops, note)
