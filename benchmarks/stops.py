"""What is measured of endings that nobody planned: cancelled runs, and runs whose server was killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.figures import Figure, percentile
from benchmarks.server import serving
from benchmarks.stamps import Stamps
from benchmarks.wire import Connection, connections, request, run_id, settled, trigger

Progress = Callable[[str], None]


async def cancelled(rounds: int, count: int, clients: int, tell: Progress) -> list[Figure]:
    """Measure the way from a cancel request to the run's end, for handlers in the middle of their work."""
    middles, tails = [], []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        with serving(stamps=count) as (server, stamps):
            lines = await connections(server, clients)
            made = [run_id(await lines[0].ask(trigger("hold", {"n": place}))) for place in range(count)]
            await _noted(stamps, 0, count)
            left, took = iter(made), list[float]()
            await asyncio.gather(*(_cancel(line, left, took) for line in lines))
        middles.append(percentile(took, 0.5))
        tails.append(percentile(took, 0.99))
    conditions = f"{count} runs executing, {clients} requests at a time, request sent to the answer that says cancelled"
    bound = "two durable transactions and the cancellation of the handler's task"
    return [
        Figure(name="cancel to terminal, p50", unit="ms", rounds=middles, conditions=conditions, bound=bound),
        Figure(name="cancel to terminal, p99", unit="ms", rounds=tails, goal="cancel_p99", conditions=conditions,
               bound=bound),
    ]  # fmt: skip


async def _cancel(line: Connection, left: Iterator[str], took: list[float]) -> None:
    for each in left:
        begun = time.perf_counter()
        answer = await line.ask(request("DELETE", f"/v1/runs/{each}"))
        took.append((time.perf_counter() - begun) * 1000)
        if msgspec.json.decode(answer)["state"] != "cancelled":
            raise RuntimeError(f"run {each} was not cancelled: {answer[:300]!r}")


async def killed(rounds: int, count: int, tell: Progress) -> list[Figure]:
    """Measure how long runs whose server was killed -9 wait until they execute again in a server started at once."""
    last, first, lost = [], [], []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        with serving(stamps=2 * count) as (server, stamps):
            lines = await connections(server, 8)
            for place in range(count):
                await lines[place % 8].ask(trigger("survivor", {"n": place, "of": count}))
            await _noted(stamps, 0, count)
            at = time.monotonic_ns()
            server.kill()
            server.start()
            await _noted(stamps, count, 2 * count)
            again = sorted(stamps.at(place) - at for place in range(count, 2 * count))
            await settled(await Connection.to(server))
        first.append(again[0] / 1e9)
        last.append(again[-1] / 1e9)
        lost.append(float(count - len(again)))
    conditions = (
        f"{count} runs in the middle of their handler, kill -9, started again at once, no rest between attempts"
    )
    bound = "the server's start, then the first look for lost leases (`RUNWRIGHT_REAPER_S`, 5)"
    name = "killed server's runs executing again"
    return [
        Figure(name=f"{name}, first", unit="s", rounds=first, conditions=conditions, bound=bound),
        Figure(name=f"{name}, last", unit="s", rounds=last, goal="recovery", conditions=conditions, bound=bound),
        Figure(name=f"{name}, lost", unit="events", rounds=lost, goal="lost", conditions=conditions),
    ]


async def _noted(stamps: Stamps, first: int, end: int) -> None:
    for place in range(first, end):
        while not stamps.at(place):
            await asyncio.sleep(0)
