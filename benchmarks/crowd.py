"""What many runs that one job holds back cost the claims of all the others.

The crowd is of a job that may execute once at a time and that nobody executes: all of its runs are held under its
limit, in the same queue as the runs that are claimed. The store's own statements write it while no server runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec.structs import replace

from benchmarks.ceiling import TERMS, Owner, on_postgresql, on_sqlite, spec_of
from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure, percentile
from benchmarks.handlers import CLAIMED, COUNTED
from benchmarks.held import CLAIMS, Load
from benchmarks.history import CLAIM, ELSEWHERE, FINISH, labour
from benchmarks.server import Server, scratch
from benchmarks.stamps import Stamps
from benchmarks.wire import Connection, connections, request
from runwright import ids
from runwright.clock import SystemClock
from runwright.domain.commands import Submit
from runwright.domain.limits import job_key
from runwright.domain.redaction import Redactor, compose
from runwright.domain.run import Limit
from runwright.domain.tenancy import Cause
from runwright.engine.batch import Batch, Reading
from runwright.store.base import ChangeSet, Slots

Progress = Callable[[str], None]
CROWD = "crowd"
CPU = "processor time of a run of others, from its trigger to its end"
CHUNK = 500
PATIENCE_S = 600.0
Taken = dict[str, list[float]]


async def crowded(rounds: int, runs: int, asks: int, window_s: float, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure claims on a server over an empty database, and over the same one with so many runs of one job held."""
    with databases(on) as fresh, scratch() as directory:
        settings = fresh()
        stamps = Stamps(directory / "stamps", COUNTED + 1)
        server = Server(directory, stamps=stamps, **settings)
        try:
            server.start()
            line = await Connection.to(server)
            await _put(line, ELSEWHERE)
            job = await _put(line, CROWD, max_concurrency=1)
            line.close()
            server.stop()
            before = await _measured(server, stamps, rounds, asks, window_s, lambda words: tell(f"before: {words}"))
            begun = time.perf_counter()
            await _gather(server.data_dir, settings, job, runs, tell)
            took_s = time.perf_counter() - begun
            after = await _measured(server, stamps, rounds, asks, window_s, lambda words: tell(f"{runs} held: {words}"))
        finally:
            server.close()
    made = f"held runs written in {took_s:.0f} s by the store's own statements; windows of {window_s:g} s, {asks} asks"
    return _figures(before, after, runs, made)


async def _put(line: Connection, name: str, **fields: Any) -> dict[str, Any]:
    path = f"/v1/jobs/{name}?project_id=default"
    answer: dict[str, Any] = msgspec.json.decode(await line.ask(request("PUT", path, {"name": name, **fields})))
    return answer


async def _measured(
    server: Server, stamps: Stamps, rounds: int, asks: int, window_s: float, tell: Progress
) -> list[Taken]:
    """Return for each round the rate of claims in the server, and how long claims and ends over REST took (ms)."""
    server.start()
    line, *lines = await connections(server, 5)
    stamps.clear()
    load, found = Load(lines, stamps), []
    await load.window(CLAIMS, window_s)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        claimed, used_s = stamps.at(CLAIMED), server.cpu_s
        rate = await load.window(CLAIMS, window_s)
        cpu_us = (server.cpu_s - used_s) * 1e6 / (stamps.at(CLAIMED) - claimed)
        over_rest = await labour(line, asks)
        found.append({CLAIMS: [rate], CPU: [cpu_us], CLAIM: over_rest[CLAIM], FINISH: over_rest[FINISH]})
    for each in (line, *lines):
        each.close()
    server.stop()
    return found


async def _gather(data_dir: Path, settings: dict[str, Any], job: dict[str, Any], runs: int, tell: Progress) -> None:
    """Write the crowd."""
    writing = on_postgresql(settings["database_url"]) if settings else on_sqlite(data_dir)
    async with writing as write:
        for number, changes in enumerate(_held(job, runs)):
            await write(changes, 0)
            if number % 20 == 0:
                tell(f"building: {number * CHUNK} of {runs} runs held")
    if settings:
        await _settled(settings["database_url"], tell)


def _held(job: dict[str, Any], runs: int) -> Iterator[ChangeSet]:
    """Yield what writes the runs, a chunk at a time, each behind those before it."""
    owner = Owner(job["org_id"], job["project_id"], job["id"], job["job_version_id"])
    limit = Limit(job_key(owner.job_id), 1)
    preview = Redactor().text('{"n":1}')
    now, turn = SystemClock().now() - 60_000_000 - runs, 0.0
    for start in range(0, runs, CHUNK):
        batch = Batch(now + start, {}, TERMS)
        for number in range(start, min(start + CHUNK, runs)):
            spec = spec_of(ids.new_id("run", now + number), now + number, owner, preview)
            spec = replace(spec, handler=CROWD, limits=(limit,))
            batch.decide(Submit(spec=spec, opening=compose(spec), payload=bytes(48), cause=Cause("user:bench")))
        entering = batch.entering()
        place = (entering[0].spec.queue_key, owner.project_id)
        full = {limit.key: Slots(1, 1)}  # its one slot is taken, by nobody who will ever give it back
        reading = Reading(slots=full, floors={place[0]: turn}, turns={place: turn})
        batch.admit(entering, reading)
        turn = reading.turns[place]
        yield batch.seal()


async def _settled(url: str, tell: Progress) -> None:
    """Do what PostgreSQL would do in its own time, so that it does not do it beside the measurement."""
    tell("building: VACUUM and ANALYZE")
    connection = await asyncpg.connect(url)
    try:
        for name in ("runs", "run_events", "run_heads", "held", "ready", "limits"):
            await connection.execute(f"VACUUM (ANALYZE) {name}", timeout=PATIENCE_S)
        await connection.execute("CHECKPOINT", timeout=PATIENCE_S)
    finally:
        await connection.close()


def _figures(before: list[Taken], after: list[Taken], runs: int, made: str) -> list[Figure]:
    early, late = ([each[CLAIMS][0] for each in found] for found in (before, after))
    shares = [b / a for a, b in zip(early, late, strict=True)]
    figures = [
        Figure(name="claims of others, nothing held", unit="/s", rounds=early, conditions=made),
        Figure(name=f"claims of others, {runs} runs of one job held", unit="/s", rounds=late),
        Figure(name="claims of others, held ÷ before", unit="×", rounds=shares, goal="held",
               bound="the index that each claim reads: held runs are in another table"),
    ]  # fmt: skip
    for name, unit in ((CPU, "us"), (CLAIM, "ms"), (FINISH, "ms")):
        a, b = ([percentile(each[name], 0.5) for each in found] for found in (before, after))
        told = f"{min(a):.2f} {unit} before, {min(b):.2f} {unit} with {runs} held (the best rounds)"
        grew = [late_ms / early_ms for early_ms, late_ms in zip(a, b, strict=True)]
        figures.append(Figure(name=f"{name}, cost grows by", unit="×", rounds=grew, conditions=told))
    return figures
