"""What a run of an agent adds to its model: time to the first token and to the end, beside asking the model itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import model
from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure, cores, percentile
from benchmarks.peers import langgraph_server
from benchmarks.server import Server, serving
from benchmarks.spoken import Asking, Marks, Spoken, Took, crowd, spoken
from benchmarks.wire import Connection, request

Progress = Callable[[str], None]
SAID = "Tell me what you know of durable execution."
PACE = (
    f"a model of its own process, first token after {model.FIRST_S * 1000:g} ms, then {model.TOKENS - 1} more every"
    f" {model.EVERY_S * 1000:g} ms; one caller a run, raw sockets"
)
DIRECT = Marks(first=b"token0 ", last=b"data: [DONE]", failed=b"HTTP/1.1 5")
OURS = Marks(first=b'"message.delta"', last=b'"run.completed"', failed=b'"run.failed"')


async def overhead(rounds: int, crowds: list[list[int]], tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure runs of an agent over HTTP, each in a thread of its own, and the model asked directly in between.

    `crowds` are pairs: so many callers at once, each so often.
    """
    found: dict[int, list[tuple[Spoken, Spoken]]] = {}
    shares: dict[int, str] = {}
    with databases(on) as fresh, model.speaking() as port:
        for number in range(rounds):
            with serving(worker=False, allow_private_endpoints=True, **fresh()) as (server, _):
                await _prepare(server, port)
                await crowd(partial(_run, server), 2, 1)  # what is loaded once, is
                for many, times in crowds:
                    tell(f"round {number + 1} of {rounds}, {many} at once")
                    direct = await crowd(directly(port), many, times)
                    server_s, own_s, begun = server.cpu_s, time.process_time(), time.perf_counter()
                    ours = await crowd(partial(_run, server), many, times)
                    wall_s = time.perf_counter() - begun
                    found.setdefault(many, []).append((direct, ours))
                    shares[many] = cores(server.cpu_s - server_s, time.process_time() - own_s, wall_s)
    bound = "the commit of `llm.request` before the call; `RUNWRIGHT_EMIT_FLUSH_MS` (25) of gathering while words come"
    return [
        figure
        for many, seen in found.items()
        for figure in added("run of an agent", many, seen, f"{shares[many]}; every event durable", bound)
    ]


async def langgraph(rounds: int, crowds: list[list[int]], tell: Progress, on: str) -> list[Figure]:
    """Measure the same of `langgraph-api` with its in-memory runtime: a thread each, a graph of one node, streamed."""
    found: dict[int, list[tuple[Spoken, Spoken]]] = {}
    with model.speaking() as port:
        tell("building the environment")
        with langgraph_server.serving(port) as (peer, version):
            await crowd(lambda: langgraph_server.run(peer, SAID), 2, 1)
            for number in range(rounds):
                for many, times in crowds:
                    tell(f"round {number + 1} of {rounds}, {many} at once")
                    direct = await crowd(directly(port), many, times)
                    theirs = await crowd(lambda: langgraph_server.run(peer, SAID), many, times)
                    found.setdefault(many, []).append((direct, theirs))
    conditions = f"{version}, runtime in {on} (nothing durable), a graph of one node that streams its model"
    return [
        figure
        for many, seen in found.items()
        for figure in added("langgraph-api", many, seen, conditions, "its queue, its stream, its one process")
    ]


def directly(port: int) -> Asking:
    """Return what asks the model itself."""
    body = json.dumps({"model": model.NAME, "stream": True, "messages": [{"role": "user", "content": SAID}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: model\r\ncontent-length: {len(body)}\r\n\r\n"
    return lambda: spoken(port, (head + body).encode(), DIRECT)


def added(whose: str, many: int, seen: Sequence[tuple[Spoken, Spoken]], conditions: str, bound: str) -> list[Figure]:
    """Return what runs took beyond the model itself, which was asked in the same rounds."""
    figures = []
    for what in ("first", "total"):
        name = {"first": "time to the first token", "total": "total time"}[what]
        pairs = [(getattr(direct, what), getattr(through, what)) for direct, through in seen]
        late = [percentile(getattr(through, f"{what}_ms"), 0.99) for _, through in seen]
        told = f"p50 {pairs[-1][1]:.1f} ms, directly {pairs[-1][0]:.1f} ms; p99 {late[-1]:.1f} ms"
        figures.append(
            Figure(
                name=f"{whose}, {many} at once: added to the {name}, p50", unit="ms",
                rounds=[through - direct for direct, through in pairs],
                conditions=f"{told}; {PACE}; {conditions}", bound=bound,
            )
        )  # fmt: skip
    return figures


async def _prepare(server: Server, port: int) -> None:
    line = await Connection.to(server)
    kind, address = "openai-compatible", f"http://127.0.0.1:{port}/v1"
    await line.ask(_posted("/v1/providers", name="bench", kind=kind, api_key="sk-bench-0000", base_url=address))
    price = {"input": 1_000_000, "output": 4_000_000}
    await line.ask(_posted("/v1/routes", name="bench", kind=kind, model=model.NAME, provider="bench", price=price))
    line.close()


async def _run(server: Server) -> Took:
    line = await Connection.to(server)
    thread = json.loads(await line.ask(_posted("/v1/threads")))["id"]
    line.close()
    asked = request("POST", f"/v1/threads/{thread}/runs?stream=true", {"route_id": "bench", "input": SAID})
    return await spoken(server.port, asked, OURS)


def _posted(path: str, **fields: Any) -> bytes:
    return request("POST", path, fields)
