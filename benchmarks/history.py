"""What lists, reads, streams and runs cost on a server with nothing behind it, and on one with many finished runs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.database import POSTGRESQL, SQLITE, databases
from benchmarks.figures import Figure, percentile
from benchmarks.follow import Follower, Reading
from benchmarks.server import Server, scratch
from benchmarks.stock import stock
from benchmarks.wire import Connection, ask_all, request, run_id, settled, trigger

Progress = Callable[[str], None]
STREAM, TRIGGER = "stream of a finished run", "HTTP trigger of a run"
CLAIM, APPEND, FINISH = "claim of a run over REST", "append to a run over REST", "finish of a run over REST"
ELSEWHERE = "elsewhere"
"""The job that no handler in the server has: its runs wait for a worker elsewhere."""
WORKER = f"wrk_{'0' * 32}"
WRITTEN = {
    SQLITE: "written in {:.0f} s by the store's own statements",
    POSTGRESQL: "copied in {:.0f} s, then VACUUM, ANALYZE and CHECKPOINT",
}
FIRST = 1_000
"""Finished runs of the server with nothing behind it: a list page must be full there, too."""


async def growth(rounds: int, runs: int, asks: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure the same requests before and after so many finished runs were put into the store."""
    with databases(on) as fresh, scratch() as directory:
        settings = fresh()
        server = Server(directory, **settings)
        try:
            server.start()
            line = await Connection.to(server)
            job = msgspec.json.decode(await line.ask(request("GET", "/v1/jobs/noop?project_id=default")))
            await line.ask(request("PUT", f"/v1/jobs/{ELSEWHERE}?project_id=default", {"name": ELSEWHERE}))
            line.close()
            server.stop()
            first = await stock(server.data_dir, settings, job, FIRST, tell)
            before = await _measure(server, job, first, rounds, asks, tell)
            begun = time.perf_counter()
            middle = await stock(server.data_dir, settings, job, runs - FIRST, tell)
            built_s = time.perf_counter() - begun
            after = await _measure(server, job, middle, rounds, asks, tell)
        finally:
            server.close()
    grew = f"from {FIRST} finished runs to {runs} ({WRITTEN[on].format(built_s)})"
    return [
        figure for name in before for figure in _pair(name, before[name], after[name], f"{grew}; {asks} asks a round")
    ]


def _pair(name: str, before: list[list[float]], after: list[list[float]], conditions: str) -> list[Figure]:
    tails = [percentile(took, 0.99) for took in after]
    early, late = ([percentile(took, 0.5) for took in rounds] for rounds in (before, after))
    told = f"median {statistics.median(early):.2f} ms before, {statistics.median(late):.2f} ms after"
    bound = "the request itself: what it reads is found by an index"
    goal = "list_p99" if name.startswith("list") else None
    return [
        Figure(name=f"{name}, p99", unit="ms", rounds=tails, goal=goal, conditions=conditions, bound=bound),
        Figure(name=f"{name}, cost grows by", unit="×", rounds=[b / a for a, b in zip(early, late, strict=True)],
               conditions=told),
    ]  # fmt: skip


async def _measure(
    server: Server, job: dict[str, Any], middle: str, rounds: int, asks: int, tell: Progress
) -> dict[str, list[list[float]]]:
    server.start()
    line = await Connection.to(server)
    project = f"project_id={job['project_id']}"
    paths = {
        "list by project": f"/v1/runs?{project}",
        "list by job": f"/v1/runs?{project}&job_id={job['id']}",
        "list by status, completed": f"/v1/runs?{project}&status=completed",
        "list by status, failed (none)": f"/v1/runs?{project}&status=failed",
        "list by time, from the middle": f"/v1/runs?{project}&cursor={middle}",
        "get a run": f"/v1/runs/{middle}",
        "events of a run": f"/v1/runs/{middle}/events",
    }
    found: dict[str, list[list[float]]] = {name: [] for name in (*paths, STREAM, TRIGGER, CLAIM, APPEND, FINISH)}
    for number in range(rounds):
        tell(f"asking, round {number + 1} of {rounds}")
        for name, path in paths.items():
            found[name].append(await ask_all([line], [request("GET", path)] * asks))
        found[STREAM].append([await _stream_ms(server, middle) for _ in range(asks)])
        found[TRIGGER].append(await ask_all([line], [trigger("noop", {"n": place}) for place in range(asks)]))
        await settled(line)
        for name, took in (await labour(line, asks)).items():
            found[name].append(took)
    line.close()
    server.stop()
    return found


async def labour(line: Connection, asks: int) -> dict[str, list[float]]:
    """Be a worker that takes a run at a time, writes an event and ends it; return how long each took, in ms."""
    made = {run_id(each) for each in [await line.ask(trigger(ELSEWHERE, {"n": place})) for place in range(asks)]}
    took: dict[str, list[float]] = {CLAIM: [], APPEND: [], FINISH: []}

    async def ask(name: str, path: str, body: dict[str, Any]) -> Any:
        asked = request("POST", f"/v1/worker/{path}", {"worker_id": WORKER, **body})
        begun = time.perf_counter()
        answer = await line.ask(asked)
        took[name].append((time.perf_counter() - begun) * 1000)
        return msgspec.json.decode(answer)

    for _ in range(asks):
        claimed = await ask(CLAIM, "claim", {"jobs": [ELSEWHERE], "slots": 1, "free": 1})
        (run,) = claimed["assignments"]
        made.remove(run["run_id"])
        lease = {"run_id": run["run_id"], "lease_epoch": run["lease_epoch"]}
        savings = [{"events": [{"type": "log", "message": "a line of a job's log, as long as such lines are"}]}]
        appended = await ask(APPEND, "append", {"items": [{**lease, "number": 1, "savings": savings}]})
        finished = await ask(FINISH, "finish", {"items": [{**lease, "outcome": {"status": "completed"}}]})
        refused = [result for answer in (appended, finished) for result in answer["results"] if result["code"]]
        if refused:
            raise RuntimeError(f"a worker's report was refused: {refused[0]}")
    return took


async def _stream_ms(server: Server, followed: str) -> float:
    begun = time.perf_counter()
    follower = await Follower.to(server, Reading(), followed)
    await asyncio.wait_for(follower.ended, 10)
    took = (time.perf_counter() - begun) * 1000
    follower.close()
    return took
