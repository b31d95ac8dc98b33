"""The ceiling: the rows of whole lives of runs, written by the store's own statements and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.server import scratch
from runwright import ids
from runwright.clock import SystemClock
from runwright.domain.commands import Claim, Finish, Submit
from runwright.domain.outcome import Completed
from runwright.domain.redaction import RedactedText, Redactor, compose
from runwright.domain.run import Run, Spec, ValueRef
from runwright.domain.tenancy import Cause
from runwright.engine.batch import Batch, Terms
from runwright.store.base import ChangeSet
from runwright.store.postgres import changes as postgres
from runwright.store.postgres.connection import connect
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite import hot as sqlite
from runwright.store.sqlite.store import SqliteStore

BATCH = 100
TERMS = Terms(30_000_000, 10_000_000)


class Owner(NamedTuple):
    """Whose runs are written."""

    org_id: str
    project_id: str
    job_id: str
    job_version_id: str

    @classmethod
    def nobody(cls, now: int) -> Owner:
        """Return an owner that nothing else knows."""
        return cls(ids.new_id("org", now), ids.new_id("proj", now), ids.new_id("job", now), ids.new_id("jobv", now))


Seal = Callable[[str, str, bytes], bytes]
Write = Callable[[ChangeSet, int], Awaitable[None]]


def _noise(run_id: str, name: str, value: bytes) -> bytes:
    """Return as many bytes as a sealed value of that size has."""
    return os.urandom(len(value) + 28 + 13)


def lives(
    count: int, now: int, owner: Owner | None = None, seal: Seal = _noise
) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Return the change sets that create and begin `count` runs, and those that end them."""
    owner = owner or Owner.nobody(now)
    begins: list[ChangeSet] = []
    ends: list[ChangeSet] = []
    text = Redactor().text
    previewed = text('{"n":1}')
    for start in range(0, count, BATCH):
        batch = Batch(now, {}, TERMS)
        for number in range(start, start + BATCH):
            spec = spec_of(ids.new_id("run", now + number), now, owner, previewed)
            batch.decide(
                Submit(
                    spec=spec,
                    opening=compose(spec),
                    payload=seal(spec.run_id, "payload", b'{"n":1}'),
                    cause=Cause("user:bench"),
                )
            )
            batch.decide(Claim(spec.run_id, "local-bench"))
        begins.append(batch.seal())
        runs: dict[str, Run] = dict(batch.after)
        batch = Batch(now, runs, TERMS)
        for run_id in list(runs):
            outcome = Completed(ValueRef("0" * 64, 2, text("{}")), seal(run_id, "result", b"{}"))
            batch.decide(Finish(run_id, 1, outcome, 0.5))
        ends.append(batch.seal())
    return begins, ends


def spec_of(run_id: str, now: int, owner: Owner, preview: RedactedText) -> Spec:
    """Return the terms of a run of the owner's."""
    spec = Spec(
        run_id=run_id,
        org_id=owner.org_id,
        project_id=owner.project_id,
        job_id=owner.job_id,
        job_version=1,
        job_version_id=owner.job_version_id,
        handler="noop",
        payload=ValueRef("0" * 64, 7, preview),
        max_attempts=3,
        timeout_s=300.0,
        trace_id="0" * 32,
        created_at=now,
        created_by="user:bench",
    )
    return replace(spec, created_by_user_id="user_bench")


async def lives_per_second(count: int, settings: Mapping[str, str]) -> float:
    """Write whole lives (create and begin, end: two transactions a batch of 100) and return lives per second."""
    clock = SystemClock()
    begins, ends = lives(count, clock.now())
    return await _rate(begins, ends, count, settings)


async def events_per_second(count: int, settings: Mapping[str, str]) -> float:
    """Write events alone, 100 in a transaction, and return events per second."""
    clock = SystemClock()
    begins, _ = lives(count // 2, clock.now())
    return await _rate([ChangeSet(events=change.events) for change in begins], [], count, settings)


async def _rate(first: list[ChangeSet], second: list[ChangeSet], count: int, settings: Mapping[str, str]) -> float:
    with scratch() as directory:
        writing = on_postgresql(settings["database_url"]) if settings else on_sqlite(directory)
        async with writing as write:
            begun = time.perf_counter()
            for changes in (*first, *second):
                await write(changes, 0)
            return count / (time.perf_counter() - begun)


@asynccontextmanager
async def on_sqlite(data_dir: Path) -> AsyncIterator[Write]:
    """Open the database of a data directory, alone, and yield what writes a change set in a transaction."""
    store = SqliteStore(data_dir, SystemClock())
    await store.open()
    cursor = store.raw_writer().cursor()

    async def write(changes: ChangeSet, now: int) -> None:
        cursor.execute("BEGIN IMMEDIATE")
        sqlite.apply(cursor, changes, now)
        cursor.execute("COMMIT")

    try:
        yield write
    finally:
        await store.close()


@asynccontextmanager
async def on_postgresql(url: str) -> AsyncIterator[Write]:
    """Open a database and yield what writes a change set in a transaction of one connection."""
    store = PostgresStore(url, SystemClock())
    await store.open()
    await store.close()
    connection = await connect(url)

    async def write(changes: ChangeSet, now: int) -> None:
        await connection.execute("BEGIN")
        await postgres.apply(connection, changes, now)
        await connection.execute("COMMIT")

    try:
        yield write
    finally:
        await connection.close()
