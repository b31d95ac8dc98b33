"""What is measured of a server that executes nothing itself: its runs go to one worker process over REST."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import ceiling
from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure, cores
from benchmarks.goals import goal_on
from benchmarks.server import API_KEY, HANDLERS, PATIENCE_S, REPOSITORY, Server, cpu_s, serving
from benchmarks.stamps import Stamps
from benchmarks.wire import ask_all, connections, request, settled

Progress = Callable[[str], None]
SLOTS = 1000


async def whole_lives(
    rounds: int, count: int, items: int, clients: int, tell: Progress, on: str = SQLITE
) -> list[Figure]:
    """Measure runs from their trigger to their end, with one server process and one `runwright worker`."""
    rates, tops, shares = [], [], []
    body = {"items": [{"payload": {"n": number}} for number in range(items)]}
    asked = [request("POST", "/v1/jobs/noop/trigger/bulk?project_id=default", body)] * (count // items)
    with databases(on) as fresh:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            tops.append(await ceiling.lives_per_second(min(count, 5_000), fresh()))
            with serving(worker=False, **fresh()) as (server, _), labouring(server) as worker:
                lines = await connections(server, clients)
                await ask_all(lines, asked[:1])
                await settled(lines[0])
                before = (cpu_s(server.process), cpu_s(worker), time.process_time(), time.perf_counter())
                await ask_all(lines, asked)
                await settled(lines[0])
                after = (cpu_s(server.process), cpu_s(worker), time.process_time(), time.perf_counter())
            server_s, worker_s, own_s, wall_s = (b - a for a, b in zip(before, after, strict=True))
            shares.append(f"{cores(server_s, own_s, wall_s)}, worker {worker_s / wall_s:.2f}")
            rates.append(len(asked) * items / wall_s)
    return [
        Figure(
            name="whole life of a no-op run, one server and one worker process",
            unit="runs/s",
            rounds=rates,
            ceiling=tops,
            goal=goal_on("workers", on),
            conditions=f"bulk of {items} a request, {clients} connections, {len(asked) * items} runs, executed"
            f" meanwhile by `runwright worker` with {SLOTS} slots over REST; {shares[-1]}",
            bound="the server's one core: HTTP of the triggers and of the worker, and the commit between them",
        )
    ]


@contextmanager
def labouring(server: Server, stamps: Stamps | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run `runwright worker` for a server, from when it is ready."""
    words = [sys.executable, "-m", "runwright", "worker", HANDLERS, "--slots", str(SLOTS)]
    env = {**os.environ, "RUNWRIGHT_URL": f"http://{server.host}:{server.port}", "RUNWRIGHT_API_KEY": API_KEY}
    if stamps is not None:
        env["BENCH_STAMPS"] = str(stamps.path)
    with server.log.open("ab") as log:
        worker = subprocess.Popen(words, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert worker.stdout is not None
        if not worker.stdout.readline().startswith("ready "):
            raise RuntimeError(f"the worker did not start: {server.log.read_text()[-2000:]}")
        yield worker
    finally:
        worker.kill()
        worker.communicate(timeout=PATIENCE_S)
