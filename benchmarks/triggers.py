"""What is measured over HTTP against a real server process: triggers one by one and in bulk, and the way to a start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks import ceiling
from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure, cores, percentile
from benchmarks.goals import goal_on
from benchmarks.inside import START_BOUND
from benchmarks.server import serving
from benchmarks.stamps import Stamps
from benchmarks.wire import Connection, ask_all, connections, request, settled, trigger

Progress = Callable[[str], None]
GENERATOR = "generator: a process of its own on raw sockets"


async def singles(rounds: int, count: int, clients: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure single triggers over kept connections, to the answer and to the last run's end."""
    rates, middles, tails, tops, shares = [], [], [], [], []
    asked = [trigger("noop", {"n": number}) for number in range(count)]
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            tops.append(await ceiling.lives_per_second(min(count, 5_000), fresh()))
            with serving(**fresh()) as (server, _):
                lines = await connections(server, clients)
                await ask_all(lines, asked[: max(count // 20, 1)])
                await settled(lines[0])
                server_s, own_s, begun = server.cpu_s, time.process_time(), time.perf_counter()
                took = await ask_all(lines, asked)
                await settled(lines[0])
                wall_s = time.perf_counter() - begun
                shares.append(cores(server.cpu_s - server_s, time.process_time() - own_s, wall_s))
            rates.append(count / wall_s)
            middles.append(percentile(took, 0.5))
            tails.append(percentile(took, 0.99))
    conditions = f"{clients} connections, {count} runs executed in the server; {GENERATOR}; {shares[-1]}"
    bound = "the server's one core: HTTP, then the same Python as in process"
    name = "HTTP trigger, single"
    return [
        Figure(
            name=f"{name}, to completed", unit="runs/s", rounds=rates, ceiling=tops, goal="trigger",
            conditions=conditions, bound=bound,
        ),
        Figure(name=f"{name}, answer p50", unit="ms", rounds=middles, conditions=conditions, bound=bound),
        Figure(
            name=f"{name}, answer p99", unit="ms", rounds=tails, goal="trigger_p99", conditions=conditions, bound=bound
        ),
    ]  # fmt: skip


async def bulk(rounds: int, count: int, items: int, clients: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure triggers of many runs a request, to the answers and to the last run's end."""
    accepted, rates, tops, shares = [], [], [], []
    body = {"items": [{"payload": {"n": number}} for number in range(items)]}
    asked = [request("POST", "/v1/jobs/noop/trigger/bulk?project_id=default", body)] * (count // items)
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            tops.append(await ceiling.lives_per_second(min(count, 5_000), fresh()))
            with serving(**fresh()) as (server, _):
                lines = await connections(server, clients)
                await ask_all(lines, asked[:1])
                await settled(lines[0])
                server_s, own_s, begun = server.cpu_s, time.process_time(), time.perf_counter()
                await ask_all(lines, asked)
                accepted.append(len(asked) * items / (time.perf_counter() - begun))
                await settled(lines[0])
                wall_s = time.perf_counter() - begun
                shares.append(cores(server.cpu_s - server_s, time.process_time() - own_s, wall_s))
            rates.append(len(asked) * items / wall_s)
    conditions = (
        f"{items} a request, {clients} connections, {len(asked) * items} runs executed meanwhile in the server;"
        f" {GENERATOR}; {shares[-1]}"
    )
    bound = "the server's one core, shared by accepting and executing"
    return [
        Figure(
            name="HTTP bulk trigger, to the answers", unit="runs/s", rounds=accepted, ceiling=tops, goal="bulk",
            conditions=conditions, bound=bound,
        ),
        Figure(
            name="HTTP bulk trigger, to completed", unit="runs/s", rounds=rates, ceiling=tops, conditions=conditions,
            bound=bound,
        ),
    ]  # fmt: skip


async def idle_start(rounds: int, count: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure the way from a request's first byte to the handler's first line on an idle server."""
    middles, tails = [], []
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            with serving(slots=100, stamps=count, **fresh()) as (server, stamps):
                line = await Connection.to(server)
                waits = [await start_ms(line, stamps, place) for place in range(count)]
                middles.append(percentile(waits, 0.5))
                tails.append(percentile(waits, 0.99))
    conditions = f"{count} runs, one at a time, request sent to the handler's first line; {GENERATOR}"
    bound = f"one request, then {START_BOUND[on]}"
    name = "HTTP trigger to start, idle server"
    return [
        Figure(name=f"{name}, p50", unit="ms", rounds=middles, goal=goal_on("start_p50", on), conditions=conditions,
               bound=bound),
        Figure(name=f"{name}, p99", unit="ms", rounds=tails, goal=goal_on("start_p99", on), conditions=conditions,
               bound=bound),
    ]  # fmt: skip


async def start_ms(line: Connection, stamps: Stamps, place: int) -> float:
    """Trigger the job that notes its begin in a slot, and return how long after the request that was, in ms."""
    asked = trigger("stamp", {"n": place})
    begun = time.monotonic_ns()
    await line.ask(asked)
    while not stamps.at(place):
        await asyncio.sleep(0)
    return (stamps.at(place) - begun) / 1_000_000
