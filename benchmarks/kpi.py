"""What KPIs cost to ask for, once a server has counted very many ended runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure
from benchmarks.server import Server, scratch
from benchmarks.wire import Connection, ask_all, request
from runwright.clock import SystemClock
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.kpi_facts import Fact, Facts, Log
from runwright.domain.kpi_sums import Place, Sums, fold
from runwright.store.base import Store, Transaction
from runwright.store.postgres.store import PostgresStore
from runwright.store.queries import kpi as sql
from runwright.store.sqlite.store import SqliteStore

Progress = Callable[[str], None]
DAYS = 400
KINDS, MODELS = ("job", "workflow", "agent", "runtime"), ("local/a", "local/b", "local/c", "local/d", "local/e")
ASKED = {
    "7 against 28 days": "",
    "7 against 28 days by kind": "group_by=kind",
    "7 against 28 days by model": "group_by=model",
    "365 against 365 days": "compare_window_days=365&baseline_window_days=365",
    "365 against 365 days by kind": "compare_window_days=365&baseline_window_days=365&group_by=kind",
}


async def asked(rounds: int, runs: int, asks: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure answers over HTTP, one at a time, over so many runs that ended in the last `DAYS` days."""
    found: dict[str, list[float]] = {name: [] for name in ASKED}
    with databases(on) as fresh, scratch() as directory:
        settings = fresh()
        server = Server(directory, **settings)
        try:
            server.start()
            line = await Connection.to(server)
            job = msgspec.json.decode(await line.ask(request("GET", "/v1/jobs/noop?project_id=default")))
            line.close()
            server.stop()
            begun = time.perf_counter()
            await _stock(_store(server.data_dir, settings), (job["org_id"], job["project_id"]), runs, tell)
            built_s = time.perf_counter() - begun
            server.start()
            line = await Connection.to(server)
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}")
                for name, query in ASKED.items():
                    path = f"/api/v1/runtime/kpi?project_id=default&{query}"
                    found[name] += await ask_all([line], [request("GET", path)] * asks)
            line.close()
            server.stop()
        finally:
            server.close()
    told = f"over {runs} ended runs of {DAYS} days ({built_s:.0f} s to write); each answer is a round"
    bound = "Python on one core: read, unpack and add up sums"
    return [
        Figure(name=f"KPI, {name}", unit="ms", database=on, rounds=took, goal="kpi", conditions=told, bound=bound)
        for name, took in found.items()
    ]


def _store(data_dir: Path, settings: dict[str, Any]) -> Store:
    clock = SystemClock()
    return PostgresStore(settings["database_url"], clock) if settings else SqliteStore(data_dir, clock)


async def _stock(store: Store, owner: tuple[str, str], runs: int, tell: Progress) -> None:
    """Write facts and sums as the fold of ended runs would have left them, the last run's end an hour ago."""
    await store.open()
    try:
        until = SystemClock().now() - HOUR_US
        blocks: dict[Place, Sums] = {}
        for number in range(DAYS):
            facts = list(_facts(owner, until - (DAYS - number) * DAY_US, runs // DAYS, number))
            day = fold(facts)
            await store.write(lambda tx, facts=facts, day=day: _write(tx, facts, day, blocks))  # type: ignore[misc]
            tell(f"building: {(number + 1) * (runs // DAYS)} of {runs} runs")
        await store.write(lambda tx: _write(tx, [], blocks, {}, last=True))
    finally:
        await store.close()


async def _write(
    tx: Transaction, facts: list[Fact], sums: dict[Place, Sums], kept: dict[Place, Sums], *, last: bool = False
) -> None:
    """Write a day's facts and the sums of its inner hours; what other days add to is merged into what is `kept`."""
    left = iter(facts)
    while part := list(islice(left, sql.TOGETHER)):
        await tx.fetch(sql.insertion(len(part)), **sql.parameters(part))
    hours = {fact.hour_at for fact in facts}
    for place, added in sums.items():
        if last or (place.grain == "hour" and min(hours) < place.at < max(hours)):
            await tx.fetch(sql.INSERT_SUMS, **msgspec.structs.asdict(place), sums=sql.encoded(added))
        else:
            kept.setdefault(place, Sums()).merge(added)


def _facts(owner: tuple[str, str], since: int, count: int, seed: int) -> Iterator[Fact]:
    """Yield the runs of a day, in the order of their ends, each in its hour."""
    drawn = random.Random(seed)
    for number in range(count):
        kind = drawn.choice(KINDS)
        agentic = kind in ("agent", "runtime")
        queued, active = int(drawn.lognormvariate(10, 2)), int(drawn.lognormvariate(15, 2))
        facts = Facts(
            state="completed" if drawn.random() < 0.9 else "failed",
            reason=None,
            attempts=1 + (drawn.random() < 0.05),
            queued_us=queued,
            active_us=active,
            total_us=queued + active,
            cost_microusd=int(drawn.lognormvariate(9, 2)) if agentic else None,
            tokens=int(drawn.lognormvariate(8, 1)) if agentic else 0,
            recoveries=0,
            agentic=agentic,
            log=_log(drawn) if agentic else Log(),
        )
        ended_at = since + number * DAY_US // count
        model = drawn.choice(MODELS) if agentic else None
        yield Fact(*owner, ended_at, f"run_{seed:04}{number:028}", kind, None, None, model, facts)


def _log(drawn: random.Random) -> Log:
    decided = (int(drawn.lognormvariate(18, 2)),) if drawn.random() < 0.3 else ()
    return Log(
        model_answers=3,
        answer_us=tuple(int(drawn.lognormvariate(14, 1)) for _ in range(3)),
        tool_calls=drawn.randrange(20),
        decision_us=decided,
    )
